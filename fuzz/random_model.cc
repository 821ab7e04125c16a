// Building random models.
#include "fuzz/random_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/float_types.h"
#include "graph/text.h"
#include "onnx/writer.h"

namespace linnet {
namespace {

[[noreturn]] void Die(std::string_view what) {
  fprintf(stderr, "a random model cannot be made: %.*s\n", static_cast<int>(what.size()), what.data());
  abort();
}

}  // namespace

std::string OnnxOf(const Example& example) {
  OnnxModel model;
  model.graph = example.graph.Clone();
  model.info.ir_version = 10;
  model.info.opsets = {{"", example.opset}, {"com.microsoft", 1}, {"ai.onnx.ml", 3}};
  std::string bytes;
  Status status = WriteOnnx(model, bytes);
  if (!status.ok()) Die(status.message());
  return bytes;
}

std::string Shown(const Example& example) {
  PrintOptions print;
  print.elements_max = 8;
  std::string text = PrintGraph(example.graph, print) + "fed:";
  for (const Tensor& tensor : example.feeds) text += " " + ToString(tensor.type());
  return text;
}

ValueId RandomModel::Input(Tensor contents, bool fed) {
  const std::string name = NextName();
  if (!fed && choices_.Coin()) return example_.graph.AddConstant(name, std::move(contents));
  Type type = contents.type();
  if (unknown_dims_) type.shape = Shape::OfRank(type.shape.rank());
  example_.feeds.push_back(contents);
  return example_.graph.AddInput(name, type);
}

Tensor RandomModel::Numbers(DType dtype, const Shape& shape, double low, double high) {
  Tensor tensor = *Tensor::Allocate(dtype, shape);
  Draw([&](Choices& c) {
    for (int64_t i = 0; i < shape.elements(); ++i) Put(tensor, i, c.Real(low, high));
  });
  return tensor;
}

Tensor RandomModel::Bits(DType dtype, const Shape& shape) {
  Tensor tensor = *Tensor::Allocate(dtype, shape);
  auto* bytes = tensor.mutable_as<uint8_t>();
  Draw([&](Choices& c) {
    for (int64_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<uint8_t>(dtype == DType::kBool ? c.Int(0, 1) : c.Int(0, 255));
  });
  return tensor;
}

Tensor RandomModel::WeightBits(DType dtype, const Shape& shape) {
  Tensor tensor = Bits(dtype, shape);
  if (!narrow_) return tensor;
  auto* bytes = tensor.mutable_as<uint8_t>();
  const int middle = dtype == DType::kUint8 ? 128 : 0;
  for (int64_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<uint8_t>(middle + bytes[i] % 128 - 64);
  return tensor;
}

std::vector<ValueId> RandomModel::Add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes, int outputs,
                                      const std::string& domain) {
  Node node;
  node.op = op;
  node.domain = domain;
  node.version = domain.empty() ? example_.opset : domain == "ai.onnx.ml" ? 3 : 1;
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  for (int i = 0; i < outputs; ++i) node.outputs.push_back(example_.graph.AddValue(NextName()));
  std::vector<ValueId> made = node.outputs;
  Result<NodeId> added = example_.graph.AddNode(std::move(node));
  if (!added.ok()) Die(added.status().message());
  return made;
}

void Put(Tensor& tensor, int64_t i, double value) {
  switch (tensor.dtype()) {
    case DType::kFloat: tensor.mutable_as<float>()[i] = static_cast<float>(value); break;
    case DType::kDouble: tensor.mutable_as<double>()[i] = value; break;
    case DType::kFloat16: tensor.mutable_as<Float16>()[i] = ToFloat16(static_cast<float>(value)); break;
    case DType::kBfloat16: tensor.mutable_as<Bfloat16>()[i] = ToBfloat16(static_cast<float>(value)); break;
    case DType::kInt8: tensor.mutable_as<int8_t>()[i] = static_cast<int8_t>(static_cast<int64_t>(value)); break;
    case DType::kUint8: tensor.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(static_cast<int64_t>(value)); break;
    case DType::kInt16: tensor.mutable_as<int16_t>()[i] = static_cast<int16_t>(static_cast<int64_t>(value)); break;
    case DType::kUint16: tensor.mutable_as<uint16_t>()[i] = static_cast<uint16_t>(static_cast<int64_t>(value)); break;
    case DType::kInt32: tensor.mutable_as<int32_t>()[i] = static_cast<int32_t>(static_cast<int64_t>(value)); break;
    case DType::kUint32: tensor.mutable_as<uint32_t>()[i] = static_cast<uint32_t>(static_cast<int64_t>(value)); break;
    case DType::kInt64: tensor.mutable_as<int64_t>()[i] = static_cast<int64_t>(value); break;
    case DType::kUint64: tensor.mutable_as<uint64_t>()[i] = static_cast<uint64_t>(static_cast<int64_t>(value)); break;
    case DType::kBool: tensor.mutable_as<bool>()[i] = value >= 0; break;
    default: Die(DTypeName(tensor.dtype()));
  }
}

double At(const Tensor& tensor, int64_t i) {
  switch (tensor.dtype()) {
    case DType::kFloat: return static_cast<double>(tensor.as<float>()[i]);
    case DType::kDouble: return tensor.as<double>()[i];
    case DType::kFloat16: return static_cast<double>(ToFloat(tensor.as<Float16>()[i]));
    case DType::kBfloat16: return static_cast<double>(ToFloat(tensor.as<Bfloat16>()[i]));
    case DType::kInt8: return tensor.as<int8_t>()[i];
    case DType::kUint8: return tensor.as<uint8_t>()[i];
    case DType::kInt16: return tensor.as<int16_t>()[i];
    case DType::kUint16: return tensor.as<uint16_t>()[i];
    case DType::kInt32: return tensor.as<int32_t>()[i];
    case DType::kInt4: return static_cast<int8_t>(static_cast<uint8_t>(tensor.as<uint8_t>()[i / 2] >> i % 2 * 4 << 4)) / 16;
    case DType::kUint4: return tensor.as<uint8_t>()[i / 2] >> i % 2 * 4 & 15;
    default: return 0;
  }
}

}  // namespace linnet
