// The runtime that has nothing but the plans of files: the same numbers as the whole one, and sentences where it ends.
//
// It is a build of its own, so these tests load it: LINNET_PLANS_LIBRARY names a liblinnet.so with the operators of
// tools/plans.config (tools/test-plans builds one). Without it they are skipped.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "api/full_build.h"
#include "format/checksum.h"
#include "hostile_util.h"
#include "linnet/linnet.h"

namespace linnet::hostile {
namespace {

namespace fs = std::filesystem;

/// A function of the loaded library, not of this program.
#define LOADED(name) (reinterpret_cast<decltype(&name)>(dlsym(library_, #name)))

class PlansOnly : public testing::Test {
 protected:
  PlansOnly() : folder_(fs::temp_directory_path() / ("linnet_plans_" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    options_.threads = 1;
  }
  ~PlansOnly() override {
    if (library_) dlclose(library_);
    fs::remove_all(folder_);
  }
  void SetUp() override {
    const char* path = getenv("LINNET_PLANS_LIBRARY");
    if (!path) GTEST_SKIP() << "LINNET_PLANS_LIBRARY names no library";
    library_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
  }

  std::string Path(const char* name) const { return (folder_ / name).string(); }
  void Convert(const std::string& text) {
    std::ofstream(Path("m.onnx"), std::ios::binary) << OnnxOf(text);
    Status status = ConvertModel(Path("m.onnx"), Path("m.linnet"), options_);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::string Bytes() const {
    std::ifstream file(Path("m.linnet"), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string Error() { return LOADED(LinnetLastError)(); }

  LinnetCode Open(LinnetSession** session, int threads = 1) {
    LinnetOptions* options = nullptr;
    EXPECT_EQ(LOADED(LinnetOptionsCreate)(&options), LINNET_OK);
    EXPECT_EQ(LOADED(LinnetOptionsSetThreads)(options, threads), LINNET_OK);
    const LinnetCode code = LOADED(LinnetSessionOpen)(Path("m.linnet").c_str(), options, session);
    EXPECT_EQ(LOADED(LinnetOptionsClose)(options), LINNET_OK);
    return code;
  }
  LinnetCode OpenBytes(std::string_view bytes, LinnetSession** session) {
    return LOADED(LinnetSessionFromMemory)(bytes.data(), bytes.size(), nullptr, session);
  }
  void Close(LinnetSession* session) { EXPECT_EQ(LOADED(LinnetSessionClose)(session), LINNET_OK); }

  LinnetPort Port(LinnetSession* session, size_t index, bool output) {
    LinnetPort port = {};
    port.struct_size = sizeof port;
    EXPECT_EQ((output ? LOADED(LinnetSessionOutput) : LOADED(LinnetSessionInput))(session, index, &port), LINNET_OK);
    return port;
  }
  LinnetInput InputOf(LinnetSession* session, size_t index, const Tensor& tensor) {
    LinnetInput input = {};
    input.name = Port(session, index, false).name;
    input.type = static_cast<LinnetElementType>(tensor.dtype());
    input.rank = tensor.shape().rank();
    input.shape = tensor.shape().begin();
    input.data = tensor.data();
    input.bytes = static_cast<size_t>(tensor.bytes());
    return input;
  }
  /// All outputs, each in memory that the run made.
  LinnetCode Run(LinnetSession* session, const std::vector<Tensor>& inputs, std::vector<Tensor>* results) {
    std::vector<LinnetInput> from;
    for (size_t i = 0; i < inputs.size(); ++i) from.push_back(InputOf(session, i, inputs[i]));
    size_t count = 0;
    EXPECT_EQ(LOADED(LinnetSessionPortCounts)(session, nullptr, &count), LINNET_OK);
    std::vector<LinnetOutput> to(count);
    for (size_t i = 0; i < count; ++i) to[i].name = Port(session, i, true).name;
    const LinnetCode code = LOADED(LinnetRun)(session, from.data(), from.size(), to.data(), to.size(), nullptr);
    results->clear();
    for (LinnetOutput& output : to) {
      if (code != LINNET_OK) {
        EXPECT_EQ(output.value, nullptr);
      }
      if (!output.value) continue;
      const void* data = nullptr;
      size_t bytes = 0;
      LinnetTypeInfo type = {};
      EXPECT_EQ(LOADED(LinnetValueData)(output.value, &data, &bytes), LINNET_OK);
      EXPECT_EQ(LOADED(LinnetValueType)(output.value, &type), LINNET_OK);
      Shape shape = Shape::OfRank(type.rank);
      for (int d = 0; d < type.rank; ++d) shape[d] = type.shape[d];
      Tensor tensor = Tensor::Allocate(static_cast<DType>(type.element), shape).value();
      EXPECT_EQ(static_cast<size_t>(tensor.bytes()), bytes);
      if (bytes > 0) memcpy(tensor.mutable_data(), data, bytes);
      results->push_back(tensor);
      EXPECT_EQ(LOADED(LinnetValueClose)(output.value), LINNET_OK);
    }
    return code;
  }
  static std::vector<float> Floats(const Tensor& tensor) {
    return {tensor.as<float>(), tensor.as<float>() + tensor.elements()};
  }

  fs::path folder_;
  SessionOptions options_;
  void* library_ = nullptr;
};

TEST_F(PlansOnly, TheDigitsModelSaysWhatTheWholeRuntimeSays) {
  const std::string onnx = std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx";
  auto shapes = [](const Session& session) -> Result<std::vector<std::vector<Type>>> {
    std::vector<std::vector<Type>> sets;
    for (int64_t batch : {1, 3}) {
      std::vector<Type> types = {session.inputs()[0].type};
      types[0].shape[0] = batch;
      sets.push_back(types);
    }
    return sets;
  };
  Status status = ConvertModel(onnx, Path("m.linnet"), options_, shapes);
  ASSERT_TRUE(status.ok()) << status.message();
  auto whole = Session::Open(onnx, options_);
  ASSERT_TRUE(whole.ok());
  for (int threads : {1, 3}) {
    LinnetSession* session = nullptr;
    ASSERT_EQ(Open(&session, threads), LINNET_OK) << Error();
    const LinnetPort port = Port(session, 0, false);
    EXPECT_EQ(port.type.rank, 4);
    EXPECT_EQ(port.type.shape[2], 28);
    EXPECT_STREQ(port.symbols[0], "N");
    std::vector<Tensor> have;
    for (int64_t batch : {3, 1, 3}) {
      Tensor image = Filled<float>(Shape{batch, 1, 28, 28}, 0);
      for (int64_t i = 0; i < image.elements(); ++i) image.mutable_as<float>()[i] = static_cast<float>(i * 37 % 256) / 255;
      std::vector<Datum> want;
      ASSERT_TRUE(RunSession(**whole, {image}, &want).ok());
      ASSERT_EQ(Run(session, {image}, &have), LINNET_OK) << Error();
      ASSERT_EQ(have[0].type(), want[0].type);
      // The small build's tiles may add in another order.
      for (int64_t i = 0; i < have[0].elements(); ++i) EXPECT_NEAR(have[0].as<float>()[i], want[0].tensor.as<float>()[i], 1e-6f);
    }
    // Sizes without a plan.
    EXPECT_EQ(Run(session, {Filled<float>(Shape{2, 1, 28, 28}, 0)}, &have), LINNET_NOT_IN_BUILD);
    ExpectParts(Error(), {"no plan for inputs float[2,1,28,28]", "planning is not in this build", "float[1,1,28,28]", "float[3,1,28,28]"});
    Close(session);
  }
}

TEST_F(PlansOnly, ViewsOutputsThatAreReadAndOutputsThatAreEqual) {
  Convert(R"(graph (x: float[2,3]) -> (y, z, same, v, k, x) {
    a = Relu-14(x)
    shape = const int64[2]{3, 2}
    y = Reshape-14(a, shape)
    z = Add-14(a, x)
    same = Identity-14(z)
    v = Flatten-13(z) {axis=0}
    k = const float[2]{5, 7}
  })");
  LinnetSession* session = nullptr;
  ASSERT_EQ(Open(&session), LINNET_OK) << Error();
  const std::vector<float> x = {-1, 2, -3, 4, -5, 6}, z = {-1, 4, -3, 8, -5, 12};
  std::vector<Tensor> made;
  ASSERT_EQ(Run(session, {Of<float>(Shape{2, 3}, x)}, &made), LINNET_OK) << Error();
  EXPECT_EQ(Floats(made[0]), (std::vector<float>{0, 2, 0, 4, 0, 6}));
  EXPECT_EQ(made[0].shape(), (Shape{3, 2}));
  for (size_t i : {1, 2, 3}) EXPECT_EQ(Floats(made[i]), z) << i;
  EXPECT_EQ(made[3].shape(), (Shape{1, 6}));
  EXPECT_EQ(Floats(made[4]), (std::vector<float>{5, 7}));
  EXPECT_EQ(Floats(made[5]), x);
  Close(session);
}

TEST_F(PlansOnly, OutputsThatNobodyAsksForAndMemoryOfTheCaller) {
  Convert("graph (x: float[6]) -> (y, z) { y = Relu-14(x) z = Add-14(y, x) }");
  LinnetSession* session = nullptr;
  ASSERT_EQ(Open(&session), LINNET_OK) << Error();
  const Tensor x = Of<float>(Shape{6}, {-1, 2, -3, 4, -5, 6});
  // The same numbers at an address that no float may have.
  std::vector<std::byte> crooked(25);
  memcpy(crooked.data() + 1, x.data(), 24);
  for (const void* data : {x.data(), static_cast<const void*>(crooked.data() + 1)}) {
    LinnetInput input = InputOf(session, 0, x);
    input.data = data;
    alignas(64) float z[7] = {};
    LinnetOutput output = {};
    output.name = "z";
    output.data = z;
    output.bytes = sizeof z;
    ASSERT_EQ(LOADED(LinnetRun)(session, &input, 1, &output, 1, nullptr), LINNET_OK) << Error();
    EXPECT_EQ(std::vector<float>(z, z + 7), (std::vector<float>{-1, 4, -3, 8, -5, 12, 0}));
    EXPECT_EQ(output.value, nullptr);
  }
  Close(session);
}

TEST_F(PlansOnly, RunsThatAreRefused) {
  Convert("graph (x: float[6]) -> (y, z) { y = Relu-14(x) z = Add-14(y, x) }");
  LinnetSession* session = nullptr;
  ASSERT_EQ(Open(&session), LINNET_OK) << Error();
  alignas(64) float x[6] = {}, y[12] = {};
  const int64_t shape[] = {6};
  LinnetInput input = {};
  input.name = "x";
  input.type = LINNET_FLOAT;
  input.rank = 1;
  input.shape = shape;
  input.data = x;
  input.bytes = sizeof x;
  LinnetOutput output = {};
  output.name = "y";
  output.data = y;
  output.bytes = 24;
  auto run = [&](const std::vector<LinnetInput>& inputs, std::vector<LinnetOutput> outputs) {
    return LOADED(LinnetRun)(session, inputs.data(), inputs.size(), outputs.data(), outputs.size(), nullptr);
  };
  ASSERT_EQ(run({input}, {output}), LINNET_OK) << Error();
  auto refused = [&](const std::vector<LinnetInput>& inputs, const std::vector<LinnetOutput>& outputs, std::initializer_list<std::string_view> parts) {
    EXPECT_EQ(run(inputs, outputs), LINNET_INVALID_ARGUMENT);
    ExpectParts(Error(), parts);
  };
  refused({input, input}, {output}, {"'x' is given twice"});
  LinnetInput other = input;
  other.name = "w";
  refused({other}, {output}, {"no input or output 'w'", "'x'"});
  other = input;
  other.bytes = 20;
  refused({other}, {output}, {"input 'x'", "float[6]", "24 bytes", "20"});
  other = input;
  other.rank = 9;
  refused({other}, {output}, {"input 'x'", "no tensor of numbers"});
  LinnetOutput same = output, small = output, into = output;
  refused({input}, {output, same}, {"'y' is asked for twice"});
  small.bytes = 23;
  refused({input}, {small}, {"'y'", "24 bytes", "23"});
  into.data = x + 5;
  refused({input}, {into}, {"'y' overlaps"});
  LinnetOutput z = output;
  z.name = "z";
  z.data = y + 5;
  refused({input}, {output, z}, {"'z' overlaps"});
  EXPECT_EQ(run({}, {output}), LINNET_NOT_IN_BUILD);   // as an input without a type
  Close(session);
  EXPECT_EQ(run({input}, {output}), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(LOADED(LinnetSessionClose)(session), LINNET_INVALID_ARGUMENT);
}

TEST_F(PlansOnly, WhatItLacksIsASentence) {
  LinnetSession* session = nullptr;
  Convert("graph (x: float[N,3]) -> (y) { y = Softmax-13(x) }");
  EXPECT_EQ(Open(&session), LINNET_NOT_IN_BUILD);
  ExpectParts(Error(), {"no plan", "linnet convert"});
  Convert("graph (x: float[4,3]) -> (y, z, w) { y = Tan-7(x) z = TopK-1(x) {k=2} w = Tan-7(y) }");
  EXPECT_EQ(Open(&session), LINNET_NOT_IN_BUILD);
  ExpectParts(Error(), {"'TopK'-"});
  fs::copy_file(Path("m.onnx"), Path("m.linnet"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(Open(&session), LINNET_NOT_IN_BUILD);
  ExpectParts(Error(), {"reading .onnx files"});
  EXPECT_EQ(session, nullptr);
}

TEST_F(PlansOnly, NodesWithoutNamesAreNumbered) {
  options_.names = false;
  Convert(R"(graph (x: float[2,3], i: int64[1]) -> (y) {
    r = Relu-14(x)
    g = Gather-13(r, i)
    y = Softmax-13(g)
  })");
  LinnetSession* session = nullptr;
  ASSERT_EQ(Open(&session), LINNET_OK) << Error();
  const Tensor x = Filled<float>(Shape{2, 3}, 1);
  std::vector<Tensor> made;
  EXPECT_NE(Run(session, {x, List<int64_t>({7})}, &made), LINNET_OK);
  ExpectParts(Error(), {"Gather (node 1)", "7"});
  ASSERT_EQ(Run(session, {x, List<int64_t>({1})}, &made), LINNET_OK) << Error();
  EXPECT_FLOAT_EQ(made[0].as<float>()[2], 1.0f / 3);
  Close(session);
}

/// A cut or damaged head is refused before it is used.
TEST_F(PlansOnly, CutAndDamagedFiles) {
  Convert("graph (x: float[2,3]) -> (y) { y = Softmax-13(x) }");
  std::string bytes = Bytes();
  LinnetSession* session = nullptr;
  ASSERT_EQ(OpenBytes(bytes, &session), LINNET_OK) << Error();
  Close(session);
  for (size_t size = 0; size < bytes.size(); ++size) ASSERT_NE(OpenBytes(std::string_view(bytes).substr(0, size), &session), LINNET_OK) << size;
  FileSums sums;
  ASSERT_TRUE(FindSums(bytes, &sums));
  for (size_t at = 0; at < sums.head_bytes; ++at) {
    for (char bit : {1, 16, -128}) {
      bytes[at] = static_cast<char>(bytes[at] ^ bit);
      ASSERT_NE(OpenBytes(bytes, &session), LINNET_OK) << at;
      bytes[at] = static_cast<char>(bytes[at] ^ bit);
    }
  }
  // A later format, whose sum is right.
  const uint32_t later = 4, now = 3;
  const size_t format = bytes.find(std::string(reinterpret_cast<const char*>(&now), sizeof now), 8);
  ASSERT_NE(format, bytes.npos);
  memcpy(bytes.data() + format, &later, sizeof later);
  sums.head = Checksum(bytes.data(), static_cast<size_t>(sums.head_bytes));
  memcpy(bytes.data() + bytes.size() - sizeof sums, &sums, sizeof sums);
  EXPECT_EQ(OpenBytes(bytes, &session), LINNET_UNSUPPORTED);
  ExpectParts(Error(), {"format 4", "reads 3 to 3"});
}

/// How often Tile repeats decides how much it writes, whatever its plan has memory for.
TEST_F(PlansOnly, DamagedContentsThatDecideSizesAreRefused) {
  Convert("graph (x: float[2,3]) -> (y) { repeats = const int64[2]{5, 7} y = Tile-13(x, repeats) }");
  std::string bytes = Bytes();
  LinnetSession* session = nullptr;
  ASSERT_EQ(OpenBytes(bytes, &session), LINNET_OK) << Error();
  std::vector<Tensor> made;
  ASSERT_EQ(Run(session, {Of<float>(Shape{2, 3}, {1, 2, 3, 4, 5, 6})}, &made), LINNET_OK) << Error();
  Close(session);
  const std::vector<float> y = Floats(made[0]);
  ASSERT_EQ(y.size(), 210u);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], static_cast<float>(i / 21 % 2 * 3 + i % 3 + 1)) << i;
  const int64_t repeats[] = {5, 7};
  const size_t begin = bytes.find(std::string(reinterpret_cast<const char*>(repeats), sizeof repeats));
  ASSERT_NE(begin, bytes.npos);
  for (size_t at = begin; at < begin + sizeof repeats; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
      ASSERT_EQ(OpenBytes(bytes, &session), LINNET_INVALID_MODEL) << at;
      ExpectParts(Error(), {"the .linnet file is damaged: its checksum differs"});
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
    }
  }
}

/// Lent bytes are given back once, whatever becomes of them.
TEST_F(PlansOnly, BorrowedBytesAreGivenBackOnce) {
  Convert("graph (x: float[2,3]) -> (y) { y = Softmax-13(x) }");
  const std::string bytes = Bytes();
  auto open = [&](const void* data, size_t size, int* released, LinnetSession** session) {
    return LOADED(LinnetSessionFromBorrowed)(data, size, [](void* user) { ++*static_cast<int*>(user); }, released, nullptr, session);
  };
  Tensor aligned = Tensor::Allocate(DType::kUint8, Shape{static_cast<int64_t>(bytes.size())}).value();
  memcpy(aligned.mutable_data(), bytes.data(), bytes.size());
  const std::string shifted = " " + bytes;
  for (const void* data : {aligned.data(), static_cast<const void*>(shifted.data() + 1)}) {
    int released = 0;
    LinnetSession* session = nullptr;
    ASSERT_EQ(open(data, bytes.size(), &released, &session), LINNET_OK) << Error();
    EXPECT_EQ(released, 0);
    std::vector<Tensor> made;
    EXPECT_EQ(Run(session, {Filled<float>(Shape{2, 3}, 1)}, &made), LINNET_OK) << Error();
    EXPECT_EQ(released, 0);
    Close(session);
    EXPECT_EQ(released, 1);
    released = 0;
    EXPECT_NE(open(data, bytes.size() - 1, &released, &session), LINNET_OK);
    EXPECT_EQ(released, 1);
  }
  int released = 0;
  EXPECT_EQ(open(aligned.data(), bytes.size(), &released, nullptr), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(released, 1);
  // More bytes than memory can have, lent and to be copied.
  LinnetSession* session = nullptr;
  EXPECT_EQ(open(aligned.data(), SIZE_MAX, &released, &session), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(released, 2);
  EXPECT_EQ(LOADED(LinnetSessionFromMemory)(aligned.data(), SIZE_MAX - 63, nullptr, &session), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(session, nullptr);
}

TEST_F(PlansOnly, ManyThreadsRunOneModel) {
  Convert("graph (x: float[64,64]) -> (y) { a = Softmax-13(x) y = Add-14(a, x) }");
  LinnetSession* session = nullptr;
  ASSERT_EQ(Open(&session, 2), LINNET_OK) << Error();
  auto once = [&](float seed) {
    Tensor x = Filled<float>(Shape{64, 64}, 0);
    for (int64_t i = 0; i < x.elements(); ++i) x.mutable_as<float>()[i] = static_cast<float>(i % 17) * seed;
    std::vector<Tensor> made;
    EXPECT_EQ(Run(session, {x}, &made), LINNET_OK);
    return Floats(made[0]);
  };
  std::vector<std::vector<float>> want;
  for (int t = 0; t < 4; ++t) want.push_back(once(0.1f * static_cast<float>(t)));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) EXPECT_EQ(once(0.1f * static_cast<float>(t)), want[static_cast<size_t>(t)]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Close(session);
}

}  // namespace
}  // namespace linnet::hostile
