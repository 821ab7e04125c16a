// Quantization through the C and C++ interfaces: what is asked for, samples from callbacks, reports, refusals, bad arguments.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "api_test_util.h"
#include "linnet/linnet_quantize.hpp"

namespace linnet_test {
namespace {

/// Noisy copies of the digits model's picture.
struct Pictures {
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28);
  int64_t fails_at = -1, loaded = 0;
  std::vector<LinnetValue*> lent;

  static LinnetCode Load(void* user, int64_t index, LinnetValue** values, size_t count) {
    Pictures& self = *static_cast<Pictures*>(user);
    ++self.loaded;
    if (index == self.fails_at) return LinnetFail(LINNET_IO, "the picture is gone");
    if (count != 1) return LinnetFail(LINNET_INVALID_ARGUMENT, "one input");
    std::vector<float> noisy = self.image;
    for (size_t i = 0; i < noisy.size(); ++i) noisy[i] += 0.02f * static_cast<float>((i * 7 + static_cast<size_t>(index) * 13) % 11);
    const int64_t shape[] = {1, 1, 28, 28};
    return LinnetTensorCreate(LINNET_FLOAT, shape, 4, noisy.data(), &values[0]);
  }
  LinnetSamples Samples(int64_t count) {
    LinnetSamples samples = {};
    samples.struct_size = sizeof samples;
    samples.user = this;
    samples.count = count;
    samples.load = Load;
    return samples;
  }
};

class ApiQuantize : public testing::Test {
 protected:
  ApiQuantize() { EXPECT_EQ(LinnetQuantizerCreate(&quantizer_), LINNET_OK); }
  ~ApiQuantize() override { EXPECT_EQ(LinnetQuantizerClose(quantizer_), LINNET_OK); }
  void Set(const char* option, const char* value) { EXPECT_EQ(LinnetQuantizerSet(quantizer_, option, value), LINNET_OK) << LinnetLastError(); }
  LinnetCode Run(const LinnetSamples* samples) { return LinnetQuantizerRun(quantizer_, DigitsPath().c_str(), out_.c_str(), samples, &report_); }
  bool Exists() const {
    FILE* file = fopen(out_.c_str(), "rb");
    if (file) fclose(file);
    return file != nullptr;
  }

