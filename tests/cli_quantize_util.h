// What tests of `linnet quantize` share: the command in their own process, a folder, and pictures for the digits model.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "cli/data/npy.h"
#include "cli/json.h"
#include "command_util.h"
#include "temp_folder.h"

namespace linnet::cli {

namespace fs = std::filesystem;

using linnet_test::Ran;

inline Ran Linnet(std::vector<std::string> arguments) {
  return linnet_test::RunCommand(std::move(arguments), [](Arguments& root) {
    AddQuantizeCommand(root);
    AddCompareCommand(root);
  });
}

class QuantizeFiles : public testing::Test {
 protected:
  /// `source`: the folder of the sources.
  explicit QuantizeFiles(const std::string& source) {
    folder_ = NewTempFolder("linnet_quantize");
    model_ = source + "/models/digits/digits.onnx";
    data_ = source + "/models/digits/images";
    out_ = folder_ + "/out.onnx";
  }
  ~QuantizeFiles() override { fs::remove_all(folder_); }

  /// A .npy file of pictures for the digits model.
  std::string Pictures(const std::string& name, int64_t count, float value, bool noise) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(0, value);
    Tensor tensor = Tensor::Allocate(DType::kFloat, {count, 1, 28, 28}).value();
    for (int64_t i = 0; i < tensor.elements(); ++i) tensor.mutable_as<float>()[i] = noise ? uniform(random) : value;
    const std::string path = folder_ + "/" + name;
    EXPECT_TRUE(SaveNpy(path, tensor).ok());
    return path;
  }
  void ExpectFails(std::vector<std::string> arguments, const std::string& part) {
    Ran ran = Linnet(std::move(arguments));
    EXPECT_NE(ran.code, kSuccess) << part;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(out_)) << part;
  }

  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  std::string folder_, model_, data_, out_;
};

}  // namespace linnet::cli
