// linnet:QLinearConv, linnet:ConvInteger and linnet:ConvIntegerToFloat: 8-bit convolution with channels last, of one or two
// spatial dimensions.
//
// The resolve pass makes the first two of ONNX's, which have channels first; inputs, attributes and meaning are theirs
// (conv_integer.cc), and so is what has more dimensions. QLinearConv takes attributes q_min and q_max besides: its output is
// clamped to [q_min, q_max], which is how a Relu or Clip behind it is fused. ConvIntegerToFloat is ConvInteger and what commonly
// follows it, activation(float(sum) scale + bias + residual): inputs 4 to 6 are the scale (one number or one for each output
// channel), and, both optional, a bias for each channel and a tensor of the output's shape; attributes activation, alpha, beta.
//
// Runs on packed panels (kernels/int8/int8_conv.h), or channel by channel where every channel is a group of its own
// (kernels/int8/int8_depthwise.h). y = saturate(round(float(sum) (x_scale w_scale / y_scale)) + y_zero_point), in float32.
#include <string.h>

#include <cmath>

#include "kernels/int8/int8_conv.h"
#include "kernels/int8/int8_depthwise.h"
#include "ops/activation_helpers.h"
#include "ops/conv_helpers.h"
#include "ops/convert.h"
#include "ops/integer_product.h"
#include "ops/quantize_helpers.h"

namespace linnet {
namespace {

/// The weights as one convolution's kernels read them.
struct Weights {
  Weights(const Shape& shape, int64_t groups)
      : out_c(shape[0]), group_in(shape[1]), groups(groups), taps(shape.Product(2, shape.rank())),
        depthwise(group_in == 1 && out_c == groups),
        columns(depthwise ? RoundUp(out_c, kPanelColumns) : ConvColumns(out_c, groups)) {}
  int64_t out_c, group_in, groups, taps;
  bool depthwise;
  int64_t columns;   ///< of the arrays of offsets and scales

  /// Fails when the packed size overflows.
  Result<int64_t> PackedBytes() const {
    int64_t bytes;
    if (!CheckedMul(group_in * taps + 8, columns + kPanelColumns * groups, &bytes) || bytes > kElementsMax) {
      return LimitReached("packing ", out_c, " x ", group_in, " x ", taps, " weights overflows");
    }
    return RoundUp(depthwise ? PackedDepthwiseSizeInt8(out_c, taps) * 2
                             : PackedConvSizeInt8(out_c, group_in * groups, groups, taps), kAlignment);
  }
  /// Room that Pack needs besides.
  int64_t temporary_bytes() const {
    return RoundUp(depthwise ? out_c * 4 : taps == 1 ? 0 : out_c / groups * group_in * taps, kAlignment);
  }
  /// `zeros`: of the weights as they are, one for all or one a channel; only depthwise weights are packed with them.
  void Pack(const void* weights, DType dtype, const IntegerProduct::Columns& zeros, void* temporary, void* out) const {
    const bool is_signed = dtype == DType::kInt8;
    if (!depthwise) return PackConvInt8(weights, is_signed, out_c, group_in * groups, groups, taps, temporary, out);
    int32_t* each = static_cast<int32_t*>(temporary);
    for (int64_t i = 0; i < out_c; ++i) {
      each[i] = zeros.data ? static_cast<int32_t>(LoadInteger(zeros.dtype, zeros.data, zeros.count > 1 ? i : 0)) : 0;
    }
    PackDepthwiseInt8(weights, is_signed, each, out_c, taps, static_cast<int16_t*>(out));
  }
  /// Where channel i is in the arrays.
  int64_t ColumnOf(int64_t i) const {
    const int64_t group_out = out_c / groups;
    return depthwise ? i : i / group_out * (columns / groups) + i % group_out;
  }
};

enum class Form { kInteger, kQuantized, kFloat };

template <Form form>
struct ChannelsLastIntegerConv {
  static constexpr bool kQuantized = form == Form::kQuantized, kFloat = form == Form::kFloat;
  ConvAttributes attributes;
  FusedActivation activation;
  int64_t q_min = INT64_MIN, q_max = INT64_MAX;
  const Int8Kernels* kernels = nullptr;
  DepthwiseInt8Fn* depthwise = nullptr;
  const void* packed = nullptr;   ///< null when the weights are computed
  static constexpr int kX = 0, kW = kQuantized ? 3 : 1, kXZero = 2, kWZero = kQuantized ? 5 : 3;
  static constexpr int kXScale = 1, kWScale = 4, kYScale = 6, kYZero = 7, kBias = 8;
  static constexpr int kSumScale = 4, kFloatBias = 5, kResidual = 6;   // of kFloat

