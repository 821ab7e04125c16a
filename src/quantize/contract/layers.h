// The layers of a model as a search sees them: what each costs where it stays exact, and in which order that pays.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "quantize/plan.h"

namespace linnet::quantize {

/// A convolution, matrix product or recurrent operator with the nodes that follow it up to the next ones; a table; or what comes
/// before all of them.
struct Layer {
  std::string name;
  std::vector<NodeId> nodes;
  double error = 0;                    ///< noise over signal at the worst output when it alone is quantized
  double time = 0;                     ///< what it takes in float beside integers, in about as many multiply-adds,
  std::map<size_t, double> beside;     ///< and rounding, by the number of a layer that reads it or that it reads, where one of both is in float
  double weights = 0;                  ///< how many
  size_t number = 0;                   ///< in the order of the graph
};

/// In the order of the graph.
Result<std::vector<Layer>> LayersOf(const Graph& graph, const NodePrecisions& nodes);

/// Orders layers from `first` on by their error over what it takes to leave them in float: those before and, one by one, those chosen are in
/// float, beside which others need no rounding.
void OrderByTime(std::vector<Layer>* layers, size_t first);
/// Orders all by their error over their weights.
void OrderByWeights(std::vector<Layer>* layers);
/// Orders all by their error alone.
void OrderByError(std::vector<Layer>* layers);

}  // namespace linnet::quantize
