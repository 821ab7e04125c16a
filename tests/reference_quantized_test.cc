// Random models of com.microsoft's operators on 8-bit tensors, at every instruction set and with any number of threads, against
// the reference provider.
#include "reference_test_util.h"

namespace linnet {
namespace {

using Attributes = RandomModel::Attributes;
constexpr const char kDomain[] = "com.microsoft";

/// A tensor of bytes with its scale and zero point.
struct Quantized {
  ValueId values, scale, zero;
};

class Maker {
 public:
  Maker(Choices& c, RandomModel& m) : m_(m), type_(c.Of({DType::kInt8, DType::kUint8})) {}
  DType type() const { return type_; }
  ValueId Scale(double low = 0.01, double high = 0.1, const Shape& shape = Shape::OfRank(0)) {
    return m_.Input(m_.Floats(shape, low, high));
  }
  ValueId Zero(DType type, const Shape& shape = Shape::OfRank(0)) { return m_.Input(m_.Bits(type, shape)); }
  ValueId Zero() { return Zero(type_); }
  Quantized Tensor(const Shape& shape, bool fed = true) { return {m_.Input(m_.Bits(type_, shape), fed), Scale(), Zero()}; }
  ValueId Make(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return m_.Add(op, std::move(inputs), std::move(attributes), 1, kDomain)[0];
  }

