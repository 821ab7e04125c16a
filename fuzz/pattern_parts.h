// What random patterns between DequantizeLinear and QuantizeLinear are put together from: tensors of bytes, weights, biases, functions.
#pragma once

#include <math.h>

#include <string>
#include <utility>
#include <vector>

#include "fuzz/random_model.h"

namespace linnet {

/// A tensor of bytes, and how it stands for real numbers.
struct Bytes {
  ValueId q = kNoValue;
  Shape shape;
  DType type = DType::kUint8;
  double scale = 1;
  ValueId scale_id = kNoValue, zero_id = kNoValue;
};
/// Real numbers that are mostly within [-range, range].
struct Real {
  ValueId id = kNoValue;
  Shape shape;
  double range = 1;
};

class PatternParts {
 protected:
  using Attributes = RandomModel::Attributes;
  PatternParts(Choices& c, RandomModel& m) : c_(c), m_(m) {}

  DType Byte() { return c_.Of({DType::kUint8, DType::kInt8}); }
  float Near(double value) { return static_cast<float>(c_.Coin() ? value * c_.Real(0.7, 1.4) : exp2(round(log2(value)))); }

  /// A tensor with other parameters, mostly fed.
  Bytes Fresh(const Shape& shape, bool fed = true) {
    Bytes x;
    x.shape = shape;
    x.type = Byte();
    x.scale = Near(c_.Of({0.02, 0.02, 1.0 / 128, 1e-4, 3.0}));
    x.scale_id = m_.Constant(static_cast<float>(x.scale));
    x.zero_id = Zero(x.type);
    if (c_.OneIn(6)) {
      x.q = m_.AddOne("QuantizeLinear", {m_.Input(m_.Floats(shape, -x.scale * 150, x.scale * 150), true), x.scale_id, WithType(x)});
    } else {
      Tensor bytes = m_.Bits(x.type, shape);
      if (c_.OneIn(12)) {
        const uint8_t low = x.type == DType::kUint8 ? 0 : 128, all = c_.Coin() ? 0 : 255;
        for (int64_t i = 0; i < bytes.bytes(); ++i) bytes.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(low + (i % 3 ? all : 255 - all));
      }
      x.q = fed ? m_.Input(bytes, true) : m_.Constant(bytes);
    }
    return x;
  }
  /// Anywhere, in the middle or at an end; kNoValue for 0 at times.
  ValueId Zero(DType type) {
    const int low = type == DType::kUint8 ? 0 : -128;
    const int zero = static_cast<int>(c_.Of<int64_t>({128, c_.Int(0, 255), 0, 255})) + low;
    above_ = 255 - (zero - low);
    if (zero == 0 && c_.Coin()) return kNoValue;
    Tensor tensor = m_.Numbers(type, Shape::OfRank(0), 0, 0);
    Put(tensor, 0, zero);
    return m_.Constant(tensor);
  }
  /// The zero point, where it says the type too.
  ValueId WithType(const Bytes& x) { return x.zero_id == kNoValue && x.type == DType::kInt8 ? m_.Constant(m_.Numbers(x.type, Shape::OfRank(0), 0, 0)) : x.zero_id; }

  ValueId Dequantize(const Bytes& x) {
    for (const auto& [q, real] : real_) {
      if (q == x.q && !c_.OneIn(6)) return real;
    }
    std::vector<ValueId> inputs = {x.q, x.scale_id};
    if (x.zero_id != kNoValue) inputs.push_back(x.zero_id);
    const ValueId real = m_.AddOne("DequantizeLinear", inputs);
    real_.push_back({x.q, real});
    return real;
  }
  Real AsReal(const Bytes& x) { return {Dequantize(x), x.shape, x.scale * 180}; }

  Bytes Quantize(const Real& y, const Bytes& x, bool again = false) {
    Bytes out = x;
    out.shape = y.shape;
    if (!again || c_.OneIn(3)) {
      out.type = c_.OneIn(5) ? Byte() : x.type;
      out.scale = Near(fmax(y.range, 1e-30) / 127 * c_.Of({1.0, 1.0, 1.0, 0.25, 4.0, 0.02, 64.0}));
      out.scale_id = m_.Constant(static_cast<float>(out.scale));
      out.zero_id = Zero(out.type);
    }
    if (softmax_ && out.scale * above_ < 1.01) m_.NoPeer();   // it wraps where 1 does not fit
    std::vector<ValueId> inputs = {y.id, out.scale_id};
    if (const ValueId zero = WithType(out); zero != kNoValue) inputs.push_back(zero);
    out.q = m_.AddOne("QuantizeLinear", inputs);
    return out;
  }

