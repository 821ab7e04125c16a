// Quantization: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear and the products of quantized tensors.
//
// Sums of products are exact integers. x / y_scale is rounded to the type it is divided in (since version 23 that of attribute
// precision, else that of y_scale; before, float), then to the nearest integer, halves to even. Everything else that is
// real stays exact until it is stored.
#include "providers/reference/quantization.h"

#include <math.h>

#include <algorithm>

#include "providers/reference/convolution.h"
#include "providers/reference/elementwise.h"
#include "providers/reference/families.h"
#include "providers/reference/matrix.h"
#include "providers/reference/window.h"

namespace linnet::reference {
namespace {

/// saturate(round(value) + zero) as a number of the integer type; NaN as the zero point.
double Saturated(DType dtype, double value, double zero) {
  const double rounded = isnan(value) ? zero : nearbyint(value) + zero;
  const bool is_signed = IsSigned(dtype);
  const double low = is_signed ? static_cast<double>(Lowest<int64_t>(dtype)) : 0;
  const double high = is_signed ? static_cast<double>(Highest<int64_t>(dtype)) : static_cast<double>(Highest<uint64_t>(dtype));
  return std::clamp(rounded, low, high);
}

/// Where the scale (and zero point) of the element at `index` is: one for all, one for each index of `axis`, or one for
/// each block of `axis`.
int64_t ScaleOffset(const Call& c, const Index& index) {
  const Shape &x = c.shape(0), &scale = c.shape(1);
  if (scale.elements() == 1) return 0;
  const int axis = c.Axis(1);
  if (scale.rank() == 1 && x.rank() >= 1 && c.Int("block_size", 0) == 0) return index[U(axis)];
  const int64_t given = c.Int("block_size", 0), block = given > 0 ? given : DivUp(x[axis], scale[axis]);
  Index from = index;
  from[U(axis)] /= block;
  return OffsetOf(scale, from);
}

Status QuantizeLinear(Call& c) {
  const Reals x = c.In(0), scale = c.In(1), zero = c.InOr(2, 0, c.shape(1));
  const Rounding rounding{c.Flag("saturate", true), E8m0Rounding::kUp};
  DType precision = static_cast<DType>(c.Int("precision", 0));
  if (precision == DType::kUndefined) precision = c.version() < 23 ? DType::kFloat : c.dtype(1);
  if (!IsFloating(precision) || DTypeBits(precision) < 16) precision = DType::kFloat;
  Reals y(x.shape);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const int64_t s = ScaleOffset(c, index);
    const double quotient = RoundedTo(precision, RoundedTo(precision, x[at]) / RoundedTo(precision, scale[s]));
    y[at] = IsFloating(c.out_dtype()) ? quotient : Saturated(c.out_dtype(), quotient, zero[zero.size() == 1 ? 0 : s]);
  });
  return c.Out(0, y, rounding);
}

Status DequantizeLinear(Call& c) {
  const Reals scale = c.In(1), zero = c.InOr(2, 0, c.shape(1));
  Reals x = c.In(0);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const int64_t s = ScaleOffset(c, index);
    x[at] = (x[at] - zero[zero.size() == 1 ? 0 : s]) * scale[s];
  });
  return c.Out(0, x);
}

/// To uint8 with a scale and zero point from the data's own range, which always includes 0; in float throughout. Data
/// without a range has scale 1.
Status DynamicQuantizeLinear(Call& c) {
  Reals x = c.In(0);
  const ByteRange range(x.data);
  for (double& v : x.data) v = range.Rounded(v);
  LINNET_TRY(c.Out(0, x));
  LINNET_TRY(c.Out(1, Reals(Shape::OfRank(0), range.scale)));
  return c.Out(2, Reals(Shape::OfRank(0), range.zero));
}

/// Input `i` minus its zero points (input `z`): one, or one for each index of `axis`.
Integers Centered(const Call& c, int i, int z, int axis) {
  Integers x = c.In<int64_t>(i);
  if (!c.Has(z)) return x;
  const Integers zero = c.In<int64_t>(z);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    x[at] -= zero[zero.size() == 1 ? 0 : index[U(axis)]];
  });
  return x;
}
/// Zero points of A belong to rows, those of B to columns.
Integers IntegerProduct(const Call& c, int a, int a_zero, int b, int b_zero) {
  return Product(Centered(c, a, a_zero, std::max(0, c.rank(a) - 2)), Centered(c, b, b_zero, c.rank(b) - 1));
}
double Each(const Reals& values, int64_t i) { return values[values.size() == 1 ? 0 : i]; }

