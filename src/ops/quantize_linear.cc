// QuantizeLinear: y = saturate(round(x / y_scale) + y_zero_point), rounding halves to even.
//
// Versions: 10 one scale · 13 a scale per index of `axis` · 19 float8 and half-precision x · 21 blocks, 4 and 16 bits,
// output_dtype · 23 float4, `precision` · 25 2 bits. The output's type is that of y_zero_point, else output_dtype, else
// uint8. Float targets have no zero point other than 0: y = cast(x / y_scale). The quotient is computed in float; since version
// 23 it is rounded to the type that attribute precision names, or else that of y_scale, before it becomes an integer.
#include <cmath>

#include "base/float_types.h"
#include "kernels/convert.h"
#include "kernels/int8/quantize_columns.h"
#include "ops/for_type.h"
#include "ops/packed_weights.h"
#include "ops/quantize_helpers.h"

namespace linnet {
namespace {

struct QuantizeLinear {
  int64_t axis = 1, block_size = 0;
  DType output_dtype = DType::kUndefined;
  bool saturate = true;
  bool rounds_quotient = false;              ///< to `precision`, or the scale's type where that is undefined
  DType precision = DType::kUndefined;
  QuantizeFn* fast = nullptr;
  QuantizeColumnsFn* columns = nullptr;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 1));
    LINNET_ASSIGN(block_size, node.Int("block_size", 0));
    LINNET_ASSIGN(int64_t type, node.Int("output_dtype", 0));
    LINNET_ASSIGN(int64_t saturating, node.Int("saturate", 1));
    if (block_size < 0) return InvalidModel("attribute block_size is ", block_size);
    if (type != 0 && !IsKnown(type)) return InvalidModel("attribute output_dtype is ", type);
    output_dtype = static_cast<DType>(type);
    saturate = saturating != 0;
    rounds_quotient = node.version >= 23;
    LINNET_ASSIGN(int64_t divided_in, node.Int("precision", 0));
    if (divided_in != 0 && (!IsKnown(divided_in) || !(Mask(static_cast<DType>(divided_in)) & kAnyFloat))) {
      return InvalidModel("attribute precision is ", divided_in);
    }
    precision = static_cast<DType>(divided_in);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    LINNET_TRY(c.CheckType(0, Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16) | Mask(DType::kInt32)));
    LINNET_TRY(c.CheckType(1, Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16) | Mask(DType::kInt32) |
                                  Mask(DType::kFloat8e8m0)));
    LINNET_TRY(c.CheckType(2, kQuantized));
    DType to = output_dtype != DType::kUndefined ? output_dtype : DType::kUint8;
    if (c.has_input(2)) {
      if (output_dtype != DType::kUndefined && c.dtype(2) != DType::kUndefined && c.dtype(2) != output_dtype) {
        return InvalidModel("attribute output_dtype is ", DTypeName(output_dtype), " where the zero point is ", DTypeName(c.dtype(2)));
      }
      to = c.dtype(2);
    }
    if (to != DType::kUndefined && !(Mask(to) & kQuantized)) return InvalidModel("numbers are not quantized to ", DTypeName(to));
    LINNET_TRY(FitScale(c, axis, block_size, nullptr));
    return c.SetOutput(0, to, c.shape(0));
  }

  /// The 16-bit type that quotients are rounded to; undefined when float is what is wanted.
  DType Narrowing(DType scale_type) const {
    const DType type = precision != DType::kUndefined ? precision : scale_type;
    return rounds_quotient && (type == DType::kFloat16 || type == DType::kBfloat16) ? type : DType::kUndefined;
  }
  static float Rounded(DType type, float value) {
    return type == DType::kFloat16 ? ToFloat(ToFloat16(value)) : type == DType::kBfloat16 ? ToFloat(ToBfloat16(value)) : value;
  }

  Status Prepare(PrepareContext& c) {
    // A scale whose type is not known yet may still ask for rounding.
    if (kAnyQuantized && rounds_quotient && (c.dtype(1) == DType::kUndefined || Narrowing(c.dtype(1)) != DType::kUndefined)) return Status();
    fast = c.dtype(0) == DType::kFloat ? PickQuantize(c.output(0).dtype, c.cpu()) : nullptr;
    const bool floats = c.dtype(0) == DType::kFloat && c.dtype(1) == DType::kFloat;
    columns = floats ? PickQuantizeColumns(c.output(0).dtype, c.cpu()) : nullptr;
    if (!kAnyQuantized && (!fast || !floats)) return NoSuchNumbers();
    return Status();
  }

  Status Bind(BindContext& c) const { return FitScale(c, axis, block_size, c.Params<ScaleMap>()); }

  Status Run(RunContext& c) const {
    const ScaleMap& map = c.params<ScaleMap>();
    const DType from = c.input_dtype(0), to = c.output_dtype(0), scale_type = c.input_dtype(1);
    const DType narrowing = Narrowing(scale_type);
    const bool integer = IsInteger(to);
    LoadFn* load = kAnyQuantized ? FindLoad(from, Stage::kFloat) : nullptr;
    LoadFn* load_scale = kAnyQuantized ? FindLoad(scale_type, Stage::kFloat) : nullptr;
    StoreFn* store = kAnyQuantized ? FindStore(integer ? Stage::kInt64 : Stage::kFloat, to) : nullptr;
    const IntegerRange range = integer ? RangeOf(to) : IntegerRange();
    const int64_t elements = c.input_shape(0).elements();
    const void *x = c.input(0), *scales = c.input(1), *zeros = c.has_input(2) && integer ? c.input(2) : nullptr;
    void* y = c.output(0);
    auto scale_at = [&](int64_t i) {
      if (!kAnyQuantized) return static_cast<const float*>(scales)[i];
      float value;
      load_scale(scales, i, 1, &value);
      return value;
    };
    auto zero_at = [&](int64_t i) { return zeros ? LoadInteger(to, zeros, i) : 0; };

    return c.ParallelFor(DivUp(elements, kConvertChunk), 16, 0.2 * kConvertChunk, [&](int64_t begin, int64_t end, int) {
      int64_t at = begin * kConvertChunk;
      const int64_t stop = std::min(elements, end * kConvertChunk);
      if (columns && map.IsColumns()) {
        // The last axis has a scale for each index: rows, as far as they reach.
        const uint8_t* zero = static_cast<const uint8_t*>(zeros);
        while (at < stop) {
          const int64_t first = at % map.axis, n = std::min(stop - at, map.axis - first);
          columns(static_cast<const float*>(x) + at, static_cast<const float*>(scales) + first, zero ? zero + first : nullptr, n,
                  static_cast<uint8_t*>(y) + at);
          at += n;
        }
        return;
      }
      if (fast || !kAnyQuantized) {
        while (at < stop) {
          int64_t n = std::min(stop - at, map.RunFrom(at, elements)), s = map.IndexOf(at);
          fast(static_cast<const float*>(x) + at, static_cast<std::byte*>(y) + at * static_cast<int64_t>(DTypeBytes(to)), n,
               scale_at(s), static_cast<int32_t>(zero_at(s)));
          at += n;
        }
        return;
      }
      for (; at < stop; at += kConvertChunk) {
        float stage[kConvertChunk];
        int64_t whole[kConvertChunk];
        int64_t n = std::min(kConvertChunk, stop - at);
        load(x, at, n, stage);
        for (int64_t i = 0; i < n;) {
          int64_t run = std::min(n - i, map.RunFrom(at + i, elements)), s = map.IndexOf(at + i);
          float scale = Rounded(narrowing, scale_at(s));
          double zero = static_cast<double>(zero_at(s));
          for (int64_t k = i; k < i + run; ++k) {
            stage[k] = Rounded(narrowing, Rounded(narrowing, stage[k]) / scale);
            if (!integer) continue;
            double rounded = std::nearbyint(stage[k]) + zero;
            // NaN gives the zero point, as the vector loop does.
            if (!(rounded == rounded)) rounded = zero;
            whole[k] = rounded <= static_cast<double>(range.low)    ? range.low
                       : rounded >= static_cast<double>(range.high) ? range.high
                                                                    : static_cast<int64_t>(rounded);
          }
          i += run;
        }
        StoreOptions options;
        options.dtype = to;
        options.saturate = saturate;
        store(integer ? static_cast<const void*>(whole) : stage, n, y, at, options);
      }
    });
  }
};

}  // namespace

LINNET_OP(QuantizeLinear, 10, QuantizeLinear);
LINNET_MS_OP(QuantizeLinear, 1, QuantizeLinear);

}  // namespace linnet
