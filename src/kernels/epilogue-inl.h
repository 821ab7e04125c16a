// Per-instruction-set side of the epilogue: activations over rows that were just written, and the fused
// clamp.
#if defined(LINNET_EPILOGUE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_EPILOGUE_INL_H
#undef LINNET_EPILOGUE_INL_H
#else
#define LINNET_EPILOGUE_INL_H
#endif

#include <limits>

#include "hwy/highway.h"
#include "kernels/epilogue.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// Applies the activation in place to `rows` x `columns` floats. Defined in epilogue.cc.
void ActivateRows(const Epilogue& epilogue, float* c, int64_t row_stride, int64_t rows, int64_t columns);

/// x min(max(x / 6 + 1/2, 0), 1).
HWY_INLINE VF32 HardSwishOf(VF32 x) {
  const F32 d;
  const VF32 t = hn::MulAdd(x, hn::Set(d, 1.0f / 6), hn::Set(d, 0.5f));
  return hn::Mul(x, AtMost(hn::Set(d, 1.0f), AtLeast(hn::Zero(d), t)));
}

/// The part of an epilogue that is applied in registers: an optional clamp. Everything else is `after`; of that, kernels may do
/// hard swishes in registers too.
struct Clamp {
  explicit Clamp(const Epilogue& e) {
    if (e.activation == Activation::kRelu) {
      low = 0, has_low = true;
    } else if (e.activation == Activation::kClip) {
      low = e.alpha, high = e.beta, has_low = true;
      has_high = high < std::numeric_limits<float>::infinity();
    } else {
      after = e.activation != Activation::kNone;
      hard_swish = e.activation == Activation::kHardSwish;
    }
  }
  float low = 0, high = 0;
  bool has_low = false, has_high = false, after = false, hard_swish = false;
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif
