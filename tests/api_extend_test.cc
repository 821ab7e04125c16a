// The C API: custom operators and custom passes, well-behaved and not.
#include <string.h>

#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "api_test_util.h"
#include "linnet/linnet_extend.h"

namespace linnet_test {
namespace {

/// A custom operator made of functions that a test fills in.
struct TestOperator {
  std::function<LinnetCode(const LinnetNode*, void**)> create = [](const LinnetNode*, void**) { return LINNET_OK; };
  std::function<LinnetCode(LinnetInfer*)> infer = [](LinnetInfer* c) {
    LinnetTypeInfo type;
    LinnetCode code = LinnetInferInput(c, 0, &type);
    return code ? code : LinnetInferOutput(c, 0, &type);
  };
  std::function<LinnetCode(void*, LinnetCompute*)> compute;
  std::atomic<int> created{0}, destroyed{0};

  void AddTo(LinnetOptions* options, const char* domain, const char* name, int since, bool random = false) {
    LinnetOperator op = {};
    op.struct_size = sizeof op;
    op.domain = domain;
    op.name = name;
    op.since_version = since;
    op.is_random = random;
    op.user = this;
    op.create = [](void* user, const LinnetNode* node, void** state) {
      auto* self = static_cast<TestOperator*>(user);
      LinnetCode code = self->create(node, state);
      if (code == LINNET_OK) ++self->created;
      return code;
    };
    op.destroy = [](void* user, void*) { ++static_cast<TestOperator*>(user)->destroyed; };
    op.infer = [](void* user, void*, LinnetInfer* c) { return static_cast<TestOperator*>(user)->infer(c); };
    op.compute = [](void* user, void* state, LinnetCompute* c) { return static_cast<TestOperator*>(user)->compute(state, c); };
    EXPECT_OK(LinnetOptionsAddOperator(options, &op));
  }
};

/// y = x + add, on floats.
LinnetCode AddFloats(LinnetCompute* c, float add) {
  LinnetTensor x;
  if (LinnetCode code = LinnetComputeInput(c, 0, &x)) return code;
  void* y = nullptr;
  if (LinnetCode code = LinnetComputeOutput(c, 0, x.type, x.shape, x.rank, &y)) return code;
  for (size_t i = 0; y && i < x.bytes / sizeof(float); ++i) {
    static_cast<float*>(y)[i] = static_cast<const float*>(x.data)[i] + add;
  }
  return LINNET_OK;
}

struct ApiExtend : testing::Test {
  LinnetOptions* options = nullptr;
  LinnetSession* session = nullptr;
  std::deque<TestOperator> operators;   ///< the session, which ends behind the test's body, destroys what they made
  float x[3] = {1, 2, 3}, y[3] = {};
  void SetUp() override { ASSERT_OK(LinnetOptionsCreate(&options)); }
  TestOperator& NewOperator() { return operators.emplace_back(); }
  void TearDown() override {
    EXPECT_OK(LinnetSessionClose(session));
    EXPECT_OK(LinnetOptionsClose(options));
  }
  LinnetCode Open(const std::string& text) {
    std::string bytes = ModelBytes(text);
    LinnetSessionClose(session);
    return LinnetSessionFromMemory(bytes.data(), bytes.size(), options, &session);
  }
  LinnetCode Run(const char* out = "y", size_t bytes = sizeof(float) * 3) {
    int64_t shape[] = {3};
    LinnetInput input = FloatInput("x", x, shape, 1);
    LinnetOutput output = Into(out, y, bytes);
    return LinnetRun(session, &input, 1, &output, 1, nullptr);
  }
};

TEST_F(ApiExtend, OperatorsReadAttributesAndKeepState) {
  TestOperator& op = NewOperator();
  op.create = [](const LinnetNode* node, void** state) -> LinnetCode {
    const char *domain, *name, *attribute;
    int32_t version;
    LinnetAttributeType type;
    size_t count = 0, ints = 0, floats = 0;
    int64_t number = 0, missing = 0;
    float ratio = 0;
    LinnetString text = {}, none = {"x", 1};
    const int64_t* list = nullptr;
    const float* reals = nullptr;
    LinnetValue *tensor = nullptr, *names = nullptr, *absent = nullptr;
    EXPECT_OK(LinnetNodeOp(node, &domain, &name, &version));
    EXPECT_STREQ(domain, "test");
    EXPECT_STREQ(name, "Add3");
    EXPECT_EQ(version, 2);
    EXPECT_OK(LinnetNodeAttributeCount(node, &count));
    EXPECT_EQ(count, 7u);
    EXPECT_OK(LinnetNodeAttribute(node, 0, &attribute, &type));
    EXPECT_STREQ(attribute, "i");
    EXPECT_EQ(type, LINNET_ATTRIBUTE_INT);
    EXPECT_FAILS(LinnetNodeAttribute(node, 7, &attribute, &type), LINNET_INVALID_ARGUMENT, "7 of 7");
    EXPECT_OK(LinnetNodeGetInt(node, "i", 0, &number));
    EXPECT_OK(LinnetNodeGetInt(node, "no", 42, &missing));
    EXPECT_EQ(missing, 42);
    EXPECT_OK(LinnetNodeGetFloat(node, "f", 0, &ratio));
    EXPECT_EQ(ratio, 0.5f);
    EXPECT_OK(LinnetNodeGetString(node, "s", &text));
    EXPECT_EQ(std::string(text.data, text.size), "hello");
    EXPECT_OK(LinnetNodeGetString(node, "no", &none));
    EXPECT_EQ(none.data, nullptr);
    EXPECT_OK(LinnetNodeGetInts(node, "is", &list, &ints));
    EXPECT_EQ(ints, 2u);
    EXPECT_EQ(list[1], 8);
    EXPECT_OK(LinnetNodeGetFloats(node, "fs", &reals, &floats));
    EXPECT_EQ(floats, 1u);
    EXPECT_OK(LinnetNodeGetTensor(node, "t", &tensor));
    EXPECT_OK(LinnetValueClose(tensor));
    EXPECT_OK(LinnetNodeGetTensor(node, "ss", &names));
    LinnetString second;
    EXPECT_OK(LinnetValueString(names, 1, &second));
    EXPECT_STREQ(second.data, "b");
    EXPECT_OK(LinnetValueClose(names));
    EXPECT_OK(LinnetNodeGetTensor(node, "no", &absent));
    EXPECT_EQ(absent, nullptr);
    EXPECT_FAILS(LinnetNodeGetFloat(node, "i", 0, &ratio), LINNET_INVALID_ARGUMENT, "is INT where FLOAT");
    EXPECT_FAILS(LinnetNodeGetInts(node, "s", &list, &ints), LINNET_INVALID_ARGUMENT, "is STRING where INTS");
    EXPECT_FAILS(LinnetNodeGetInt(node, nullptr, 0, &number), LINNET_INVALID_ARGUMENT, "'name' is NULL");
    EXPECT_FAILS(LinnetNodeSetInt(const_cast<LinnetNode*>(node), "i", 3), LINNET_INVALID_ARGUMENT, "only passes");
    *state = reinterpret_cast<void*>(number);
    return LINNET_OK;
  };
  op.compute = [](void* state, LinnetCompute* c) {
    return AddFloats(c, static_cast<float>(reinterpret_cast<intptr_t>(state)));
  };
  op.AddTo(options, "test", "Add3", 1);
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[3]) { y: float[3] = test:Add3-2(x) {i=7, f=0.5, s=\"hello\", is=[7, 8], "
                 "fs=[1.5], t=float[1]{2}, ss=[\"a\", \"b\"]} }"));
  ASSERT_OK(Run());
  EXPECT_EQ(y[2], 10);
  EXPECT_OK(LinnetSessionClose(session));
  session = nullptr;
  EXPECT_GT(op.created.load(), 0);
  EXPECT_EQ(op.created.load(), op.destroyed.load());
}

TEST_F(ApiExtend, TheHighestVersionServesAndBuiltInOnesAreReplaced) {
  TestOperator &one = NewOperator(), &five = NewOperator(), &relu = NewOperator();
  one.compute = [](void*, LinnetCompute* c) { return AddFloats(c, 1); };
  five.compute = [](void*, LinnetCompute* c) { return AddFloats(c, 5); };
  relu.compute = [](void*, LinnetCompute* c) { return AddFloats(c, 100); };
  one.AddTo(options, "test", "Inc", 1);
  five.AddTo(options, "test", "Inc", 5);
  relu.AddTo(options, "ai.onnx", "Relu", 14);
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[3]) { y: float[3] = test:Inc-4(x) }"));
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], 2);
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[3]) { y: float[3] = test:Inc-9(x) }"));
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], 6);
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[3]) { y: float[3] = Relu-14(x) }"));
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], 101);
}