  /// Weights of bytes as real numbers whose products with x, `depth` of them summed, are mostly within `range`; one scale, or one per
  /// index of `axis`.
  Real Weights(const Shape& shape, int axis, const Bytes& x, int64_t depth, ValueId* scale_id, double* range) {
    const DType type = Byte();
    const double spread = 3 * sqrt(static_cast<double>(depth)) * 74 * 74 * x.scale;
    const double scale = c_.Coin() ? 6 / spread : c_.Of({0.01, 0.003, 1.0 / 128, 1e-5});
    *range = spread * scale;
    const bool each = axis >= 0 && c_.Coin();
    const Shape scales = each ? Shape{shape[axis]} : Shape::OfRank(0);
    Tensor tensor = m_.Floats(scales, scale * 0.5, scale * 1.5);
    if (each && c_.OneIn(10)) Put(tensor, 0, scale * c_.Of({0.0, 1e-6, 30.0}));
    *scale_id = m_.Constant(tensor);
    const ValueId q = c_.OneIn(12) ? m_.Input(m_.WeightBits(type, shape), true) : m_.Constant(m_.WeightBits(type, shape));
    std::vector<ValueId> inputs = {q, *scale_id};
    if (!c_.OneIn(3)) {
      Tensor zeros = m_.Numbers(type, scales, type == DType::kUint8 ? 128 : 0, type == DType::kUint8 ? 128 : 0);
      if (c_.OneIn(3)) zeros = m_.Bits(type, scales);
      inputs.push_back(m_.Constant(zeros));
    } else if (type == DType::kUint8) {
      *range *= 3;
    }
    return {m_.AddOne("DequantizeLinear", inputs, each ? Attributes{{"axis", int64_t{axis}}} : Attributes{}), shape, scale * 128};
  }
  /// None, integers at the scale of the products or at another one, or real numbers.
  ValueId Bias(int64_t channels, const Bytes& x, const Tensor* scales, double range) {
    const int64_t kind = c_.Int(0, 5);
    if (kind == 0) return kNoValue;
    if (kind == 1 || !scales) return m_.Constant(m_.Floats(Shape{channels}, -range / 2, range / 2));
    if (kind == 2) m_.NoPeer();   // it takes integers for such at the scale of the products
    Tensor products = m_.Floats(scales->shape(), 0, 0);
    for (int64_t i = 0; i < products.elements(); ++i) Put(products, i, x.scale * At(*scales, i) * (kind == 2 ? 1.7 : 1));
    const double most = fmin(range / fmax(1e-30, x.scale * At(*scales, scales->elements() - 1)), 1e8);
    return m_.AddOne("DequantizeLinear", {m_.Constant(m_.Numbers(DType::kInt32, Shape{channels}, -most, most)), m_.Constant(products)},
                     products.elements() == 1 ? Attributes{} : Attributes{{"axis", int64_t{0}}});
  }

  /// What stands behind an operator.
  Real Behind(const Real& y, std::string_view) { return c_.Coin() ? y : Function(y, true); }
  Real Function(const Real& x, bool bounds) {
    const int64_t kind = c_.Int(bounds ? 0 : 2, 10);
    switch (kind) {
      case 0: return {m_.AddOne("Relu", {x.id}), x.shape, x.range};
      case 1: {
        const float low = static_cast<float>(c_.Of<double>({0, -0.3, -INFINITY}) * (c_.OneIn(4) ? x.range : 1));
        const float high = static_cast<float>(c_.Of<double>({6, x.range / 3, INFINITY}));
        return {m_.AddOne("Clip", {x.id, m_.Constant(low), c_.OneIn(5) ? kNoValue : m_.Constant(high)}), x.shape, fmin(x.range, 6)};
      }
      case 2: return Named(x, "HardSwish");
      case 3: return {m_.AddOne("Mul", {x.id, m_.AddOne("Sigmoid", {x.id})}), x.shape, x.range};
      case 4: return Named(x, "LeakyRelu");
      case 5: return Named(x, "Sigmoid");
      case 6: return Named(x, "Tanh");
      case 7: return Named(x, "Gelu");
      case 8: return Named(x, "Elu");
      case 9: return {m_.AddOne("HardSigmoid", {x.id}, {{"alpha", 1.0f / 6}}), x.shape, 1};
      default: {
        const float factor = static_cast<float>(c_.Of({0.5, -1.0, 3.0}));
        return {m_.AddOne("Mul", {x.id, m_.Constant(factor)}), x.shape, x.range * fabs(static_cast<double>(factor))};
      }
    }
  }
  Real Named(const Real& x, std::string_view op) {
    Attributes attributes;
    if (op == "LeakyRelu") attributes = {{"alpha", static_cast<float>(c_.Real(0.01, 0.4))}};
    if (op == "Elu") attributes = {{"alpha", static_cast<float>(c_.Real(0.5, 1.2))}};
    const bool bounded = op == "Sigmoid" || op == "Tanh";
    return {m_.AddOne(std::string(op), {x.id}, attributes), x.shape, bounded ? 1 : x.range};
  }

  Choices& c_;
  RandomModel& m_;
  std::vector<Bytes> seen_;
  std::vector<std::pair<ValueId, ValueId>> real_;   ///< bytes, and what a DequantizeLinear has made of them
  bool moved_ = false;                              ///< the last operator makes no new numbers
  bool softmax_ = false;                            ///< it is a Softmax
  int above_ = 255;                                 ///< bytes above the zero point made last
};

}  // namespace linnet
