// .onnx → Graph.
#include "onnx/reader.h"

#include <unordered_map>

#include "base/file.h"
#include "onnx/fields.h"
#include "onnx/tensor_proto.h"

namespace linnet {
namespace {

using protozero::data_view;
using protozero::pbf_reader;

std::string Text(data_view v) { return std::string(v.data(), v.size()); }

struct Reader {
  std::shared_ptr<const void> owner;
  std::vector<std::pair<std::string, int64_t>> opsets;

  int VersionOf(const std::string& domain) const {
    for (auto& [d, v] : opsets) if (d == (domain == "ai.onnx" ? "" : domain)) return static_cast<int>(v);
    return 1;
  }

  struct Scope {
    Graph* graph;
    Scope* parent;
    std::unordered_map<std::string, ValueId> names;
    std::vector<std::pair<std::string, ValueId>> captured;  // outer names this graph captured, in order
  };

  Result<Type> ReadType(pbf_reader r, SymbolTable& symbols) {
    Type type;
    while (r.next()) {
      switch (r.tag()) {
        case onnx::type::kTensor:
        case onnx::type::kSparseTensor: {
          type.kind = Kind::kTensor;
          pbf_reader t(r.get_view());
          while (t.next()) {
            if (t.tag() == onnx::tensor_type::kElementType) type.dtype = static_cast<DType>(t.get_int32());
            else if (t.tag() == onnx::tensor_type::kShape) {
              std::vector<int64_t> dims;
              pbf_reader s(t.get_view());
              while (s.next()) {
                if (s.tag() != onnx::shape::kDim) { s.skip(); continue; }
                int64_t dim = kUnknownDim;
                pbf_reader d(s.get_view());
                while (d.next()) {
                  if (d.tag() == onnx::shape::kDimValue) dim = d.get_int64();
                  else if (d.tag() == onnx::shape::kDimParam) { std::string p = d.get_string(); if (!p.empty()) dim = symbols.Intern(p); }
                  else d.skip();
                }
                dims.push_back(dim);
              }
              LINNET_ASSIGN(type.shape, MakeShape(dims));
            } else t.skip();
          }
          break;
        }
        case onnx::type::kSequence: case onnx::type::kOptional: {
          bool optional = r.tag() == onnx::type::kOptional;
          pbf_reader s(r.get_view());
          while (s.next()) {
            if (s.tag() == 1) { LINNET_ASSIGN(type, ReadType(pbf_reader(s.get_view()), symbols)); } else s.skip();
          }
          type.kind = optional ? (type.kind == Kind::kSequence ? Kind::kOptionalSequence : Kind::kOptional)
                               : (type.kind == Kind::kMap ? Kind::kSequenceOfMaps : Kind::kSequence);
          break;
        }
        case onnx::type::kMap: {
          pbf_reader m(r.get_view());
          DType key = DType::kUndefined;
          while (m.next()) {
            if (m.tag() == onnx::map_type::kKey) key = static_cast<DType>(m.get_int32());
            else if (m.tag() == onnx::map_type::kValue) { LINNET_ASSIGN(type, ReadType(pbf_reader(m.get_view()), symbols)); }
            else m.skip();
          }
          type.kind = Kind::kMap;
          type.key = key;
          break;
        }
        default: r.skip();
      }
    }
    return type;
  }

  /// The value `name` means in `scope`, captured from outside when it is not its own; -1 when there is none.
  ValueId Resolve(Scope& scope, const std::string& name) {
    auto at = scope.names.find(name);
    if (at != scope.names.end()) return at->second;
    if (!scope.parent) return kNoValue;
    ValueId outer = Resolve(*scope.parent, name);
    if (outer == kNoValue) return kNoValue;
    const Graph& g = *scope.parent->graph;
    ValueId inner;
    if (g.is_constant(outer) && !g.is_input(outer)) {
      inner = scope.graph->AddConstant(name, g.value(outer).constant);
    } else {
      inner = scope.graph->AddCapture(name, g.value(outer).type);
      scope.captured.emplace_back(name, outer);
    }
    scope.names[name] = inner;
    return inner;
  }

