// Running a model on a side, and comparing what two sides give.
#include "fuzz/sides.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>

#include "api/full_build.h"
#include "base/file.h"

namespace linnet {
namespace {

/// A folder of this process's own, which goes with it.
const std::string& Folder() {
  struct Own {
    std::string path = (std::filesystem::temp_directory_path() / ("linnet_sides_" + std::to_string(getpid()))).string();
    Own() { std::filesystem::create_directories(path); }
    ~Own() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Own own;
  return own.path;
}

Result<std::unique_ptr<Session>> Open(const Side& side, const std::string& bytes) {
  SessionOptions options;
  options.provider = side.provider;
  options.cpu = side.cpu;
  options.threads = side.threads;
  options.pipeline.level = side.optimize;
  if (!side.prepared) return Session::FromMemory(bytes.data(), bytes.size(), nullptr, options);
  const std::string onnx = Folder() + "/model.onnx", prepared = Folder() + "/model.linnet";
  LINNET_TRY(WriteFileAtomically(onnx, [&](Sink& sink) { return sink.Append(bytes); }));
  LINNET_TRY(ConvertModel(onnx, prepared, options));
  return Session::Open(prepared, options);
}

/// What is fed may be real: operators on integers round it once, with scales of one number each.
bool ComputesExactly(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    const bool integers = node.op.starts_with("Q") || node.op.find("Quantize") != std::string::npos || node.op.find("Integer") != std::string::npos;
    for (ValueId input : node.inputs) {
      if (input == kNoValue || graph.is_constant(input) || !IsFloating(graph.value(input).type.dtype)) continue;
      if (!integers || !graph.is_input(input)) return false;
    }
  }
  return true;
}

}  // namespace

std::string Side::Name() const {
  std::string name = provider == "cpu" ? cpu : provider;
  if (optimize == 0) name += ", no optimisation";
  if (prepared) name += ", from a .linnet file";
  return name + (threads == 1 ? ", 1 thread" : ", " + std::to_string(threads) + " threads");
}

std::string RunOn(const Side& side, const std::string& bytes, const std::vector<Tensor>& feeds, std::vector<Tensor>* outputs, bool* exact) {
  Result<std::unique_ptr<Session>> session = Open(side, bytes);
  if (!session.ok()) return "opening: " + std::string(session.status().message());
  if (exact) *exact = ComputesExactly((*session)->model().graph());
  if (feeds.size() != (*session)->inputs().size()) return "it has other inputs than are fed";
  std::vector<Fact> inputs;
  for (const Tensor& tensor : feeds) inputs.push_back({tensor.type(), tensor.data()});
  std::vector<RunOutput> results((*session)->outputs().size());
  Status status = (*session)->Run(inputs.data(), results.data());
  if (!status.ok()) return std::string(status.message());
  // Outputs count against the session's budget and must not outlive it.
  outputs->clear();
  for (RunOutput& result : results) {
    outputs->push_back(*Tensor::Allocate(result.datum.type.dtype, result.datum.type.shape));
    CopyElements(result.datum.type, result.datum.tensor.data(), outputs->back().mutable_data());
  }
  return "";
}

std::vector<CpuLevel> LevelsFor(const Graph& graph) {
  bool integers = false;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const std::string& op = graph.node(id).op;
    integers = integers || op.find("Integer") != std::string::npos || op.find("Quantize") != std::string::npos || op.starts_with("Q");
  }
  std::vector<CpuLevel> levels;
  // Those whose kernels of real numbers differ, then those that differ in integers alone.
  for (CpuLevel level : {CpuLevel::kSse4, CpuLevel::kAvx2, CpuLevel::kAvx512, CpuLevel::kNeon, CpuLevel::kWasm}) {
    if (Supports(DetectedCpuLevel(), level)) levels.push_back(level);
  }
  for (CpuLevel level : {CpuLevel::kAvxVnni, CpuLevel::kAvx512Vnni, CpuLevel::kAmx, CpuLevel::kDotprod, CpuLevel::kI8mm}) {
    if (integers && Supports(DetectedCpuLevel(), level)) levels.push_back(level);
  }
  return levels;
}