TEST_F(ApiExtend, ShapesThatDependOnContents) {
  // Keeps what is above 1.5: how many is known after counting.
  TestOperator& op = NewOperator();
  op.infer = [](LinnetInfer* c) {
    LinnetTypeInfo type = {LINNET_KIND_TENSOR, LINNET_FLOAT, 0, 1, {-1}};
    return LinnetInferOutput(c, 0, &type);
  };
  op.compute = [](void*, LinnetCompute* c) -> LinnetCode {
    LinnetTensor x;
    LinnetComputeInput(c, 0, &x);
    std::vector<float> kept;
    for (int64_t i = 0; i < x.shape[0]; ++i) {
      if (static_cast<const float*>(x.data)[i] > 1.5f) kept.push_back(static_cast<const float*>(x.data)[i]);
    }
    int64_t shape[] = {static_cast<int64_t>(kept.size())};
    void* y = nullptr;
    if (LinnetCode code = LinnetComputeOutput(c, 0, LINNET_FLOAT, shape, 1, &y)) return code;
    memcpy(y, kept.data(), kept.size() * sizeof(float));
    return LINNET_OK;
  };
  op.AddTo(options, "test", "Keep", 1);
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[N]) { k = test:Keep-1(x)\n y: float[N] = Neg-13(k) }"));
  ASSERT_OK(Run("y", 8));
  EXPECT_EQ(y[0], -2);
  EXPECT_EQ(y[1], -3);
  x[0] = 9;
  EXPECT_FAILS(Run("y", 8), LINNET_INVALID_ARGUMENT, "needs 12 bytes");
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], -9);
}

TEST_F(ApiExtend, ShapesFromContentsKnownAhead) {
  // Tile-like: the count is input 1, whose contents infer asks for.
  TestOperator& op = NewOperator();
  op.infer = [](LinnetInfer* c) -> LinnetCode {
    LinnetTypeInfo type = {LINNET_KIND_TENSOR, LINNET_FLOAT, 0, 1, {-1}};
    const void* data = nullptr;
    size_t bytes = 0;
    if (LinnetCode code = LinnetInferInputData(c, 1, &data, &bytes)) return code;
    if (data) {
      EXPECT_EQ(bytes, 8u);
      type.shape[0] = *static_cast<const int64_t*>(data);
    }
    return LinnetInferOutput(c, 0, &type);
  };
  op.compute = [](void*, LinnetCompute* c) -> LinnetCode {
    LinnetTensor n, x;
    LinnetComputeInput(c, 0, &x);
    LinnetComputeInput(c, 1, &n);
    int64_t count = *static_cast<const int64_t*>(n.data);
    void* y = nullptr;
    if (LinnetCode code = LinnetComputeOutput(c, 0, LINNET_FLOAT, &count, 1, &y)) return code;
    for (int64_t i = 0; i < count; ++i) static_cast<float*>(y)[i] = *static_cast<const float*>(x.data);
    return LINNET_OK;
  };
  op.AddTo(options, "test", "Fill", 1);
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[N]) { n = const int64[]{2}\n y: float[N] = test:Fill-1(x, n) }"));
  ASSERT_OK(Run("y", 8));
  EXPECT_EQ(y[1], 1);
}

