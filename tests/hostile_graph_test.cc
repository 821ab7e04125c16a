// Hostile graphs and tensors: cycles, wrong references, absurd shapes, payloads that do not fit. One sentence each.
#include <gtest/gtest.h>

#include "hostile_util.h"
#include "onnx/reader.h"

namespace linnet::hostile {
namespace {

std::string WhyNot(const Proto& graph) {
  ReadOptions options;
  options.untrusted = true;
  return Why(ReadOnnxBytes(ModelOf(graph).span(), nullptr, options).TakeStatus());
}
std::string WhyNotOpen(const Proto& graph) { return Why(OpenBytes(ModelOf(graph).bytes()).TakeStatus()); }

Proto Ports(Proto graph) {
  return graph.Str(2, "g").Msg(11, TensorValue("x", 1, {"2"})).Msg(12, UntypedValue("y"));
}

// Row 6 -------------------------------------------------------------------------------------------------------------

TEST(HostileGraph, CyclesAndReferences) {
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Add", {"x", "b"}, {"a"}, {}, "first")).Msg(1, NodeProto("Neg", {"a"}, {"b"}, {}, "second"))
                               .Msg(1, NodeProto("Neg", {"x"}, {"y"})))),
              {"cycle", "'first'", "'second'"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Add", {"x", "y"}, {"y"}, {}, "self")))), {"cycle", "'self'"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"x"}, {"y"}, {}, "one")).Msg(1, NodeProto("Relu", {"x"}, {"y"}, {}, "two")))),
              {"'y'", "'one'", "'two'"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"nowhere"}, {"y"}, {}, "n")))), {"'nowhere'", "'n'", "input 0"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"x"}, {"z"})))), {"output 'y'", "nothing defines"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"x"}, {"x"}, {}, "n")))), {"'x'", "input", "'n'"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"x"}, {"y"})).Msg(11, TensorValue("x", 1, {"2"})))), {"two inputs", "'x'"});
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"x"}, {"y"})).Msg(5, FloatTensor("w", {1}, {1})).Msg(5, FloatTensor("w", {1}, {1})))),
              {"two initializers", "'w'"});
  // Nodes may come in any order.
  EXPECT_EQ(WhyNotOpen(Ports(Proto().Msg(1, NodeProto("Neg", {"a"}, {"y"})).Msg(1, NodeProto("Relu", {"x"}, {"a"})))), "");
}

TEST(HostileGraph, ALongCycleIsFoundInLinearTime) {
  Proto graph;
  for (int i = 0; i < 100000; ++i) graph.Msg(1, NodeProto("Neg", {Cat("v", i)}, {Cat("v", (i + 1) % 100000)}));
  WorkWatch watch;
  std::string why = WhyNot(graph.Str(2, "g").Msg(12, UntypedValue("v0")));
  ExpectParts(why, {"cycle"});
  EXPECT_LT(why.size(), 4000u) << "a long cycle is cut";
  EXPECT_LT(watch.seconds(), 1.5 * kSlower);
}

// Row 10 ------------------------------------------------------------------------------------------------------------

TEST(HostileGraph, BodiesOfTheWrongForm) {
  auto loop = [](const Proto& body, std::initializer_list<std::string_view> outputs = {"y"}) {
    return Ports(Proto().Msg(1, NodeProto("Loop", {"", "", "x"}, outputs, {GraphAttribute("body", body)}, "loop")));
  };
  Proto good = Proto().Msg(1, NodeProto("Identity", {"c"}, {"d"})).Msg(1, NodeProto("Neg", {"v"}, {"w"})).Str(2, "body")
                   .Msg(11, TensorValue("i", 7, {})).Msg(11, TensorValue("c", 9, {})).Msg(11, TensorValue("v", 1, {"2"}))
                   .Msg(12, UntypedValue("d")).Msg(12, UntypedValue("w"));
  EXPECT_EQ(WhyNotOpen(loop(good)), "");
  ExpectParts(WhyNotOpen(loop(Proto(good).Msg(11, TensorValue("extra", 1, {"2"})))), {"Loop 'loop'", "4 inputs", "3 are expected"});
  ExpectParts(WhyNotOpen(loop(Proto().Str(2, "body").Msg(11, TensorValue("i", 7, {})).Msg(11, TensorValue("c", 9, {}))
                                  .Msg(11, TensorValue("v", 1, {"2"})))), {"Loop 'loop'", "0 outputs"});
  ExpectParts(WhyNotOpen(loop(good, {"y", "z"})), {"Loop 'loop'", "2 outputs"});
  ExpectParts(WhyNotOpen(Ports(Proto().Msg(1, NodeProto("Loop", {"", "", "x"}, {"y"}, {}, "loop")))), {"Loop 'loop'", "'body'"});
  ExpectParts(WhyNotOpen(Ports(Proto().Msg(1, NodeProto("If", {"x"}, {"y"}, {GraphAttribute("then_branch", good)}, "if")))), {"If 'if'"});
  // A body's condition that is no bool shows when it runs.
  std::string text = R"(graph (x: float[2]) -> (y) {
    y = Loop-16(_, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) -> (v, v) {
    }} @loop
  })";
  std::string why = Why(OpenAndRun(text, {Filled<float>(Shape{2}, 1)}));
  ExpectParts(why, {"'loop'"});
}

