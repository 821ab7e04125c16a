// Loops over samples, and sizes.
#include "quantize/quantize.h"

#include <set>

namespace linnet::quantize {

Status Calibrate(Calibration* calibration, Samples* samples, const std::vector<int64_t>& which, Watch watch) {
  int64_t done = 0;
  for (int64_t i : which) {
    watch("calibrating", done++, static_cast<int64_t>(which.size()));
    LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(i));
    LINNET_TRY(calibration->Add(sample, samples->Name(i)).At(samples->Name(i)));
  }
  return Status();
}

Result<std::vector<Agreement>> CompareOutputs(GraphRunner* reference, GraphRunner* actual, Samples* samples,
                                              const std::vector<int64_t>& which, Watch watch) {
  std::vector<Agreement> agreements;
  int64_t done = 0;
  for (int64_t i : which) {
    watch("comparing", done++, static_cast<int64_t>(which.size()));
    LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(i));
    LINNET_ASSIGN(std::vector<Datum> expected, reference->Run(sample));
    LINNET_ASSIGN(std::vector<Datum> got, actual->Run(sample));
    if (expected.size() != got.size()) return InvalidArgument("one model has ", expected.size(), " outputs, the other ", got.size());
    agreements.resize(expected.size());
    for (size_t k = 0; k < expected.size(); ++k) agreements[k].Add(expected[k], got[k]);
  }
  return agreements;
}

namespace {

void Count(const Graph& graph, std::set<const void*>& seen, ConstantBytes* out) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!value.is_constant || value.uses.empty() || !value.constant.has_data()) continue;
    if (!seen.insert(value.constant.data()).second) continue;
    out->all += value.constant.bytes();
    if (IsFloating(value.constant.dtype())) out->floats += value.constant.bytes();
  }
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).alive) continue;
    for (const Graph* inner : Graph::Subgraphs(graph.node(id))) Count(*inner, seen, out);
  }
}

}  // namespace

ConstantBytes CountConstants(const Graph& graph) {
  ConstantBytes bytes;
  std::set<const void*> seen;
  Count(graph, seen, &bytes);
  return bytes;
}

}  // namespace linnet::quantize
