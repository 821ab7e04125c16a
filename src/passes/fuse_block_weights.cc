// fuse_block_weights: a product with weights that are dequantized block by block reads the codes themselves.
//
//     MatMul(x, DequantizeLinear(W, scale, zero; block_size, axis = K's))       becomes   MatMulNBits of com.microsoft
//     Gemm(x, DequantizeLinear(...) [, bias])
//
// of 4- and 8-bit integers in blocks of a power of two from 16 on. Folded, such weights would take 4 bytes each, and be read so.
#include <algorithm>

#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

class BlockFuser {
 public:
  BlockFuser(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    if (!context_.table->Find("com.microsoft", "MatMulNBits", 1).ok()) return Status();
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (node.Is("MatMul") || node.Is("Gemm")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  /// The contents of a constant, or null.
  const Tensor* Contents(ValueId id) const {
    const Tensor* tensor = id == kNoValue ? nullptr : ConstantOf(graph_, id);
    return tensor && tensor->has_data() ? tensor : nullptr;
  }

  Status Visit(NodeId id) {
    const Node& node = graph_.node(id);
    if (graph_.value(node.inputs[0]).type.dtype != DType::kFloat || graph_.is_constant(node.inputs[0])) return Status();
    const Node* dequantize = SoleProducer(graph_, node.inputs[1], "DequantizeLinear");
    if (!dequantize || graph_.value(node.inputs[1]).type.dtype != DType::kFloat) return Status();
    LINNET_ASSIGN(int64_t block, dequantize->Int("block_size", 0));
    LINNET_ASSIGN(int64_t axis, dequantize->Int("axis", 1));
    LINNET_ASSIGN(int64_t transposed_a, node.Int("transA", 0));
    LINNET_ASSIGN(int64_t transposed, node.Int("transB", 0));
    LINNET_ASSIGN(float alpha, node.Float("alpha", 1));
    LINNET_ASSIGN(float beta, node.Float("beta", 1));
    const Tensor *w = Contents(dequantize->inputs[0]), *scale = Contents(dequantize->inputs[1]);
    const ValueId zero_id = InputOf(*dequantize, 2), bias_id = InputOf(node, 2);
    const Tensor *zero = Contents(zero_id), *bias = Contents(bias_id);
    if (!w || !scale || scale->dtype() != DType::kFloat || w->shape().rank() != 2 || scale->shape().rank() != 2) return Status();
    if (transposed_a != 0 || alpha != 1 || block < 16 || (block & (block - 1)) != 0) return Status();
    const int along = transposed != 0 ? 1 : 0;
    if ((axis < 0 ? axis + 2 : axis) != along) return Status();
    const DType dtype = w->dtype();
    if (dtype != DType::kInt4 && dtype != DType::kUint4 && dtype != DType::kInt8 && dtype != DType::kUint8) return Status();
    const int64_t k = w->shape()[along], n = w->shape()[1 - along], blocks = DivUp(k, block);
    if (k == 0 || n == 0 || scale->shape()[along] != blocks || scale->shape()[1 - along] != n) return Status();
    if (zero_id != kNoValue && (!zero || zero->dtype() != dtype || !(zero->shape() == scale->shape()))) return Status();
    if (bias_id != kNoValue && (!bias || bias->dtype() != DType::kFloat || bias->elements() != n || beta != 1)) return Status();

    const int64_t bits = DTypeBits(dtype), row_bytes = blocks * block * bits / 8, zero_bytes = DivUp(blocks * bits, 8);
    // Codes of signed types are those of the operator, less the middle: another highest bit.
    const int middle = 1 << (bits - 1), turn = IsSigned(dtype) ? middle : 0;
    auto code_at = [&](const Tensor& tensor, int64_t at) -> int {
      const uint8_t byte = tensor.as<uint8_t>()[at * bits / 8];
      return (bits == 8 ? byte : byte >> (at % 2 * 4) & 15) ^ turn;
    };
    LINNET_ASSIGN(Tensor codes, Tensor::Allocate(DType::kUint8, Shape{n, blocks, block * bits / 8}));
    LINNET_ASSIGN(Tensor scales, Tensor::Allocate(DType::kFloat, Shape{n, blocks}));
    LINNET_ASSIGN(Tensor zeros, Tensor::Allocate(DType::kUint8, Shape{n, zero_bytes}));
    std::fill_n(codes.mutable_as<uint8_t>(), codes.bytes(), uint8_t{0});
    std::fill_n(zeros.mutable_as<uint8_t>(), zeros.bytes(), uint8_t{0});
    auto put = [&](uint8_t* row, int64_t at, int code) {
      row[at * bits / 8] |= static_cast<uint8_t>(code << (bits == 4 && at % 2 ? 4 : 0));
    };
    auto place = [&](int64_t row, int64_t column, int64_t rows) { return transposed != 0 ? column * rows + row : row * n + column; };
    bool centred = true;   // zero points that the operator takes where it gets none
    for (int64_t column = 0; column < n; ++column) {
      for (int64_t row = 0; row < k; ++row) {
        put(codes.mutable_as<uint8_t>() + column * row_bytes, row, code_at(*w, place(row, column, k)));
      }
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t at = place(b, column, blocks);
        const int code = zero ? code_at(*zero, at) : turn;
        centred = centred && code == middle;
        scales.mutable_as<float>()[column * blocks + b] = scale->as<float>()[at];
        put(zeros.mutable_as<uint8_t>() + column * zero_bytes, b, code);
      }
    }
    const std::string name = graph_.value(dequantize->inputs[0]).name;
    auto constant = [&](const char* what, Tensor tensor) { return graph_.AddConstant(graph_.FreshName(name + what), std::move(tensor)); };
    Node made;
    made.op = "MatMulNBits";
    made.domain = "com.microsoft";
    made.version = 1;
    made.name = node.name;
    made.attributes = {{"K", k}, {"N", n}, {"bits", bits}, {"block_size", block}};
    made.inputs = {node.inputs[0], constant("_blocks", std::move(codes)), constant("_scales", std::move(scales)),
                   centred ? kNoValue : constant("_zeros", std::move(zeros))};
    if (bias_id != kNoValue) {
      const Tensor row = graph_.value(bias_id).constant.Reshaped(Shape{n});   // `bias` has moved with the graph's values
      made.inputs.push_back(kNoValue);
      made.inputs.push_back(graph_.value(bias_id).type.shape.rank() == 1 ? bias_id : constant("_bias", row));
    }
    while (made.inputs.back() == kNoValue) made.inputs.pop_back();
    made.outputs = {graph_.node(id).outputs[0]};
    return ReplaceNode(graph_, id, std::move(made));
  }

  Graph& graph_;
  const PassContext& context_;
};

}  // namespace

Status FuseBlockWeights(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    LINNET_TRY(BlockFuser(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
