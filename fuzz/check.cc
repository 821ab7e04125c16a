// Asking all sides, and writing examples down.
#include "fuzz/check.h"

#include <math.h>

#include <algorithm>

#include "fuzz/error_bounds.h"
#include "fuzz/sides.h"
#include "graph/text.h"

namespace linnet {
namespace {

/// The outputs on the reference, and everything between.
std::string RunReference(const Example& example, std::vector<Tensor>* outputs, KnownValues* values) {
  Example all;
  all.graph = example.graph.Clone();
  all.opset = example.opset;
  const size_t count = example.graph.outputs().size();
  for (NodeId id = 0; id < all.graph.node_count(); ++id) {
    for (ValueId out : all.graph.node(id).outputs) {
      const std::vector<ValueId>& listed = all.graph.outputs();
      if (out != kNoValue && std::find(listed.begin(), listed.end(), out) == listed.end()) all.graph.AddOutput(out);
    }
  }
  std::string failure = RunOn({"reference"}, OnnxOf(all), example.feeds, outputs);
  if (!failure.empty()) return failure;
  for (size_t i = 0; i < outputs->size(); ++i) (*values)[all.graph.outputs()[i]] = (*outputs)[i];
  outputs->resize(count);
  for (size_t i = 0; i < example.feeds.size(); ++i) (*values)[all.graph.inputs[i]] = example.feeds[i];
  for (ValueId id = 0; id < all.graph.value_count(); ++id) {
    if (all.graph.is_constant(id)) (*values)[id] = all.graph.value(id).constant;
  }
  return "";
}

/// "" or what is wrong with the outputs of a side.
std::string Compare(const Example& example, const std::vector<Tensor>& outputs, const std::vector<Tensor>& expected,
                    const std::vector<double>& bounds) {
  if (outputs.size() != expected.size()) return "gives another number of outputs";
  for (size_t i = 0; i < outputs.size(); ++i) {
    const double bound = bounds[static_cast<size_t>(example.graph.outputs()[i])];
    Agreement agreement{0, bound, 0, bound};
    const std::string difference = Difference(outputs[i], expected[i], agreement);
    if (!difference.empty()) return "output " + std::to_string(i) + " " + difference;
  }
  return "";
}

bool AllSame(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), SameBits);
}

}  // namespace

Verdict CheckOnAllSides(const Example& example, bool prepared) {
  Verdict verdict;
  const std::string bytes = OnnxOf(example);
  std::vector<Tensor> expected, best;
  KnownValues values;
  const std::string refused = RunReference(example, &expected, &values);
  std::vector<double> bounds;
  if (refused.empty()) bounds = ErrorBounds(example.graph, values, 1e-5);

  auto ask = [&](const Side& side, std::vector<Tensor>* outputs, bool* exact) {
    const std::string failure = RunOn(side, bytes, example.feeds, outputs, exact);
    if (failure.empty() != refused.empty()) {
      verdict.differs = side.Name() + (failure.empty() ? " runs where the reference says: " + refused : " refuses: " + failure);
    } else if (refused.empty()) {
      const std::string what = Compare(example, *outputs, expected, bounds);
      if (!what.empty()) verdict.differs = side.Name() + ": " + what;
    }
    return verdict.differs.empty();
  };
  for (CpuLevel level : LevelsFor(example.graph)) {
    std::vector<Tensor> first, outputs;
    bool exact = false;
    if (!ask({"cpu", CpuLevelName(level), 1}, &first, &exact)) return verdict;
    if (!refused.empty()) return verdict;
    if (!ask({"cpu", CpuLevelName(level), 2}, &outputs, nullptr)) return verdict;
    if (!AllSame(outputs, first)) verdict.differs = std::string(CpuLevelName(level)) + ": 2 threads have other bits than one";
    for (size_t i = 0; exact && i < best.size(); ++i) {
      if (IsFloating(best[i].dtype()) || SameBits(best[i], first[i])) continue;
      verdict.differs = std::string(CpuLevelName(level)) + ": other bits than at a lower level";
    }
    if (!verdict.differs.empty()) return verdict;
    best = std::move(first);
    verdict.exact = exact;
  }
  verdict.ran = true;
  std::vector<Tensor> outputs;
  if (!ask({"cpu", CpuLevelName(DetectedCpuLevel()), 1, 0}, &outputs, nullptr)) return verdict;
  if (prepared) {
    std::vector<Tensor> direct;
    const Side side{"cpu", CpuLevelName(DetectedCpuLevel()), 1, 2, true};
    if (!ask({"cpu", side.cpu}, &direct, nullptr) || !ask(side, &outputs, nullptr)) return verdict;
    if (!AllSame(direct, outputs)) verdict.differs = side.Name() + ": other bits than from the .onnx file";
  }
  if (PeerRuns* peer = example.peer && verdict.differs.empty() ? PeerRuns::Get() : nullptr) {
    outputs = peer->Run(bytes, example);
    verdict.peer_ran = !outputs.empty();
    if (verdict.peer_ran) verdict.peer_differs = Compare(example, outputs, expected, ErrorBounds(example.graph, values, 1e-4));
  }
  return verdict;
}

std::string TextOf(const Example& example) {
  Graph graph = example.graph.Clone();
  for (size_t i = 0; i < example.feeds.size(); ++i) {
    graph.SetType(graph.inputs[i], example.feeds[i].type());
    graph.SetConstant(graph.inputs[i], example.feeds[i]);
  }
  return PrintGraph(graph);
}

Result<Example> ExampleOf(std::string_view text) {
  Example example;
  LINNET_ASSIGN(example.graph, ParseGraph(text));
  for (ValueId input : example.graph.inputs) {
    example.feeds.push_back(example.graph.value(input).constant);
    example.graph.ClearConstant(input);
    if (!example.feeds.back().has_data()) return InvalidArgument("input ", Quote(example.graph.value(input).name), " has no default to feed");
  }
  example.opset = 1;
  for (NodeId id = 0; id < example.graph.node_count(); ++id) {
    const Node& node = example.graph.node(id);
    if (node.domain.empty()) example.opset = std::max(example.opset, node.version);
  }
  return example;
}

}  // namespace linnet
