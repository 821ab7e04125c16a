// Sizes and times as people write and read them.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet {

/// "4096", "64K", "1.5G", "256MiB", "10MB" as bytes; K, M, G, T are powers of 1024 whatever follows them.
Result<int64_t> ParseBytes(std::string_view text);
/// "2s", "500ms", "20us", "5m", "100ns" as nanoseconds; a number without a unit means seconds.
Result<int64_t> ParseDurationNs(std::string_view text);

/// "0 B", "1023 B", "1.50 KiB", "12.3 MiB", "150 GiB": three digits.
std::string FormatBytes(int64_t bytes);
/// "0.00 ns", "850 ns", "12.3 us", "1.50 ms", "2.00 s", "125 s": three digits.
std::string FormatDurationNs(double nanoseconds);
/// "0", "950", "1.23 k", "45.6 M", "3.00 G", "1.20 T": powers of 1000, three digits; no unit below 1000.
std::string FormatShort(double count);
/// "1,234,567".
std::string FormatCount(int64_t count);

}  // namespace linnet
