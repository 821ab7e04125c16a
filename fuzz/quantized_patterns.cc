// Random models of operators between DequantizeLinear and QuantizeLinear, with or without a function behind them, alone and in chains.
#include <math.h>

#include <algorithm>

#include "base/memory.h"
#include "fuzz/pattern_parts.h"
#include "fuzz/quantized_models.h"

namespace linnet {
namespace {

using List = std::vector<int64_t>;
const Shape kOne = Shape::OfRank(0);

class Pattern : PatternParts {
 public:
  Pattern(Choices& c, RandomModel& m) : PatternParts(c, m) {}

  /// One operator and what follows it.
  void Alone(std::string_view op) {
    Bytes x = Fresh(ShapeFor(op));
    Finish(Behind(Apply(op, x), op), x);
  }
  void Chain() {
    constexpr std::string_view kImages[] = {"Conv", "Conv", "Add", "MaxPool", "AveragePool", "Resize", "Concat", "Mul", "ConvTranspose", "Function",
                                            "GlobalAveragePool", "Slice", "Transpose", "Split"};
    constexpr std::string_view kRows[] = {"MatMul", "MatMul", "Add", "LayerNormalization", "Softmax", "Mul", "Function", "Reshape", "Concat", "Gather"};
    const bool image = !c_.OneIn(3);
    Bytes x = Fresh(ShapeFor(image ? "Conv" : "MatMul"));
    for (int64_t stages = c_.Int(2, 3);; --stages) {
      const bool still = image && x.shape.rank() >= 3;
      const std::string_view op = still ? kImages[c_.Int(0, std::size(kImages) - 1)] : kRows[c_.Int(0, std::size(kRows) - 1)];
      Real y = Behind(Apply(op, x), op);
      const bool usual = y.shape.elements() > 0 && y.shape.elements() < 20000;
      if (stages == 1 || !usual) return Finish(y, x);
      seen_.push_back(x);
      const Bytes before = x;
      x = Quantize(y, before);
      if (c_.OneIn(6)) m_.Output(x.q);
    }
  }

