// Naming everything a graph needs and a build lacks, at once: operators, and element types of those it has.
#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/configuration_names.h"
#include "graph/graph.h"
#include "graph/names.h"
#include "ops/for_type.h"
#include "ops/registry.h"

namespace linnet {
namespace {

constexpr size_t kNamedMax = 200;
constexpr uint32_t kTypes = LINNET_TYPES & kAnyType;

/// Element types at one input, or at one output that has a type no input has.
struct PortTypes {
  bool output;
  int port;
  uint32_t types;
};

/// A node that lacks something.
struct Missing {
  std::string_view domain, op;
  int version = 0;
  bool left_out = false;   ///< exists, but not in this build
  uint32_t types = 0;      ///< the operator is there, but not for these
  const Graph* graph = nullptr;
  const Node* node = nullptr;

  auto Key() const { return std::tuple(!left_out, domain, version, op); }
  bool operator<(const Missing& other) const { return Key() < other.Key(); }
};

/// Calls f(output, port, type) for each input of `node` and each output that has a type no input has; only a run tells what is
/// kUndefined.
template <class F>
void EachType(const Graph& graph, const Node& node, F&& f) {
  uint32_t of_inputs = 0;
  for (bool output : {false, true}) {
    const std::vector<ValueId>& values = output ? node.outputs : node.inputs;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == kNoValue) continue;
      const DType dtype = graph.value(values[i]).type.dtype;
      if (output && (of_inputs & Mask(dtype))) continue;
      if (!output) of_inputs |= Mask(dtype);
      f(output, static_cast<int>(i), dtype);
    }
  }
}

void Collect(const Graph& graph, const OpTable& table, std::vector<Missing>* missing) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    Result<const OpDef*> found = table.Find(node.domain, node.op, node.version);
    Missing one{node.domain, node.op, node.version, false, 0, &graph, &node};
    if (!found.ok()) {
      one.left_out = found.status().code() == Code::kNotInBuild;
      missing->push_back(one);
    } else if (kTypes != kAnyType && !(*found)->user) {
      EachType(graph, node, [&](bool, int, DType dtype) { one.types |= Mask(dtype) & kAnyType & ~kTypes; });
      one.left_out = true;
      if (one.types) missing->push_back(one);
    }
    for (const Graph* inner : Graph::Subgraphs(node)) Collect(*inner, table, missing);
  }
}

std::string_view DomainName(std::string_view domain) { return domain.empty() ? std::string_view("ai.onnx") : domain; }

/// "float, double"; with `quote` around each and `comma` between.
std::string TypeList(uint32_t types, std::string_view quote, std::string_view comma) {
  std::string out;
  for (int i = 1; i < kDTypeCount; ++i) {
    const DType dtype = static_cast<DType>(i);
    if (types & Mask(dtype)) out += Cat(out.empty() ? "" : comma, quote, ConfigurationName(dtype), quote);
  }
  return out;
}

/// What follows the name of the operator of nodes [begin, end) in a configuration: of an operator that is there the types it is
/// not there for, of another all it has; nothing when it is needed for every type. They are added to `all`.
std::string Braces(const Missing* begin, const Missing* end, uint32_t* all) {
  std::vector<PortTypes> ports;
  bool any = false;
  for (const Missing* each = begin; each != end; ++each) {
    EachType(*each->graph, *each->node, [&](bool output, int port, DType dtype) {
      if (dtype == DType::kUndefined) any = any || !output;
      if (dtype == DType::kUndefined || (each->types && !(each->types & Mask(dtype)))) return;
      size_t at = 0;
      while (at < ports.size() && (ports[at].output != output || ports[at].port != port)) ++at;
      if (at == ports.size()) ports.push_back({output, port, 0});
      ports[at].types |= Mask(dtype);
    });
  }
  for (const PortTypes& port : ports) *all |= port.types & kAnyType & ~kTypes;
  if (any || ports.empty()) return "";
  std::string out = "{";
  for (bool output : {false, true}) {
    bool first = true;
    for (const PortTypes& port : ports) {
      if (port.output != output) continue;
      if (first) out += Cat(out.size() > 1 ? "," : "", output ? "\"outputs\":{" : "\"inputs\":{");
      out += Cat(first ? "" : ",", "\"", port.port, "\":[", TypeList(port.types, "\"", ","), "]");
      first = false;
    }
    if (!first) out += "}";
  }
  return out + "}";
}

}  // namespace

Status ListMissing(Status failure, const Graph& graph, const OpTable& table) {
  if (failure.code() != Code::kNotInBuild && failure.code() != Code::kUnsupported) return failure;
  std::vector<Missing> all;
  Collect(graph, table, &all);
  std::sort(all.begin(), all.end());
  // Each operator and version once: where its nodes begin.
  std::vector<size_t> missing;
  size_t left_out = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0 && all[i].Key() == all[i - 1].Key()) {
      all[missing.back()].types |= all[i].types;
    } else {
      missing.push_back(i);
      left_out += all[i].left_out;
    }
  }
  if (missing.empty() || (left_out == 0 && missing.size() == 1)) return failure;
  // Names come from a file: one that is no plain word is quoted.
  auto list = [&](size_t begin, size_t end) {
    std::string text;
    for (size_t i = begin; i < std::min(end, begin + kNamedMax); ++i) {
      const Missing& m = all[missing[i]];
      std::string name = m.domain.empty() ? std::string(m.op) : Cat(m.domain, ":", m.op);
      text += Cat(i > begin ? ", " : "", PlainOrQuoted(name), "-", m.version);
      if (m.types) text += Cat(" of ", TypeList(m.types, "", " and "));
    }
    return end - begin > kNamedMax ? Cat(text, " and ", end - begin - kNamedMax, " more") : text;
  };
  std::string unknown = left_out < missing.size() ? list(left_out, missing.size()) : std::string();
  if (left_out == 0) return Unsupported("unsupported operators: ", unknown);
  std::string lines;
  uint32_t types = 0;
  for (size_t i = 0; i < left_out; ++i) {
    const Missing &m = all[missing[i]], &before = all[missing[i > 0 ? i - 1 : 0]];
    bool same_line = i > 0 && m.domain == before.domain && m.version == before.version;
    std::string name = PlainOrQuoted(m.op);
    if (kTypes != kAnyType) name += Braces(&m, all.data() + (i + 1 < missing.size() ? missing[i + 1] : all.size()), &types);
    lines += same_line ? Cat(",", name) : Cat("\n", PlainOrQuoted(DomainName(m.domain)), ";", m.version, ";", name);
  }
  // A restriction of all operators has to let them through.
  if (types && *AllowedTypes()) lines = Cat("\n!globally_allowed_types;", AllowedTypes(), ",", TypeList(types, "", ","), lines);
  return Fail(Code::kNotInBuild, left_out == 1 ? "operator " : "operators ", list(0, left_out), left_out == 1 ? " is" : " are",
              " not in this build", unknown.empty() ? "" : Cat(" (and in none: ", unknown, ")"),
              "; rebuild with these lines in its configuration:", lines);
}

}  // namespace linnet
