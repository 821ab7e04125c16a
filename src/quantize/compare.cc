// Matching values by name, running both models and measuring.
#include "quantize/compare.h"

#include <math.h>

#include <algorithm>
#include <unordered_map>

#include "ops/quantize_helpers.h"
#include "passes/passes.h"
#include "passes/patterns.h"
#include "quantize/prepare.h"

namespace linnet::quantize {
namespace {

/// A float model goes through the passes that quantization starts with, so that names mean the same values: a convolution's
/// that of the folded BatchNormalization. A quantized one keeps its weights behind DequantizeLinear.
Status Tidy(Graph& graph, bool is_float) {
  std::erase_if(graph.inputs, [&](ValueId id) { return graph.is_constant(id); });
  PassContext context;
  context.table = &OpTable::BuiltIn();
  PipelineOptions options;
  options.plain_onnx = true;
  if (!is_float) {
    options.level = kOptimizeBasic;
    options.disabled = {"fold_constants", "common_subexpressions"};
  }
  return RunPipeline(graph, context, options);
}

int64_t WeightBytes(const Graph& graph, const Node& node) {
  int64_t bytes = 0;
  for (ValueId in : node.inputs) {
    if (in == kNoValue) continue;
    const Node* producer = Producer(graph, in);
    const bool dequantized = producer && producer->Is("DequantizeLinear") && ConstantOf(graph, producer->inputs[0]);
    if (dequantized) {
      for (ValueId part : producer->inputs) bytes += ConstantOf(graph, part) ? graph.value(part).constant.bytes() : 0;
    } else if (const Tensor* constant = ConstantOf(graph, in)) {
      bytes += constant->bytes();
    }
  }
  return bytes;
}

/// What codes of a type express with one scale and zero point.
Range ExpressedBy(DType dtype, float scale, int64_t zero) {
  Params params;
  params.dtype = dtype;
  params.scales = {scale};
  params.zeros = {static_cast<int32_t>(zero)};
  return params.Expressed();
}

/// Adds the values of a node's matrix or filters, as floats; `range`: of quantized ones what the codes express. False where there are none.
bool AddWeightValues(const Graph& graph, const Node& node, Histogram* values, Range* range, bool* has_range) {
  for (size_t i = node.inputs.size() > 1 ? 1 : 0; i < std::min<size_t>(node.inputs.size(), 2); ++i) {
    const ValueId in = node.inputs[i];
    if (in == kNoValue) continue;
    if (const Tensor* whole = ConstantOf(graph, in); whole && whole->dtype() == DType::kFloat && whole->shape().rank() > 1) {
      values->Add(whole->as<float>(), whole->has_data() ? whole->elements() : 0);
      return true;
    }
    const Node* read = Producer(graph, in);
    if (!read || !read->Is("DequantizeLinear") || read->inputs.size() < 2) continue;
    const Tensor *codes = ConstantOf(graph, read->inputs[0]), *scales = ConstantOf(graph, read->inputs[1]);
    const Tensor* zeros = read->inputs.size() > 2 ? ConstantOf(graph, read->inputs[2]) : nullptr;
    Result<int64_t> axis = read->Int("axis", 1), block = read->Int("block_size", 0);
    if (!codes || !scales || scales->dtype() != DType::kFloat || !IsInteger(codes->dtype()) || codes->shape().rank() < 2 || !axis.ok() || !block.ok()) continue;
    const int64_t channels = scales->elements(), at = *axis < 0 ? *axis + codes->shape().rank() : *axis;
    if (*block != 0 || scales->shape().rank() > 1 || at < 0 || at >= codes->shape().rank()) continue;
    if (channels != 1 && codes->shape()[static_cast<int>(at)] != channels) continue;
    const int64_t inner = codes->shape().Product(static_cast<int>(at) + 1, codes->shape().rank());
    std::vector<float> floats(static_cast<size_t>(codes->elements()));
    for (int64_t k = 0; k < codes->elements(); ++k) {
      const int64_t c = channels == 1 ? 0 : k / inner % channels;
      const int64_t zero = zeros ? LoadInteger(zeros->dtype(), zeros->data(), c) : 0;
      floats[static_cast<size_t>(k)] = static_cast<float>(LoadInteger(codes->dtype(), codes->data(), k) - zero) * scales->as<float>()[c];
    }
    values->Add(floats.data(), codes->elements());
    for (int64_t c = 0; c < channels; ++c) {
      const Range one = ExpressedBy(codes->dtype(), scales->as<float>()[c], zeros ? LoadInteger(zeros->dtype(), zeros->data(), c) : 0);
      range->low = std::min(range->low, one.low), range->high = std::max(range->high, one.high);
    }
    return *has_range = true;
  }
  return false;
}

/// Behind the node that makes a value, across the Q and DQ that read it back: the node itself.
const Node* Maker(const Graph& graph, ValueId id) {
  const Node* node = Producer(graph, id);
  if (node && node->Is("DequantizeLinear")) {
    const Node* quantize = Producer(graph, node->inputs[0]);
    if (quantize && quantize->Is("QuantizeLinear")) return Producer(graph, quantize->inputs[0]);
  }
  return node;
}

/// The one scale by which a value is quantized, if it is.
bool FindRange(const Graph& graph, ValueId id, Range* range, double* step) {
  const Node* quantize = nullptr;
  const Node* producer = Producer(graph, id);
  if (producer && producer->Is("DequantizeLinear")) quantize = producer;
  for (const Use& use : graph.value(id).uses) {
    if (use.node != kNoNode && use.index == 0 && graph.node(use.node).Is("QuantizeLinear")) quantize = &graph.node(use.node);
  }
  if (!quantize || quantize->inputs.size() < 3) return false;
  const Tensor *scale = ConstantOf(graph, quantize->inputs[1]), *zero = ConstantOf(graph, quantize->inputs[2]);
  if (!scale || !zero || scale->elements() != 1 || scale->dtype() != DType::kFloat || !IsInteger(zero->dtype())) return false;
  *range = ExpressedBy(zero->dtype(), *scale->as<float>(), LoadInteger(zero->dtype(), zero->data(), 0));
  *step = *scale->as<float>();
  return true;
}

/// What is read of a value: where all that read it round it first, the rounded. The Relu that rounding does is in it.
ValueId Read(const Graph& graph, ValueId id) {
  for (const Use& use : graph.value(id).uses) {
    if (use.node == kNoNode || use.index != 0 || !graph.node(use.node).Is("QuantizeLinear")) return id;
  }
  for (const Use& use : graph.value(id).uses) {
    for (const Use& rounded : graph.value(graph.node(use.node).outputs[0]).uses) {
      if (rounded.node != kNoNode && rounded.index == 0 && graph.node(rounded.node).Is("DequantizeLinear")) return graph.node(rounded.node).outputs[0];
    }
  }
  return id;
}

/// Times a model's steps and gives each to the value it computes: that of the node it is named after, or one that it makes. `values` are of
/// the rows, `nodes` rows by nodes' names; `put(row, ns)` adds. Gives the time of all steps.
template <class Put>
Result<double> TimeSteps(const Graph& graph, std::span<const Datum> sample, int threads, const std::vector<std::string>& values,
                         const std::unordered_map<std::string, size_t>& by_node, Put&& put) {
  constexpr int kRuns = 5;
  LINNET_ASSIGN(std::unique_ptr<GraphRunner> runner, GraphRunner::Make(graph, {}, threads));
  LINNET_ASSIGN(std::vector<GraphRunner::StepTime> times, runner->Time(sample, kRuns));
  std::unordered_map<std::string, size_t> by_value;
  for (size_t i = 0; i < values.size(); ++i) by_value.emplace(values[i], i);
  double total = 0;
  for (const GraphRunner::StepTime& time : times) {
    total += time.ns;
    auto found = by_node.find(time.node);
    bool known = found != by_node.end();
    for (size_t i = 0; !known && i < time.values.size(); ++i) {
      found = by_value.find(time.values[i]);
      known = found != by_value.end();
    }
    if (known) put(found->second, time.ns);
  }
  return total;
}

}  // namespace

Result<Comparison> CompareModels(OnnxModel first, OnnxModel second, Samples* samples, const std::vector<int64_t>& which, int threads,
                                 Watch watch) {
  Comparison out;
  out.first_bytes = CountConstants(first.graph);
  out.second_bytes = CountConstants(second.graph);
  LINNET_TRY(Tidy(first.graph, !IsQuantized(first.graph)).At("the first model"));
  LINNET_TRY(Tidy(second.graph, !IsQuantized(second.graph)).At("the second model"));
  const Graph &a = first.graph, &b = second.graph;
  std::unordered_map<std::string, ValueId> by_name;
  for (ValueId id = 0; id < b.value_count(); ++id) {
    if (!b.is_constant(id) && b.value(id).producer != kNoNode) by_name.emplace(b.value(id).name, id);
  }
  LINNET_ASSIGN(std::vector<NodeId> order, a.Order());
  std::vector<ValueComparison>& rows = out.values;
  std::vector<ValueId> of_a, of_b;
  std::vector<double> steps;   // by row, of the codes
  std::vector<std::string> names;
  std::unordered_map<std::string, size_t> nodes;
  std::unordered_map<std::string, NodeId> nodes_of_a;
  for (NodeId id : order) {
    if (!a.node(id).name.empty()) nodes_of_a.emplace(a.node(id).name, id);
  }
  for (NodeId id : order) {
    for (ValueId out : a.node(id).outputs) {
      if (out == kNoValue || !a.value(out).type.is_tensor() || a.value(out).type.dtype != DType::kFloat) continue;
      const auto found = by_name.find(a.value(out).name);
      if (found == by_name.end()) continue;
      ValueComparison row;
      row.name = a.value(out).name;
      row.op = a.node(id).op;
      row.has_range = FindRange(b, found->second, &row.range, &steps.emplace_back());
      // An activation that the second model has in its product stands for that product.
      const Node* maker = Maker(b, found->second);
      const auto twin = maker ? nodes_of_a.find(maker->name) : nodes_of_a.end();
      const Node& product = twin == nodes_of_a.end() ? a.node(id) : a.node(twin->second);
      row.first_weights = WeightBytes(a, product);
      row.second_weights = maker ? WeightBytes(b, *maker) : 0;
      if (maker && row.second_weights > 0 && AddWeightValues(b, *maker, &row.second_weight_values, &row.weight_range, &row.has_weight_range)) {
        bool ignored = false;
        Range unused;
        AddWeightValues(a, product, &row.first_weight_values, &unused, &ignored);
      }
      names.push_back(row.name);
      for (const std::string& node : {a.node(id).name, product.name}) {
        if (!node.empty()) nodes.emplace(node, rows.size());
      }
      row.is_output = std::find(a.outputs().begin(), a.outputs().end(), out) != a.outputs().end();
      rows.push_back(std::move(row));
      of_a.push_back(out);
      of_b.push_back(Read(b, found->second));
    }
  }
  if (rows.empty()) return InvalidArgument("the models have no value of the same name");
  LINNET_ASSIGN(std::unique_ptr<GraphRunner> run_a, GraphRunner::Make(a, of_a, threads));
  LINNET_ASSIGN(std::unique_ptr<GraphRunner> run_b, GraphRunner::Make(b, of_b, threads));
  const size_t first_a = a.outputs().size(), first_b = b.outputs().size();
  std::vector<int64_t> beyond(rows.size(), 0), total(rows.size(), 0);
  int64_t done = 0;
  for (int64_t sample : which) {
    watch("comparing", done++, static_cast<int64_t>(which.size()));
    LINNET_ASSIGN(std::vector<Datum> inputs, samples->Load(sample));
    LINNET_ASSIGN(std::vector<Datum> expected, run_a->Run(inputs));
    LINNET_ASSIGN(std::vector<Datum> got, run_b->Run(inputs));
    for (size_t i = 0; i < rows.size(); ++i) {
      const Datum &e = expected[first_a + i], &g = got[first_b + i];
      ValueComparison& row = rows[i];
      row.agreement.Add(e, g);
      if (e.tensor.dtype() == DType::kFloat) row.first.Add(e.tensor.as<float>(), e.tensor.has_data() ? e.tensor.elements() : 0);
      if (g.tensor.dtype() != DType::kFloat || !g.tensor.has_data()) continue;
      row.second.Add(g.tensor.as<float>(), g.tensor.elements());
      if (!row.has_range || e.tensor.dtype() != DType::kFloat || !e.tensor.has_data()) continue;
      // What rounds to the first or last code lies on it without being cut; and a Relu cuts in both models.
      constexpr double kReach = 0.5 + 1e-3;
      const double low = row.range.low < 0 ? row.range.low - kReach * steps[i] : -INFINITY, high = row.range.high + kReach * steps[i];
      total[i] += e.tensor.elements();
      for (int64_t k = 0; k < e.tensor.elements(); ++k) {
        const double value = e.tensor.as<float>()[k];
        beyond[i] += value < low || value > high;
      }
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].saturated = total[i] ? static_cast<double>(beyond[i]) / static_cast<double>(total[i]) : 0;
  }
  if (!which.empty()) {
    watch("timing", 0, 2);
    LINNET_ASSIGN(std::vector<Datum> inputs, samples->Load(which[0]));
    LINNET_ASSIGN(out.first_ns, TimeSteps(a, inputs, threads, names, nodes, [&](size_t row, double ns) { rows[row].first_ns += ns; }));
    watch("timing", 1, 2);
    LINNET_ASSIGN(out.second_ns, TimeSteps(b, inputs, threads, names, nodes, [&](size_t row, double ns) { rows[row].second_ns += ns; }));
  }
  return out;
}

}  // namespace linnet::quantize
