// ConvTranspose: every input pixel adds its weighted kernel to the output; the gradient of Conv.
//
// As with Conv, ONNX's operator (versions 1, 11, 22: one meaning) is only parsed and inferred; the resolve pass makes it
// linnet:ConvTranspose with channels last, fused activation and residual. Weights are [in_c, out_c / group, kernel...]. Float32 up
// to two spatial dimensions runs as one convolution per output phase (kernels/conv/conv_transpose.h).
//
// Surprises: output_shape decides the padding, which is then never negative, and so does SAME, for which the output is input
// times stride; an odd padding goes to the end only for SAME_UPPER. Rows of output that no input reaches hold the bias.
#include "kernels/conv/conv_transpose.h"

#include "ops/conv_helpers.h"
#include "ops/output_slice.h"

namespace linnet {
namespace {

template <Layout layout, int kInputsMax>
struct TransposeBase {
  WindowAttributes window;
  int64_t groups = 1;
  std::vector<int64_t> output_padding, output_shape;

  Status Parse(const Node& node) {
    LINNET_TRY(window.Parse(node));
    LINNET_ASSIGN(groups, node.Int("group", 1));
    if (groups < 1 || groups >= kWindowMax) return InvalidModel("attribute group is ", groups);
    LINNET_ASSIGN(output_padding, node.Ints("output_padding"));
    LINNET_ASSIGN(output_shape, node.Ints("output_shape"));
    for (const auto* list : {&output_padding, &output_shape}) {
      const char* name = list == &output_padding ? "output_padding" : "output_shape";
      if (list->size() > static_cast<size_t>(kMaxRank)) return InvalidModel("attribute ", name, " has ", list->size(), " numbers");
      for (int64_t value : *list) {
        if (value < 0 || value >= kWindowMax) return InvalidModel("attribute ", name, " has ", value);
      }
    }
    return Status();
  }

  /// In the fitted window `in` and `out` are those of this operator, pad what is cut off the full result.
  Result<Shape> Fit(const Shape& x, const Shape& weights, Window* fitted) const {
    LINNET_TRY(CheckImage(x));
    if (weights.has_rank() && weights.rank() < 3) {
      return InvalidModel("weights have shape ", ToString(weights), " where [in, out / group, kernel...] is expected");
    }
    int64_t out_c = weights.has_rank() ? DimMul(weights[1], groups) : kUnknownDim;
    if (!x.has_rank()) {
      if (!weights.has_rank()) return Shape();
      Shape y = Shape::OfRank(weights.rank());
      y[ChannelAxis(layout, y.rank())] = out_c;
      return y;
    }
    int n = x.rank() - 2;
    size_t length = static_cast<size_t>(n);
    int64_t in_c = x[ChannelAxis(layout, x.rank())];
    if (IsKnownDim(in_c) && in_c % groups != 0) {
      return InvalidModel(in_c, " input channels do not divide into ", groups, " groups");
    }
    if (weights.has_rank()) {
      if (weights.rank() != x.rank()) {
        return InvalidModel("weights of shape ", ToString(weights), " do not fit the input's ", ToString(x));
      }
      if (IsKnownDim(in_c) && IsKnownDim(weights[0]) && in_c != weights[0]) {
        return InvalidModel("input has ", in_c, " channels where the weights are ", ToString(weights));
      }
    }
    if (window.rank() >= 0 && window.rank() != n) {
      return InvalidModel("attributes are for ", window.rank(), " spatial dimensions, the input has shape ", ToString(x));
    }
    if (!output_padding.empty() && output_padding.size() != length) {
      return InvalidModel("attribute output_padding has ", output_padding.size(), " numbers for ", n, " spatial dimensions");
    }
    if (!output_shape.empty() && output_shape.size() != length && output_shape.size() != length + 2) {
      return InvalidModel("attribute output_shape has ", output_shape.size(), " numbers for ", n, " spatial dimensions");
    }
    fitted->rank = n;
    int64_t spatial[kSpatialMax];
    for (int i = 0; i < n; ++i) {
      size_t k = static_cast<size_t>(i);
      WindowAxis& axis = fitted->axes[i];
      axis = WindowAxis();
      axis.in = x[SpatialAxis(layout, i)];
      axis.kernel = weights.has_rank() && IsKnownDim(weights[2 + i]) ? weights[2 + i]
                    : window.kernel_shape.empty()                    ? kUnknownDim
                                                                     : window.kernel_shape[k];
      if (!window.kernel_shape.empty() && axis.kernel != window.kernel_shape[k]) {
        return InvalidModel("attribute kernel_shape has ", window.kernel_shape[k], " where the weights have ", axis.kernel);
      }
      if (axis.kernel == 0 || axis.kernel >= kWindowMax) return InvalidModel("kernel size ", axis.kernel, " is not allowed");
      if (!window.strides.empty()) axis.stride = window.strides[k];
      if (!window.dilations.empty()) axis.dilation = window.dilations[k];
      LINNET_TRY(FitAxis(i, n, &axis));
      spatial[i] = axis.out;
    }
    return ImageShape(layout, x[0], out_c, {spatial, length});
  }

