// Building short messages from parts without iostreams: Cat("axis ", 3, " outside rank ", 2).
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include <string>
#include <string_view>
#include <type_traits>

namespace linnet {

/// Longest text taken from a file or caller that a message repeats; the rest is cut.
inline constexpr size_t kQuotedBytesMax = 120;

/// `text` in single quotes with control characters, quotes and non-UTF-8 bytes escaped, cut at
/// kQuotedBytesMax. Every name that comes from a file enters a message through this.
#if defined(LINNET_NO_SENTENCES)
inline std::string Quote(std::string_view) { return {}; }
#else
std::string Quote(std::string_view text);
#endif

void AppendPart(std::string& out, std::string_view part);
void AppendPart(std::string& out, int64_t value);
void AppendPart(std::string& out, uint64_t value);

/// How a part of a message travels: as one of C's variable arguments, with what it is in a number beside them. A message is then
/// little more, where it is made, than the loads of its arguments.
enum class PartKind : uint8_t { kEnd, kText, kString, kView, kChar, kSigned, kUnsigned, kDouble };
inline constexpr int kPartKindBits = 3;

inline const char* PassPart(const char* part) { return part; }
inline const std::string* PassPart(const std::string& part) { return &part; }
inline const std::string_view* PassPart(const std::string_view& part) { return &part; }
inline const char* PassPart(bool part) { return part ? "true" : "false"; }
inline int PassPart(char part) { return part; }
template <class T>
  requires std::is_arithmetic_v<T>
auto PassPart(T part) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<double>(part);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<int64_t>(part);
  } else {
    return static_cast<uint64_t>(part);
  }
}
template <class Passed> inline constexpr PartKind kPartKind = PartKind::kEnd;
template <> inline constexpr PartKind kPartKind<const char*> = PartKind::kText;
template <> inline constexpr PartKind kPartKind<const std::string*> = PartKind::kString;
template <> inline constexpr PartKind kPartKind<const std::string_view*> = PartKind::kView;
template <> inline constexpr PartKind kPartKind<int> = PartKind::kChar;
template <> inline constexpr PartKind kPartKind<int64_t> = PartKind::kSigned;
template <> inline constexpr PartKind kPartKind<uint64_t> = PartKind::kUnsigned;
template <> inline constexpr PartKind kPartKind<double> = PartKind::kDouble;

/// The kinds of some parts, the first in the lowest bits.
template <class... Passed>
consteval uint64_t PartKinds() {
  static_assert(sizeof...(Passed) <= 64 / kPartKindBits);
  uint64_t kinds = 0;
  int at = 0;
  ((kinds |= static_cast<uint64_t>(kPartKind<Passed>) << at, at += kPartKindBits), ...);
  return kinds;
}

std::string CatParts(uint64_t kinds, ...);
std::string CatPartsOf(uint64_t kinds, va_list parts);

/// Concatenates strings, integers and floats; integers print in decimal, floats as %g.
template <class... Parts>
[[gnu::always_inline]] inline std::string Cat(const Parts&... parts) {
  return CatParts(PartKinds<decltype(PassPart(parts))...>(), PassPart(parts)...);
}

}  // namespace linnet
