// Weights alone as integers, with a scale a channel or a block.
#include <math.h>

#include <algorithm>

#include "ops/quantize_helpers.h"
#include "passes/patterns.h"
#include "quantize/dynamic.h"
#include "quantize/edit.h"

namespace linnet::quantize {
namespace {

double CodeOf(float value, const Block4& block, const IntegerRange& codes) {
  return std::clamp(nearbyint(static_cast<double>(value) / block.scale) + block.zero, static_cast<double>(codes.low), static_cast<double>(codes.high));
}

double ErrorOf(const float* values, int64_t count, int64_t stride, const Block4& block, const IntegerRange& codes) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double error = (CodeOf(values[i * stride], block, codes) - block.zero) * block.scale - values[i * stride];
    sum += error * error;
  }
  return sum;
}

class WeightRewriter {
 public:
  WeightRewriter(Graph& graph, int opset, const WeightOptions& options) : edit_(graph, opset), graph_(graph), options_(options) {}

  Result<int> Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    int changed = 0;
    const bool narrow = DTypeBits(options_.weights) == 4;
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!node.domain.empty() || !options_.selection.Takes(graph_, node)) continue;
      const bool product = node.op == "MatMul" || node.op == "Gemm", recurrent = node.op == "LSTM" || node.op == "GRU" || node.op == "RNN";
      if (!product && (narrow || (!recurrent && node.op != "Conv" && node.op != "ConvTranspose"))) continue;
      for (int i = 1; i <= (recurrent ? 2 : 1); ++i) {
        if (static_cast<size_t>(i) >= graph_.node(id).inputs.size()) continue;
        Result<bool> done = Weight(id, i, narrow);
        if (!done.ok()) return done.TakeStatus().At(graph_.node(id).Label(graph_));
        changed += *done;
      }
    }
    return changed;
  }

 private:
  Result<bool> Weight(NodeId id, int input, bool narrow) {
    const ValueId value = graph_.node(id).inputs[static_cast<size_t>(input)];
    const Tensor* w = edit_.FloatConstant(value);
    if (!w || w->shape().rank() < 2) return false;
    LINNET_ASSIGN(int64_t transposed, graph_.node(id).Int("transB", 0));
    const std::string name = graph_.value(value).name, op = graph_.node(id).op;
    if (narrow) {
      if (w->shape().rank() != 2) return false;
      LINNET_ASSIGN(ValueId read, Blocks(*w, ShortName(name), transposed != 0 ? 1 : 0));
      graph_.SetInput(id, input, read);
      return true;
    }
    const int axis = op == "Conv" || transposed != 0 ? 0 : op == "MatMul" ? w->shape().rank() - 1 : 1;
    const int shared = op == "MatMul" && w->shape().rank() != 2 ? -1 : axis;
    LINNET_ASSIGN(QuantizedTensor whole, QuantizeWeights(*w, shared, options_.weights, true));
    LINNET_ASSIGN(ValueId read, edit_.Dequantized(name, std::move(whole)));
    graph_.SetInput(id, input, read);
    return true;
  }

  /// [K, N] (axis 0) or [N, K] (axis 1) in blocks along K.
  Result<ValueId> Blocks(Tensor w, std::string name, int axis) {
    const int64_t rows = w.shape()[0], columns = w.shape()[1], depth = w.shape()[axis];
    const int64_t blocks = (depth + options_.block_size - 1) / options_.block_size;
    const Shape scales_shape = axis == 0 ? Shape{blocks, columns} : Shape{rows, blocks};
    LINNET_ASSIGN(Tensor scales, Tensor::Allocate(DType::kFloat, scales_shape));
    LINNET_ASSIGN(Tensor zeros, Tensor::Allocate(options_.weights, scales_shape));
    LINNET_ASSIGN(Tensor codes, Tensor::Allocate(options_.weights, w.shape()));
    std::fill_n(zeros.mutable_as<uint8_t>(), zeros.bytes(), uint8_t{0});
    std::fill_n(codes.mutable_as<uint8_t>(), codes.bytes(), uint8_t{0});
    const IntegerRange range = RangeOf(options_.weights);
    auto put = [](Tensor& tensor, int64_t i, int64_t code) {
      tensor.mutable_as<uint8_t>()[i / 2] |= static_cast<uint8_t>((code & 15) << (i % 2 ? 4 : 0));
    };
    const int64_t lines = axis == 0 ? columns : rows, stride = axis == 0 ? columns : 1;
    for (int64_t line = 0; line < lines; ++line) {
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t first = b * options_.block_size, count = std::min<int64_t>(options_.block_size, depth - first);
        const int64_t origin = axis == 0 ? first * columns + line : line * columns + first;
        for (int64_t i = 0; i < count; ++i) {
          if (!isfinite(w.as<float>()[origin + i * stride])) return InvalidModel("a weight is not finite");
        }
        const Block4 block = FitBlock(w.as<float>() + origin, count, stride, options_.weights, options_.refine);
        const int64_t place = axis == 0 ? b * columns + line : line * blocks + b;
        scales.mutable_as<float>()[place] = block.scale;
        put(zeros, place, block.zero);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t at = origin + i * stride;
          put(codes, at, static_cast<int64_t>(CodeOf(w.as<float>()[at], block, range)));
        }
      }
    }
    std::vector<ValueId> inputs = {graph_.AddConstant(graph_.FreshName(name + "_quantized"), std::move(codes)),
                                   graph_.AddConstant(graph_.FreshName(name + "_scale"), std::move(scales)),
                                   graph_.AddConstant(graph_.FreshName(name + "_zero"), std::move(zeros))};
    return edit_.Add("DequantizeLinear", std::move(inputs),
                     {{"axis", static_cast<int64_t>(axis)}, {"block_size", static_cast<int64_t>(options_.block_size)}},
                     Type::Tensor(DType::kFloat, w.shape()), name + "_dequantized");
  }

  Edit edit_;
  Graph& graph_;
  const WeightOptions& options_;
};

}  // namespace

