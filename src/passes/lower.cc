// lower: com.microsoft's fused operators become ONNX's, which the other passes then fuse in their own way.
//
//     QuantizeLinear, DequantizeLinear   those of ONNX
//     QLinearWhere                       Where between DequantizeLinear and QuantizeLinear
//     EmbedLayerNormalization            Gathers, their sum and LayerNormalization
//     Attention, QAttention              three products, then as
//     MultiHeadAttention                 linnet:Attention, or Attention where there are caches, where the past alone is seen and for 16 bits
//
// Masks of integers become real numbers that are added to the scores. Nothing of what is made is larger than what it stands for.
#include <math.h>

#include <array>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr char kMicrosoft[] = "com.microsoft";
/// Of ai.onnx, what is made has this version.
constexpr int kVersion = 23;

class Lowering {
 public:
  Lowering(Graph& graph, Node node) : graph_(graph), node_(std::move(node)) {}

  Status Run() {
    if (node_.op == "QuantizeLinear" || node_.op == "DequantizeLinear") return Renamed();
    if (node_.op == "QLinearWhere") return Where();
    if (node_.op == "EmbedLayerNormalization") return Embedding();
    if (node_.op == "MultiHeadAttention") return MultiHead();
    return OfInput(node_.op == "QAttention");
  }

  static bool Knows(const Node& node) {
    if (!node.alive || node.domain != kMicrosoft) return false;
    for (std::string_view op : {"Attention", "QAttention", "MultiHeadAttention", "EmbedLayerNormalization", "QLinearWhere", "QuantizeLinear"}) {
      if (node.op == op) return true;
    }
    return node.op == "DequantizeLinear";
  }

 private:
  using Attributes = std::vector<Attribute>;

  ValueId In(size_t i) const { return InputOf(node_, i); }
  ValueId Out(size_t i) const { return i < node_.outputs.size() ? node_.outputs[i] : kNoValue; }
  const Type& TypeOf(ValueId id) const { return graph_.value(id).type; }
  const Shape& ShapeOf(ValueId id) const { return TypeOf(id).shape; }

  ValueId Constant(Tensor contents) { return graph_.AddConstant(graph_.FreshName("lowered"), std::move(contents)); }
  ValueId Ints(const std::vector<int64_t>& list) { return Constant(Tensor::Ints(list)); }
  template <class T>
  ValueId Scalar(T value) { return Constant(Tensor::Scalar(value)); }

