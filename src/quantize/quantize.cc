// Loops over samples, and sizes.
#include "quantize/quantize.h"

#include <algorithm>
#include <functional>
#include <set>

#include "quantize/calibration/calibration_file.h"

namespace linnet::quantize {

namespace {

size_t HashOf(const std::vector<Datum>& sample) {
  size_t hash = 0;
  for (const Datum& datum : sample) {
    if (!datum.type.is_tensor() || !datum.tensor.has_data() || datum.tensor.dtype() == DType::kString) continue;
    const std::string_view bytes(static_cast<const char*>(datum.tensor.data()), static_cast<size_t>(datum.tensor.bytes()));
    hash = hash * 31 + std::hash<std::string_view>()(bytes);
  }
  return hash;
}

Status Resume(Calibration* calibration, const std::vector<std::string>& names, Seeing* seeing) {
  if (seeing->table.empty()) return InvalidArgument("going on with a calibration needs its table (--table)");
  const std::string partial = PartialOf(seeing->table);
  const std::string from = MappedFile::Open(partial).ok() ? partial : seeing->table;
  LINNET_TRY(ReadCalibration(from, calibration).TakeStatus());
  // What was seen must be what is to be seen, whatever is still missing of it.
  for (const std::string& seen : calibration->sample_names()) {
    if (std::find(names.begin(), names.end(), seen) == names.end()) {
      return InvalidArgument(Quote(from), " has seen ", Quote(seen), ", which is not among the samples to calibrate with");
    }
  }
  seeing->resumed = calibration->samples();
  return Status();
}

Status SeeRest(Calibration* calibration, Samples* samples, const std::vector<int64_t>& which, const std::vector<std::string>& names, Watch watch,
               Seeing* seeing) {
  constexpr int64_t kSaveNs = 5'000'000'000;
  int64_t saved = MonotonicNs(), done = seeing->resumed;
  size_t first = 0;
  seeing->alike = which.size() > 1 && seeing->resumed == 0;
  for (size_t i = 0; i < which.size(); ++i) {
    if (calibration->HasSeen(names[i])) continue;
    watch("calibrating", done++, static_cast<int64_t>(which.size()));
    LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(which[i]));
    LINNET_TRY(calibration->Add(sample, names[i]).At(names[i]));
    const size_t hash = HashOf(sample);
    if (i == 0) first = hash;
    seeing->alike = seeing->alike && hash == first;
    if (seeing->table.empty() || MonotonicNs() - saved < kSaveNs) continue;
    LINNET_TRY(WriteCalibration(PartialOf(seeing->table), {}, calibration));
    saved = MonotonicNs();
  }
  return Status();
}

}  // namespace

Status Calibrate(Calibration* calibration, Samples* samples, const std::vector<int64_t>& which, Watch watch, Seeing* seeing) {
  Seeing plain;
  if (!seeing) seeing = &plain;
  std::vector<std::string> names;
  for (int64_t i : which) names.push_back(samples->Name(i));
  if (seeing->resume) LINNET_TRY(Resume(calibration, names, seeing));
  const Status seen = SeeRest(calibration, samples, which, names, watch, seeing);
  if (!seen.ok() && !seeing->table.empty() && calibration->samples() > 0) {
    LINNET_TRY(WriteCalibration(PartialOf(seeing->table), {}, calibration));
  }
  return seen.Clone();
}

Result<std::vector<Agreement>> CompareOutputs(GraphRunner* reference, GraphRunner* actual, Samples* samples,
                                              const std::vector<int64_t>& which, Watch watch, std::span<const int64_t> labels) {
  std::vector<Agreement> agreements;
  int64_t done = 0;
  for (int64_t i : which) {
    watch("comparing", done++, static_cast<int64_t>(which.size()));
    LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(i));
    LINNET_ASSIGN(std::vector<Datum> expected, reference->Run(sample));
    LINNET_ASSIGN(std::vector<Datum> got, actual->Run(sample));
    if (expected.size() != got.size()) return InvalidArgument("one model has ", expected.size(), " outputs, the other ", got.size());
    agreements.resize(expected.size());
    for (size_t k = 0; k < expected.size(); ++k) {
      agreements[k].Add(expected[k], got[k], k == 0 && !labels.empty() ? labels[static_cast<size_t>(i)] : -1);
    }
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

int64_t CountNodes(const Graph& graph) {
  int64_t count = 0;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).alive) continue;
    ++count;
    for (const Graph* inner : Graph::Subgraphs(graph.node(id))) count += CountNodes(*inner);
  }
  return count;
}

}  // namespace linnet::quantize