  LinnetQuantizer* quantizer_ = nullptr;
  std::string out_ = TemporaryPath("int8.onnx");
  LinnetQuantizeReport report_ = {sizeof(LinnetQuantizeReport), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  Pictures pictures_;
};

TEST_F(ApiQuantize, MakesAModelThatRuns) {
  int64_t calls = 0;
  auto progress = [](void* user, const char* what, int64_t done, int64_t total) {
    ++*static_cast<int64_t*>(user);
    EXPECT_TRUE(what && done >= 0 && done <= total);
  };
  ASSERT_EQ(LinnetQuantizerSetProgress(quantizer_, progress, &calls), LINNET_OK);
  Set("min-sqnr", "25");
  std::vector<int64_t> labels(8, 2);   // what the picture shows
  LinnetSamples samples = pictures_.Samples(8);
  samples.labels = labels.data();
  ASSERT_EQ(Run(&samples), LINNET_OK) << LinnetLastError();
  EXPECT_GT(calls, 6);
  EXPECT_EQ(report_.calibrated, 6);
  EXPECT_EQ(report_.compared, 2);
  EXPECT_EQ(report_.held_out, 1);
  EXPECT_EQ(report_.refused, 0);
  EXPECT_GE(report_.sqnr_db, 25);
  EXPECT_EQ(report_.top1_agreement, 1);
  EXPECT_EQ(report_.accuracy, 1);
  EXPECT_LT(report_.weight_bytes_after * 3, report_.weight_bytes_before);
  LinnetSession* session;
  ASSERT_EQ(LinnetSessionOpen(out_.c_str(), nullptr, &session), LINNET_OK) << LinnetLastError();
  LinnetSessionClose(session);
}

TEST_F(ApiQuantize, WithoutSamples) {
  Set("mode", "dynamic");
  Set("format", "qoperator");
  ASSERT_EQ(Run(nullptr), LINNET_OK) << LinnetLastError();
  EXPECT_TRUE(std::isnan(report_.sqnr_db) && std::isnan(report_.accuracy));
  EXPECT_TRUE(Exists());
}

TEST_F(ApiQuantize, RefusesAndLeavesNothing) {
  Set("min-sqnr", "190");
  LinnetSamples samples = pictures_.Samples(8);
  EXPECT_EQ(Run(&samples), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(report_.refused, 1);
  EXPECT_NE(std::string(LinnetLastError()).find("the layers that cost most"), std::string::npos);
  EXPECT_FALSE(Exists());
}

TEST_F(ApiQuantize, BadArgumentsAreSentences) {
  struct {
    const char *option, *value, *part;
  } const cases[] = {{"mode", "magic", "none of static"}, {"wieghts", "s8", "'wieghts'"},   {"weights", "s16", "none of s8"},
                     {"min-sqnr", "loud", "no number"},   {"block", "8", "from 16 to 1024"}, {"equalize", "yes", "neither 1 nor 0"},
                     {"threads", "1.5", "whole number"},  {"format", "", "neither qdq"},     {"percentile", "nan", "no number"}};
  for (const auto& c : cases) {
    EXPECT_EQ(LinnetQuantizerSet(quantizer_, c.option, c.value), LINNET_INVALID_ARGUMENT);
    EXPECT_NE(std::string(LinnetLastError()).find(c.part), std::string::npos) << LinnetLastError();
  }
  EXPECT_EQ(LinnetQuantizerSet(quantizer_, nullptr, "x"), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(LinnetQuantizerSet(nullptr, "mode", "static"), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(LinnetQuantizerOverride(quantizer_, "image", "range", "0"), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(LinnetQuantizerOverride(quantizer_, "image", "colour", "1"), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(LinnetQuantizerCreate(nullptr), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(LinnetQuantizerRun(quantizer_, nullptr, "x", nullptr, nullptr), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(Run(nullptr), LINNET_INVALID_ARGUMENT);   // static without samples
  LinnetSamples samples = pictures_.Samples(8);
  pictures_.fails_at = 3;
  EXPECT_EQ(Run(&samples), LINNET_IO);
  EXPECT_NE(std::string(LinnetLastError()).find("the picture is gone"), std::string::npos);
  samples.load = [](void*, int64_t, LinnetValue**, size_t) -> LinnetCode { return LINNET_OK; };   // and gives nothing
  EXPECT_EQ(Run(&samples), LINNET_INVALID_ARGUMENT);
  samples.load = nullptr;
  EXPECT_EQ(Run(&samples), LINNET_INVALID_ARGUMENT);
  EXPECT_FALSE(Exists());
}

TEST_F(ApiQuantize, FromCpp) {
  linnet::Quantizer quantizer;
  quantizer.Set("equalize", "1").Override("image", "range", "0 2");
  linnet::Samples samples;
  samples.count = 8;
  samples.load = [&](int64_t index) {
    LinnetValue* value = nullptr;
    EXPECT_EQ(Pictures::Load(&pictures_, index, &value, 1), LINNET_OK);
    return std::vector<linnet::Value>{linnet::Value(value)};
  };
  LinnetQuantizeReport report = quantizer.Run(DigitsPath(), out_, samples);
  EXPECT_GE(report.sqnr_db, 20);
  EXPECT_NE(quantizer.notes().find("equalised"), std::string::npos);
  samples.load = [](int64_t) -> std::vector<linnet::Value> { throw std::runtime_error("no camera"); };
  try {
    quantizer.Run(DigitsPath(), out_, samples);
    FAIL();
  } catch (const linnet::Error& error) {
    EXPECT_NE(std::string(error.what()).find("no camera"), std::string::npos);
  }
}

}  // namespace
}  // namespace linnet_test
