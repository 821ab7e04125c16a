// Counting what weights and their scales take, and what one scale would cost.
#include "quantize/share_scales.h"

#include <math.h>

#include <algorithm>
#include <vector>

#include "passes/patterns.h"
#include "quantize/edit.h"

namespace linnet::quantize {
namespace {

constexpr double kShareMax = 0.27;       // of the floats' bytes
constexpr double kAddedErrorMax = 1e-4;  // of the power of the weights

struct Weights {
  ValueId id;
  double bytes_saved, added_error;
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

std::set<ValueId> WeightsWithOneScale(const Graph& graph, const StaticOptions& options) {
  if (!options.per_channel) return {};
  std::vector<Weights> candidates;
  std::set<ValueId> seen;
  std::set<int64_t> zeros;   // those that are 0 are shared by weights of as many channels
  double bytes = 0, floats = 0;
  auto count = [&](ValueId id, int axis, bool may_share) {
    const Tensor* w = ConstantOf(graph, id);
    if (!w || w->dtype() != DType::kFloat || !w->has_data() || w->elements() == 0 || !seen.insert(id).second) return;
    const int64_t channels = axis < 0 ? 1 : w->shape()[axis];
    floats += static_cast<double>(w->elements()) * 4;
    bytes += static_cast<double>(w->elements() + channels * 4);
    if (!options.symmetric_weights || zeros.insert(channels).second) bytes += static_cast<double>(channels);
    if (may_share && channels > 1) candidates.push_back({id, static_cast<double>(channels - 1) * 4, AddedError(*w, axis)});
  };
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    const Role role = RoleOf(graph, node);
    if (role == Role::kMatrix && ConstantOf(graph, node.inputs[1])) count(node.inputs[1], ChannelAxis(node, ConstantOf(graph, node.inputs[1])->shape()), true);
    if (role == Role::kTable) count(node.inputs[0], 1, false);
    for (size_t input : {size_t{1}, size_t{2}}) {
      const Tensor* w = role == Role::kRecurrent ? ConstantOf(graph, InputOf(node, input)) : nullptr;
      if (w && w->shape().rank() == 3) count(node.inputs[input], 1, true);
    }
  }
  std::erase_if(candidates, [](const Weights& each) { return !(each.added_error <= kAddedErrorMax); });
  std::sort(candidates.begin(), candidates.end(), [](const Weights& a, const Weights& b) {
    const double left = a.added_error * b.bytes_saved, right = b.added_error * a.bytes_saved;
    return left != right ? left < right : a.id < b.id;
  });
  std::set<ValueId> chosen;
  for (const Weights& each : candidates) {
    if (bytes <= kShareMax * floats) break;
    bytes -= each.bytes_saved;
    chosen.insert(each.id);
  }
  return chosen;
}

}  // namespace linnet::quantize
