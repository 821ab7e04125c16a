// linnet:ConvBlock: what fuse_conv_blocks makes of a depthwise convolution, the convolution before it and the 1x1
// convolution after it.
//
//     y = project(depthwise(expand(x)))       inputs x, then w and b? of expand, depthwise and project, then residual?
//
// Images have channels last and two spatial dimensions, weights are constant, all is float32. Expand or project may be
// absent. Their attributes are those of linnet:Conv with the part's name before them: expand_pads, depthwise_activation.
// For each set of shapes the parts run strip by strip (kernels/conv/conv_block.h) or, where that does not pay, one after
// another with whole images in scratch.
#include "kernels/conv/conv_block.h"

#include "kernels/half/half_gemm.h"
#include "ops/aligned_floats.h"
#include "ops/conv_block_sizes.h"
#include "ops/conv_helpers.h"
#include "ops/precision.h"

namespace linnet {
namespace {

constexpr int kExpand = 1, kDepthwise = 3, kProject = 5, kResidual = 7;   // inputs: weights, then the bias

/// A convolution of the block as far as its node says.
struct Part {
  ConvAttributes attributes;
  FusedActivation activation;
  bool reads_first = false;   ///< channels are first in its input

  Status Parse(const Node& node, std::string_view prefix) {
    Node part = node.Part(prefix);
    part.op = "Conv";
    LINNET_TRY(attributes.Parse(part));
    LINNET_ASSIGN(int64_t first, part.Int("channels_first", 0));
    reads_first = first != 0;
    return activation.Parse(part);
  }
};

static_assert(kReducedBlockChannelsMax <= kAsF32KMax);

struct ConvBlock {
  Part expand, depthwise, project;
  bool has_expand = false, has_project = false;
  std::optional<HalfFormat> reduce;
  const GemmF32Kernels* kernels = nullptr;
  DepthwiseF32Fn* run_depthwise = nullptr;
  TransposeFn* transpose = nullptr;
  const float *expand_packed = nullptr, *depthwise_packed = nullptr, *project_packed = nullptr;

  /// One part run over its whole image.
  struct Whole {
    ConvF32 conv;
    GemmGrain grain{1, 1};
    int64_t pixels = 0, pixel_blocks = 0, panel_blocks = 0;
    double task_ns = 0;
  };
  struct Bound {
    ConvBlockF32 block;
    bool empty = false, strips = false;
    double strip_ns = 0;
    int64_t chunk_strips = 1;
    Whole expand, project;                        ///< only without strips
    int64_t expanded_bytes = 0, between_bytes = 0;   ///< of whole images in scratch
    int64_t worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    auto given = [&](size_t i) { return i < node.inputs.size() && node.inputs[i] != kNoValue; };
    has_expand = given(kExpand);
    has_project = given(kProject);
    if (!has_expand && !has_project) return InvalidModel("a block of one part");
    if (given(kResidual) && !has_project) return InvalidModel("a residual without a projection");
    LINNET_ASSIGN(reduce, ReducedFormat(node));
    LINNET_TRY(expand.Parse(node, "expand_"));
    LINNET_TRY(depthwise.Parse(node, "depthwise_"));
    LINNET_TRY(project.Parse(node, "project_"));
    if (depthwise.reads_first || project.reads_first || (expand.reads_first && !has_expand)) {
      return InvalidModel("only the first part of a block may read channels first");
    }
    if (expand.attributes.groups != 1 || project.attributes.groups != 1) return InvalidModel("a block's outer parts have one group");
    return Status();
  }

  /// The shapes of the images behind each part. A `windows` of null only checks.
  struct Images {
    Shape in, expanded, between, out;   ///< channels last
    Window expand, depthwise, project;
  };
  Result<Images> ImagesOf(const InferContext& c) const {
    Images images;
    LINNET_TRY(CheckImage(c.shape(0)));
    images.in = expand.reads_first ? WithChannelsLast(c.shape(0)) : c.shape(0);
    images.expanded = images.in;
    if (has_expand) {
      LINNET_ASSIGN(images.expanded, expand.attributes.Infer(images.in, c.shape(kExpand), Layout::kChannelsLast, &images.expand));
    }
    LINNET_ASSIGN(images.between, depthwise.attributes.Infer(images.expanded, c.shape(kDepthwise), Layout::kChannelsLast, &images.depthwise));
    images.out = images.between;
    if (has_project) {
      LINNET_ASSIGN(images.out, project.attributes.Infer(images.between, c.shape(kProject), Layout::kChannelsLast, &images.project));
    }
    return images;
  }

