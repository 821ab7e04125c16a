// The file as a whole: verified, its version, what it says about itself, then its graph.
#include "ort/reader.h"

#include <algorithm>

#include "graph/verify.h"
#include "onnx/fields.h"
#include "ort/graph_reader.h"
#include "ort/unfuse.h"

namespace linnet {
namespace ort {
namespace {

/// The identifier of .linnet files (schema/linnet.fbs), which are not read here.
bool IsPrepared(std::string_view bytes) { return bytes.size() > 8 && bytes.substr(4, 4) == "LNNT"; }

constexpr int64_t kBytesMax = INT32_MAX;

Result<OnnxModel> Read(Context& context) {
  const std::string_view bytes = context.source.bytes;
  // A graph, its node and an attribute are three tables deep, types and tensors a few more. Every table has bytes of its
  // own: a file that uses some again and again is not one that a writer made.
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                                 static_cast<flatbuffers::uoffset_t>(3 * context.limits.graph_depth + 32),
                                 static_cast<flatbuffers::uoffset_t>(bytes.size() / 4));
  if (!fbs::VerifySessionBuffer(verifier)) return InvalidModel("the .ort file is damaged: its structure does not verify");
  const fbs::Session& session = *fbs::GetSession(bytes.data());
  const std::string_view version = View(session.version());
  if (version != "5" && version != "6") {
    return Unsupported("the .ort file has format version ", Quote(version),
                       "; supported are 5 and 6: make it again from its .onnx file");
  }
  if (!session.model() || !session.model()->graph()) return InvalidModel("the .ort file has no graph");
  const fbs::Model& from = *session.model();
  if (from.ir_version() < 1 || from.ir_version() > onnx::kIrVersionMax) {
    return Unsupported("IR version ", from.ir_version(), "; supported are 1 to ", onnx::kIrVersionMax);
  }
  OnnxModel model;
  ModelInfo& info = model.info;
  for (uint32_t i = 0; from.opsets() && i < from.opsets()->size(); ++i) {
    const fbs::Opset& opset = *from.opsets()->Get(i);
    LINNET_ASSIGN(std::string_view name, Name(opset.domain(), context));
    const std::string domain(name == "ai.onnx" ? std::string_view() : name);
    if (opset.version() < 1 || opset.version() > INT32_MAX) {
      return InvalidModel("version ", opset.version(), " of operator domain ", Quote(domain));
    }
    if (domain.empty() && opset.version() > onnx::kOpsetVersionMax) {
      return Unsupported("version ", opset.version(), " of operator domain ai.onnx; supported are 1 to ", onnx::kOpsetVersionMax);
    }
    info.opsets.emplace_back(domain, opset.version());
  }
  std::sort(info.opsets.begin(), info.opsets.end());
  for (size_t i = 1; i < info.opsets.size(); ++i) {
    if (info.opsets[i].first == info.opsets[i - 1].first) {
      return InvalidModel("operator domain ", Quote(info.opsets[i].first), " is imported twice");
    }
  }
  info.ir_version = from.ir_version();
  info.producer_name = View(from.producer_name());
  info.producer_version = View(from.producer_version());
  info.domain = View(from.domain());
  info.model_version = from.model_version();
  info.doc_string = View(from.doc_string());
  for (uint32_t i = 0; from.metadata() && i < from.metadata()->size(); ++i) {
    LINNET_TRY(context.Charge(static_cast<int64_t>(sizeof(std::string) * 2 + View(from.metadata()->Get(i)->key()).size() +
                                                   View(from.metadata()->Get(i)->value()).size())));
    info.metadata.emplace_back(View(from.metadata()->Get(i)->key()), View(from.metadata()->Get(i)->value()));
  }
  LINNET_TRY(GraphReader(context, info).ReadRoot(*from.graph(), model.graph));
  LINNET_TRY(Verify(model.graph, context.limits));
  const bool imports_onnx = !info.opsets.empty() && info.opsets[0].first.empty();   // sorted: "" is first
  LINNET_TRY(Unfuse(model.graph, imports_onnx ? static_cast<int>(info.opsets[0].second) : 0));
  return model;
}

Result<OnnxModel> Read(onnx::Source source, const ReadOptions& options) {
  GraphLimits limits = options.limits;
  if (options.untrusted) limits.nodes = std::min(limits.nodes, GraphLimits::Hostile().nodes);
  const int64_t most = std::min(kBytesMax, limits.file_bytes);
  if (static_cast<int64_t>(source.bytes.size()) > most) {
    return LimitReached("the .ort file has ", source.bytes.size(), " bytes; the limit is ", most);
  }
  if (!IsOrtFile(source.bytes)) return InvalidModel("not a .ort file");
  if (reinterpret_cast<uintptr_t>(source.bytes.data()) % alignof(int64_t) != 0) {
    return InvalidArgument("a .ort model must lie at a multiple of ", alignof(int64_t), " bytes");
  }
  Context context(std::move(source), limits);
  context.callers_budget = options.budget;
  if (options.external_data) *options.external_data = false;
  return Read(context);
}

std::string_view TextOf(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace
}  // namespace ort

Result<OnnxModel> ReadOrtBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const ReadOptions& options) {
  return ort::Read(onnx::Source{ort::TextOf(bytes), std::move(owner), nullptr}, options);
}

Result<OnnxModel> ReadModelFile(const std::string& path, const ReadOptions& options) {
  LINNET_ASSIGN(MappedFile::Ref file, OpenModelBytes(path, options));
  if (ort::IsPrepared(file->bytes())) {
    return InvalidArgument(Quote(path), " is a prepared file (.linnet), which is run as it is and not read back as a model; give the .onnx or .ort file it was made from");
  }
  if (!IsOrtFile(file->bytes())) return ReadOnnxFile(std::move(file), path, options);
  Result<OnnxModel> model = ort::Read(onnx::Source{file->bytes(), file, file->mapped() ? file.get() : nullptr}, options);
  if (!model.ok()) return model.TakeStatus().At(Quote(path));
  return model;
}

Result<OnnxModel> ReadModelBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const ReadOptions& options) {
  if (IsOrtFile(ort::TextOf(bytes))) return ReadOrtBytes(bytes, std::move(owner), options);
  return ReadOnnxBytes(bytes, std::move(owner), options);
}

}  // namespace linnet