TEST_F(ApiExtend, StringsAndSequencesThroughValues) {
  TestOperator& op = NewOperator();
  op.infer = [](LinnetInfer* c) {
    LinnetTypeInfo type = {LINNET_KIND_SEQUENCE, LINNET_STRING, 0, -1, {}};
    return LinnetInferOutput(c, 0, &type);
  };
  op.compute = [](void*, LinnetCompute* c) -> LinnetCode {
    LinnetValue *text = nullptr, *items[2] = {}, *sequence = nullptr;
    if (LinnetCode code = LinnetComputeInputValue(c, 0, &text)) return code;
    items[0] = items[1] = text;
    LinnetCode code = LinnetSequenceCreate(LINNET_STRING, items, 2, &sequence);
    if (code == LINNET_OK) code = LinnetComputeOutputValue(c, 0, sequence);
    LinnetValueClose(text);
    LinnetValueClose(sequence);
    return code;
  };
  op.AddTo(options, "test", "Pair", 1);
  ASSERT_OK(Open("graph (x: string[1]) -> (y: seq(string[...])) { y = test:Pair-1(x) }"));
  LinnetString text = {"hi", 2};
  int64_t shape[] = {1};
  LinnetInput input = {};
  input.name = "x", input.type = LINNET_STRING, input.rank = 1, input.shape = shape, input.data = &text,
  input.bytes = sizeof text;
  LinnetOutput output = Made("y");
  ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
  size_t count = 0;
  EXPECT_OK(LinnetValueCount(output.value, &count));
  EXPECT_EQ(count, 2u);
  EXPECT_OK(LinnetValueClose(output.value));
}