  Result<Attribute> ReadAttribute(pbf_reader r, Scope& scope, std::vector<ValueId>* captures) {
    Attribute a;
    int64_t type = 0;
    std::vector<int64_t> ints; std::vector<float> floats; std::vector<std::string> strings;
    std::vector<Tensor> tensors; std::vector<std::shared_ptr<Graph>> graphs;
    int64_t i = 0; float f = 0; std::string s, ignored; Tensor tensor; std::shared_ptr<Graph> graph; Type tp;
    namespace at = onnx::attribute;
    while (r.next()) {
      switch (r.tag()) {
        case at::kName: a.name = r.get_string(); break;
        case at::kFloat: f = r.get_float(); if (!type) type = 1; break;
        case at::kInt: i = r.get_int64(); if (!type) type = 2; break;
        case at::kString: s = r.get_string(); if (!type) type = 3; break;
        case at::kTensor: { LINNET_ASSIGN(tensor, ReadTensorProto(r.get_view(), owner, &ignored)); break; }
        case at::kGraph: { LINNET_ASSIGN(graph, ReadBody(r.get_view(), scope, captures)); break; }
        case at::kFloats: if (r.wire_type() == protozero::pbf_wire_type::length_delimited) { for (auto v : r.get_packed_float()) floats.push_back(v); } else floats.push_back(r.get_float()); break;
        case at::kInts: if (r.wire_type() == protozero::pbf_wire_type::length_delimited) { for (auto v : r.get_packed_int64()) ints.push_back(v); } else ints.push_back(r.get_int64()); break;
        case at::kStrings: strings.push_back(r.get_string()); break;
        case at::kTensors: { LINNET_ASSIGN(Tensor t, ReadTensorProto(r.get_view(), owner, &ignored)); tensors.push_back(t); break; }
        case at::kGraphs: { LINNET_ASSIGN(std::shared_ptr<Graph> g, ReadBody(r.get_view(), scope, captures)); graphs.push_back(g); break; }
        case at::kTypeProto: { LINNET_ASSIGN(tp, ReadType(pbf_reader(r.get_view()), scope.graph->symbols())); break; }
        case at::kType: type = r.get_int32(); break;
        default: r.skip();
      }
    }
    switch (type) {
      case 1: a.payload = f; break;
      case 2: a.payload = i; break;
      case 3: a.payload = s; break;
      case 4: a.payload = tensor; break;
      case 5: a.payload = graph; break;
      case 6: a.payload = floats; break;
      case 7: a.payload = ints; break;
      case 8: a.payload = strings; break;
      case 9: a.payload = tensors; break;
      case 10: a.payload = graphs; break;
      case 13: a.payload = tp; break;
      default: return Unsupported("attribute ", Quote(a.name), " has type ", type);
    }
    return a;
  }

  Result<std::shared_ptr<Graph>> ReadBody(data_view bytes, Scope& outer, std::vector<ValueId>* captures) {
    auto graph = std::make_shared<Graph>(outer.graph->shared_symbols());
    Scope scope{graph.get(), &outer, {}, {}};
    LINNET_TRY(ReadGraph(bytes, scope));
    for (auto& [name, id] : scope.captured) captures->push_back(id);
    return graph;
  }

  Status ReadNode(data_view bytes, Scope& scope) {
    pbf_reader r(bytes);
    Node node;
    std::vector<std::string> inputs, outputs;
    std::vector<data_view> attributes;
    while (r.next()) {
      switch (r.tag()) {
        case onnx::node::kInput: inputs.push_back(r.get_string()); break;
        case onnx::node::kOutput: outputs.push_back(r.get_string()); break;
        case onnx::node::kName: node.name = r.get_string(); break;
        case onnx::node::kOpType: node.op = r.get_string(); break;
        case onnx::node::kDomain: node.domain = r.get_string(); break;
        case onnx::node::kAttribute: attributes.push_back(r.get_view()); break;
        default: r.skip();
      }
    }
    if (node.domain == "ai.onnx") node.domain.clear();
    node.version = VersionOf(node.domain);
    for (const std::string& name : inputs) {
      ValueId id = name.empty() ? kNoValue : Resolve(scope, name);
      if (id == kNoValue && !name.empty()) return InvalidModel(node.op, " reads ", Quote(name), ", which nothing produces");
      node.inputs.push_back(id);
    }
    for (data_view v : attributes) {
      LINNET_ASSIGN(Attribute a, ReadAttribute(pbf_reader(v), scope, &node.captures));
      node.attributes.push_back(std::move(a));
    }
    if (node.op == "Constant" && node.domain.empty() && outputs.size() == 1 && node.attributes.size() == 1) {
      const Attribute& a = node.attributes[0];
      Tensor t;
      if (auto* v = std::get_if<Tensor>(&a.payload)) t = *v;
      else if (auto* v = std::get_if<float>(&a.payload)) t = Tensor::Scalar(*v);
      else if (auto* v = std::get_if<int64_t>(&a.payload)) t = Tensor::Scalar(*v);
      else if (auto* v = std::get_if<std::string>(&a.payload)) t = Tensor::Scalar(*v);
      else if (auto* v = std::get_if<std::vector<int64_t>>(&a.payload)) t = Tensor::Ints(*v);
      else if (auto* v = std::get_if<std::vector<float>>(&a.payload)) t = Tensor::Of<float>(Shape{static_cast<int64_t>(v->size())}, *v);
      else if (auto* v = std::get_if<std::vector<std::string>>(&a.payload)) t = Tensor::Of<std::string>(Shape{static_cast<int64_t>(v->size())}, *v);
      scope.names[outputs[0]] = scope.graph->AddConstant(outputs[0], t);
      return Status();
    }
    for (const std::string& name : outputs) {
      if (name.empty()) { node.outputs.push_back(kNoValue); continue; }
      ValueId id = scope.graph->AddValue(name);
      scope.names[name] = id;
      node.outputs.push_back(id);
    }
    return scope.graph->AddNode(std::move(node)).TakeStatus();
  }

