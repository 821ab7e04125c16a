// The engine of elementwise operators: numpy broadcasting as a loop over runs, and the functions that compute a run.
//
// Bind coalesces dimensions until the innermost ones form a run along which every operand is either contiguous or a
// single value; what is left are a few outer dimensions with a stride for each operand:
//
//     [2,3,4,5] + [3,1,1]   →   run 20, operand 1 a scalar along it; outer dimensions 2 (stride 0), 3 (stride 1)
#pragma once

#include <stdint.h>

#include <span>

#include "kernels/pointwise.h"
#include "ops/arithmetic.h"
#include "ops/op.h"

namespace linnet {

inline constexpr int kOperandsMax = 3;

/// How up to three operands are walked along an output, in elements. Plain data.
struct BroadcastLoop {
  int64_t elements = 0;     ///< of the output
  int64_t run = 1;          ///< length of a run; divides `elements`
  uint32_t scalars = 0;     ///< bit k: operand k is one value along a run
  int operands = 0;
  int rank = 0;             ///< outer dimensions, outermost first
  int64_t dims[kMaxRank];
  int64_t strides[kOperandsMax][kMaxRank];
};

/// `shapes` must broadcast to `out` (trailing dimensions aligned). All static.
BroadcastLoop MakeBroadcastLoop(const Shape& out, std::span<const Shape> shapes);

/// Computes a run of n elements: operand k at in[k], one value for all of them when bit k of `scalars` is set.
/// `function`: what the operator passed to RunElementwise. `out` may be an operand that is not a scalar.
using RunFn = void(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars);

/// What Bind chose; plain data, a member of an operator's parameters.
struct ElementwiseParams {
  BroadcastLoop loop;
  RunFn* run = nullptr;
  int8_t out_bytes = 0;
  int8_t in_bytes[kOperandsMax] = {};
  float ns = 1;             ///< per element
};

/// Fills loop and byte sizes for output 0 and the first `operands` inputs of `c` as they are shaped.
ElementwiseParams MakeElementwise(const BindContext& c, int operands, RunFn* run, float ns);
/// The same with other shapes for the inputs (as many elements).
ElementwiseParams MakeElementwise(const BindContext& c, std::span<const Shape> shapes, RunFn* run, float ns);
/// Offers each of the first `operands` inputs that has the output's shape and element size for computing in place.
void OfferInPlace(BindContext& c, int operands);

/// Computes `out` from operands `in`.
Status RunElementwise(const RunContext& c, const ElementwiseParams& params, const void* function, void* out,
                      const void* const* in);
/// The same for output 0 and inputs 0, 1, ...
Status RunElementwise(const RunContext& c, const ElementwiseParams& params, const void* function);

/// A function of floats: what `function` is for the loops below.
struct FloatFunction {
  PointwiseFn* loop = nullptr;
  float alpha = 0, beta = 0;
};
/// The loop of a FloatFunction for float, float16 and bfloat16 (computed in float, rounded once); null for other types.
RunFn* FloatRunFor(DType dtype);

/// out = F()(x) elementwise, F from Wide<T> to Wide<Out>.
template <class F, class T, class Out = T>
void RunUnary(const void*, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const T* x = static_cast<const T*>(in[0]);
  Out* y = static_cast<Out*>(out);
  const int64_t step = (scalars & 1) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) y[i] = Narrow<Out>(F()(Widen(x[i * step])));
}

/// out = F()(x, y) elementwise.
template <class F, class T, class Out = T>
void RunBinary(const void*, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const T* x = static_cast<const T*>(in[0]);
  const T* y = static_cast<const T*>(in[1]);
  Out* z = static_cast<Out*>(out);
  const int64_t x_step = (scalars & 1) ? 0 : 1, y_step = (scalars & 2) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) {
    const Out value = Narrow<Out>(F()(Widen(x[i * x_step]), Widen(y[i * y_step])));
    z[i] = value;
  }
}

}  // namespace linnet
