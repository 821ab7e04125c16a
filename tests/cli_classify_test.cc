// Preparing pictures for classifiers: flags over metadata over ImageNet's habit; the digits model reads its test images.
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/data/model_inputs.h"
#include "cli/data/preprocessing.h"
#include "pictures_util.h"

namespace linnet::cli {
namespace {

PortInfo Port(const Shape& shape, DType dtype = DType::kFloat) { return {"image", Type::Tensor(dtype, shape), false}; }

ModelInfo Metadata(std::vector<std::pair<std::string, std::string>> metadata) {
  ModelInfo info;
  info.metadata = std::move(metadata);
  return info;
}

std::string Fails(const Result<Preprocessing>& result) {
  EXPECT_FALSE(result.ok());
  return std::string(result.status().message());
}

TEST(Preprocessing, HabitIsImageNets) {
  // torchvision's preset for classification: resize 256, crop 224, ImageNet's mean and standard deviation.
  Result<Preprocessing> made = ChoosePreprocessing(Port({1, 3, 224, 224}), {}, {});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(made->recipe.resize_shorter, 256);
  EXPECT_FLOAT_EQ(made->recipe.mean[2], 0.406f);
  EXPECT_FLOAT_EQ(made->recipe.std[0], 0.229f);
  EXPECT_TRUE(made->recipe.channels_first);
  made = ChoosePreprocessing(Port({1, kUnknownDim, kUnknownDim, 3}), {}, {});
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(made->recipe.channels_first);
  EXPECT_EQ(made->recipe.width, 224);
  // Bytes go in as they are.
  made = ChoosePreprocessing(Port({1, 192, 160, 3}, DType::kUint8), {}, {});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->recipe.width, 160);
  EXPECT_EQ(made->recipe.height, 192);
  EXPECT_EQ(made->recipe.scale, 1.0f);
  EXPECT_EQ(made->recipe.std[1], 1.0f);
}

TEST(Preprocessing, MetadataThenFlags) {
  ModelInfo info = Metadata({{"image.size", "64x48"}, {"image.mean", "0.5"}, {"image.std", "0.25,0.5,1"}, {"image.bgr", "true"}});
  PortInfo port = Port({1, 3, kUnknownDim, kUnknownDim});
  Result<Preprocessing> made = ChoosePreprocessing(port, info, {});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(made->recipe.width, 64);
  EXPECT_EQ(made->recipe.height, 48);
  EXPECT_EQ(made->recipe.resize_shorter, 0);
  EXPECT_EQ(made->recipe.mean[2], 0.5f);
  EXPECT_EQ(made->recipe.std[0], 0.25f);
  EXPECT_TRUE(made->recipe.bgr);
  PreprocessingFlags flags;
  flags.mean = "0.1,0.2,0.3";
  flags.size = "32";
  flags.resize = 40;
  flags.scale = "1";
  made = ChoosePreprocessing(port, info, flags);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->recipe.width, 32);
  EXPECT_EQ(made->recipe.height, 32);
  EXPECT_EQ(made->recipe.resize_shorter, 40);
  EXPECT_EQ(made->recipe.mean[2], 0.3f);
  EXPECT_EQ(made->recipe.std[0], 0.25f);
  EXPECT_EQ(made->recipe.scale, 1.0f);
}

TEST(Preprocessing, NamesWhatMakesNoSense) {
  PortInfo port = Port({1, 3, 224, 224});
  PreprocessingFlags flags;
  flags.mean = "1,2";
  EXPECT_NE(Fails(ChoosePreprocessing(port, {}, flags)).find("--mean is '1,2'"), std::string::npos);
  flags = {};
  flags.std = "0";
  EXPECT_NE(Fails(ChoosePreprocessing(port, {}, flags)).find("--std"), std::string::npos);
  flags = {};
  flags.size = "100x";
  EXPECT_NE(Fails(ChoosePreprocessing(port, {}, flags)).find("--size"), std::string::npos);
  EXPECT_NE(Fails(ChoosePreprocessing(port, Metadata({{"image.size", "99x99"}}), {})).find("224x224"), std::string::npos);
  EXPECT_NE(Fails(ChoosePreprocessing(Port({1, 5, 224, 224}), {}, {})).find("1 or 3 channels"), std::string::npos);
  Fails(ChoosePreprocessing(Port({1, 1, kUnknownDim, kUnknownDim}), {}, {}));
  Fails(ChoosePreprocessing(Port({3, 4}), {}, {}));
}

TEST(Preprocessing, Labels) {
  EXPECT_EQ(LabelsOf(Metadata({{"labels", "cat,dog"}})), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(LabelsOf(Metadata({{"classes", "cat, tabby\ndog"}})), (std::vector<std::string>{"cat, tabby", "dog"}));
  EXPECT_TRUE(LabelsOf({}).empty());
  EXPECT_FALSE(ReadLabels("/no/such/file").ok());
}

/// Each test picture is named after the digit in it.
TEST(Classify, DigitsAreRead) {
  LINNET_NEEDS_PICTURES;
  std::filesystem::path folder = std::filesystem::path(LINNET_SOURCE_DIR) / "models" / "digits";
  Result<std::unique_ptr<Session>> session = Session::Open((folder / "digits.onnx").string(), {});
  ASSERT_TRUE(session.ok()) << session.status().message();
  const PortInfo& port = (*session)->inputs()[0];
  Result<Preprocessing> made = ChoosePreprocessing(port, (*session)->info(), {});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(made->sentence, "stretched to 28x28, grey, pixels / 255");
  int pictures = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "images")) {
    Result<Image> image = LoadImage(entry.path().string());
    ASSERT_TRUE(image.ok()) << image.status().message();
    Result<Tensor> tensor = ImageTensor(*image, made->recipe);
    ASSERT_TRUE(tensor.ok());
    Fact input{tensor->type(), tensor->data()};
    std::vector<RunOutput> outputs(1);
    Status status = (*session)->Run(&input, outputs.data());
    ASSERT_TRUE(status.ok()) << status.message();
    const float* scores = outputs[0].datum.tensor.as<float>();
    EXPECT_EQ(std::max_element(scores, scores + 10) - scores, entry.path().filename().string()[0] - '0') << entry.path();
    ++pictures;
  }
  EXPECT_GE(pictures, 10);
}

}  // namespace
}  // namespace linnet::cli
