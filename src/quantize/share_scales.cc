// Counting what weights and their scales take, and what one scale would cost.
#include "quantize/share_scales.h"

#include <math.h>

#include <algorithm>
#include <vector>

#include "base/function_ref.h"
#include "passes/patterns.h"
#include "quantize/edit.h"

namespace linnet::quantize {
namespace {

constexpr double kShareMax = 0.27;       // of the floats' bytes
constexpr double kAddedErrorMax = 1e-4;  // of the power of the weights
constexpr double kMost = 0.5;            // of all weights

struct Weights {
  ValueId id;
  int axis;
  double bytes_saved, added_error = 0;
};

/// What one scale adds to the rounding's error, whose power is a twelfth of the scale's square each.
double AddedError(const Tensor& w, int axis) {
  const int64_t channels = w.shape()[axis], inner = w.shape().Product(axis + 1, w.shape().rank());
  std::vector<double> largest(static_cast<size_t>(channels));
  double power = 0;
  for (int64_t i = 0; i < w.elements(); ++i) {
    const double x = w.as<float>()[i];
    double& most = largest[static_cast<size_t>(i / inner % channels)];
    most = fmax(most, fabs(x));
    power += x * x;
  }
  const double all = *std::max_element(largest.begin(), largest.end());
  double squares = 0;
  for (double each : largest) squares += all * all - each * each;
  constexpr double kCodes = 127;
  const double error = squares * static_cast<double>(w.elements() / channels) / 12 / (kCodes * kCodes);
  return error > 0 ? error / power : 0;
}

}  // namespace

int ChannelAxis(const Node& node, const Shape& w) {
  if (node.op == "Conv") return 0;
  if (node.op == "ConvTranspose") return 1;
  if (node.op == "MatMul") return w.rank() == 2 ? 1 : -1;
  Result<int64_t> transposed = node.Int("transB", 0);
  return transposed.ok() && *transposed != 0 ? 0 : 1;
}

namespace {

/// Matrices and tables of the nodes that `counts` says yes to: what their integers with a scale a channel take, and which may share one.
struct Taken {
  double bytes = 0, floats = 0;
  std::vector<Weights> candidates;
};
Taken TakenBy(const Graph& graph, const StaticOptions& options, FunctionRef<bool(NodeId)> counts) {
  Taken taken;
  std::set<ValueId> seen;
  std::set<int64_t> zeros;   // those that are 0 are shared by weights of as many channels
  auto count = [&](ValueId id, int axis, bool may_share) {
    const Tensor* w = ConstantOf(graph, id);
    if (!w || w->dtype() != DType::kFloat || !w->has_data() || w->elements() == 0 || !seen.insert(id).second) return;
    const int64_t channels = axis < 0 ? 1 : w->shape()[axis];
    taken.floats += static_cast<double>(w->elements()) * 4;
    taken.bytes += static_cast<double>(w->elements() + channels * 4);
    if (!options.symmetric_weights || zeros.insert(channels).second) taken.bytes += static_cast<double>(channels);
    if (may_share && channels > 1) taken.candidates.push_back({id, axis, static_cast<double>(channels - 1) * 4});
  };
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    const Role role = RoleOf(graph, node);
    if (role == Role::kNone || !counts(id)) continue;
    if (role == Role::kMatrix && ConstantOf(graph, node.inputs[1])) count(node.inputs[1], ChannelAxis(node, ConstantOf(graph, node.inputs[1])->shape()), true);
    if (role == Role::kTable) count(node.inputs[0], 1, false);
    for (size_t input : {size_t{1}, size_t{2}}) {
      const Tensor* w = role == Role::kRecurrent ? ConstantOf(graph, InputOf(node, input)) : nullptr;
      if (w && w->shape().rank() == 3) count(node.inputs[input], 1, true);
    }
  }
  if (taken.bytes <= kShareMax * taken.floats) taken.candidates.clear();
  for (Weights& each : taken.candidates) each.added_error = AddedError(*ConstantOf(graph, each.id), each.axis);
  std::erase_if(taken.candidates, [](const Weights& each) { return !(each.added_error <= kAddedErrorMax); });
  std::sort(taken.candidates.begin(), taken.candidates.end(), [](const Weights& a, const Weights& b) {
    const double left = a.added_error * b.bytes_saved, right = b.added_error * a.bytes_saved;
    return left != right ? left < right : a.id < b.id;
  });
  return taken;
}

void Choose(const Taken& taken, std::set<ValueId>* chosen) {
  double bytes = taken.bytes;
  for (const Weights& each : taken.candidates) {
    if (chosen->contains(each.id)) bytes -= each.bytes_saved;
  }
  for (const Weights& each : taken.candidates) {
    if (bytes <= kShareMax * taken.floats) break;
    if (chosen->insert(each.id).second) bytes -= each.bytes_saved;
  }
}

}  // namespace

std::set<ValueId> WeightsWithOneScale(const Graph& graph, const NodePrecisions& nodes, const StaticOptions& options) {
  if (!options.per_channel) return {};
  std::set<ValueId> chosen;
  const Taken all = TakenBy(graph, options, [](NodeId) { return true; });
  Choose(all, &chosen);
  // Where some layers stay in float, it is the others' bytes that count; a few by themselves are only being measured.
  const Taken integers = TakenBy(graph, options, [&](NodeId id) { return id < static_cast<NodeId>(nodes.size()) && nodes[static_cast<size_t>(id)] != Precision::kFloat; });
  if (integers.floats > kMost * all.floats) Choose(integers, &chosen);
  return chosen;
}

}  // namespace linnet::quantize
