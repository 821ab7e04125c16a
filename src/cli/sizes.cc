// Sizes and durations as people write them.
#include "cli/sizes.h"

#include <fmt/format.h>
#include <math.h>
#include <stdlib.h>

namespace linnet::cli {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

template <size_t n>
Result<int64_t> Parse(std::string_view text, const Unit (&units)[n], const char* what) {
  std::string copy(text);
  char* end = nullptr;
  double number = strtod(copy.c_str(), &end);
  std::string_view unit(end);
  if (end == copy.c_str() || !(number >= 0)) return InvalidArgument(Quote(text), " is no ", what);
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    double value = number * known.factor;
    if (value > 9e18) return InvalidArgument(Quote(text), " is too large for a ", what);
    return static_cast<int64_t>(value);
  }
  return InvalidArgument(Quote(text), " is no ", what, ": unknown unit ", Quote(unit));
}

}  // namespace

Result<int64_t> ParseBytes(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1},         {"B", 1},          {"K", 1024.0},     {"KB", 1024.0},
                                    {"M", 1048576.0}, {"MB", 1048576.0}, {"G", 1073741824.0}, {"GB", 1073741824.0}};
  return Parse(text, kUnits, "size");
}

Result<int64_t> ParseDurationNs(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}};
  return Parse(text, kUnits, "duration");
}

std::string FormatBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 4) value /= 1000, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, kUnits[unit]);
}

}  // namespace linnet::cli