TEST(HostileGraph, BodiesSeeOnlyWhatTheyAreGiven) {
  // The body says float and gets double, says two elements and gets three.
  for (std::string_view type : {"float[2]", "double[2]", "float[3]", "float[1,2]", "int64[]"}) {
    std::string text = Cat("graph (x: ", type, R"() -> (y) {
      n = const int64[]{2}
      y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) -> (c, w) {
        w = Add-14(v, v)
      }}
    })");
    Result<std::unique_ptr<Session>> session = OpenText(text);
    if (!session.ok()) continue;
    Shape shape = (*session)->inputs()[0].type.shape;
    Tensor x = Tensor::Allocate((*session)->inputs()[0].type.dtype, shape).value();
    memset(x.mutable_data(), 0, static_cast<size_t>(x.bytes()));
    std::string why = Why(RunSession(**session, {x}));
    if (type == "double[2]" || type == "int64[]") ExpectParts(why, {"'v'", "declared float[2]"});
  }
}

// Row 32 ------------------------------------------------------------------------------------------------------------

TEST(HostileGraph, NodesWithTheWrongNumberOfPorts) {
  const Tensor x = Filled<float>(Shape{2, 2}, 1);
  // More outputs than the operator has: whoever reads them learns that there are none.
  for (const char* node : {"Cast-13(x) {to=1}", "Cast-13(x) {to=7}", "Relu-14(x) {}", "Add-14(x, x) {}", "Transpose-13(x) {}", "MatMul-13(x, x) {}"}) {
    std::string text = Cat("graph (x: float[?,?]) -> (y, z) {\n y, z = ", node, " @many\n}");
    ExpectParts(Why(OpenAndRun(text, {x})), {"'many'"});
  }
  for (const char* node : {"Cast-13() {to=1}", "Relu-14(x, x) {}", "Add-14(x) {}", "ai.onnx.ml:CategoryMapper-1() {}", "ai.onnx.ml:LabelEncoder-1() {}",
                           "Concat-13() {axis=0}", "Max-13() {}", "If-16() {}", "Reshape-14(x) {}", "Where-16(_, x, x) {}", "Conv-11(_, x) {}"}) {
    std::string text = Cat("graph (x: float[?,?]) -> (y) {\n y = ", node, " @few\n}");
    ExpectParts(Why(OpenAndRun(text, {x})), {"'few'"});
  }
}

// Row 11, 12 --------------------------------------------------------------------------------------------------------

TEST(HostileGraph, TensorsWithAbsurdShapes) {
  auto with = [](const Proto& tensor) { return WhyNot(Ports(Proto().Msg(1, NodeProto("Neg", {"x"}, {"y"})).Msg(5, tensor))); };
  ExpectParts(with(TensorHeader("w", 1, {-1})), {"'w'", "dimension 0 is -1"});
  ExpectParts(with(TensorHeader("w", 1, {int64_t{1} << 62})), {"'w'", "4611686018427387904"});
  ExpectParts(with(TensorHeader("w", 1, {int64_t{1} << 32, int64_t{1} << 32})), {"'w'", "4294967296"});
  ExpectParts(with(TensorHeader("w", 1, {1 << 30, 1 << 30})), {"'w'", "1073741824"});
  ExpectParts(with(TensorHeader("w", 99, {1})), {"'w'", "99"});
  ExpectParts(with(TensorHeader("w", 0, {1})), {"'w'", "element type 0"});
  ExpectParts(with(TensorHeader("w", 1, {1 << 20})), {"'w'", "no contents", "1048576"});
  Proto rank;
  for (int i = 0; i < 1000; ++i) rank.Int(1, 1);
  ExpectParts(with(rank.Int(2, 1).Str(8, "w").Fixed<float>(9, std::vector<float>{1})), {"'w'", "rank 1000"});
  ExpectParts(with(FloatTensor("w", {3}, {1, 2})), {"'w'", "8 bytes", "12"});
  ExpectParts(with(FloatTensor("w", {1}, {1, 2})), {"'w'", "8 bytes", "4"});
  ExpectParts(with(FloatTensor("w", {2}, {1, 2}).Fixed<float>(4, std::vector<float>{1, 2})), {"'w'", "twice", "float_data", "raw_data"});
  ExpectParts(with(TensorHeader("w", 8, {1}).Str(9, "text")), {"'w'", "strings cannot be in raw_data"});
  ExpectParts(with(TensorHeader("w", 6, {2}).Packed(5, {1, 2, 3})), {"'w'", "3 values", "2"});
  ExpectParts(with(TensorHeader("w", 3, {1}).Packed(5, {300})), {"'w'", "300", "int8"});
  ExpectParts(with(TensorHeader("w", 1, {1}).Packed(7, {1})), {"'w'", "int64_data cannot hold float"});
  // A type that claims more than there can be.
  auto input = [](std::initializer_list<std::string_view> dims) {
    return WhyNot(Proto().Msg(1, NodeProto("Neg", {"x"}, {"y"})).Str(2, "g").Msg(11, TensorValue("x", 1, dims)).Msg(12, UntypedValue("y")));
  };
  ExpectParts(input({"4611686018427387904"}), {"'x'", "4611686018427387904", "2147483647"});
  ExpectParts(input({"1", "1", "1", "1", "1", "1", "1", "1", "1"}), {"'x'", "rank"});
}

