// Counting over a graph and its subgraphs.
#include "cli/statistics.h"

#include <algorithm>
#include <set>

#include "ops/conv_weights.h"

namespace linnet::cli {
namespace {

std::string OpTitle(const Node& node) { return node.domain.empty() ? node.op : Cat(node.domain, ":", node.op); }

void CountInto(const Graph& graph, std::set<std::pair<const void*, int64_t>>& seen, GraphCounts& counts) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!value.is_constant || !value.type.is_tensor() || !value.type.shape.is_static()) continue;
    bool captured = std::find(graph.captures.begin(), graph.captures.end(), id) != graph.captures.end();
    if (captured || (value.uses.empty() && !graph.is_input(id))) continue;
    // Contents that a subgraph repeats are the same bytes.
    bool contents = value.constant.has_data();
    if (contents && !seen.emplace(value.constant.data(), value.constant.bytes()).second) continue;
    counts.parameters += value.type.shape.elements();
    if (contents) counts.constant_bytes += value.constant.bytes();
  }
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    ++counts.nodes;
    ++counts.operators[OpTitle(node)];
    for (const Graph* body : Graph::Subgraphs(node)) CountInto(*body, seen, counts);
  }
}

/// How an operator's work follows from its shapes.
enum class Work : uint8_t {
  kConv,        ///< every output: the weights of one output channel
  kTranspose,   ///< every input: the weights of one input channel
  kMatMul,      ///< every output: the inner dimension
  kGemm,        ///< the same, where the left side may be transposed
  kRecurrent,   ///< every step: all weights
  kBlock,       ///< three convolutions in a row
  kPooled,      ///< every pixel of the input over the strides: all weights
  kAttention,   ///< every query: a product with every key and one with every value
};
struct Rule {
  const char* op;
  Work work;
  int left, right;   ///< inputs: data and weights
};
constexpr Rule kRules[] = {
    {"Conv", Work::kConv, 0, 1},
    {"FusedConv", Work::kConv, 0, 1},
    {"ScaledConv", Work::kConv, 0, 1},
    {"ConvBlock", Work::kBlock, 0, 3},
    {"ConvPool", Work::kPooled, 0, 1},
    {"ConvInteger", Work::kConv, 0, 1},
    {"ConvIntegerToFloat", Work::kConv, 0, 1},
    {"QLinearConv", Work::kConv, 0, 3},
    {"ConvTranspose", Work::kTranspose, 0, 1},
    {"MatMul", Work::kMatMul, 0, 1},
    {"FusedMatMul", Work::kMatMul, 0, 1},
    {"MatMulInteger", Work::kMatMul, 0, 1},
    {"MatMulIntegerToFloat", Work::kMatMul, 0, 1},
    {"DynamicQuantizeMatMul", Work::kMatMul, 0, 1},
    {"QLinearMatMul", Work::kMatMul, 0, 3},
    {"MatMulNBits", Work::kMatMul, 0, 1},
    {"Gemm", Work::kGemm, 0, 1},
    {"QGemm", Work::kGemm, 0, 3},
    {"LSTM", Work::kRecurrent, 0, 1},
    {"DynamicQuantizeLSTM", Work::kRecurrent, 0, 1},
    {"GRU", Work::kRecurrent, 0, 1},
    {"RNN", Work::kRecurrent, 0, 1},
    {"Attention", Work::kAttention, 0, 1},
};

double Elements(const Shape& shape) {
  double product = 1;
  for (int64_t dim : shape) product *= static_cast<double>(dim);
  return product;
}

/// A tensor's complete shape, or one without rank.
Shape ShapeOf(std::span<const StepValue> types, int i) {
  const Type* type = static_cast<size_t>(i) < types.size() ? types[static_cast<size_t>(i)].type : nullptr;
  return type && type->is_tensor() && type->shape.is_static() ? type->shape : Shape();
}

/// Of linnet:Attention, or of ONNX's. Positions are the axis before the last, or as an attribute says the one before; ONNX's rank 3
/// has all heads of a position in its last axis. A causal one is taken to see half of the keys.
double AttentionMacs(const Node& node, const Shape& q, const Shape& k, const Shape& y) {
  if (k.rank() != q.rank() || y.rank() < 3) return -1;
  const Result<int64_t> axis = node.Int("k_axis", k.rank() - 2);
  if (!axis.ok() || *axis < 1 || *axis >= k.rank()) return -1;
  const Result<int64_t> causal = node.Int("is_causal", 0);
  return (Elements(q) + Elements(y)) * static_cast<double>(k[static_cast<int>(*axis)]) / (causal.ok() && *causal != 0 ? 2 : 1);
}

