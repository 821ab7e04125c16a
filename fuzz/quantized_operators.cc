// Random models of one operator on integers each: ONNX's and com.microsoft's.
#include <math.h>

#include "base/memory.h"
#include "fuzz/quantized_models.h"
#include "fuzz/sides.h"

namespace linnet {
namespace {

using Attributes = RandomModel::Attributes;
constexpr const char kDomain[] = "com.microsoft";
const Shape kOne = Shape::OfRank(0);

/// A tensor of bytes with its scale and zero point.
struct Quantized {
  ValueId values, scale, zero;
};

class Maker {
 public:
  Maker(Choices& c, RandomModel& m) : m_(m), c_(c), type_(c.Of({DType::kUint8, DType::kInt8})) {}
  DType type() const { return type_; }
  DType Byte() const { return c_.Of({DType::kInt8, DType::kUint8}); }
  ValueId Scale(double low = 0.01, double high = 0.1, const Shape& shape = kOne) {
    const double factor = c_.OneIn(8) ? c_.Of({1e-6, 1e4, 1e-3, 50.0}) : 1;
    return m_.Input(m_.Floats(shape, factor * low, factor * high));
  }
  ValueId Zero(DType type, const Shape& shape = kOne) { return m_.Input(m_.Bits(type, shape)); }
  ValueId Zero() { return Zero(type_); }
  /// Any bytes; sometimes all alike, or only the outermost.
  class Tensor Bytes(DType type, const Shape& shape) {
    class Tensor tensor = m_.Bits(type, shape);
    const int64_t kind = c_.Int(0, 11);
    auto* bytes = tensor.mutable_as<uint8_t>();
    const uint8_t low = type == DType::kUint8 ? 0 : 128;
    for (int64_t i = 0; kind > 9 && i < tensor.bytes(); ++i) bytes[i] = static_cast<uint8_t>(kind == 10 ? low - bytes[i] % 2 : low + 255);
    return tensor;
  }
  Quantized Tensor(const Shape& shape, bool fed = true) { return {m_.Input(Bytes(type_, shape), fed), Scale(), Zero()}; }
  /// One node, its output the model's.
  void Give(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    const bool contrib = op.starts_with("QLinear") ? op != "QLinearConv" && op != "QLinearMatMul" : !op.ends_with("Integer");
    m_.Output(m_.Add(op, std::move(inputs), std::move(attributes), 1, contrib ? kDomain : "")[0]);
  }

