// MatMulInteger and QLinearMatMul (10, 21): products of 8-bit integers with zero points, exact in 32 bits.
//
//     MatMulInteger   y = (a - a_zero_point) (b - b_zero_point)                                            int32
//     QLinearMatMul   y = saturate(round(that * a_scale b_scale / y_scale) + y_zero_point)                 8 bits
//
// a's scale and zero point are one number or one per row, b's one number or one per column. Batches broadcast as MatMul's.
// Products run on packed panels (integer_product.h), but where rows differ in scale or zero point.
#include <cmath>

#include "ops/convert.h"
#include "ops/dense_helpers.h"
#include "ops/for_type.h"
#include "ops/integer_product.h"
#include "ops/op.h"
#include "ops/quantize_helpers.h"

namespace linnet {
namespace {

struct Bound {
  IntegerProductParams product;
  bool row_wise = false;   ///< A has a zero point or scale for each row: the plain loop
};

template <bool kQuantizedOutput>
struct IntegerMatMul {
  static constexpr int kA = 0, kB = kQuantizedOutput ? 3 : 1, kAZero = 2, kBZero = kQuantizedOutput ? 5 : 3;
  static constexpr int kAScale = 1, kBScale = 4, kYScale = 6, kYZero = 7;

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kQuantizedOutput ? 8 : 2, kQuantizedOutput ? 8 : 4));
    LINNET_TRY(c.CheckType(kA, kByteTypes));
    LINNET_TRY(c.CheckType(kB, kByteTypes));
    LINNET_ASSIGN(Shape y, MatMulShape(c.shape(kA), false, c.shape(kB), false));
    const Shape &a = c.shape(kA), &b = c.shape(kB);
    LINNET_TRY(CheckCount(c, kAZero, a.rank() >= 2 ? a[a.rank() - 2] : 1));
    LINNET_TRY(CheckCount(c, kBZero, b.rank() >= 2 ? b[b.rank() - 1] : 1));
    if constexpr (kQuantizedOutput) {
      LINNET_TRY(CheckCount(c, kAScale, a.rank() >= 2 ? a[a.rank() - 2] : 1));
      LINNET_TRY(CheckCount(c, kBScale, b.rank() >= 2 ? b[b.rank() - 1] : 1));
      LINNET_TRY(CheckCount(c, kYScale, 1));
      LINNET_TRY(CheckCount(c, kYZero, 1));
      LINNET_TRY(c.CheckType(kYZero, kByteTypes));
      for (int i : {kAScale, kBScale, kYScale}) {
        LINNET_TRY(c.CheckType(i, Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16)));
      }
      return c.SetOutput(0, c.dtype(kYZero), y);
    } else {
      return c.SetOutput(0, DType::kInt32, y);
    }
  }

  /// One number, or `count` of them in any shape.
  static Status CheckCount(const InferContext& c, int i, int64_t count) {
    if (!c.has_input(i) || !c.shape(i).is_static()) return Status();
    int64_t have = c.shape(i).elements();
    if (have == 1 || !IsKnownDim(count) || have == count) return Status();
    return InvalidModel("input ", i, " has ", have, " elements where 1 or ", count, " are expected");
  }

  IntegerProduct product;

  Status Prepare(PrepareContext& c) {
    product.kernels = &PickInt8(c.cpu());
    // Packed only where the plain loop cannot be asked for.
    for (int i : {kAZero, kQuantizedOutput ? kAScale : kAZero}) {
      if (c.has_input(i) && (!c.shape(i).is_static() || c.shape(i).elements() != 1)) return Status();
    }
    return product.Prepare(c, kB);
  }

  Status Bind(BindContext& c) const {
    Bound& p = *c.Params<Bound>();
    for (int i : {kAZero, kQuantizedOutput ? kAScale : kAZero}) {
      p.row_wise = p.row_wise || (c.has_input(i) && c.shape(i).elements() != 1);
    }
    LINNET_ASSIGN(int64_t bytes, product.Plan(c.shape(kA), c.shape(kB), c.threads(), 0, &p.product));
    if (!p.row_wise) c.Scratch(bytes);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& p = c.params<Bound>();
    if (p.row_wise) {
      return ForType<kByteTypes>(c.input_dtype(kA), [&]<class A>() {
        return ForType<kByteTypes>(c.input_dtype(kB), [&]<class B>() { return Multiply<A, B>(c, p.product); });
      });
    }
    IntegerProduct::Operands o;
    o.a = c.input(kA), o.b = c.input(kB), o.y = c.output(0);
    o.a_signed = c.input_dtype(kA) == DType::kInt8, o.b_signed = c.input_dtype(kB) == DType::kInt8;
    o.a_zero = static_cast<int32_t>(ZeroAt(c, kAZero, 0));
    if (c.has_input(kBZero)) o.b_zero = {c.input(kBZero), c.input_dtype(kBZero), c.input_shape(kBZero).elements()};
    if constexpr (kQuantizedOutput) {
      o.a_scale = ScaleAt(c, kAScale, 0), o.y_scale = ScaleAt(c, kYScale, 0);
      o.b_scale = {c.input(kBScale), c.input_dtype(kBScale), c.input_shape(kBScale).elements()};
      const IntegerRange range = RangeOf(c.output_dtype(0));
      FinishBytes(c.output_dtype(0), static_cast<int32_t>(ZeroAt(c, kYZero, 0)), range.low, range.high, &o.finish);
    }
    return product.Run(c, p.product, o);
  }

  static int64_t ZeroAt(const RunContext& c, int i, int64_t at) {
    if (!c.has_input(i)) return 0;
    return LoadInteger(c.input_dtype(i), c.input(i), c.input_shape(i).elements() == 1 ? 0 : at);
  }
  static float ScaleAt(const RunContext& c, int i, int64_t at) {
    float value;
    FindLoad(c.input_dtype(i), Stage::kFloat)(c.input(i), c.input_shape(i).elements() == 1 ? 0 : at, 1, &value);
    return value;
  }

  template <class A, class B>
  Status Multiply(const RunContext& c, const IntegerProductParams& p) const {
    const bool column_zeros = c.has_input(kBZero) && c.input_shape(kBZero).elements() > 1;
    const int64_t b_zero = column_zeros ? 0 : ZeroAt(c, kBZero, 0);
    return c.ParallelFor(p.batches * p.m, 1, static_cast<double>(p.n * p.k) * 0.3, [&](int64_t begin, int64_t end, int) {
      constexpr int64_t kColumns = 256;
      int32_t sums[kColumns];
      for (int64_t row = begin; row < end; ++row) {
        int64_t batch = row / p.m, i = row % p.m;
        int64_t a_matrix = 0, b_matrix = 0;
        p.Locate(batch, &a_matrix, &b_matrix);
        const A* a = c.in<A>(kA) + (a_matrix * p.m + i) * p.k;
        const B* b = c.in<B>(kB) + b_matrix * p.k * p.n;
        const int32_t a_zero = static_cast<int32_t>(ZeroAt(c, kAZero, i));
        for (int64_t j0 = 0; j0 < p.n; j0 += kColumns) {
          const int64_t columns = std::min(kColumns, p.n - j0);
          std::fill_n(sums, columns, 0);
          for (int64_t k = 0; k < p.k; ++k) {
            const int32_t x = static_cast<int32_t>(a[k]) - a_zero;
            const B* w = b + k * p.n + j0;
            const int32_t zero = static_cast<int32_t>(b_zero);
            // Unsigned arithmetic: sums wrap where 32 bits do not hold them.
            for (int64_t j = 0; j < columns; ++j) {
              sums[j] = static_cast<int32_t>(static_cast<uint32_t>(sums[j]) +
                                             static_cast<uint32_t>(x * (static_cast<int32_t>(w[j]) - zero)));
            }
          }
          if (column_zeros) {
            int32_t row_sum = 0;
            for (int64_t k = 0; k < p.k; ++k) row_sum += static_cast<int32_t>(a[k]) - a_zero;
            for (int64_t j = 0; j < columns; ++j) {
              sums[j] = static_cast<int32_t>(static_cast<uint32_t>(sums[j]) -
                                             static_cast<uint32_t>(row_sum) * static_cast<uint32_t>(ZeroAt(c, kBZero, j0 + j)));
            }
          }
          Store(c, (batch * p.m + i) * p.n + j0, i, j0, columns, sums);
        }
      }
    });
  }

  static void Store(const RunContext& c, int64_t at, int64_t i, int64_t j0, int64_t columns, const int32_t* sums) {
    if constexpr (!kQuantizedOutput) {
      std::copy_n(sums, columns, c.out<int32_t>(0) + at);
    } else {
      const DType to = c.output_dtype(0);
      const IntegerRange range = RangeOf(to);
      const double zero = static_cast<double>(ZeroAt(c, kYZero, 0));
      const float y_scale = ScaleAt(c, kYScale, 0), a_scale = ScaleAt(c, kAScale, i);
      for (int64_t j = 0; j < columns; ++j) {
        float multiplier = a_scale * ScaleAt(c, kBScale, j0 + j) / y_scale;
        double rounded = std::nearbyint(static_cast<double>(sums[j]) * multiplier) + zero;
        if (!(rounded == rounded)) rounded = zero;
        int64_t value = static_cast<int64_t>(std::min(std::max(rounded, static_cast<double>(range.low)), static_cast<double>(range.high)));
        c.out<uint8_t>(0)[at + j] = static_cast<uint8_t>(value);
      }
    }
  }
};

}  // namespace

LINNET_OP(MatMulInteger, 10, IntegerMatMul<false>);
LINNET_OP(QLinearMatMul, 10, IntegerMatMul<true>);

}  // namespace linnet