  Status AddNode(std::string_view op, std::vector<ValueId> inputs, Attributes attributes, std::vector<ValueId> outputs,
                 std::string_view domain = "") {
    Node made;
    made.op = op;
    made.domain = domain;
    made.version = domain.empty() ? kVersion : 1;
    made.name = node_.name;
    made.inputs = std::move(inputs);
    while (!made.inputs.empty() && made.inputs.back() == kNoValue) made.inputs.pop_back();
    made.outputs = std::move(outputs);
    while (!made.outputs.empty() && made.outputs.back() == kNoValue) made.outputs.pop_back();
    made.attributes = std::move(attributes);
    return graph_.AddNode(std::move(made)).TakeStatus();
  }
  ValueId Fresh() { return graph_.AddValue(graph_.FreshName(graph_.value(node_.outputs[0]).name)); }
  /// A node that makes `to`, or, without it, a value of its own. What fails is seen at the end.
  ValueId Add(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}, ValueId to = kNoValue, std::string_view domain = "") {
    if (to == kNoValue) to = Fresh();
    Status status = AddNode(op, std::move(inputs), std::move(attributes), {to}, domain);
    if (status_.ok()) status_ = std::move(status);
    return to;
  }
  std::vector<ValueId> Split(ValueId from, ValueId sizes, int64_t axis, int parts) {
    std::vector<ValueId> outputs;
    for (int i = 0; i < parts; ++i) outputs.push_back(Fresh());
    Attributes attributes = {{"axis", axis}};
    if (sizes == kNoValue) attributes.push_back({"num_outputs", int64_t{parts}});
    Status status = AddNode("Split", {from, sizes}, std::move(attributes), outputs);
    if (status_.ok()) status_ = std::move(status);
    return outputs;
  }
  ValueId Cast(ValueId from, DType to) { return Add("Cast", {from}, {{"to", static_cast<int64_t>(to)}}); }

  /// A dimension as a list of one number.
  ValueId Dim(ValueId of, int axis) {
    const Shape& shape = ShapeOf(of);
    if (shape.has_rank() && IsKnownDim(shape[axis])) return Ints({shape[axis]});
    return Add("Shape", {of}, {{"start", int64_t{axis}}, {"end", int64_t{axis} + 1}});
  }
  ValueId Slice(ValueId from, ValueId begin, ValueId end, int64_t axis) { return Add("Slice", {from, begin, end, Ints({axis})}); }

  Status Renamed() {
    node_.domain.clear();
    node_.version = 21;   // later ones round the quotient to the type of the scale
    return graph_.AddNode(std::move(node_)).TakeStatus();
  }

  Status Where() {
    const ValueId x = Add("DequantizeLinear", {In(1), In(2), In(3)}), y = Add("DequantizeLinear", {In(4), In(5), In(6)});
    Add("QuantizeLinear", {Add("Where", {In(0), x, y}), In(7), In(8)}, {}, Out(0));
    return std::move(status_);
  }

  Status Embedding() {
    LINNET_ASSIGN(const float epsilon, node_.Float("epsilon", 1e-12f));
    const ValueId ids = In(0), mask = In(7);
    const ValueId length = Dim(ids, 1);
    ValueId sum = Add("Gather", {In(2), ids});
    sum = Add("Add", {sum, In(8) != kNoValue ? Add("Gather", {In(3), In(8)}) : Slice(In(3), Ints({0}), length, 0)});
    const bool segments = In(1) != kNoValue && In(4) != kNoValue;
    sum = segments ? Add("Add", {sum, Add("Gather", {In(4), In(1)})}, {}, Out(2)) : Out(2) == kNoValue ? sum : Add("Identity", {sum}, {}, Out(2));
    Add("LayerNormalization", {sum, In(5), In(6)}, {{"axis", int64_t{-1}}, {"epsilon", epsilon}}, Out(0));
    if (Out(1) == kNoValue) return std::move(status_);
    if (mask == kNoValue) {
      Add("Expand", {Scalar<int32_t>(0), Dim(ids, 0)}, {}, Out(1));
    } else {
      const ValueId ones = Cast(Add("Equal", {mask, Scalar<int32_t>(1)}), DType::kInt32);
      Add("ReduceSum", {ones, Ints({1})}, {{"keepdims", int64_t{0}}}, Out(1));
    }
    return std::move(status_);
  }

  // Attention ---------------------------------------------------------------------------------------------------

  /// Queries, keys or values: [B, S, heads * size], or of four dimensions with positions on `axis`.
  struct Operand {
    ValueId value;
    int axis = 0;   ///< 0: three dimensions
  };

  /// What is added to the scores where a mask hides keys; kNoValue without one. `total`: the number of keys, a list of one.
  Result<ValueId> Mask(ValueId mask, ValueId batch, ValueId total, DType dtype) {
    if (mask == kNoValue) return kNoValue;
    const Shape& shape = ShapeOf(mask);
    if (!shape.has_rank()) return Unsupported("a mask of unknown rank");
    LINNET_ASSIGN(const float filter, node_.Float("mask_filter_value", -10000));
    if (shape.rank() == 2 && shape[1] == 1) return kNoValue;   // it hides all or nothing, to the same effect
    ValueId seen;
    const bool maybe_one = shape.rank() == 2 && !IsKnownDim(shape[1]);
    if (shape.rank() > 1) {
      seen = Add("Greater", {mask, Scalar<int32_t>(0)});
      if (maybe_one) seen = Add("Or", {seen, Add("Equal", {Dim(mask, 1), Ints({1})})});
    } else {
      // Ends, and beginnings behind them: where there are none, zeros.
      const ValueId wide = Cast(mask, DType::kInt64), zero = Ints({0}), column = Ints({-1, 1});
      const ValueId both = Add("Concat", {wide, Add("Expand", {zero, batch})}, {{"axis", int64_t{0}}});
      const ValueId ends = Add("Reshape", {Slice(both, zero, batch, 0), column});
      const ValueId begins = Add("Reshape", {Slice(both, batch, Add("Add", {batch, batch}), 0), column});
      const ValueId keys = Add("Range", {Scalar<int64_t>(0), Add("Squeeze", {total}), Scalar<int64_t>(1)});
      seen = Add("And", {Add("Less", {keys, ends}), Add("GreaterOrEqual", {keys, begins})});
    }
    ValueId added = Add("Where", {seen, Scalar(0.0f), Scalar(filter)});
    if (maybe_one) added = Add("Expand", {added, Add("Concat", {Ints({1}), total}, {{"axis", int64_t{0}}})});
    if (dtype != DType::kFloat) added = Cast(added, dtype);
    return Add("Unsqueeze", {added, shape.rank() == 3 ? Ints({1}) : Ints({1, 2})});
  }

  /// The same for queries that see the past alone, where there are not as many keys: the last one sees all, as in ONNX Runtime.
  ValueId PastAlone(ValueId queries, ValueId total, ValueId past, DType dtype) {
    auto numbers = [&](ValueId count) { return Add("Range", {Scalar<int64_t>(0), Add("Squeeze", {count}), Scalar<int64_t>(1)}); };
    const ValueId i = Add("Reshape", {numbers(queries), Ints({-1, 1})}), j = numbers(total);
    const ValueId before = Add("LessOrEqual", {j, past == kNoValue ? i : Add("Add", {i, past})});
    const ValueId last = Add("Equal", {i, Add("Sub", {queries, Ints({1})})});
    ValueId added = Add("Where", {Add("Or", {before, last}), Scalar(0.0f), Scalar(-INFINITY)});
    if (dtype != DType::kFloat) added = Cast(added, dtype);
    return Add("Unsqueeze", {added, Ints({0, 1})});
  }

  /// Of four dimensions; those of three get a view of them.
  Operand Split4(const Operand& x, int64_t heads) {
    if (x.axis != 0) return x;
    return {Add("Reshape", {x.value, Ints({0, 0, heads, -1})}), 1};
  }
  ValueId HeadsFirst(const Operand& x, int64_t heads) {
    const Operand y = Split4(x, heads);
    return y.axis == 2 ? y.value : Add("Transpose", {y.value}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  }

  struct Caches {
    ValueId past_key = kNoValue, past_value = kNoValue, present_key = kNoValue, present_value = kNoValue, scores = kNoValue;
  };

  /// Attention itself. `size` of a head of queries and keys, unknown or not.
  Status Attend(const Operand& q, const Operand& k, const Operand& v, int64_t size, ValueId bias, const Caches& caches, DType dtype, int64_t causal) {
    LINNET_ASSIGN(const int64_t heads, node_.Int("num_heads", 0));
    LINNET_ASSIGN(float scale, node_.Float("scale", 0));
    const bool caching = caches.past_key != kNoValue || caches.present_key != kNoValue || caches.present_value != kNoValue || caches.scores != kNoValue;
    if (scale == 0 && IsKnownDim(size)) scale = static_cast<float>(1 / sqrt(static_cast<double>(std::max<int64_t>(size, 1))));
    const std::vector<int64_t> swap = {0, 2, 1, 3};
    const ValueId flat = Ints({0, 0, -1});
    if (!caching && !causal && dtype == DType::kFloat && scale != 0) {
      const Operand q4 = Split4(q, heads), k4 = Split4(k, heads), v4 = Split4(v, heads);
      const ValueId y = Add("Attention", {q4.value, k4.value, v4.value, bias},
                            {{"scale", scale}, {"q_axis", int64_t{q4.axis}}, {"k_axis", int64_t{k4.axis}}, {"v_axis", int64_t{v4.axis}}, {"y_axis", int64_t{1}}},
                            kNoValue, "linnet");
      Add("Reshape", {y, flat}, {}, Out(0));
      return std::move(status_);
    }
    const bool three = q.axis == 0 && k.axis == 0 && v.axis == 0;
    Attributes attributes = {{"is_causal", causal}};
    if (scale != 0) attributes.push_back({"scale", scale});
    if (caches.scores != kNoValue) attributes.push_back({"qk_matmul_output_mode", int64_t{2}});
    if (three) attributes.insert(attributes.end(), {{"q_num_heads", heads}, {"kv_num_heads", heads}});
    std::vector<ValueId> inputs = {q.value, k.value, v.value};
    if (!three) inputs = {HeadsFirst(q, heads), HeadsFirst(k, heads), HeadsFirst(v, heads)};
    inputs.insert(inputs.end(), {bias, caches.past_key, caches.past_value});
    const ValueId y = three ? Out(0) : Fresh();
    LINNET_TRY(AddNode("Attention", std::move(inputs), std::move(attributes), {y, caches.present_key, caches.present_value, caches.scores}));
    if (!three) Add("Reshape", {Add("Transpose", {y}, {{"perm", swap}}), flat}, {}, Out(0));
    return std::move(status_);
  }

  ValueId Sum(ValueId a, ValueId b) { return a == kNoValue ? b : b == kNoValue ? a : Add("Add", {a, b}); }

  Status MultiHead() {
    const ValueId query = In(0), key = In(1), value = In(2), bias = In(3);
    const ValueId keys_of = key == kNoValue ? query : key;
    const int rank = ShapeOf(keys_of).rank();
    if (rank < 0 || !ShapeOf(query).has_rank()) return Unsupported("a query or key of unknown rank");
    LINNET_ASSIGN(const int64_t heads, node_.Int("num_heads", 0));
    const Shape& shape = ShapeOf(query);
    auto part = [&](ValueId from, int64_t i) { return Operand{Add("Gather", {from, Scalar(i)}, {{"axis", int64_t{3}}}), 1}; };
    auto plain = [&](ValueId from) { return Operand{from, ShapeOf(from).rank() == 4 ? 2 : 0}; };
    Operand q = key == kNoValue ? part(query, 0) : plain(query), k, v;
    if (key == kNoValue) {
      k = part(query, 1), v = part(query, 2);
    } else if (value == kNoValue) {
      k = part(key, 0), v = part(key, 1);
    } else {
      k = plain(key), v = plain(value);
    }
    if (bias != kNoValue) {
      const ValueId once = Dim(query, 2), twice = Add("Add", {once, once});
      q.value = Add("Add", {q.value, Slice(bias, Ints({0}), once, 0)});
      k.value = Add("Add", {k.value, Slice(bias, once, twice, 0)});
      v.value = Add("Add", {v.value, Slice(bias, twice, Ints({INT32_MAX}), 0)});
    }
    const DType dtype = TypeOf(query).dtype;
    const int axis = rank == 4 ? 2 : 1;
    const ValueId past = In(6) == kNoValue ? kNoValue : Dim(In(6), 2), keys = Dim(keys_of, axis), total = Sum(keys, past);
    LINNET_ASSIGN(const ValueId mask, Mask(In(4), Dim(query, 0), total, dtype));
    ValueId added = Sum(mask, In(5));
    LINNET_ASSIGN(int64_t causal, node_.Int("unidirectional", 0));
    const int64_t queries = ShapeOf(query)[1];
    if (causal && (queries == kUnknownDim || queries != ShapeOf(keys_of)[axis])) {
      added = Sum(added, PastAlone(Dim(query, 1), total, past, dtype));
      causal = 0;
    }
    return Attend(q, k, v, rank == 5 && key == kNoValue ? shape[4] : DimDiv(shape[2], heads), added,
                  {In(6), In(7), Out(1), Out(2), Out(3)}, dtype, causal);
  }

  /// Attention and QAttention.
  Status OfInput(bool quantized) {
    const ValueId x = In(0), w = In(1), past = In(quantized ? 8 : 4);
    LINNET_ASSIGN(const std::vector<int64_t> hidden, node_.Ints("qkv_hidden_sizes"));
    LINNET_ASSIGN(const int64_t heads, node_.Int("num_heads", 0));
    const ValueId sizes = hidden.empty() ? kNoValue : Ints(hidden);
    // A list with a number for each column is split with the columns.
    auto parts = [&](ValueId from, bool columns) {
      if (from == kNoValue || !columns) return std::vector<ValueId>{from, from, from};
      if (ShapeOf(from).rank() == 1 && !IsKnownDim(ShapeOf(from)[0])) from = Add("Expand", {from, Dim(w, 1)});   // it may be of one number
      return Split(from, sizes, -1, 3);
    };
    auto each = [&](ValueId from) { return from != kNoValue && ShapeOf(from).rank() == 1 && ShapeOf(from)[0] != 1; };
    LINNET_ASSIGN(const int64_t causal, node_.Int("unidirectional", 0));
    const std::vector<ValueId> weights = parts(w, true), biases = parts(In(2), true);
    std::array<Operand, 3> qkv;
    if (quantized) {
      const std::vector<ValueId> scales = parts(In(4), each(In(4))), zeros = parts(In(7), each(In(7)));
      for (size_t i = 0; i < 3; ++i) {
        qkv[i].value = Add("MatMulIntegerToFloat", {x, weights[i], In(3), scales[i], In(6), zeros[i], biases[i]}, {}, kNoValue, kMicrosoft);
      }
    } else {
      for (size_t i = 0; i < 3; ++i) qkv[i].value = Sum(Add("MatMul", {x, weights[i]}), biases[i]);
    }
    const DType dtype = quantized ? DType::kFloat : TypeOf(x).dtype;
    ValueId total = Dim(x, 1);
    Caches caches;
    if (past != kNoValue) {
      total = Add("Add", {total, Dim(past, 3)});
      caches.past_key = Add("Gather", {past, Scalar<int64_t>(0)}, {{"axis", int64_t{0}}});
      caches.past_value = Add("Gather", {past, Scalar<int64_t>(1)}, {{"axis", int64_t{0}}});
    }
    if (Out(1) != kNoValue) caches.present_key = Fresh(), caches.present_value = Fresh();
    LINNET_ASSIGN(const ValueId mask, Mask(In(quantized ? 5 : 3), Dim(x, 0), total, dtype));
    const Shape& columns = ShapeOf(w);
    const int64_t size = !hidden.empty() ? hidden[0] / heads : columns.has_rank() ? DimDiv(columns[1], 3 * heads) : kUnknownDim;
    LINNET_TRY(Attend(qkv[0], qkv[1], qkv[2], size, Sum(mask, quantized ? kNoValue : In(5)), caches, dtype, causal));
    if (Out(1) == kNoValue) return Status();
    const ValueId front = Ints({0});
    Add("Concat", {Add("Unsqueeze", {caches.present_key, front}), Add("Unsqueeze", {caches.present_value, front})}, {{"axis", int64_t{0}}}, Out(1));
    return std::move(status_);
  }

  Graph& graph_;
  Node node_;
  Status status_;
};

}  // namespace

Status Lower(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& each) -> Status {
    const int count = each.node_count();
    for (NodeId id = 0; id < count; ++id) {
      if (!Lowering::Knows(each.node(id))) continue;
      Node node = each.node(id);
      const std::string label = node.Label(each);
      if (node.outputs.empty() || node.outputs[0] == kNoValue) return InvalidModel(label, " has no first output");
      each.RemoveNode(id);
      LINNET_TRY(Lowering(each, std::move(node)).Run().At(label));
    }
    return Status();
  });
}

}  // namespace linnet
