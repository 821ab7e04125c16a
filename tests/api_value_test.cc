// The C API: sequences, maps, optionals, views: made, taken apart, fed to models and coming out of them.
#include <string.h>

#include <string>
#include <vector>

#include "api_test_util.h"

namespace linnet_test {
namespace {

LinnetValue* Floats(const std::vector<float>& values) {
  int64_t shape[] = {static_cast<int64_t>(values.size())};
  LinnetValue* value = nullptr;
  EXPECT_OK(LinnetTensorCreate(LINNET_FLOAT, shape, 1, values.data(), &value));
  return value;
}
LinnetValue* Texts(const std::vector<const char*>& texts) {
  std::vector<LinnetString> strings;
  for (const char* text : texts) strings.push_back({text, strlen(text)});
  int64_t shape[] = {static_cast<int64_t>(texts.size())};
  LinnetValue* value = nullptr;
  EXPECT_OK(LinnetTensorCreate(LINNET_STRING, shape, 1, strings.data(), &value));
  return value;
}
std::vector<float> FloatsOf(LinnetValue* value) {
  const void* data = nullptr;
  size_t bytes = 0;
  EXPECT_OK(LinnetValueData(value, &data, &bytes));
  const float* floats = static_cast<const float*>(data);
  return std::vector<float>(floats, floats + bytes / sizeof(float));
}
/// Runs a session of one input "x" and one output "y" and closes it.
LinnetValue* RunOne(LinnetSession* session, LinnetValue* x) {
  LinnetInput input = ValueInput("x", x);
  LinnetOutput output = Made("y");
  EXPECT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
  EXPECT_OK(LinnetSessionClose(session));
  return output.value;
}

TEST(ApiValue, Sequences) {
  LinnetValue* items[] = {Floats({1}), Floats({2, 3}), Floats({})};
  LinnetValue* sequence = nullptr;
  ASSERT_OK(LinnetSequenceCreate(LINNET_FLOAT, items, 3, &sequence));
  for (LinnetValue* item : items) EXPECT_OK(LinnetValueClose(item));  // the sequence holds them
  LinnetTypeInfo type;
  ASSERT_OK(LinnetValueType(sequence, &type));
  EXPECT_EQ(type.kind, LINNET_KIND_SEQUENCE);
  EXPECT_EQ(type.element, LINNET_FLOAT);
  EXPECT_EQ(type.rank, -1);

  // In: the item at position 1. Out: the sequence with an item more.
  LinnetValue* second = RunOne(
      OpenText("graph (x: seq(float[...])) -> (y: float[N]) { p = const int64[]{1}\n y = SequenceAt-11(x, p) }"), sequence);
  EXPECT_EQ(FloatsOf(second), (std::vector<float>{2, 3}));
  EXPECT_OK(LinnetValueClose(second));
  LinnetValue* longer = RunOne(
      OpenText("graph (x: seq(float[...])) -> (y: seq(float[...])) { t = const float[1]{9}\n y = SequenceInsert-11(x, t) }"),
      sequence);
  size_t count = 0;
  ASSERT_OK(LinnetValueCount(longer, &count));
  EXPECT_EQ(count, 4u);
  LinnetValue* last = nullptr;
  ASSERT_OK(LinnetValueItem(longer, 3, &last));
  EXPECT_OK(LinnetValueClose(longer));
  EXPECT_EQ(FloatsOf(last), std::vector<float>{9});
  EXPECT_FAILS(LinnetValueItem(sequence, 3, &last), LINNET_INVALID_ARGUMENT, "3 of 3");
  EXPECT_EQ(last, nullptr);
  const void* data;
  EXPECT_FAILS(LinnetValueData(sequence, &data, nullptr), LINNET_INVALID_ARGUMENT, "no data");

  // A sequence does not go where a tensor is expected, nor into the caller's memory.
  LinnetSession* relu = OpenText("graph (x: float[N]) -> (y: float[N]) { y: float[N] = Relu-14(x) }");
  LinnetInput input = ValueInput("x", sequence);
  LinnetOutput output = Made("y");
  EXPECT_FAILS(LinnetRun(relu, &input, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "another kind of value");
  EXPECT_OK(LinnetSessionClose(relu));
  LinnetSession* same = OpenText("graph (x: seq(float[...])) -> (y: seq(float[...])) { y = Identity-16(x) }");
  char memory[64];
  output = Into("y", memory, sizeof memory);
  EXPECT_FAILS(LinnetRun(same, &input, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "caller's memory");
  EXPECT_OK(LinnetSessionClose(same));
  EXPECT_OK(LinnetValueClose(sequence));
}

TEST(ApiValue, SequencesThatCannotBe) {
  LinnetValue *numbers = Floats({1}), *texts = Texts({"a"}), *sequence = nullptr;
  LinnetValue* mixed[] = {numbers, texts};
  EXPECT_FAILS(LinnetSequenceCreate(LINNET_UNDEFINED, mixed, 2, &sequence), LINNET_INVALID_ARGUMENT, "item 1 is string[1]");
  EXPECT_FAILS(LinnetSequenceCreate(LINNET_INT8, mixed, 1, &sequence), LINNET_INVALID_ARGUMENT, "item 0");
  EXPECT_FAILS(LinnetSequenceCreate(LINNET_UNDEFINED, nullptr, 0, &sequence), LINNET_INVALID_ARGUMENT, "needs an element type");
  EXPECT_FAILS(LinnetSequenceCreate(LINNET_FLOAT, nullptr, 2, &sequence), LINNET_INVALID_ARGUMENT, "items are NULL");
  mixed[1] = nullptr;
  EXPECT_FAILS(LinnetSequenceCreate(LINNET_FLOAT, mixed, 2, &sequence), LINNET_INVALID_ARGUMENT, "item 1 is no open value");
  EXPECT_EQ(sequence, nullptr);
  EXPECT_OK(LinnetSequenceCreate(LINNET_FLOAT, nullptr, 0, &sequence));
  EXPECT_OK(LinnetValueClose(sequence));
  EXPECT_OK(LinnetValueClose(numbers));
  EXPECT_OK(LinnetValueClose(texts));
}

TEST(ApiValue, MapsGoIn) {
  LinnetValue *keys = Texts({"b", "c"}), *values = Floats({2, 3}), *map = nullptr;
  ASSERT_OK(LinnetMapCreate(keys, values, &map));
  size_t count = 0;
  ASSERT_OK(LinnetValueCount(map, &count));
  EXPECT_EQ(count, 2u);
  // DictVectorizer puts values in the order of its vocabulary, 0 for what the map lacks (ai.onnx.ml).
  std::string bytes;
  LinnetSession* session = OpenText(
      "graph (x: map(string,float)) -> (y: float[1,3]) {\n"
      "  y = ai.onnx.ml:DictVectorizer-1(x) {string_vocabulary=[\"c\", \"a\", \"b\"]} }");
  LinnetValue* vector = RunOne(session, map);
  EXPECT_EQ(FloatsOf(vector), (std::vector<float>{3, 0, 2}));
  EXPECT_OK(LinnetValueClose(vector));
  LinnetValue *other = nullptr, *longer = Floats({1, 2, 3});
  EXPECT_FAILS(LinnetMapCreate(keys, longer, &other), LINNET_INVALID_ARGUMENT, "2 keys has 3 values");
  EXPECT_FAILS(LinnetMapCreate(values, values, &other), LINNET_INVALID_ARGUMENT, "not float");
  EXPECT_FAILS(LinnetMapCreate(keys, map, &other), LINNET_INVALID_ARGUMENT, "rank 1");
  EXPECT_FAILS(LinnetValueItem(map, 0, &other), LINNET_INVALID_ARGUMENT, "no items");
  EXPECT_FAILS(LinnetMapKeys(values, &other), LINNET_INVALID_ARGUMENT, "no keys");
  for (LinnetValue* value : {keys, values, map, longer}) EXPECT_OK(LinnetValueClose(value));
}

TEST(ApiValue, MapsOfOtherKeysAreRefused) {
  int64_t numbers[] = {5, 6}, shape[] = {2};
  LinnetValue *keys = nullptr, *values = Floats({2, 3}), *map = nullptr;
  ASSERT_OK(LinnetTensorCreate(LINNET_INT64, shape, 1, numbers, &keys));
  ASSERT_OK(LinnetMapCreate(keys, values, &map));
  // The model declares strings; or it declares integers and then looks strings up.
  for (const char* declared : {"string", "int64"}) {
    LinnetSession* session = nullptr;
    std::string bytes = ModelBytes("graph (x: map(" + std::string(declared) +
                                   ",float)) -> (y: float[1,2]) {\n y = ai.onnx.ml:DictVectorizer-1(x) "
                                   "{string_vocabulary=[\"a\", \"b\"]} }");
    if (LinnetSessionFromMemory(bytes.data(), bytes.size(), nullptr, &session) != LINNET_OK) continue;
    LinnetInput input = ValueInput("x", map);
    LinnetOutput output = Made("y");
    EXPECT_FAILS(LinnetRun(session, &input, 1, &output, 1, nullptr), LINNET_INVALID_ARGUMENT, "another key type");
    EXPECT_OK(LinnetSessionClose(session));
  }
  for (LinnetValue* value : {keys, values, map}) EXPECT_OK(LinnetValueClose(value));
}

TEST(ApiValue, SequencesOfMapsComeOut) {
  LinnetSession* session = OpenText(
      "graph (x: float[N,2]) -> (y: seq(map(int64,float))) { y = ai.onnx.ml:ZipMap-1(x) {classlabels_int64s=[7, 8]} }");
  float scores[] = {0.25f, 0.75f, 0.5f, 0.5f};
  int64_t shape[] = {2, 2};
  LinnetInput input = FloatInput("x", scores, shape, 2);
  LinnetOutput output = Made("y");
  ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
  EXPECT_EQ(output.type.kind, LINNET_KIND_SEQUENCE_OF_MAPS);
  EXPECT_EQ(output.type.key, LINNET_INT64);
  LinnetValue *map = nullptr, *keys = nullptr, *values = nullptr;
  ASSERT_OK(LinnetValueItem(output.value, 0, &map));
  ASSERT_OK(LinnetMapKeys(map, &keys));
  ASSERT_OK(LinnetMapValues(map, &values));
  const void* data = nullptr;
  ASSERT_OK(LinnetValueData(keys, &data, nullptr));
  EXPECT_EQ(static_cast<const int64_t*>(data)[1], 8);
  EXPECT_EQ(FloatsOf(values), (std::vector<float>{0.25f, 0.75f}));
  // Maps make a sequence again.
  LinnetValue* sequence = nullptr;
  ASSERT_OK(LinnetSequenceCreate(LINNET_UNDEFINED, &map, 1, &sequence));
  LinnetTypeInfo type;
  ASSERT_OK(LinnetValueType(sequence, &type));
  EXPECT_EQ(type.kind, LINNET_KIND_SEQUENCE_OF_MAPS);
  for (LinnetValue* value : {map, keys, values, sequence, output.value}) EXPECT_OK(LinnetValueClose(value));
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiValue, Optionals) {
  LinnetValue *tensor = Floats({4, 5}), *full = nullptr, *empty = nullptr;
  ASSERT_OK(LinnetOptionalCreate(tensor, &full));
  ASSERT_OK(LinnetOptionalEmpty(LINNET_KIND_OPTIONAL, LINNET_FLOAT, &empty));
  const char* has = "graph (x: optional(float[N])) -> (y: bool[]) { y = OptionalHasElement-15(x) }";
  for (LinnetValue* value : {full, empty}) {
    LinnetValue* present = RunOne(OpenText(has), value);
    const void* data = nullptr;
    ASSERT_OK(LinnetValueData(present, &data, nullptr));
    EXPECT_EQ(*static_cast<const bool*>(data), value == full);
    EXPECT_OK(LinnetValueClose(present));
  }
  LinnetValue* got =
      RunOne(OpenText("graph (x: optional(float[N])) -> (y: float[N]) { y = OptionalGetElement-15(x) }"), full);
  EXPECT_EQ(FloatsOf(got), (std::vector<float>{4, 5}));
  EXPECT_OK(LinnetValueClose(got));
  LinnetValue* wrapped =
      RunOne(OpenText("graph (x: float[N]) -> (y: optional(float[N])) { y = Optional-15(x) }"), tensor);
  LinnetTypeInfo type;
  ASSERT_OK(LinnetValueType(wrapped, &type));
  EXPECT_EQ(type.kind, LINNET_KIND_OPTIONAL);
  LinnetValue* inside = nullptr;
  ASSERT_OK(LinnetValueItem(wrapped, 0, &inside));
  EXPECT_EQ(FloatsOf(inside), (std::vector<float>{4, 5}));
  LinnetValue* none = nullptr;
  EXPECT_FAILS(LinnetValueItem(empty, 0, &none), LINNET_INVALID_ARGUMENT, "0 of 0");
  EXPECT_FAILS(LinnetOptionalCreate(full, &none), LINNET_INVALID_ARGUMENT, "optional");
  EXPECT_FAILS(LinnetOptionalEmpty(LINNET_KIND_MAP, LINNET_FLOAT, &none), LINNET_INVALID_ARGUMENT, "kind 5");
  for (LinnetValue* value : {tensor, full, empty, wrapped, inside}) EXPECT_OK(LinnetValueClose(value));
}

TEST(ApiValue, ViewsAreReleasedWithTheirLastUser) {
  float data[] = {1, 2, 3};
  int64_t shape[] = {3};
  int released = 0;
  auto release = [](void* user) { ++*static_cast<int*>(user); };
  LinnetValue *view = nullptr, *sequence = nullptr;
  ASSERT_OK(LinnetTensorView(LINNET_FLOAT, shape, 1, data, release, &released, &view));
  const void* where = nullptr;
  ASSERT_OK(LinnetValueData(view, &where, nullptr));
  EXPECT_EQ(where, data);
  ASSERT_OK(LinnetSequenceCreate(LINNET_FLOAT, &view, 1, &sequence));
  EXPECT_OK(LinnetValueClose(view));
  EXPECT_EQ(released, 0);
  LinnetValue* same =
      RunOne(OpenText("graph (x: seq(float[...])) -> (y: seq(float[...])) { y = Identity-16(x) }"), sequence);
  EXPECT_OK(LinnetValueClose(sequence));
  EXPECT_EQ(released, 0);
  EXPECT_OK(LinnetValueClose(same));
  EXPECT_EQ(released, 1);

  EXPECT_FAILS(LinnetTensorView(LINNET_FLOAT, shape, 1, reinterpret_cast<char*>(data) + 1, release, &released, &view),
               LINNET_INVALID_ARGUMENT, "not aligned");
  EXPECT_FAILS(LinnetTensorView(LINNET_FLOAT, shape, 1, nullptr, release, &released, &view), LINNET_INVALID_ARGUMENT, "NULL");
  EXPECT_FAILS(LinnetTensorView(LINNET_STRING, shape, 1, data, release, &released, &view), LINNET_INVALID_ARGUMENT, "strings");
  EXPECT_EQ(released, 1);
}

TEST(ApiValue, TensorsThatCannotBe) {
  LinnetValue* value = nullptr;
  int64_t huge[] = {INT32_MAX, INT32_MAX, INT32_MAX}, negative[] = {-1}, many[] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, two[] = {2};
  EXPECT_NE(LinnetTensorCreate(LINNET_FLOAT, huge, 3, nullptr, &value), LINNET_OK);
  EXPECT_FAILS(LinnetTensorCreate(LINNET_FLOAT, negative, 1, nullptr, &value), LINNET_INVALID_ARGUMENT, "dimension 0 is -1");
  EXPECT_FAILS(LinnetTensorCreate(LINNET_FLOAT, many, 9, nullptr, &value), LINNET_INVALID_ARGUMENT, "rank 9");
  EXPECT_FAILS(LinnetTensorCreate(0, two, 1, nullptr, &value), LINNET_INVALID_ARGUMENT, "element type 0");
  EXPECT_FAILS(LinnetTensorCreate(LINNET_FLOAT, nullptr, 1, nullptr, &value), LINNET_INVALID_ARGUMENT, "shape is NULL");
  EXPECT_FAILS(LinnetTensorCreate(LINNET_FLOAT, two, 1, nullptr, nullptr), LINNET_INVALID_ARGUMENT, "'value' is NULL");
  EXPECT_EQ(value, nullptr);
  ASSERT_OK(LinnetTensorCreate(LINNET_FLOAT, two, 1, nullptr, &value));
  EXPECT_EQ(FloatsOf(value), (std::vector<float>{0, 0}));
  EXPECT_OK(LinnetValueClose(value));
  float scalar = 3;
  ASSERT_OK(LinnetTensorCreate(LINNET_FLOAT, nullptr, 0, &scalar, &value));
  EXPECT_EQ(FloatsOf(value), std::vector<float>{3});
  EXPECT_OK(LinnetValueClose(value));
}

}  // namespace
}  // namespace linnet_test
