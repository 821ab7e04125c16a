// Parsing graphs: recursive descent over characters, values defined when first mentioned.
#include <unordered_map>

#include "graph/element_text.h"
#include "graph/text.h"
#include "graph/text_scanner.h"

namespace linnet {
namespace {

constexpr int kDepthMax = 32;

class Parser : private TextScanner {
 public:
  explicit Parser(std::string_view text) : TextScanner(text) {}

  Result<Graph> Parse() {
    Graph graph;
    LINNET_TRY(ParseGraphInto(graph, nullptr, nullptr, 1));
    if (Peek() != '\0' || at_ < text_.size()) return Error("text after the graph");
    return graph;
  }

 private:
  struct Mention {
    ValueId id;
    size_t at;
    bool defined = false;
  };
  /// The values of one graph by name.
  struct Scope {
    Graph& graph;
    std::unordered_map<std::string, Mention> names = {};
  };

  // Values ----------------------------------------------------------------------------------------------------------

  /// The value called `name`, which may be defined further down.
  ValueId Mentioned(Scope& scope, const Name& name, size_t at) {
    if (name.omitted()) return kNoValue;
    auto [place, is_new] = scope.names.try_emplace(name.text, Mention{kNoValue, at});
    if (is_new) place->second.id = scope.graph.AddValue(name.text);
    return place->second.id;
  }
  Result<ValueId> Defined(Scope& scope, const Name& name, size_t at) {
    if (name.omitted()) return ErrorAt(at, "expected a name");
    ValueId id = Mentioned(scope, name, at);
    Mention& mention = scope.names[name.text];
    if (mention.defined) return ErrorAt(at, Cat(Quote(name.text), " is defined twice"));
    mention.defined = true;
    return id;
  }
  Result<ValueId> ParseUse(Scope& scope) {
    Peek();
    size_t at = at_;
    LINNET_ASSIGN(Name name, ParseName());
    return Mentioned(scope, name, at);
  }
  /// name [":" type]
  Result<ValueId> ParseDefinition(Scope& scope, bool optional) {
    Peek();
    size_t at = at_;
    LINNET_ASSIGN(Name name, ParseName());
    if (optional && name.omitted()) return kNoValue;
    LINNET_ASSIGN(ValueId id, Defined(scope, name, at));
    if (Take(":")) {
      LINNET_ASSIGN(Type type, ParseType(scope.graph.symbols()));
      scope.graph.SetType(id, type);
    }
    return id;
  }

  // Graphs ----------------------------------------------------------------------------------------------------------

  /// `outer` and `captured` (what the new graph takes from there) are null for the outermost graph.
  Status ParseGraphInto(Graph& graph, Scope* outer, std::vector<ValueId>* captured, int depth) {
    if (depth > kDepthMax) return Error(Cat("graphs are nested deeper than ", kDepthMax));
    Scope scope{graph};
    LINNET_TRY(Expect("graph"));
    if (Peek() != '(') {
      LINNET_ASSIGN(Name name, ParseName());
      graph.name = name.text;
    }
    LINNET_TRY(Expect("("));
    LINNET_TRY(List(")", [&]() -> Status {
      LINNET_ASSIGN(ValueId id, ParseDefinition(scope, false));
      graph.AddInput(id);
      if (!Take("=")) return Status();
      Type declared = graph.value(id).type;
      LINNET_ASSIGN(Tensor contents, ParseTensor());
      graph.SetConstant(id, std::move(contents));
      if (declared.kind != Kind::kUnknown) graph.SetType(id, declared);
      return Status();
    }));
    if (TakeWord("captures")) {
      LINNET_TRY(Expect("("));
      LINNET_TRY(List(")", [&]() -> Status {
        LINNET_ASSIGN(ValueId id, ParseDefinition(scope, false));
        graph.captures.push_back(id);
        if (!outer) return Status();
        LINNET_TRY(Expect("="));
        Peek();
        // "const" alone is a name; before another name it says that the value is a constant on both sides.
        size_t start = at_;
        bool constant = TakeWord("const") && Peek() != ',' && Peek() != ')';
        if (!constant) at_ = start;
        LINNET_ASSIGN(ValueId outside, ParseUse(*outer));
        if (outside == kNoValue) return ErrorAt(start, "expected a name");
        if (constant) {
          if (!outer->graph.is_constant(outside)) return ErrorAt(start, "a constant that is none outside");
          graph.SetConstant(id, outer->graph.value(outside).constant);
        }
        captured->push_back(outside);
        return Status();
      }));
    }
    LINNET_TRY(Expect("->"));
    LINNET_TRY(Expect("("));
    LINNET_TRY(List(")", [&]() -> Status {
      size_t start = at_;
      LINNET_ASSIGN(ValueId id, ParseUse(scope));
      if (id == kNoValue) return ErrorAt(start, "expected a name");
      graph.AddOutput(id);
      return Status();
    }));
    LINNET_TRY(Expect("{"));
    while (!Take("}")) LINNET_TRY(ParseStatement(scope, depth));
    const std::pair<const std::string, Mention>* missing = nullptr;
    for (const auto& named : scope.names) {
      if (!named.second.defined && (!missing || named.second.at < missing->second.at)) missing = &named;
    }
    if (missing) return ErrorAt(missing->second.at, Cat("nothing defines ", Quote(missing->first)));
    return Status();
  }

