// GatherBlockQuantized (com.microsoft, version 1): slices of quantized data picked by index along one axis, as real numbers.
//
//     out[outer][k][inner] = (data[outer][indices[k]][inner] - zero point) * scale
//
// Blocks of block_size elements along quantize_axis share a scale and a zero point. Data are int4 or uint4, or uint8 which holds `bits`
// bits an element along the last axis, the first low; only what is picked is ever made real. Without zero points they are 0, of uint8
// the middle. Indices count from the end when negative; one outside the axis gives zeros.
#include "kernels/convert.h"
#include "ops/movement.h"
#include "ops/quantize_helpers.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct GatherBlockQuantized {
  int64_t bits = 4, block = 128, gather_axis = 0, quantize_axis = 1;
  DequantizeFn* fast = nullptr;   ///< of codes in bytes of their own, to float
  DequantizeNibblesFn* nibbles = nullptr;   ///< of whole blocks of packed ones

  enum { kData, kIndices, kScales, kZeros };

  struct Params {
    int64_t outer, size, inner, count;
    int64_t scale_row, zero_row;   ///< elements of a row of scales; bytes of one of zero points, or 0 where rows are not padded
    ScaleMap map;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(bits, node.Int("bits", 4));
    LINNET_ASSIGN(block, node.Int("block_size", 128));
    LINNET_ASSIGN(gather_axis, node.Int("gather_axis", 0));
    LINNET_ASSIGN(quantize_axis, node.Int("quantize_axis", 1));
    if (bits != 2 && bits != 4 && bits != 8) return InvalidModel("attribute bits is ", bits);
    if (block < 16 || block > kDimMax || (block & (block - 1)) != 0) return InvalidModel("attribute block_size is ", block, ", not a power of two from 16 on");
    return Status();
  }

  bool PacksBytes(const InferContext& c) const { return c.dtype(kData) == DType::kUint8; }

  /// What the data would be without packing.
  Shape Unpacked(const InferContext& c) const {
    Shape shape = c.shape(kData);
    if (PacksBytes(c) && shape.rank() > 0) shape[shape.rank() - 1] = DimMul(shape[shape.rank() - 1], 8 / bits);
    return shape;
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 4));
    const uint32_t kinds = Mask(DType::kUint8) | Mask(DType::kInt4) | Mask(DType::kUint4);
    LINNET_TRY(c.CheckType(kData, kinds));
    LINNET_TRY(c.CheckType(kIndices, Mask(DType::kInt32) | Mask(DType::kInt64)));
    LINNET_TRY(c.CheckType(kScales, Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16)));
    LINNET_TRY(c.CheckType(kZeros, kinds));
    LINNET_TRY(CheckSameType(c, {kData, kZeros}));
    if (c.dtype(kData) != DType::kUndefined && !PacksBytes(c) && bits != 4) return InvalidModel("attribute bits is ", bits, " where data are ", DTypeName(c.dtype(kData)));
    const Shape data = Unpacked(c);
    if (!data.has_rank()) return c.SetOutput(0, c.dtype(kScales), Shape());
    LINNET_ASSIGN(const int g, NormalizeAxis(gather_axis, data.rank()));
    LINNET_ASSIGN(const int q, NormalizeAxis(quantize_axis, data.rank()));
    if (PacksBytes(c) && g != 0) return InvalidModel("attribute gather_axis is ", gather_axis, " where data are uint8");
    if (c.shape(kScales).has_rank()) {
      Shape wanted = data;
      if (IsKnownDim(wanted[q])) wanted[q] = DivUp(wanted[q], block);
      LINNET_TRY(Fits(c, kScales, wanted));
      if (c.has_input(kZeros)) {
        Shape zeros = c.shape(kScales);
        if (PacksBytes(c) && IsKnownDim(zeros[zeros.rank() - 1])) zeros[zeros.rank() - 1] = DivUp(zeros[zeros.rank() - 1] * bits, int64_t{8});
        LINNET_TRY(Fits(c, kZeros, zeros));
      }
    }
    const Shape& indices = c.shape(kIndices);
    if (!indices.has_rank()) return c.SetOutput(0, c.dtype(kScales), Shape());
    const int rank = data.rank() - 1 + indices.rank();
    if (rank > kMaxRank) return Unsupported("rank ", rank, " is above the limit of ", kMaxRank);
    Shape out = Shape::OfRank(0);
    for (int i = 0; i < g; ++i) out.Append(data[i]);
    for (int64_t dim : indices) out.Append(dim);
    for (int i = g + 1; i < data.rank(); ++i) out.Append(data[i]);
    return c.SetOutput(0, c.dtype(kScales), out);
  }

  static Status Fits(const InferContext& c, int input, const Shape& wanted) {
    const Shape& shape = c.shape(input);
    bool fits = !shape.has_rank() || shape.rank() == wanted.rank();
    for (int i = 0; fits && i < shape.rank(); ++i) fits = !IsKnownDim(shape[i]) || !IsKnownDim(wanted[i]) || shape[i] == wanted[i];
    return fits ? Status() : InvalidModel("input ", input, " has shape ", ToString(shape), " where ", ToString(wanted), " is expected");
  }

  Status Prepare(PrepareContext& c) {
    if (c.output(0).dtype == DType::kFloat) fast = PickDequantize(c.dtype(kData) == DType::kInt4 ? DType::kInt8 : DType::kUint8, c.cpu());
    if (bits == 4) nibbles = PickDequantizeNibbles(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    const Shape data = Unpacked(c), &scales = c.shape(kScales);
    const int g = static_cast<int>(gather_axis < 0 ? gather_axis + data.rank() : gather_axis);
    const int q = static_cast<int>(quantize_axis < 0 ? quantize_axis + data.rank() : quantize_axis);
    auto& p = *c.Params<Params>();
    p.outer = data.Product(0, g), p.size = data[g], p.inner = data.Product(g + 1, data.rank());
    p.count = c.shape(kIndices).elements();
    p.scale_row = scales[scales.rank() - 1];
    p.zero_row = PacksBytes(c) && c.has_input(kZeros) ? c.shape(kZeros)[data.rank() - 1] : 0;
    p.map.kind = ScaleMap::Kind::kBlocks;
    p.map.axis = data[q], p.map.inner = data.Product(q + 1, data.rank());
    p.map.block = block, p.map.blocks = scales[q];
    return Status();
  }

  Status Run(RunContext& c) const {
    return ForIndices(c.input_dtype(kIndices), [&]<class Index>() {
      return ForType<Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16)>(c.output_dtype(0), [&]<class T>() -> Status {
        return Pick(c, c.in<Index>(kIndices), c.out<T>(0));
      });
    });
  }

  /// Element `i` of packed ones.
  int32_t CodeAt(const uint8_t* packed, int64_t i, bool is_signed) const {
    if (bits == 8) return packed[i];
    const int64_t at = i * bits;
    const int32_t code = packed[at / 8] >> (at % 8) & ((1 << bits) - 1);
    return is_signed && code >= 8 ? code - 16 : code;
  }

  /// `n` elements from `first` on, a byte each.
  const uint8_t* Unpacked(const uint8_t* packed, int64_t first, int64_t n, bool is_signed, uint8_t* codes) const {
    if (bits == 8) return packed + first;
    int64_t i = 0;
    if (bits == 4) {
      if (first % 2 == 1 && n > 0) codes[i++] = static_cast<uint8_t>(CodeAt(packed, first, is_signed));
      const uint8_t* from = packed + (first + i) / 2;
      // Eight at a time, spread over a word.
      for (; n - i >= 8; i += 8, from += 4) {
        uint32_t four;
        memcpy(&four, from, 4);
        uint64_t x = four;
        x = (x | x << 16) & 0x0000FFFF0000FFFF;
        x = (x | x << 8) & 0x00FF00FF00FF00FF;
        x = (x | x << 4) & 0x0F0F0F0F0F0F0F0F;
        if (is_signed) x |= (x >> 3 & 0x0101010101010101) * 0xF0;
        memcpy(codes + i, &x, 8);
      }
    }
    for (; i < n; ++i) codes[i] = static_cast<uint8_t>(CodeAt(packed, first + i, is_signed));
    return codes;
  }

  template <class Index, class T>
  Status Pick(RunContext& c, const Index* indices, T* out) const {
    const Params& p = c.params<Params>();
    const bool is_signed = c.input_dtype(kData) == DType::kInt4, bytes = c.input_dtype(kData) == DType::kUint8;
    const uint8_t* data = static_cast<const uint8_t*>(c.input(kData));
    const uint8_t* zeros = c.has_input(kZeros) ? static_cast<const uint8_t*>(c.input(kZeros)) : nullptr;
    const T* scales = c.in<T>(kScales);
    auto zero_at = [&](int64_t s) -> int32_t {
      if (!zeros) return bytes ? 1 << (bits - 1) : 0;
      if (!bytes) return CodeAt(zeros, s, is_signed);
      return CodeAt(zeros + s / p.scale_row * p.zero_row, s % p.scale_row, false);
    };
    const int64_t elements = p.outer * p.size * p.inner;
    return c.ParallelFor(p.outer * p.count, 1, 2 + 0.2 * static_cast<double>(p.inner), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        T* y = out + row * p.inner;
        const int64_t given = static_cast<int64_t>(indices[row % p.count]), index = given < 0 ? given + p.size : given;
        if (index < 0 || index >= p.size) {
          for (int64_t i = 0; i < p.inner; ++i) y[i] = Narrow<T>(0.0f);
          continue;
        }
        const int64_t first = (row / p.count * p.size + index) * p.inner;
        if constexpr (std::is_same_v<T, float>) {
          if (nibbles && p.map.inner == 1 && p.map.axis % block == 0 && p.inner % block == 0) {   // whole blocks
            constexpr int64_t kBlocks = 64;
            int32_t each[kBlocks];
            for (int64_t at = 0, s = first / block; at < p.inner; at += kBlocks * block, s += kBlocks) {
              const int64_t blocks = std::min(kBlocks, (p.inner - at) / block);
              for (int64_t k = 0; k < blocks; ++k) each[k] = zero_at(s + k);
              nibbles(data + (first + at) / 2, is_signed, y + at, blocks, block, scales + s, each);
            }
            continue;
          }
          for (int64_t at = 0; at < p.inner; at += kConvertChunk) {
            const int64_t stop = std::min(p.inner, at + kConvertChunk);
            uint8_t memory[kConvertChunk];
            const uint8_t* codes = Unpacked(data, first + at, stop - at, is_signed, memory);
            if (p.map.inner > 1) {
              for (int64_t i = at; i < stop; ++i) {
                const int64_t s = p.map.IndexOf(first + i);
                fast(codes + (i - at), y + i, 1, scales[s], zero_at(s));
              }
              continue;
            }
            // Blocks lie along the last axis: `a` on it, `s` of the scales.
            int64_t a = (first + at) % p.map.axis, s = p.map.IndexOf(first + at);
            for (int64_t i = at, n; i < stop; i += n, ++s) {
              n = std::min({stop - i, block - (a & (block - 1)), p.map.axis - a});
              fast(codes + (i - at), y + i, n, scales[s], zero_at(s));
              a = a + n == p.map.axis ? 0 : a + n;
            }
          }
          continue;
        }
        for (int64_t i = 0; i < p.inner;) {
          const int64_t n = std::min(p.inner - i, p.map.RunFrom(first + i, elements)), s = p.map.IndexOf(first + i);
          const float scale = static_cast<float>(Widen(scales[s]));
          const int32_t zero = zero_at(s);
          for (int64_t stop = i + n; i < stop; ++i) y[i] = Narrow<T>(static_cast<float>(CodeAt(data, first + i, is_signed) - zero) * scale);
        }
      }
    });
  }
};

}  // namespace

LINNET_MS_OP(GatherBlockQuantized, 1, GatherBlockQuantized);

}  // namespace linnet
