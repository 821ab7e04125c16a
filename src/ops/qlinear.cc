// QLinearAdd, QLinearMul, QLinearSigmoid, QLinearLeakyRelu and QLinearGlobalAveragePool (com.microsoft, version 1): 8-bit
// tensors with one scale and zero point each, computed through float.
//
//     y = saturate(round(f(x_scale (x - x_zero), ...) / y_scale) + y_zero)
//
// Rounding is half to even. Zero points may be left out (0). Inputs come as triples tensor, scale, zero point.
#include <cmath>

#include "ops/elementwise.h"
#include "ops/scalar_helpers.h"
#include "ops/window_helpers.h"

namespace linnet {
namespace {

constexpr uint32_t kBytes = Mask(DType::kInt8) | Mask(DType::kUint8);

/// Scale and zero point as float.
struct Quantization {
  float scale = 1, zero = 0;
  template <class T>
  float Real(T q) const { return scale * (static_cast<float>(q) - zero); }
  template <class T>
  T Stored(float real) const {
    constexpr float kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
    const float v = std::nearbyint(real / scale) + zero;
    return v >= kHigh ? std::numeric_limits<T>::max() : v > kLow ? static_cast<T>(v) : std::numeric_limits<T>::min();
  }
};

/// Fails unless inputs `scale` and `scale + 1` are one float and one number of the type of input `like`.
Status CheckQuantization(const InferContext& c, int scale, int like) {
  LINNET_TRY(c.CheckType(scale, Mask(DType::kFloat)));
  LINNET_TRY(CheckSameType(c, {like, scale + 1}));
  for (int i : {scale, scale + 1}) {
    if (c.has_input(i) && c.shape(i).is_static() && c.shape(i).elements() != 1) {
      return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where one number is expected");
    }
  }
  return Status();
}

Result<Quantization> ReadQuantization(RunContext& c, int scale, DType dtype) {
  Quantization q;
  q.scale = *c.in<float>(scale);
  if (!(q.scale > 0) || !std::isfinite(q.scale)) return InvalidArgument("input ", scale, " is the scale ", q.scale);
  if (c.has_input(scale + 1)) {
    q.zero = dtype == DType::kInt8 ? static_cast<float>(*c.in<int8_t>(scale + 1)) : static_cast<float>(*c.in<uint8_t>(scale + 1));
  }
  return q;
}

enum class QFunction { kAdd, kMul, kSigmoid, kLeakyRelu };

/// What a run needs besides its operands.
struct QState {
  Quantization x, y, out;
  float alpha = 0;
};

template <QFunction f, class T>
void QRun(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const QState& q = *static_cast<const QState*>(function);
  const T* x = static_cast<const T*>(in[0]);
  const int64_t x_step = (scalars & 1) ? 0 : 1, y_step = (scalars & 2) ? 0 : 1;
  T* to = static_cast<T*>(out);
  for (int64_t i = 0; i < n; ++i) {
    float v = q.x.Real(x[i * x_step]);
    if constexpr (f == QFunction::kAdd) v += q.y.Real(static_cast<const T*>(in[1])[i * y_step]);
    if constexpr (f == QFunction::kMul) v *= q.y.Real(static_cast<const T*>(in[1])[i * y_step]);
    if constexpr (f == QFunction::kSigmoid) v = 1 / (1 + std::exp(-v));
    if constexpr (f == QFunction::kLeakyRelu) v = v < 0 ? q.alpha * v : v;
    to[i] = q.out.Stored<T>(v);
  }
}

template <QFunction f>
struct QElementwise {
  static constexpr int kOperands = f == QFunction::kAdd || f == QFunction::kMul ? 2 : 1;
  static constexpr int kOut = 3 * kOperands;   ///< where the output's scale is
  float alpha = 0.01f;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(alpha, node.Float("alpha", 0.01f));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kOut + 1, kOut + 2));
    for (int i = 0; i < kOperands; ++i) {
      LINNET_TRY(c.CheckType(3 * i, kBytes));
      LINNET_TRY(CheckSameType(c, {0, 3 * i}));
      LINNET_TRY(CheckQuantization(c, 3 * i + 1, 0));
    }
    LINNET_TRY(CheckQuantization(c, kOut, 0));
    Shape y = c.shape(0);
    if constexpr (kOperands == 2) {
      LINNET_ASSIGN(y, Broadcast(c.shape(0), c.shape(3)));
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  Status Bind(BindContext& c) const {
    const Shape shapes[] = {c.shape(0), c.shape(kOperands == 2 ? 3 : 0)};
    RunFn* run = c.dtype(0) == DType::kInt8 ? &QRun<f, int8_t> : &QRun<f, uint8_t>;
    ElementwiseParams& params = *c.Params<ElementwiseParams>();
    params = MakeElementwise(c, {shapes, static_cast<size_t>(kOperands)}, run, 3);
    params.in_bytes[1] = 1;   // the second operand is input 3
    return Status();
  }

  Status Run(RunContext& c) const {
    QState q;
    q.alpha = alpha;
    LINNET_ASSIGN(q.x, ReadQuantization(c, 1, c.input_dtype(0)));
    if (kOperands == 2) {
      LINNET_ASSIGN(q.y, ReadQuantization(c, 4, c.input_dtype(0)));
    }
    LINNET_ASSIGN(q.out, ReadQuantization(c, kOut, c.input_dtype(0)));
    const void* in[] = {c.input(0), c.input(kOperands == 2 ? 3 : 0)};
    return RunElementwise(c, c.params<ElementwiseParams>(), &q, c.output(0), in);
  }
};

struct QGlobalAveragePool {
  bool channels_last = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t last, node.Int("channels_last", 0));
    channels_last = last != 0;
    return Status();
  }
  Layout layout() const { return channels_last ? Layout::kChannelsLast : Layout::kChannelsFirst; }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(4, 5));
    LINNET_TRY(c.CheckType(0, kBytes));
    LINNET_TRY(CheckQuantization(c, 1, 0));
    LINNET_TRY(CheckQuantization(c, 3, 0));
    const Shape& x = c.shape(0);
    LINNET_TRY(CheckImage(x));
    if (!x.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    int64_t ones[kSpatialMax];
    for (int64_t& one : ones) one = 1;
    return c.SetOutput(0, c.dtype(0), ImageShape(layout(), x[0], x[ChannelAxis(layout(), x.rank())],
                                                 {ones, static_cast<size_t>(x.rank() - 2)}));
  }

  Status Run(RunContext& c) const {
    const Shape x = c.input_shape(0);
    if (c.output_shape(0).elements() == 0) return Status();
    LINNET_ASSIGN(const Quantization in, ReadQuantization(c, 1, c.input_dtype(0)));
    LINNET_ASSIGN(const Quantization out, ReadQuantization(c, 3, c.input_dtype(0)));
    const int64_t channels = x[ChannelAxis(layout(), x.rank())], pixels = x.elements() / (x[0] * channels);
    const int64_t step = channels_last ? channels : 1;
    return ForType<kBytes>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(x[0] * channels, 1, static_cast<double>(pixels), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const T* from = c.in<T>(0) + (channels_last ? i / channels * pixels * channels + i % channels : i * pixels);
          int64_t sum = 0;
          for (int64_t p = 0; p < pixels; ++p) sum += from[p * step];
          const double mean = static_cast<double>(sum) / static_cast<double>(std::max<int64_t>(pixels, 1));
          c.out<T>(0)[i] = out.Stored<T>(in.Real(mean));
        }
      });
    });
  }
};

}  // namespace

LINNET_MS_OP(QLinearAdd, 1, QElementwise<QFunction::kAdd>);
LINNET_MS_OP(QLinearMul, 1, QElementwise<QFunction::kMul>);
LINNET_MS_OP(QLinearSigmoid, 1, QElementwise<QFunction::kSigmoid>);
LINNET_MS_OP(QLinearLeakyRelu, 1, QElementwise<QFunction::kLeakyRelu>);
LINNET_MS_OP(QLinearGlobalAveragePool, 1, QGlobalAveragePool);

}  // namespace linnet