  Status ParseStatement(Scope& scope, int depth) {
    Graph& graph = scope.graph;
    Peek();
    const size_t start = at_;
    Node node;
    if (!Take("=")) {
      do {
        LINNET_ASSIGN(ValueId id, ParseDefinition(scope, true));
        node.outputs.push_back(id);
      } while (Take(","));
      LINNET_TRY(Expect("="));
    }
    size_t op_start = at_;
    LINNET_ASSIGN(Name first, ParseName());
    const bool constant = !first.quoted && first.text == "const" && Peek() != '-' && Peek() != ':';
    if (constant) {
      if (node.outputs.size() != 1 || node.outputs[0] == kNoValue) return ErrorAt(start, "a constant has one name");
      LINNET_ASSIGN(Tensor contents, ParseTensor());
      graph.SetConstant(node.outputs[0], std::move(contents));
      return Status();
    }
    node.op = first.text;
    if (Take(":")) {
      node.domain = node.op;
      LINNET_ASSIGN(Name op, ParseName());
      node.op = op.text;
    }
    LINNET_TRY(Expect("-"));
    LINNET_ASSIGN(int64_t version, ParseInt());
    if (version < 0 || version > INT32_MAX) return ErrorAt(op_start, "a version that is out of range");
    node.version = static_cast<int>(version);
    LINNET_TRY(Expect("("));
    LINNET_TRY(List(")", [&]() -> Status {
      LINNET_ASSIGN(ValueId id, ParseUse(scope));
      node.inputs.push_back(id);
      return Status();
    }));
    if (Take("{")) {
      LINNET_TRY(List("}", [&]() -> Status {
        Attribute attribute;
        LINNET_ASSIGN(Name name, ParseName());
        attribute.name = name.text;
        LINNET_TRY(Expect("="));
        LINNET_ASSIGN(attribute.payload, ParsePayload(scope, node.captures, depth));
        node.attributes.push_back(std::move(attribute));
        return Status();
      }));
    }
    if (Take("@")) {
      LINNET_ASSIGN(Name name, ParseName());
      node.name = name.text;
    }
    Status status = graph.AddNode(std::move(node)).TakeStatus();
    if (!status.ok()) return ErrorAt(start, std::string(status.message()));
    return Status();
  }

  Result<std::shared_ptr<Graph>> ParseSubgraph(Scope& scope, std::vector<ValueId>& captures, int depth) {
    if (TakeWord("none")) return std::shared_ptr<Graph>();
    auto graph = std::make_shared<Graph>(scope.graph.shared_symbols());
    LINNET_TRY(ParseGraphInto(*graph, &scope, &captures, depth + 1));
    return graph;
  }

  /// A number or list of numbers without a type: FLOAT when it looks like one.
  static bool LooksLikeFloat(std::string_view number) {
    if (number.substr(0, 2) == "0x") return false;
    return number.find_first_of(".eNI") != std::string_view::npos;
  }