  struct Bound {
    Window window;
    ConvInt8 conv;
    GemmGrain grain;
    int64_t outputs = 0, pixels = 0;
    int64_t zeros_at = 0, offsets_at = 0, scales_at = 0, biases_at = 0, packed_at = 0, temporary_at = 0, workers_at = 0, worker_bytes = 0;
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
    LINNET_TRY(c.CheckInputs(kQuantized ? 8 : kFloat ? 5 : 2, kQuantized ? 9 : kFloat ? 7 : 4));
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
      return c.SetOutput(0, DType::kFloat, y);
    } else {
      for (int i : {kXScale, kWScale, kYScale}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
      LINNET_TRY(c.CheckType(kYZero, kByteTypes));
      LINNET_TRY(c.CheckType(kBias, Mask(DType::kInt32)));
      for (int i : {kXScale, kYScale, kYZero}) LINNET_TRY(CheckLength(c, i, 1));
      LINNET_TRY(CheckLength(c, kWScale, out_c));
      LINNET_TRY(CheckVector(c, kBias, "bias", out_c));
      return c.SetOutput(0, c.dtype(kYZero), y);
    }
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
    kernels = &PickInt8(c.cpu());
    depthwise = PickDepthwiseInt8(c.cpu());
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
    const Weights weights(c.shape(kW), attributes.groups);
    if (weights.depthwise && c.has_input(kWZero) && !c.is_constant(kWZero)) return Status();
    LINNET_ASSIGN(int64_t bytes, weights.PackedBytes());
    LINNET_ASSIGN(packed, c.Weights("w8", bytes, [&](void* out) -> Status {
      memset(out, 0, static_cast<size_t>(bytes));
      LINNET_ASSIGN(Block temporary, Block::Allocate(weights.temporary_bytes()));
      weights.Pack(c.data(kW), c.dtype(kW), ColumnsOf(c, kWZero), temporary.data(), out);
      return Status();
    }));
    c.Drop(kW);
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &x = c.shape(kX), &w = c.shape(kW), &y = c.output_shape(0);
    LINNET_TRY(attributes.Infer(x, w, Layout::kChannelsLast, &b.window).TakeStatus());
    b.outputs = y.elements();
    if (b.outputs == 0) return Status();
    const Weights weights(w, attributes.groups);
    const WindowAxis line;   // height of a 1-D image
    const WindowAxis& h = b.window.rank >= 2 ? b.window.axes[b.window.rank - 2] : line;
    const WindowAxis& v = b.window.axes[b.window.rank - 1];
    ConvInt8& conv = b.conv;
    conv.batch = x[0], conv.in_c = x[x.rank() - 1], conv.out_c = weights.out_c, conv.groups = attributes.groups;
    conv.in_h = b.window.rank >= 2 ? h.in : 1, conv.in_w = v.in;
    conv.out_h = b.window.rank >= 2 ? h.out : 1, conv.out_w = v.out;
    conv.kernel_h = h.kernel, conv.kernel_w = v.kernel, conv.stride_h = h.stride, conv.stride_w = v.stride;
    conv.dilation_h = h.dilation, conv.dilation_w = v.dilation, conv.pad_top = h.pad, conv.pad_left = v.pad;
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
    b.zeros_at = take(weights.columns * 4);
    b.offsets_at = take(weights.columns * 4);
    b.scales_at = take(weights.columns * 4);
    if (kFloat) b.biases_at = take(weights.columns * 4);
    if (!packed) {
      LINNET_ASSIGN(int64_t bytes, w.elements() == 0 ? Result<int64_t>(int64_t{0}) : weights.PackedBytes());
      b.packed_at = take(bytes);
      b.temporary_at = take(weights.temporary_bytes());
    }
    if (weights.depthwise) {
      b.worker_bytes = DepthwiseScratchBytes(Depthwise(conv));
    } else {
      b.grain = ConvGrainInt8(*kernels, conv, c.threads());
      b.worker_bytes = ConvScratchBytes(*kernels, conv);
    }
    b.worker_bytes = RoundUp(b.worker_bytes, kAlignment);
    b.workers_at = take(b.worker_bytes * c.threads());
    c.Scratch(at);
    if (kFloat && c.has_input(kResidual)) c.InPlace(0, kResidual);
    return Status();
  }

