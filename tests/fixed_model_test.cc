// The runtime that has nothing but the plans of files: the same numbers as the whole one, and sentences where it ends.
#include "fixed/model.h"

#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "api/full_build.h"
#include "base/file.h"
#include "hostile_util.h"

namespace linnet::hostile {
namespace {

namespace fs = std::filesystem;

class FixedModels : public testing::Test {
 protected:
  FixedModels() : folder_(fs::temp_directory_path() / ("linnet_fixed_" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    options_.threads = 1;
  }
  ~FixedModels() override { fs::remove_all(folder_); }
  std::string Path(const char* name) const { return (folder_ / name).string(); }

  void Write(const std::string& text) { std::ofstream(Path("m.onnx"), std::ios::binary) << OnnxOf(text); }
  Status Convert(const std::string& onnx) { return ConvertModel(onnx, Path("m.linnet"), options_); }
  Result<std::unique_ptr<FixedModel>> Open(int threads = 1) {
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(Path("m.linnet")));
    return FixedModel::Open(file->bytes(), file, threads);
  }

  static Result<std::vector<Tensor>> Run(FixedModel& model, const std::vector<Tensor>& inputs) {
    std::vector<Fact> facts;
    for (const Tensor& tensor : inputs) facts.push_back({tensor.type(), tensor.data()});
    LINNET_ASSIGN(const Plan* plan, model.Find(facts.data()));
    std::vector<FixedModel::Output> outputs = model.OutputsOf(*plan);
    std::vector<Tensor> made;
    for (FixedModel::Output& output : outputs) {
      LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(output.type->dtype, output.type->shape));
      output.data = tensor.mutable_data();
      made.push_back(tensor);
    }
    LINNET_TRY(model.Run(*plan, facts.data(), outputs));
    return made;
  }

  fs::path folder_;
  SessionOptions options_;
};

TEST_F(FixedModels, TheDigitsModelSaysWhatTheWholeRuntimeSays) {
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
    auto fixed = Open(threads);
    ASSERT_TRUE(fixed.ok()) << fixed.status().message();
    for (int64_t batch : {3, 1, 3}) {
      Tensor image = Filled<float>(Shape{batch, 1, 28, 28}, 0);
      for (int64_t i = 0; i < image.elements(); ++i) image.mutable_as<float>()[i] = static_cast<float>(i * 37 % 256) / 255;
      std::vector<Datum> want;
      ASSERT_TRUE(RunSession(**whole, {image}, &want).ok());
      auto have = Run(**fixed, {image});
      ASSERT_TRUE(have.ok()) << have.status().message();
      ASSERT_EQ((*have)[0].type(), want[0].type);
      EXPECT_EQ(memcmp((*have)[0].data(), want[0].tensor.data(), static_cast<size_t>(want[0].tensor.bytes())), 0);
    }
    // Sizes without a plan.
    auto other = Run(**fixed, {Filled<float>(Shape{2, 1, 28, 28}, 0)});
    ExpectParts(Why(other.status()), {"not in build", "no plan for inputs float[2,1,28,28]", "planning is not in this build", "float[1,1,28,28]"});
  }
}

TEST_F(FixedModels, ViewsOutputsThatAreReadAndOutputsThatAreEqual) {
  Write(R"(graph (x: float[2,3]) -> (y, z, same, v, k) {
    a = Relu-14(x)
    shape = const int64[2]{3, 2}
    y = Reshape-14(a, shape)
    z = Add-14(a, x)
    same = Identity-14(z)
    v = Flatten-13(z) {axis=0}
    k = const float[2]{5, 7}
  })");
  ASSERT_TRUE(Convert(Path("m.onnx")).ok());
  auto fixed = Open();
  ASSERT_TRUE(fixed.ok()) << fixed.status().message();
  const std::vector<float> x = {-1, 2, -3, 4, -5, 6}, z = {-1, 4, -3, 8, -5, 12};
  auto made = Run(**fixed, {Of<float>(Shape{2, 3}, x)});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(std::vector<float>((*made)[0].as<float>(), (*made)[0].as<float>() + 6), (std::vector<float>{0, 2, 0, 4, 0, 6}));
  for (int i : {1, 2, 3}) EXPECT_EQ(std::vector<float>((*made)[static_cast<size_t>(i)].as<float>(), (*made)[static_cast<size_t>(i)].as<float>() + 6), z) << i;
  EXPECT_EQ((*made)[4].as<float>()[1], 7);
}

TEST_F(FixedModels, WhatItLacksIsASentence) {
  Write("graph (x: float[N,3]) -> (y) { y = Softmax-13(x) }");
  ASSERT_TRUE(Convert(Path("m.onnx")).ok());
  ExpectParts(Why(Open().status()), {"not in build", "no plan", "linnet convert"});
  fs::copy_file(Path("m.onnx"), Path("m.linnet"), fs::copy_options::overwrite_existing);
  ExpectParts(Why(Open().status()), {"not in build", "reading .onnx files"});
}

/// A cut or damaged head is refused before it is used. (Types are taken at their word: see fixed/model.h.)
TEST_F(FixedModels, CutFiles) {
  Write("graph (x: float[2,3]) -> (y) { y = Softmax-13(x) }");
  ASSERT_TRUE(Convert(Path("m.onnx")).ok());
  MappedFile::Ref file = MappedFile::Open(Path("m.linnet")).value();
  ASSERT_TRUE(FixedModel::Open(file->bytes(), file, 1).ok());
  for (size_t size = 0; size < file->bytes().size(); ++size) {
    ASSERT_FALSE(FixedModel::Open(file->bytes().substr(0, size), file, 1).ok()) << size;
  }
}

}  // namespace
}  // namespace linnet::hostile