/// -1 when a shape it depends on is not known.
double MacsOf(const Rule& rule, const Node& node, std::span<const StepValue> inputs, std::span<const StepValue> outputs) {
  const Shape x = ShapeOf(inputs, rule.left), w = ShapeOf(inputs, rule.right);
  if (x.rank() < 1 || w.rank() < 1) return -1;
  if (rule.work == Work::kRecurrent) {
    // X [steps, batch, in] (layout 0) or [batch, steps, in]; R [directions, gates, hidden].
    const Shape r = ShapeOf(inputs, 2);
    if (x.rank() != 3 || r.rank() != 3) return -1;
    return static_cast<double>(x[0]) * static_cast<double>(x[1]) * (Elements(w) + Elements(r));
  }
  if (rule.work == Work::kTranspose) return w[0] > 0 ? Elements(x) * Elements(w) / static_cast<double>(w[0]) : 0;
  const Shape y = ShapeOf(outputs, 0);
  if (!y.has_rank()) return -1;
  if (rule.work == Work::kAttention) return AttentionMacs(node, x, w, y);
  // A convolution whose own output is not seen makes an image of the input's size over its strides.
  auto hidden = [&](const Shape& weights, const char* list) {
    double pixels = weights.rank() > 1 && weights[1] > 0 ? Elements(x) / static_cast<double>(weights[1]) : 0;
    if (Result<std::vector<int64_t>> strides = node.Ints(list); strides.ok()) {
      for (int64_t stride : *strides) pixels /= static_cast<double>(stride);
    }
    return pixels * Elements(weights);
  };
  if (rule.work == Work::kPooled) return hidden(w, "strides");
  if (rule.work == Work::kBlock) {
    const Shape expand = ShapeOf(inputs, 1), project = ShapeOf(inputs, 5);
    const double macs = Elements(y) / static_cast<double>(y[y.rank() - 1]) * (Elements(w) + (project.rank() > 0 ? Elements(project) : 0));
    return expand.rank() > 0 ? macs + hidden(expand, "expand_strides") : macs;
  }
  if (rule.work == Work::kConv) {
    // A convolution may write some of the last channels of its output.
    const int64_t last = y[y.rank() - 1], channels = y.rank() > 1 && y[1] == w[0] ? w[0] : std::max(last, w[0]);
    return channels > 0 ? Elements(y) / static_cast<double>(channels) * Elements(w) : 0;
  }
  if (rule.work == Work::kMatMul || y.rank() != 2) return Elements(y) * static_cast<double>(x[x.rank() - 1]);
  // Either side may be transposed.
  return y[1] > 0 ? static_cast<double>(y[0]) * Elements(w) : 0;
}

const Rule* RuleOf(std::string_view op) {
  for (const Rule& rule : kRules) {
    if (op == rule.op) return &rule;
  }
  return nullptr;
}

void CountMacsInto(const Graph& graph, bool body, MacCounts& counts) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    for (const Graph* inner : Graph::Subgraphs(node)) CountMacsInto(*inner, true, counts);
    const Rule* rule = node.domain == "ai.onnx.ml" ? nullptr : RuleOf(node.op);
    if (!rule) continue;
    std::vector<StepValue> inputs, outputs;
    for (ValueId id_in : node.inputs) inputs.push_back({id_in == kNoValue ? nullptr : &graph.value(id_in).type});
    for (ValueId id_out : node.outputs) outputs.push_back({id_out == kNoValue ? nullptr : &graph.value(id_out).type});
    const double macs = MacsOf(*rule, node, inputs, outputs);
    if (macs < 0) {
      ++counts.unknown;
    } else {
      counts.total += macs;
      counts.by_op[node.op] += macs;
      counts.in_body = counts.in_body || body;
    }
  }
}

}  // namespace

GraphCounts Count(const Graph& graph) {
  GraphCounts counts;
  std::set<std::pair<const void*, int64_t>> seen;
  CountInto(graph, seen, counts);
  return counts;
}