TEST_F(ApiExtend, OperatorsThatBreakTheirWordAreStopped) {
  const char* text = "graph (x: float[3]) -> (y: float[3]) { t: float[3] = test:Bad-1(x) @culprit\n y: float[3] = Neg-13(t) }";
  TestOperator& op = NewOperator();
  op.AddTo(options, "test", "Bad", 1, true);
  op.compute = [](void*, LinnetCompute*) { return LINNET_OK; };
  ASSERT_OK(Open(text));
  EXPECT_FAILS(Run(), LINNET_INVALID_ARGUMENT, "left output 0 without contents");
  EXPECT_NE(std::string(LinnetLastError()).find("'culprit'"), std::string::npos) << LinnetLastError();
  auto fails_with = [&](std::function<LinnetCode(LinnetCompute*)> compute, LinnetCode code, const char* part) {
    op.compute = [compute](void*, LinnetCompute* c) { return compute(c); };
    EXPECT_FAILS(Run(), code, part);
  };
  fails_with([](LinnetCompute*) { return LinnetFail(LINNET_UNSUPPORTED, "not on Sundays"); }, LINNET_UNSUPPORTED, "not on Sundays");
  fails_with([](LinnetCompute*) { return LINNET_IO; }, LINNET_IO, "without a sentence");
  fails_with([](LinnetCompute*) { return LinnetCode{55}; }, LINNET_INTERNAL, "code 55");
  fails_with([](LinnetCompute* c) { int64_t shape[] = {4}; void* y; return LinnetComputeOutput(c, 0, LINNET_FLOAT, shape, 1, &y); },
             LINNET_INVALID_ARGUMENT, "where infer said float[3]");
  fails_with([](LinnetCompute* c) { int64_t shape[] = {3}; void* y; return LinnetComputeOutput(c, 0, LINNET_DOUBLE, shape, 1, &y); },
             LINNET_INVALID_ARGUMENT, "where infer said float[3]");
  fails_with([](LinnetCompute* c) { int64_t shape[] = {3}; void* y; return LinnetComputeOutput(c, 1, LINNET_FLOAT, shape, 1, &y); },
             LINNET_INVALID_ARGUMENT, "output 1 of 1");
  fails_with([](LinnetCompute* c) { LinnetTensor t; return LinnetComputeInput(c, 9, &t); }, LINNET_INVALID_ARGUMENT, "input 9 of 1");
  fails_with([](LinnetCompute* c) { return LinnetComputeOutputValue(c, 0, nullptr); }, LINNET_INVALID_ARGUMENT, "no open value");
  fails_with([](LinnetCompute* c) {
    LinnetValue* other = nullptr;
    int64_t shape[] = {2};
    LinnetTensorCreate(LINNET_FLOAT, shape, 1, nullptr, &other);
    LinnetCode code = LinnetComputeOutputValue(c, 0, other);
    LinnetValueClose(other);
    return code;
  }, LINNET_INVALID_ARGUMENT, "float[2] where infer said float[3]");
  op.compute = [](void*, LinnetCompute* c) { return AddFloats(c, 1); };
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], -2);

  op.infer = [](LinnetInfer* c) {
    LinnetTypeInfo type = {LINNET_KIND_TENSOR, LINNET_FLOAT, 0, 12, {}};
    return LinnetInferOutput(c, 0, &type);
  };
  EXPECT_FAILS(Open(text), LINNET_INVALID_ARGUMENT, "rank 12");
  op.infer = [](LinnetInfer*) { return LinnetFail(LINNET_INVALID_MODEL, "no such types"); };
  EXPECT_FAILS(Open(text), LINNET_INVALID_MODEL, "no such types");
  op.create = [](const LinnetNode*, void**) { return LinnetFail(LINNET_INVALID_MODEL, "no such attribute"); };
  EXPECT_FAILS(Open(text), LINNET_INVALID_MODEL, "no such attribute");

  LinnetOperator incomplete = {};
  EXPECT_FAILS(LinnetOptionsAddOperator(options, &incomplete), LINNET_INVALID_ARGUMENT, "struct_size");
  incomplete.struct_size = sizeof incomplete;
  EXPECT_FAILS(LinnetOptionsAddOperator(options, &incomplete), LINNET_INVALID_ARGUMENT, "no name");
  incomplete.name = "A";
  EXPECT_FAILS(LinnetOptionsAddOperator(options, &incomplete), LINNET_INVALID_ARGUMENT, "version is 0");
  incomplete.since_version = 1;
  EXPECT_FAILS(LinnetOptionsAddOperator(options, &incomplete), LINNET_INVALID_ARGUMENT, "lacks its infer");
}

TEST_F(ApiExtend, LongComputationsAreCancelled) {
  TestOperator& op = NewOperator();
  op.compute = [](void*, LinnetCompute* c) -> LinnetCode {
    for (;;) {
      if (LinnetCode code = LinnetComputeCheck(c)) return code;
    }
  };
  op.AddTo(options, "test", "Forever", 1, true);
  ASSERT_OK(LinnetOptionsSetTimeLimit(options, 20'000'000));
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[3]) { y: float[3] = test:Forever-1(x) }"));
  EXPECT_FAILS(Run(), LINNET_LIMIT_REACHED, "time limit");
}

TEST_F(ApiExtend, CustomOperatorsLiveInPreparedFiles) {
  TestOperator& op = NewOperator();
  op.compute = [](void*, LinnetCompute* c) { return AddFloats(c, 3); };
  op.AddTo(options, "test", "Three", 1);
  std::string bytes = ModelBytes("graph (x: float[3]) -> (y: float[3]) { t: float[3] = test:Three-1(x)\n y: float[3] = Neg-13(t) }");
  std::string model = TemporaryPath("m.onnx"), prepared = model + ".linnet";
  FILE* file = fopen(model.c_str(), "wb");
  fwrite(bytes.data(), 1, bytes.size(), file);
  fclose(file);
  ASSERT_OK(LinnetConvert(model.c_str(), prepared.c_str(), options));
  EXPECT_FAILS(LinnetSessionOpen(prepared.c_str(), nullptr, &session), LINNET_UNSUPPORTED, "test:Three");
  ASSERT_OK(LinnetSessionOpen(prepared.c_str(), options, &session));
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], -4);
}

