// shape_arithmetic: follows dimensions through Shape → Gather → Concat → Reshape chains and writes down what they come to.
//
// Exporters compute every Reshape's target at run time. An element of such a target is a number or "dimension d of value
// v", and that is enough to write the target as a constant:
//
//     x: float[N,seq,256]      [dim 0 of x, dim 1 of x, 4, 64]   becomes   [0, 0, 4, 64]     0 copies x's own dimension
//     y: float[N,4,seq,64]     [dim 0 of x, dim 1 of x, 256]     becomes   [0, -1, 256]      N is N; one -1 is left over
//
// The chain is then dead. What comes out as numbers alone becomes a constant. Types are inferred during the same walk, so
// that what the first layer of a network learns serves the second.
#include <algorithm>
#include <optional>
#include <unordered_map>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr size_t kElementsMax = 16;

/// An element of an integer list: a number, a dimension of a value, or neither.
struct Element {
  enum Kind : uint8_t { kUnknown, kNumber, kDimension } kind = kUnknown;
  int64_t number = 0;          ///< kNumber
  int64_t dim = kUnknownDim;   ///< kDimension: what the type says of it: a symbol, or unknown
  ValueId value = kNoValue;    ///< kDimension: whose
  int axis = 0;

  static Element Number(int64_t number) { return {kNumber, number, kUnknownDim, kNoValue, 0}; }
};
using Elements = std::vector<Element>;

class ShapeReader : public InferVisitor {
 public:
  explicit ShapeReader(Graph& graph) : graph_(graph) {}

  Status Before(NodeId id, const std::vector<Fact>& facts) override {
    const Node& node = graph_.node(id);
    if (!node.Is("Reshape") || node.version < 5 || node.inputs.size() != 2) return Status();
    if (graph_.is_constant(node.inputs[1])) return Status();
    LINNET_ASSIGN(int64_t allow_zero, node.Int("allowzero", 0));
    if (allow_zero != 0) return Status();
    const Elements* target = Find(node.inputs[1]);
    if (!target) return Status();
    std::optional<std::vector<int64_t>> shape = Written(*target, node.inputs[0], facts[At(node.inputs[0])].type.shape);
    if (shape) graph_.SetInput(id, 1, AddInts(graph_.value(node.inputs[1]).name, *shape, false));
    return Status();
  }

  Status After(NodeId id, const std::vector<Fact>& facts) override {
    const Node& node = graph_.node(id);
    if (!node.domain.empty() || node.outputs.size() != 1 || node.outputs[0] == kNoValue || node.inputs.empty()) return Status();
    std::optional<Elements> elements = Compute(node, facts);
    if (!elements || elements->size() > kElementsMax) return Status();
    ValueId out = node.outputs[0];
    const Type& type = facts[At(out)].type;
    bool numbers = type.is_tensor() && type.dtype == DType::kInt64 && type.shape.rank() >= 0 && type.shape.rank() <= 1;
    std::vector<int64_t> values;
    for (const Element& element : *elements) {
      numbers = numbers && element.kind == Element::kNumber;
      values.push_back(element.number);
    }
    if (numbers) graph_.ReplaceUses(out, AddInts(graph_.value(out).name, values, type.shape.rank() == 0));
    known_[out] = std::move(*elements);
    return Status();
  }

 private:
  static size_t At(ValueId id) { return static_cast<size_t>(id); }

  /// The elements of `id` when something is known of them; constants are read when first asked for.
  const Elements* Find(ValueId id) {
    if (id == kNoValue) return nullptr;
    auto found = known_.find(id);
    if (found != known_.end()) return &found->second;
    const Tensor* constant = ConstantOf(graph_, id);
    if (!constant || constant->elements() > static_cast<int64_t>(kElementsMax)) return nullptr;
    std::optional<std::vector<int64_t>> ints = IntsOf(graph_, id);
    if (!ints) return nullptr;
    Elements elements;
    for (int64_t value : *ints) elements.push_back(Element::Number(value));
    return &(known_[id] = std::move(elements));
  }

  ValueId AddInts(const std::string& hint, const std::vector<int64_t>& values, bool scalar) {
    Tensor tensor = scalar ? Tensor::Scalar<int64_t>(values[0]) : Tensor::Ints(values);
    return graph_.AddConstant(graph_.FreshName(hint), tensor);
  }

