// Which weights have one scale for all of their channels, so that scales take little beside what they belong to.
#pragma once

#include <set>

#include "graph/graph.h"
#include "quantize/plan.h"

namespace linnet::quantize {

/// The axis of the weights of a product, of this shape, that counts the output's channels, or -1.
int ChannelAxis(const Node& node, const Shape& w);

/// Weights of products and recurrent operators that are to have one scale, although the options have one a channel: where all weights
/// together, with their scales and zero points, take more than 27 % of what they take as floats, as many as bring them there, or all,
/// of those whose channels are so alike that this adds an error 40 dB below the weights, and first of those that lose least for a byte.
/// A property of the model first, so that layers that are measured alone are what they will be together; where some of `nodes` stay in float,
/// but less than half of the weights, as many more as bring what is integers there.
std::set<ValueId> WeightsWithOneScale(const Graph& graph, const NodePrecisions& nodes, const StaticOptions& options);

}  // namespace linnet::quantize