// Passes --------------------------------------------------------------------------------------------------------------

struct TestPass {
  std::function<LinnetCode(LinnetGraph*)> run;
  int calls = 0;
  void AddTo(LinnetOptions* options, const char* name) {
    LinnetPass pass = {};
    pass.struct_size = sizeof pass;
    pass.name = name;
    pass.user = this;
    pass.run = [](void* user, LinnetGraph* graph) {
      ++static_cast<TestPass*>(user)->calls;
      return static_cast<TestPass*>(user)->run(graph);
    };
    EXPECT_OK(LinnetOptionsAddPass(options, &pass));
  }
};

LinnetNode* NodeOf(LinnetGraph* graph, const char* op) {
  size_t nodes = 0;
  EXPECT_OK(LinnetGraphCounts(graph, &nodes, nullptr, nullptr));
  for (size_t i = 0; i < nodes; ++i) {
    LinnetNode* node = nullptr;
    const char* found = nullptr;
    EXPECT_OK(LinnetGraphNode(graph, i, &node));
    EXPECT_OK(LinnetNodeOp(node, nullptr, &found, nullptr));
    if (strcmp(found, op) == 0) return node;
  }
  return nullptr;
}

TEST_F(ApiExtend, PassesInspectAndRewire) {
  // Relu(x) becomes x * 2 + 1: a constant, two new nodes, uses rewired, the old node removed.
  TestPass pass;
  pass.run = [](LinnetGraph* graph) -> LinnetCode {
    size_t nodes = 0, inputs = 0, outputs = 0, readers = 0;
    EXPECT_OK(LinnetGraphCounts(graph, &nodes, &inputs, &outputs));
    EXPECT_EQ(nodes, 2u);
    EXPECT_EQ(inputs, 1u);
    EXPECT_EQ(outputs, 1u);
    LinnetNode *relu = NodeOf(graph, "Relu"), *producer = nullptr;
    const char* name = nullptr;
    EXPECT_OK(LinnetNodeName(relu, &name));
    EXPECT_STREQ(name, "middle");
    LinnetValueId x = -1, t = -1, in = -1, two = -1, one = -1;
    EXPECT_OK(LinnetGraphInput(graph, 0, &x));
    EXPECT_OK(LinnetNodeInput(relu, 0, &in));
    EXPECT_EQ(in, x);
    EXPECT_OK(LinnetNodeOutput(relu, 0, &t));
    LinnetTypeInfo type;
    EXPECT_OK(LinnetGraphValue(graph, t, &name, &type, &readers));
    EXPECT_STREQ(name, "t");
    EXPECT_EQ(type.shape[0], 3);
    EXPECT_EQ(readers, 1u);
    EXPECT_OK(LinnetGraphProducer(graph, t, &producer));
    EXPECT_EQ(producer, relu);
    EXPECT_OK(LinnetGraphProducer(graph, x, &producer));
    EXPECT_EQ(producer, nullptr);

    float numbers[] = {2, 1};
    LinnetValue* scalar = nullptr;
    EXPECT_OK(LinnetTensorCreate(LINNET_FLOAT, nullptr, 0, &numbers[0], &scalar));
    EXPECT_OK(LinnetGraphAddConstant(graph, "two", scalar, &two));
    EXPECT_OK(LinnetValueClose(scalar));
    EXPECT_OK(LinnetTensorCreate(LINNET_FLOAT, nullptr, 0, &numbers[1], &scalar));
    EXPECT_OK(LinnetGraphAddConstant(graph, "one", scalar, &one));
    EXPECT_OK(LinnetValueClose(scalar));
    LinnetValue* contents = nullptr;
    EXPECT_OK(LinnetGraphConstant(graph, two, &contents));
    EXPECT_NE(contents, nullptr);
    EXPECT_OK(LinnetValueClose(contents));
    EXPECT_OK(LinnetGraphConstant(graph, x, &contents));
    EXPECT_EQ(contents, nullptr);

    LinnetNode *mul = nullptr, *add = nullptr;
    LinnetValueId mul_inputs[] = {x, two}, product = -1, sum = -1;
    EXPECT_OK(LinnetGraphAddNode(graph, "double", "", "Mul", 14, mul_inputs, 2, 1, &mul));
    EXPECT_OK(LinnetNodeOutput(mul, 0, &product));
    LinnetValueId add_inputs[] = {product};
    EXPECT_OK(LinnetGraphAddNode(graph, nullptr, nullptr, "Add", 14, add_inputs, 1, 1, &add));
    EXPECT_OK(LinnetNodeSetInput(add, 1, one));
    EXPECT_OK(LinnetNodeOutput(add, 0, &sum));
    EXPECT_OK(LinnetGraphReplaceUses(graph, t, sum));
    EXPECT_OK(LinnetNodeRemove(relu));
    EXPECT_FAILS(LinnetNodeName(relu, &name), LINNET_INVALID_ARGUMENT, "was removed");
    EXPECT_FAILS(LinnetNodeRemove(relu), LINNET_INVALID_ARGUMENT, "was removed");
    return LINNET_OK;
  };
  pass.AddTo(options, "rewire");
  ASSERT_OK(Open("graph (x: float[3]) -> (y: float[3]) { t: float[3] = Relu-14(x) @middle\n y: float[3] = Neg-14(t) }"));
  EXPECT_EQ(pass.calls, 1);
  ASSERT_OK(Run());
  EXPECT_EQ(y[0], -3);
  EXPECT_EQ(y[2], -7);
}

