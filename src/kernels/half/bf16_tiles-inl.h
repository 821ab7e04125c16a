// The tile instruction of bfloat16 products, and the same in C++ for tests where it is missing.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_BF16_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_BF16_TILES_INL_H_
#undef LINNET_KERNELS_BF16_TILES_INL_H_
#else
#define LINNET_KERNELS_BF16_TILES_INL_H_
#endif

#include <string.h>

#include "base/float_types.h"
#include "hwy/highway.h"
#include "kernels/tiles/amx-inl.h"
#include "kernels/vec-inl.h"

#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

struct AmxBf16 : AmxTiles {
  template <int kSum, int kA, int kB>
  static HWY_INLINE void Multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  }
  /// 32 numbers from 16 of a and 16 of b.
  static HWY_INLINE void Round(VF32 a, VF32 b, uint16_t* out) {
    // Every processor with AMX has AVX512-BF16.
    __m512i bits;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(bits) : "v"(a.raw), "v"(b.raw));
    _mm512_storeu_si512(out, bits);
  }
};

struct EmulatedBf16 : EmulatedTiles {
  // Sums of even and of odd k by themselves, added to each other and then to what is there.
  template <int kSum, int kA, int kB>
  static void Multiply() {
    MultiplyWith<float, kSum, kA, kB>([](float sum, const uint8_t* a, const uint8_t* b, int pairs) {
      float parts[2] = {0, 0};
      for (int k = 0; k < pairs * 2; ++k) parts[k % 2] += Number(a + k * 2) * Number(b + k / 2 * 64 + k % 2 * 2);
      return sum + (parts[0] + parts[1]);
    });
  }
  static float Number(const uint8_t* at) {
    Bfloat16 number;
    memcpy(&number.bits, at, 2);
    return ToFloat(number);
  }
  static void Round(VF32 a, VF32 b, uint16_t* out) {
    alignas(64) float numbers[32];
    hn::Store(a, F32(), numbers);
    hn::Store(b, F32(), numbers + 16);
    for (int i = 0; i < 32; ++i) out[i] = ToBfloat16(numbers[i]).bits;
  }
};

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles
#endif  // per-target guard
