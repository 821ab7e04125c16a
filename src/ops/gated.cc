// An activation next to another elementwise step: SwiGLU, and com.microsoft's BiasGelu and FastGelu.
//
//     SwiGLU    A sigmoid(alpha A) B                 shapes of A and B are equal
//     BiasGelu  Gelu(X + bias)                       bias broadcasts to X
//     FastGelu  GeluTanh(X + bias)                   bias is optional
#include <math.h>

#include "ops/elementwise.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

/// out = second(first(x), y) or second(first(x, y)): two float loops over pieces that stay in the cache.
struct TwoLoops {
  FloatFunction activation, combine;
  bool activates_first = false;
};

constexpr int64_t kPiece = 1024;

void RunTwoFloat(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const TwoLoops& f = *static_cast<const TwoLoops*>(function);
  const float* x = static_cast<const float*>(in[0]);
  const float* y = static_cast<const float*>(in[1]);
  float piece[kPiece];
  for (int64_t at = 0; at < n; at += kPiece) {
    const int64_t count = n - at < kPiece ? n - at : kPiece;
    float* result = static_cast<float*>(out) + at;
    const float* other = y ? ((scalars & 2) ? y : y + at) : nullptr;
    const uint32_t other_is_scalar = scalars & 2;
    if (f.activates_first) {
      f.activation.loop(piece, x + at, nullptr, nullptr, count, 0, f.activation.alpha, 0);
      f.combine.loop(result, piece, other, nullptr, count, other_is_scalar, 0, 0);
    } else if (other) {
      f.combine.loop(piece, x + at, other, nullptr, count, other_is_scalar, 0, 0);
      f.activation.loop(result, piece, nullptr, nullptr, count, 0, f.activation.alpha, 0);
    } else {
      f.activation.loop(result, x + at, nullptr, nullptr, count, 0, f.activation.alpha, 0);
    }
  }
}

/// float16 and bfloat16 through float.
template <class T>
void RunTwoHalf(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  float wide[2][256], result[256];
  for (int64_t at = 0; at < n; at += 256) {
    const int64_t count = n - at < 256 ? n - at : 256;
    const void* operands[kOperandsMax] = {};
    for (int k = 0; k < 2; ++k) {
      const T* from = static_cast<const T*>(in[k]);
      if (!from) continue;
      const bool scalar = (scalars >> k) & 1;
      for (int64_t i = 0; i < (scalar ? 1 : count); ++i) wide[k][i] = ToFloat(from[scalar ? 0 : at + i]);
      operands[k] = wide[k];
    }
    RunTwoFloat(function, result, operands, count, scalars);
    for (int64_t i = 0; i < count; ++i) static_cast<T*>(out)[at + i] = Narrow<T>(result[i]);
  }
}

void SwiGluDoubles(const void* function, void* out, const void* const* in, int64_t n, uint32_t) {
  const double alpha = static_cast<const TwoLoops*>(function)->activation.alpha;
  const double* a = static_cast<const double*>(in[0]);
  const double* b = static_cast<const double*>(in[1]);
  for (int64_t i = 0; i < n; ++i) static_cast<double*>(out)[i] = a[i] / (1 + exp(-alpha * a[i])) * b[i];
}

RunFn* FindRun(DType dtype) {
  switch (dtype) {
    case DType::kFloat: return RunTwoFloat;
    case DType::kFloat16: return RunTwoHalf<Float16>;
    case DType::kBfloat16: return RunTwoHalf<Bfloat16>;
    default: return SwiGluDoubles;
  }
}

template <Pointwise activation>
struct Gated {
  static constexpr bool kSwiGlu = activation == Pointwise::kSwish;
  static constexpr bool kOptional = activation == Pointwise::kGeluTanh;   ///< the second input
  static constexpr uint32_t kTypes = kSwiGlu ? kAnyFloat : kAnyFloat & ~Mask(DType::kDouble);
  TwoLoops loops;

  Status Parse(const Node& node) {
    loops.activates_first = kSwiGlu;
    if (kSwiGlu) {
      LINNET_ASSIGN(loops.activation.alpha, node.Float("alpha", 1));
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kOptional ? 1 : 2, 2));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kTypes));
    const Shape& x = c.shape(0);
    if (c.has_input(1)) {
      if (c.dtype(0) != c.dtype(1) && c.dtype(0) != DType::kUndefined && c.dtype(1) != DType::kUndefined) {
        return InvalidModel("inputs have different element types: ", DTypeName(c.dtype(0)), " and ", DTypeName(c.dtype(1)));
      }
      const Shape& y = c.shape(1);
      if (x.has_rank() && y.has_rank()) {
        bool fits = kSwiGlu ? x.rank() == y.rank() : y.rank() <= x.rank();
        for (int d = 0; fits && d < y.rank(); ++d) {
          const int64_t a = x[d + x.rank() - y.rank()], b = y[d];
          fits = a == b || !IsKnownDim(a) || !IsKnownDim(b) || (b == 1 && !kSwiGlu);
        }
        if (!fits) return InvalidModel("shapes ", ToString(x), " and ", ToString(y), " do not go together");
      }
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Prepare(PrepareContext& c) {
    loops.activation.loop = PickPointwise(activation, c.cpu());
    loops.combine.loop = PickPointwise(kSwiGlu ? Pointwise::kMul : Pointwise::kAdd, c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    const int operands = c.has_input(1) ? 2 : 1;
    *c.Params<ElementwiseParams>() = MakeElementwise(c, operands, FindRun(c.dtype(0)), 1.0f);
    OfferInPlace(c, operands);
    return Status();
  }

  Status Run(RunContext& c) const { return RunElementwise(c, c.params<ElementwiseParams>(), &loops); }
};

}  // namespace

LINNET_OP(SwiGLU, 28, Gated<Pointwise::kSwish>);
LINNET_MS_OP(BiasGelu, 1, Gated<Pointwise::kGelu>);
LINNET_MS_OP(FastGelu, 1, Gated<Pointwise::kGeluTanh>);

}  // namespace linnet