Block4 FitBlock(const float* values, int64_t count, int64_t stride, DType dtype, bool refine) {
  const IntegerRange codes = RangeOf(dtype);
  Range range;
  for (int64_t i = 0; i < count; ++i) {
    range.low = std::min(range.low, static_cast<double>(values[i * stride]));
    range.high = std::max(range.high, static_cast<double>(values[i * stride]));
  }
  const bool symmetric = IsSigned(dtype);
  auto block_of = [&](double factor) {
    const Params params = ChooseParams({range.low * factor, range.high * factor}, dtype, symmetric);
    return Block4{params.scales[0], params.zeros[0]};
  };
  Block4 best = block_of(1);
  if (!refine || (range.low == 0 && range.high == 0)) return best;
  double least = ErrorOf(values, count, stride, best, codes);
  constexpr int kSteps = 20;
  for (int step = 0; step < kSteps; ++step) {
    // Signed codes reach one further down: a factor above 1 lets the lowest be used.
    Block4 block = block_of(1.1 - 0.5 * step / kSteps);
    for (int turn = 0; turn < 3; ++turn) {
      const double error = ErrorOf(values, count, stride, block, codes);
      if (error < least) least = error, best = block;
      double product = 0, square = 0;
      for (int64_t i = 0; i < count; ++i) {
        const double code = CodeOf(values[i * stride], block, codes) - block.zero;
        product += code * values[i * stride];
        square += code * code;
      }
      if (square == 0 || product <= 0) break;
      block.scale = std::max(static_cast<float>(product / square), 1.17549435e-38f);
    }
  }
  return best;
}

Result<int> QuantizeWeightsOnly(OnnxModel* model, const WeightOptions& options) {
  if (options.block_size < 16 || (options.block_size & (options.block_size - 1)) != 0) {
    return InvalidArgument("blocks of ", options.block_size, " are not a power of two from 16 on");
  }
  LINNET_TRY(options.selection.Check(model->graph));
  WeightRewriter rewriter(model->graph, OpsetOf(*model), options);
  LINNET_ASSIGN(int changed, rewriter.Run());
  if (changed == 0) return InvalidArgument("the model has no constant weight of a kind that ", DTypeName(options.weights), " is for");
  LINNET_ASSIGN(model->graph, model->graph.Compacted());
  return changed;
}

}  // namespace linnet::quantize