  static DepthwiseInt8 Depthwise(const ConvInt8& conv) {
    DepthwiseInt8 d;
    d.input = conv.input, d.input_signed = conv.input_signed;
    d.input_zero = conv.input_signed ? static_cast<int8_t>(conv.input_zero) : conv.input_zero;
    d.batch = conv.batch, d.in_h = conv.in_h, d.in_w = conv.in_w, d.out_h = conv.out_h, d.out_w = conv.out_w;
    d.channels = conv.out_c;
    d.kernel_h = conv.kernel_h, d.kernel_w = conv.kernel_w, d.stride_h = conv.stride_h, d.stride_w = conv.stride_w;
    d.dilation_h = conv.dilation_h, d.dilation_w = conv.dilation_w, d.pad_top = conv.pad_top, d.pad_left = conv.pad_left;
    d.packed = static_cast<const int16_t*>(conv.packed);
    d.finish = conv.finish;
    return d;
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.outputs == 0) return Status();
    const Weights weights(c.input_shape(kW), attributes.groups);
    std::byte* const scratch = c.scratch();
    const DType w_type = c.input_dtype(kW);
    const IntegerProduct::Columns w_zeros = ColumnsOf(c, kWZero);
    ConvInt8 conv = b.conv;
    conv.input = c.in<uint8_t>(kX);
    conv.input_signed = c.input_dtype(kX) == DType::kInt8;
    conv.input_zero = c.has_input(kXZero) ? *c.in<uint8_t>(kXZero) : 0;
    conv.packed = packed;
    if (!packed) {
      void* made = scratch + b.packed_at;
      if (c.input_shape(kW).elements() > 0) weights.Pack(c.input(kW), w_type, w_zeros, scratch + b.temporary_at, made);
      conv.packed = made;
    }
    int32_t* zeros = reinterpret_cast<int32_t*>(scratch + b.zeros_at);
    int32_t* offsets = reinterpret_cast<int32_t*>(scratch + b.offsets_at);
    float* scales = reinterpret_cast<float*>(scratch + b.scales_at);
    FinishInt8& finish = conv.finish;
    finish.c = c.output(0);
    finish.c_row_stride = weights.out_c;
    const int32_t* bias = nullptr;
    if constexpr (kQuantized) {
      LINNET_TRY(SetScales(c, weights, scales, &finish));
      if (c.has_input(kBias)) bias = c.in<int32_t>(kBias);
    }
    if constexpr (kFloat) SetFloats(c, weights, scales, reinterpret_cast<float*>(scratch + b.biases_at), &finish);
    finish.offset = offsets;
    if (weights.depthwise) {
      for (int64_t i = 0; i < weights.columns; ++i) offsets[i] = bias && i < weights.out_c ? bias[i] : 0;
      return RunDepthwise(c, b, conv);
    }
    bool any = false;
    memset(zeros, 0, static_cast<size_t>(weights.columns) * 4);
    const int32_t shift = w_type == DType::kInt8 ? 0 : 128;
    for (int64_t i = 0; i < weights.out_c; ++i) {
      int32_t& zero = zeros[weights.ColumnOf(i)];
      if (w_zeros.data) zero = static_cast<int32_t>(LoadInteger(w_zeros.dtype, w_zeros.data, w_zeros.count > 1 ? i : 0));
      zero -= shift;
      any = any || zero != 0;
    }
    if (any) finish.column_zero = zeros;
    const int32_t x_zero = conv.input_signed ? static_cast<int8_t>(conv.input_zero) : conv.input_zero;
    ConvOffsetsInt8(*kernels, conv, x_zero, finish.column_zero, bias, offsets);

