// Conv: convolution of images with a constant or computed kernel.
//
// ONNX's Conv (versions 1, 11, 22: the same meaning) has channels first and is only parsed and inferred here; the resolve
// pass turns it into linnet:Conv, which has channels last, the same attributes and weights [out_c, in_c / group,
// kernel...], and which may fuse what follows:
//
//     y = activation(conv(x, w) + b + residual)       inputs x, w, b?, residual?; attributes activation, alpha, beta
//
// With channels_first=1, x is a picture of float32 that has its channels first. No depthwise convolution has it.
// With slice_channels and slice_first it writes a part of y, whose other channels are those of input `into`, number 4 (output_slice.h).
//
// Float32 runs on packed panels (kernels/conv/conv.h), on transformed ones where constant weights of 3x3 make it cheaper (winograd.h), or
// channel by channel where each is a group (depthwise.h). One spatial dimension is a picture of height 1; of more than two the leading
// ones are walked here, where every tap is a 2-D convolution that adds to the output. Other types run by the definition.
#include "kernels/conv/conv.h"

#include <algorithm>

#include "kernels/half/half_conv.h"
#include "kernels/half/split_gemm.h"
#include "kernels/conv/conv_narrow.h"
#include "kernels/conv/depthwise.h"
#include "kernels/conv/winograd.h"
#include "ops/aligned_floats.h"
#include "ops/conv_helpers.h"
#include "ops/conv_weights.h"
#include "ops/output_slice.h"
#include "ops/precision.h"

namespace linnet {
namespace {

template <Layout layout, int kInputsMax>
struct ConvBase {
  ConvAttributes attributes;
  bool reads_first = false;   ///< of a convolution with channels last: they are first in its input

  Shape ImageOf(const InferContext& c) const { return reads_first ? WithChannelsLast(c.shape(0)) : c.shape(0); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, kInputsMax));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    if (reads_first) {
      const bool float32 = c.dtype(0) == DType::kFloat || c.dtype(0) == DType::kUndefined;
      LINNET_TRY(c.CheckRank(0, 4));
      if (!float32 || attributes.groups != 1) return InvalidModel("channels_first goes with one group of float32");
    }
    LINNET_ASSIGN(Shape y, attributes.Infer(ImageOf(c), c.shape(1), layout, nullptr));
    LINNET_TRY(CheckVector(c, 2, "bias", c.shape(1).has_rank() ? c.shape(1)[0] : kUnknownDim));
    DType dtype = c.dtype(0) != DType::kUndefined ? c.dtype(0) : c.dtype(1);
    LINNET_TRY(CheckSameType(c, {0, 1, 2, 3}));
    if (c.has_input(3) && c.shape(3).is_static() && y.is_static() && !(c.shape(3) == y)) {
      return InvalidModel("residual has shape ", ToString(c.shape(3)), " where the output has ", ToString(y));
    }
    return c.SetOutput(0, dtype, y);
  }
};

struct Conv : ConvBase<Layout::kChannelsFirst, 3> {
  Status Parse(const Node& node) { return attributes.Parse(node); }
};

constexpr int kInto = 4;

struct ChannelsLastConv : ConvBase<Layout::kChannelsLast, 5> {
  FusedActivation activation;
  const GemmF32Kernels* kernels = nullptr;
  DepthwiseF32Fn* depthwise = nullptr;
  const WinogradF32Kernels* winograd = nullptr;
  TransposeFn* transpose = nullptr;
  const void* packed = nullptr;   ///< null when the weights are computed
  int tile = 0;                   ///< of a Winograd convolution whose weights are transformed ahead
  bool may_tile = false;          ///< whether a run may transform them
  std::optional<HalfFormat> reduce;   ///< as the node says
  OutputSlice out_slice;
  const SplitGemmKernels* split = nullptr;
  const GroupedF32Kernels* grouped = nullptr;
  const NarrowF32Kernels* narrow = nullptr;
  const HalfKernels* reduced = nullptr;   ///< not null: packed is of its format