Status MatMulInteger(Call& c) { return c.Out(0, IntegerProduct(c, 0, 2, 1, 3)); }

Status QLinearMatMul(Call& c) {
  const Integers product = IntegerProduct(c, 0, 2, 3, 5);
  const Reals a_scale = c.In(1), b_scale = c.In(4);
  const double y_scale = c.First(6), zero = c.First(7);
  const int rank = product.shape.rank();
  Reals y(product.shape);
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) {
    const int64_t row = rank > 1 ? index[U(rank - 2)] : 0,
                  column = rank > 0 ? index[U(rank - 1)] : 0;
    const double scale = Each(a_scale, row) * Each(b_scale, column) / y_scale;
    y[at] = Saturated(c.out_dtype(), static_cast<double>(static_cast<int32_t>(product[at])) * scale, zero);
  });
  return c.Out(0, y);
}

Status QLinearConv(Call& c) {
  const Integers x = Centered(c, 0, 2, 0), w = Centered(c, 3, 5, 0);
  Integers sums = Convolve(x, w, Window::Of(c, x.shape, &w.shape), c.Int("group", 1));
  if (c.Has(8)) AddBias(&sums, c.In<int64_t>(8).data);
  const Reals w_scale = c.In(4);
  const double x_scale = c.First(1), y_scale = c.First(6), zero = c.First(7);
  Reals y(sums.shape);
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) {
    const double scale = x_scale * Each(w_scale, index[1]) / y_scale;
    y[at] = Saturated(c.out_dtype(), static_cast<double>(static_cast<int32_t>(sums[at])) * scale, zero);
  });
  return c.Out(0, y);
}

// com.microsoft: inputs are triples of tensor, scale and zero point, then the output's scale and zero point -----------

Reals Dequantized(const Call& c, int i) {
  Reals x = c.In(i);
  const double scale = c.First(i + 1), zero = c.First(i + 2);
  for (double& v : x.data) v = (v - zero) * scale;
  return x;
}
Status Quantized(const Call& c, Reals y, int scale_input) {
  const double scale = c.First(scale_input), zero = c.First(scale_input + 1);
  for (double& v : y.data) v = Saturated(c.out_dtype(), v / scale, zero);
  return c.Out(0, y);
}
Status QLinearAdd(Call& c) { return Quantized(c, Combine(Dequantized(c, 0), Dequantized(c, 3), Plus<double>), 6); }
Status QLinearMul(Call& c) { return Quantized(c, Combine(Dequantized(c, 0), Dequantized(c, 3), Times<double>), 6); }
Status QLinearSigmoid(Call& c) {
  Reals x = Dequantized(c, 0);
  for (double& v : x.data) v = 1 / (1 + exp(-v));
  return Quantized(c, x, 3);
}
Status QLinearLeakyRelu(Call& c) {
  const double alpha = c.Float("alpha", 0.01f);
  Reals x = Dequantized(c, 0);
  for (double& v : x.data) v = v < 0 ? alpha * v : v;
  return Quantized(c, x, 3);
}

