// linnet:QLinearConv, linnet:ConvInteger and linnet:ConvIntegerToFloat: 8-bit convolution with channels last, of one or two
// spatial dimensions.
//
// The resolve pass makes the first two of ONNX's, which have channels first; inputs, attributes and meaning are theirs
// (conv_integer.cc), and so is what has more dimensions. QLinearConv takes attributes q_min and q_max besides: its output is
// clamped to [q_min, q_max], which is how a Relu or Clip behind it is fused; and inputs 9 to 13, a tensor of the output's shape and type with
// its scale and zero point, and those of what it is added to: the bytes of the convolution, rounded as ever, are then operands of
// com.microsoft's QLinearAdd, a block of them at a time. ConvIntegerToFloat is ConvInteger and what commonly
// follows it, activation(float(sum) scale + bias + residual): inputs 4 to 6 are the scale (one number or one for each output
// channel), and, both optional, a bias for each channel and a tensor of the output's shape; attributes activation, alpha, beta.
// With input 7 or 8 the output is bytes (ops/integer_product.h, ActivatedBytes).
//
// What does not depend on the image (offsets, scales, the order in which a kernel wants them) is computed once where scales and
// zero points are constants, and in every run otherwise.
//
// Runs on packed panels (kernels/int8/int8_conv.h), or channel by channel where every channel is a group of its own
// (kernels/int8/int8_depthwise.h). y = saturate(round(float(sum) (x_scale w_scale / y_scale)) + y_zero_point), in float32.
#include <string.h>

#include <cmath>

#include "base/parts.h"
#include "kernels/int8/int8_conv.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_narrow.h"
#include "kernels/int8/qlinear.h"
#include "ops/activation_helpers.h"
#include "ops/byte_conv_weights.h"
#include "ops/byte_scale.h"
#include "ops/conv_helpers.h"
#include "ops/convert.h"
#include "ops/integer_product.h"
#include "ops/packed_weights.h"
#include "ops/quantize_helpers.h"

namespace linnet {
namespace {

using Weights = ByteConvWeights;
using Columns = ByteConvColumns;

enum class Form { kInteger, kQuantized, kFloat };

template <Form form>
struct ChannelsLastIntegerConv {
  using To = FinishInt8::To;
  static constexpr bool kQuantized = form == Form::kQuantized, kFloat = form == Form::kFloat;
  static constexpr bool kComputedColumns = kComputedWeights || !kQuantized;   ///< what depends on scales is computed by a run
  ConvAttributes attributes;
  FusedActivation activation;
  int64_t q_min = INT64_MIN, q_max = INT64_MAX;
  const Int8Kernels* kernels = nullptr;
  const DepthwiseInt8Kernels* depthwise = nullptr;
  const NarrowInt8Kernels* narrow = nullptr;   ///< for few outputs; may be null
  QBinaryFn* add = nullptr;       ///< kAdded
  const void* packed = nullptr;   ///< null when the weights are computed
  int64_t joined = 1;             ///< groups that are packed as one
  Block orders;                   ///< of the panels of packed weights (ConvInt8)
  Block constants;                ///< what Columns lays out, when it is known ahead
  static constexpr int kX = 0, kW = kQuantized ? 3 : 1, kXZero = 2, kWZero = kQuantized ? 5 : 3;
  static constexpr int kXScale = 1, kWScale = 4, kYScale = 6, kYZero = 7, kBias = 8;
  static constexpr int kSumScale = 4, kFloatBias = 5, kResidual = 6, kTable = 7, kToZero = 8, kResidualOf = kFloat ? kResidual : -1;   // of kFloat
  static constexpr ActivatedBytes kBytes = {kTable, kToZero, kResidual};
  static constexpr int kAdded = 9, kAddedScale = 10, kTotalScale = 12;   // of kQuantized