  struct Bound {
    Window window;
    int64_t in_c = 0, out_c = 0, outputs = 0;
    int64_t packed_bytes = 0;          ///< of scratch before the workers' share: 0 when packed ahead
    int64_t slice_bytes = 0, worker_bytes = 0;
    enum Path : uint8_t { kAny, kPanels, kWinograd, kDepthwise } path = kAny;
    // Panels: a task is a slice (all of it up to 2-D) by a block of pixels by a block of panels. Winograd: its pixels are
    // tiles.
    WinogradWay way;
    ConvF32 conv;
    GemmGrain grain;
    int64_t slices = 1, outer_out = 1, pixels = 0, pixel_blocks = 1, panel_blocks = 1, matrix_floats = 0;
    int outer_rank = 0, workers = 1;
    double task_ns = 0;
    int64_t ahead_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_TRY(attributes.Parse(node));
    LINNET_ASSIGN(reduce, ReducedFormat(node));
    LINNET_ASSIGN(int64_t first, node.Int("channels_first", 0));
    reads_first = first != 0;
    if (reads_first) reduce.reset();
    LINNET_TRY(out_slice.Parse(node));
    return activation.Parse(node);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(ConvBase::Infer(c));
    if (out_slice.channels > 0 && (!c.shape(1).is_static() || c.shape(1).rank() != 4 || c.has_input(3))) {
      return InvalidModel("only convolutions of pictures by constant weights write slices");
    }
    return out_slice.Infer(c, c.output_shape(0), kInto);
  }

