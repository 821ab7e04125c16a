// JSON for the command: nlohmann's library without its exceptions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet {

/// Keys keep the order they were added in.
using Json = nlohmann::ordered_json;

/// The value in `text`, or a sentence naming `what`.
inline Result<Json> ParseJson(std::string_view text, std::string_view what) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return InvalidArgument(Quote(what), " is not valid JSON");
  return value;
}

/// Text that ends in a newline; bytes that are not UTF-8 become U+FFFD instead of an exception. NaN and infinity,
/// which JSON lacks, become null.
inline std::string FormatJson(const Json& value) {
  return value.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace linnet