  static bool IsPointwise(const Part& part, const Shape& w) {
    const WindowAttributes& window = part.attributes.window;
    auto all = [](const std::vector<int64_t>& list, int64_t value) { return std::all_of(list.begin(), list.end(), [&](int64_t x) { return x == value; }); };
    return w[2] == 1 && w[3] == 1 && all(window.strides, 1) && all(window.pads, 0);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, kResidual + 1));
    for (int i = 0; i <= kResidual; ++i) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    for (int part : {kExpand, kDepthwise, kProject}) {
      if (!c.has_input(part)) {
        if (part == kDepthwise) return InvalidModel("a block without depthwise weights");
        continue;
      }
      const Shape& w = c.shape(part);
      if (!w.is_static() || w.rank() != 4 || w.elements() == 0) return InvalidModel("weights have shape ", ToString(w));
      LINNET_TRY(CheckVector(c, part + 1, "bias", w[0]));
    }
    const Shape& w = c.shape(kDepthwise);
    if (w[1] != 1 || w[0] != depthwise.attributes.groups) {
      return InvalidModel("depthwise weights have shape ", ToString(w), " and ", depthwise.attributes.groups, " groups");
    }
    if (has_project && !IsPointwise(project, c.shape(kProject))) return InvalidModel("a block's projection is no 1x1 convolution");
    for (int part : {kExpand, kProject}) {
      if (!reduce || !c.has_input(part)) continue;
      if (!IsPointwise(part == kExpand ? expand : project, c.shape(part)) || c.shape(part)[1] > kReducedBlockChannelsMax) {
        return InvalidModel("a block whose convolutions of weights ", ToString(c.shape(part)), " cannot be reduced");
      }
    }
    LINNET_ASSIGN(Images images, ImagesOf(c));
    if (c.has_input(kResidual) && c.shape(kResidual).is_static() && images.out.is_static() && !(c.shape(kResidual) == images.out)) {
      return InvalidModel("residual has shape ", ToString(c.shape(kResidual)), " where the output has ", ToString(images.out));
    }
    return c.SetOutput(0, DType::kFloat, images.out);
  }

