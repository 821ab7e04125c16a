// Loops over samples, and sizes.
#include "quantize/quantize.h"

#include <algorithm>
#include <functional>
#include <set>

#include "passes/patterns.h"
#include "quantize/calibration/calibration_file.h"
#include "quantize/edit.h"

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
    if (!labels.empty() && !expected.empty()) LINNET_TRY(CheckLabel(expected[0], labels[static_cast<size_t>(i)]));
    for (size_t k = 0; k < expected.size(); ++k) {
      agreements[k].Add(expected[k], got[k], k == 0 && !labels.empty() ? labels[static_cast<size_t>(i)] : -1);
    }
  }
  return agreements;
}

namespace {

/// Where operators have weights: their input, and those of the scale and the zero point; 0: none.
struct WeightRow {
  const char* op;
  size_t weights, scale, zero;
};
constexpr WeightRow kWeightRows[] = {
    {"Conv", 1, 0, 0},           {"ConvTranspose", 1, 0, 0},         {"Gemm", 0, 0, 0},                {"Gemm", 1, 0, 0},         {"MatMul", 0, 0, 0},
    {"MatMul", 1, 0, 0},         {"LSTM", 1, 0, 0},                  {"LSTM", 2, 0, 0},                {"GRU", 1, 0, 0},          {"GRU", 2, 0, 0},
    {"RNN", 1, 0, 0},            {"RNN", 2, 0, 0},                   {"QLinearConv", 3, 4, 5},         {"QLinearMatMul", 0, 1, 2}, {"QLinearMatMul", 3, 4, 5},
    {"QGemm", 3, 4, 5},          {"ConvInteger", 1, 0, 3},           {"MatMulInteger", 0, 0, 2},       {"MatMulInteger", 1, 0, 3}, {"MatMulNBits", 1, 2, 3},
    {"DynamicQuantizeMatMul", 1, 2, 3}, {"DynamicQuantizeLSTM", 1, 8, 9}, {"DynamicQuantizeLSTM", 2, 10, 11}};

class WeightCounter {
 public:
  WeightCounter(const Graph& graph, std::set<const void*>& seen, ConstantBytes* out) : graph_(graph), seen_(seen), out_(*out) {}

  void Count(const Node& node) {
    for (const WeightRow& row : kWeightRows) {
      if (node.op != row.op) continue;
      const ValueId weights = InputOf(node, row.weights);
      const Node* dequantize = Producer(graph_, weights);
      if (dequantize && dequantize->Is("DequantizeLinear")) {
        Integers(InputOf(*dequantize, 0), InputOf(*dequantize, 1), InputOf(*dequantize, 2));
      } else {
        Result<int64_t> bits = node.Int("bits", 8);   // MatMulNBits packs
        Integers(weights, row.scale ? InputOf(node, row.scale) : kNoValue, row.zero ? InputOf(node, row.zero) : kNoValue, bits.ok() && *bits == 4 ? 2 : 1);
      }
    }
    if (node.Is("Gather") && IsTable(graph_, node)) Integers(node.inputs[0], kNoValue, kNoValue);
    if (node.Is("DequantizeLinear")) {   // behind rows of a table
      const Node* rows = Producer(graph_, node.inputs[0]);
      if (rows && rows->Is("Gather")) Integers(rows->inputs[0], InputOf(node, 1), InputOf(node, 2));
    }
    if (node.Is("Mul") && node.inputs.size() == 2) {   // the scales of MatMulInteger
      const Node* activation = Producer(graph_, node.inputs[0]);
      if (activation && activation->Is("DynamicQuantizeLinear")) out_.integers.bytes += New(node.inputs[1]);
    }
  }

 private:
  /// Bytes of a constant that has not been counted.
  int64_t New(ValueId id) {
    const Tensor* constant = id == kNoValue ? nullptr : ConstantOf(graph_, id);
    return constant && constant->has_data() && seen_.insert(constant->data()).second ? constant->bytes() : 0;
  }
  /// `packed`: weights in an element; what pads the last block counts too.
  void Integers(ValueId weights, ValueId scale, ValueId zero, int64_t packed = 1) {
    const int64_t bytes = New(weights);
    if (bytes == 0) return;
    const Tensor& codes = graph_.value(weights).constant;
    WeightSize& to = IsFloating(codes.dtype()) ? out_.reals : out_.integers;
    to.bytes += bytes + New(scale) + New(zero);
    to.floats += codes.elements() * packed * static_cast<int64_t>(sizeof(float));
  }

  const Graph& graph_;
  std::set<const void*>& seen_;
  ConstantBytes& out_;
};

void Count(const Graph& graph, std::set<const void*>& seen, std::set<const void*>& weights, ConstantBytes* out) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!value.is_constant || value.uses.empty() || !value.constant.has_data()) continue;
    if (!seen.insert(value.constant.data()).second) continue;
    out->all += value.constant.bytes();
    if (IsFloating(value.constant.dtype())) out->floats += value.constant.bytes();
  }
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).alive) continue;
    WeightCounter(graph, weights, out).Count(graph.node(id));
    for (const Graph* inner : Graph::Subgraphs(graph.node(id))) Count(*inner, seen, weights, out);
  }
}

}  // namespace

ConstantBytes CountConstants(const Graph& graph) {
  ConstantBytes bytes;
  std::set<const void*> seen, weights;
  Count(graph, seen, weights, &bytes);
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