  static bool IsF32(DType dtype, const Shape& weights) { return dtype == DType::kFloat && !HasZero(weights); }

  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    depthwise = PickDepthwiseF32(c.cpu()), winograd = &PickWinogradF32(c.cpu());
    transpose = PickTranspose(4, c.cpu());
    split = PickSplitGemm(c.cpu()), grouped = &PickGroupedF32(c.cpu());
    if (kNarrow) narrow = PickNarrowF32(c.cpu());
    if (!c.is_constant(1) || !c.shape(1).is_static()) return kComputedWeights ? Status() : NotPacked();
    const Shape& shape = c.shape(1);
    if (reduce && IsF32(c.dtype(1), shape) && attributes.groups == 1 && shape.rank() <= 4) {
      LINNET_TRY(PackReduced(c, shape));
    } else if (IsF32(c.dtype(1), shape)) {
      const ConvWeights weights(shape, attributes.groups);
      const bool may = !reads_first && MayTile(weights, attributes.window);
      const std::vector<int64_t>& dilations = attributes.window.dilations;
      const bool dilated = dilations.size() == 2;
      const WinogradWay way = kTransformed && may ? WayOf(shape, c.has_output(0) ? c.output_shape(0) : Shape(), dilated ? dilations[0] : 1, dilated ? dilations[1] : 1)
                                                  : WinogradWay();
      const int wanted = way.ahead ? way.tile : 0;
      Status status = Pack(c, weights, wanted);
      if (!kTransformed && status.code() == Code::kInvalidModel && may) return NoWinograd();
      // A prepared file holds one form: what was chosen when it was made, from what was known then.
      for (int other : {0, 2, 4, 6}) {
        if (!kTransformed || status.code() != Code::kInvalidModel) break;
        if (other != wanted && (other == 0 || may) && Pack(c, weights, other).ok()) status = Status();
      }
      LINNET_TRY(std::move(status));
      may_tile = kTransformed && may && tile == 0;
    } else {
      LINNET_TRY(ForType<kAnyWeights>(c.dtype(1), [&]<class T>() -> Status {
        int64_t taps = shape.Product(2, shape.rank());
        int64_t bytes = shape.elements() * static_cast<int64_t>(sizeof(Wide<T>));
        LINNET_ASSIGN(packed, c.Weights("weights", bytes, [&](void* out) -> Status {
          ConvAny<T>::Pack(c.data<T>(1), shape[0], shape[1], attributes.groups, taps, static_cast<Wide<T>*>(out));
          return Status();
        }));
        return Status();
      }));
    }
    c.Drop(1);
    return Status();
  }

  Status PackReduced(PrepareContext& c, const Shape& shape) {
    const int64_t taps = shape.Product(2, shape.rank());
    LINNET_ASSIGN(packed, c.Weights(*reduce == HalfFormat::kBfloat16 ? "bf16" : "fp16", PackedConvSizeHalf(shape[0], shape[1], taps), [&](void* out) -> Status {
      LINNET_ASSIGN(Block ordered, Block::Allocate(shape.elements() * 4));
      AlignedFloats from;
      LINNET_TRY(from.Make(c.data(1), shape.elements()));
      PackConvHalf(*reduce, from.data(), shape[0], shape[1], taps, reinterpret_cast<float*>(ordered.data()), out);
      return Status();
    }));
    reduced = &PickHalf(*reduce, c.cpu());
    return Status();
  }

  static Status NoWinograd() { return Fail(Code::kNotInBuild, "Winograd's products are not named by this build's configuration"); }

  Status Pack(PrepareContext& c, const ConvWeights& weights, int form) {
    tile = form;
    if (tile == 0) {
      LINNET_ASSIGN(packed, c.Weights("weights", weights.packed_bytes(), [&](void* out) -> Status {
        LINNET_ASSIGN(Block slice, Block::Allocate(weights.slice_bytes()));
        weights.Pack(c.data<float>(1), static_cast<float*>(out), reinterpret_cast<float*>(slice.data()));
        return Status();
      }));
      return Status();
    }
    if (!kTransformed || !winograd->input[0]) return NoWinograd();
    const int64_t bytes = PackedWinogradSizeF32(weights.out_c, weights.group_in, tile) * 4;
    LINNET_ASSIGN(packed, c.Weights(tile == 2 ? "winograd2" : tile == 4 ? "winograd4" : "winograd6", bytes, [&](void* out) -> Status {
      PackWinogradF32(c.data<float>(1), weights.out_c, weights.group_in, tile, static_cast<float*>(out));
      return Status();
    }));
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape x = ImageOf(c), &w = c.shape(1), &y = c.output_shape(0);
    LINNET_TRY(attributes.Infer(x, w, Layout::kChannelsLast, &b.window).TakeStatus());
    b.outputs = y.elements();
    if (b.outputs == 0) return Status();
    b.in_c = x[x.rank() - 1];
    b.out_c = w[0];
    if (IsF32(c.dtype(0), w)) {
      BindF32(c, &b);
    } else {
      int64_t wide_bytes = c.dtype(0) == DType::kDouble ? 8 : 4;
      if (!packed) b.packed_bytes = RoundUp(w.elements() * wide_bytes, kAlignment);
      b.worker_bytes = RoundUp(b.out_c * wide_bytes, kAlignment);
    }
    c.Scratch(b.packed_bytes + b.slice_bytes + b.worker_bytes * c.threads());
    if (c.has_input(kInto)) c.InPlace(0, kInto);
    return Status();
  }

  void BindF32(BindContext& c, Bound* b) const {
    const ConvWeights weights(c.shape(1), attributes.groups);
    const Window& window = b->window;
    const WindowAxis line;   // height of a 1-D image
    const WindowAxis& h = window.rank >= 2 ? window.axes[window.rank - 2] : line;
    const WindowAxis& v = window.axes[window.rank - 1];
    b->outer_rank = std::max(0, window.rank - 2);
    for (int i = 0; i < b->outer_rank; ++i) b->outer_out *= window.axes[i].out;
    const int64_t batch = c.shape(0)[0];
    ConvF32& conv = b->conv;
    conv.in_h = window.rank >= 2 ? h.in : 1, conv.in_w = v.in;
    conv.out_h = window.rank >= 2 ? h.out : 1, conv.out_w = v.out;
    conv.in_c = b->in_c, conv.out_c = b->out_c, conv.groups = attributes.groups;
    conv.kernel_h = h.kernel, conv.kernel_w = v.kernel;
    conv.stride_h = h.stride, conv.stride_w = v.stride;
    conv.dilation_h = h.dilation, conv.dilation_w = v.dilation;
    conv.pad_top = h.pad, conv.pad_left = v.pad;
    if (conv.in_h == 0 || conv.in_w == 0) {
      // Nothing but padding: let every tap miss a pixel that is not there.
      conv.in_h = conv.in_w = 1, conv.pad_top = kWindowMax - 1;
    }
    conv.input_pixel_stride = b->in_c;
    conv.input_row_stride = conv.in_w * b->in_c;
    conv.input_batch_stride = conv.in_h * conv.input_row_stride;
    if (reads_first) {
      conv.input_pixel_stride = 1;
      conv.input_row_stride = conv.in_w;
      conv.input_channel_stride = conv.in_h * conv.in_w;
      conv.transpose = transpose;
    }
    conv.output_pixel_stride = out_slice.channels > 0 ? out_slice.channels : b->out_c;
    if (b->outer_rank == 0) {
      conv.batch = batch;
    } else {
      b->slices = batch * b->outer_out;
    }
    if (kComputedWeights && !packed) {
      b->packed_bytes = RoundUp(weights.packed_bytes(), kAlignment);
      b->slice_bytes = RoundUp(weights.slice_bytes(), kAlignment);
    }
    b->path = weights.depthwise && !reduced ? Bound::kDepthwise : Bound::kPanels;
    if (!reduced) conv.split = split, conv.grouped = grouped;
    if (kTransformed && (tile != 0 || may_tile)) b->way = tile != 0 ? WinogradWay{tile, true} : ChooseWinograd(conv, winograd);
    const bool direct = !reduced && b->way.tile == 0 && (b->path == Bound::kPanels || b->out_c == 1);   // of one channel, depthwise kernels read a panel
    if (kNarrow && direct && NarrowPaysF32(narrow, conv)) conv.narrow = narrow, b->path = Bound::kPanels;
    if (b->path == Bound::kDepthwise) return;
    if (kTransformed && b->way.tile != 0) return BindWinograd(c.threads(), b);
    b->pixels = conv.batch * conv.out_h * conv.out_w, conv.only_pixel = b->pixels == 1;
    b->matrix_floats = weights.matrix_floats;
    b->grain = reduced ? ConvGrainHalf(*reduced, conv, c.threads()) : ConvGrain(*kernels, conv, c.threads());
    b->pixel_blocks = DivUp(b->pixels, b->grain.rows);
    b->panel_blocks = DivUp(ConvPanels(conv), b->grain.panels);
    b->task_ns = static_cast<double>(b->grain.rows) * static_cast<double>(b->grain.panels) * kPanelColumns *
                 static_cast<double>(weights.group_in * weights.kernel_h * weights.kernel_w * weights.outer_taps) /
                 (reduced ? reduced->macs_per_ns : 30);
    if (kNarrow && conv.narrow) b->task_ns *= static_cast<double>(b->out_c) / kPanelColumns;   // no column is empty
    const double macs = static_cast<double>(b->pixels) * static_cast<double>(b->out_c) *
                        static_cast<double>(weights.group_in * weights.kernel_h * weights.kernel_w);
    if (!reduced && b->outer_rank == 0) b->ahead_bytes = static_cast<int64_t>(GemmF32::AheadBytes(macs / c.threads()));
    int64_t bytes = reduced ? ConvHalfScratchBytes(*reduced, conv) : ConvScratchBytes(*kernels, conv);
    if (b->outer_rank > 0) bytes = std::max(bytes, ConvScratchBytes(*kernels, Missed(conv)));
    b->worker_bytes = RoundUp(bytes, kAlignment);
  }

  void BindWinograd(int threads, Bound* b) const {
    b->path = Bound::kWinograd;
    b->workers = threads;
    b->conv.transpose = transpose;
    b->pixels = WinogradTiles(b->conv, b->way.tile);
    b->grain = WinogradGrainF32(*winograd, *kernels, b->conv, b->way, threads);
    b->pixel_blocks = DivUp(b->pixels, b->grain.rows);
    b->panel_blocks = DivUp(ConvPanels(b->conv), b->grain.panels);
    b->task_ns = static_cast<double>(b->grain.rows) * static_cast<double>(b->grain.panels) * kPanelColumns *
                 static_cast<double>((b->way.tile + 2) * (b->way.tile + 2) * b->in_c) / 20;
    b->worker_bytes = RoundUp(WinogradScratchBytes(*winograd, *kernels, b->conv, b->way), kAlignment);
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.outputs == 0) return Status();
    return b.path == Bound::kAny ? RunAny(c, b) : RunF32(c, b);
  }

  Status RunF32(RunContext& c, const Bound& b) const {
    std::byte* scratch = c.scratch();
    ConvF32 conv = b.conv;
    conv.packed = static_cast<const float*>(packed);
    if (kComputedWeights && !packed) {
      float* made = reinterpret_cast<float*>(scratch);
      ConvWeights(c.input_shape(1), attributes.groups)
          .Pack(c.in<float>(1), made, reinterpret_cast<float*>(scratch + b.packed_bytes));
      conv.packed = made;
      scratch += b.packed_bytes + b.slice_bytes;
    }
    conv.input = c.in<float>(0);
    conv.output = c.out<float>(0) + out_slice.first;
    out_slice.Begin(c, kInto);
    if (c.has_input(2)) conv.epilogue.bias = c.in<float>(2);
    if (c.has_input(3)) conv.epilogue.residual = c.in<float>(3);
    conv.epilogue.residual_row_stride = b.out_c;
    activation.Set(&conv.epilogue);
    if (b.path == Bound::kDepthwise) return RunDepthwise(c, conv);
    if (kTransformed && b.path == Bound::kWinograd) return RunWinograd(c, b, conv, scratch);
    const int64_t blocks = b.pixel_blocks * b.panel_blocks;
    const Ahead ahead = b.ahead_bytes > 0 ? c.NextWeights(b.ahead_bytes) : Ahead();
    const int64_t panels = ConvPanels(conv), work = DivUp(b.pixels * panels, c.threads());
    return c.ParallelFor(b.slices * blocks, 1, b.task_ns, [&](int64_t begin, int64_t end, int worker) {
      std::byte* mine = scratch + worker * b.worker_bytes;
      for (int64_t task = begin; task < end;) {
        // Neighbouring blocks of panels in one call, which gathers their pixels once, or of pixels where these have all
        // panels.
        const int64_t block = task % blocks, first = block % b.panel_blocks;
        const bool by_panels = b.panel_blocks > 1 || reduced;
        const int64_t count = std::min(by_panels ? b.panel_blocks - first : blocks - block, end - task);
        const int64_t pixel = block / b.panel_blocks * b.grain.rows, panel = first * b.grain.panels;
        Tile tile{pixel, std::min(b.pixels, pixel + (by_panels ? 1 : count) * b.grain.rows), panel,
                  std::min(ConvPanels(conv), panel + count * b.grain.panels)};
        if (reduced) {
          RunConvHalf(*reduced, conv, tile.pixel0, tile.pixel1, tile.panel0, tile.panel1, mine);
        } else if (b.outer_rank == 0) {
          ConvF32 piece = conv;
          const int64_t pixels = tile.pixel1 - tile.pixel0, at = tile.pixel0 * panels + tile.panel0 * pixels;
          piece.ahead = AheadPart(ahead, at, at + pixels * (tile.panel1 - tile.panel0), work);
          RunConvF32(*kernels, piece, tile.pixel0, tile.pixel1, tile.panel0, tile.panel1, mine);
        } else {
          RunSlice(b, conv, task / blocks, tile, mine);
        }
        task += count;
      }
    });
  }

  Status RunWinograd(RunContext& c, const Bound& b, const ConvF32& conv, std::byte* scratch) const {
    for (int i = 0; i < b.workers; ++i) StartWinogradF32(scratch + i * b.worker_bytes);
    return c.ParallelFor(b.pixel_blocks * b.panel_blocks, 1, b.task_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end;) {
        // Neighbouring blocks of panels in one call.
        const int64_t first = task % b.panel_blocks, count = std::min(b.panel_blocks - first, end - task);
        const int64_t row = task / b.panel_blocks * b.grain.rows, panel = first * b.grain.panels;
        RunWinogradF32(*winograd, *kernels, conv, b.way, row, std::min(b.pixels, row + b.grain.rows), panel,
                       std::min(ConvPanels(conv), panel + count * b.grain.panels), scratch + worker * b.worker_bytes);
        task += count;
      }
    });
  }

  Status RunDepthwise(RunContext& c, const ConvF32& conv) const {
    const DepthwiseF32 d = DepthwiseOf(conv);
    double row_ns = static_cast<double>(d.out_w * d.channels * d.kernel_h * d.kernel_w) / 30;
    return c.ParallelFor(d.batch * d.out_h, DepthwiseGrain(d, c.threads()), row_ns, [&](int64_t begin, int64_t end, int) {
      depthwise(d, begin, end, 0, d.channels);
    });
  }

  struct Tile {
    int64_t pixel0, pixel1, panel0, panel1;
  };

  /// All taps miss: what remains is the epilogue.
  static ConvF32 Missed(ConvF32 conv) { return conv.pad_top = kWindowMax - 1, conv; }

  /// One tile of one 2-D slice of a higher-dimensional output: a convolution per outer tap, each adding to the last.
  void RunSlice(const Bound& b, ConvF32 conv, int64_t slice, const Tile& tile, void* scratch) const {
    const Epilogue whole = conv.epilogue;
    const float* image = conv.input + slice / b.outer_out * b.window.in_pixels() * b.in_c;
    conv.output += slice * b.pixels * b.out_c;
    int64_t at[kSpatialMax];
    BoxCounter taps = TapsAt(b.window, b.outer_rank, slice % b.outer_out, at);
    int64_t left = 1;
    for (int i = 0; i < b.outer_rank; ++i) left *= std::max<int64_t>(0, taps.end[i] - taps.begin[i]);
    const float* packed_taps = conv.packed;
    bool more = taps.Start(), first = true;
    if (!more) {
      conv = Missed(conv);
      left = 1;
    }
    do {
      if (more) {
        int64_t plane = 0, tap = 0;
        for (int i = 0; i < b.outer_rank; ++i) {
          const WindowAxis& axis = b.window.axes[i];
          plane = plane * axis.in + at[i] * axis.stride - axis.pad + taps.at[i] * axis.dilation;
          tap = tap * axis.kernel + taps.at[i];
        }
        conv.input = image + plane * b.conv.in_h * b.conv.in_w * b.in_c;
        conv.packed = packed_taps + tap * b.matrix_floats;
      }
      conv.epilogue = whole;
      if (first && whole.residual) conv.epilogue.residual = whole.residual + slice * b.pixels * b.out_c;
      if (!first) {
        conv.epilogue.bias = nullptr;
        conv.epilogue.residual = conv.output;
      }
      if (--left > 0) conv.epilogue.activation = Activation::kNone;
      RunConvF32(*kernels, conv, tile.pixel0, tile.pixel1, tile.panel0, tile.panel1, scratch);
      first = false;
    } while (more && taps.Next());
  }

  Status RunAny(RunContext& c, const Bound& b) const {
    return ForType<kAnyWeights>(c.input_dtype(0), [&]<class T>() -> Status {
      using W = Wide<T>;
      std::byte* scratch = c.scratch();
      const Shape& w = c.input_shape(1);
      ConvAny<T> conv;
      conv.window = &b.window, conv.in_c = b.in_c, conv.out_c = b.out_c, conv.groups = attributes.groups;
      conv.input = c.in<T>(0);
      conv.packed = static_cast<const W*>(packed);
      if (!packed) {
        W* made = reinterpret_cast<W*>(scratch);
        ConvAny<T>::Pack(c.in<T>(1), w[0], w[1], attributes.groups, w.Product(2, w.rank()), made);
        conv.packed = made;
        scratch += b.packed_bytes;
      }
      conv.bias = c.has_input(2) ? c.in<T>(2) : nullptr;
      conv.residual = c.has_input(3) ? c.in<T>(3) : nullptr;
      conv.output = c.out<T>(0), conv.activation = activation;
      double pixel_ns = static_cast<double>(w.elements()) * 0.5 + static_cast<double>(b.out_c) * 2;
      return c.ParallelFor(b.outputs / b.out_c, 1, pixel_ns, [&](int64_t begin, int64_t end, int worker) {
        conv.Run(begin, end, reinterpret_cast<W*>(scratch + worker * b.worker_bytes));
      });
    });
  }
};

}  // namespace

LINNET_OP(Conv, 1, Conv);
LINNET_INTERNAL_OP(Conv, 1, ChannelsLastConv);

}  // namespace linnet
