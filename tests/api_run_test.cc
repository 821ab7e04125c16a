// The C API: runs on tensors, values of every kind, bindings, hostile arguments.
#include <string.h>

#include <random>
#include <string>
#include <vector>

#include "api_test_util.h"

namespace linnet_test {
namespace {

const char* const kAdd = "graph (a: float[2,N], b: float[2,N]) -> (sum: float[2,N]) { sum: float[2,N] = Add-14(a, b) }";

struct AddFixture : testing::Test {
  LinnetSession* session = OpenText(kAdd);
  float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {10, 20, 30, 40, 50, 60}, sum[6] = {};
  int64_t shape[2] = {2, 3};
  LinnetInput inputs[2] = {FloatInput("a", a, shape, 2), FloatInput("b", b, shape, 2)};
  LinnetOutput output = Into("sum", sum, sizeof sum);
  LinnetCode Run() { return LinnetRun(session, inputs, 2, &output, 1, nullptr); }
  ~AddFixture() override { EXPECT_OK(LinnetSessionClose(session)); }
};

TEST_F(AddFixture, CallersMemoryInAndOut) {
  ASSERT_OK(Run());
  EXPECT_EQ(output.value, nullptr);
  EXPECT_EQ(output.type.kind, LINNET_KIND_TENSOR);
  EXPECT_EQ(output.type.rank, 2);
  EXPECT_EQ(output.type.shape[1], 3);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(sum[i], 11.0f * static_cast<float>(i + 1));
}

TEST_F(AddFixture, TheLibraryMakesTheOutput) {
  output = Made("sum");
  ASSERT_OK(Run());
  const void* data = nullptr;
  size_t bytes = 0, count = 0;
  ASSERT_OK(LinnetValueData(output.value, &data, &bytes));
  EXPECT_EQ(bytes, sizeof sum);
  EXPECT_EQ(static_cast<const float*>(data)[5], 66);
  ASSERT_OK(LinnetValueCount(output.value, &count));
  EXPECT_EQ(count, 6u);
  EXPECT_OK(LinnetValueClose(output.value));
}

TEST_F(AddFixture, OutputsOutliveTheSession) {
  output = Made("sum");
  ASSERT_OK(Run());
  EXPECT_OK(LinnetSessionClose(session));
  session = OpenText(kAdd);
  inputs[0] = ValueInput("a", output.value);
  LinnetValue* first = output.value;
  ASSERT_OK(Run());
  const void* data = nullptr;
  ASSERT_OK(LinnetValueData(output.value, &data, nullptr));
  EXPECT_EQ(static_cast<const float*>(data)[0], 21);
  EXPECT_OK(LinnetValueClose(first));
  EXPECT_OK(LinnetValueClose(output.value));
}

TEST_F(AddFixture, UnalignedMemoryWorks) {
  std::vector<char> in(sizeof a + 1), out(sizeof sum + 1);
  memcpy(in.data() + 1, a, sizeof a);
  inputs[0].data = in.data() + 1;
  output.data = out.data() + 1;
  ASSERT_OK(Run());
  memcpy(sum, out.data() + 1, sizeof sum);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(sum[i], 11.0f * static_cast<float>(i + 1));
  EXPECT_EQ(output.type.shape[1], 3);
}

TEST_F(AddFixture, WrongArgumentsAreSentences) {
  auto fails = [&](const char* part) { EXPECT_FAILS(Run(), LINNET_INVALID_ARGUMENT, part); };
  LinnetInput good = inputs[0];
  inputs[0].name = "c", fails("there is no input 'c'");
  inputs[0].name = nullptr, fails("name of an input is NULL");
  inputs[0] = good, inputs[0].data = nullptr, fails("data is NULL");
  inputs[0] = good, inputs[0].bytes = 23, fails("has 24 bytes, and comes with 23");
  inputs[0] = good, inputs[0].bytes = SIZE_MAX, fails("has 24 bytes");
  inputs[0] = good, inputs[0].type = LINNET_INT32, fails("another element type");
  inputs[0] = good, inputs[0].type = 99, fails("no element type 99");
  inputs[0] = good, inputs[0].type = LINNET_UNDEFINED, fails("no element type 0");
  inputs[0] = good, inputs[0].shape = nullptr, fails("shape is NULL");
  inputs[0] = good, inputs[0].rank = -1, fails("rank -1");
  inputs[0] = good, inputs[0].rank = 9, fails("rank 9");
  int64_t flat[] = {6}, other[] = {3, 2}, negative[] = {2, -3}, huge[] = {INT64_MAX, INT64_MAX}, longer[] = {2, 2};
  inputs[0] = good, inputs[0].shape = flat, inputs[0].rank = 1, fails("another rank");
  inputs[0] = good, inputs[0].shape = other, fails("dimension 0 is not 2");
  inputs[0] = good, inputs[0].shape = negative, fails("dimension 1 is -3");
  inputs[0] = good, inputs[0].shape = huge;
  EXPECT_NE(Run(), LINNET_OK);
  inputs[0] = good, inputs[0].shape = longer, inputs[0].bytes = 16, fails("whose dimension 1 is not 2");
  inputs[0] = good, inputs[1] = good, fails("'a' is given twice");
  inputs[1] = FloatInput("b", b, shape, 2);
  EXPECT_FAILS(LinnetRun(session, inputs, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "input 'b' is missing");
  EXPECT_FAILS(LinnetRun(session, nullptr, 2, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "'inputs' is NULL");
  EXPECT_FAILS(LinnetRun(session, inputs, 2, nullptr, 1, nullptr), LINNET_INVALID_ARGUMENT, "'outputs' is NULL");
  output.name = "total", fails("there is no output 'total'");
  output.name = nullptr, fails("name of an output is NULL");
  output = Into("sum", sum, 23), fails("needs 24 bytes");
  LinnetOutput twice[2] = {Made("sum"), Made("sum")};
  EXPECT_FAILS(LinnetRun(session, inputs, 2, twice, 2, nullptr), LINNET_INVALID_ARGUMENT, "asked for twice");
  output = Into("sum", a, sizeof a), fails("overlaps");
  output = Into("sum", reinterpret_cast<char*>(b) + 20, sizeof sum), fails("overlaps");
  inputs[0] = ValueInput("a", reinterpret_cast<LinnetValue*>(session));
  output = Into("sum", sum, sizeof sum), fails("no open value handle");
  LinnetRunOptions options = {};
  inputs[0] = good;
  EXPECT_FAILS(LinnetRun(session, inputs, 2, &output, 1, &options), LINNET_INVALID_ARGUMENT, "struct_size");
  options = {sizeof options, reinterpret_cast<LinnetCancel*>(session)};
  EXPECT_FAILS(LinnetRun(session, inputs, 2, &output, 1, &options), LINNET_INVALID_ARGUMENT, "no open cancel handle");
  ASSERT_OK(Run());
  EXPECT_EQ(sum[0], 11);
}

TEST_F(AddFixture, InputsMayShareMemoryAndOutputsMayBeLeftOut) {
  inputs[1].data = a;
  ASSERT_OK(Run());
  EXPECT_EQ(sum[5], 12);
  EXPECT_OK(LinnetRun(session, inputs, 2, nullptr, 0, nullptr));
}

TEST_F(AddFixture, ZeroSizeTensors) {
  int64_t none[] = {2, 0};
  inputs[0] = FloatInput("a", nullptr, none, 2);
  inputs[1] = FloatInput("b", nullptr, none, 2);
  output = Made("sum");
  ASSERT_OK(Run());
  size_t count = 7;
  EXPECT_OK(LinnetValueCount(output.value, &count));
  EXPECT_EQ(count, 0u);
  EXPECT_OK(LinnetValueClose(output.value));
}

TEST_F(AddFixture, BindingsRepeatARun) {
  LinnetBinding* binding = nullptr;
  ASSERT_OK(LinnetBindingCreate(session, &binding));
  EXPECT_FAILS(LinnetBindingRun(binding, nullptr), LINNET_INVALID_ARGUMENT, "'a' is missing");
  ASSERT_OK(LinnetBindingInput(binding, &inputs[0]));
  ASSERT_OK(LinnetBindingInput(binding, &inputs[1]));
  ASSERT_OK(LinnetBindingOutput(binding, &output));
  EXPECT_OK(LinnetSessionClose(session));  // the binding holds it
  for (int i = 0; i < 100; ++i) {
    a[0] = static_cast<float>(i);
    ASSERT_OK(LinnetBindingRun(binding, nullptr));
    EXPECT_EQ(sum[0], static_cast<float>(i) + 10);
  }
  LinnetOutput result = {};
  ASSERT_OK(LinnetBindingResult(binding, "sum", &result));
  EXPECT_EQ(result.data, sum);
  EXPECT_EQ(result.type.shape[1], 3);
  // Made by the run, from unaligned memory, of another shape.
  std::vector<char> moved(17);
  float four[4] = {1, 2, 3, 4};
  memcpy(moved.data() + 1, four, sizeof four);
  int64_t narrow[] = {2, 2};
  inputs[0] = FloatInput("a", nullptr, narrow, 2);
  inputs[0].data = moved.data() + 1;
  inputs[1] = FloatInput("b", b, narrow, 2);
  output = Made("sum");
  ASSERT_OK(LinnetBindingInput(binding, &inputs[0]));
  ASSERT_OK(LinnetBindingInput(binding, &inputs[1]));
  ASSERT_OK(LinnetBindingOutput(binding, &output));
  EXPECT_FAILS(LinnetBindingResult(binding, "sum", &result), LINNET_INVALID_ARGUMENT, "has not run");
  for (int i = 0; i < 3; ++i) {
    four[3] = static_cast<float>(i);
    memcpy(moved.data() + 1, four, sizeof four);
    ASSERT_OK(LinnetBindingRun(binding, nullptr));
    ASSERT_OK(LinnetBindingResult(binding, "sum", &result));
    const void* data = nullptr;
    ASSERT_OK(LinnetValueData(result.value, &data, nullptr));
    EXPECT_EQ(static_cast<const float*>(data)[3], static_cast<float>(i) + 40);
    EXPECT_OK(LinnetValueClose(result.value));
  }
  output = Into("sum", b, sizeof b);
  ASSERT_OK(LinnetBindingOutput(binding, &output));
  EXPECT_FAILS(LinnetBindingRun(binding, nullptr), LINNET_INVALID_ARGUMENT, "overlaps");
  EXPECT_FAILS(LinnetBindingInput(binding, nullptr), LINNET_INVALID_ARGUMENT, "'input' is NULL");
  EXPECT_FAILS(LinnetBindingResult(binding, "nope", &result), LINNET_INVALID_ARGUMENT, "'nope'");
  EXPECT_OK(LinnetBindingClose(binding));
  EXPECT_FAILS(LinnetBindingRun(binding, nullptr), LINNET_INVALID_ARGUMENT, "no open binding");
  session = OpenText(kAdd);
}

TEST(ApiRun, EveryElementTypeGoesThroughUnchanged) {
  std::mt19937 random(7);
  for (LinnetElementType type = LINNET_FLOAT; type <= LINNET_INT2; ++type) {
    if (type == LINNET_STRING) continue;
    std::string name = LinnetElementTypeName(type);
    LinnetSession* session =
        OpenText("graph (x: " + name + "[3,5]) -> (y: " + name + "[5,3]) { y: " + name + "[5,3] = Transpose-25(x) {perm=[0, 1]} }");
    // perm [0, 1] keeps the order, so that the bytes come out as they went in.
    int64_t bytes = LinnetTensorBytes(type, 15);
    std::vector<unsigned char> in(static_cast<size_t>(bytes)), out(in.size(), 0xEE);
    for (unsigned char& byte : in) byte = static_cast<unsigned char>(type == LINNET_BOOL ? random() % 2 : random());
    if (LinnetTensorBytes(type, 2) == 1 || LinnetTensorBytes(type, 4) == 1) in.back() &= 0x0F;  // unused bits
    int64_t shape[] = {3, 5};
    LinnetInput input = {};
    input.name = "x";
    input.type = type;
    input.rank = 2;
    input.shape = shape;
    input.data = in.data();
    input.bytes = in.size();
    LinnetOutput output = Into("y", out.data(), out.size());
    EXPECT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr)) << name;
    EXPECT_EQ(in, out) << name;
    LinnetValue* value = nullptr;
    ASSERT_OK(LinnetTensorCreate(type, shape, 2, in.data(), &value));
    input = ValueInput("x", value);
    output = Made("y");
    EXPECT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr)) << name;
    const void* data = nullptr;
    size_t size = 0;
    ASSERT_OK(LinnetValueData(output.value, &data, &size));
    ASSERT_EQ(size, in.size()) << name;
    EXPECT_EQ(memcmp(data, in.data(), size), 0) << name;
    EXPECT_OK(LinnetValueClose(value));
    EXPECT_OK(LinnetValueClose(output.value));
    EXPECT_OK(LinnetSessionClose(session));
  }
}