 private:
  RandomModel& m_;
  Choices& c_;
  DType type_;
};

void Elements(Choices& c, RandomModel& m, std::string_view op) {
  Maker make(c, m);
  const Shape shape = c.Dims(static_cast<int>(c.Int(1, 4)), 1, c.OneIn(6) ? 40 : 9);
  const Quantized x = make.Tensor(shape);
  const ValueId scale = make.Scale(), zero = make.Zero();
  if (op == "QLinearSigmoid") return make.Give("QLinearSigmoid", {x.values, x.scale, x.zero, scale, zero});
  if (op == "QLinearLeakyRelu") {
    return make.Give("QLinearLeakyRelu", {x.values, x.scale, x.zero, scale, zero}, {{"alpha", static_cast<float>(c.Real(0, 0.5))}});
  }
  if (op == "QLinearConcat") {
    std::vector<ValueId> inputs = {scale, zero};
    const int axis = static_cast<int>(c.Int(0, shape.rank() - 1));
    for (int64_t i = c.Int(1, 4); i > 0; --i) {
      Shape part = shape;
      part[axis] = c.Int(1, 9);
      const Quantized q = make.Tensor(part);
      inputs.insert(inputs.end(), {q.values, i == 1 ? scale : q.scale, i == 1 ? zero : q.zero});
    }
    return make.Give("QLinearConcat", inputs, {{"axis", static_cast<int64_t>(c.Coin() ? axis : axis - shape.rank())}});
  }
  const Quantized y = make.Tensor(c.Broadcastable(shape), false);
  make.Give(std::string(op), {x.values, x.scale, x.zero, y.values, y.scale, y.zero, scale, zero});
}

/// Scales and zero points are constants: ONNX Runtime crashes on others.
void Chosen(Choices& c, RandomModel& m, std::string_view op) {
  Maker make(c, m);
  const Shape shape = c.Dims(static_cast<int>(c.Int(1, 4)), 1, 9);
  std::vector<ValueId> inputs = {m.Input(m.Bits(DType::kBool, c.Broadcastable(shape)), true)};
  for (int i = 0; i < 3; ++i) {
    if (i < 2) inputs.push_back(m.Input(make.Bytes(make.type(), i == 0 ? shape : c.Broadcastable(shape)), i == 0));
    inputs.push_back(m.Constant(m.Floats(kOne, 0.01, 0.1)));
    inputs.push_back(m.Constant(m.Bits(make.type(), kOne)));
  }
  make.Give(std::string(op), inputs);
}

void Softmax(Choices& c, RandomModel& m, std::string_view) {
  Maker make(c, m);
  const bool fits = !c.OneIn(4);
  if (!fits) m.NoPeer();   // it wraps where 1 does not fit the output with its zero point, and along axes of length 1
  const Shape shape = c.Dims(3, fits ? 2 : 1, 9);
  const Quantized x = make.Tensor(shape);
  const bool flat = c.Coin();
  const int low = make.type() == DType::kInt8 ? -128 : 0;
  const ValueId zero = fits ? m.Constant(m.Numbers(make.type(), kOne, low, low + 50)) : make.Zero();
  make.Give("QLinearSoftmax", {x.values, x.scale, x.zero, m.Constant(1.0f / (fits ? 200 : 256)), zero},
            {{"opset", int64_t{flat ? 12 : 13}}, {"axis", c.Int(flat ? 0 : -3, 2)}});
}

void Pool(Choices& c, RandomModel& m, std::string_view op) {
  Maker make(c, m);
  Shape image{c.Int(1, 2), c.Int(1, 70), c.Int(3, 9), c.Int(3, 9)};
  const bool last = c.Coin();
  if (last) image = Shape{image[0], image[2], image[3], image[1]};
  const Quantized x = make.Tensor(image);
  const std::vector<ValueId> inputs = {x.values, x.scale, x.zero, make.Scale(), make.Zero()};
  if (op == "QLinearGlobalAveragePool") return make.Give(std::string(op), inputs, {{"channels_last", int64_t{last}}});
  const int64_t k = c.Int(1, 3), ceil_mode = c.OneIn(5);
  if (ceil_mode) m.NoPeer();   // it counts what ceil_mode covers beyond the padding, unlike ONNX's AveragePool
  make.Give(std::string(op), inputs,
            {{"channels_last", int64_t{last}}, {"kernel_shape", std::vector<int64_t>{k, k}}, {"strides", c.Ints(2, 1, 3)},
             {"pads", c.Ints(4, 0, k - 1)}, {"count_include_pad", c.Int(0, 1)}, {"ceil_mode", ceil_mode}});
}

void Products(Choices& c, RandomModel& m, std::string_view op) {
  Maker make(c, m);
  const DType b_type = make.Byte();
  const int64_t rows = c.Int(1, 20), depth = c.Int(1, c.OneIn(6) ? 300 : 70), columns = c.Int(1, 40);
  const Shape each = c.Coin() ? kOne : Shape{columns};
  const ValueId y_scale = m.Constant(static_cast<float>(depth) * 0.3f);
  auto weights = [&](const Shape& shape) { return m.Input(m.WeightBits(b_type, shape)); };
  if (op == "QGemm") {
    const bool turn_a = c.Coin(), turn_b = c.Coin();
    const Quantized a = make.Tensor(turn_a ? Shape{depth, rows} : Shape{rows, depth});
    std::vector<ValueId> inputs = {a.values, a.scale, a.zero, weights(turn_b ? Shape{columns, depth} : Shape{depth, columns}),
                                   make.Scale(0.01, 0.1, each), make.Zero(b_type, each),
                                   c.Coin() ? kNoValue : m.Input(m.Numbers(DType::kInt32, c.Coin() ? each : Shape{columns}, -999, 999))};
    if (c.Coin()) inputs.insert(inputs.end(), {y_scale, make.Zero()});
    return make.Give("QGemm", inputs, {{"transA", int64_t{turn_a}}, {"transB", int64_t{turn_b}}, {"alpha", c.Coin() ? 1.0f : 0.5f}});
  }
  if (op == "DynamicQuantizeMatMul") {
    return make.Give("DynamicQuantizeMatMul",
                     {m.Input(m.Floats(Shape{c.Int(1, 3), rows, depth}, -2, c.Of({3.0, -1.0, 100.0})), true), weights(Shape{depth, columns}),
                      make.Scale(0.01, 0.1, each), c.Coin() ? kNoValue : make.Zero(b_type, each),
                      c.Coin() ? kNoValue : m.Input(m.Floats(Shape{columns}))});
  }
  const Shape a_shape = c.Coin() ? Shape{rows, depth} : Shape{c.Int(1, 3), rows, depth};
  const Quantized a = make.Tensor(a_shape);
  const ValueId b = weights(Shape{depth, columns});
  if (op == "MatMulIntegerToFloat") {
    return make.Give("MatMulIntegerToFloat",
                     {a.values, b, a.scale, make.Scale(0.01, 0.1, each), a.zero, c.Coin() ? kNoValue : make.Zero(b_type, each),
                      c.Coin() ? kNoValue : m.Input(m.Floats(Shape{columns}))});
  }
  if (op == "MatMulInteger") return make.Give("MatMulInteger", {a.values, b, c.Coin() ? a.zero : kNoValue, c.Coin() ? make.Zero(b_type, each) : kNoValue});
  make.Give("QLinearMatMul", {a.values, a.scale, a.zero, b, make.Scale(0.01, 0.1, each), make.Zero(b_type, each), y_scale, make.Zero()});
}

void Convolutions(Choices& c, RandomModel& m, std::string_view op) {
  Maker make(c, m);
  const DType b = make.Byte();
  const int spatial = static_cast<int>(c.Of<int64_t>({2, 2, 2, 1, 3}));
  const bool depthwise = c.OneIn(4), sums = op == "ConvInteger";
  const int64_t groups = depthwise ? c.Int(1, 20) : c.Int(1, 2);
  const int64_t in = depthwise ? groups : c.Int(1, 5) * groups, out = depthwise ? groups * c.Int(1, 2) : c.Int(1, 6) * groups;
  Shape image{c.Int(1, 2), in}, weights{out, in / groups};
  std::vector<int64_t> dilations, pads(static_cast<size_t>(2 * spatial));
  int64_t taps = 1;
  for (int d = 0; d < spatial; ++d) {
    const int64_t k = c.Int(1, 3);
    dilations.push_back(c.OneIn(5) ? 2 : 1);
    for (int side = 0; side < 2; ++side) pads[static_cast<size_t>(d + side * spatial)] = c.Int(0, k - 1);
    weights.Append(k);
    image.Append(c.Int(1 + (k - 1) * dilations.back(), c.OneIn(6) ? 20 : 9));
    taps *= k;
  }
  const Shape per_channel = c.Coin() ? kOne : Shape{out};
  const Attributes attributes = {{"group", groups}, {"strides", c.Ints(spatial, 1, 2)}, {"pads", pads}, {"dilations", dilations}};
  // The peer may take the image for the weights.
  const ValueId x = m.Input(sums ? m.WeightBits(make.type(), image) : make.Bytes(make.type(), image), true), w = m.Input(m.WeightBits(b, weights));
  if (sums) return make.Give("ConvInteger", {x, w, c.Coin() ? m.Input(m.WeightBits(make.type(), kOne)) : kNoValue, c.Coin() ? make.Zero(b) : kNoValue}, attributes);
  make.Give("QLinearConv",
            {x, make.Scale(), make.Zero(), w, make.Scale(0.01, 0.1, per_channel), make.Zero(b, per_channel),
             m.Constant(static_cast<float>(in / groups * taps) * 0.3f), make.Zero(),
             c.Coin() ? kNoValue : m.Input(m.Numbers(DType::kInt32, Shape{out}, -1000, 1000))},
            attributes);
}

void BlockWise(Choices& c, RandomModel& m, std::string_view) {
  Maker make(c, m);
  const int64_t bits = c.Coin() ? 8 : 4, block = c.Of({16, 32, 64, 256});
  const int64_t k = c.Int(1, c.Coin() ? 300 : 40), n = c.Int(1, 70), blocks = DivUp(k, block);
  const DType dtype = c.Int(0, 2) ? c.Of({DType::kFloat, DType::kFloat16}) : DType::kFloat;
  Shape rows = c.Of({Shape{k}, Shape{1, k}, Shape{c.Int(2, 4), k}, Shape{c.Int(5, 30), k}, Shape{2, c.Int(1, 5), k}, Shape{0, k}});
  const ValueId a = m.Input(m.Numbers(dtype, rows), true);
  // Constants all, or fed: then the run packs them.
  const bool fed = c.OneIn(4);
  auto weights = [&](Tensor tensor) { return fed ? m.Input(std::move(tensor), true) : m.Constant(std::move(tensor)); };
  const ValueId b = weights(m.Bits(DType::kUint8, Shape{n, blocks, block * bits / 8}));
  const ValueId scales = weights(m.Numbers(dtype, c.Coin() ? Shape{n, blocks} : Shape{n * blocks}, 0.001, 0.05));
  ValueId zeros = kNoValue;
  switch (c.Int(0, 2)) {
    case 1: zeros = weights(m.Bits(DType::kUint8, Shape{n, DivUp(blocks * bits, 8)})); break;
    case 2: zeros = weights(m.Numbers(dtype, Shape{n, blocks}, 0, bits == 4 ? 15 : 255)); break;
    default: break;
  }
  std::vector<ValueId> inputs = {a, b, scales, zeros};
  if (c.Coin()) inputs.insert(inputs.end(), {kNoValue, m.Input(m.Numbers(dtype, Shape{n}))});
  make.Give("MatMulNBits", inputs, {{"K", k}, {"N", n}, {"bits", bits}, {"block_size", block}});
}

void Lstm(Choices& c, RandomModel& m, std::string_view) {
  const DType type = c.Of({DType::kInt8, DType::kUint8});
  const int64_t steps = c.Int(1, 6), batch = c.Int(1, 3), inputs = c.Int(1, 20), hidden = c.Int(1, 40);
  const std::string direction = c.Of({std::string("forward"), std::string("reverse"), std::string("bidirectional")});
  const int64_t directions = direction == "bidirectional" ? 2 : 1;
  const Shape columns = c.Coin() ? Shape{directions, 4 * hidden} : Shape{directions};
  // Zero points in the middle keep sums small, and the gates where they tell numbers apart.
  auto zero = [&] { return m.Constant(m.Numbers(type, columns, type == DType::kInt8 ? -5 : 120, type == DType::kInt8 ? 5 : 135)); };
  auto scale = [&] { return m.Constant(m.Floats(columns, 0.001, 0.004)); };
  auto maybe = [&](const Shape& shape) { return c.Coin() ? kNoValue : m.Input(m.Floats(shape, -1, 1), true); };
  const ValueId x = m.Input(m.Floats(Shape{steps, batch, inputs}, -2, 2), true);
  const ValueId w = m.Constant(m.WeightBits(type, Shape{directions, inputs, 4 * hidden})), r = m.Constant(m.WeightBits(type, Shape{directions, hidden, 4 * hidden}));
  const ValueId b = maybe(Shape{directions, 8 * hidden}), h = maybe(Shape{directions, batch, hidden}), state = maybe(Shape{directions, batch, hidden});
  const ValueId peepholes = c.Int(0, 3) ? kNoValue : m.Constant(m.Floats(Shape{directions, 3 * hidden}, -1, 1));
  m.Output(m.Add("DynamicQuantizeLSTM", {x, w, r, b, kNoValue, h, state, peepholes, scale(), zero(), scale(), zero()},
                 {{"hidden_size", hidden}, {"direction", direction}}, 1, kDomain)[0]);
}

/// LSTM, GRU or RNN whose weights come from DequantizeLinear.
void RecurrentWeights(Choices& c, RandomModel& m, std::string_view) {
  const std::string op = c.Of<std::string>({"LSTM", "GRU", "RNN"});
  const int64_t gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1, steps = c.Int(1, 5), batch = c.Of<int64_t>({1, 1, 2, 5, 9}),
                inputs = c.Int(1, 20), hidden = c.Coin() ? c.Int(1, 40) : 16 * c.Int(4, 6);
  const std::string direction = c.Of({std::string("forward"), std::string("reverse"), std::string("bidirectional")});
  const int64_t directions = direction == "bidirectional" ? 2 : 1;
  auto weight = [&](int64_t columns) {
    const DType type = c.Of({DType::kInt8, DType::kUint8});
    const int64_t axis = c.Int(-1, 1);
    const Shape scales = axis < 0 ? kOne : axis == 0 ? Shape{directions} : Shape{gates * hidden};
    std::vector<ValueId> parts = {m.Constant(m.WeightBits(type, Shape{directions, gates * hidden, columns})), m.Constant(m.Floats(scales, 0.0005, 0.002))};
    if (!c.OneIn(4)) parts.push_back(m.Constant(m.Numbers(type, scales, type == DType::kInt8 ? -128 : 0, type == DType::kInt8 ? 127 : 255)));
    return m.AddOne("DequantizeLinear", parts, {{"axis", std::max<int64_t>(axis, 0)}});
  };
  const ValueId x = m.Input(m.Floats(Shape{steps, batch, inputs}, -2, 2), true), w = weight(inputs), r = weight(hidden);
  const ValueId b = c.Coin() ? kNoValue : m.Input(m.Floats(Shape{directions, 2 * gates * hidden}, -1, 1), true);
  const ValueId lengths = c.OneIn(4) ? m.Input(m.Numbers(DType::kInt32, Shape{batch}, 0, static_cast<double>(steps) + 0.9)) : kNoValue;
  Attributes attributes = {{"hidden_size", hidden}, {"direction", direction}};
  if (op == "GRU") attributes.push_back({"linear_before_reset", c.Int(0, 1)});
  for (ValueId each : m.Add(op, {x, w, r, b, lengths}, attributes, op == "LSTM" ? 3 : 2)) m.Output(each);
}

/// QuantizeLinear and DequantizeLinear, of ONNX or of com.microsoft, and DynamicQuantizeLinear.
void Rounding(Choices& c, RandomModel& m, std::string_view op) {
  const bool microsoft = op.starts_with(kDomain);
  if (microsoft) op.remove_prefix(sizeof kDomain);
  const std::string domain = microsoft ? kDomain : "";
  const DType to = c.Of({DType::kUint8, DType::kInt8, DType::kInt16, DType::kUint16, DType::kInt4, DType::kUint4});
  const Shape shape = c.Dims(static_cast<int>(c.Int(1, 4)), 1, c.OneIn(6) ? 50 : 12);
  if (op == "DynamicQuantizeLinear") {
    const double low = c.Of({-3.0, 0.5, -100.0, 0.0}), high = c.Of({2.0, 0.0, 0.6, 1e30});
    const std::vector<ValueId> all = m.Add("DynamicQuantizeLinear", {m.Input(m.Floats(shape, fmin(low, high), fmax(low, high)), true)}, {}, 3);
    for (ValueId each : all) m.Output(each);
    return;
  }
  const int axis = static_cast<int>(c.Int(0, shape.rank() - 1));
  Shape scales = c.Coin() ? Shape{shape[axis]} : kOne;
  Attributes attributes = {{"axis", int64_t{axis}}};
  if (!microsoft && c.OneIn(4)) {
    const int64_t block = c.Int(1, shape[axis]);
    scales = shape;
    scales[axis] = DivUp(shape[axis], block);
    attributes.push_back({"block_size", block});
  }
  const DType dtype = c.OneIn(5) ? DType::kFloat16 : DType::kFloat;
  if (dtype == DType::kFloat16 && m.opset() >= 23) m.NoPeer();   // it divides in float at every version
  const bool packed = DTypeBits(to) == 4;
  if (packed && shape.elements() % 2) m.NoPeer();   // what the rest of the last byte holds is not said
  const ValueId scale = m.Input(m.Numbers(dtype, scales, 0.01, 0.3));
  const ValueId zero = c.Coin() && (!microsoft || to == DType::kUint8) ? kNoValue : packed ? m.Constant(m.Bits(to, scales)) : m.Input(m.Bits(to, scales));
  if (op == "DequantizeLinear") {
    // Four-bit tensors come as constants mostly: behind an operator that does nothing they are not folded.
    m.Output(m.Add("DequantizeLinear", {m.Input(m.Bits(to, shape), true), scale, zero}, attributes, 1, domain)[0]);
    return;
  }
  if (zero == kNoValue && !microsoft) attributes.push_back({"output_dtype", static_cast<int64_t>(to)});
  Tensor x = m.Numbers(dtype, shape, -30, 30);
  if (dtype == DType::kFloat && c.OneIn(4)) {
    const bool nan = c.OneIn(3);
    if (nan) m.NoPeer();   // ONNX does not say what NaN becomes
    const float special[] = {INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 0.0f, -0.0f, 1e-42f, nan ? NAN : 1e9f};
    for (int64_t i = c.Int(0, 3); i < x.elements(); i += c.Int(1, 7)) x.mutable_as<float>()[i] = special[c.Int(0, 7)];
  }
  const ValueId y = m.Add("QuantizeLinear", {m.Input(x, true), scale, zero}, attributes, 1, domain)[0];
  if (zero == kNoValue && !microsoft) attributes.pop_back();
  m.Output(c.OneIn(3) ? m.Add("DequantizeLinear", {y, scale, zero}, attributes, 1, domain)[0] : y);
}

/// Rows of a table, which is int4 or uint4, or bytes that hold 2, 4 or 8 bits an element.
void Rows(Choices& c, RandomModel& m, std::string_view) {
  const DType type = c.Of({DType::kUint8, DType::kInt4, DType::kUint4});
  const bool bytes = type == DType::kUint8;
  const int64_t bits = bytes ? c.Of<int64_t>({4, 8, 2}) : 4, each = bytes ? 8 / bits : 1, block = c.Of<int64_t>({16, 32});
  Shape table = c.Dims(static_cast<int>(c.Int(2, 3)), 1, 5);
  const int last = table.rank() - 1, axis = bytes ? 0 : static_cast<int>(c.Int(0, last)), blocked = bytes || c.Coin() ? last : static_cast<int>(c.Int(0, last));
  table[blocked] = blocked == axis ? 20 : c.Int(1, 5) * 16;   // whole bytes of all kinds
  if (!bytes && table.elements() % 2) table[blocked] += 1;
  Shape scales = table, packed = table;   // its last dimension, where it holds several
  scales[blocked] = DivUp(table[blocked], block);
  packed[last] = table[last] / each;
  Shape zeros = scales;
  zeros[last] = DivUp(scales[last], each);
  const DType real = c.OneIn(4) ? DType::kFloat16 : DType::kFloat;
  const int64_t reach = table[axis];
  Tensor indices = m.Numbers(c.Of({DType::kInt64, DType::kInt32}), c.Dims(static_cast<int>(c.Int(0, 2)), 1, 6), 0.0, static_cast<double>(reach));
  if (c.OneIn(4)) Put(indices, 0, static_cast<double>(c.Of<int64_t>({-1, -reach, reach, -reach - 1})));
  std::vector<ValueId> inputs = {m.Constant(m.Bits(type, packed)), m.Input(std::move(indices), true), m.Constant(m.Numbers(real, scales, 0.01, 0.3))};
  if (c.Coin()) inputs.push_back(m.Constant(m.Bits(type, zeros)));
  m.Output(m.Add("GatherBlockQuantized", inputs, {{"bits", bits}, {"block_size", block}, {"gather_axis", int64_t{axis}}, {"quantize_axis", int64_t{c.Coin() ? blocked : blocked - last - 1}}}, 1, kDomain)[0]);
}

constexpr QuantizedKind kOperators[] = {
    {"QuantizeLinear", Rounding},
    {"DequantizeLinear", Rounding},
    {"com.microsoft:QuantizeLinear", Rounding},
    {"com.microsoft:DequantizeLinear", Rounding},
    {"DynamicQuantizeLinear", Rounding},
    {"QLinearConv", Convolutions, true},
    {"ConvInteger", Convolutions, true},
    {"QLinearMatMul", Products, true},
    {"MatMulInteger", Products, true},
    {"QGemm", Products, true},
    {"MatMulIntegerToFloat", Products, true},
    {"DynamicQuantizeMatMul", Products, true},
    {"DynamicQuantizeLSTM", Lstm, true},
    {"QDQ LSTM, GRU, RNN", RecurrentWeights},
    {"MatMulNBits", BlockWise},
    {"QLinearAdd", Elements},
    {"QLinearMul", Elements},
    {"QLinearSigmoid", Elements},
    {"QLinearLeakyRelu", Elements},
    {"QLinearConcat", Elements},
    {"QLinearWhere", Chosen},
    {"GatherBlockQuantized", Rows},
    {"QLinearSoftmax", Softmax},
    {"QLinearAveragePool", Pool},
    {"QLinearGlobalAveragePool", Pool},
};

}  // namespace

std::span<const QuantizedKind> QuantizedOperators() { return kOperators; }

Example MakeExample(const QuantizedKind& kind, Choices& choices) {
  RandomModel model(choices, static_cast<int>(choices.Of<int64_t>({21, 21, 23})));
  model.DrawContentsApart();
  if (choices.OneIn(4)) model.HideDims();
  if (kind.products) {
    if (!choices.OneIn(5)) model.NarrowWeights();
    else if (PeerRuns::Saturates()) model.NoPeer();
  }
  std::string_view op = kind.name;
  if (op.starts_with("QDQ ")) op.remove_prefix(4);
  kind.make(choices, model, op);
  return model.Take();
}

}  // namespace linnet