namespace {

/// The multiply-adds of a convolution that leaves some out; negative where it does none. Winograd's tiles take (m + 2)^2 for every
/// m x m outputs, and what transforms a patch and its sums back, and weights at every run (kernels/conv/winograd.cc), one instruction counted as one. Taps of a dilated
/// kernel that lie outside of the image need not be computed.
double SavingConvMacs(const Node& node, const Shape& x, const Shape& w, const Shape& y) {
  if (node.op != "Conv" || node.domain != "linnet" || w.rank() != 4 || y.rank() != 4 || x.rank() != 4) return -1;
  auto pair = [&](const char* name, int64_t otherwise) {
    Result<std::vector<int64_t>> list = node.Ints(name);
    return list.ok() && list->size() >= 2 ? std::pair((*list)[0], (*list)[1]) : std::pair(otherwise, otherwise);
  };
  const auto [stride_h, stride_w] = pair("strides", 1);
  const auto [dilation_h, dilation_w] = pair("dilations", 1);
  const auto [pad_top, pad_left] = pair("pads", 0);
  const double in = static_cast<double>(w[1]), out = static_cast<double>(w[0]);
  if (stride_h == 1 && stride_w == 1 && w[1] == x[3] && w[2] == 3 && w[3] == 3) {
    const WinogradWay way = WayOf(w, y, dilation_h, dilation_w);
    const int m = way.tile;
    ConvSizes sizes;
    sizes.batch = y[0], sizes.out_h = y[1], sizes.out_w = y[2], sizes.dilation_h = dilation_h, sizes.dilation_w = dilation_w;
    const double positions = static_cast<double>((m + 2) * (m + 2));
    if (m != 0) {
      const double tiles = static_cast<double>(WinogradTiles(sizes, m)), weight = way.ahead ? 0 : m == 2 ? 28 : m == 4 ? 81 : 143;
      return tiles * (positions * in * out + in * (m == 2 ? 32 : 144) + out * (m == 2 ? 24 : 120)) + weight * in * out;
    }
  }
  if (dilation_h == 1 && dilation_w == 1) return -1;
  return static_cast<double>(y[0] * y[1] * y[2]) * in * out * ConvAxis{x[1], y[1], w[2], stride_h, dilation_h, pad_top}.mean_taps() *
         ConvAxis{x[2], y[2], w[3], stride_w, dilation_w, pad_left}.mean_taps();
}

}  // namespace

StepCost CostOf(const Node& node, std::span<const StepValue> inputs, std::span<const StepValue> outputs) {
  StepCost cost;
  const std::string& op = node.op;
  const Rule* rule = node.domain == "ai.onnx.ml" ? nullptr : RuleOf(op);
  if (rule) cost.macs = std::max(0.0, MacsOf(*rule, node, inputs, outputs));
  if (const double macs = SavingConvMacs(node, ShapeOf(inputs, 0), ShapeOf(inputs, 1), ShapeOf(outputs, 0)); macs >= 0) cost.macs = macs;
  if (const Shape x = ShapeOf(inputs, 0), r = ShapeOf(inputs, 2); rule && rule->work == Work::kRecurrent && x.rank() == 3 && r.rank() == 3) {
    const Result<int64_t> batch_first = node.Int("layout", 0);
    cost.walks = std::max(0.0, static_cast<double>(x[batch_first.ok() && *batch_first != 0 ? 1 : 0] - 1));
    if (Result<int64_t> size = ByteSize(inputs[2].type->dtype, r.elements()); size.ok()) cost.walked_bytes = static_cast<double>(*size);
  }
  for (const StepValue& value : inputs) {
    const DType dtype = value.type ? value.type->dtype : DType::kUndefined;
    cost.of_bytes = cost.of_bytes || dtype == DType::kInt8 || dtype == DType::kUint8;
  }
  auto bytes_of = [](std::span<const StepValue> values, bool constants) {
    double bytes = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const Shape shape = ShapeOf(values, static_cast<int>(i));
      if (!shape.has_rank() || values[i].constant != constants) continue;
      if (Result<int64_t> size = ByteSize(values[i].type->dtype, shape.elements()); size.ok()) bytes += static_cast<double>(*size);
    }
    return bytes;
  };
  const double written = bytes_of(outputs, false), moving = bytes_of(inputs, false), constant = bytes_of(inputs, true);
  if (op.starts_with("Gather") || op == "Slice" || op == "Split" || op == "Compress") {
    cost.weight_bytes = std::min(written, constant);
    cost.bytes = written + std::min(written, moving + constant);
  } else {
    cost.weight_bytes = constant;
    cost.bytes = written + moving + constant;
  }
  return cost;
}

MacCounts CountMacs(const Graph& graph) {
  MacCounts counts;
  CountMacsInto(graph, false, counts);
  return counts;
}

}  // namespace linnet::cli
