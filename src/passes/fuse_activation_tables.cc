// fuse_activation_tables: an integer product, its activation and the QuantizeLinear behind it become one node.
//
//     linnet:ConvIntegerToFloat {activation} → QuantizeLinear          linnet:ConvIntegerToFloat with an output of bytes
//     linnet:MatMulIntegerToFloat {activation} → QuantizeLinear        the same
//
// Hard swishes and leaky relus are computed in steps of the output, and so are hard sigmoids whose bounds lie where the bytes end, which are
// scales and biases alone. Of others a table is made: a function of one number that ends in a
// byte would be one, were the number one of few. So sums are scaled to places in a table, which lie so close that neighbours differ by an
// eighth of a step of the output; a result differs by a sixteenth of a step before it is rounded. Beyond its ends the bytes do not change any more. All that is added, multiplied and rounded is so in the same way by every kernel,
// where exponentials would differ in their last bits.
#include <math.h>

#include "ops/activation_helpers.h"
#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

constexpr int kPlacesMin = 512, kPlacesMax = 16384;

struct Table {
  double first, step;   ///< what stands at place i: first + i step
  std::vector<uint8_t> bytes;
};

class Tabulator {
 public:
  Tabulator(const FusedActivation& activation, const Quantization& y) : activation_(activation), y_(y) {}

  /// nullopt when no table of that size is fine enough.
  std::optional<Table> Make() const {
    const double low = -End(-1), high = End(1);
    if (!(low < high)) return std::nullopt;
    for (int places = kPlacesMin; places <= kPlacesMax; places *= 2) {
      Table table = {low, (high - low) / (places - 1), {}};
      double most = 0, before = 0;   // steps between neighbours
      for (int i = 0; i < places; ++i) {
        const double x = table.first + i * table.step, steps = Steps(x);
        if (i > 0) most = fmax(most, fabs(steps - before));
        before = steps;
        table.bytes.push_back(static_cast<uint8_t>(y_.Stored(static_cast<float>(Value(x)))));
      }
      if (most <= (places < kPlacesMax ? 0.125 : 0.5)) return table;
    }
    return std::nullopt;
  }

 private:
  double Value(double x) const { return Activate<double>(activation_, x); }

  /// In steps of the output, and not further beyond its ends than half of one.
  double Steps(double x) const {
    const double least = (y_.type == DType::kInt8 ? -128 : 0) - static_cast<double>(y_.zeros[0]);
    return fmin(fmax(Value(x) / y_.scales[0], least - 0.5), least + 255.5);
  }

  /// How far from zero, in the direction of `sign`, bytes are all the same; 0 when they are from there on.
  double End(double sign) const {
    const auto stored = [&](double x) { return y_.Stored(static_cast<float>(Value(sign * x))); };
    constexpr double kFar = 1e9, kNear = 1e-9, kRatio = 0.99;
    const int64_t last = stored(kFar);
    double end = kFar;
    while (end > kNear && stored(end * kRatio) == last) end *= kRatio;
    return end > kNear ? end : 0;
  }

