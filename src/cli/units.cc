// Numbers with units, exact in integers where the text is.
#include "cli/units.h"

#include <math.h>
#include <stdio.h>

namespace linnet {
namespace {

struct Unit {
  const char* name;
  double factor;
};
constexpr double kKi = 1024;
constexpr Unit kByteUnits[] = {{"", 1},
                               {"b", 1},
                               {"k", kKi},
                               {"kb", kKi},
                               {"kib", kKi},
                               {"m", kKi* kKi},
                               {"mb", kKi* kKi},
                               {"mib", kKi* kKi},
                               {"g", kKi* kKi* kKi},
                               {"gb", kKi* kKi* kKi},
                               {"gib", kKi* kKi* kKi},
                               {"t", kKi* kKi* kKi* kKi},
                               {"tb", kKi* kKi* kKi* kKi},
                               {"tib", kKi* kKi* kKi* kKi}};
constexpr Unit kTimeUnits[] = {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9},
                               {"min", 60e9}, {"h", 3600e9}};

/// Digits with at most one point, optional spaces, a unit in any case. Written out by hand because strtod takes signs,
/// exponents, "inf" and the locale's decimal separator.
template <size_t n>
Result<int64_t> Parse(std::string_view text, const Unit (&units)[n], const char* what) {
  auto refuse = [&] { return InvalidArgument(Quote(text), " is not ", what); };
  double value = 0, place = 1;
  bool digits = false, point = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    char c = text[i];
    if (c >= '0' && c <= '9') {
      digits = true;
      value = value * 10 + (c - '0');
      if (point) place *= 10;
    } else if (c == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (!digits) return refuse();
  while (i < text.size() && text[i] == ' ') ++i;
  std::string unit;
  for (char c : text.substr(i)) unit += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
  for (const Unit& row : units) {
    if (unit != row.name) continue;
    double total = value / place * row.factor;
    if (!(total < 9.2e18)) return InvalidArgument(Quote(text), " is too large");
    return static_cast<int64_t>(llround(total));
  }
  return refuse();
}

/// `value` with three significant digits and no exponent, if it is below 10000.
std::string ThreeDigits(double value, const char* unit) {
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  char text[64];
  snprintf(text, sizeof text, "%.*f %s", decimals, value, unit);
  return text;
}

}  // namespace

Result<int64_t> ParseBytes(std::string_view text) {
  return Parse(text, kByteUnits, "a size such as 4096, 64K, 1.5G or 256MiB");
}

Result<int64_t> ParseDurationNs(std::string_view text) {
  return Parse(text, kTimeUnits, "a time such as 2s, 500ms, 20us or 5m");
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 0) return "-" + FormatBytes(bytes == INT64_MIN ? INT64_MAX : -bytes);
  if (bytes < 1024) return Cat(bytes, " B");
  static constexpr const char* kNames[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < std::size(kNames)) value /= 1024, ++unit;
  return ThreeDigits(value, kNames[unit]);
}

std::string FormatDurationNs(double nanoseconds) {
  if (!(nanoseconds >= 0)) return nanoseconds < 0 ? "-" + FormatDurationNs(-nanoseconds) : "?";
  if (nanoseconds < 999.5) return ThreeDigits(nanoseconds, "ns");
  if (nanoseconds < 999.5e3) return ThreeDigits(nanoseconds / 1e3, "us");
  if (nanoseconds < 999.5e6) return ThreeDigits(nanoseconds / 1e6, "ms");
  return ThreeDigits(nanoseconds / 1e9, "s");
}

std::string FormatShort(double count) {
  if (!(count >= 999.5)) return Cat(llround(count > 0 ? count : 0));
  static constexpr const char* kNames[] = {"k", "M", "G", "T"};
  double value = count / 1000;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kNames)) value /= 1000, ++unit;
  return ThreeDigits(value, kNames[unit]);
}

std::string FormatCount(int64_t count) {
  std::string digits = Cat(count);
  size_t first = count < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) digits.insert(i -= 3, 1, ',');
  return digits;
}

}  // namespace linnet
