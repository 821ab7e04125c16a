// ModelProto: what the file says about itself, its functions, then its graph.
#include "onnx/reader.h"

#include <algorithm>

#include "base/system.h"
#include "graph/verify.h"
#include "onnx/external_data.h"
#include "onnx/graph_reader.h"

namespace linnet {
namespace onnx {
namespace {

struct ModelView {
  std::string_view graph;
  int graphs = 0;
  std::vector<std::string_view> functions;
  Opsets opsets;
  ModelInfo info;
};

Status ReadModelView(Context& context, ModelView& view) {
  ModelInfo& info = view.info;
  Message message(context.source.bytes, context.cursor);
  while (message.Next()) {
    switch (message.field()) {
      case model::kIrVersion: info.ir_version = message.Int(); break;
      case model::kProducerName: info.producer_name = message.Bytes(); break;
      case model::kProducerVersion: info.producer_version = message.Bytes(); break;
      case model::kDomain: info.domain = message.Bytes(); break;
      case model::kModelVersion: info.model_version = message.Int(); break;
      case model::kDocString: info.doc_string = message.Bytes(); break;
      case model::kGraph:
        view.graph = message.Bytes();
        ++view.graphs;
        break;
      case model::kOpsetImport: LINNET_TRY(view.opsets.Add(message.Bytes(), context)); break;
      case model::kMetadata: {
        auto [key, value] = ReadEntry(message.Bytes(), context.cursor);
        info.metadata.emplace_back(key, value);
        break;
      }
      case model::kFunctions: view.functions.push_back(message.Bytes()); break;
      default: message.Skip();
    }
  }
  return Status();
}

Result<OnnxModel> ReadModel(Context& context) {
  if (context.source.bytes.empty()) return InvalidModel("no bytes where an ONNX model is expected");
  ModelView view;
  LINNET_TRY(ReadModelView(context, view));
  if (view.graphs != 1) {
    return InvalidModel("the model has ", view.graphs, " graphs where an ONNX ModelProto has one");
  }
  const int64_t ir_version = view.info.ir_version;
  if (ir_version < 1 || ir_version > kIrVersionMax) {
    return Unsupported("IR version ", ir_version, "; supported are 1 to ", kIrVersionMax);
  }
  if (view.opsets.empty()) {
    if (ir_version >= 3) {
      return InvalidModel("the model imports no operators; supported are versions 1 to ", kOpsetVersionMax, " of ai.onnx");
    }
    view.opsets.Set("", 1);
  }
  for (auto [domain, version] : view.opsets.versions()) view.info.opsets.emplace_back(domain, version);
  std::sort(view.info.opsets.begin(), view.info.opsets.end());

  FunctionTable functions(context);
  for (std::string_view function : view.functions) LINNET_TRY(functions.Add(function));
  LINNET_TRY(functions.Check(view.graph));
  OnnxModel model;
  GraphReader reader(context, ir_version, view.opsets, functions);
  LINNET_TRY(reader.ReadRoot(view.graph, model.graph));
  view.info.graph_name = model.graph.name;
  model.info = std::move(view.info);
  LINNET_TRY(Verify(model.graph, context.limits));
  return model;
}

std::string FolderOf(const std::string& path) {
  const size_t name = NameBegin(path);
  return name == 0 ? "." : name == 1 ? path.substr(0, 1) : path.substr(0, name - 1);
}

GraphLimits LimitsOf(const ReadOptions& options) {
  GraphLimits limits = options.limits;
  if (options.untrusted) {
    const GraphLimits hostile = GraphLimits::Hostile();
    limits.nodes = std::min(limits.nodes, hostile.nodes);
    limits.file_bytes = std::min(limits.file_bytes, hostile.file_bytes);
  }
  return limits;
}

FileAccess AccessOf(const ReadOptions& options) { return options.untrusted ? FileAccess::kRead : options.access; }

Result<OnnxModel> Read(Source source, std::string folder, const ReadOptions& options) {
  Context context(std::move(source), LimitsOf(options));
  context.access = AccessOf(options);
  context.external_folder = std::move(folder);
  context.callers_budget = options.budget;
  context.initializers_anywhere = options.any_address;
  Result<OnnxModel> model = CatchWireErrors(context.cursor, [&] { return ReadModel(context); });
  if (options.external_data) *options.external_data = !context.external_files.empty();
  return model;
}

}  // namespace
}  // namespace onnx

Result<MappedFile::Ref> OpenModelBytes(const std::string& path, const ReadOptions& options) {
  FileOptions file_options;
  file_options.access = onnx::AccessOf(options);
  file_options.bytes_max = onnx::LimitsOf(options).file_bytes;
  file_options.budget = options.budget;
  return MappedFile::Open(path, file_options);
}

Result<OnnxModel> ReadOnnxFile(const std::string& path, const ReadOptions& options) {
  LINNET_ASSIGN(MappedFile::Ref file, OpenModelBytes(path, options));
  return ReadOnnxFile(std::move(file), path, options);
}

Result<OnnxModel> ReadOnnxFile(MappedFile::Ref file, const std::string& path, const ReadOptions& options) {
  onnx::Source source{file->bytes(), file, file->mapped() ? file.get() : nullptr};
  std::string folder = options.external_data_folder.empty() ? onnx::FolderOf(path) : options.external_data_folder;
  Result<OnnxModel> model = onnx::Read(std::move(source), std::move(folder), options);
  if (!model.ok()) return model.TakeStatus().At(Quote(path));
  return model;
}

Result<OnnxModel> ReadOnnxBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                const ReadOptions& options) {
  int64_t limit = onnx::LimitsOf(options).file_bytes;
  if (static_cast<int64_t>(bytes.size()) > limit) {
    return LimitReached("the model has ", bytes.size(), " bytes; the limit is ", limit);
  }
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return onnx::Read({text, std::move(owner), nullptr}, options.external_data_folder, options);
}

}  // namespace linnet