  Status FitAxis(int i, int n, WindowAxis* axis) const {
    using AutoPad = WindowAttributes::AutoPad;
    size_t k = static_cast<size_t>(i);
    if (!output_shape.empty()) axis->out = output_shape[output_shape.size() - static_cast<size_t>(n) + k];
    if (!IsKnownDim(axis->in) || !IsKnownDim(axis->kernel)) return Status();
    int64_t extra = output_padding.empty() ? 0 : output_padding[k];
    int64_t full = axis->in == 0 ? 0 : (axis->in - 1) * axis->stride + extra + (axis->kernel - 1) * axis->dilation + 1;
    bool same = window.auto_pad == AutoPad::kSameUpper || window.auto_pad == AutoPad::kSameLower;
    if (!output_shape.empty() || same) {
      int64_t wanted = output_shape.empty() ? axis->in * axis->stride : axis->out;
      int64_t total = std::max<int64_t>(0, full - wanted);
      axis->pad = window.auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
      axis->pad_end = total - axis->pad;
      axis->out = wanted;
      return Status();
    } else if (window.auto_pad == AutoPad::kNotSet && !window.pads.empty()) {
      axis->pad = window.pads[k];
      axis->pad_end = window.pads[k + static_cast<size_t>(n)];
    }
    axis->out = full - axis->pad - axis->pad_end;
    if (axis->in == 0) axis->out = 0;
    if (axis->out < 0) {
      return InvalidModel("padding ", axis->pad, " and ", axis->pad_end, " is more than the ", full,
                          " results in spatial dimension ", i);
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, kInputsMax));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    Window fitted;
    LINNET_ASSIGN(Shape y, Fit(c.shape(0), c.shape(1), &fitted));
    LINNET_TRY(CheckVector(c, 2, "bias", c.shape(1).has_rank() ? DimMul(c.shape(1)[1], groups) : kUnknownDim));
    DType dtype = c.dtype(0) != DType::kUndefined ? c.dtype(0) : c.dtype(1);
    LINNET_TRY(CheckSameType(c, {0, 1, 2, 3}));
    if (c.has_input(3) && c.shape(3).is_static() && y.is_static() && !(c.shape(3) == y)) {
      return InvalidModel("residual has shape ", ToString(c.shape(3)), " where the output has ", ToString(y));
    }
    return c.SetOutput(0, dtype, y);
  }
};

struct ConvTranspose : TransposeBase<Layout::kChannelsFirst, 3> {};

constexpr int kInto = 4;

/// linnet:ConvTranspose(x, w, bias, residual, into) {activation...}; with slice_channels and slice_first as linnet:Conv.
struct ChannelsLastConvTranspose : TransposeBase<Layout::kChannelsLast, 5> {
  FusedActivation activation;
  OutputSlice out_slice;
  const GemmF32Kernels* kernels = nullptr;
  const void* packed = nullptr;   ///< null when the weights are computed

