// The built-in passes, one file each.
#pragma once

#include "passes/pass.h"

namespace linnet {

Status RemoveDeadCode(Graph& graph, const PassContext& context);
Status Resolve(Graph& graph, const PassContext& context);

}  // namespace linnet
