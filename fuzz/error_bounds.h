// How far two right answers to a quantized model may be apart.
#pragma once

#include <limits>
#include <map>
#include <vector>

#include "graph/graph.h"

namespace linnet {

/// What every value of a model is, as far as it is known: constants, what is fed, what a run made.
using KnownValues = std::map<ValueId, Tensor>;

/// For each value the most that two runs may differ: in steps where it is an integer, else as real numbers. A node of integers or a
/// QuantizeLinear may be rounded to either side, by one step; a sum of real numbers is off by `precision` of its summands'
/// magnitudes, others by that of their largest result; and a node passes on what its inputs are off by, times what it
/// amplifies. Unbounded (infinite) behind operators of which the last is not known.
std::vector<double> ErrorBounds(const Graph& graph, const KnownValues& values, double precision);

}  // namespace linnet
