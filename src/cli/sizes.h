// Sizes and durations as people write them.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet::cli {

/// "4096", "64K", "256M", "1.5G" (powers of 1024) as bytes.
Result<int64_t> ParseBytes(std::string_view text);
/// "250us", "500ms", "2s", "1.5m" (seconds without a unit) as nanoseconds.
Result<int64_t> ParseDurationNs(std::string_view text);
/// "4.2 MB": three significant digits, powers of 1000.
std::string FormatBytes(int64_t bytes);

}  // namespace linnet::cli
