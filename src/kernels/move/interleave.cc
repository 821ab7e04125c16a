// Interleaving by vectors of 8 bytes.
#include "kernels/move/interleave.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/move/interleave.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The last vectors end with the row, and do some elements again.
template <class T>
void Interleave(const void* from, int64_t from_row, int64_t apart, void* to, int64_t rows, int64_t count) {
  const hn::Full128<T> d;
  const hn::Full64<T> half;
  constexpr int64_t kLanes = 8 / sizeof(T);
  const T* a = static_cast<const T*>(from);
  T* out = static_cast<T*>(to);
  for (int64_t r = 0; r < rows; ++r, a += from_row, out += 2 * count) {
    for (int64_t next = 0; next < count; next += kLanes) {
      const int64_t j = std::min(next, count - kLanes);
      const auto x = hn::ZeroExtendVector(d, hn::LoadU(half, a + j)), y = hn::ZeroExtendVector(d, hn::LoadU(half, a + apart + j));
      hn::StoreU(hn::InterleaveLower(d, x, y), d, out + 2 * j);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

InterleaveFn* PickInterleave(int64_t element_bytes, [[maybe_unused]] CpuLevel level) {
  switch (element_bytes) {
    case 1: return LINNET_PICK(level, Interleave<uint8_t>);
    case 2: return LINNET_PICK(level, Interleave<uint16_t>);
    case 4: return LINNET_PICK(level, Interleave<uint32_t>);
    case 8: return LINNET_PICK(level, Interleave<uint64_t>);
    default: return nullptr;
  }
}

}  // namespace linnet
#endif