TEST(ApiRun, BoolsAreZeroOrOne) {
  LinnetSession* session = OpenText("graph (x: bool[3]) -> (y: bool[3]) { y: bool[3] = Not-1(x) }");
  unsigned char x[] = {0, 1, 2}, y[3];
  int64_t shape[] = {3};
  LinnetInput input = {};
  input.name = "x", input.type = LINNET_BOOL, input.rank = 1, input.shape = shape, input.data = x, input.bytes = 3;
  LinnetOutput output = Into("y", y, 3);
  EXPECT_FAILS(LinnetRun(session, &input, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "neither 0 nor 1");
  LinnetBinding* binding = nullptr;
  ASSERT_OK(LinnetBindingCreate(session, &binding));
  x[2] = 1;
  ASSERT_OK(LinnetBindingInput(binding, &input));
  ASSERT_OK(LinnetBindingOutput(binding, &output));
  EXPECT_OK(LinnetBindingRun(binding, nullptr));
  EXPECT_EQ(y[0], 1);
  x[2] = 77;
  EXPECT_FAILS(LinnetBindingRun(binding, nullptr), LINNET_INVALID_ARGUMENT, "neither 0 nor 1");
  LinnetValue* value = nullptr;
  EXPECT_FAILS(LinnetTensorCreate(LINNET_BOOL, shape, 1, x, &value), LINNET_INVALID_ARGUMENT, "neither 0 nor 1");
  EXPECT_FAILS(LinnetTensorView(LINNET_BOOL, shape, 1, x, nullptr, nullptr, &value), LINNET_INVALID_ARGUMENT, "neither");
  EXPECT_OK(LinnetBindingClose(binding));
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiRun, Strings) {
  LinnetSession* session = OpenText(
      "graph (x: string[N], y: string[N]) -> (z: string[N]) { z: string[N] = StringConcat-20(x, y) }");
  std::string with_nul("a\0b", 3), odd = "\xff\xfe";
  LinnetString left[] = {{with_nul.data(), 3}, {nullptr, 0}}, right[] = {{"!", 1}, {odd.data(), 2}};
  int64_t shape[] = {2};
  LinnetInput inputs[2] = {};
  for (int i = 0; i < 2; ++i) {
    inputs[i].name = i ? "y" : "x";
    inputs[i].type = LINNET_STRING;
    inputs[i].rank = 1;
    inputs[i].shape = shape;
    inputs[i].data = i ? right : left;
    inputs[i].bytes = sizeof left;
  }
  LinnetOutput output = Made("z");
  ASSERT_OK(LinnetRun(session, inputs, 2, &output, 1, nullptr));
  LinnetString text;
  ASSERT_OK(LinnetValueString(output.value, 0, &text));
  EXPECT_EQ(std::string(text.data, text.size), with_nul + "!");
  EXPECT_EQ(text.data[text.size], 0);
  ASSERT_OK(LinnetValueString(output.value, 1, &text));
  EXPECT_EQ(std::string(text.data, text.size), odd);
  EXPECT_FAILS(LinnetValueString(output.value, 2, &text), LINNET_INVALID_ARGUMENT, "2 of 2");
  const void* data;
  EXPECT_FAILS(LinnetValueData(output.value, &data, nullptr), LINNET_INVALID_ARGUMENT, "no data");
  EXPECT_OK(LinnetValueClose(output.value));
  LinnetString memory[2];
  output = Into("z", memory, sizeof memory);
  EXPECT_FAILS(LinnetRun(session, inputs, 2, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "strings");
  left[1] = {nullptr, 5};
  output = Made("z");
  EXPECT_FAILS(LinnetRun(session, inputs, 2, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "string 1 is NULL");
  inputs[0].bytes = 1;
  EXPECT_FAILS(LinnetRun(session, inputs, 2, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "comes with 1");
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiRun, CallersMemoryNeverTakesStringsTheModelHides) {
  // The model says float; what comes out are strings.
  std::string bytes = ModelBytes("graph (x: string[2]) -> (z: float[2]) { z = StringConcat-20(x, x) }");
  LinnetSession* session = nullptr;
  if (LinnetSessionFromMemory(bytes.data(), bytes.size(), nullptr, &session) != LINNET_OK) return;
  LinnetString texts[] = {{"a", 1}, {"b", 1}};
  int64_t shape[] = {2};
  LinnetInput input = {};
  input.name = "x", input.type = LINNET_STRING, input.rank = 1, input.shape = shape, input.data = texts,
  input.bytes = sizeof texts;
  std::vector<char> memory(1024);
  LinnetOutput output = Into("z", memory.data(), memory.size());
  EXPECT_FAILS(LinnetRun(session, &input, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "string");
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiRun, DefaultsMayBeLeftOut) {
  LinnetSession* session =
      OpenText("graph (x: float[2], w: float[2] = float[2]{10, 20}) -> (y: float[2]) { y: float[2] = Add-14(x, w) }");
  LinnetPort port = {};
  port.struct_size = sizeof port;
  ASSERT_OK(LinnetSessionInput(session, 1, &port));
  EXPECT_STREQ(port.name, "w");
  EXPECT_EQ(port.has_default, 1);
  float x[] = {1, 2}, w[] = {3, 4}, y[2];
  int64_t shape[] = {2};
  LinnetInput inputs[] = {FloatInput("x", x, shape, 1), FloatInput("w", w, shape, 1)};
  LinnetOutput output = Into("y", y, sizeof y);
  ASSERT_OK(LinnetRun(session, inputs, 1, &output, 1, nullptr));
  EXPECT_EQ(y[1], 22);
  ASSERT_OK(LinnetRun(session, inputs, 2, &output, 1, nullptr));
  EXPECT_EQ(y[1], 6);
  ASSERT_OK(LinnetRun(session, inputs, 1, &output, 1, nullptr));
  EXPECT_EQ(y[1], 22);
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiRun, ShapesThatFollowFromContents) {
  LinnetSession* session = OpenText("graph (x: float[N]) -> (i: int64[1,M]) { i: int64[1,M] = NonZero-13(x) }");
  float x[] = {0, 5, 0, 7};
  int64_t shape[] = {4}, found[2] = {-1, -1};
  LinnetInput input = FloatInput("x", x, shape, 1);
  LinnetOutput output = Into("i", found, sizeof found);
  ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
  EXPECT_EQ(output.type.shape[1], 2);
  EXPECT_EQ(found[0], 1);
  EXPECT_EQ(found[1], 3);
  x[0] = 1;
  EXPECT_FAILS(LinnetRun(session, &input, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "needs 24 bytes");
  EXPECT_OK(LinnetSessionClose(session));
}

}  // namespace
}  // namespace linnet_test