  std::optional<Elements> Compute(const Node& node, const std::vector<Fact>& facts) {
    if (node.op == "Shape") return ShapeOf(node, facts);
    const Elements* data = Find(node.inputs[0]);
    if (node.op == "Concat") {
      Elements all;
      for (ValueId input : node.inputs) {
        const Elements* part = Find(input);
        if (!part) return std::nullopt;
        all.insert(all.end(), part->begin(), part->end());
        if (all.size() > kElementsMax) return std::nullopt;
      }
      return all;
    }
    if (!data) return std::nullopt;
    // Lists of one dimension, and single elements: moving them about keeps their order.
    if (node.op == "Unsqueeze" || node.op == "Squeeze" || node.op == "Identity") return *data;
    if (node.op == "Reshape") return *data;
    if (node.op == "Cast") {
      Result<int64_t> to = node.Int("to", 0);
      return to.ok() && *to == static_cast<int64_t>(DType::kInt64) ? std::optional(*data) : std::nullopt;
    }
    if (node.op == "Gather" && node.inputs.size() == 2) {
      Result<int64_t> axis = node.Int("axis", 0);
      const Shape& shape = facts[At(node.inputs[0])].type.shape;
      const Elements* indices = Find(node.inputs[1]);
      if (!axis.ok() || *axis != 0 || shape.rank() != 1 || !indices) return std::nullopt;
      Elements picked;
      int64_t size = static_cast<int64_t>(data->size());
      for (const Element& index : *indices) {
        int64_t at = index.number < 0 ? index.number + size : index.number;
        if (index.kind != Element::kNumber || at < 0 || at >= size) return std::nullopt;
        picked.push_back((*data)[static_cast<size_t>(at)]);
      }
      return picked;
    }
    if (node.op == "Slice" && node.version >= 10 && node.inputs.size() >= 3) return SliceOf(node, *data, facts);
    if (node.op == "Mul" && node.inputs.size() == 2) {
      const Elements* other = Find(node.inputs[1]);
      if (!other || data->size() != 1 || other->size() != 1) return std::nullopt;
      return Elements{Product((*data)[0], (*other)[0])};
    }
    return std::nullopt;
  }

  std::optional<Elements> ShapeOf(const Node& node, const std::vector<Fact>& facts) {
    const Type& type = facts[At(node.inputs[0])].type;
    if (!type.is_tensor() || !type.shape.has_rank()) return std::nullopt;
    int rank = type.shape.rank();
    Result<int64_t> start = node.Int("start", 0), end = node.Int("end", rank);
    if (!start.ok() || !end.ok()) return std::nullopt;
    auto clamp = [rank](int64_t at) { return std::max<int64_t>(0, std::min<int64_t>(at < 0 ? at + rank : at, rank)); };
    Elements elements;
    for (int64_t axis = clamp(*start); axis < clamp(*end); ++axis) {
      int64_t dim = type.shape[static_cast<int>(axis)];
      elements.push_back(IsKnownDim(dim) ? Element::Number(dim)
                                         : Element{Element::kDimension, 0, dim, node.inputs[0], static_cast<int>(axis)});
    }
    return elements;
  }

  std::optional<Elements> SliceOf(const Node& node, const Elements& data, const std::vector<Fact>& facts) {
    auto one = [&](size_t input, int64_t fallback) -> std::optional<int64_t> {
      if (input >= node.inputs.size() || node.inputs[input] == kNoValue) return fallback;
      const Elements* elements = Find(node.inputs[input]);
      if (!elements || elements->size() != 1 || (*elements)[0].kind != Element::kNumber) return std::nullopt;
      return (*elements)[0].number;
    };
    std::optional<int64_t> start = one(1, 0), end = one(2, 0), axis = one(3, 0), step = one(4, 1);
    if (!start || !end || axis != 0 || step != 1 || facts[At(node.inputs[0])].type.shape.rank() != 1) return std::nullopt;
    int64_t size = static_cast<int64_t>(data.size());
    auto clamp = [size](int64_t at) {
      return at < -size ? 0 : std::max<int64_t>(0, std::min<int64_t>(at < 0 ? at + size : at, size));
    };
    int64_t from = clamp(*start), to = std::max(clamp(*end), from);
    return Elements(data.begin() + from, data.begin() + to);
  }

  static Element Product(const Element& a, const Element& b) {
    if (a.kind == Element::kNumber && b.kind == Element::kNumber) {
      int64_t product;
      return CheckedMul(std::max<int64_t>(a.number, 0), std::max<int64_t>(b.number, 0), &product) && a.number >= 0 && b.number >= 0
                 ? Element::Number(product)
                 : Element();
    }
    if (a.kind == Element::kNumber && a.number == 1) return b;
    if (b.kind == Element::kNumber && b.number == 1) return a;
    return Element();
  }

  /// A constant that Reshape reads as `target` does for an input of `shape`, or nothing.
  static std::optional<std::vector<int64_t>> Written(const Elements& target, ValueId input, const Shape& shape) {
    std::vector<int64_t> out;
    int rest = 0;
    bool zero = false;
    for (size_t i = 0; i < target.size(); ++i) {
      const Element& element = target[i];
      if (element.kind == Element::kUnknown) return std::nullopt;
      if (element.kind == Element::kNumber) {
        out.push_back(element.number);
        rest += element.number == -1;
        zero = zero || element.number == 0;
        continue;
      }
      int axis = static_cast<int>(i);
      bool own = element.value == input && element.axis == axis;
      bool same = axis < shape.rank() && IsSymbolDim(element.dim) && shape[axis] == element.dim;
      out.push_back(own || same ? 0 : -1);
      rest += !own && !same;
    }
    // A number 0 was a copy already, which a dimension of size 0 beside a -1 would contradict.
    if (rest > 1 || (zero && rest > 0)) return std::nullopt;
    return out;
  }

  Graph& graph_;
  std::unordered_map<ValueId, Elements> known_;
};

}  // namespace

Status FollowShapes(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& g) -> Status {
    bool asks = false;
    for (NodeId id = 0; id < g.node_count() && !asks; ++id) asks = g.node(id).Is("Shape");
    if (!asks) return Status();
    ShapeReader reader(g);
    return InferTypes(g, context, &reader);
  });
}

}  // namespace linnet
