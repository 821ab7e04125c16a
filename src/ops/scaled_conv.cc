// linnet:ScaledConv: a 1x1 convolution of images whose channels are multiplied by one number each, as squeeze-and-excite
// networks have it.
//
//     y = activation(conv(x * scale, w) + b + residual)       inputs x, w, b?, residual?, scale [batch or 1, 1, 1, channels]
//
// All is float32 with channels last, w is constant. The weights are multiplied instead of the image: fuse_channel_scales
// makes this of convolutions that have fewer outputs than pixels.
#include "kernels/scale_panels.h"

#include "kernels/conv/conv.h"
#include "ops/conv_helpers.h"

namespace linnet {
namespace {

constexpr int kBias = 2, kResidual = 3, kScale = 4;

struct ScaledConv {
  FusedActivation activation;
  const GemmF32Kernels* kernels = nullptr;
  ScalePanelsFn* scale_panels = nullptr;
  const float* packed = nullptr;

  struct Bound {
    int64_t batch = 0, pixels = 0;   ///< scales, and pixels that share one
    int64_t in_c = 0, out_c = 0;
    GemmGrain grain{1, 1};
    double task_ns = 0;
    int64_t worker_bytes = 0;        ///< of scratch: whether the weights are there, and the scaled weights
    int workers = 1;
  };

  Status Parse(const Node& node) { return activation.Parse(node); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, kScale + 1));
    for (int i = 0; i <= kScale; ++i) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    const Shape& w = c.shape(1);
    if (!w.is_static() || w.rank() != 4 || w.elements() == 0 || w[2] * w[3] != 1) {
      return InvalidModel("weights have shape ", ToString(w), " where [out, in, 1, 1] is expected");
    }
    if (!c.has_input(kScale)) return InvalidModel("a scaled convolution without scales");
    LINNET_TRY(c.CheckRank(0, 4));
    LINNET_TRY(c.CheckRank(kScale, 4));
    LINNET_TRY(CheckVector(c, kBias, "bias", w[0]));
    const Shape &x = c.shape(0), &scale = c.shape(kScale);
    if (!x.has_rank()) return c.SetOutput(0, DType::kFloat, Shape());
    if (IsKnownDim(x[3]) && x[3] != w[1]) return InvalidModel("input has ", x[3], " channels where weights need ", w[1]);
    if (scale.is_static() && IsKnownDim(x[0]) && !(scale == Shape{x[0], 1, 1, w[1]}) && !(scale == Shape{1, 1, 1, w[1]})) {
      return InvalidModel("scales have shape ", ToString(scale), " where images have ", ToString(x));
    }
    Shape y = x;
    y[3] = w[0];
    if (c.has_input(kResidual) && c.shape(kResidual).is_static() && y.is_static() && !(c.shape(kResidual) == y)) {
      return InvalidModel("residual has shape ", ToString(c.shape(kResidual)), " where the output has ", ToString(y));
    }
    return c.SetOutput(0, DType::kFloat, y);
  }

  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    scale_panels = PickScalePanels(c.cpu());
    if (!c.is_constant(1)) return InvalidModel("the weights of a scaled convolution are not constant");
    const Shape& w = c.shape(1);
    LINNET_ASSIGN(const void* weights, c.Weights("weights", PackedSizeF32(w[1], w[0]) * 4, [&](void* out) -> Status {
      PackF32(c.data<float>(1), w[1], w[0], 1, w[1], static_cast<float*>(out));
      return Status();
    }));
    packed = static_cast<const float*>(weights);
    c.Drop(1);
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &x = c.shape(0), &y = c.output_shape(0), &scale = c.shape(kScale);
    if (y.elements() == 0) return Status();
    b.batch = scale[0];
    b.pixels = x.Product(0, 3) / b.batch;
    b.in_c = x[3], b.out_c = y[3];
    ConvF32 conv;
    conv.in_c = b.in_c, conv.out_c = b.out_c;
    conv.in_h = conv.out_h = b.pixels;
    conv.input_pixel_stride = conv.input_row_stride = b.in_c;
    conv.input_batch_stride = b.pixels * b.in_c;
    b.grain = ConvGrain(*kernels, conv, c.threads());
    b.task_ns = static_cast<double>(b.grain.rows) * static_cast<double>(b.grain.panels) * kPanelColumns *
                static_cast<double>(b.in_c) / 30;
    b.worker_bytes = static_cast<int64_t>(kAlignment) + RoundUp(PackedSizeF32(b.in_c, b.out_c) * 4, kAlignment);
    b.workers = c.threads();
    c.Scratch(b.worker_bytes * b.workers);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    for (int64_t i = 0; i < b.batch; ++i) LINNET_TRY(RunImage(c, b, i));
    return Status();
  }

  Status RunImage(RunContext& c, const Bound& b, int64_t image) const {
    // Every worker scales the weights for itself: fetching what another has scaled takes as long.
    std::byte* scratch = c.scratch();
    for (int i = 0; i < b.workers; ++i) *reinterpret_cast<bool*>(scratch + i * b.worker_bytes) = false;
    const float* scale = c.in<float>(kScale) + image * b.in_c;
    const int64_t panels = PanelCount(b.out_c);
    GemmF32 g;
    g.a = c.in<float>(0) + image * b.pixels * b.in_c;
    g.a_row_stride = b.in_c;
    g.m = b.pixels, g.n = b.out_c, g.k = b.in_c;
    g.c = c.out<float>(0) + image * b.pixels * b.out_c;
    g.c_row_stride = b.out_c;
    if (c.has_input(kBias)) g.epilogue.bias = c.in<float>(kBias);
    if (c.has_input(kResidual)) g.epilogue.residual = c.in<float>(kResidual) + image * b.pixels * b.out_c;
    g.epilogue.residual_row_stride = b.out_c;
    activation.Set(&g.epilogue);
    const double macs = static_cast<double>(b.pixels) * static_cast<double>(b.in_c) * static_cast<double>(b.out_c);
    const Ahead ahead = c.NextWeights(static_cast<int64_t>(GemmF32::AheadBytes(macs / c.threads())));
    const int64_t ahead_work = DivUp(b.pixels * panels, c.threads());
    const int64_t row_blocks = DivUp(b.pixels, b.grain.rows), panel_blocks = DivUp(panels, b.grain.panels);
    return c.ParallelFor(row_blocks * panel_blocks, 1, b.task_ns, [&](int64_t begin, int64_t end, int worker) {
      std::byte* mine = scratch + worker * b.worker_bytes;
      float* scaled = reinterpret_cast<float*>(mine + kAlignment);
      if (bool& done = *reinterpret_cast<bool*>(mine); !done) {
        scale_panels(packed, b.in_c, panels, scale, scaled);
        done = true;
      }
      GemmF32 product = g;
      UsePackedB(&product, scaled);
      for (int64_t task = begin; task < end;) {
        // Neighbouring blocks of pixels in one call where they have all panels.
        const int64_t count = panel_blocks > 1 ? 1 : end - task;
        const int64_t row = task / panel_blocks * b.grain.rows, panel = task % panel_blocks * b.grain.panels;
        const int64_t row_end = std::min(b.pixels, row + count * b.grain.rows), panel_end = std::min(panels, panel + b.grain.panels);
        const int64_t work = row * panels + panel * (row_end - row);
        product.ahead = AheadPart(ahead, work, work + (row_end - row) * (panel_end - panel), ahead_work);
        kernels->run(product, row, row_end, panel, panel_end);
        task += count;
      }
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(ScaledConv, 1, ScaledConv);

}  // namespace linnet