  struct Bound {
    Window window;
    ConvInt8 conv;
    bool line = false;           ///< ConvInt8::line
    GemmGrain grain;
    int64_t outputs = 0, pixels = 0;
    int64_t rows = 0;            ///< pixels that are computed before something is added to them
    int64_t columns_at = 0, packed_at = 0, temporary_at = 0, workers_at = 0, worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    if (kQuantized) {
      LINNET_ASSIGN(q_min, node.Int("q_min", INT64_MIN));
      LINNET_ASSIGN(q_max, node.Int("q_max", INT64_MAX));
      if (q_min > q_max) return InvalidModel("attributes q_min and q_max are ", q_min, " and ", q_max);
    }
    if (kFloat) LINNET_TRY(activation.Parse(node));
    return attributes.Parse(node);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kQuantized ? 8 : 2, kQuantized ? 14 : kFloat ? 9 : 4));
    if (kFloat && !c.has_input(kSumScale)) return InvalidModel("required input ", kSumScale, " is missing");
    for (int i : {kX, kW}) LINNET_TRY(c.CheckType(i, kByteTypes));
    LINNET_TRY(CheckSame(c, kX, kXZero));
    LINNET_TRY(CheckSame(c, kW, kWZero));
    LINNET_ASSIGN(const Shape y, attributes.Infer(c.shape(kX), c.shape(kW), Layout::kChannelsLast, nullptr));
    if (y.has_rank() && y.rank() > 4) return Unsupported("more than two spatial dimensions with channels last");
    const int64_t out_c = c.shape(kW).has_rank() ? c.shape(kW)[0] : kUnknownDim;
    LINNET_TRY(CheckLength(c, kXZero, 1));
    LINNET_TRY(CheckLength(c, kWZero, out_c));
    if constexpr (form == Form::kInteger) {
      return c.SetOutput(0, DType::kInt32, y);
    } else if constexpr (kFloat) {
      for (int i : {kSumScale, kFloatBias, kResidual}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
      LINNET_TRY(CheckLength(c, kSumScale, out_c));
      LINNET_TRY(CheckVector(c, kFloatBias, "bias", out_c));
      if (c.has_input(kResidual) && c.shape(kResidual).is_static() && y.is_static() && !(c.shape(kResidual) == y)) {
        return InvalidModel("residual of shape ", ToString(c.shape(kResidual)), " where ", ToString(y), " is expected");
      }
      LINNET_ASSIGN(const DType to, kBytes.Infer(c, activation));
      return c.SetOutput(0, to, y);
    } else {
      for (int i : {kXScale, kWScale, kYScale}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
      LINNET_TRY(c.CheckType(kYZero, kByteTypes));
      LINNET_TRY(c.CheckType(kBias, Mask(DType::kInt32)));
      for (int i : {kXScale, kYScale, kYZero}) LINNET_TRY(CheckLength(c, i, 1));
      LINNET_TRY(CheckLength(c, kWScale, out_c));
      LINNET_TRY(CheckVector(c, kBias, "bias", out_c));
      if (c.has_input(kAdded)) LINNET_TRY(CheckAdded(c, y));
      return c.SetOutput(0, c.dtype(kYZero), y);
    }
  }

  Status CheckAdded(const InferContext& c, const Shape& y) const {
    LINNET_TRY(CheckSame(c, kYZero, kAdded));
    for (int i : {kAddedScale, kTotalScale}) {
      if (!c.has_input(i)) return InvalidModel("required input ", i, " is missing");
      LINNET_TRY(CheckByteScale(c, i, kYZero));
    }
    if (c.shape(kAdded).is_static() && y.is_static() && !(c.shape(kAdded) == y)) {
      return InvalidModel("input ", kAdded, " has shape ", ToString(c.shape(kAdded)), " where ", ToString(y), " is expected");
    }
    const Shape& w = c.shape(kW);
    if (attributes.groups != 1 || (w.is_static() && w[0] == 1 && w[1] == 1)) return InvalidModel("something is added to a convolution of groups");
    return Status();
  }

  static Status CheckSame(const InferContext& c, int i, int j) {
    if (!c.has_input(j) || c.dtype(i) == DType::kUndefined || c.dtype(j) == DType::kUndefined || c.dtype(i) == c.dtype(j)) return Status();
    return InvalidModel("inputs ", i, " and ", j, " are ", DTypeName(c.dtype(i)), " and ", DTypeName(c.dtype(j)));
  }
  static Status CheckLength(const InferContext& c, int i, int64_t channels) {
    if (!c.has_input(i) || !c.shape(i).is_static()) return Status();
    const Shape& shape = c.shape(i);
    if (shape.rank() <= 1 && (shape.elements() == 1 || !IsKnownDim(channels) || shape.elements() == channels)) return Status();
    return InvalidModel("input ", i, " has shape ", ToString(shape), " where one number or [", channels, "] is expected");
  }

  template <class Context>
  static IntegerProduct::Columns ColumnsOf(const Context& c, int i) {
    if (!c.has_input(i)) return {};
    if constexpr (std::is_base_of_v<InferContext, Context>) {
      return {c.data(i), c.dtype(i), c.shape(i).elements()};
    } else {
      return {c.input(i), c.input_dtype(i), c.input_shape(i).elements()};
    }
  }

  Status Prepare(PrepareContext& c) {
    if (!kWideResults && !kQuantized) return NoSuchNumbers();
    kernels = &PickInt8(c.cpu()), depthwise = &PickDepthwiseInt8(c.cpu(), kQuantized ? To::kUint8 : !kFloat ? To::kInt32 : kBytes.Has(c) ? To::kActivated : To::kFloat);
    if (kNarrow) narrow = PickNarrowInt8(c.cpu());
    if (kQuantized && c.has_input(kAdded)) {
      if (!kAddedBytes) return NoSuchNumbers();
      add = PickQBinary(QBinary::kAdd, c.dtype(kYZero) == DType::kInt8, c.cpu());
    }
    if constexpr (kQuantized) {
      for (int i : {kXScale, kWScale, kYScale}) {
        if (!c.is_constant(i) || !c.shape(i).is_static()) continue;
        for (int64_t k = 0; k < c.shape(i).elements(); ++k) {
          const float scale = c.data<float>(i)[k];
          if (!(scale > 0) || !std::isfinite(scale)) return InvalidModel("input ", i, " has scale ", scale);
        }
      }
    }
    if (!c.is_constant(kW) || !c.shape(kW).is_static() || c.shape(kW).elements() == 0) return Status();
    const bool known_zeros = !c.has_input(kWZero) || c.is_constant(kWZero);
    if (Weights::IsDepthwise(c.shape(kW), attributes.groups) && !known_zeros) return Status();
    joined = known_zeros ? Weights::JoinedGroups(c.shape(kW), attributes.groups) : 1;
    auto pack = [&]() -> Result<const void*> {
      const Weights weights(c.shape(kW), attributes.groups, joined);
      LINNET_ASSIGN(int64_t bytes, weights.PackedBytes());
      return c.Weights(joined > 1 ? "w8joined" : "w8", bytes, [&](void* out) -> Status {
        memset(out, 0, static_cast<size_t>(bytes));
        LINNET_ASSIGN(Block temporary, Block::Allocate(weights.temporary_bytes()));
        weights.Pack(c.data(kW), c.dtype(kW), ColumnsOf(c, kWZero), temporary.data(), out);
        return Status();
      });
    };
    Result<const void*> made = pack();
    if (joined > 1 && !made.ok() && made.status().code() == Code::kInvalidModel) joined = 1, made = pack();   // an older file's groups are apart
    LINNET_ASSIGN(packed, std::move(made));
    c.Drop(kW);
    const Weights weights(c.shape(kW), attributes.groups, joined);
    if (kNarrow && weights.depthwise && weights.out_c == 1) {
      const int16_t* line = static_cast<const int16_t*>(packed);
      const bool wide = std::any_of(line, line + PackedDepthwiseSizeInt8(1, weights.taps), [](int16_t w) { return w != static_cast<int8_t>(w); });
      if (wide) narrow = PickNarrowInt8(c.cpu(), wide);
    }
    const int64_t orders_bytes = weights.depthwise ? 0 : ConvOrdersBytesInt8(*kernels, weights.out_c, weights.group_in * weights.groups,
                                                                             weights.groups, weights.taps);
    if (orders_bytes > 0) {
      LINNET_ASSIGN(orders, Block::Allocate(orders_bytes));
      memset(orders.data(), 0, static_cast<size_t>(orders_bytes));
    }
    return PrepareColumns(c, weights);
  }

  /// Columns, where all that they are made of is known.
  Status PrepareColumns(PrepareContext& c, const Weights& weights) {
    for (int i = 2; i < c.input_count(); ++i) {
      if (i != kW && i != kResidualOf && (!kQuantized || i < kAdded) && c.has_input(i) && !c.is_constant(i)) return Status();
    }
    if (kQuantized && !c.is_constant(kXScale)) return Status();
    // Sizes that are not known yet do not matter.
    const Shape& w = c.shape(kW);
    Shape x = Shape::OfRank(w.rank());
    x[0] = 1, x[w.rank() - 1] = weights.group_in * weights.groups;
    for (int i = 1; i < w.rank() - 1; ++i) x[i] = 1 << 16;
    ConvInt8 conv;
    Window window;
    if (!attributes.Infer(x, w, Layout::kChannelsLast, &window).ok()) return Status();
    weights.SetSizes(window, x, &conv);
    conv.packed = packed;
    conv.input_signed = c.dtype(kX) == DType::kInt8;
    const Columns columns(weights, PreparedBytes(weights, conv));
    LINNET_ASSIGN(constants, Block::Allocate(columns.bytes));
    return FillColumns(c, weights, columns, &conv, constants.data());
  }

  int64_t PreparedBytes(const Weights& weights, const ConvInt8& conv) const {
    return weights.depthwise ? RoundUp(depthwise->prepared_bytes(DepthwiseOf(conv)), kAlignment) : 0;
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &x = c.shape(kX), &w = c.shape(kW), &y = c.output_shape(0);
    LINNET_TRY(attributes.Infer(x, w, Layout::kChannelsLast, &b.window).TakeStatus());
    b.outputs = y.elements();
    if (b.outputs == 0) return Status();
    const Weights weights(w, attributes.groups, joined);
    ConvInt8& conv = b.conv;
    weights.SetSizes(b.window, x, &conv);
    if (conv.in_h == 0 || conv.in_w == 0) {
      // Nothing but padding: let every tap miss a pixel that is not there.
      conv.in_h = conv.in_w = 1;
      conv.pad_top = kWindowMax - 1;
    }
    b.pixels = conv.batch * conv.out_h * conv.out_w;
    int64_t at = 0;
    auto take = [&at](int64_t bytes) {
      const int64_t from = at;
      at += RoundUp(bytes, kAlignment);
      return from;
    };
    if (!kComputedColumns && !constants.data()) return NotPacked();
    if (!constants.data()) b.columns_at = take(Columns(weights, PreparedBytes(weights, conv)).bytes);
    if (!kComputedWeights && !packed) return NotPacked();
    if (kComputedWeights && !packed) {
      LINNET_ASSIGN(int64_t bytes, w.elements() == 0 ? Result<int64_t>(int64_t{0}) : weights.PackedBytes());
      b.packed_at = take(bytes);
      b.temporary_at = take(weights.temporary_bytes());
    }
    const bool line = kNarrow && weights.depthwise && weights.out_c == 1 && packed;
    if (kNarrow && (line || !weights.depthwise) && NarrowPaysInt8(*kernels, narrow, conv, line)) conv.narrow = narrow;
    b.line = line && conv.narrow;
    if (kNarrow && b.line) {
      b.grain = NarrowGrainInt8(conv, c.threads());
      b.worker_bytes = NarrowScratchBytesInt8(conv);
    } else if (weights.depthwise) {
      b.worker_bytes = DepthwiseScratchBytes(DepthwiseOf(conv));
    } else {
      b.grain = ConvGrainInt8(*kernels, conv, c.threads());
      b.worker_bytes = ConvScratchBytes(*kernels, conv);
      // Something is added while a block is in a second-level cache; panels that are sorted for each call are for all of its rows.
      constexpr int64_t kBlockBytes = 128 << 10, kUnit = 32;
      b.rows = kernels->sorts ? b.pixels : std::max(kUnit, kBlockBytes / weights.out_c / kUnit * kUnit);
    }
    b.worker_bytes = RoundUp(b.worker_bytes, kAlignment);
    b.workers_at = take(b.worker_bytes * c.threads());
    c.Scratch(at);
    if (kFloat && c.has_input(kResidual)) c.InPlace(0, kResidual);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.outputs == 0) return Status();
    const Weights weights(c.input_shape(kW), attributes.groups, joined);
    std::byte* const scratch = c.scratch();
    const DType w_type = c.input_dtype(kW);
    const IntegerProduct::Columns w_zeros = ColumnsOf(c, kWZero);
    ConvInt8 conv = b.conv;
    conv.input = c.in<uint8_t>(kX);
    conv.input_signed = c.input_dtype(kX) == DType::kInt8;
    conv.input_zero = c.has_input(kXZero) ? *c.in<uint8_t>(kXZero) : 0;
    conv.packed = packed;
    conv.orders = const_cast<std::byte*>(orders.data());   // written once, by calls that find them missing
    if (kComputedWeights && !packed) {
      void* made = scratch + b.packed_at;
      if (c.input_shape(kW).elements() > 0) weights.Pack(c.input(kW), w_type, w_zeros, scratch + b.temporary_at, made);
      conv.packed = made;
    }
    const Columns columns(weights, 0);
    std::byte* at = const_cast<std::byte*>(constants.data());
    if (kComputedColumns && !at) {
      at = scratch + b.columns_at;
      LINNET_TRY(FillColumns(c, weights, columns, &conv, at));
    }
    QBinaryArgs args;
    SetFinish(columns, at, &conv.finish);
    conv.finish.c = c.output(0);
    conv.finish.c_row_stride = weights.out_c;
    if (kQuantized) {
      const DType to = c.output_dtype(0);
      const IntegerRange range = RangeOf(to);
      const int64_t low = std::max(range.low, q_min), high = std::min(range.high, q_max);
      if (low > high) return InvalidModel("attributes q_min and q_max leave nothing of ", DTypeName(to));
      const int32_t y_zero = static_cast<int32_t>(LoadInteger(to, c.input(kYZero), 0));
      if (kAddedBytes && add) {
        FinishBytes(to, y_zero, range.low, range.high, &conv.finish);
        LINNET_ASSIGN(args.x, ReadByteScale(c, kYScale, to));
        LINNET_ASSIGN(args.y, ReadByteScale(c, kAddedScale, to));
        LINNET_ASSIGN(args.out, ReadByteScale(c, kTotalScale, to));
        args.low = static_cast<int32_t>(low), args.high = static_cast<int32_t>(high);
      } else {
        FinishBytes(to, y_zero, low, high, &conv.finish);
      }
    }
    if (kFloat) {
      activation.Set(&conv.finish.epilogue);
      kBytes.Set(c, &conv.finish);
      if (kBytes.Has(c) || c.has_input(kFloatBias)) conv.finish.epilogue.bias = columns.biases(at);
      conv.finish.epilogue.residual = c.has_input(kResidual) ? c.in<float>(kResidual) : nullptr;
      conv.finish.epilogue.residual_row_stride = weights.out_c;
    }
    const bool line = kNarrow && b.line;
    if (line) conv.line = static_cast<const int16_t*>(packed);
    if (weights.depthwise && !line) return RunDepthwise(c, b, conv, columns.prepared(at));

    const int64_t panels = ConvPanels(conv), pixel_blocks = DivUp(b.pixels, b.grain.rows), panel_blocks = DivUp(panels, b.grain.panels);
    const double task_ns = ProductNs(*kernels, static_cast<double>(b.pixels), static_cast<double>(weights.out_c),
                                     static_cast<double>(weights.group_in * weights.taps)) /
                           static_cast<double>(pixel_blocks * panel_blocks);
    return c.ParallelFor(pixel_blocks * panel_blocks, 1, task_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end;) {
        // Neighbouring groups of panels in one call: it gathers their pixels once.
        const int64_t panel = task % panel_blocks, count = std::min(panel_blocks - panel, end - task);
        const int64_t pixel0 = task / panel_blocks * b.grain.rows, pixel1 = std::min(b.pixels, pixel0 + b.grain.rows);
        const int64_t panel0 = panel * b.grain.panels, panel1 = std::min(panels, (panel + count) * b.grain.panels);
        const int64_t rows = kAddedBytes && add ? b.rows : pixel1 - pixel0;
        for (int64_t row = pixel0; row < pixel1; row += rows) {
          const int64_t end_row = std::min(pixel1, row + rows);
          RunConvInt8(*kernels, conv, row, end_row, panel0, panel1, scratch + b.workers_at + worker * b.worker_bytes);
          if (kAddedBytes && add) AddTo(conv.finish, args, c.in<uint8_t>(kAdded), weights.out_c, row, end_row, panel0, panel1);
        }
        task += count;
      }
    });
  }

  /// Adds `other` to the bytes at rows [row, end) of panels [panel0, panel1).
  void AddTo(const FinishInt8& finish, const QBinaryArgs& args, const uint8_t* other, int64_t out_c, int64_t row, int64_t end, int64_t panel0,
             int64_t panel1) const {
    const int64_t column = panel0 * kPanelColumns, columns = std::min(out_c, panel1 * kPanelColumns) - column;
    const bool whole = columns == out_c;   // rows follow each other
    const int64_t n = whole ? (end - row) * out_c : columns;
    for (; row < end; row = whole ? end : row + 1) {
      uint8_t* to = static_cast<uint8_t*>(finish.c) + row * out_c + column;
      add(args, to, other + row * out_c + column, to, n, 0);
    }
  }

  Status RunDepthwise(RunContext& c, const Bound& b, const ConvInt8& conv, const std::byte* prepared) const {
    const DepthwiseInt8 d = DepthwiseOf(conv);
    const double row_ns = static_cast<double>(d.out_w * d.channels) * (static_cast<double>(d.kernel_h * d.kernel_w) / 16 + 0.5) *
                          (kernels->block_bytes == 1 ? 0.2 : 1.0);
    const int64_t grain = std::max<int64_t>(2, (d.kernel_h - 1) * d.dilation_h / d.stride_h);   // a ring is filled again for each
    return c.ParallelFor(d.batch * d.out_h, grain, row_ns, [&](int64_t begin, int64_t end, int worker) {
      depthwise->rows(d, prepared, begin, end, c.scratch() + b.workers_at + worker * b.worker_bytes);
    });
  }

  /// Computes what Columns describes at `at`. `conv` has its sizes, packed weights and the type of its input, and gets its zero.
  template <class Context>
  Status FillColumns(const Context& c, const Weights& weights, const Columns& columns, ConvInt8* conv, std::byte* at) const {
    DType w_type;
    if constexpr (std::is_base_of_v<InferContext, Context>) {
      w_type = c.dtype(kW);
    } else {
      w_type = c.input_dtype(kW);
    }
    const IntegerProduct::Columns x_zero = ColumnsOf(c, kXZero), w_zero = ColumnsOf(c, kWZero);
    conv->input_zero = x_zero.data ? *static_cast<const uint8_t*>(x_zero.data) : 0;
    int32_t *zeros = columns.zeros(at), *offsets = columns.offsets(at);
    float *scales = columns.scales(at), *biases = columns.biases(at);
    memset(at, 0, static_cast<size_t>(Columns::kHead + 4 * columns.step));
    const int32_t* bias = kQuantized ? static_cast<const int32_t*>(ColumnsOf(c, kBias).data) : nullptr;
    if (form != Form::kInteger) {
      const IntegerProduct::Columns each = ColumnsOf(c, kQuantized ? kWScale : kSumScale);
      const float* w_scale = static_cast<const float*>(each.data);
      const float* float_bias = kFloat ? static_cast<const float*>(ColumnsOf(c, kFloatBias).data) : nullptr;
      float x_scale = 1, y_scale = 1;
      if (kQuantized) {
        x_scale = *static_cast<const float*>(ColumnsOf(c, kXScale).data);
        y_scale = *static_cast<const float*>(ColumnsOf(c, kYScale).data);
      }
      for (int64_t i = 0; i < weights.out_c; ++i) {
        const float scale = w_scale[each.count > 1 ? i : 0];
        scales[weights.ColumnOf(i)] = kQuantized ? x_scale * scale / y_scale : scale;
        if (float_bias) biases[weights.ColumnOf(i)] = float_bias[i];
      }
    }
    if (weights.depthwise) {
      if (bias) std::copy(bias, bias + weights.out_c, offsets);
      SetFinish(columns, at, &conv->finish);
      depthwise->prepare(DepthwiseOf(*conv), columns.prepared(at));
      return Status();
    }
    const int32_t shift = w_type == DType::kInt8 ? 0 : 128;
    bool any = false;
    for (int64_t i = 0; i < weights.out_c; ++i) {
      int32_t& zero = zeros[weights.ColumnOf(i)];
      if (w_zero.data) zero = static_cast<int32_t>(LoadInteger(w_zero.dtype, w_zero.data, w_zero.count > 1 ? i : 0));
      zero -= shift;
      any = any || zero != 0;
    }
    columns.any_zero(at) = any;
    const int32_t x = conv->input_signed ? static_cast<int8_t>(conv->input_zero) : conv->input_zero;
    ConvOffsetsInt8(*kernels, *conv, x, any ? zeros : nullptr, bias, offsets);
    return Status();
  }

  void SetFinish(const Columns& columns, std::byte* at, FinishInt8* finish) const {
    finish->to = kFloat ? To::kFloat : To::kInt32;   // FinishBytes says which of the others
    finish->offset = columns.offsets(at);
    finish->scale = form == Form::kInteger ? nullptr : columns.scales(at);
    finish->column_zero = columns.any_zero(at) ? columns.zeros(at) : nullptr;
  }
};

}  // namespace

LINNET_INTERNAL_OP(QLinearConv, 1, ChannelsLastIntegerConv<Form::kQuantized>);
LINNET_INTERNAL_OP(ConvInteger, 1, ChannelsLastIntegerConv<Form::kInteger>);
LINNET_INTERNAL_OP(ConvIntegerToFloat, 1, ChannelsLastIntegerConv<Form::kFloat>);

}  // namespace linnet
