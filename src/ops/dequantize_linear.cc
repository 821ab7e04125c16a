// DequantizeLinear: y = (x - x_zero_point) * x_scale, in the scale's type (or output_dtype).
//
// Versions: 10 one scale · 13 a scale per index of `axis` · 19 float8 · 21 blocks, 4 and 16 bits · 23 float4, output_dtype ·
// 25 2 bits. int32 x has no zero point. Computed in float, rounded once to the output's type.
#include "kernels/convert.h"
#include "kernels/int8/quantize_columns.h"
#include "ops/quantize_helpers.h"
#include "ops/packed_weights.h"

namespace linnet {
namespace {

struct DequantizeLinear {
  int64_t axis = 1, block_size = 0;
  DType output_dtype = DType::kUndefined;
  DequantizeFn* fast = nullptr;
  DequantizeColumnsFn* columns = nullptr;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 1));
    LINNET_ASSIGN(block_size, node.Int("block_size", 0));
    LINNET_ASSIGN(int64_t type, node.Int("output_dtype", 0));
    if (block_size < 0) return InvalidModel("attribute block_size is ", block_size);
    if (type != 0 && (!IsKnown(type) || !IsFloating(static_cast<DType>(type)))) return InvalidModel("attribute output_dtype is ", type);
    output_dtype = static_cast<DType>(type);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    LINNET_TRY(c.CheckType(0, kQuantized | Mask(DType::kInt32)));
    LINNET_TRY(c.CheckType(1, Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16) | Mask(DType::kFloat8e8m0)));
    if (c.has_input(2) && c.dtype(0) != DType::kUndefined && c.dtype(2) != DType::kUndefined && c.dtype(2) != c.dtype(0)) {
      return InvalidModel("the zero point is ", DTypeName(c.dtype(2)), " where x is ", DTypeName(c.dtype(0)));
    }
    LINNET_TRY(FitScale(c, axis, block_size, nullptr));
    return c.SetOutput(0, output_dtype != DType::kUndefined ? output_dtype : c.dtype(1), c.shape(0));
  }

  Status Prepare(PrepareContext& c) {
    fast = c.output(0).dtype == DType::kFloat ? PickDequantize(c.dtype(0), c.cpu()) : nullptr;
    columns = fast && c.dtype(1) == DType::kFloat ? PickDequantizeColumns(c.dtype(0), c.cpu()) : nullptr;
    if (!kAnyQuantized && (!fast || c.dtype(1) != DType::kFloat)) return NoSuchNumbers();
    return Status();
  }

  Status Bind(BindContext& c) const { return FitScale(c, axis, block_size, c.Params<ScaleMap>()); }

  Status Run(RunContext& c) const {
    const ScaleMap& map = c.params<ScaleMap>();
    const DType from = c.input_dtype(0), to = c.output_dtype(0);
    LoadFn* load = kAnyQuantized ? FindLoad(from, Stage::kFloat) : nullptr;
    LoadFn* load_scale = kAnyQuantized ? FindLoad(c.input_dtype(1), Stage::kFloat) : nullptr;
    StoreFn* store = !kAnyQuantized || IsStage(to, Stage::kFloat) ? nullptr : FindStore(Stage::kFloat, to);
    if (kAnyQuantized && (!load || !load_scale || (!store && to != DType::kFloat))) return Unsupported("from ", DTypeName(from), " to ", DTypeName(to));
    const int64_t elements = c.input_shape(0).elements();
    const void *x = c.input(0), *scales = c.input(1), *zeros = c.has_input(2) ? c.input(2) : nullptr;
    void* y = c.output(0);
    auto scale_at = [&](int64_t i) {
      if (!kAnyQuantized) return static_cast<const float*>(scales)[i];
      float value;
      load_scale(scales, i, 1, &value);
      return value;
    };
    const bool integer = IsInteger(from);
    auto zero_at = [&](int64_t i) {
      float value = 0;
      if (zeros) load(zeros, i, 1, &value);
      return value;
    };
    return c.ParallelFor(DivUp(elements, kConvertChunk), 16, 0.2 * kConvertChunk, [&](int64_t begin, int64_t end, int) {
      int64_t at = begin * kConvertChunk;
      const int64_t stop = std::min(elements, end * kConvertChunk);
      if (columns && map.IsColumns()) {
        // The last axis has a scale for each index: rows, as far as they reach.
        const int64_t bytes = static_cast<int64_t>(DTypeBytes(from));
        const std::byte* zero = static_cast<const std::byte*>(zeros);
        while (at < stop) {
          const int64_t first = at % map.axis, n = std::min(stop - at, map.axis - first);
          columns(static_cast<const std::byte*>(x) + at * bytes, static_cast<const float*>(scales) + first,
                  zero ? zero + first * bytes : nullptr, n, static_cast<float*>(y) + at);
          at += n;
        }
        return;
      }
      if (fast || !kAnyQuantized) {
        while (at < stop) {
          int64_t n = std::min(stop - at, map.RunFrom(at, elements)), s = map.IndexOf(at);
          int32_t zero = zeros && integer ? static_cast<int32_t>(LoadInteger(from, zeros, s)) : 0;
          fast(static_cast<const std::byte*>(x) + at * static_cast<int64_t>(DTypeBytes(from)), static_cast<float*>(y) + at, n,
               scale_at(s), zero);
          at += n;
        }
        return;
      }
      for (; at < stop; at += kConvertChunk) {
        float stage[kConvertChunk];
        int64_t n = std::min(kConvertChunk, stop - at);
        load(x, at, n, stage);
        for (int64_t i = 0; i < n;) {
          int64_t run = std::min(n - i, map.RunFrom(at + i, elements)), s = map.IndexOf(at + i);
          float scale = scale_at(s), zero = zero_at(s);
          for (int64_t k = i; k < i + run; ++k) stage[k] = (stage[k] - zero) * scale;
          i += run;
        }
        if (!store) {
          std::copy_n(stage, n, static_cast<float*>(y) + at);
          continue;
        }
        StoreOptions options;
        options.dtype = to;
        store(stage, n, y, at, options);
      }
    });
  }
};

}  // namespace

LINNET_OP(DequantizeLinear, 10, DequantizeLinear);
LINNET_MS_OP(DequantizeLinear, 1, DequantizeLinear);

}  // namespace linnet
