// QLinearAdd, QLinearMul, QLinearSigmoid, QLinearLeakyRelu and QLinearGlobalAveragePool (com.microsoft, version 1): 8-bit
// tensors with one scale and zero point each, computed through float.
//
//     y = saturate(round(f(x_scale (x - x_zero), ...) / y_scale) + y_zero)
//
// Rounding is half to even. Zero points may be left out (0). Inputs come as triples tensor, scale, zero point. Functions of
// one tensor are tables of 256 bytes.
#include "kernels/int8/qlinear.h"

#include <string.h>

#include "base/parts.h"
#include "ops/byte_scale.h"
#include "ops/elementwise.h"
#include "ops/integer_product.h"
#include "ops/scalar_helpers.h"
#include "ops/window_helpers.h"

namespace linnet {
namespace {

/// A sum or product and its loop.
struct BinaryRun {
  QBinaryArgs args;
  QBinaryFn* run = nullptr;
};

template <QBinary op>
struct QLinearBinary {
  static constexpr int kOut = 6;   ///< where the output's scale is
  static constexpr int64_t kRowsBytes = 1024;

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kOut + 1, kOut + 2));
    for (int i : {0, 3}) {
      LINNET_TRY(c.CheckType(i, kByteTypes));
      LINNET_TRY(CheckSameType(c, {0, i}));
      LINNET_TRY(CheckByteScale(c, i + 1, 0));
    }
    LINNET_TRY(CheckByteScale(c, kOut, 0));
    LINNET_ASSIGN(const Shape y, Broadcast(c.shape(0), c.shape(3)));
    return c.SetOutput(0, c.dtype(0), y);
  }

  QBinaryFn* kernels[2] = {};   ///< unsigned, signed

  Status Prepare(PrepareContext& c) {
    for (bool is_signed : {false, true}) kernels[is_signed] = PickQBinary(op, is_signed, c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    const Shape shapes[] = {c.shape(0), c.shape(3)};
    RunFn* run = [](const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
      const BinaryRun& f = *static_cast<const BinaryRun*>(function);
      f.run(f.args, in[0], in[1], out, n, scalars);
    };
    ElementwiseParams& params = *c.Params<ElementwiseParams>();
    params = MakeElementwise(c, shapes, run, 1);
    params.in_bytes[1] = 1;   // the second operand is input 3
    for (int i : {0, 3}) {
      if (c.shape(i) == c.output_shape(0)) c.InPlace(0, i);
    }
    return Status();
  }

  Status Run(RunContext& c) const {
    if (c.output_shape(0).elements() == 0) return Status();
    const DType dtype = c.input_dtype(0);
    BinaryRun f;
    LINNET_ASSIGN(f.args.x, ReadByteScale(c, 1, dtype));
    LINNET_ASSIGN(f.args.y, ReadByteScale(c, 4, dtype));
    LINNET_ASSIGN(f.args.out, ReadByteScale(c, kOut, dtype));
    f.args.low = dtype == DType::kInt8 ? -128 : 0;
    f.args.high = dtype == DType::kInt8 ? 127 : 255;
    f.run = kernels[dtype == DType::kInt8];
    const void* in[] = {c.input(0), c.input(3)};
    const ElementwiseParams& params = c.params<ElementwiseParams>();
    const BroadcastLoop& loop = params.loop;
    for (int k : {0, 1}) {
      const bool rows = loop.rank == 1 && loop.scalars == 0 && loop.strides[k][0] == 0 && loop.strides[1 - k][0] == loop.run;
      if (rows && 2 * loop.run <= kRowsBytes) return RunRows(c, f, loop, in, k);
    }
    return RunElementwise(c, params, &f, c.output(0), in);
  }

  /// Operand `k` is one row for all of the other's, a short one: several at a time.
  static Status RunRows(RunContext& c, const BinaryRun& f, const BroadcastLoop& loop, const void* const* in, int k) {
    const int64_t rows = loop.dims[0], some = std::min(rows, kRowsBytes / loop.run);
    uint8_t repeated[kRowsBytes];
    for (int64_t r = 0; r < some; ++r) memcpy(repeated + r * loop.run, in[k], static_cast<size_t>(loop.run));
    const uint8_t* x = static_cast<const uint8_t*>(in[1 - k]);
    uint8_t* y = c.out<uint8_t>(0);
    return c.ParallelFor(DivUp(rows, some), 1, static_cast<double>(some * loop.run), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * some * loop.run, n = std::min(some, rows - i * some) * loop.run;
        f.run(f.args, k == 0 ? repeated : x + first, k == 0 ? x + first : repeated, y + first, n, 0);
      }
    });
  }
};

