// Names that tell the values of a graph apart, for writing it down.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "graph/graph.h"

namespace linnet {

/// An operator's name as messages have it: plain words as they are, anything odd or long quoted. `op` may say its domain.
std::string PlainOrQuoted(std::string_view op);

/// True for values that belong into a file or text: inputs, captures, outputs, what nodes produce, constants in use.
/// Others are left over from edits.
std::vector<bool> LiveValues(const Graph& graph);

/// A name for every live value (by id), none of them in `taken`, to which they are added; "" for the others. A value keeps
/// its own name where it can; inputs and outputs come first.
std::vector<std::string> UniqueNames(const Graph& graph, std::unordered_set<std::string>& taken);

}  // namespace linnet