    const int64_t panels = ConvPanels(conv), pixel_blocks = DivUp(b.pixels, b.grain.rows), panel_blocks = DivUp(panels, b.grain.panels);
    const double task_ns = ProductNs(*kernels, static_cast<double>(b.pixels), static_cast<double>(weights.out_c),
                                     static_cast<double>(weights.group_in * weights.taps)) /
                           static_cast<double>(pixel_blocks * panel_blocks);
    return c.ParallelFor(pixel_blocks * panel_blocks, 1, task_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end;) {
        // Neighbouring groups of panels in one call: it gathers their pixels once.
        const int64_t panel = task % panel_blocks, count = std::min(panel_blocks - panel, end - task);
        const int64_t pixel = task / panel_blocks * b.grain.rows;
        RunConvInt8(*kernels, conv, pixel, std::min(b.pixels, pixel + b.grain.rows), panel * b.grain.panels,
                    std::min(panels, (panel + count) * b.grain.panels), scratch + b.workers_at + worker * b.worker_bytes);
        task += count;
      }
    });
  }

  Status RunDepthwise(RunContext& c, const Bound& b, const ConvInt8& conv) const {
    const DepthwiseInt8 d = Depthwise(conv);
    const double row_ns = static_cast<double>(d.out_w * d.channels) * (static_cast<double>(d.kernel_h * d.kernel_w) / 16 + 0.5) *
                          (kernels->block_bytes == 1 ? 0.2 : 1.0);
    const int64_t grain = std::max<int64_t>(2, (d.kernel_h - 1) * d.dilation_h / d.stride_h);   // a ring is filled again for each
    return c.ParallelFor(d.batch * d.out_h, grain, row_ns, [&](int64_t begin, int64_t end, int worker) {
      depthwise(d, begin, end, c.scratch() + b.workers_at + worker * b.worker_bytes);
    });
  }

  Status SetScales(RunContext& c, const Weights& weights, float* scales, FinishInt8* finish) const {
    const DType to = c.output_dtype(0);
    const IntegerRange range = RangeOf(to);
    const int64_t low = std::max(range.low, q_min), high = std::min(range.high, q_max);
    if (low > high) return InvalidModel("attributes q_min and q_max leave nothing of ", DTypeName(to));
    FinishBytes(to, static_cast<int32_t>(LoadInteger(to, c.input(kYZero), 0)), low, high, finish);
    const float x_scale = *c.in<float>(kXScale), y_scale = *c.in<float>(kYScale);
    const int64_t count = c.input_shape(kWScale).elements();
    std::fill_n(scales, weights.columns, 0.0f);
    for (int64_t i = 0; i < weights.out_c; ++i) {
      scales[weights.ColumnOf(i)] = x_scale * c.in<float>(kWScale)[count > 1 ? i : 0] / y_scale;
    }
    finish->scale = scales;
    return Status();
  }

  void SetFloats(RunContext& c, const Weights& weights, float* scales, float* biases, FinishInt8* finish) const {
    const int64_t count = c.input_shape(kSumScale).elements();
    const float* bias = c.has_input(kFloatBias) ? c.in<float>(kFloatBias) : nullptr;
    std::fill_n(scales, weights.columns, 0.0f);
    std::fill_n(biases, weights.columns, 0.0f);
    for (int64_t i = 0; i < weights.out_c; ++i) {
      scales[weights.ColumnOf(i)] = c.in<float>(kSumScale)[count > 1 ? i : 0];
      if (bias) biases[weights.ColumnOf(i)] = bias[i];
    }
    finish->to = FinishInt8::To::kFloat;
    finish->scale = scales;
    activation.Set(&finish->epilogue);
    if (bias) finish->epilogue.bias = biases;
    finish->epilogue.residual = c.has_input(kResidual) ? c.in<float>(kResidual) : nullptr;
    finish->epilogue.residual_row_stride = weights.out_c;
  }
};

}  // namespace

LINNET_INTERNAL_OP(QLinearConv, 1, ChannelsLastIntegerConv<Form::kQuantized>);
LINNET_INTERNAL_OP(ConvInteger, 1, ChannelsLastIntegerConv<Form::kInteger>);
LINNET_INTERNAL_OP(ConvIntegerToFloat, 1, ChannelsLastIntegerConv<Form::kFloat>);

}  // namespace linnet
