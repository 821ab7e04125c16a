// When sums of 8-bit products become unsigned bytes by few instructions (64-bit Arm).
//
// Sums that begin with the bits of 2^23 as a float are, read as floats, 2^23 + t, or 2^23 + t / 2 where t is negative. Times the scale,
// less 2^23 times the scale, which is exact, they are rounded once by a fused multiply-add: to what t times the scale is rounded to,
// or, of negative ones, to what becomes 0 as well.
#pragma once

#if defined(__aarch64__)

#include <arm_neon.h>
#include <stdint.h>

#include "kernels/int8/int8_gemm.h"

namespace linnet {

/// Copies n bytes with the bits of `flip` turned; touches nothing else. Defined in int8_gemm_lanes.cc.
void CopyFlippedInt8(const uint8_t* from, int64_t n, uint8_t flip, uint8_t* to);

/// Whether results are bytes from 0 on without bounds of their own.
inline bool PlainBytesInt8(const FinishInt8& f) {
  return f.to == FinishInt8::To::kUint8 && f.zero == 0 && f.low == 0 && f.high == 255;
}

/// What sums of k products of bytes and `offset` begin with, and what is added to them times `scale`, of sixteen. False where a sum may
/// reach 2^23, or 2^15 times its scale, or where a scale is negative or no number.
inline bool PlainScalesInt8(const int32_t* offset, const float* scale, int64_t k, int32_t* first, float* less) {
  const float32x4_t limit = vdupq_n_f32(0x1p23f), products = vdupq_n_f32(128 * 128 * static_cast<float>(k));
  uint32x4_t plain = vdupq_n_u32(~0u);
  for (int i = 0; i < 16; i += 4) {
    const int32x4_t from = vld1q_s32(offset + i);
    const float32x4_t s = vld1q_f32(scale + i), most = vaddq_f32(vabsq_f32(vcvtq_f32_s32(from)), products);
    plain = vandq_u32(plain, vandq_u32(vcltq_f32(most, vsubq_f32(limit, vdupq_n_f32(16))), vcgezq_f32(s)));
    plain = vandq_u32(plain, vcltq_f32(vmulq_f32(most, s), vdupq_n_f32(0x1p15f - 16)));
    vst1q_s32(first + i, vaddq_s32(from, vreinterpretq_s32_f32(limit)));
    vst1q_f32(less + i, vnegq_f32(vmulq_f32(s, limit)));
  }
  return vminvq_u32(plain) != 0;
}

}  // namespace linnet

#endif  // 64-bit Arm