TEST(HostileGraph, ASparseTensorIsExpandedUnderTheBudget) {
  // 40 bytes that stand for 200 million zeros.
  Proto sparse = Proto().Msg(1, FloatTensor("w", {1}, {1})).Msg(2, Int64Tensor("", {1}, {0})).Int(3, 200000000);
  Proto graph = Ports(Proto().Msg(1, NodeProto("Add", {"x", "w"}, {"y"})).Msg(15, sparse));
  std::string why = WhyNotOpen(graph);
  ExpectParts(why, {"limit reached", "800000"});
  Proto outside = Proto().Msg(1, FloatTensor("w", {1}, {1})).Msg(2, Int64Tensor("", {1}, {2})).Int(3, 2);
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Add", {"x", "w"}, {"y"})).Msg(15, outside))), {"'w'", "index 2", "2 elements"});
}

TEST(HostileGraph, ExternalDataWithoutAFolder) {
  Proto tensor = TensorHeader("w", 1, {2}).Msg(13, Proto().Str(1, "location").Str(2, "/etc/passwd")).Int(14, 1);
  ExpectParts(WhyNot(Ports(Proto().Msg(1, NodeProto("Add", {"x", "w"}, {"y"})).Msg(5, tensor))),
              {"'w'", "'/etc/passwd'", "no folder for external data"});
}

// Row 13 ------------------------------------------------------------------------------------------------------------

TEST(HostileGraph, CallersInputsAreChecked) {
  auto session = OpenText("graph (x: float[N,3], z) -> (y, z) {\n y = Neg-13(x)\n }");
  ASSERT_TRUE(session.ok()) << session.status().message();
  Tensor good = Filled<float>(Shape{2, 3}, 1), z = Filled<float>(Shape{1}, 1);
  EXPECT_EQ(Why(RunSession(**session, {good, z})), "");
  ExpectParts(Why(RunSession(**session, {Filled<float>(Shape{2, 4}, 1), z})), {"'x'", "float[2,4]", "float[N,3]", "dimension 1"});
  ExpectParts(Why(RunSession(**session, {Filled<float>(Shape{3}, 1), z})), {"'x'", "float[3]", "rank"});
  ExpectParts(Why(RunSession(**session, {Filled<double>(Shape{2, 3}, 1), z})), {"'x'", "double", "element type"});
  ExpectParts(Why(RunSession(**session, {Tensor::View(DType::kFloat, Shape{2, 3}, nullptr), z})), {"'x'", "no data"});
  ExpectParts(Why(RunSession(**session, {Tensor::View(DType::kFloat, Shape{-1, 3}, good.data()), z})), {"'x'", "shape"});
  ExpectParts(Why(RunSession(**session, {Tensor::View(DType::kFloat, Shape{int64_t{1} << 40, 3}, good.data()), z})), {"'x'"});
  ExpectParts(Why(RunSession(**session, {good})), {"'z'", "missing"});
  // An input without a declared type is checked all the same.
  ExpectParts(Why(RunSession(**session, {good, Tensor::View(DType::kFloat, Shape{-5}, good.data())})), {"'z'"});
  ExpectParts(Why(RunSession(**session, {good, Tensor::View(DType::kFloat, Shape{2}, nullptr)})), {"'z'", "no data"});
  ExpectParts(Why(RunSession(**session, {good, Tensor::View(DType::kUndefined, Shape{2}, good.data())})), {"'z'", "element type"});
  float room[6];
  RunOutput outputs[2];
  outputs[0].data = room;
  outputs[0].capacity = 20;
  Fact facts[] = {{good.type(), good.data()}, {z.type(), z.data()}};
  ExpectParts(Why((*session)->Run(facts, outputs)), {"output 0", "24", "20"});
#if !defined(__arm__)
  // Unaligned memory works where processors read numbers at any address; elsewhere it is for callers to copy, as the C API does.
  alignas(8) char bytes[32] = {};
  Fact unaligned[] = {{Type::Tensor(DType::kFloat, Shape{2, 3}), bytes + 1}, {z.type(), z.data()}};
  RunOutput fresh[2];
  EXPECT_EQ(Why((*session)->Run(unaligned, fresh)), "");
#endif
}

}  // namespace
}  // namespace linnet::hostile
