// Weights alone as integers, with a scale a channel or a block.
#include <math.h>

#include <algorithm>

#include "ops/quantize_helpers.h"
#include "passes/pass.h"
#include "passes/patterns.h"
#include "quantize/dynamic.h"
#include "quantize/edit.h"

namespace linnet::quantize {
namespace {

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
      if (node.op == "Gather") {
        Result<bool> done = edit_.QuantizeTable(id, IsSigned(options_.weights) ? DType::kInt8 : DType::kUint8, options_.per_channel, options_.symmetric);
        if (!done.ok()) return done.TakeStatus().At(graph_.node(id).Label(graph_));
        changed += *done;
        continue;
      }
      const bool product = node.op == "MatMul" || node.op == "Gemm", recurrent = node.op == "LSTM" || node.op == "GRU" || node.op == "RNN";
      if (!product && (narrow || (!recurrent && node.op != "Conv" && node.op != "ConvTranspose"))) continue;
      if (product && options_.format == Format::kQOperator) {
        Result<bool> done = Operator(id);
        if (!done.ok()) return done.TakeStatus().At(graph_.node(id).Label(graph_));
        changed += *done;
        if (*done) continue;
      }
      bool any = false;
      for (int i = 1; i <= (recurrent ? 2 : 1); ++i) {
        if (static_cast<size_t>(i) >= graph_.node(id).inputs.size()) continue;
        Result<bool> done = Weight(id, i, narrow);
        if (!done.ok()) return done.TakeStatus().At(graph_.node(id).Label(graph_));
        any = any || *done;
      }
      changed += any;
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
    const int shared = !options_.per_channel || !edit_.scales_by_axis() || (op == "MatMul" && w->shape().rank() != 2) ? -1 : axis;
    LINNET_ASSIGN(QuantizedTensor whole, QuantizeWeights(*w, shared, options_.weights, options_.symmetric));
    if (op == "Conv") KeepKernelSums(*w, &whole);
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
        const Block block = FitBlock(w.as<float>() + origin, count, stride, options_.weights, options_.rounding);
        const int64_t place = axis == 0 ? b * columns + line : line * blocks + b;
        scales.mutable_as<float>()[place] = block.scale;
        put(zeros, place, static_cast<int64_t>(block.zero));
        for (int64_t i = 0; i < count; ++i) {
          const int64_t at = origin + i * stride;
          put(codes, at, CodeOf(w.as<float>()[at], block, options_.weights));
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

  /// A product as MatMulNBits: columns of the matrix are rows of blocks.
  Result<bool> Operator(NodeId id) {
    const std::vector<ValueId> inputs = graph_.node(id).inputs;
    const Tensor* w = edit_.FloatConstant(inputs[1]);
    if (!w || w->shape().rank() != 2 || graph_.value(inputs[0]).type.dtype != DType::kFloat || graph_.is_constant(inputs[0])) return false;
    LINNET_ASSIGN(int64_t transposed_a, graph_.node(id).Int("transA", 0));
    LINNET_ASSIGN(int64_t transposed, graph_.node(id).Int("transB", 0));
    LINNET_ASSIGN(float alpha, graph_.node(id).Float("alpha", 1));
    LINNET_ASSIGN(float beta, graph_.node(id).Float("beta", 1));
    const int64_t k = w->shape()[transposed != 0 ? 1 : 0], n = w->shape()[transposed != 0 ? 0 : 1];
    const ValueId added = inputs.size() > 2 ? inputs[2] : kNoValue;
    const Tensor* bias = edit_.FloatConstant(added);
    if (transposed_a != 0 || (added != kNoValue && (!bias || bias->elements() != n))) return false;
    const int bits = DTypeBits(options_.weights);
    const int64_t block = options_.block_size, blocks = (k + block - 1) / block, row_bytes = blocks * block * bits / 8;
    const int64_t zero_bytes = (blocks * bits + 7) / 8;
    // ONNX Runtime takes real zero points with 4 bits only.
    const bool with_zeros = !IsSigned(options_.weights), real = with_zeros && bits == 4 && options_.rounding == BlockRounding::kHalfQuadratic;
    const int64_t middle = int64_t{1} << (bits - 1);
    LINNET_ASSIGN(Tensor codes, Tensor::Allocate(DType::kUint8, Shape{n, blocks, block * bits / 8}));
    LINNET_ASSIGN(Tensor scales, Tensor::Allocate(DType::kFloat, Shape{n, blocks}));
    LINNET_ASSIGN(Tensor zeros, Tensor::Allocate(real ? DType::kFloat : DType::kUint8, real ? Shape{n, blocks} : Shape{n, zero_bytes}));
    std::fill_n(codes.mutable_as<uint8_t>(), codes.bytes(), uint8_t{0});
    std::fill_n(zeros.mutable_as<uint8_t>(), zeros.bytes(), uint8_t{0});
    auto put = [&](uint8_t* row, int64_t i, int64_t code) {
      row[i * bits / 8] |= static_cast<uint8_t>(code << (bits == 4 && i % 2 ? 4 : 0));
    };
    std::vector<float> values(static_cast<size_t>(block));
    for (int64_t column = 0; column < n; ++column) {
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t count = std::min(block, k - b * block);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t row = b * block + i;
          const float value = alpha * w->as<float>()[transposed != 0 ? column * k + row : row * n + column];
          if (!isfinite(value)) return InvalidModel("a weight is not finite");
          values[static_cast<size_t>(i)] = value;
        }
        const Block fitted = FitBlock(values.data(), count, 1, options_.weights, options_.rounding, real);
        scales.mutable_as<float>()[column * blocks + b] = fitted.scale;
        if (real) {
          zeros.mutable_as<float>()[column * blocks + b] = fitted.zero;
        } else {
          put(zeros.mutable_as<uint8_t>() + column * zero_bytes, b, static_cast<int64_t>(fitted.zero));
        }
        for (int64_t i = 0; i < block; ++i) {
          // Rows that pad the last block are zero.
          const float value = i < count ? values[static_cast<size_t>(i)] : 0;
          put(codes.mutable_as<uint8_t>() + column * row_bytes, b * block + i, CodeOf(value, fitted, options_.weights) + (with_zeros ? 0 : middle));
        }
      }
    }
    const std::string name = ShortName(graph_.value(inputs[1]).name), node_name = graph_.node(id).name;
    auto constant = [&](const char* what, Tensor tensor) { return graph_.AddConstant(graph_.FreshName(name + what), std::move(tensor)); };
    std::vector<ValueId> operands = {inputs[0], constant("_quantized", std::move(codes)), constant("_scale", std::move(scales))};
    if (with_zeros) operands.push_back(constant("_zero", std::move(zeros)));
    if (added != kNoValue) {
      LINNET_ASSIGN(Tensor row, Tensor::Allocate(DType::kFloat, Shape{n}));
      const float* from = graph_.value(added).constant.as<float>();   // `bias` has moved with the graph's values
      for (int64_t i = 0; i < n; ++i) row.mutable_as<float>()[i] = beta * from[i];
      operands.resize(5, kNoValue);
      operands.push_back(constant("_bias", std::move(row)));
    }
    const ValueId out = graph_.node(id).outputs[0];
    graph_.RemoveNode(id);
    LINNET_TRY(edit_.AddFor("MatMulNBits", std::move(operands), out, node_name,
                            {{"K", k}, {"N", n}, {"bits", static_cast<int64_t>(bits)}, {"block_size", block}}, "com.microsoft"));
    return true;
  }

  Edit edit_;
  Graph& graph_;
  const WeightOptions& options_;
};

}  // namespace

Result<int> QuantizeWeightsOnly(OnnxModel* model, const WeightOptions& options) {
  if (options.block_size < 16 || (options.block_size & (options.block_size - 1)) != 0) {
    return InvalidArgument("blocks of ", options.block_size, " are not a power of two from 16 on");
  }
  LINNET_TRY(options.selection.Check(model->graph));
  int changed = 0;
  LINNET_TRY(ForEachGraph(model->graph, [&](Graph& each) -> Status {
    LINNET_ASSIGN(int here, WeightRewriter(each, OpsetOf(*model), options).Run());
    changed += here;
    return Status();
  }));
  if (changed == 0) return InvalidArgument("the model has no constant weight of a kind that ", DTypeName(options.weights), " is for");
  LINNET_ASSIGN(model->graph, model->graph.Compacted());
  return changed;
}

}  // namespace linnet::quantize