  const FusedActivation& activation_;
  const Quantization& y_;
};

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("QuantizeLinear")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  Status Visit(NodeId id) {
    const Node quantize = graph_.node(id);
    const std::optional<Quantization> y = QuantizationBy(graph_, quantize);
    const Node* product = y ? Producer(graph_, quantize.inputs[0]) : nullptr;
    if (!product || product->domain != "linnet" || !ReadOnce(graph_, quantize.inputs[0])) return Status();
    const bool conv = product->op == "ConvIntegerToFloat";
    if (!conv && product->op != "MatMulIntegerToFloat") return Status();
    const size_t at_scale = conv ? 4 : 3, at_bias = conv ? 5 : 6, at_table = at_bias + 2, at_zero = at_table + 1;
    Node made = *product;
    made.inputs.resize(at_zero + 1, kNoValue);
    if (made.inputs[at_bias + 1] != kNoValue || made.inputs[at_table] != kNoValue || made.inputs[at_zero] != kNoValue || made.Has("log_softmax")) return Status();
    const Tensor *scale = ConstantOf(graph_, made.inputs[at_scale]), *one = conv ? nullptr : ConstantOf(graph_, made.inputs[2]);
    const Tensor* bias = made.inputs[at_bias] == kNoValue ? nullptr : ConstantOf(graph_, made.inputs[at_bias]);
    if (!scale || !scale->has_data() || (!conv && (!one || !one->has_data()))) return Status();
    if (made.inputs[at_bias] != kNoValue && (!bias || !bias->has_data())) return Status();
    const Shape& shape = graph_.value(quantize.inputs[0]).type.shape;
    const int64_t columns = shape.has_rank() ? shape[shape.rank() - 1] : kUnknownDim;   // channels are last
    if (!IsKnownDim(columns) || (bias && bias->elements() != columns)) return Status();

    FusedActivation activation;
    LINNET_TRY(activation.Parse(*product));
    const Activation kind = activation.kind;
    const bool linear = kind == Activation::kHardSigmoid && Linear(activation, *y);
    const bool plain = linear || kind == Activation::kNone || kind == Activation::kHardSwish || kind == Activation::kLeakyRelu;
    std::optional<Table> table = Table{0, y->scales[0], {}};
    if (linear) table = Table{-static_cast<double>(activation.beta) / activation.alpha, y->scales[0] / static_cast<double>(activation.alpha), {}};
    if (!plain) table = Tabulator(activation, *y).Make();
    if (!table) return Status();
    std::vector<float> scales, biases;
    const double unit = one ? static_cast<double>(*one->as<float>()) : 1.0;
    for (int64_t i = 0; i < scale->elements(); ++i) scales.push_back(static_cast<float>(unit * scale->as<float>()[i] / table->step));
    for (int64_t i = 0; i < columns; ++i) {
      biases.push_back(static_cast<float>(((bias ? bias->as<float>()[i] : 0.0) - table->first) / table->step));
    }
    auto constant = [&](const char* name, Tensor tensor) { return graph_.AddConstant(graph_.FreshName(name), std::move(tensor)); };
    made.inputs[at_scale] = constant("scale", Tensor::Of<float>(scale->shape(), scales));
    made.inputs[at_bias] = constant("bias", Tensor::Of<float>(Shape{columns}, biases));
    if (one) made.inputs[2] = constant("one", Tensor::Of<float>(one->shape(), std::vector<float>{1.0f}));
    if (plain) {
      LINNET_ASSIGN(made.inputs[at_zero], ZeroPoint(graph_, *y));
      if (kind == Activation::kHardSwish) made.Set("alpha", y->scales[0] / 6);
    } else {
      LINNET_ASSIGN(Tensor bytes, Tensor::Allocate(y->type, Shape{static_cast<int64_t>(table->bytes.size())}));
      std::copy(table->bytes.begin(), table->bytes.end(), bytes.mutable_as<uint8_t>());
      made.inputs[at_table] = constant("table", std::move(bytes));
    }
    if (linear || !plain) {
      std::erase_if(made.attributes, [](const Attribute& each) { return each.name == "activation" || each.name == "alpha" || each.name == "beta"; });
    }
    made.outputs = quantize.outputs;
    const NodeId product_id = graph_.value(quantize.inputs[0]).producer;
    graph_.RemoveNode(id);
    graph_.RemoveNode(product_id);
    return graph_.AddNode(std::move(made)).TakeStatus();
  }

  /// Whether the bytes end before a hard sigmoid's bounds do, so that between them it is linear.
  static bool Linear(const FusedActivation& activation, const Quantization& y) {
    const double zero = static_cast<double>(y.zeros[0]), least = y.type == DType::kInt8 ? -128 : 0;
    return activation.alpha > 0 && zero < least + 0.5 && 1.0 / y.scales[0] + zero > least + 254.5;
  }

  Graph& graph_;
};

}  // namespace

Status FuseActivationTables(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    return HasQuantization(each) ? Fuser(each).Run() : Status();
  });
}

}  // namespace linnet
