// Weights of float32 at whatever address a file has them, as kernels may read them.
#pragma once

#include "base/memory.h"

namespace linnet {

/// Aligned floats: those at `from`, or a copy for as long as this lives.
class AlignedFloats {
 public:
  Status Make(const void* from, int64_t count);
  const float* data() const { return data_; }

 private:
  const float* data_ = nullptr;
  Block copy_;
};

}  // namespace linnet
