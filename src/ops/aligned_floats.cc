// A copy of floats that lie at no multiple of four.
#include "ops/aligned_floats.h"

#include <string.h>

namespace linnet {

Status AlignedFloats::Make(const void* from, int64_t count) {
  data_ = static_cast<const float*>(from);
  if (reinterpret_cast<uintptr_t>(from) % alignof(float) == 0) return Status();
  LINNET_ASSIGN(copy_, Block::Allocate(count * 4));
  CopyLong(copy_.data(), from, static_cast<size_t>(count) * 4);
  data_ = reinterpret_cast<const float*>(copy_.data());
  return Status();
}

}  // namespace linnet
