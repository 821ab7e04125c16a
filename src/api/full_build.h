// What only a full build can do: read .onnx and .ort files, run passes, write prepared files, offer further providers. A reduced
// build links the same functions, which then say so.
#pragma once

#include <memory>

#include "api/session.h"
#include "base/function_ref.h"
#include "format/requirements.h"
#include "ort/reader.h"

namespace linnet {

/// The model in a .onnx or .ort file. `budget` (null, or outlives the model) counts contents that are not used where they lie.
/// `external_data` (may be null) is set to whether some lie in other files. `any_address`: see ReadOptions.
Result<OnnxModel> ImportModel(const std::string& path, const SessionOptions& options, MemoryBudget* budget = nullptr,
                             bool* external_data = nullptr, bool any_address = false);
Result<OnnxModel> ImportModel(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              const SessionOptions& options, MemoryBudget* budget = nullptr, bool any_address = false);

/// The pass pipeline.
Status Optimize(Graph& graph, const PassContext& context, const PipelineOptions& options);

/// "reference" → its provider; fails for unknown names.
Result<std::unique_ptr<Provider>> MakeProvider(const std::string& name);

/// Prepares the model at `input` and writes it to `output` (.linnet), replacing the file only when all went well.
/// Inputs with a default become constants. The file gets a plan (run/stored_plan.h) where all inputs have known sizes and no size
/// depends on contents.
Status ConvertModel(const std::string& input, const std::string& output, const SessionOptions& options);
/// As above with a plan for each set of input types that `shapes` gives, in the order of the session's inputs. Fails where there
/// can be none.
using PlanShapes = FunctionRef<Result<std::vector<std::vector<Type>>>(const Session& session)>;
Status ConvertModel(const std::string& input, const std::string& output, const SessionOptions& options, PlanShapes shapes);

/// Adds to `requirements` what a build needs that is to run the model at `path` (.linnet, or any other after it was prepared
/// as ConvertModel does). With `onnx` the build is to read the file itself: what the graph has before and after
/// every pass counts as well.
Status CollectRequirements(const std::string& path, const SessionOptions& options, bool onnx, Requirements* requirements);

/// The operators of this build, for Requirements::Parse.
std::vector<KnownOperator> KnownOperators();

/// Writes the graph after the passes that stay within ONNX's operators as a .onnx file.
Status WriteOptimizedOnnx(const std::string& input, const std::string& output, const SessionOptions& options);

}  // namespace linnet
