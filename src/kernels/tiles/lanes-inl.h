// Steps of a float32 tile on 64-bit Arm, where a multiply-add takes a lane of what one load of A's row brought.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_LANES_INL_H_
#undef LINNET_KERNELS_TILES_LANES_INL_H_
#else
#define LINNET_KERNELS_TILES_LANES_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

#if HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64
HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Between the row of a panel in use and the one asked for.
constexpr int64_t kAheadFloats = 64 * kPanelColumns;

// A step over k whose A is in a lane of `av`.
template <int kLane, int kRows, int kVectors>
HWY_INLINE void LaneStep(const VF32 (&av)[kRows], const float* b, int64_t b_panel_stride, VF32 (&sum)[kRows][kVectors]) {
  const F32 d;
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const float* panel = b + v * 4 / kPanelColumns * b_panel_stride;
    if (v * 4 % kPanelColumns == 0) __builtin_prefetch(panel + kAheadFloats);
    const VF32 bv = hn::LoadU(d, panel + v * 4 % kPanelColumns);
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) sum[r][v].raw = vfmaq_laneq_f32(sum[r][v].raw, bv.raw, av[r].raw, kLane);
  }
}

// Four times `steps` steps of the highest tile, whose sums, A and a pair of B's vectors are exactly the 32 registers there are:
// compilers keep some of it on the stack, which takes half as many instructions again.
HWY_INLINE void LaneSteps(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t steps, VF32 (&sum)[6][4]) {
  const float *a1 = a + a_stride, *a2 = a1 + a_stride, *a3 = a2 + a_stride, *a4 = a3 + a_stride, *a5 = a4 + a_stride;
#define LINNET_LANES(at, lane)                                                                                                   \
  "fmla v8.4s, " at ".4s, v0.s[" lane "]\n fmla v12.4s, " at ".4s, v1.s[" lane "]\n fmla v16.4s, " at ".4s, v2.s[" lane "]\n"     \
  "fmla v20.4s, " at ".4s, v3.s[" lane "]\n fmla v24.4s, " at ".4s, v4.s[" lane "]\n fmla v28.4s, " at ".4s, v5.s[" lane "]\n"
#define LINNET_LANES_1(at, lane)                                                                                                 \
  "fmla v9.4s, " at ".4s, v0.s[" lane "]\n fmla v13.4s, " at ".4s, v1.s[" lane "]\n fmla v17.4s, " at ".4s, v2.s[" lane "]\n"     \
  "fmla v21.4s, " at ".4s, v3.s[" lane "]\n fmla v25.4s, " at ".4s, v4.s[" lane "]\n fmla v29.4s, " at ".4s, v5.s[" lane "]\n"
#define LINNET_LANES_2(at, lane)                                                                                                 \
  "fmla v10.4s, " at ".4s, v0.s[" lane "]\n fmla v14.4s, " at ".4s, v1.s[" lane "]\n fmla v18.4s, " at ".4s, v2.s[" lane "]\n"    \
  "fmla v22.4s, " at ".4s, v3.s[" lane "]\n fmla v26.4s, " at ".4s, v4.s[" lane "]\n fmla v30.4s, " at ".4s, v5.s[" lane "]\n"
#define LINNET_LANES_3(at, lane)                                                                                                 \
  "fmla v11.4s, " at ".4s, v0.s[" lane "]\n fmla v15.4s, " at ".4s, v1.s[" lane "]\n fmla v19.4s, " at ".4s, v2.s[" lane "]\n"    \
  "fmla v23.4s, " at ".4s, v3.s[" lane "]\n fmla v27.4s, " at ".4s, v4.s[" lane "]\n fmla v31.4s, " at ".4s, v5.s[" lane "]\n"
#define LINNET_STEP(lane)                                                                                                        \
  "ldp q6, q7, [%[b]]\n prfm pldl1keep, [%[b], #4096]\n"                                                                         \
  LINNET_LANES("v6", lane) LINNET_LANES_1("v7", lane)                                                                            \
  "ldp q6, q7, [%[b], #32]\n add %[b], %[b], %[step]\n"                                                                          \
  LINNET_LANES_2("v6", lane) LINNET_LANES_3("v7", lane)
  static_assert(kAheadFloats * 4 == 4096);
  asm volatile(
      "ldp q8, q9, [%[sum]]\n ldp q10, q11, [%[sum], #32]\n ldp q12, q13, [%[sum], #64]\n ldp q14, q15, [%[sum], #96]\n"
      "ldp q16, q17, [%[sum], #128]\n ldp q18, q19, [%[sum], #160]\n ldp q20, q21, [%[sum], #192]\n ldp q22, q23, [%[sum], #224]\n"
      "ldp q24, q25, [%[sum], #256]\n ldp q26, q27, [%[sum], #288]\n ldp q28, q29, [%[sum], #320]\n ldp q30, q31, [%[sum], #352]\n"
      "1:\n"
      "ldr q0, [%[a0]], #16\n ldr q1, [%[a1]], #16\n ldr q2, [%[a2]], #16\n"
      "ldr q3, [%[a3]], #16\n ldr q4, [%[a4]], #16\n ldr q5, [%[a5]], #16\n"
      "subs %[n], %[n], #1\n"
      LINNET_STEP("0") LINNET_STEP("1") LINNET_STEP("2") LINNET_STEP("3")
      "b.ne 1b\n"
      "stp q8, q9, [%[sum]]\n stp q10, q11, [%[sum], #32]\n stp q12, q13, [%[sum], #64]\n stp q14, q15, [%[sum], #96]\n"
      "stp q16, q17, [%[sum], #128]\n stp q18, q19, [%[sum], #160]\n stp q20, q21, [%[sum], #192]\n stp q22, q23, [%[sum], #224]\n"
      "stp q24, q25, [%[sum], #256]\n stp q26, q27, [%[sum], #288]\n stp q28, q29, [%[sum], #320]\n stp q30, q31, [%[sum], #352]\n"
      : [a0] "+r"(a), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [a4] "+r"(a4), [a5] "+r"(a5), [b] "+r"(b), [n] "+r"(steps)
      : [sum] "r"(&sum[0][0]), [step] "r"(b_stride * 4)
      : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
#undef LINNET_STEP
#undef LINNET_LANES
#undef LINNET_LANES_1
#undef LINNET_LANES_2
#undef LINNET_LANES_3
}

// As many of `k` steps as there are fours of them; returns what is left. Row r of A is read at base[r / 4] + (r % 4) * a_stride.
template <int kRows, int kVectors, int kBases>
HWY_INLINE int64_t RunLanes(const float* (&base)[kBases], int64_t a_stride, const float*& b, int64_t b_stride, int64_t b_panel_stride,
                            int64_t k, VF32 (&sum)[kRows][kVectors]) {
  if constexpr (kRows == 6 && kVectors == 4) {
    const int64_t steps = k / 4;
    if (steps == 0) return k;
    LaneSteps(base[0], a_stride, b, b_stride, steps, sum);
    b += 4 * steps * b_stride;
    LINNET_UNROLL
    for (int i = 0; i < kBases; ++i) base[i] += 4 * steps;
    return k - 4 * steps;
  } else {
    const F32 d;
    for (; k >= 4; k -= 4) {
      VF32 av[kRows];
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) av[r] = hn::LoadU(d, base[r / 4] + r % 4 * a_stride);
      LaneStep<0>(av, b, b_panel_stride, sum);
      LaneStep<1>(av, b += b_stride, b_panel_stride, sum);
      LaneStep<2>(av, b += b_stride, b_panel_stride, sum);
      LaneStep<3>(av, b += b_stride, b_panel_stride, sum);
      b += b_stride;
      LINNET_UNROLL
      for (int i = 0; i < kBases; ++i) base[i] += 4;
    }
    return k;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // 64-bit Arm

#endif  // per-target guard