  Status ReadGraph(data_view bytes, Scope& scope) {
    Graph& graph = *scope.graph;
    std::unordered_map<std::string, Tensor> initializers;
    std::vector<data_view> nodes;
    std::vector<std::pair<std::string, Type>> inputs, outputs;
    auto value_info = [&](data_view v) -> Result<std::pair<std::string, Type>> {
      std::pair<std::string, Type> out;
      pbf_reader r(v);
      while (r.next()) {
        if (r.tag() == onnx::value_info::kName) out.first = r.get_string();
        else if (r.tag() == onnx::value_info::kType) { LINNET_ASSIGN(out.second, ReadType(pbf_reader(r.get_view()), graph.symbols())); }
        else r.skip();
      }
      return out;
    };
    pbf_reader r(bytes);
    std::vector<std::string> order;
    while (r.next()) {
      switch (r.tag()) {
        case onnx::graph::kName: graph.name = r.get_string(); break;
        case onnx::graph::kNode: nodes.push_back(r.get_view()); break;
        case onnx::graph::kInitializer: {
          std::string name;
          LINNET_ASSIGN(Tensor t, ReadTensorProto(r.get_view(), owner, &name));
          initializers[name] = t;
          order.push_back(name);
          break;
        }
        case onnx::graph::kInput: { LINNET_ASSIGN(auto v, value_info(r.get_view())); inputs.push_back(v); break; }
        case onnx::graph::kOutput: { LINNET_ASSIGN(auto v, value_info(r.get_view())); outputs.push_back(v); break; }
        default: r.skip();
      }
    }
    for (auto& [name, type] : inputs) {
      ValueId id = graph.AddInput(name, type);
      scope.names[name] = id;
      auto at = initializers.find(name);
      if (at != initializers.end()) graph.SetConstant(id, at->second);
    }
    for (const std::string& name : order) {
      if (!scope.names.count(name)) scope.names[name] = graph.AddConstant(name, initializers[name]);
    }
    for (data_view v : nodes) LINNET_TRY(ReadNode(v, scope));
    for (auto& [name, type] : outputs) {
      ValueId id = Resolve(scope, name);
      if (id == kNoValue) return InvalidModel("output ", Quote(name), " is not produced");
      if (graph.value(id).type.kind == Kind::kUnknown) graph.SetType(id, type);
      graph.AddOutput(id);
    }
    return Status();
  }

  Result<OnnxModel> ReadModel(data_view bytes) {
    OnnxModel model;
    pbf_reader r(bytes);
    data_view graph;
    while (r.next()) {
      switch (r.tag()) {
        case onnx::model::kIrVersion: model.info.ir_version = r.get_int64(); break;
        case onnx::model::kGraph: graph = r.get_view(); break;
        case onnx::model::kOpsetImport: {
          pbf_reader o(r.get_view());
          std::pair<std::string, int64_t> entry;
          while (o.next()) {
            if (o.tag() == onnx::opset::kDomain) entry.first = o.get_string();
            else if (o.tag() == onnx::opset::kVersion) entry.second = o.get_int64();
            else o.skip();
          }
          if (entry.first == "ai.onnx") entry.first.clear();
          opsets.push_back(entry);
          break;
        }
        case onnx::model::kMetadata: {
          pbf_reader o(r.get_view());
          std::pair<std::string, std::string> entry;
          while (o.next()) {
            if (o.tag() == onnx::entry::kKey) entry.first = o.get_string();
            else if (o.tag() == onnx::entry::kValue) entry.second = o.get_string();
            else o.skip();
          }
          model.info.metadata.push_back(entry);
          break;
        }
        default: r.skip();
      }
    }
    model.info.opsets = opsets;
    Scope scope{&model.graph, nullptr, {}, {}};
    LINNET_TRY(ReadGraph(graph, scope));
    return model;
  }
};

}  // namespace

Result<OnnxModel> ReadOnnxBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const ReadOptions&) {
  Reader reader;
  reader.owner = std::move(owner);
  try {
    return reader.ReadModel(data_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  } catch (const std::exception& error) {
    return InvalidModel("not an ONNX model: ", error.what());
  }
}

Result<OnnxModel> ReadOnnxFile(const std::string& path, const ReadOptions& options) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  return ReadOnnxBytes({file->data(), static_cast<size_t>(file->size())}, file, options);
}

}  // namespace linnet
