// Naming everything a graph needs and a build lacks, at once.
#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/names.h"
#include "ops/registry.h"

namespace linnet {
namespace {

constexpr size_t kNamedMax = 200;

struct Missing {
  std::string_view domain, op;
  int version = 0;
  bool left_out = false;   ///< exists, but not in this build
  auto Key() const { return std::tuple(!left_out, domain, version, op); }
  bool operator<(const Missing& other) const { return Key() < other.Key(); }
  bool operator==(const Missing& other) const { return Key() == other.Key(); }
};

void Collect(const Graph& graph, const OpTable& table, std::vector<Missing>* missing) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    Result<const OpDef*> found = table.Find(node.domain, node.op, node.version);
    if (!found.ok()) missing->push_back({node.domain, node.op, node.version, found.status().code() == Code::kNotInBuild});
    for (const Graph* inner : Graph::Subgraphs(node)) Collect(*inner, table, missing);
  }
}

std::string_view DomainName(std::string_view domain) { return domain.empty() ? std::string_view("ai.onnx") : domain; }

}  // namespace

Status ListMissing(Status failure, const Graph& graph, const OpTable& table) {
  if (failure.code() != Code::kNotInBuild && failure.code() != Code::kUnsupported) return failure;
  std::vector<Missing> missing;
  Collect(graph, table, &missing);
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  size_t left_out = 0;
  while (left_out < missing.size() && missing[left_out].left_out) ++left_out;
  if (missing.empty() || (left_out == 0 && missing.size() == 1)) return failure;
  // Names come from a file: one that is no plain word is quoted.
  auto list = [&](size_t begin, size_t end) {
    std::string text;
    for (size_t i = begin; i < std::min(end, begin + kNamedMax); ++i) {
      const Missing& m = missing[i];
      std::string name = m.domain.empty() ? std::string(m.op) : Cat(m.domain, ":", m.op);
      text += Cat(i > begin ? ", " : "", PlainOrQuoted(name), "-", m.version);
    }
    return end - begin > kNamedMax ? Cat(text, " and ", end - begin - kNamedMax, " more") : text;
  };
  std::string unknown = left_out < missing.size() ? list(left_out, missing.size()) : std::string();
  if (left_out == 0) return Unsupported("unsupported operators: ", unknown);
  std::string lines;
  for (size_t i = 0; i < left_out; ++i) {
    const Missing &m = missing[i], &before = missing[i > 0 ? i - 1 : 0];
    bool same_line = i > 0 && m.domain == before.domain && m.version == before.version;
    std::string name = PlainOrQuoted(m.op);
    lines += same_line ? Cat(",", name) : Cat("\n", PlainOrQuoted(DomainName(m.domain)), ";", m.version, ";", name);
  }
  return Fail(Code::kNotInBuild, left_out == 1 ? "operator " : "operators ", list(0, left_out), left_out == 1 ? " is" : " are",
              " not in this build", unknown.empty() ? "" : Cat(" (and in none: ", unknown, ")"),
              "; rebuild with these lines in its configuration:", lines);
}

}  // namespace linnet