struct Sigmoid {
  float operator()(float alpha, float x) const { return 1 / (1 + std::exp(-x)); }
};
struct LeakyRelu {
  float operator()(float alpha, float x) const { return x < 0 ? alpha * x : x; }
};

/// A function of one number: a table of 256 bytes.
template <class F>
struct QLinearUnary {
  float alpha = 0.01f;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(alpha, node.Float("alpha", 0.01f));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(4, 5));
    LINNET_TRY(c.CheckType(0, kByteTypes));
    LINNET_TRY(CheckByteScale(c, 1, 0));
    LINNET_TRY(CheckByteScale(c, 3, 0));
    return c.SetOutput(0, c.dtype(0), c.shape(0));
  }

  LookUpBytesFn* look_up = nullptr;

  Status Prepare(PrepareContext& c) {
    look_up = PickLookUpBytes(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    LINNET_ASSIGN(const ByteScale in, ReadByteScale(c, 1, c.input_dtype(0)));
    LINNET_ASSIGN(const ByteScale out, ReadByteScale(c, 3, c.input_dtype(0)));
    uint8_t table[256];
    FillByteTable(c.input_dtype(0), in, out, table, [this](float x) { return F()(alpha, x); });
    return c.ParallelFor(c.input_shape(0).elements(), 4096, 0.5, [&](int64_t begin, int64_t end, int) {
      look_up(table, c.in<uint8_t>(0) + begin, end - begin, c.out<uint8_t>(0) + begin);
    });
  }
};

struct QGlobalAveragePool {
  bool channels_last = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t last, node.Int("channels_last", 0));
    channels_last = last != 0;
    return Status();
  }
  ByteMeans means;

  Status Prepare(PrepareContext& c) {
    means.Prepare(c.cpu());
    return Status();
  }

  Layout layout() const { return channels_last ? Layout::kChannelsLast : Layout::kChannelsFirst; }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(4, 5));
    LINNET_TRY(c.CheckType(0, kByteTypes));
    LINNET_TRY(CheckByteScale(c, 1, 0));
    LINNET_TRY(CheckByteScale(c, 3, 0));
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
    LINNET_ASSIGN(const ByteScale in, ReadByteScale(c, 1, c.input_dtype(0)));
    LINNET_ASSIGN(const ByteScale out, ReadByteScale(c, 3, c.input_dtype(0)));
    const int64_t channels = x[ChannelAxis(layout(), x.rank())], pixels = x.elements() / (x[0] * channels);
    const bool is_signed = c.input_dtype(0) == DType::kInt8;
    return ForType<kSignedBytes ? kByteTypes : Mask(DType::kUint8)>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(x[0] * channels, channels_last ? kChannels : 1, static_cast<double>(pixels) / (channels_last ? 16 : 4),
                           [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end;) {
          // Neighbouring channels of an image lie side by side with channels last.
          const int64_t count = channels_last ? std::min({kChannels, end - i, channels - i % channels}) : 1;
          const T* from = c.in<T>(0) + (channels_last ? i / channels * pixels * channels + i % channels : i * pixels);
          const int64_t divisor = std::max<int64_t>(pixels, 1);
          T* to = c.out<T>(0) + i;
          if (channels_last) {
            means.Store(in, out, true, pixels, divisor, count, to, [&](auto add) { add(from, pixels, channels); });
          } else {
            // Lines of pixels are summed together, and what is left behind them.
            constexpr int64_t kLine = 64;
            const int64_t lines = pixels / kLine;
            int64_t sums[kLine] = {};
            AddRows(means.sum_rows[is_signed], from, lines, kLine, kLine, sums);
            for (int64_t k = 1; k < kLine; ++k) sums[0] += sums[k];
            for (int64_t p = lines * kLine; p < pixels; ++p) sums[0] += from[p];
            const double mean = static_cast<double>(sums[0]) / static_cast<double>(divisor);
            *to = StoredAs<T>(out, in.scale * (static_cast<float>(mean) - static_cast<float>(in.zero)));
          }
          i += count;
        }
      });
    });
  }

  static constexpr int64_t kChannels = kSummedColumns;
};

}  // namespace

LINNET_MS_OP(QLinearAdd, 1, QLinearBinary<QBinary::kAdd>);
LINNET_MS_OP(QLinearMul, 1, QLinearBinary<QBinary::kMul>);
LINNET_MS_OP(QLinearSigmoid, 1, QLinearUnary<Sigmoid>);
LINNET_MS_OP(QLinearLeakyRelu, 1, QLinearUnary<LeakyRelu>);
LINNET_MS_OP(QLinearGlobalAveragePool, 1, QGlobalAveragePool);

}  // namespace linnet