TEST_F(ApiExtend, PassesRunAfterSimplificationsAndCanBeSwitchedOff) {
  // The second Identity is gone when the pass runs; convolutions are still ONNX's.
  TestPass pass;
  pass.run = [](LinnetGraph* graph) -> LinnetCode {
    EXPECT_EQ(NodeOf(graph, "Identity"), nullptr);
    EXPECT_NE(NodeOf(graph, "Conv"), nullptr);
    return LINNET_OK;
  };
  pass.AddTo(options, "look");
  const char* text =
      "graph (x: float[3]) -> (y: float[3]) { s = const int64[4]{1, 1, 1, 3}\n w = const float[1,1,1,1]{2}\n f = const int64[1]{3}\n"
      " i: float[3] = Identity-16(x)\n r: float[1,1,1,3] = Reshape-16(i, s)\n c: float[1,1,1,3] = Conv-16(r, w)\n"
      " y: float[3] = Reshape-16(c, f) }";
  ASSERT_OK(Open(text));
  EXPECT_EQ(pass.calls, 1);
  ASSERT_OK(Run());
  EXPECT_EQ(y[1], 4);
  ASSERT_OK(LinnetOptionsDisablePass(options, "look"));
  ASSERT_OK(Open(text));
  EXPECT_EQ(pass.calls, 1);
}

