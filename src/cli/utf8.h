// UTF-8 to code points and back.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>

namespace linnet {

/// Appends one code point; false when it is a surrogate or above U+10FFFF.
bool AppendUtf8(std::string& out, uint32_t code);

/// Replaces `codes` by the code points of `text`; false (and some prefix) when it is not well-formed UTF-8.
bool DecodeUtf8(std::string_view text, std::u32string* codes);

/// Columns `text` takes on a terminal, counting one a code point; a byte that is not UTF-8 counts one.
int DisplayWidth(std::string_view text);

/// `text` with control characters (escape sequences of a hostile name) and invalid bytes replaced by '?'.
std::string Printable(std::string_view text);

}  // namespace linnet