bool SameBits(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && (a.bytes() == 0 || memcmp(a.data(), b.data(), static_cast<size_t>(a.bytes())) == 0);
}

std::string Difference(const Tensor& actual, const Tensor& expected, const Agreement& agreement) {
  if (actual.type() != expected.type()) return "is " + ToString(actual.type()) + " where " + ToString(expected.type()) + " is expected";
  if (SameBits(actual, expected)) return "";
  const bool real = IsFloating(expected.dtype());
  if (!real && (agreement.steps == 0 || DTypeBits(expected.dtype()) > 32)) return "is not bit-equal";
  double most = agreement.largest;
  for (int64_t i = 0; real && i < expected.elements(); ++i) {
    if (isfinite(At(expected, i))) most = fmax(most, fabs(At(expected, i)));
  }
  // One rounding of the type itself is allowed besides; float16's smallest numbers are far apart.
  const bool half = expected.dtype() == DType::kFloat16;
  const double own = half ? 0x1p-10 : expected.dtype() == DType::kBfloat16 ? 0x1p-7 : 0, least = half ? 0x1p-24 : 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double a = At(actual, i), e = At(expected, i);
    const double allowed = real ? agreement.of_max * most + agreement.absolute + own * fabs(e) + least : agreement.steps;
    if (a == e || (isnan(a) && isnan(e)) || fabs(a - e) <= allowed) continue;
    char text[200];
    snprintf(text, sizeof text, "element %lld is %.9g where %.9g is expected, and %.3g may be between (largest %.9g)", static_cast<long long>(i),
             a, e, allowed, most);
    return text;
  }
  return "";
}

static PeerRuns* loaded = nullptr;

Status PeerRuns::Load(const std::string& path) {
  static PeerRuns runs;
  LINNET_ASSIGN(runs.peer_, Peer::Load(path));
  loaded = &runs;
  return Status();
}
PeerRuns* PeerRuns::Get() { return loaded; }

bool PeerRuns::Saturates() {
  for (CpuLevel adds_four : {CpuLevel::kAvxVnni, CpuLevel::kAvx512Vnni, CpuLevel::kDotprod}) {
    if (Supports(DetectedCpuLevel(), adds_four)) return false;
  }
  return true;
}

std::vector<Tensor> PeerRuns::Run(const std::string& bytes, const Example& example) {
  Result<std::unique_ptr<PeerSession>> session = peer_->OpenBytes(bytes);
  if (!session.ok() || example.feeds.size() != (*session)->inputs().size()) return {};
  std::vector<PeerTensor> inputs;
  for (size_t i = 0; i < example.feeds.size(); ++i) {
    const Tensor& tensor = example.feeds[i];
    PeerTensor made;
    made.name = (*session)->inputs()[i].name;
    made.type = static_cast<int>(tensor.dtype());
    for (int64_t d : tensor.shape().dims()) made.dims.push_back(d);
    if (tensor.bytes() > 0) made.bytes.assign(static_cast<const char*>(tensor.data()), static_cast<size_t>(tensor.bytes()));
    inputs.push_back(std::move(made));
  }
  Result<std::vector<PeerTensor>> outputs = (*session)->Run(std::move(inputs));
  if (!outputs.ok()) return {};
  std::vector<Tensor> made;
  for (const PeerTensor& output : *outputs) {
    Result<Tensor> tensor = Tensor::Allocate(static_cast<DType>(output.type), Shape(output.dims));
    if (!tensor.ok() || tensor->bytes() != static_cast<int64_t>(output.bytes.size())) return {};
    if (!output.bytes.empty()) memcpy(tensor->mutable_data(), output.bytes.data(), output.bytes.size());
    made.push_back(std::move(*tensor));
  }
  const Graph& graph = example.graph;
  for (NodeId id = 0; id < graph.node_count(); ++id) ++counts_[graph.node(id).op];
  return made;
}

}  // namespace linnet