TEST_F(ApiExtend, PassesThatBreakTheGraphAreReported) {
  const char* text = "graph (x: float[3]) -> (y: float[3]) { t: float[3] = Relu-14(x)\n y: float[3] = Neg-14(t) }";
  TestPass pass;
  pass.AddTo(options, "breaker");
  auto fails = [&](std::function<LinnetCode(LinnetGraph*)> run, LinnetCode code, const char* part) {
    pass.run = std::move(run);
    EXPECT_FAILS(Open(text), code, part);
    EXPECT_NE(std::string(LinnetLastError()).find("pass 'breaker'"), std::string::npos) << LinnetLastError();
  };
  fails([](LinnetGraph*) { return LinnetFail(LINNET_UNSUPPORTED, "do not like it"); }, LINNET_UNSUPPORTED, "do not like it");
  fails([](LinnetGraph* graph) { return LinnetNodeRemove(NodeOf(graph, "Relu")); }, LINNET_INVALID_MODEL, "'t'");
  fails([](LinnetGraph* graph) { return LinnetNodeSetOp(NodeOf(graph, "Relu"), "", "Wobble", 1); }, LINNET_UNSUPPORTED, "Wobble");
  fails([](LinnetGraph* graph) {
    LinnetValueId y = -1;
    LinnetGraphOutput(graph, 0, &y);
    return LinnetNodeSetInput(NodeOf(graph, "Relu"), 0, y);
  }, LINNET_INVALID_MODEL, "cycle");
  fails([](LinnetGraph* graph) { return LinnetNodeSetInput(NodeOf(graph, "Relu"), 0, 99999); }, LINNET_INVALID_ARGUMENT, "99999");
  fails([](LinnetGraph* graph) { return LinnetNodeSetInput(NodeOf(graph, "Relu"), 5, -1); }, LINNET_INVALID_ARGUMENT, "5 of 1");
  fails([](LinnetGraph* graph) { return LinnetGraphReplaceUses(graph, -1, 0); }, LINNET_INVALID_ARGUMENT, "value -1");
  fails([](LinnetGraph* graph) { LinnetNode* node; return LinnetGraphNode(graph, 17, &node); }, LINNET_INVALID_ARGUMENT, "17 of 0");
  fails([](LinnetGraph* graph) {
    LinnetValueId bad[] = {-7};
    return LinnetGraphAddNode(graph, "n", "", "Relu", 14, bad, 1, 1, nullptr);
  }, LINNET_INVALID_ARGUMENT, "value -7");
  fails([](LinnetGraph* graph) { LinnetGraph* body; return LinnetNodeBody(NodeOf(graph, "Relu"), 0, &body); }, LINNET_INVALID_ARGUMENT,
        "0 of 0");
  fails([](LinnetGraph* graph) { return LinnetNodeSetInt(NodeOf(graph, "Relu"), nullptr, 0); }, LINNET_INVALID_ARGUMENT, "NULL");
  LinnetPass bad = {};
  bad.struct_size = sizeof bad;
  EXPECT_FAILS(LinnetOptionsAddPass(options, &bad), LINNET_INVALID_ARGUMENT, "no name");
  bad.name = "simplify";
  EXPECT_FAILS(LinnetOptionsAddPass(options, &bad), LINNET_INVALID_ARGUMENT, "lacks its run");
  bad.run = [](void*, LinnetGraph*) -> LinnetCode { return LINNET_OK; };
  EXPECT_FAILS(LinnetOptionsAddPass(options, &bad), LINNET_INVALID_ARGUMENT, "built in");
}

TEST_F(ApiExtend, PassesReachBodies) {
  TestPass pass;
  pass.run = [](LinnetGraph* graph) -> LinnetCode {
    LinnetGraph* body = nullptr;
    LinnetNode* node = NodeOf(graph, "If");
    if (LinnetCode code = LinnetNodeBody(node, 1, &body)) return code;
    return LinnetNodeSetOp(NodeOf(body, "Relu"), "", "Neg", 13);
  };
  pass.AddTo(options, "in_body");
  ASSERT_OK(Open(
      "graph (x: float[3], c: bool[]) -> (y: float[3]) {\n"
      "  y: float[3] = If-16(c) {then_branch=graph then () captures (u: float[3] = x) -> (v) {\n    v: float[3] = Abs-16(u)\n  },"
      " else_branch=graph else () captures (u2: float[3] = x) -> (w) {\n    w: float[3] = Relu-16(u2)\n  }}\n}"));
  int64_t shape[] = {3};
  bool condition = false;
  LinnetInput inputs[] = {FloatInput("x", x, shape, 1), {}};
  inputs[1].name = "c", inputs[1].type = LINNET_BOOL, inputs[1].data = &condition, inputs[1].bytes = 1;
  LinnetOutput output = Into("y", y, sizeof y);
  ASSERT_OK(LinnetRun(session, inputs, 2, &output, 1, nullptr));
  EXPECT_EQ(y[1], -2);
}

}  // namespace
}  // namespace linnet_test