/// The mean over all spatial dimensions, or over the taps of a window that lie inside (with count_include_pad, over those in
/// the padding too).
Status QLinearPool(Call& c, bool global) {
  const bool last = c.Flag("channels_last"), padding = c.Flag("count_include_pad");
  const Reals x = Dequantized(c, 0);
  const int rank = x.shape.rank();
  // As an image with channels first.
  auto order = [&](const Index& first) {
    Index index = first;
    for (int d = 1; last && d < rank; ++d) index[U(d)] = d == rank - 1 ? first[1] : first[U(d + 1)];
    return index;
  };
  Shape image = x.shape;
  for (int d = 1; last && d < rank; ++d) image[d] = d == 1 ? x.shape[rank - 1] : x.shape[d - 1];
  const Window window = global ? Window() : Window::Of(c, image, nullptr);
  Shape first = image;
  for (int d = 2; d < rank; ++d) first[d] = global ? 1 : window.axes[U(d - 2)].out;
  Reals y(c.out_shape());
  ForEachIndex(first, [&](const Index& index, int64_t) {
    double sum = 0, count = 0;
    Index from = index;
    auto add = [&](int64_t offset) {
      for (int d = rank - 1; d >= 2; --d) {
        from[U(d)] = offset % image[d];
        offset /= image[d];
      }
      sum += x[order(from)];
    };
    if (global) {
      count = static_cast<double>(image.Product(2, rank));
      for (int64_t i = 0; i < image.Product(2, rank); ++i) add(i);
    } else {
      Index o{};
      std::copy(index.begin() + 2, index.end(), o.begin());
      const std::vector<Window::Tap> taps = window.Taps(o);
      for (const Window::Tap& tap : taps) add(tap.in);
      count = padding ? 1 : static_cast<double>(taps.size());
      for (size_t d = 0; padding && d < window.axes.size(); ++d) {
        const WindowAxis& axis = window.axes[d];
        int64_t inside = 0;
        for (int64_t t = 0; t < axis.kernel; ++t) inside += o[d] * axis.stride - axis.pad + t * axis.dilation < axis.in + axis.pad_end;
        count *= static_cast<double>(inside);
      }
    }
    y[order(index)] = count == 0 ? 0 : sum / count;
  });
  return Quantized(c, y, 3);
}
Status QLinearGlobalAveragePool(Call& c) { return QLinearPool(c, true); }
Status QLinearAveragePool(Call& c) { return QLinearPool(c, false); }

Status QLinearConcat(Call& c) {
  Reals y(c.out_shape());
  const int axis = c.Axis(0, 2);
  int64_t begin = 0;
  for (int i = 2; i < c.inputs(); i += 3) {
    const Reals x = Dequantized(c, i);
    ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
      Index to = index;
      to[U(axis)] += begin;
      y[to] = x[at];
    });
    begin += x.shape[axis];
  }
  return Quantized(c, y, 0);
}

/// Over the elements that share all indices but those of `axis` (before opset 13: of `axis` and what follows).
Status QLinearSoftmax(Call& c) {
  Reals x = Dequantized(c, 0);
  const bool flat = c.Int("opset", 13) < 13;
  const int64_t given = c.Int("axis", flat ? 1 : -1);
  const int rank = x.shape.rank(), axis = given == rank ? rank : static_cast<int>(given < 0 ? given + rank : given);
  auto row_of = [&](const Index& index) {
    Index row = index;
    for (int d = axis; d < rank && (flat || d == axis); ++d) row[U(d)] = 0;
    return row;
  };
  Reals most(x.shape, -INFINITY), sums(x.shape);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) { most[row_of(index)] = std::max(most[row_of(index)], x[at]); });
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) { sums[row_of(index)] += exp(x[at] - most[row_of(index)]); });
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) { x[at] = exp(x[at] - most[row_of(index)]) / sums[row_of(index)]; });
  return Quantized(c, x, 3);
}

Status QGemm(Call& c) {
  Integers a = Centered(c, 0, 2, 0), b = Centered(c, 3, 5, c.Flag("transB") ? 0 : 1);
  if (c.Flag("transA")) a = Transposed(a);
  if (c.Flag("transB")) b = Transposed(b);
  Integers product = Product(a, b);
  const Reals b_scale = c.In(4);
  const double a_scale = c.Float("alpha", 1) * c.First(1), y_scale = c.First(7, 1.0), zero = c.First(8);
  Reals y(product.shape);
  const Integers added = c.Has(6) ? c.In<int64_t>(6) : Integers(Shape{1});
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) {
    const int64_t sum = product[at] + added[added.size() == 1 ? 0 : index[1]];
    const double real = static_cast<double>(static_cast<int32_t>(sum)) * a_scale * Each(b_scale, index[1]);
    y[at] = c.Has(8) ? Saturated(c.out_dtype(), real / y_scale, zero) : real;
  });
  return c.Out(0, y);
}