  Status Prepare(PrepareContext& c) {
    // Products of 16-bit operands stand in for those of float32.
    kernels = reduce ? &GemmHalfAsF32(*reduce, c.cpu()) : &PickGemmF32(c.cpu());
    run_depthwise = PickDepthwiseF32(c.cpu());
    transpose = PickTranspose(4, c.cpu());
    auto pack = [&](int input, std::string_view tag, int64_t floats, auto&& fill) -> Result<const float*> {
      if (!c.is_constant(input)) return InvalidModel("the weights of a block are not constant");
      LINNET_ASSIGN(const void* packed, c.Weights(tag, floats * 4, [&](void* out) -> Status {
        return fill(c.data<float>(input), static_cast<float*>(out));
      }));
      c.Drop(input);
      return static_cast<const float*>(packed);
    };
    auto pack_dense = [&](int input, std::string_view tag) {
      const Shape& w = c.shape(input);
      if (reduce) {
        return pack(input, Cat(tag, *reduce == HalfFormat::kBfloat16 ? "_bf16" : "_fp16"), PackedSizeHalf(w[1], w[0]) / 4, [&](const float* from, float* to) {
          AlignedFloats aligned;
          LINNET_TRY(aligned.Make(from, w.elements()));
          PackHalf(*reduce, aligned.data(), w[1], w[0], 1, w[1], to);
          return Status();
        });
      }
      return pack(input, tag, PackedConvSizeF32(w[0], w[1], 1, w[2], w[3]), [&](const float* from, float* to) {
        PackConvF32(from, w[0], w[1], 1, w[2], w[3], to);
        return Status();
      });
    };
    if (has_expand) {
      LINNET_ASSIGN(expand_packed, pack_dense(kExpand, "expand"));
    }
    if (has_project) {
      LINNET_ASSIGN(project_packed, pack_dense(kProject, "project"));
    }
    const Shape& w = c.shape(kDepthwise);
    LINNET_ASSIGN(depthwise_packed, pack(kDepthwise, "depthwise", PackedDepthwiseSizeF32(w[0], w[2], w[3]), [&](const float* from, float* to) {
      PackDepthwiseF32(from, w[0], w[2], w[3], to);
      return Status();
    }));
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    LINNET_ASSIGN(Images images, ImagesOf(c));
    LINNET_ASSIGN(b.expanded_bytes, ByteSize(DType::kFloat, images.expanded.elements()));
    LINNET_ASSIGN(b.between_bytes, ByteSize(DType::kFloat, images.between.elements()));
    b.empty = images.out.elements() == 0;
    if (b.empty) return Status();
    const Shape& x = images.in;
    ConvBlockF32& block = b.block;
    block.has_expand = has_expand;
    block.out_c = images.out[3];
    block.project_packed = project_packed;
    if (has_expand) {
      SetWindow(images.expand, &block.expand);
      block.expand.batch = x[0], block.expand.in_c = x[3], block.expand.out_c = images.expanded[3];
      SetInput(&block.expand, x[1], x[2], x[3]);
      if (expand.reads_first) {
        block.expand.input_pixel_stride = 1;
        block.expand.input_row_stride = x[2];
        block.expand.input_channel_stride = x[1] * x[2];
        block.expand.transpose = transpose;
      }
    }
    ConvF32 middle;
    SetWindow(images.depthwise, &middle);
    SetInput(&middle, middle.in_h, middle.in_w, images.expanded[3]);
    middle.batch = x[0], middle.out_c = middle.output_pixel_stride = images.expanded[3];
    if (middle.in_h == 0 || middle.in_w == 0) {
      // Nothing but padding: let every tap miss a pixel that is not there.
      middle.in_h = middle.in_w = 1;
      middle.pad_top = kWindowMax - 1;
    }
    const DepthwiseF32& d = block.depthwise = DepthwiseOf(middle);

    ConvBlockSizes sizes;
    sizes.expand = has_expand, sizes.project = has_project;
    sizes.batch = d.batch, sizes.in_h = d.in_h, sizes.in_w = d.in_w, sizes.out_h = d.out_h, sizes.out_w = d.out_w;
    sizes.channels = d.channels, sizes.stride_h = d.stride_h;
    sizes.window_h = (d.kernel_h - 1) * d.dilation_h + 1;
    for (int part : {kExpand, kProject}) {
      if (c.has_input(part)) sizes.weight_floats += c.shape(part).elements();
    }
    const double macs = Ns(images.out[1], images.out[2], c, images);
    if (b.expanded_bytes > 0 && sizes.StripsPay()) {
      b.strips = true;
      block.strip_rows = sizes.StripRows(c.threads());
      b.strip_ns = macs * static_cast<double>(block.strip_rows) / 30;
      b.chunk_strips = ChunkStrips(block, c.threads());
      b.expanded_bytes = b.between_bytes = 0;
      b.worker_bytes = RoundUp(ConvBlockScratchBytes(*kernels, block), kAlignment);
    } else {
      if (has_expand) {
        b.expand.conv = block.expand;
        b.expand.conv.output_pixel_stride = d.channels;
        BindWhole(c.threads(), &b.expand, &b.worker_bytes);
      } else {
        b.expanded_bytes = 0;
      }
      if (has_project) {
        ConvF32& conv = b.project.conv;
        conv.batch = d.batch, conv.in_c = d.channels, conv.out_c = block.out_c;
        conv.in_h = conv.out_h = d.out_h, conv.in_w = conv.out_w = d.out_w;
        SetInput(&conv, d.out_h, d.out_w, d.channels);
        conv.output_pixel_stride = block.out_c;
        BindWhole(c.threads(), &b.project, &b.worker_bytes);
      } else {
        b.between_bytes = 0;
      }
      b.expanded_bytes = RoundUp(b.expanded_bytes, kAlignment);
      b.between_bytes = RoundUp(b.between_bytes, kAlignment);
    }
    c.Scratch(b.expanded_bytes + b.between_bytes + b.worker_bytes * c.threads());
    return Status();
  }

  /// Strips that a thread does one after the other: as many chunks for every thread, and more than one, which threads that have
  /// finished can take over, where that costs little: each chunk makes some expanded rows that its neighbour makes too.
  int64_t ChunkStrips(const ConvBlockF32& block, int threads) const {
    constexpr int64_t kChunksMax = 4;
    const DepthwiseF32& d = block.depthwise;
    const int64_t strips = ConvBlockStrips(block), strip_rows = block.strip_rows * d.stride_h;
    const int64_t twice = has_expand ? std::max<int64_t>(0, (d.kernel_h - 1) * d.dilation_h + 1 - d.stride_h) : 0;
    int64_t best = 0, best_rows = 0;
    for (int64_t chunks = 1; chunks <= kChunksMax; ++chunks) {
      const int64_t strips_each = DivUp(strips, threads * chunks);
      const int64_t rows = DivUp(DivUp(strips, strips_each), threads) * (strips_each * strip_rows + twice);
      if (best == 0) best_rows = rows;
      if (best == 0 || rows * 32 <= best_rows * 33) best = strips_each;
      best_rows = std::min(best_rows, rows);
    }
    return best;
  }

  static void SetInput(ConvF32* c, int64_t in_h, int64_t in_w, int64_t in_c) {
    c->input_pixel_stride = in_c;
    c->input_row_stride = in_w * in_c;
    c->input_batch_stride = in_h * c->input_row_stride;
  }

