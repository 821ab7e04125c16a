// Opening a model file of either format to look at it.
#include "cli/data/model_file.h"

#include "api/full_build.h"
#include "base/file.h"
#include "format/checksum.h"
#include "format/linnet_file.h"

namespace linnet::cli {

Result<ModelFile> OpenModelFile(const std::string& path, const SessionOptions& options) {
  GraphLimits limits = options.untrusted ? GraphLimits::Hostile() : GraphLimits();
  FileOptions access;
  access.access = options.access();
  access.bytes_max = limits.file_bytes;
  ModelFile out;
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, access));
  out.file_bytes = file->size();
  if (IsLinnetFile(file->bytes())) {
    out.prepared = true;
    if (options.verify) LINNET_TRY(CheckBody(file->bytes()).At(Quote(path)));
    Result<PreparedFile> prepared = ReadLinnet(file->bytes(), file, limits);
    if (!prepared.ok()) return prepared.TakeStatus().At(Quote(path));
    for (const PackedWeights& weights : prepared->weights) out.packed_bytes += weights.bytes;
    for (const PortType& port : prepared->inputs) out.inputs.push_back({port.name, port.type, false});
    for (const PortType& port : prepared->outputs) out.outputs.push_back({port.name, port.type, false});
    out.model.graph = std::move(prepared->graph);
    out.model.info = std::move(prepared->info);
    out.precision = prepared->precision;
    out.plans = std::move(prepared->plans);
    return out;
  }
  if (options.verify) return NothingToVerify().At(Quote(path));
  LINNET_ASSIGN(out.model, ImportModel(path, options));
  const Graph& graph = out.model.graph;
  for (ValueId id : graph.inputs) {
    out.inputs.push_back({graph.value(id).name, graph.value(id).type, graph.value(id).is_constant});
  }
  for (ValueId id : graph.outputs()) out.outputs.push_back({graph.value(id).name, graph.value(id).type, false});
  return out;
}

}  // namespace linnet::cli