Status MatMulIntegerToFloat(Call& c) {
  const Integers product = IntegerProduct(c, 0, 4, 1, 5);
  const Reals b_scale = c.In(3), bias = c.Has(6) ? c.In(6) : Reals(Shape{1});
  const double a_scale = c.First(2);
  Reals y(product.shape);
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) {
    const int64_t column = index[U(y.shape.rank() - 1)];
    y[at] = static_cast<double>(static_cast<int32_t>(product[at])) * a_scale * Each(b_scale, column) + Each(bias, column);
  });
  return c.Out(0, y);
}

/// Rows of B are columns of the product: blocks of codes, of 4 bits the first low in its byte. Zero points are codes, or real.
Status MatMulNBits(Call& c) {
  const int64_t k = c.Int("K", 0), n = c.Int("N", 0), bits = c.Int("bits", 4), block = c.Int("block_size", 0), blocks = DivUp(k, block);
  const Reals a = c.In(0), scales = c.In(2);
  const Integers codes = c.In<int64_t>(1);
  auto code = [&](const Integers& from, int64_t row_bytes, int64_t row, int64_t at) {
    return bits == 8 ? from[row * row_bytes + at] : from[row * row_bytes + at / 2] >> (at % 2 * 4) & 15;
  };
  const bool real = c.Has(3) && IsFloating(c.dtype(3));
  const Reals real_zeros = real ? c.In(3) : Reals(Shape{1});
  const Integers zeros = c.Has(3) && !real ? c.In<int64_t>(3) : Integers(Shape{1});
  Reals y(c.out_shape());
  for (int64_t at = 0; at < y.size(); ++at) {
    const int64_t column = at % n;
    double sum = c.Has(5) ? c.In(5)[column] : 0;
    for (int64_t i = 0; i < k; ++i) {
      const int64_t b = i / block;
      const double zero = real ? real_zeros[column * blocks + b]
                          : c.Has(3) ? static_cast<double>(code(zeros, DivUp(blocks * bits, 8), column, b))
                                     : static_cast<double>(1 << (bits - 1));
      sum += a[at / n * k + i] * (static_cast<double>(code(codes, blocks * block * bits / 8, column, i)) - zero) * scales[column * blocks + b];
    }
    y[at] = sum;
  }
  return c.Out(0, y);
}

constexpr Row kRows[] = {
    {"QuantizeLinear", QuantizeLinear}, {"DequantizeLinear", DequantizeLinear},
    {"QuantizeLinear", QuantizeLinear, "com.microsoft"}, {"DequantizeLinear", DequantizeLinear, "com.microsoft"},
    {"DynamicQuantizeLinear", DynamicQuantizeLinear}, {"MatMulInteger", MatMulInteger}, {"QLinearMatMul", QLinearMatMul},
    {"QLinearConv", QLinearConv},
    {"QLinearAdd", QLinearAdd, "com.microsoft"}, {"QLinearMul", QLinearMul, "com.microsoft"},
    {"QLinearSigmoid", QLinearSigmoid, "com.microsoft"}, {"QLinearLeakyRelu", QLinearLeakyRelu, "com.microsoft"},
    {"QLinearGlobalAveragePool", QLinearGlobalAveragePool, "com.microsoft"},
    {"QLinearAveragePool", QLinearAveragePool, "com.microsoft"}, {"QLinearConcat", QLinearConcat, "com.microsoft"},
    {"QLinearSoftmax", QLinearSoftmax, "com.microsoft"}, {"QGemm", QGemm, "com.microsoft"},
    {"MatMulIntegerToFloat", MatMulIntegerToFloat, "com.microsoft"}, {"MatMulNBits", MatMulNBits, "com.microsoft"},
};

}  // namespace

ByteRange::ByteRange(const std::vector<double>& values) {
  double low = 0, high = 0;
  for (double v : values) low = fmin(low, v), high = fmax(high, v);
  scale = RoundedTo(DType::kFloat, RoundedTo(DType::kFloat, high - low) / 255);
  if (scale == 0) scale = 1;
  zero = Saturated(DType::kUint8, RoundedTo(DType::kFloat, -low / scale), 0);
}

double ByteRange::Rounded(double value) const { return Saturated(DType::kUint8, RoundedTo(DType::kFloat, value / scale), zero); }

std::span<const Row> QuantizationRows() { return kRows; }

}  // namespace linnet::reference
