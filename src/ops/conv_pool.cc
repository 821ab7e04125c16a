// linnet:ConvPool: what fuse_conv_pools makes of a convolution of few channels and the MaxPool behind it.
//
//     y = MaxPool(conv(x))       inputs x, w and b?
//
// Images are float32 with channels last and two spatial dimensions, weights constant, of one group. The attributes are those of
// linnet:Conv, and with "pool_" before them those of MaxPool. Runs strip by strip (kernels/conv/conv_pool.h).
#include "kernels/conv/conv_pool.h"

#include "ops/conv_helpers.h"
#include "ops/conv_weights.h"
#include "ops/pool_helpers.h"

namespace linnet {
namespace {

struct ConvPool {
  ConvAttributes attributes;
  WindowAttributes pool;
  FusedActivation activation;
  bool reads_first = false;   ///< channels are first in x
  const GemmF32Kernels* kernels = nullptr;
  TransposeFn* transpose = nullptr;
  PoolFn* run_pool = nullptr;
  const float* packed = nullptr;

  struct Bound {
    ConvPoolF32 args;
    bool empty = false;
    double strip_ns = 0;
    int64_t grain = 1, worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_TRY(attributes.Parse(node));
    LINNET_TRY(activation.Parse(node));
    LINNET_ASSIGN(int64_t first, node.Int("channels_first", 0));
    reads_first = first != 0;
    LINNET_TRY(pool.Parse(node.Part("pool_")));
    if (attributes.groups != 1) return InvalidModel("a convolution of ", attributes.groups, " groups");
    if (pool.kernel_shape.size() != 2) return InvalidModel("a pool of ", pool.kernel_shape.size(), " dimensions");
    return Status();
  }

  struct Images {
    Shape in, between, out;   ///< channels last
    Window conv, pool;
  };
  Result<Images> ImagesOf(const InferContext& c) const {
    Images images;
    LINNET_TRY(CheckImage(c.shape(0)));
    LINNET_TRY(c.CheckRank(0, 4));
    images.in = reads_first ? WithChannelsLast(c.shape(0)) : c.shape(0);
    LINNET_ASSIGN(images.between, attributes.Infer(images.in, c.shape(1), Layout::kChannelsLast, &images.conv));
    LINNET_TRY(CheckShape(images.between));
    images.out = Shape::OfRank(4);
    if (!images.between.has_rank() || !images.in.has_rank()) return images;
    LINNET_TRY(pool.Fit(images.between, Layout::kChannelsLast, nullptr, 0, &images.pool));
    const int64_t spatial[] = {images.pool.axes[0].out, images.pool.axes[1].out};
    images.out = ImageShape(Layout::kChannelsLast, images.between[0], images.between[3], spatial);
    return images;
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    for (int i = 0; i < 3; ++i) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    const Shape& w = c.shape(1);
    if (!w.is_static() || w.rank() != 4 || w.elements() == 0) return InvalidModel("weights have shape ", ToString(w));
    LINNET_TRY(CheckVector(c, 2, "bias", w[0]));
    LINNET_ASSIGN(Images images, ImagesOf(c));
    return c.SetOutput(0, DType::kFloat, images.out);
  }

  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    transpose = PickTranspose(4, c.cpu());
    run_pool = PickMaxPool(PoolElement::kFloat, c.cpu());
    if (!c.is_constant(1)) return InvalidModel("the weights are not constant");
    const ConvWeights weights(c.shape(1), 1);
    LINNET_ASSIGN(const void* made, c.Weights("weights", weights.packed_bytes(), [&](void* out) -> Status {
      weights.Pack(c.data<float>(1), static_cast<float*>(out), nullptr);
      return Status();
    }));
    packed = static_cast<const float*>(made);
    c.Drop(1);
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    LINNET_ASSIGN(Images images, ImagesOf(c));
    b.empty = images.out.elements() == 0;
    if (b.empty) return Status();
    for (int i = 0; i < 2; ++i) {
      const WindowAxis& axis = images.pool.axes[i];
      const bool meets = axis.pad <= (axis.kernel - 1) * axis.dilation && (axis.out - 1) * axis.stride - axis.pad < axis.in;
      if (!meets || axis.in == 0) return Unsupported("a pool with windows of padding alone behind a convolution");
    }
    ConvF32& conv = b.args.conv;
    SetWindow(images.conv, &conv);
    conv.batch = images.in[0], conv.in_c = images.in[3], conv.out_c = images.between[3];
    if (conv.in_h == 0 || conv.in_w == 0) conv.in_h = conv.in_w = 1, conv.pad_top = kWindowMax - 1;   // padding alone
    conv.input_pixel_stride = conv.in_c, conv.input_row_stride = conv.in_w * conv.in_c;
    if (reads_first) {
      conv.input_pixel_stride = 1, conv.input_row_stride = conv.in_w, conv.input_channel_stride = conv.in_h * conv.in_w;
      conv.transpose = transpose;
    }
    conv.input_batch_stride = conv.in_h * conv.in_w * conv.in_c;
    conv.output_pixel_stride = conv.out_c;
    PoolArgs& args = b.args.pool;
    args.channels = conv.out_c;
    SetWindow(images.pool, &args);
    // The rows of a strip stay in the second-level cache; every thread gets some strips.
    constexpr int64_t kStripBytes = 256 << 10, kChunks = 2;
    const int64_t row_bytes = conv.out_w * conv.out_c * 4, window = (args.kernel[1] - 1) * args.dilation[1] + 1;
    if (window > kConvPoolWindowMax) return Unsupported("a pool with windows of ", window, " rows behind a convolution");
    const int64_t fit = (kStripBytes / row_bytes - window) / args.stride[1] + 1;
    const int64_t rows = args.out_dims[1], shares = c.threads() > 1 ? c.threads() * kChunks : 1;
    b.args.strip_rows = std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, DivUp(rows, shares)));
    b.grain = DivUp(ConvPoolStrips(b.args), shares);
    b.worker_bytes = RoundUp(ConvPoolScratchBytes(*kernels, b.args), kAlignment);
    b.strip_ns = static_cast<double>(b.args.strip_rows * args.stride[1] * conv.out_w) * static_cast<double>(c.shape(1).elements()) / 30;
    c.Scratch(b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.empty) return Status();
    ConvPoolF32 args = b.args;
    args.conv.input = c.in<float>(0);
    args.conv.packed = packed;
    if (c.has_input(2)) args.conv.epilogue.bias = c.in<float>(2);
    activation.Set(&args.conv.epilogue);
    args.pool.out = c.out<float>(0);
    return c.ParallelFor(ConvPoolStrips(args), b.grain, b.strip_ns, [&](int64_t begin, int64_t end, int worker) {
      RunConvPoolF32(*kernels, run_pool, args, begin, end, c.scratch() + worker * b.worker_bytes);
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(ConvPool, 1, ConvPool);

}  // namespace linnet