  struct Bound {
    Window window;
    int64_t in_c = 0, out_c = 0, outputs = 0, packed_bytes = 0, worker_bytes = 0;
    bool f32 = false;
    ConvTransposeF32 conv;
    GemmGrain grain;
  };

  Status Parse(const Node& node) {
    LINNET_TRY(TransposeBase::Parse(node));
    LINNET_TRY(out_slice.Parse(node));
    return activation.Parse(node);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(TransposeBase::Infer(c));
    if (out_slice.channels > 0 && (!c.shape(1).is_static() || c.has_input(3))) {
      return InvalidModel("only transposed convolutions by constant weights write slices");
    }
    return out_slice.Infer(c, c.output_shape(0), kInto);
  }

  /// [in_c][out_c / groups][tap] to [group][tap][in_c / groups][out_c / groups].
  template <class T>
  static void Pack(const T* weights, const Shape& shape, int64_t groups, Wide<T>* out) {
    int64_t group_in = shape[0] / groups, group_out = shape[1], taps = shape.Product(2, shape.rank());
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t i = 0; i < group_in; ++i) {
          const T* from = weights + (g * group_in + i) * group_out * taps + tap;
          for (int64_t o = 0; o < group_out; ++o) *out++ = Widen(from[o * taps]);
        }
      }
    }
  }

  /// Float32 on the 2-D kernel.
  static bool IsF32(DType dtype, const Shape& weights) {
    return dtype == DType::kFloat && weights.rank() <= 4 && weights.elements() > 0;
  }

  /// Sizes of the 2-D kernel's problem that weights and attributes give.
  ConvTransposeF32 Problem(const Shape& weights) const {
    ConvTransposeF32 conv;
    const int rank = weights.rank() - 2;
    auto attribute = [&](const std::vector<int64_t>& list, int axis) {
      return axis < 0 || list.empty() ? 1 : list[static_cast<size_t>(axis)];
    };
    conv.in_c = weights[0];
    conv.out_c = weights[1] * groups;
    conv.groups = groups;
    conv.kernel_h = rank == 2 ? weights[2] : 1;
    conv.kernel_w = weights[rank + 1];
    conv.stride_h = attribute(window.strides, rank - 2), conv.stride_w = attribute(window.strides, rank - 1);
    conv.dilation_h = attribute(window.dilations, rank - 2), conv.dilation_w = attribute(window.dilations, rank - 1);
    return conv;
  }
  static int64_t PackedBytes(const ConvTransposeF32& conv) {
    return PackedConvTransposeSizeF32(conv.in_c, conv.out_c, conv.groups, conv.kernel_h, conv.kernel_w) * 4;
  }

  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    if (!c.is_constant(1) || !c.shape(1).is_static()) return Status();
    const Shape& shape = c.shape(1);
    if (shape[0] % groups != 0) return InvalidModel(shape[0], " input channels do not divide into ", groups, " groups");
    if (window.rank() >= 0 && window.rank() != shape.rank() - 2) {
      return InvalidModel("attributes are for ", window.rank(), " spatial dimensions, weights have shape ", ToString(shape));
    }
    c.Drop(1);
    if (IsF32(c.dtype(1), shape)) {
      const ConvTransposeF32 conv = Problem(shape);
      LINNET_ASSIGN(packed, c.Weights("weights", PackedBytes(conv), [&](void* out) -> Status {
        PackConvTransposeF32(c.data<float>(1), conv, static_cast<float*>(out));
        return Status();
      }));
      return Status();
    }
    return ForType<kAnyFloat>(c.dtype(1), [&]<class T>() -> Status {
      int64_t bytes = shape.elements() * static_cast<int64_t>(sizeof(Wide<T>));
      LINNET_ASSIGN(packed, c.Weights("weights", bytes, [&](void* out) -> Status {
        Pack(c.data<T>(1), shape, groups, static_cast<Wide<T>*>(out));
        return Status();
      }));
      return Status();
    });
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &x = c.shape(0), &w = c.shape(1), &y = c.output_shape(0);
    LINNET_TRY(Fit(x, w, &b.window).TakeStatus());
    b.outputs = y.elements();
    b.in_c = x[x.rank() - 1];
    b.out_c = out_slice.channels > 0 ? w[1] * groups : y[y.rank() - 1];
    if (c.has_input(kInto)) c.InPlace(0, kInto);
    if (b.outputs == 0) return Status();
    b.f32 = IsF32(c.dtype(0), w);
    if (b.f32) {
      BindF32(c, x, w, &b);
      c.Scratch(b.packed_bytes + b.worker_bytes * c.threads());
      return Status();
    }
    int64_t wide_bytes = c.dtype(0) == DType::kDouble ? 8 : 4;
    if (!packed) b.packed_bytes = RoundUp(w.elements() * wide_bytes, kAlignment);
    b.worker_bytes = RoundUp(b.out_c * wide_bytes, kAlignment);
    c.Scratch(b.packed_bytes + b.worker_bytes * c.threads());
    return Status();
  }

  void BindF32(const BindContext& c, const Shape& x, const Shape& w, Bound* b) const {
    ConvTransposeF32& conv = b->conv;
    conv = Problem(w);
    const Window& fitted = b->window;
    const WindowAxis& v = fitted.axes[fitted.rank - 1];
    conv.batch = x[0];
    conv.in_w = v.in, conv.out_w = v.out, conv.pad_left = v.pad;
    if (fitted.rank == 2) conv.in_h = fitted.axes[0].in, conv.out_h = fitted.axes[0].out, conv.pad_top = fitted.axes[0].pad;
    if (conv.in_h == 0 || conv.in_w == 0) {
      // No input: every tap misses a pixel that is not there.
      conv.in_h = conv.in_w = 1;
      conv.pad_top = -(kWindowMax - 1);
    }
    conv.input_pixel_stride = conv.in_c;
    conv.input_row_stride = conv.in_w * conv.in_c;
    conv.input_batch_stride = conv.in_h * conv.input_row_stride;
    conv.output_pixel_stride = out_slice.channels > 0 ? out_slice.channels : conv.out_c;
    if (!packed) b->packed_bytes = RoundUp(PackedBytes(conv), kAlignment);
    b->worker_bytes = RoundUp(ConvTransposeScratchBytes(*kernels, conv), kAlignment);
    b->grain = ConvTransposeGrainF32(*kernels, conv, c.threads());
  }

  Status RunF32(RunContext& c, const Bound& b) const {
    std::byte* scratch = c.scratch();
    ConvTransposeF32 conv = b.conv;
    conv.packed = static_cast<const float*>(packed);
    if (!packed) {
      float* made = reinterpret_cast<float*>(scratch);
      PackConvTransposeF32(c.in<float>(1), conv, made);
      conv.packed = made;
      scratch += b.packed_bytes;
    }
    conv.input = c.in<float>(0);
    conv.output = c.out<float>(0) + out_slice.first;
    out_slice.Begin(c, kInto);
    if (c.has_input(2)) conv.epilogue.bias = c.in<float>(2);
    const bool residual = c.has_input(3);   // the kernel has none: it is added afterwards, and then the activation follows
    if (!residual) activation.Set(&conv.epilogue);
    const int64_t rows = conv.batch * conv.out_h, panels = ConvTransposePanels(conv);
    const int64_t panel_blocks = DivUp(panels, b.grain.panels);
    double task_ns = static_cast<double>(b.grain.rows * b.grain.panels * kPanelColumns) *
                     static_cast<double>(conv.in_w * (conv.in_c / conv.groups) * conv.kernel_h * conv.kernel_w) / 30;
    LINNET_TRY(c.ParallelFor(DivUp(rows, b.grain.rows) * panel_blocks, 1, task_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end; ++task) {
        int64_t row = task / panel_blocks * b.grain.rows, panel = task % panel_blocks * b.grain.panels;
        RunConvTransposeF32(*kernels, conv, row, std::min(rows, row + b.grain.rows), panel,
                            std::min(panels, panel + b.grain.panels), scratch + worker * b.worker_bytes,
                            [&c] { return c.StopAsked(); });
      }
    }));
    LINNET_TRY(c.CheckStop());   // a task may have ended early
    if (!residual) return Status();
    return c.ParallelFor(b.outputs, 1024, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) conv.output[i] = Activate(activation, conv.output[i] + c.in<float>(3)[i]);
    });
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.outputs == 0) return Status();
    if (b.f32) return RunF32(c, b);
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      using W = Wide<T>;
      std::byte* scratch = c.scratch();
      const W* weights = static_cast<const W*>(packed);
      if (!packed) {
        W* made = reinterpret_cast<W*>(scratch);
        Pack(c.in<T>(1), c.input_shape(1), groups, made);
        weights = made;
        scratch += b.packed_bytes;
      }
      double pixel_ns = static_cast<double>(b.in_c / groups * b.out_c * b.window.taps()) * 0.5;
      return c.ParallelFor(b.outputs / b.out_c, 1, pixel_ns, [&](int64_t begin, int64_t end, int worker) {
        W* sums = reinterpret_cast<W*>(scratch + worker * b.worker_bytes);
        for (int64_t p = begin; p < end; ++p) Pixel<T>(c, b, weights, p, sums);
      });
    });
  }

  template <class T>
  void Pixel(RunContext& c, const Bound& b, const Wide<T>* weights, int64_t p, Wide<T>* sums) const {
    using W = Wide<T>;
    const Window& w = b.window;
    const int64_t out_pixels = w.out_pixels(), taps = w.taps();
    const int64_t group_in = b.in_c / groups, group_out = b.out_c / groups;
    for (int64_t o = 0; o < b.out_c; ++o) sums[o] = c.has_input(2) ? Widen(c.in<T>(2)[o]) : W(0);
    const T* image = c.in<T>(0) + p / out_pixels * w.in_pixels() * b.in_c;
    BoxCounter box;   // all taps; those that fall between input pixels are skipped
    box.rank = w.rank;
    int64_t at[kSpatialMax], rest = p % out_pixels;
    for (int i = w.rank - 1; i >= 0; --i) {
      at[i] = rest % w.axes[i].out + w.axes[i].pad;
      rest /= w.axes[i].out;
      box.begin[i] = 0;
      box.end[i] = std::min(w.axes[i].kernel, at[i] / w.axes[i].dilation + 1);
    }
    for (bool more = box.Start(); more; more = box.Next()) {
      int64_t pixel = 0, tap = 0;
      bool hit = true;
      for (int i = 0; i < w.rank; ++i) {
        const WindowAxis& axis = w.axes[i];
        int64_t from = at[i] - box.at[i] * axis.dilation;
        hit = hit && from % axis.stride == 0 && from / axis.stride < axis.in;
        pixel = pixel * axis.in + from / axis.stride;
        tap = tap * axis.kernel + box.at[i];
      }
      if (!hit) continue;
      for (int64_t g = 0; g < groups; ++g) {
        const T* x = image + pixel * b.in_c + g * group_in;
        const W* kernel = weights + (g * taps + tap) * group_in * group_out;
        W* sum = sums + g * group_out;
        for (int64_t i = 0; i < group_in; ++i, kernel += group_out) {
          const W v = Widen(x[i]);
          for (int64_t o = 0; o < group_out; ++o) sum[o] += v * kernel[o];
        }
      }
    }
    T* y = c.out<T>(0) + p * b.out_c;
    const T* residual = c.has_input(3) ? c.in<T>(3) + p * b.out_c : nullptr;
    for (int64_t o = 0; o < b.out_c; ++o) {
      y[o] = Narrow<T>(Activate(activation, sums[o] + (residual ? Widen(residual[o]) : W(0))));
    }
  }
};

}  // namespace

LINNET_OP(ConvTranspose, 1, ConvTranspose);
LINNET_INTERNAL_OP(ConvTranspose, 1, ChannelsLastConvTranspose);

}  // namespace linnet