 private:
  RandomModel& m_;
  DType type_;
};

TEST(Reference, QuantizedElements) {
  CheckRandomModels(30, 60, 17, {0, 1}, [](Choices& c, RandomModel& m) {
    Maker make(c, m);
    const Shape shape = c.Dims(static_cast<int>(c.Int(1, 4)), 1, 9);
    const Quantized x = make.Tensor(shape);
    const ValueId scale = make.Scale(), zero = make.Zero();
    switch (c.Int(0, 4)) {
      case 0: return make.Make("QLinearSigmoid", {x.values, x.scale, x.zero, scale, zero});
      case 1: return make.Make("QLinearLeakyRelu", {x.values, x.scale, x.zero, scale, zero}, {{"alpha", static_cast<float>(c.Real(0, 0.5))}});
      case 2: {
        std::vector<ValueId> inputs = {scale, zero};
        const int axis = static_cast<int>(c.Int(0, shape.rank() - 1));
        for (int64_t i = c.Int(1, 4); i > 0; --i) {
          Shape part = shape;
          part[axis] = c.Int(1, 9);
          const Quantized q = make.Tensor(part);
          inputs.insert(inputs.end(), {q.values, i == 1 ? scale : q.scale, i == 1 ? zero : q.zero});
        }
        return make.Make("QLinearConcat", inputs, {{"axis", static_cast<int64_t>(c.Coin() ? axis : axis - shape.rank())}});
      }
      default: {
        const Quantized y = make.Tensor(c.Broadcastable(shape), false);
        return make.Make(c.Coin() ? "QLinearAdd" : "QLinearMul", {x.values, x.scale, x.zero, y.values, y.scale, y.zero, scale, zero});
      }
    }
  });
}

TEST(Reference, QuantizedPoolsAndSoftmax) {
  CheckRandomModels(31, 60, 17, {0, 1}, [](Choices& c, RandomModel& m) {
    Maker make(c, m);
    if (c.Int(0, 2) == 0) {
      const bool fits = c.Coin();
      if (!fits) m.NoPeer();   // it wraps where 1 does not fit the output with its zero point, and along axes of length 1
      const Shape shape = c.Dims(3, fits ? 2 : 1, 9);
      const Quantized x = make.Tensor(shape);
      const bool flat = c.Coin();
      const int low = make.type() == DType::kInt8 ? -128 : 0;
      const ValueId zero = fits ? m.Constant(m.Numbers(make.type(), Shape::OfRank(0), low, low + 50)) : make.Zero();
      return make.Make("QLinearSoftmax", {x.values, x.scale, x.zero, m.Constant(1.0f / (fits ? 200 : 256)), zero},
                       {{"opset", int64_t{flat ? 12 : 13}}, {"axis", c.Int(flat ? 0 : -3, 2)}});
    }
    Shape image{c.Int(1, 2), c.Int(1, 70), c.Int(3, 9), c.Int(3, 9)};
    const bool last = c.Coin();
    if (last) image = Shape{image[0], image[2], image[3], image[1]};
    const Quantized x = make.Tensor(image);
    const std::vector<ValueId> inputs = {x.values, x.scale, x.zero, make.Scale(), make.Zero()};
    if (c.Coin()) return make.Make("QLinearGlobalAveragePool", inputs, {{"channels_last", int64_t{last}}});
    const int64_t k = c.Int(1, 3), ceil_mode = c.Int(0, 1);
    if (ceil_mode) m.NoPeer();   // it counts what ceil_mode covers beyond the padding, unlike ONNX's AveragePool
    return make.Make("QLinearAveragePool", inputs,
                     {{"channels_last", int64_t{last}}, {"kernel_shape", std::vector<int64_t>{k, k}}, {"strides", c.Ints(2, 1, 3)},
                      {"pads", c.Ints(4, 0, k - 1)}, {"count_include_pad", c.Int(0, 1)}, {"ceil_mode", ceil_mode}});
  });
}

TEST(Reference, QuantizedProductsAsFloats) {
  CheckRandomModels(32, 80, 17, {1e-5, 1}, [](Choices& c, RandomModel& m) {
    Maker make(c, m);
    const DType b_type = c.Of({DType::kInt8, DType::kUint8});
    const int64_t rows = c.Int(1, 20), depth = c.Int(1, 70), columns = c.Int(1, 40);
    const Shape each = c.Coin() ? Shape::OfRank(0) : Shape{columns};
    if (c.Coin()) {
      const bool turn_a = c.Coin(), turn_b = c.Coin();
      const Quantized a = make.Tensor(turn_a ? Shape{depth, rows} : Shape{rows, depth});
      std::vector<ValueId> inputs = {a.values, a.scale, a.zero, m.Input(m.WeightBits(b_type, turn_b ? Shape{columns, depth} : Shape{depth, columns})),
                                     make.Scale(0.01, 0.1, each), make.Zero(b_type, each),
                                     c.Coin() ? kNoValue : m.Input(m.Numbers(DType::kInt32, c.Coin() ? each : Shape{columns}, -999, 999))};
      if (c.Coin()) inputs.insert(inputs.end(), {m.Constant(static_cast<float>(depth) * 0.3f), make.Zero()});
      return make.Make("QGemm", inputs, {{"transA", int64_t{turn_a}}, {"transB", int64_t{turn_b}}, {"alpha", c.Coin() ? 1.0f : 0.5f}});
    }
    if (c.Int(0, 2) == 0) {
      return make.Make("DynamicQuantizeMatMul",
                       {m.Input(m.Floats(Shape{c.Int(1, 3), rows, depth}, -2, 3), true), m.Input(m.WeightBits(b_type, Shape{depth, columns})),
                        make.Scale(0.01, 0.1, each), c.Coin() ? kNoValue : make.Zero(b_type, each),
                        c.Coin() ? kNoValue : m.Input(m.Floats(Shape{columns}))});
    }
    const Quantized a = make.Tensor(Shape{c.Int(1, 3), rows, depth});
    return make.Make("MatMulIntegerToFloat",
                     {a.values, m.Input(m.WeightBits(b_type, Shape{depth, columns})), a.scale, make.Scale(0.01, 0.1, each), a.zero,
                      c.Coin() ? kNoValue : make.Zero(b_type, each), c.Coin() ? kNoValue : m.Input(m.Floats(Shape{columns}))});
  });
}

TEST(Reference, BlockWiseWeights) {
  CheckRandomModels(33, 80, 17, {1e-5, 0, 1}, [](Choices& c, RandomModel& m) {
    Maker make(c, m);
    const int64_t bits = c.Coin() ? 4 : 8, block = c.Of({16, 32, 64, 256});
    const int64_t k = c.Int(1, c.Coin() ? 40 : 300), n = c.Int(1, 70), blocks = DivUp(k, block);
    const DType dtype = c.Int(0, 2) ? DType::kFloat : c.Of({DType::kFloat16, DType::kBfloat16});
    Shape rows = c.Of({Shape{k}, Shape{1, k}, Shape{c.Int(2, 4), k}, Shape{c.Int(5, 30), k}, Shape{2, c.Int(1, 5), k}, Shape{0, k}});
    const ValueId a = m.Input(m.Numbers(dtype, rows), true);
    // Constants all, or fed: then the run packs them.
    const bool fed = c.Int(0, 3) == 0;
    auto weights = [&](Tensor tensor) { return fed ? m.Input(std::move(tensor), true) : m.Constant(std::move(tensor)); };
    const ValueId b = weights(m.Bits(DType::kUint8, Shape{n, blocks, block * bits / 8}));
    const ValueId scales = weights(m.Numbers(dtype, c.Coin() ? Shape{n, blocks} : Shape{n * blocks}, 0.001, 0.05));
    ValueId zeros = kNoValue;
    switch (c.Int(0, 2)) {
      case 0: zeros = weights(m.Bits(DType::kUint8, Shape{n, DivUp(blocks * bits, 8)})); break;
      case 1: zeros = weights(m.Numbers(dtype, Shape{n, blocks}, 0, bits == 4 ? 15 : 255)); break;
      default: break;
    }
    std::vector<ValueId> inputs = {a, b, scales, zeros};
    if (c.Coin()) inputs.insert(inputs.end(), {kNoValue, m.Input(m.Numbers(dtype, Shape{n}))});
    return make.Make("MatMulNBits", inputs, {{"K", k}, {"N", n}, {"bits", bits}, {"block_size", block}});
  });
}

TEST(Reference, DynamicQuantizeLstm) {
  // A state that lies between two bytes may go to either: a step of 1/128 times weights, and what follows from it.
  CheckRandomModels(34, 60, 17, {2e-3, 2e-3}, [](Choices& c, RandomModel& m) {
    const DType type = c.Of({DType::kInt8, DType::kUint8});
    const int64_t steps = c.Int(1, 6), batch = c.Int(1, 3), inputs = c.Int(1, 20), hidden = c.Int(1, 40);
    const std::string direction = c.Of({std::string("forward"), std::string("reverse"), std::string("bidirectional")});
    const int64_t directions = direction == "bidirectional" ? 2 : 1;
    const bool each = c.Coin();
    const Shape columns = each ? Shape{directions, 4 * hidden} : Shape{directions};
    // Zero points in the middle keep sums small, and the gates where they tell numbers apart.
    auto zero = [&] { return m.Constant(m.Numbers(type, columns, type == DType::kInt8 ? -5 : 120, type == DType::kInt8 ? 5 : 135)); };
    auto scale = [&] { return m.Constant(m.Floats(columns, 0.001, 0.004)); };
    auto maybe = [&](const Shape& shape) { return c.Coin() ? kNoValue : m.Input(m.Floats(shape, -1, 1), true); };
    const ValueId x = m.Input(m.Floats(Shape{steps, batch, inputs}, -2, 2), true);
    const ValueId w = m.Constant(m.WeightBits(type, Shape{directions, inputs, 4 * hidden})), r = m.Constant(m.WeightBits(type, Shape{directions, hidden, 4 * hidden}));
    const ValueId b = maybe(Shape{directions, 8 * hidden}), h = maybe(Shape{directions, batch, hidden}), state = maybe(Shape{directions, batch, hidden});
    const ValueId peepholes = c.Int(0, 3) ? kNoValue : m.Constant(m.Floats(Shape{directions, 3 * hidden}, -1, 1));
    return m.Add("DynamicQuantizeLSTM", {x, w, r, b, kNoValue, h, state, peepholes, scale(), zero(), scale(), zero()},
                 {{"hidden_size", hidden}, {"direction", direction}}, 1, kDomain)[0];
  });
}

TEST(Reference, RecurrentWeights) {
  CheckRandomModels(37, 90, 17, {2e-5, 2e-5}, [](Choices& c, RandomModel& m) {
    const std::string op = c.Of<std::string>({"LSTM", "GRU", "RNN"});
    const int64_t gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1, steps = c.Int(1, 5), batch = c.Of<int64_t>({1, 1, 2, 5, 9}),
                  inputs = c.Int(1, 20), hidden = c.Coin() ? c.Int(1, 40) : 16 * c.Int(4, 6);
    const std::string direction = c.Of({std::string("forward"), std::string("reverse"), std::string("bidirectional")});
    const int64_t directions = direction == "bidirectional" ? 2 : 1;
    auto weight = [&](int64_t columns) {
      const DType type = c.Of({DType::kInt8, DType::kUint8});
      const int64_t axis = c.Int(-1, 1);
      const Shape scales = axis < 0 ? Shape::OfRank(0) : axis == 0 ? Shape{directions} : Shape{gates * hidden};
      std::vector<ValueId> parts = {m.Constant(m.WeightBits(type, Shape{directions, gates * hidden, columns})), m.Constant(m.Floats(scales, 0.0005, 0.002))};
      if (c.Int(0, 3) != 0) parts.push_back(m.Constant(m.Numbers(type, scales, type == DType::kInt8 ? -128 : 0, type == DType::kInt8 ? 127 : 255)));
      return m.AddOne("DequantizeLinear", parts, {{"axis", std::max<int64_t>(axis, 0)}});
    };
    const ValueId x = m.Input(m.Floats(Shape{steps, batch, inputs}, -2, 2), true), w = weight(inputs), r = weight(hidden);
    const ValueId b = c.Coin() ? kNoValue : m.Input(m.Floats(Shape{directions, 2 * gates * hidden}, -1, 1), true);
    const ValueId lengths = c.Int(0, 3) ? kNoValue : m.Input(m.Numbers(DType::kInt32, Shape{batch}, 0, static_cast<double>(steps) + 0.9));
    Attributes attributes = {{"hidden_size", hidden}, {"direction", direction}};
    if (op == "GRU") attributes.push_back({"linear_before_reset", c.Int(0, 1)});
    const std::vector<ValueId> all = m.Add(op, {x, w, r, b, lengths}, attributes, op == "LSTM" ? 3 : 2);
    for (size_t i = 1; i < all.size(); ++i) m.Output(all[i]);
    return all[0];
  });
}

}  // namespace
}  // namespace linnet
