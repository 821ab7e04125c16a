// Weights at any address in a .onnx file, and weights packed on several threads: the same results as from aligned copies.
#include <gtest/gtest.h>
#include <string.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "api/session.h"
#include "proto_builder.h"

namespace linnet {
namespace {

/// raw_data of seeded floats.
Proto Weights(std::string_view name, std::initializer_list<int64_t> dims, unsigned seed) {
  int64_t count = 1;
  for (int64_t dim : dims) count *= dim;
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000;
  return TensorHeader(name, 1, dims).Fixed<float>(9, values);
}

/// The model's bytes at an address whose remainder by 4 is `shift`, so that each initializer meets every alignment.
struct Placed {
  Placed(const std::string& model, size_t shift) : bytes(std::make_shared<std::vector<char>>(model.size() + 16)), size(model.size()) {
    data = bytes->data() + (4 - reinterpret_cast<uintptr_t>(bytes->data()) % 4) % 4 + shift;
    memcpy(data, model.data(), size);
  }
  std::shared_ptr<std::vector<char>> bytes;
  char* data;
  size_t size;
};

using Floats = std::vector<float>;

/// All outputs for inputs of seeded numbers (floats) and small indices (integers).
std::vector<Floats> Run(Session& session) {
  std::vector<Fact> facts;
  std::vector<Tensor> inputs;
  std::mt19937 random(99);
  for (const PortInfo& port : session.inputs()) {
    Result<Tensor> tensor = Tensor::Allocate(port.type.dtype, port.type.shape);
    EXPECT_TRUE(tensor.ok());
    for (int64_t i = 0; i < tensor->elements(); ++i) {
      if (port.type.dtype == DType::kFloat) tensor->mutable_as<float>()[i] = static_cast<float>(static_cast<int>(random() % 401) - 200) / 100;
      if (port.type.dtype == DType::kInt64) tensor->mutable_as<int64_t>()[i] = static_cast<int64_t>(random() % 100);
    }
    inputs.push_back(*tensor);
  }
  for (const Tensor& tensor : inputs) facts.push_back({tensor.type(), tensor.data()});
  std::vector<RunOutput> outputs(session.outputs().size());
  Status status = session.Run(facts.data(), outputs.data());
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<Floats> results;
  for (const RunOutput& output : outputs) {
    const Tensor& tensor = output.datum.tensor;
    results.emplace_back(tensor.as<float>(), tensor.as<float>() + tensor.elements());
  }
  return results;
}

/// Watching passes see aligned contents only: what is to come out.
SessionOptions Aligned() {
  SessionOptions options;
  options.threads = 1;
  options.pipeline.watch = [](void*, const Graph&) {};
  return options;
}

void ExpectSameAtEveryAddress(const Proto& graph, const std::function<void(SessionOptions&)>& change = {}) {
  const std::string model = ModelOf(graph).bytes();
  SessionOptions plain = Aligned();
  if (change) change(plain);
  Placed at(model, 0);
  Result<std::unique_ptr<Session>> expected_session = Session::FromMemory(at.data, at.size, at.bytes, plain);
  ASSERT_TRUE(expected_session.ok()) << expected_session.status().message();
  const std::vector<Floats> expected = Run(**expected_session);
  for (size_t shift = 0; shift < 4; ++shift) {
    for (int threads : {1, 3}) {
      SCOPED_TRACE(testing::Message() << "address " << shift << ", threads " << threads);
      Placed placed(model, shift);
      SessionOptions options;
      options.threads = threads;
      if (change) change(options);
      Result<std::unique_ptr<Session>> session = Session::FromMemory(placed.data, placed.size, placed.bytes, options);
      ASSERT_TRUE(session.ok()) << session.status().message();
      EXPECT_EQ(Run(**session), expected);
    }
  }
}

Proto ProductGraph() {
  return Proto()
      .Msg(1, NodeProto("MatMul", {"x", "w"}, {"a"}))
      .Msg(1, NodeProto("Relu", {"a"}, {"b"}))
      .Msg(1, NodeProto("Gemm", {"b", "v", "c"}, {"d"}, {IntAttribute("transB", 1), FloatAttribute("alpha", 0.5f)}))
      .Msg(1, NodeProto("MatMul", {"d", "column"}, {"y"}))
      .Str(2, "g")
      .Msg(5, Weights("w", {130, 150}, 1))
      .Msg(5, Weights("v", {170, 150}, 2))
      .Msg(5, Weights("c", {170}, 3))
      .Msg(5, Weights("column", {170, 130}, 4))
      .Msg(11, TensorValue("x", 1, {"5", "130"}))
      .Msg(12, TensorValue("y", 1, {"5", "130"}));
}

TEST(AnyAddress, Products) { ExpectSameAtEveryAddress(ProductGraph()); }

TEST(AnyAddress, ProductsOfSixteenBits) {
  ExpectSameAtEveryAddress(ProductGraph(), [](SessionOptions& options) { options.precision = "bf16"; });
  ExpectSameAtEveryAddress(ProductGraph(), [](SessionOptions& options) { options.precision = "fp16"; });
}

TEST(AnyAddress, ProductWithOneColumn) {
  ExpectSameAtEveryAddress(Proto()
                               .Msg(1, NodeProto("MatMul", {"x", "w"}, {"y"}))
                               .Str(2, "g")
                               .Msg(5, Weights("w", {20000, 1}, 1))
                               .Msg(11, TensorValue("x", 1, {"3", "20000"}))
                               .Msg(12, TensorValue("y", 1, {"3", "1"})));
}

TEST(AnyAddress, Convolutions) {
  const Proto group = IntAttribute("group", 160);
  Proto pads = Proto().Str(1, "pads").Packed(8, {1, 1, 1, 1}).Int(20, 7);
  Proto strides = Proto().Str(1, "strides").Packed(8, {2, 2}).Int(20, 7);
  const Proto graph = Proto()
                          .Msg(1, NodeProto("Conv", {"x", "wide"}, {"a"}))
                          .Msg(1, NodeProto("Conv", {"a", "square"}, {"b"}, {pads}))
                          .Msg(1, NodeProto("BatchNormalization", {"b", "s", "t", "m", "v"}, {"c"}))
                          .Msg(1, NodeProto("Relu", {"c"}, {"d"}))
                          .Msg(1, NodeProto("Conv", {"d", "strided"}, {"e"}, {pads, strides}))
                          .Msg(1, NodeProto("ConvTranspose", {"e", "up"}, {"y"}, {strides}))
                          .Str(2, "g")
                          .Msg(5, Weights("wide", {160, 110, 1, 1}, 1))
                          .Msg(5, Weights("square", {72, 160, 3, 3}, 2))
                          .Msg(5, Weights("s", {72}, 3))
                          .Msg(5, Weights("t", {72}, 4))
                          .Msg(5, Weights("m", {72}, 5))
                          .Msg(5, TensorHeader("v", 1, {72}).Fixed<float>(9, std::vector<float>(72, 1.5f)))
                          .Msg(5, Weights("strided", {50, 72, 3, 3}, 6))
                          .Msg(5, Weights("up", {50, 100, 2, 2}, 7))
                          .Msg(11, TensorValue("x", 1, {"1", "110", "13", "13"}))
                          .Msg(12, TensorValue("y", 1, {"1", "100", "14", "14"}));
  ExpectSameAtEveryAddress(graph);
  ExpectSameAtEveryAddress(graph, [](SessionOptions& options) { options.precision = "bf16"; });
  ExpectSameAtEveryAddress(graph, [](SessionOptions& options) { options.precision = "fp16"; });
  ExpectSameAtEveryAddress(graph, [](SessionOptions& options) { options.pipeline.level = kOptimizeNothing; });
}

TEST(AnyAddress, DepthwiseBlock) {
  Proto pads = Proto().Str(1, "pads").Packed(8, {2, 2, 2, 2}).Int(20, 7);
  ExpectSameAtEveryAddress(Proto()
                               .Msg(1, NodeProto("Conv", {"x", "expand"}, {"a"}))
                               .Msg(1, NodeProto("Relu", {"a"}, {"b"}))
                               .Msg(1, NodeProto("Conv", {"b", "depthwise"}, {"c"}, {pads, IntAttribute("group", 720)}))
                               .Msg(1, NodeProto("Relu", {"c"}, {"d"}))
                               .Msg(1, NodeProto("Conv", {"d", "project"}, {"y"}))
                               .Str(2, "g")
                               .Msg(5, Weights("expand", {720, 48, 1, 1}, 1))
                               .Msg(5, Weights("depthwise", {720, 1, 5, 5}, 2))
                               .Msg(5, Weights("project", {48, 720, 1, 1}, 3))
                               .Msg(11, TensorValue("x", 1, {"1", "48", "9", "9"}))
                               .Msg(12, TensorValue("y", 1, {"1", "48", "9", "9"})));
}

TEST(AnyAddress, Recurrent) {
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    const int64_t gates = op[0] == 'L' ? 4 : op[0] == 'G' ? 3 : 1;
    ExpectSameAtEveryAddress(Proto()
                                 .Msg(1, NodeProto(op, {"x", "w", "r"}, {"y"}, {IntAttribute("hidden_size", 132)}))
                                 .Str(2, "g")
                                 .Msg(5, Weights("w", {1, gates * 132, 130}, 1))
                                 .Msg(5, Weights("r", {1, gates * 132, 132}, 2))
                                 .Msg(11, TensorValue("x", 1, {"3", "2", "130"}))
                                 .Msg(12, TensorValue("y", 1, {"3", "1", "2", "132"})));
  }
}

TEST(AnyAddress, GatheredTiedAndNakedWeights) {
  // One table is gathered (by run-time indices and by a constant), multiplied with, added and an output.
  ExpectSameAtEveryAddress(Proto()
                               .Msg(1, NodeProto("Gather", {"table", "i"}, {"a"}))
                               .Msg(1, NodeProto("Transpose", {"table"}, {"turned"}))
                               .Msg(1, NodeProto("MatMul", {"a", "turned"}, {"y"}))
                               .Msg(1, NodeProto("MatMul", {"a", "square"}, {"z"}))
                               .Msg(1, NodeProto("Gather", {"square", "i"}, {"p"}))
                               .Msg(1, NodeProto("Gather", {"other", "one"}, {"q"}))
                               .Msg(1, NodeProto("Gather", {"other", "i"}, {"r"}))
                               .Msg(1, NodeProto("Add", {"naked", "bias"}, {"n"}))
                               .Str(2, "g")
                               .Msg(5, Weights("table", {140, 130}, 1))
                               .Msg(5, Weights("square", {130, 130}, 2))
                               .Msg(5, Weights("other", {150, 120}, 3))
                               .Msg(5, Weights("naked", {200, 100}, 4))
                               .Msg(5, Int64Tensor("one", {}, {1}))
                               .Msg(11, TensorValue("i", 7, {"3"}))
                               .Msg(11, TensorValue("bias", 1, {"100"}))
                               .Msg(12, TensorValue("y", 1, {"3", "140"}))
                               .Msg(12, TensorValue("z", 1, {"3", "130"}))
                               .Msg(12, TensorValue("p", 1, {"3", "130"}))
                               .Msg(12, TensorValue("q", 1, {"120"}))
                               .Msg(12, TensorValue("r", 1, {"3", "120"}))
                               .Msg(12, TensorValue("n", 1, {"200", "100"}))
                               .Msg(12, TensorValue("naked", 1, {"200", "100"})));
}

/// Forty layers, so that several threads have something to pack; layer `wrong` (none: -1) has weights that do not fit.
Proto DeepGraph(int wrong, bool also_later) {
  Proto graph;
  for (int i = 0; i < 40; ++i) {
    const std::string in = i == 0 ? "x" : "h" + std::to_string(i - 1), out = i == 39 ? "y" : "h" + std::to_string(i);
    // A bias whose length is wrong is found when the operator infers its type; a block size of none when it is made.
    const bool bad = i == wrong || (also_later && i > wrong && wrong >= 0 && i % 5 == 0);
    graph.Msg(1, NodeProto("Gemm", {in, "w" + std::to_string(i)}, {out}, {FloatAttribute("alpha", 0.1f), IntAttribute("transB", 1)},
                           "layer" + std::to_string(i)));
    graph.Msg(5, Weights("w" + std::to_string(i), {bad ? int64_t{129} : int64_t{128}, 128}, static_cast<unsigned>(i)));
  }
  return graph.Str(2, "g").Msg(11, TensorValue("x", 1, {"4", "128"})).Msg(12, TensorValue("y", 1, {"4", "128"}));
}

TEST(ParallelPacking, GivesTheSameResults) { ExpectSameAtEveryAddress(DeepGraph(-1, false)); }

TEST(ParallelPacking, FailsAtTheNodeThatFailsAlone) {
  for (int wrong : {0, 17, 38}) {
    const std::string model = ModelOf(DeepGraph(wrong, true)).bytes();
    std::string messages[2];
    for (int threads : {1, 4}) {
      Placed placed(model, 1);
      SessionOptions options;
      options.threads = threads;
      Result<std::unique_ptr<Session>> session = Session::FromMemory(placed.data, placed.size, placed.bytes, options);
      ASSERT_FALSE(session.ok());
      messages[threads > 1] = session.status().message();
    }
    EXPECT_EQ(messages[0], messages[1]);
    EXPECT_NE(messages[0].find("layer" + std::to_string(wrong + 1)), std::string::npos) << messages[0];
  }
}

}  // namespace
}  // namespace linnet