 private:
  Shape ShapeFor(std::string_view op) {
    if (op == "Gemm") return c_.Dims(2, 1, c_.OneIn(5) ? 90 : 20);
    if (op == "MatMul" || op == "LayerNormalization" || op == "Softmax") {
      Shape shape = c_.Dims(static_cast<int>(c_.Int(2, 4)), 1, 4);
      shape[shape.rank() - 2] = c_.Int(1, 17);
      shape[shape.rank() - 1] = c_.Int(op == "MatMul" ? 1 : 2, c_.OneIn(5) ? 140 : 24);
      return shape;
    }
    for (std::string_view image : {"Conv", "ConvTranspose", "BatchNormalization", "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "Resize"}) {
      if (op != image) continue;
      Shape shape{c_.Int(1, 2), c_.Int(1, c_.OneIn(5) ? 40 : 9)};
      for (int64_t d = c_.Of<int64_t>({2, 2, 2, 2, 1, 3}); d > 0; --d) shape.Append(c_.Int(3, c_.OneIn(8) ? 24 : 9));
      return shape;
    }
    Shape shape = c_.Dims(static_cast<int>(c_.Int(1, 4)), 1, 9);
    if (c_.OneIn(6)) shape[shape.rank() - 1] = c_.Int(30, 80);
    return shape;
  }

  void Finish(const Real& y, const Bytes& x) {
    if (c_.OneIn(4)) return m_.Output(y.id);
    const Bytes out = Quantize(y, x, moved_);
    m_.Output(c_.OneIn(4) ? Dequantize(out) : out.q);
  }

  Real Apply(std::string_view op, const Bytes& x) {
    moved_ = softmax_ = false;
    const std::string name(op);
    if (op == "Conv" || op == "ConvTranspose") return Convolution(x, op == "ConvTranspose");
    if (op == "BatchNormalization") return BatchNormalization(Convolution(x, c_.OneIn(4)));
    if (op == "MatMul" || op == "Gemm") return Product(x, op == "Gemm");
    if (op == "Add" || op == "Sub" || op == "Mul") return Two(x, name);
    if (op == "Concat") return Concat(x);
    if (op == "AveragePool" || op == "MaxPool") return Pool(x, name);
    if (op == "Resize") return Resize(x);
    const Real in = AsReal(x);
    const int rank = x.shape.rank();
    if (op == "GlobalAveragePool" || op == "GlobalMaxPool") {
      Shape out = x.shape;
      for (int d = 2; d < rank; ++d) out[d] = 1;
      return {m_.AddOne(name, {in.id}), out, in.range};
    }
    if ((softmax_ = op == "Softmax")) return {m_.AddOne(name, {in.id}, {{"axis", c_.Int(-rank, rank - 1)}}), x.shape, c_.Coin() ? 1.0 : 0.1};
    if (op == "LayerNormalization") {
      const int64_t axis = c_.OneIn(4) ? c_.Int(-rank, rank - 1) : -1;
      const Shape row = Tail(x.shape, static_cast<int>(axis < 0 ? axis + rank : axis));
      std::vector<ValueId> inputs = {in.id, m_.Constant(m_.Floats(row, 0.5, 1.5))};
      if (c_.Coin()) inputs.push_back(m_.Constant(m_.Floats(row)));
      return {m_.AddOne(name, inputs, {{"axis", axis}}), x.shape, 4};
    }
    if (op == "ReduceMean") {
      const int64_t axis = c_.Int(0, rank - 1), keep = c_.Int(0, 1);
      List axes = {axis};
      if (rank > 2 && c_.Coin()) {   // all pixels, of channels first or last
        axes.clear();
        const int first = static_cast<int>(c_.Int(1, 2));
        for (int d = first; d < first + rank - 2; ++d) axes.push_back(c_.OneIn(4) ? d - rank : d);
      }
      Shape out = kOne;
      for (int d = 0; d < rank; ++d) {
        const bool gone = std::find(axes.begin(), axes.end(), d) != axes.end() || std::find(axes.begin(), axes.end(), d - rank) != axes.end();
        if (!gone || keep) out.Append(gone ? 1 : x.shape[d]);
      }
      return {m_.AddOne(name, {in.id, m_.Constant(axes)}, {{"keepdims", keep}}), out, in.range};
    }
    if (op == "Function") return Function(in, false);
    for (std::string_view function : {"Sigmoid", "HardSwish", "Tanh", "Gelu", "LeakyRelu", "Elu"}) {
      if (op == function) return Named(in, function);
    }
    moved_ = true;
    return Move(in, name);
  }

  static Shape Tail(const Shape& shape, int from) {
    Shape tail = kOne;
    for (int d = from; d < shape.rank(); ++d) tail.Append(shape[d]);
    return tail;
  }

  Real Convolution(const Bytes& x, bool transposed) {
    const int spatial = x.shape.rank() - 2;
    const int64_t in = x.shape[1];
    int64_t group = c_.OneIn(4) ? in : 1;
    if (group == 1 && in % 2 == 0 && c_.OneIn(4)) group = 2;
    const int64_t out = group * (group == in && in > 1 ? c_.Of<int64_t>({1, 1, 2}) : c_.Int(1, c_.OneIn(5) ? 40 : 7));
    const bool point = c_.OneIn(4), square = c_.OneIn(3);
    Shape weights = transposed ? Shape{in, out / group} : Shape{out, in / group}, y{x.shape[0], out};
    List strides, dilations, pads(static_cast<size_t>(2 * spatial)), more;
    int64_t taps = 1;
    const int64_t one_stride = c_.Int(1, 2);
    for (int d = 0; d < spatial; ++d) {
      const int64_t size = x.shape[d + 2];
      int64_t k = point ? 1 : square ? 3 : c_.Of<int64_t>({1, 2, 3, 3, 4, 5});
      int64_t dilation = c_.OneIn(6) ? 2 : 1;
      if (!transposed && (k - 1) * dilation + 1 > size) k = 1, dilation = 1;
      const int64_t stride = c_.OneIn(3) ? c_.Int(1, 3) : one_stride, covered = (k - 1) * dilation + 1;
      int64_t around = 0;
      for (int side = 0; side < 2; ++side) around += pads[static_cast<size_t>(d + side * spatial)] = square && !point ? 1 : c_.Int(0, k - 1);
      strides.push_back(stride), dilations.push_back(dilation), more.push_back(transposed && c_.OneIn(4) ? c_.Int(0, stride - 1) : 0);
      int64_t length = transposed ? (size - 1) * stride + more.back() + covered - around : (size + around - covered) / stride + 1;
      if (length < 1) {
        pads[static_cast<size_t>(d)] = pads[static_cast<size_t>(d + spatial)] = 0;
        length = (size - 1) * stride + more.back() + covered;
      }
      weights.Append(k), y.Append(length);
      taps *= k;
    }
    ValueId scales;
    double range;
    const Real w = Weights(weights, transposed ? (group == 1 ? 1 : -1) : 0, x, in / group * taps, &scales, &range);
    std::vector<ValueId> inputs = {Dequantize(x), w.id};
    const Tensor scale = m_.ContentsOf(scales);
    if (const ValueId bias = Bias(out, x, &scale, range); bias != kNoValue) inputs.push_back(bias);
    Attributes attributes = {{"group", group}, {"strides", strides}, {"dilations", dilations}};
    if (!transposed && c_.OneIn(8) && std::all_of(dilations.begin(), dilations.end(), [](int64_t d) { return d == 1; })) {
      attributes.push_back({"auto_pad", c_.Of<std::string>({"SAME_UPPER", "SAME_LOWER"})});
      for (int d = 0; d < spatial; ++d) y[d + 2] = DivUp(x.shape[d + 2], strides[static_cast<size_t>(d)]);
    } else {
      attributes.push_back({"pads", pads});
    }
    if (transposed && c_.Coin()) attributes.push_back({"output_padding", more});
    else if (transposed) for (int d = 0; d < spatial; ++d) y[d + 2] -= more[static_cast<size_t>(d)];
    return {m_.AddOne(transposed ? "ConvTranspose" : "Conv", inputs, attributes), y, range};
  }

  /// Of what a convolution makes; channels are turned round, or next to nothing, at times.
  Real BatchNormalization(const Real& x) {
    const Shape channels{x.shape[1]};
    Tensor scale = m_.Floats(channels, 0.5, 1.5);
    for (int64_t i = 0; i < scale.elements(); ++i) Put(scale, i, At(scale, i) * c_.Of({1.0, 1.0, 1.0, -1.0, -1.0, 0.0, 1e-9}));
    const ValueId shift = m_.Constant(m_.Floats(channels, -x.range / 4, x.range / 4)), mean = m_.Constant(m_.Floats(channels, -x.range / 4, x.range / 4));
    return {m_.AddOne("BatchNormalization", {x.id, m_.Constant(scale), shift, mean, m_.Constant(m_.Floats(channels, 0.3, 2))}), x.shape, x.range};
  }

  Real Product(const Bytes& x, bool gemm) {
    const int rank = x.shape.rank();
    const bool turn_a = gemm && c_.OneIn(4), turn_b = gemm && c_.Coin();
    const int64_t depth = x.shape[turn_a ? 0 : rank - 1], columns = c_.Int(1, c_.OneIn(5) ? 70 : 20);
    Shape y = x.shape;
    if (turn_a) y[0] = x.shape[1];
    y[rank - 1] = columns;
    ValueId second;
    double range;
    Tensor scale;
    if (!gemm && c_.OneIn(4)) {   // of two activations
      Shape shape = x.shape;
      shape[rank - 1] = columns;
      if (rank > 1) shape[rank - 2] = depth;
      Bytes b = Fresh(shape);
      b.q = m_.Input(m_.WeightBits(b.type, shape), true);
      range = 3 * sqrt(static_cast<double>(depth)) * 74 * 74 * x.scale * b.scale;
      second = Dequantize(b);
      if (rank == 1) y = Shape{columns};
    } else {
      ValueId scales;
      second = Weights(turn_b ? Shape{columns, depth} : Shape{depth, columns}, turn_b ? 0 : 1, x, depth, &scales, &range).id;
      scale = m_.ContentsOf(scales);
    }
    std::vector<ValueId> inputs = {Dequantize(x), second};
    const ValueId bias = Bias(columns, x, scale.has_data() ? &scale : nullptr, range);
    if (!gemm) {
      const ValueId product = m_.AddOne("MatMul", inputs);
      return {bias == kNoValue ? product : m_.AddOne("Add", {product, bias}), y, range};
    }
    if (bias != kNoValue) inputs.push_back(bias);
    Attributes attributes = {{"transA", int64_t{turn_a}}, {"transB", int64_t{turn_b}}};
    if (c_.OneIn(6)) attributes.push_back({"alpha", 0.5f});
    if (c_.OneIn(6)) attributes.push_back({"beta", 0.5f});
    return {m_.AddOne("Gemm", inputs, attributes), y, range};
  }

  /// Another tensor that broadcasts to x's shape: an earlier one of the chain where one fits.
  Real Other(const Bytes& x) {
    for (size_t i = seen_.size(); i-- > 0;) {
      if (seen_[i].shape == x.shape && !c_.OneIn(3)) return AsReal(seen_[i]);
    }
    if (c_.OneIn(8)) return AsReal(x);
    return AsReal(Fresh(c_.Coin() ? x.shape : c_.Broadcastable(x.shape), !c_.OneIn(5)));
  }
  Real Two(const Bytes& x, const std::string& op) {
    const Real a = AsReal(x), b = Other(x);
    const ValueId y = c_.OneIn(4) ? m_.AddOne(op, {b.id, a.id}) : m_.AddOne(op, {a.id, b.id});
    return {y, x.shape, op == "Mul" ? a.range * b.range : fmax(a.range, b.range)};
  }
  Real Concat(const Bytes& x) {
    const int axis = static_cast<int>(c_.Int(0, x.shape.rank() - 1));
    Real y = AsReal(x);
    std::vector<ValueId> inputs = {y.id};
    for (int64_t i = c_.Int(1, 3); i > 0; --i) {
      Shape part = x.shape;
      part[axis] = c_.Int(1, 6);
      Bytes other = Fresh(part);
      if (c_.Coin()) other = Bytes{m_.Input(m_.Bits(x.type, part), true), part, x.type, x.scale, x.scale_id, x.zero_id};
      const Real real = AsReal(other);
      inputs.push_back(real.id);
      y.range = fmax(y.range, real.range);
      y.shape[axis] += part[axis];
    }
    y.id = m_.AddOne("Concat", inputs, {{"axis", int64_t{axis}}});
    moved_ = c_.Coin();
    return y;
  }

  Real Pool(const Bytes& x, const std::string& op) {
    const Real in = AsReal(x);
    const int spatial = x.shape.rank() - 2;
    const bool most = op == "MaxPool", ceil_mode = c_.OneIn(6);
    if (ceil_mode) m_.NoPeer();   // it counts what ceil_mode covers beyond the padding, unlike ONNX's AveragePool
    List kernel, strides, pads(static_cast<size_t>(2 * spatial));
    Shape y{x.shape[0], x.shape[1]};
    for (int d = 0; d < spatial; ++d) {
      const int64_t size = x.shape[d + 2], k = std::min(size, c_.Int(1, 3)), stride = c_.Int(1, 3);
      kernel.push_back(k), strides.push_back(stride);
      int64_t around = 0;
      for (int side = 0; side < 2; ++side) around += pads[static_cast<size_t>(d + side * spatial)] = c_.Int(0, k - 1);
      int64_t length = (size + around - k + (ceil_mode ? stride - 1 : 0)) / stride + 1;
      if (ceil_mode && (length - 1) * stride >= size + pads[static_cast<size_t>(d)]) --length;
      y.Append(length);
    }
    Attributes attributes = {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}, {"ceil_mode", int64_t{ceil_mode}}};
    if (!most) attributes.push_back({"count_include_pad", c_.Int(0, 1)});
    moved_ = most;
    return {m_.AddOne(op, {in.id}, attributes), y, in.range};
  }
  Real Resize(const Bytes& x) {
    const Real in = AsReal(x);
    const std::string mode = x.shape.rank() == 4 ? c_.Of<std::string>({"linear", "nearest", "cubic"}) : c_.Of<std::string>({"linear", "nearest"});
    Attributes attributes = {{"mode", mode}, {"coordinate_transformation_mode", c_.Of<std::string>({"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"})}};
    // Of sizes that are rounded down, it aligns corners with what they were rounded to, ONNX's own code with what they were before.
    const bool aligned = std::get<std::string>(attributes[1].payload) == "align_corners";
    Shape y = x.shape;
    Tensor scales = m_.Floats(Shape{y.rank()}, 1, 1);
    for (int d = 2; d < y.rank(); ++d) {
      const double scale = c_.Of({2.0, 1.5, 0.5, 1.0, 3.0});
      Put(scales, d, scale);
      const double length = static_cast<double>(y[d]) * scale;
      y[d] = static_cast<int64_t>(floor(length));
      if (aligned && floor(length) != length) m_.NoPeer();
    }
    moved_ = c_.Coin();
    if (c_.Coin()) return {m_.AddOne("Resize", {in.id, kNoValue, m_.Constant(scales)}, attributes), y, in.range};
    return {m_.AddOne("Resize", {in.id, kNoValue, kNoValue, m_.Constant(List(y.begin(), y.end()))}, attributes), y, in.range};
  }