  Result<Attribute::Payload> ParsePayload(Scope& scope, std::vector<ValueId>& captures, int depth) {
    using Payload = Attribute::Payload;
    char c = Peek();
    const size_t start = at_;
    if (c == '"') {
      LINNET_ASSIGN(std::string text, ParseQuoted());
      return Payload(std::move(text));
    }
    if (Take("[")) return ParseList("INTS");
    if (c == '-' || (c >= '0' && c <= '9')) return ParseScalar();
    std::string_view word = Word();
    if (word == "NaN" || word == "INF") return ParseScalar();
    if (word == "none") {
      TakeWord();
      return Payload();
    }
    if (word == "graph") {
      LINNET_ASSIGN(std::shared_ptr<Graph> graph, ParseSubgraph(scope, captures, depth));
      return Payload(std::move(graph));
    }
    if (word == "type") {
      TakeWord();
      LINNET_TRY(Expect("("));
      LINNET_ASSIGN(Type type, ParseType(scope.graph.symbols()));
      LINNET_TRY(Expect(")"));
      return Payload(type);
    }
    if (word == "tensors") {
      TakeWord();
      LINNET_TRY(Expect("["));
      std::vector<Tensor> tensors;
      LINNET_TRY(List("]", [&]() -> Status {
        LINNET_ASSIGN(Tensor tensor, ParseTensor());
        tensors.push_back(std::move(tensor));
        return Status();
      }));
      return Payload(std::move(tensors));
    }
    if (word == "graphs") {
      TakeWord();
      LINNET_TRY(Expect("["));
      std::vector<std::shared_ptr<Graph>> graphs;
      LINNET_TRY(List("]", [&]() -> Status {
        LINNET_ASSIGN(std::shared_ptr<Graph> graph, ParseSubgraph(scope, captures, depth));
        graphs.push_back(std::move(graph));
        return Status();
      }));
      return Payload(std::move(graphs));
    }
    if (word == "floats" || word == "strings") {
      TakeWord();
      LINNET_TRY(Expect("["));
      return ParseList(word == "floats" ? "FLOATS" : "STRINGS");
    }
    if (DTypeFromName(word) == DType::kUndefined) return ErrorAt(start, "expected an attribute's value");
    LINNET_ASSIGN(Tensor tensor, ParseTensor());
    return Payload(std::move(tensor));
  }

  Result<Attribute::Payload> ParseScalar() {
    size_t start = at_;
    std::string_view number = TakeNumber();
    if (!LooksLikeFloat(number)) {
      int64_t value;
      if (!ParseInteger(number, &value)) return ErrorAt(start, Cat(Quote(number), " is no integer"));
      return Attribute::Payload(value);
    }
    Tensor value = Tensor::Scalar(0.0f);
    if (!StoreNumber(number, 0, value)) return ErrorAt(start, Cat(Quote(number), " is no number"));
    return Attribute::Payload(*value.as<float>());
  }

  /// After "[": a list whose kind its first item tells, or `empty_kind` when there is none.
  Result<Attribute::Payload> ParseList(std::string_view empty_kind) {
    std::vector<Attribute::Payload> items;
    const size_t start = at_;
    LINNET_TRY(List("]", [&]() -> Status {
      Attribute::Payload item;
      if (Peek() == '"') {
        LINNET_ASSIGN(item, ParseQuoted());
      } else {
        LINNET_ASSIGN(item, ParseScalar());
      }
      if (!items.empty() && item.index() != items[0].index()) return Error("a list of different kinds");
      items.push_back(std::move(item));
      return Status();
    }));
    auto collect = [&]<class T>(T) -> Result<Attribute::Payload> {
      std::vector<T> values;
      for (Attribute::Payload& item : items) {
        T* value = std::get_if<T>(&item);
        if (!value) return ErrorAt(start, Cat("expected ", empty_kind));
        values.push_back(std::move(*value));
      }
      return Attribute::Payload(std::move(values));
    };
    // "[" alone lets the items decide; "floats[" and "strings[" do not.
    if (empty_kind == "FLOATS" || (!items.empty() && empty_kind == "INTS" && std::holds_alternative<float>(items[0]))) {
      return collect(float());
    }
    if (empty_kind == "STRINGS" || (!items.empty() && std::holds_alternative<std::string>(items[0]))) {
      return collect(std::string());
    }
    return collect(int64_t());
  }
};

}  // namespace

Result<Graph> ParseGraph(std::string_view text) { return Parser(text).Parse(); }

}  // namespace linnet
