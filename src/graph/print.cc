// Printing graphs.
#include "graph/element_text.h"
#include "graph/names.h"
#include "graph/text.h"

namespace linnet {
namespace {

std::string NameText(std::string_view name) {
  bool plain = !name.empty() && name != "_";
  for (char c : name) {
    plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                      c == '/');
  }
  return plain ? std::string(name) : QuotedText(name);
}

std::string ShapeText(const Shape& shape, const SymbolTable* symbols) {
  if (!shape.has_rank()) return "[...]";
  std::string out = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i) out += ',';
    if (shape[i] >= 0) {
      AppendPart(out, shape[i]);
    } else if (IsSymbolDim(shape[i]) && symbols && SymbolIndex(shape[i]) < symbols->size()) {
      std::string_view name = symbols->name(shape[i]);
      // A symbol that looks like a number stays a symbol.
      out += name.find_first_not_of("0123456789") == std::string_view::npos ? QuotedText(name) : NameText(name);
    } else {
      out += '?';
    }
  }
  return out + "]";
}

std::string TypeText(const Type& type, const SymbolTable* symbols) {
  std::string tensor = Cat(DTypeName(type.dtype), ShapeText(type.shape, symbols));
  switch (type.kind) {
    case Kind::kUnknown: return "?";
    case Kind::kTensor: return tensor;
    case Kind::kSequence: return Cat("seq(", tensor, ")");
    case Kind::kOptional: return Cat("optional(", tensor, ")");
    case Kind::kOptionalSequence: return Cat("optional(seq(", tensor, "))");
    case Kind::kMap: return Cat("map(", DTypeName(type.key), ",", DTypeName(type.dtype), ")");
    case Kind::kSequenceOfMaps: return Cat("seq(map(", DTypeName(type.key), ",", DTypeName(type.dtype), "))");
  }
  return "?";
}

class Printer {
 public:
  Printer(const PrintOptions& options, const SymbolTable* symbols, std::string& out)
      : options_(options), symbols_(symbols), out_(out) {}

  /// `outer` are the names of what the graph captures, null when it stands alone.
  void Print(const Graph& graph, const std::string* outer, int indent) {
    std::unordered_set<std::string> taken;
    const std::vector<std::string> names = UniqueNames(graph, taken);
    auto name = [&](ValueId id) { return id == kNoValue ? "_" : NameText(names[static_cast<size_t>(id)]); };
    auto typed = [&](ValueId id) {
      if (id == kNoValue || graph.value(id).type.kind == Kind::kUnknown) return name(id);
      return Cat(name(id), ": ", TypeText(graph.value(id).type, symbols_));
    };
    out_ += "graph ";
    if (!graph.name.empty()) out_ += Cat(NameText(graph.name), " ");
    List("(", graph.inputs, ")", [&](ValueId id) {
      out_ += typed(id);
      if (graph.is_constant(id)) out_ += Cat(" = ", PrintTensor(graph.value(id).constant, options_));
    });
    if (!graph.captures.empty()) {
      List(" captures (", graph.captures, ")", [&](ValueId id) {
        out_ += typed(id);
        if (outer) out_ += Cat(graph.is_constant(id) ? " = const " : " = ", *outer++);
      });
    }
    List(" -> (", graph.outputs(), ") {\n", [&](ValueId id) { out_ += name(id); });

    const std::string margin(static_cast<size_t>(indent) + 2, ' ');
    std::vector<bool> printed(names.size(), false);
    for (const auto* ids : {&graph.inputs, &graph.captures}) {
      for (ValueId id : *ids) printed[static_cast<size_t>(id)] = true;
    }
    auto constants = [&](const std::vector<ValueId>& ids) {
      for (ValueId id : ids) {
        if (!graph.is_constant(id) || printed[static_cast<size_t>(id)]) continue;
        printed[static_cast<size_t>(id)] = true;
        out_ += Cat(margin, name(id), " = const ", PrintTensor(graph.value(id).constant, options_), "\n");
      }
    };
    Result<std::vector<NodeId>> order = graph.Order();
    if (!order.ok()) {
      order = std::vector<NodeId>();
      for (NodeId id = 0; id < graph.node_count(); ++id) order->push_back(id);
    }
    for (NodeId id : *order) {
      const Node& node = graph.node(id);
      if (!node.alive) continue;
      constants(node.inputs);
      constants(node.captures);
      out_ += margin;
      List("", node.outputs, "", [&](ValueId output) { out_ += typed(output); });
      out_ += Cat(node.outputs.empty() ? "= " : " = ", node.domain.empty() ? "" : Cat(NameText(node.domain), ":"),
                  NameText(node.op), "-", node.version);
      List("(", node.inputs, ")", [&](ValueId input) { out_ += name(input); });
      std::vector<std::string> captured;
      for (ValueId capture : node.captures) captured.push_back(name(capture));
      PrintAttributes(node, captured, indent + 2);
      if (!node.name.empty()) out_ += Cat(" @", NameText(node.name));
      out_ += '\n';
    }
    constants(graph.outputs());
    out_ += Cat(std::string(static_cast<size_t>(indent), ' '), "}");
  }

