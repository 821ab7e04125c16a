// The peak loops.
#include "kernels/peak.h"

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/peak.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int kSums = 12;   // as many as hide the latency of a multiply-add, and as sixteen registers hold

void MultiplyAdd(int64_t turns, float* sink) {
  const F32 d;
  VF32 sum[kSums];
  LINNET_UNROLL
  for (int i = 0; i < kSums; ++i) sum[i] = hn::Set(d, static_cast<float>(i));
  const VF32 a = hn::Set(d, *sink), b = hn::Set(d, *sink * 0.5f);
  for (int64_t turn = 0; turn < turns; ++turn) {
    LINNET_UNROLL
    for (int i = 0; i < kSums; ++i) sum[i] = hn::MulAdd(a, b, sum[i]);
  }
  VF32 total = sum[0];
  LINNET_UNROLL
  for (int i = 1; i < kSums; ++i) total = hn::Add(total, sum[i]);
  *sink = hn::GetLane(total);
}

void Read(const float* x, int64_t n, float* sink) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  VF32 sum[8];
  LINNET_UNROLL
  for (int i = 0; i < 8; ++i) sum[i] = hn::Zero(d);
  for (int64_t at = 0; at < n; at += 8 * lanes) {
    LINNET_UNROLL
    for (int i = 0; i < 8; ++i) sum[i] = hn::Add(sum[i], hn::LoadU(d, x + at + i * lanes));
  }
  VF32 total = sum[0];
  LINNET_UNROLL
  for (int i = 1; i < 8; ++i) total = hn::Add(total, sum[i]);
  *sink = hn::GetLane(total);
}

constexpr PeakKernels kPeak = {MultiplyAdd, Read, kSums * HWY_LANES(float) * 2};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const PeakKernels& PickPeak(CpuLevel level) { return *LINNET_PICK(level, kPeak); }

}  // namespace linnet
#endif