  /// Multiply-adds of an output row of all parts.
  double Ns(int64_t out_h, int64_t out_w, const InferContext& c, const Images& images) const {
    double macs = static_cast<double>(out_w) * static_cast<double>(c.shape(kDepthwise).elements());
    if (has_project) macs += static_cast<double>(out_w) * static_cast<double>(c.shape(kProject).elements());
    if (has_expand) {
      macs += static_cast<double>(images.expanded[1]) * static_cast<double>(images.expanded[2]) / static_cast<double>(out_h) *
              static_cast<double>(c.shape(kExpand).elements());
    }
    return macs;
  }

  void BindWhole(int threads, Whole* w, int64_t* worker_bytes) const {
    const ConvF32& conv = w->conv;
    w->pixels = conv.batch * conv.out_h * conv.out_w;
    w->grain = ConvGrain(*kernels, conv, threads);
    w->pixel_blocks = DivUp(w->pixels, w->grain.rows);
    w->panel_blocks = DivUp(ConvPanels(conv), w->grain.panels);
    w->task_ns = static_cast<double>(w->grain.rows) * static_cast<double>(w->grain.panels) * kPanelColumns *
                 static_cast<double>(conv.in_c * conv.kernel_h * conv.kernel_w) / 30;
    *worker_bytes = std::max(*worker_bytes, RoundUp(ConvScratchBytes(*kernels, conv), kAlignment));
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.empty) return Status();
    ConvBlockF32 block = b.block;
    auto bias = [&](int part) { return c.has_input(part + 1) ? c.in<float>(part + 1) : nullptr; };
    block.expand.input = block.depthwise.input = c.in<float>(0);
    block.expand.packed = expand_packed;
    block.expand.epilogue.bias = bias(kExpand);
    expand.activation.Set(&block.expand.epilogue);
    block.depthwise.packed = depthwise_packed;
    block.depthwise.epilogue.bias = bias(kDepthwise);
    depthwise.activation.Set(&block.depthwise.epilogue);
    block.depthwise.output = block.output = c.out<float>(0);
    block.project.bias = bias(kProject);
    project.activation.Set(&block.project);
    if (c.has_input(kResidual)) block.project.residual = c.in<float>(kResidual);
    block.project.residual_row_stride = block.out_c;
    std::byte* workers = c.scratch() + b.expanded_bytes + b.between_bytes;
    if (!b.strips) return RunWhole(c, b, block, workers);
    const int64_t grain = b.chunk_strips;
    return c.ParallelFor(ConvBlockStrips(block), grain, b.strip_ns, [&](int64_t begin, int64_t end, int worker) {
      RunConvBlockF32(*kernels, run_depthwise, block, begin, end, workers + worker * b.worker_bytes);
    });
  }

  Status RunWhole(RunContext& c, const Bound& b, ConvBlockF32& block, std::byte* workers) const {
    float* expanded = reinterpret_cast<float*>(c.scratch());
    float* between = reinterpret_cast<float*>(c.scratch() + b.expanded_bytes);
    DepthwiseF32& d = block.depthwise;
    if (has_expand) {
      ConvF32 conv = block.expand;
      conv.output = expanded;
      conv.output_pixel_stride = d.channels;
      if (b.expanded_bytes > 0) LINNET_TRY(RunTiles(c, b.expand, conv, workers, b.worker_bytes));
      d.input = expanded;
    }
    if (has_project) d.output = between;
    const double row_ns = static_cast<double>(d.out_w * d.channels * d.kernel_h * d.kernel_w) / 30;
    LINNET_TRY(c.ParallelFor(d.batch * d.out_h, DepthwiseGrain(d, c.threads()), row_ns, [&](int64_t begin, int64_t end, int) {
      run_depthwise(d, begin, end, 0, d.channels);
    }));
    if (!has_project) return Status();
    ConvF32 conv = b.project.conv;
    conv.input = between;
    conv.packed = project_packed;
    conv.output = block.output;
    conv.epilogue = block.project;
    return RunTiles(c, b.project, conv, workers, b.worker_bytes);
  }

  Status RunTiles(RunContext& c, const Whole& w, const ConvF32& conv, std::byte* workers, int64_t worker_bytes) const {
    return c.ParallelFor(w.pixel_blocks * w.panel_blocks, 1, w.task_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end;) {
        // Neighbouring blocks of pixels in one call where they have all panels.
        const int64_t count = w.panel_blocks > 1 ? 1 : end - task;
        const int64_t pixel = task / w.panel_blocks * w.grain.rows, panel = task % w.panel_blocks * w.grain.panels;
        RunConvF32(*kernels, conv, pixel, std::min(w.pixels, pixel + count * w.grain.rows), panel,
                   std::min(ConvPanels(conv), panel + w.grain.panels), workers + worker * worker_bytes);
        task += count;
      }
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(ConvBlock, 1, ConvBlock);

}  // namespace linnet
