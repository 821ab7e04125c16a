// linnet.hpp: with exceptions, without, and the C headers from C.
#include <string>
#include <thread>
#include <vector>

#include "api_test_util.h"
#include "linnet/linnet.hpp"
#include "linnet/linnet_extend.hpp"

extern "C" LinnetCode RunTwiceFromC(const void* model, size_t size, const float* x, float* y, int64_t count);
std::string RunReturning(const std::string& model, const std::string& halve);

namespace linnet_test {
namespace {

const char* const kRelu = "graph (x: float[2]) -> (y: float[2]) { y: float[2] = Relu-14(x) }";

linnet::Session Open(const std::string& text, const linnet::Options& options = {}) {
  std::string bytes = ModelBytes(text);
  return linnet::Session::FromMemory(bytes.data(), bytes.size(), options);
}

/// The code of what `body` throws; kOk when it throws nothing.
template <class Body>
linnet::Code Thrown(Body&& body) {
  try {
    body();
  } catch (const linnet::Error& error) {
    EXPECT_STRNE(error.what(), "");
    return error.code();
  }
  return linnet::Code::kOk;
}

TEST(ApiCpp, Precision) {
  EXPECT_EQ(Open(kRelu).info().precision, "f32");
  EXPECT_EQ(Open(kRelu, linnet::Options().Precision("bf16")).info().precision, "bf16");
}

TEST(ApiCpp, TheSnippetOfTheReadme) {
  linnet::Session session(DigitsPath());
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28), probabilities(10);
  session.Run({{"image", image, {1, 1, 28, 28}}}, {{"probabilities", probabilities}});
  std::vector<float> expected = LastFloats(DigitsOutputPath(), 10);
  for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(probabilities[i], expected[i], 1e-5);
}

TEST(ApiCpp, PortsAndInfo) {
  linnet::Session session(DigitsPath());
  std::vector<linnet::Port> inputs = session.inputs();
  ASSERT_EQ(inputs.size(), 1u);
  EXPECT_EQ(inputs[0].name, "image");
  EXPECT_EQ(inputs[0].type.rank, 4);
  EXPECT_EQ(inputs[0].symbols, (std::vector<std::string>{"N", "", "", ""}));
  EXPECT_EQ(session.outputs()[0].name, "probabilities");
  linnet::ModelInfo info = session.info();
  EXPECT_EQ(info.producer_name, "pytorch");
  ASSERT_EQ(info.opsets.size(), 1u);
  EXPECT_EQ(info.opsets[0].second, 17);
  EXPECT_EQ(info.metadata[0], (std::pair<std::string, std::string>("image.size", "28x28")));
}

TEST(ApiCpp, FailuresAreThrown) {
  EXPECT_EQ(Thrown([] { linnet::Session session("/nonexistent.onnx"); }), linnet::Code::kIo);
  EXPECT_EQ(Thrown([] { linnet::Options().Threads(-1); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([] { linnet::ThreadPool pool(-1); }), linnet::Code::kInvalidArgument);
  linnet::Session session = Open(kRelu);
  std::vector<float> x(2), y(2), small(1);
  std::vector<int64_t> wrong(2);
  EXPECT_EQ(Thrown([&] { session.Run({{"x", x, {2}}}, {{"y", y}}); }), linnet::Code::kOk);
  EXPECT_EQ(Thrown([&] { session.Run({{"x", x, {3}}}, {{"y", y}}); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { session.Run({{"x", x, {2, 1, 1, 1, 1, 1, 1, 1, 1}}}, {{"y", y}}); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { session.Run({{"x", x, {2}}}, {{"y", small}}); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { session.Run({{"x", x, {2}}}, {{"y", wrong}}); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { session.Run({{"z", x, {2}}}, {{"y", y}}); }), linnet::Code::kInvalidArgument);
  linnet::Session moved = std::move(session);
  EXPECT_EQ(Thrown([&] { session.Run({{"x", x, {2}}}, {{"y", y}}); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { moved.Run({{"x", x, {2}}}, {{"y", y}}); }), linnet::Code::kOk);
}

TEST(ApiCpp, ValuesOfEveryKind) {
  linnet::Session join = Open("graph (x: string[N]) -> (y: string[N]) { y: string[N] = StringConcat-20(x, x) }");
  std::vector<std::string> texts = {"a", "bc"};
  std::vector<linnet::Value> out = join.Run({{"x", texts, {2}}});
  EXPECT_EQ(out[0].texts(), (std::vector<std::string>{"aa", "bcbc"}));
  EXPECT_EQ(out[0].shape(), std::vector<int64_t>{2});

  linnet::Session at =
      Open("graph (x: seq(int64[...])) -> (y: int64[N]) { p = const int64[]{-1}\n y = SequenceAt-11(x, p) }");
  std::vector<int64_t> one = {1}, more = {2, 3};
  linnet::Value sequence = linnet::Value::Sequence({linnet::Value::Tensor(one, {1}), linnet::Value::Tensor(more, {2})});
  EXPECT_EQ(sequence.size(), 2u);
  linnet::Value last;
  at.Run({{"x", sequence}}, {{"y", &last}});
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last.data<int64_t>()[1], 3);
  EXPECT_EQ(sequence.item(0).data<int64_t>()[0], 1);
  EXPECT_EQ(Thrown([&] { sequence.item(2); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { last.data<float>(); }), linnet::Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { linnet::Value::Tensor(more, {3}); }), linnet::Code::kInvalidArgument);

  std::vector<float> numbers = {5, 6};
  linnet::Value map = linnet::Value::Map(linnet::Value::Tensor(texts, {2}), linnet::Value::Tensor(numbers, {2}));
  EXPECT_EQ(map.keys().texts()[1], "bc");
  EXPECT_EQ(map.values().data<float>()[1], 6);
  EXPECT_EQ(linnet::Value::Optional(last).size(), 1u);
  EXPECT_EQ(linnet::Value::None(LINNET_KIND_OPTIONAL, LINNET_FLOAT).size(), 0u);
}

TEST(ApiCpp, BindingsPoolsLogsAndTraces) {
  linnet::ThreadPool pool(2);
  std::vector<std::string> messages;
  linnet::Options options;
  options.Pool(pool).Cpu(LowestCpu()).Profiling().Log(LINNET_LOG_INFO, [&](LinnetLogLevel, const char* message) { messages.push_back(message); });
  linnet::Session session(DigitsPath(), options);
  EXPECT_EQ(messages.size(), 1u);
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28), direct(10), bound(10);
  std::vector<int64_t> shape;
  session.Run({{"image", image, {1, 1, 28, 28}}}, {linnet::Output("probabilities", direct, &shape)});
  EXPECT_EQ(shape, (std::vector<int64_t>{1, 10}));
  linnet::Binding binding(session);
  binding.In({"image", image, {1, 1, 28, 28}});
  binding.Out({"probabilities", bound});
  binding.Run();
  EXPECT_EQ(bound, direct);
  binding.Out(linnet::Output("probabilities", static_cast<linnet::Value*>(nullptr)));
  binding.Run();
  EXPECT_EQ(binding.Get("probabilities").data<float>()[3], direct[3]);
  EXPECT_NE(session.Trace().find("\"cat\":\"step\""), std::string::npos);
}

TEST(ApiCpp, CancelFromAnotherThread) {
  linnet::Session session = Open(
      "graph (n: int64[]) -> (end: int64[]) {\n go = const bool[]{true}\n zero = const int64[]{0}\n"
      " end = Loop-16(n, go, zero) {body=graph b (i: int64[], c: bool[], v: int64[]) -> (c2, v2) {\n"
      "   c2: bool[] = Identity-16(c)\n v2: int64[] = Add-16(v, i)\n }} }");
  linnet::Cancel cancel;
  std::thread other([&] { cancel.Now(); });
  std::vector<int64_t> turns = {INT64_MAX}, end(1);
  EXPECT_EQ(Thrown([&] { session.Run({{"n", turns, {}}}, {{"end", end}}, &cancel); }), linnet::Code::kCancelled);
  other.join();
  turns[0] = 4;
  session.Run({{"n", turns, {}}}, {{"end", end}});
  EXPECT_EQ(end[0], 0 + 1 + 2 + 3);
}

struct AddTo {
  explicit AddTo(const linnet::Attributes& attributes) : amount(attributes.Float("amount", 1)) {
    if (amount < 0) attributes.Fail(LINNET_INVALID_MODEL, "amount is below 0");
  }
  void Infer(linnet::Infer& c) const { c.Output(0, c.Input(0)); }
  void Compute(linnet::Compute& c) const {
    auto x = c.Input<float>(0);
    float* y = c.Output<float>(0, x.shape);
    c.Parallel(static_cast<int64_t>(x.size), 1e4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = x.data[i] + amount;
    });
  }
  float amount;
};

TEST(ApiCpp, OperatorsAndPassesOfOnesOwn) {
  linnet::Options options;
  linnet::AddOperator<AddTo>(options, "test", "AddTo", 1);
  // Turns every Relu into AddTo.
  int calls = 0;
  linnet::AddPass(options, "relu_to_add", [&calls](LinnetGraph* graph) -> LinnetCode {
    ++calls;
    size_t nodes = 0;
    if (LinnetCode code = LinnetGraphCounts(graph, &nodes, nullptr, nullptr)) return code;
    for (size_t i = 0; i < nodes; ++i) {
      LinnetNode* node = nullptr;
      const char* op = nullptr;
      LinnetGraphNode(graph, i, &node);
      LinnetNodeOp(node, nullptr, &op, nullptr);
      if (std::string(op) != "Relu") continue;
      LinnetNodeSetOp(node, "test", "AddTo", 1);
      LinnetNodeSetFloat(node, "amount", 10);
    }
    return LINNET_OK;
  });
  linnet::Session session = Open(kRelu, options);
  options = linnet::Options();  // the session keeps the pass
  EXPECT_EQ(calls, 1);
  std::vector<float> x = {-1, 2}, y(2);
  session.Run({{"x", x, {2}}}, {{"y", y}});
  EXPECT_EQ(y, (std::vector<float>{9, 12}));

  linnet::Options again;
  linnet::AddOperator<AddTo>(again, "test", "AddTo", 1);
  EXPECT_EQ(Thrown([&] { Open("graph (x: float[2]) -> (y: float[2]) { y = test:AddTo-1(x) {amount=-1.0} }", again); }),
            linnet::Code::kInvalidModel);
  linnet::AddPass(again, "thrower", [](LinnetGraph*) -> LinnetCode { throw std::bad_alloc(); });
  EXPECT_EQ(Thrown([&] { Open(kRelu, again); }), linnet::Code::kOutOfMemory);
}

TEST(ApiCpp, WithoutExceptions) {
  EXPECT_EQ(RunReturning(ModelBytes(kRelu),
                         ModelBytes("graph (x: float[2]) -> (y: float[2]) { y: float[2] = test:Halve-1(x) {by=4.0} }")),
            "");
}

TEST(ApiC, FromC) {
  std::string model = ModelBytes("graph (x: float[3]) -> (y: float[3]) { y: float[3] = test:Twice-1(x) }");
  float x[] = {1, 2, 3}, y[3];
  ASSERT_OK(RunTwiceFromC(model.data(), model.size(), x, y, 3));
  EXPECT_EQ(y[2], 6);
}

}  // namespace
}  // namespace linnet_test
