// Building short messages from parts without iostreams: Cat("axis ", 3, " outside rank ", 2).
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>
#include <type_traits>

namespace linnet {

/// Longest text taken from a file or caller that a message repeats; the rest is cut.
inline constexpr size_t kQuotedBytesMax = 120;

/// `text` in single quotes with control characters, quotes and non-UTF-8 bytes escaped, cut at
/// kQuotedBytesMax. Every name that comes from a file enters a message through this.
std::string Quote(std::string_view text);

void AppendPart(std::string& out, std::string_view part);
void AppendPart(std::string& out, int64_t value);
void AppendPart(std::string& out, uint64_t value);
void AppendPart(std::string& out, double value);

/// Concatenates strings, integers and floats; integers print in decimal, floats as %g.
template <class... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  auto one = [&out](const auto& part) {
    using T = std::decay_t<decltype(part)>;
    if constexpr (std::is_same_v<T, bool>) {
      AppendPart(out, std::string_view(part ? "true" : "false"));
    } else if constexpr (std::is_same_v<T, char>) {
      AppendPart(out, std::string_view(&part, 1));
    } else if constexpr (std::is_floating_point_v<T>) {
      AppendPart(out, static_cast<double>(part));
    } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      AppendPart(out, static_cast<int64_t>(part));
    } else if constexpr (std::is_integral_v<T>) {
      AppendPart(out, static_cast<uint64_t>(part));
    } else {
      AppendPart(out, std::string_view(part));
    }
  };
  (one(parts), ...);
  return out;
}

}  // namespace linnet
