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

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// Applies the activation in place to `rows` x `columns` floats. Defined in epilogue.cc.
void ActivateRows(const Epilogue& epilogue, float* c, int64_t row_stride, int64_t rows, int64_t columns);

/// The part of an epilogue that is applied in registers: an optional clamp. Everything else is `after`.
struct Clamp {
  explicit Clamp(const Epilogue& e) {
    if (e.activation == Activation::kRelu) {
      low = 0, has_low = true;
    } else if (e.activation == Activation::kClip) {
      low = e.alpha, high = e.beta, has_low = true;
      has_high = high < std::numeric_limits<float>::infinity();
    } else {
      after = e.activation != Activation::kNone;
    }
  }
  float low = 0, high = 0;
  bool has_low = false, has_high = false, after = false;
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif
