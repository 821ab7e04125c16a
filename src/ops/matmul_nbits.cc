// MatMulNBits (com.microsoft, version 1): a product with weights of 4 or 8 bits that share a scale along blocks.
//
//     Y = A dequantized(B)^T + bias      inputs A [..., K], B [N][K/block][block bits / 8], scales [N][K/block],
//                                        zero_points?, g_idx?, bias?
//
// B is kept as codes (kernels/nbits/nbits.h): 4 bits and a share of a scale each. A product of few rows reads the codes; for
// many, some panels at a time become floats in scratch and go through the float product. accuracy_level is permission to be
// less exact, of which no use is made.
#include <algorithm>

#include "base/float_types.h"
#include "kernels/convert.h"
#include "kernels/nbits/nbits.h"
#include "ops/op.h"

namespace linnet {
namespace {

constexpr uint32_t kFloats = Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);
/// Nanoseconds of a multiply-add, roughly: of many rows, and of few, which wait for the codes.
constexpr double kNsPerMac = 0.03, kNsPerCode = 0.06;

struct MatMulNBits {
  enum Input { kA, kB, kScales, kZeros, kGroups, kBias };

  /// Plain data. Offsets are bytes into scratch; -1: not used.
  struct Bound {
    int64_t m = 0;
    bool direct = false;           ///< codes are read where they lie
    int64_t panels_a_task = 1;
    int64_t packed_at = -1, wide_a_at = -1, padded_at = -1, sums_at = -1, bias_at = -1, wide_y_at = -1;
    int64_t worker_at = -1, worker_bytes = 0;
  };

  NBits shape;
  const NBitsKernels* kernels = nullptr;
  const GemmF32Kernels* gemm = nullptr;
  CpuLevel cpu{};
  const std::byte* packed = nullptr;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(shape.k, node.Int("K", 0));
    LINNET_ASSIGN(shape.n, node.Int("N", 0));
    LINNET_ASSIGN(int64_t bits, node.Int("bits", 4));
    LINNET_ASSIGN(shape.block, node.Int("block_size", 0));
    if (shape.k <= 0 || shape.n <= 0) return InvalidModel("attributes K and N are ", shape.k, " and ", shape.n);
    if (bits < 1 || bits > 8) return InvalidModel("attribute bits is ", bits);
    if (bits != 4 && bits != 8) return Unsupported("weights of ", bits, " bits");
    LINNET_ASSIGN(int64_t prepacked, node.Int("weight_prepacked", 0));
    if (prepacked != 0) return Unsupported("weights packed for another machine (attribute weight_prepacked)");
    if (shape.block < 16 || shape.block > (1 << 20) || (shape.block & (shape.block - 1)) != 0) {
      return InvalidModel("attribute block_size is ", shape.block, ", not a power of two from 16 on");
    }
    int64_t elements;
    if (shape.k > kElementsMax || !CheckedMul(RoundUp(shape.k, shape.block), RoundUp(shape.n, kPanelColumns), &elements) || elements > kElementsMax) {
      return LimitReached("a matrix of ", shape.k, " x ", shape.n);
    }
    shape.bits = static_cast<int>(bits);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 6));
    if (c.has_input(kGroups)) return Unsupported("input g_idx: rows must be in the order of their blocks");
    LINNET_TRY(c.CheckType(kA, kFloats));
    LINNET_TRY(c.CheckType(kB, Mask(DType::kUint8)));
    LINNET_TRY(c.CheckType(kZeros, Mask(DType::kUint8) | kFloats));
    for (int i : {kScales, kBias}) {
      LINNET_TRY(c.CheckType(i, kFloats));
      if (c.has_input(i) && c.dtype(kA) != DType::kUndefined && c.dtype(i) != DType::kUndefined && c.dtype(i) != c.dtype(kA)) {
        return InvalidModel("input ", i, " is ", DTypeName(c.dtype(i)), " where A is ", DTypeName(c.dtype(kA)));
      }
    }
    const bool real_zeros = c.has_input(kZeros) && IsFloating(c.dtype(kZeros));
    LINNET_TRY(CheckElements(c, kB, shape.n * shape.padded_k() * shape.bits / 8));
    LINNET_TRY(CheckElements(c, kScales, shape.n * shape.blocks()));
    LINNET_TRY(CheckElements(c, kZeros, real_zeros ? shape.n * shape.blocks() : shape.n * ZeroBytes()));
    LINNET_TRY(CheckElements(c, kBias, shape.n));
    Shape y = c.shape(kA);
    if (y.has_rank()) {
      if (y.rank() == 0) return InvalidModel("A must have at least one dimension");
      if (IsKnownDim(y[y.rank() - 1]) && y[y.rank() - 1] != shape.k) {
        return InvalidModel("A has ", y[y.rank() - 1], " columns where K is ", shape.k);
      }
      y[y.rank() - 1] = shape.n;
    }
    return c.SetOutput(0, c.dtype(kA), y);
  }

  static Status CheckElements(const InferContext& c, int i, int64_t count) {
    if (!c.has_input(i) || !c.shape(i).is_static() || c.shape(i).elements() == count) return Status();
    return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where ", count, " elements are expected");
  }
  int64_t ZeroBytes() const { return (shape.blocks() * shape.bits + 7) / 8; }

  // Packed: words, scales, zero points of either kind.
  int64_t WordBytes() const { return PanelCount(shape.n) * shape.words_a_panel() * 4; }
  int64_t ScaleBytes() const { return PanelCount(shape.n) * shape.scales_a_panel() * 4; }
  int64_t PackedBytes(const InferContext& c) const {
    const int64_t zeros = !c.has_input(kZeros) ? 0 : c.dtype(kZeros) == DType::kUint8 ? ScaleBytes() / 4 : ScaleBytes();
    return RoundUp(WordBytes() + ScaleBytes() + zeros, static_cast<int64_t>(kAlignment));
  }
  NBits Weights(const std::byte* at, bool zeros, bool real_zeros) const {
    NBits w = shape;
    w.words = reinterpret_cast<const uint32_t*>(at);
    w.scales = reinterpret_cast<const float*>(at + WordBytes());
    const std::byte* behind = at + WordBytes() + ScaleBytes();
    if (zeros && real_zeros) w.float_zeros = reinterpret_cast<const float*>(behind);
    if (zeros && !real_zeros) w.zeros = reinterpret_cast<const int8_t*>(behind);
    return w;
  }
  static float Real(DType dtype, const void* data, int64_t i) {
    if (dtype == DType::kFloat) return static_cast<const float*>(data)[i];
    return dtype == DType::kFloat16 ? ToFloat(static_cast<const Float16*>(data)[i]) : ToFloat(static_cast<const Bfloat16*>(data)[i]);
  }
  /// Numbers [n][blocks] of any float type, less `middle`, as panels.
  void PackReals(DType dtype, const void* data, float middle, float* out) const {
    if (dtype == DType::kFloat && middle == 0) return PackNBitsScales(static_cast<const float*>(data), shape, out);
    const int64_t blocks = shape.blocks();
    for (int64_t p = 0; p < PanelCount(shape.n); ++p) {
      for (int64_t b = 0; b < blocks; ++b) {
        for (int64_t j = p * kPanelColumns; j < (p + 1) * kPanelColumns; ++j) {
          *out++ = j < shape.n ? Real(dtype, data, j * blocks + b) - middle : 0;
        }
      }
    }
  }
  void Pack(const void* b, DType scale_type, const void* scales, DType zero_type, const void* zeros, std::byte* out) const {
    PackNBits(static_cast<const uint8_t*>(b), shape, reinterpret_cast<uint32_t*>(out));
    PackReals(scale_type, scales, 0, reinterpret_cast<float*>(out + WordBytes()));
    if (!zeros) return;
    std::byte* behind = out + WordBytes() + ScaleBytes();
    if (zero_type == DType::kUint8) {
      PackNBitsZeros(static_cast<const uint8_t*>(zeros), shape, reinterpret_cast<int8_t*>(behind));
    } else {
      PackReals(zero_type, zeros, shape.bits == 4 ? 8.0f : 128.0f, reinterpret_cast<float*>(behind));
    }
  }

  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    kernels = &PickNBits(cpu);
    gemm = &PickGemmF32(cpu);
    if (!c.is_constant(kB) || !c.is_constant(kScales) || (c.has_input(kZeros) && !c.is_constant(kZeros))) return Status();
    LINNET_ASSIGN(const void* made, c.Weights("nbits", PackedBytes(c), [&](void* out) {
      const DType zero_type = c.has_input(kZeros) ? c.dtype(kZeros) : DType::kUndefined;
      Pack(c.data(kB), c.dtype(kScales), c.data(kScales), zero_type, c.has_input(kZeros) ? c.data(kZeros) : nullptr, static_cast<std::byte*>(out));
      return Status();
    }));
    packed = static_cast<const std::byte*>(made);
    for (int i : {kB, kScales, kZeros}) {
      if (c.has_input(i)) c.Drop(i);
    }
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& a = c.shape(kA);
    b.m = a.Product(0, a.rank() - 1);
    if (b.m == 0) return Status();
    b.direct = b.m <= kNBitsRowsMax;
    int64_t bytes = 0;
    bool fits = true;
    auto area = [&](int64_t rows, int64_t columns, int64_t size = 4) {
      const int64_t at = bytes;
      int64_t count;
      fits = fits && CheckedMul(rows, columns, &count) && count <= kElementsMax;
      if (fits) bytes += RoundUp(count * size, static_cast<int64_t>(kAlignment));
      return at;
    };
    const bool half = c.dtype(kA) != DType::kFloat;
    if (!packed) b.packed_at = area(PackedBytes(c), 1, 1);
    if (half) b.wide_a_at = area(b.m, shape.k), b.wide_y_at = area(b.m, shape.n);
    if (half && c.has_input(kBias)) b.bias_at = area(shape.n, 1);
    if (b.direct && shape.padded_k() != shape.k) b.padded_at = area(b.m, shape.padded_k());
    if (b.direct && c.has_input(kZeros)) b.sums_at = area(b.m, shape.blocks());
    // A task is worth waking a thread for.
    const int64_t panels = PanelCount(shape.n);
    if (b.direct) {
      b.panels_a_task = std::clamp<int64_t>(400000 / (b.m * shape.padded_k() * kPanelColumns), 1, panels);
    } else {
      b.panels_a_task = std::min<int64_t>(std::max<int64_t>(gemm->columns / kPanelColumns, 1), panels);
      b.worker_at = area(b.panels_a_task * kPanelColumns, shape.k);
      b.worker_bytes = bytes - b.worker_at;
      for (int i = 1; i < c.threads(); ++i) area(b.panels_a_task * kPanelColumns, shape.k);
    }
    if (!fits) return LimitReached("scratch for ", b.m, " rows of ", shape.k, " and ", shape.n, " columns");
    c.Scratch(bytes);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.m == 0) return Status();
    auto floats = [&](int64_t at) { return reinterpret_cast<float*>(c.scratch() + at); };
    const bool has_zeros = c.has_input(kZeros);
    const DType zero_type = has_zeros ? c.input_dtype(kZeros) : DType::kUndefined;
    const std::byte* weights = packed;
    if (!weights) {
      std::byte* made = c.scratch() + b.packed_at;
      Pack(c.input(kB), c.input_dtype(kScales), c.input(kScales), zero_type, has_zeros ? c.input(kZeros) : nullptr, made);
      weights = made;
    }
    const NBits w = Weights(weights, has_zeros, has_zeros && zero_type != DType::kUint8);
    const DType dtype = c.input_dtype(kA);
    const bool half = dtype != DType::kFloat;
    const float* a = half ? floats(b.wide_a_at) : c.in<float>(kA);
    float* y = half ? floats(b.wide_y_at) : c.out<float>(0);
    const float* bias = !c.has_input(kBias) ? nullptr : half ? floats(b.bias_at) : c.in<float>(kBias);
    if (half) {
      ConvertFn* widen = PickConvert(dtype, DType::kFloat, cpu);
      widen(c.input(kA), floats(b.wide_a_at), b.m * w.k);
      if (bias) widen(c.input(kBias), floats(b.bias_at), w.n);
    }
    LINNET_TRY(b.direct ? MultiplyCodes(c, b, w, a, bias, y) : MultiplyFloats(c, b, w, a, bias, y));
    if (half) PickConvert(DType::kFloat, dtype, cpu)(y, c.output(0), b.m * w.n);
    return Status();
  }

  Status MultiplyCodes(RunContext& c, const Bound& b, const NBits& w, const float* a, const float* bias, float* y) const {
    int64_t stride = w.k;
    if (b.padded_at >= 0) {
      stride = w.padded_k();
      float* padded = reinterpret_cast<float*>(c.scratch() + b.padded_at);
      for (int64_t i = 0; i < b.m; ++i) {
        std::copy_n(a + i * w.k, w.k, padded + i * stride);
        std::fill_n(padded + i * stride + w.k, stride - w.k, 0.0f);
      }
      a = padded;
    }
    float* sums = nullptr;
    if (b.sums_at >= 0) {
      sums = reinterpret_cast<float*>(c.scratch() + b.sums_at);
      for (int64_t i = 0; i < b.m * w.blocks(); ++i) {
        const float* at = a + i / w.blocks() * stride + i % w.blocks() * w.block;
        float parts[8] = {};
        for (int64_t k = 0; k < w.block; ++k) parts[k % 8] += at[k];
        sums[i] = ((parts[0] + parts[1]) + (parts[2] + parts[3])) + ((parts[4] + parts[5]) + (parts[6] + parts[7]));
      }
    }
    const int64_t panels = PanelCount(w.n);
    const double ns = kNsPerCode * static_cast<double>(w.padded_k() * kPanelColumns * b.panels_a_task);
    return c.ParallelFor(DivUp(panels, b.panels_a_task), 1, ns, [&](int64_t begin, int64_t end, int) {
      kernels->multiply(w, a, stride, sums, static_cast<int>(b.m), bias, y, w.n, begin * b.panels_a_task,
                        std::min(panels, end * b.panels_a_task));
    });
  }

  Status MultiplyFloats(RunContext& c, const Bound& b, const NBits& w, const float* a, const float* bias, float* y) const {
    const int64_t panels = PanelCount(w.n);
    const double ns = kNsPerMac * static_cast<double>(w.k * kPanelColumns * b.panels_a_task) * static_cast<double>(b.m + 3);
    return c.ParallelFor(DivUp(panels, b.panels_a_task), 1, ns, [&](int64_t begin, int64_t end, int worker) {
      float* unpacked = reinterpret_cast<float*>(c.scratch() + b.worker_at + worker * b.worker_bytes);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task * b.panels_a_task, count = std::min(panels - first, b.panels_a_task);
        for (int64_t p = 0; p < count; ++p) kernels->unpack(w, first + p, unpacked + p * w.k * kPanelColumns);
        GemmF32 g;
        g.a = a, g.a_row_stride = w.k;
        g.m = b.m, g.k = w.k;
        g.only_row = b.m == 1;
        g.n = std::min(w.n - first * kPanelColumns, count * kPanelColumns);
        UsePackedB(&g, unpacked);
        g.c = y + first * kPanelColumns, g.c_row_stride = w.n;
        if (bias) g.epilogue.bias = bias + first * kPanelColumns;
        gemm->run(g, 0, b.m, 0, count);
      }
    });
  }
};

}  // namespace

LINNET_MS_OP(MatMulNBits, 1, MatMulNBits);

}  // namespace linnet
