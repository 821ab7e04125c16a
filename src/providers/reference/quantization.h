// Numbers rounded to bytes by the range they span.
#pragma once

#include <vector>

namespace linnet::reference {

/// Scale and zero point of uint8 as DynamicQuantizeLinear chooses them for all of `values`.
struct ByteRange {
  explicit ByteRange(const std::vector<double>& values);
  double Rounded(double value) const;                                        ///< the byte of a number
  double AndBack(double value) const { return (Rounded(value) - zero) * scale; }
  double scale = 1, zero = 0;
};

}  // namespace linnet::reference