 private:
  template <class Items, class F>
  void List(std::string_view before, const Items& items, std::string_view after, F&& each) {
    out_ += before;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += ", ";
      first = false;
      each(item);
    }
    out_ += after;
  }

  void PrintAttributes(const Node& node, const std::vector<std::string>& captured, int indent) {
    if (node.attributes.empty()) return;
    size_t next = 0;
    auto subgraph = [&](const std::shared_ptr<Graph>& graph) {
      if (!graph) {
        out_ += "none";
        return;
      }
      // A node whose captures do not match its graphs is printed as if the graphs stood alone.
      bool matches = next + graph->captures.size() <= captured.size();
      Print(*graph, matches ? captured.data() + next : nullptr, indent);
      next += graph->captures.size();
    };
    List(" {", node.attributes, "}", [&](const Attribute& attribute) {
      out_ += Cat(NameText(attribute.name), "=");
      const Attribute::Payload& payload = attribute.payload;
      auto number = [&](int64_t value) { AppendPart(out_, value); };
      auto decimal = [&](float value) { out_ += FloatText(value); };
      auto text = [&](const std::string& value) { out_ += QuotedText(value); };
      auto tensor = [&](const Tensor& value) { out_ += PrintTensor(value, options_); };
      if (auto* value = std::get_if<int64_t>(&payload)) {
        number(*value);
      } else if (auto* value = std::get_if<float>(&payload)) {
        decimal(*value);
      } else if (auto* value = std::get_if<std::string>(&payload)) {
        text(*value);
      } else if (auto* value = std::get_if<Tensor>(&payload)) {
        tensor(*value);
      } else if (auto* value = std::get_if<std::shared_ptr<Graph>>(&payload)) {
        subgraph(*value);
      } else if (auto* value = std::get_if<std::vector<int64_t>>(&payload)) {
        List("[", *value, "]", number);
      } else if (auto* value = std::get_if<std::vector<float>>(&payload)) {
        List(value->empty() ? "floats[" : "[", *value, "]", decimal);
      } else if (auto* value = std::get_if<std::vector<std::string>>(&payload)) {
        List(value->empty() ? "strings[" : "[", *value, "]", text);
      } else if (auto* value = std::get_if<std::vector<Tensor>>(&payload)) {
        List("tensors[", *value, "]", tensor);
      } else if (auto* value = std::get_if<std::vector<std::shared_ptr<Graph>>>(&payload)) {
        List("graphs[", *value, "]", subgraph);
      } else if (auto* value = std::get_if<Type>(&payload)) {
        out_ += Cat("type(", TypeText(*value, symbols_), ")");
      } else {
        out_ += "none";
      }
    });
  }

  const PrintOptions& options_;
  const SymbolTable* symbols_;
  std::string& out_;
};

}  // namespace

std::string PrintTensor(const Tensor& tensor, const PrintOptions& options) {
  std::string out = Cat(DTypeName(tensor.dtype()), ShapeText(tensor.shape(), nullptr));
  const bool known = tensor.shape().is_static();
  const int64_t elements = known ? tensor.elements() : 0;
  if (!known || (elements > 0 && !tensor.has_data()) || tensor.dtype() == DType::kUndefined) return out + "{?}";
  if (elements > options.elements_max) return out + "{...}";
  out += '{';
  for (int64_t i = 0; i < elements * NumbersPerElement(tensor.dtype()); ++i) {
    if (i) out += ", ";
    AppendNumber(tensor, i, out);
  }
  return out + '}';
}

std::string PrintGraph(const Graph& graph, const PrintOptions& options) {
  std::string out;
  Printer(options, &graph.symbols(), out).Print(graph, nullptr, 0);
  return out + '\n';
}

}  // namespace linnet