  Real Move(const Real& x, const std::string& op) {
    const int rank = x.shape.rank();
    const int axis = static_cast<int>(c_.Int(0, rank - 1));
    Shape y = x.shape;
    if (op == "Transpose") {
      List perm;
      for (int d = 0; d < rank; ++d) perm.insert(perm.begin() + c_.Int(0, d), d);
      for (int d = 0; d < rank; ++d) y[d] = x.shape[static_cast<int>(perm[static_cast<size_t>(d)])];
      return {m_.AddOne(op, {x.id}, {{"perm", perm}}), y, x.range};
    }
    if (op == "Split") {
      y[axis] = c_.Int(1, x.shape[axis]);
      const std::vector<ValueId> parts =
          m_.Add("Split", {x.id, m_.Constant(List{y[axis], x.shape[axis] - y[axis]})}, {{"axis", int64_t{axis}}}, 2);
      if (c_.Coin()) m_.Output(parts[1]);
      return {parts[0], y, x.range};
    }
    if (op == "Slice") {
      const int64_t start = c_.Int(0, x.shape[axis] - 1), step = c_.Int(1, 2);
      y[axis] = DivUp(x.shape[axis] - start, step);
      return {m_.AddOne(op, {x.id, m_.Constant(List{start}), m_.Constant(List{INT64_MAX}), m_.Constant(List{axis}), m_.Constant(List{step})}), y, x.range};
    }
    if (op == "Gather") {
      const int64_t picked = c_.Int(1, 5);
      y[axis] = picked;
      return {m_.AddOne(op, {x.id, m_.Input(m_.Numbers(DType::kInt64, Shape{picked}, 0, static_cast<double>(x.shape[axis]) - 0.01))}, {{"axis", int64_t{axis}}}),
              y, x.range};
    }
    if (op == "Pad") {
      List pads(static_cast<size_t>(2 * rank), 0);
      pads[static_cast<size_t>(axis)] = c_.Int(0, 2), pads[static_cast<size_t>(axis + rank)] = c_.Int(0, 2);
      y[axis] += pads[static_cast<size_t>(axis)] + pads[static_cast<size_t>(axis + rank)];
      const std::string mode = c_.Of<std::string>({"constant", "edge"});
      std::vector<ValueId> inputs = {x.id, m_.Constant(pads)};
      if (mode == "constant" && c_.Coin()) inputs.push_back(m_.Constant(static_cast<float>(c_.Of({0.0, 0.5, -1e9}))));
      return {m_.AddOne(op, inputs, {{"mode", mode}}), y, x.range};
    }
    const int64_t rest = x.shape.elements() / std::max<int64_t>(1, x.shape[0]);
    y = c_.Coin() ? Shape{x.shape[0], rest} : Shape{x.shape.elements(), 1};
    return {m_.AddOne("Reshape", {x.id, m_.Constant(List(y.begin(), y.end()))}), y, x.range};
  }
};

void Alone(Choices& c, RandomModel& m, std::string_view op) { Pattern(c, m).Alone(op); }
void Chain(Choices& c, RandomModel& m, std::string_view) { Pattern(c, m).Chain(); }

constexpr QuantizedKind kPatterns[] = {
    {"QDQ Conv", Alone, true},
    {"QDQ ConvTranspose", Alone, true},
    {"QDQ BatchNormalization", Alone, true},
    {"QDQ Gemm", Alone, true},
    {"QDQ MatMul", Alone, true},
    {"QDQ Add", Alone},
    {"QDQ Sub", Alone},
    {"QDQ Mul", Alone},
    {"QDQ Concat", Alone},
    {"QDQ AveragePool", Alone},
    {"QDQ GlobalAveragePool", Alone},
    {"QDQ GlobalMaxPool", Alone},
    {"QDQ MaxPool", Alone},
    {"QDQ Resize", Alone},
    {"QDQ Softmax", Alone},
    {"QDQ LayerNormalization", Alone},
    {"QDQ ReduceMean", Alone},
    {"QDQ Sigmoid", Alone},
    {"QDQ HardSwish", Alone},
    {"QDQ Tanh", Alone},
    {"QDQ Gelu", Alone},
    {"QDQ LeakyRelu", Alone},
    {"QDQ Elu", Alone},
    {"QDQ Reshape", Alone},
    {"QDQ Transpose", Alone},
    {"QDQ Split", Alone},
    {"QDQ Slice", Alone},
    {"QDQ Gather", Alone},
    {"QDQ Pad", Alone},
    {"QDQ chain", Chain, true},
};

}  // namespace

std::span<const QuantizedKind> QuantizedPatterns() { return kPatterns; }

}  // namespace linnet
