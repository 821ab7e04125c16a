// Scales, histograms and calibrators against brute force and known distributions; 4-bit blocks; the calibration table.
#include <gtest/gtest.h>

#include <float.h>

#include <cmath>
#include <random>

#include "ops/convert.h"
#include "ops/quantize_helpers.h"
#include "quantize/calibration/calibration.h"
#include "quantize/contract/search.h"
#include "quantize/dynamic.h"
#include "quantize_test_util.h"

namespace linnet::quantize {
namespace {

std::vector<float> Normal(int64_t count, uint64_t seed, float mean = 0, float deviation = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = normal(random);
  return out;
}

/// The error of quantizing the values themselves.
double ErrorOf(const std::vector<float>& values, const Params& params) {
  const IntegerRange codes = RangeOf(params.dtype);
  double sum = 0;
  for (float x : values) {
    double code = std::nearbyint(static_cast<double>(x) / params.scales[0]) + params.zeros[0];
    code = std::clamp(code, static_cast<double>(codes.low), static_cast<double>(codes.high));
    const double error = (code - params.zeros[0]) * params.scales[0] - x;
    sum += error * error;
  }
  return sum / static_cast<double>(values.size());
}

TEST(QuantizeScale, ZeroIsExactAndRangesAreCovered) {
  for (DType dtype : {DType::kUint8, DType::kInt8, DType::kUint16, DType::kInt16, DType::kUint4, DType::kInt4}) {
    for (bool symmetric : {false, true}) {
      for (Range range : {Range{-1, 3}, Range{0, 6}, Range{2, 5}, Range{-7, -3}, Range{-1e-30, 1e-30}, Range{-1e38, 1e38}, Range{0, 1e-44}}) {
        const Params params = ChooseParams(range, dtype, symmetric);
        ASSERT_TRUE(std::isnormal(params.scales[0]) && params.scales[0] > 0);
        const IntegerRange codes = RangeOf(dtype);
        ASSERT_GE(params.zeros[0], codes.low);
        ASSERT_LE(params.zeros[0], codes.high);
        const Range expressed = params.Expressed();
        const double step = params.scales[0];
        EXPECT_LE(expressed.low, std::min(range.low, 0.0) + 0.51 * step) << DTypeName(dtype);
        EXPECT_GE(expressed.high, std::max(range.high, 0.0) - 0.51 * step) << DTypeName(dtype);
      }
    }
  }
  // A constant zero, and the symmetric zero points of ONNX's types.
  EXPECT_EQ(ChooseParams({0, 0}, DType::kUint8, false).scales[0], 1.0f);
  EXPECT_EQ(ChooseParams({-1, 1}, DType::kUint8, true).zeros[0], 128);
  EXPECT_EQ(ChooseParams({-1, 1}, DType::kInt8, true).zeros[0], 0);
  EXPECT_EQ(ChooseParams({-1, 1}, DType::kInt8, true).scales[0], static_cast<float>(1.0 / 127));
  EXPECT_EQ(ChooseParams({0, 255}, DType::kUint8, false).scales[0], 1.0f);
}

TEST(QuantizeScale, WeightsRoundHalfToEvenByChannel) {
  const float values[] = {127, 0.5f, 1.5f, -2.5f, 254, 1, 3, -254};
  Result<QuantizedTensor> whole = QuantizeWeights(Tensor::Of<float>(Shape{2, 4}, values), 0, DType::kInt8, true);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->params.scales, (std::vector<float>{1, 2}));
  const int8_t expected[] = {127, 0, 2, -2, 127, 0, 2, -127};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(whole->integers.as<int8_t>()[i], expected[i]) << i;
  const float bad[] = {1, NAN};
  EXPECT_FALSE(QuantizeWeights(Tensor::Of<float>(Shape{2}, bad), -1, DType::kInt8, true).ok());
}

// Sums of two products of any byte and such weights fit 16 bits.
TEST(QuantizeScale, ReducedWeightsTakeSevenBits) {
  const std::vector<float> values = Normal(4000, 5);
  const Tensor x = Tensor::Of<float>(Shape{40, 100}, values);
  for (DType dtype : {DType::kInt8, DType::kUint8}) {
    for (bool symmetric : {true, false}) {
      for (int axis : {-1, 0, 1}) {
        Result<QuantizedTensor> whole = QuantizeWeights(x, axis, dtype, symmetric, true);
        ASSERT_TRUE(whole.ok());
        int least = 1000, most = -1000;
        for (int64_t i = 0; i < x.elements(); ++i) {
          const int code = dtype == DType::kInt8 ? whole->integers.as<int8_t>()[i] : whole->integers.as<uint8_t>()[i];
          const size_t channel = axis < 0 ? 0 : static_cast<size_t>(axis == 0 ? i / 100 : i % 100);
          const double back = (code - whole->params.zeros[channel]) * static_cast<double>(whole->params.scales[channel]);
          ASSERT_NEAR(back, values[static_cast<size_t>(i)], 0.51 * static_cast<double>(whole->params.scales[channel]) + (symmetric ? 0 : 0.5 * static_cast<double>(whole->params.scales[channel])));
          least = std::min(least, code), most = std::max(most, code);
        }
        EXPECT_GE(least, dtype == DType::kInt8 ? -64 : 0);
        EXPECT_LE(most, dtype == DType::kInt8 ? 64 : 127);
        EXPECT_GE(most - least, 120);
      }
    }
  }
  EXPECT_EQ(ChooseParams({-1, 1}, DType::kUint8, true, true).zeros[0], 64);
  EXPECT_EQ(ChooseParams({-1, 1}, DType::kInt8, true, true).scales[0], 1.0f / 64);
  EXPECT_EQ(ChooseParams({-1, 1}, DType::kInt16, true, true).scales[0], static_cast<float>(1.0 / 32767));   // of 8 bits alone
}

TEST(QuantizeScale, SumsOfKernelsAreKept) {
  const Tensor w = Tensor::Of<float>(Shape{6, 4, 3, 3}, Normal(216, 3));
  for (int axis : {0, -1}) {
    for (DType dtype : {DType::kInt8, DType::kUint8}) {
      const QuantizedTensor plain = QuantizeWeights(w, axis, dtype, true).value();
      QuantizedTensor kept = QuantizeWeights(w, axis, dtype, true).value();
      KeepKernelSums(w, &kept);
      int changed = 0;
      for (int64_t kernel = 0; kernel < 24; ++kernel) {
        const size_t c = axis < 0 ? 0 : static_cast<size_t>(kernel / 4);
        double sum = 0;
        for (int64_t t = kernel * 9; t < kernel * 9 + 9; ++t) {
          const int64_t code = LoadInteger(dtype, kept.integers.data(), t), before = LoadInteger(dtype, plain.integers.data(), t);
          const double off = static_cast<double>(code - plain.params.zeros[c]) - static_cast<double>(w.as<float>()[t]) / plain.params.scales[c];
          EXPECT_LE(std::fabs(off), 1.0);
          EXPECT_LE(std::abs(code - before), 1);
          changed += code != before;
          sum += off;
        }
        EXPECT_LE(std::fabs(sum), 0.5 + 1e-4) << kernel;
      }
      EXPECT_GT(changed, 5);
      EXPECT_LT(changed, 24 * 3);
    }
  }
}

TEST(QuantizeScale, BiasThatWouldNotFitRaisesTheWeightsScale) {
  Params weights;
  weights.dtype = DType::kInt8;
  weights.axis = 0;
  weights.scales = {1e-6f, 1e-6f};
  weights.zeros = {0, 0};
  const float values[] = {5000, 0.001f};
  const Tensor bias = Tensor::Of<float>(Shape{2}, values);
  FitBias(bias, 1e-3f, &weights);
  EXPECT_GT(weights.scales[0], 1e-6f);
  EXPECT_EQ(weights.scales[1], 1e-6f);
  Result<QuantizedTensor> whole = QuantizeBias(bias, 1e-3f, weights);
  ASSERT_TRUE(whole.ok());
  for (int c = 0; c < 2; ++c) {
    EXPECT_NEAR(whole->integers.as<int32_t>()[c] * static_cast<double>(whole->params.scales[static_cast<size_t>(c)]), values[c],
                std::abs(values[c]) * 1e-6 + whole->params.scales[static_cast<size_t>(c)]);
  }
}

TEST(QuantizeHistogram, DoesNotDependOnHowValuesArrive) {
  std::vector<float> values = Normal(20000, 1);
  values.insert(values.end(), {0, 0, 100, -3e-5f});
  Histogram whole, pieces;
  whole.Add(values.data(), static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); i += 1001) {
    pieces.Add(values.data() + i, static_cast<int64_t>(std::min<size_t>(1001, values.size() - i)));
  }
  EXPECT_EQ(whole.bins(), pieces.bins());
  EXPECT_EQ(whole.width(), pieces.width());
  EXPECT_EQ(whole.zeros(), 2);
  EXPECT_EQ(whole.high(), 100);
  int64_t counted = 0;
  for (int64_t n : whole.bins()) counted += n;
  EXPECT_EQ(counted + whole.zeros(), static_cast<int64_t>(values.size()));
  const float bad[] = {NAN, INFINITY, -INFINITY, 1};
  pieces.Add(bad, 4);
  EXPECT_EQ(pieces.not_finite(), 3);
  EXPECT_EQ(pieces.count(), whole.count() + 1);
}

TEST(QuantizeHistogram, FurtherSamplesAreLikelyWithin) {
  // Maxima of 40 samples; the next 1000 maxima are below the likely one with few exceptions, and many above the seen.
  Histogram seen;
  for (int i = 0; i < 40; ++i) {
    const std::vector<float> one = Normal(100, static_cast<uint64_t>(i));
    seen.Add(one.data(), 100);
  }
  int above_seen = 0, above_likely = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::vector<float> one = Normal(100, static_cast<uint64_t>(1000 + i));
    const float top = *std::max_element(one.begin(), one.end());
    above_seen += top > seen.high();
    above_likely += top > seen.LikelyHigh(2.5);
  }
  EXPECT_LE(above_likely, above_seen);
  EXPECT_LE(above_likely, 30);
  // Equal maxima are a bound.
  Histogram clipped;
  const float same[] = {-1, 6};
  for (int i = 0; i < 5; ++i) clipped.Add(same, 2);
  EXPECT_EQ(clipped.LikelyHigh(2.5), 6);
}

Range Chosen(const std::vector<float>& values, Calibrator calibrator, double percentile = 99.9, bool symmetric = false) {
  Histogram seen;
  seen.Add(values.data(), static_cast<int64_t>(values.size()));
  Result<Range> range = ChooseRange(seen, {calibrator, percentile, symmetric ? DType::kInt8 : DType::kUint8, symmetric});
  EXPECT_TRUE(range.ok()) << range.status().message();
  return *range;
}

TEST(QuantizeCalibrate, PercentileIsTheSortedValues) {
  std::vector<float> values = Normal(100000, 3);
  const Range range = Chosen(values, Calibrator::kPercentile, 99);
  std::sort(values.begin(), values.end());
  EXPECT_NEAR(range.low, values[500], 0.01);
  EXPECT_NEAR(range.high, values[99500], 0.01);
  // One-sided values lose one tail only.
  for (float& x : values) x = std::abs(x);
  const Range positive = Chosen(values, Calibrator::kPercentile, 99);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(positive.low, 0);
  EXPECT_NEAR(positive.high, values[99000], 0.01);
}

TEST(QuantizeCalibrate, MseIsNoWorseThanBruteForce) {
  for (int kind = 0; kind < 3; ++kind) {
    std::vector<float> values = Normal(30000, 5);
    if (kind == 1) {
      for (float& x : values) x = x * x * x;                 // heavy tails
    } else if (kind == 2) {
      for (float& x : values) x = std::max(x, 0.0f);
      values.push_back(40);                                  // an outlier behind a Relu
    }
    const Range range = Chosen(values, Calibrator::kMse);
    const double got = ErrorOf(values, ChooseParams(range, DType::kUint8, false));
    const float low = *std::min_element(values.begin(), values.end()), high = *std::max_element(values.begin(), values.end());
    double least = INFINITY;
    for (int a = 1; a <= 40; ++a) {
      for (int b = 1; b <= 40; ++b) least = std::min(least, ErrorOf(values, ChooseParams({low * a / 40.0, high * b / 40.0}, DType::kUint8, false)));
    }
    EXPECT_LE(got, least * 1.05) << kind;
    EXPECT_LE(got, ErrorOf(values, ChooseParams({low, high}, DType::kUint8, false)) * 1.001) << kind;
  }
}

TEST(QuantizeCalibrate, EntropyCutsAnOutlierAndKeepsAUniform) {
  std::vector<float> values = Normal(50000, 7);
  values.push_back(60);
  EXPECT_LT(Chosen(values, Calibrator::kEntropy).high, 12);
  std::mt19937 random(9);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& x : values) x = uniform(random);
  const Range range = Chosen(values, Calibrator::kEntropy);
  EXPECT_LT(range.low, -0.95);
  EXPECT_GT(range.high, 0.95);
}

TEST(QuantizeCalibrate, ExtremesAndOddData) {
  const std::vector<float> values = {-2, 0, 5};
  EXPECT_EQ(Chosen(values, Calibrator::kMinMax).low, -2);
  EXPECT_EQ(Chosen(values, Calibrator::kMinMax).high, 5);
  EXPECT_EQ(Chosen({3, 3, 3}, Calibrator::kMinMax).low, 0);
  EXPECT_EQ(Chosen({0, 0}, Calibrator::kMse).high, 0);
  EXPECT_EQ(Chosen({1e38f, 1, 2}, Calibrator::kMinMax).high, 1e38f);
  for (Calibrator each : {Calibrator::kMinMax, Calibrator::kLikely, Calibrator::kMovingAverage, Calibrator::kPercentile,
                          Calibrator::kEntropy, Calibrator::kMse}) {
    const Range range = Chosen({5, 5, 5, 5}, each);
    EXPECT_TRUE(range.low == 0 && range.high > 0 && range.high <= 5.01) << CalibratorName(each);
    Calibrator again;
    EXPECT_TRUE(CalibratorFromName(CalibratorName(each), &again) && again == each);
    const float nan[] = {NAN, NAN};
    Histogram seen;
    seen.Add(nan, 2);
    Result<Range> none = ChooseRange(seen, {each});
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.status().message().find("no finite number"), std::string_view::npos);
  }
}

/// The sum of |error|^norm of a block.
double BlockError(const std::vector<float>& values, const Block& block, DType dtype, double norm) {
  double sum = 0;
  for (float x : values) {
    const double code = static_cast<double>(CodeOf(x, block, dtype));
    sum += std::pow(std::abs((code - block.zero) * block.scale - x), norm);
  }
  return sum;
}

TEST(QuantizeBlocks, SquaresNeverCostAndUsuallyPay) {
  double plain = 0, refined = 0;
  for (DType dtype : {DType::kInt4, DType::kUint4}) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const std::vector<float> values = Normal(32, seed, 0.3f);
      const double a = BlockError(values, FitBlock(values.data(), 32, 1, dtype, BlockRounding::kExtremes), dtype, 2);
      const double b = BlockError(values, FitBlock(values.data(), 32, 1, dtype, BlockRounding::kSquares), dtype, 2);
      EXPECT_LE(b, a * 1.0000001);
      plain += a, refined += b;
    }
  }
  EXPECT_LT(refined, 0.9 * plain);
}

TEST(QuantizeBlocks, HalfQuadraticLowersTheNormItMinimises) {
  // With real zero points, as in the paper, it also beats least squares with whole ones in squared error.
  double norm[3] = {}, square[3] = {};
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<float> values = Normal(64, seed, 0.01f, 0.02f);
    values[5] = 0.15f;   // an outlier
    const Block blocks[] = {FitBlock(values.data(), 64, 1, DType::kUint4, BlockRounding::kExtremes),
                            FitBlock(values.data(), 64, 1, DType::kUint4, BlockRounding::kHalfQuadratic, true),
                            FitBlock(values.data(), 64, 1, DType::kUint4, BlockRounding::kHalfQuadratic, false)};
    EXPECT_EQ(blocks[2].zero, std::nearbyint(blocks[2].zero));
    for (int i = 0; i < 3; ++i) {
      norm[i] += BlockError(values, blocks[i], DType::kUint4, 0.7);
      square[i] += BlockError(values, blocks[i], DType::kUint4, 2);
      EXPECT_LE(BlockError(values, blocks[i], DType::kUint4, 0.7), BlockError(values, blocks[0], DType::kUint4, 0.7) * 1.0000001) << i;
    }
  }
  EXPECT_LT(norm[1], 0.93 * norm[0]);
  EXPECT_LT(norm[2], norm[0]);
  EXPECT_LT(square[1], 0.9 * square[0]);
  // Constant and empty blocks are defined.
  const float zeros[16] = {}, same[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (DType dtype : {DType::kInt4, DType::kUint4, DType::kInt8, DType::kUint8}) {
    EXPECT_TRUE(std::isnormal(FitBlock(zeros, 16, 1, dtype, BlockRounding::kHalfQuadratic, true).scale));
    const Block block = FitBlock(same, 16, 1, dtype, BlockRounding::kHalfQuadratic, true);
    EXPECT_NEAR((static_cast<float>(CodeOf(1, block, dtype)) - block.zero) * block.scale, 1, 0.01) << DTypeName(dtype);
  }
}

TEST(QuantizeTable, ReadsWhatItWrites) {
  const RangeTable table = {{"a", {-1.5, 2}}, {"odd\tname\n\\", {0, 1e-30}}, {"", {-1e38, 1e38}}};
  MemorySink sink;
  ASSERT_TRUE(WriteTable(table, sink).ok());
  Result<RangeTable> again = ReadTable(sink.contents());
  ASSERT_TRUE(again.ok()) << again.status().message();
  ASSERT_EQ(again->size(), table.size());
  for (const auto& [name, range] : table) {
    EXPECT_EQ(again->at(name).low, range.low);
    EXPECT_EQ(again->at(name).high, range.high);
  }
  const std::string head = sink.contents().substr(0, sink.contents().find('\n') + 1);
  for (const char* bad : {"1\t2\n", "2\t1\tx\n", "nan\t1\tx\n", "a\tb\tc\n"}) EXPECT_FALSE(ReadTable(head + bad).ok()) << bad;
  EXPECT_FALSE(ReadTable("hello").ok());
}

/// Two samples of four numbers, of which the second is ten times the first.
class TwoSamples : public Samples {
 public:
  int64_t size() const override { return 2; }
  Result<std::vector<Datum>> Load(int64_t index) override {
    const float x = index == 0 ? 1.0f : 10.0f;
    return std::vector<Datum>{Datum::Of(Tensor::Of<float>(Shape{4}, std::vector<float>(4, x)))};
  }
};

TEST(QuantizeJudge, ExpectsOfAFurtherSampleWhatThoseSeenDifferBy) {
  TwoSamples samples;
  const OnnxModel reference = Model("graph g (x: float[4]) -> (y) {\n  y = Identity-13(x)\n}\n", 13);
  // An error of 0.1 everywhere: 20 dB of the first and 40 dB of the second, 10 lg(101 / 0.02) = 37.03 dB together.
  const OnnxModel shifted = Model("graph g (x: float[4]) -> (y) {\n  c = const float[]{0.1}\n  y = Add-13(x, c)\n}\n", 13);
  Judge judge(reference.graph, &samples, {}, 1);
  EXPECT_NEAR(judge.Of(shifted.graph, {0, 1}, Judge::Caution::kTheseSamples)->sqnr_db, 37.03, 0.01);
  EXPECT_NEAR(judge.Of(shifted.graph, {0, 1})->sqnr_db, 30 - sqrt(200.0), 0.01);   // their mean less their deviation
  EXPECT_NEAR(judge.Of(shifted.graph, {1})->sqnr_db, 40, 0.01);
  // The same of both: nothing to be cautious of.
  const OnnxModel scaled = Model("graph g (x: float[4]) -> (y) {\n  c = const float[]{1.1}\n  y = Mul-13(x, c)\n}\n", 13);
  EXPECT_NEAR(judge.Of(scaled.graph, {0, 1})->sqnr_db, 20, 0.01);
  EXPECT_EQ(judge.Of(reference.graph, {0, 1})->sqnr_db, INFINITY);
  // An output of integers says nothing.
  const OnnxModel two = Model("graph g (x: float[4]) -> (y, n) {\n  y = Identity-13(x)\n  n = Shape-13(x)\n}\n", 13);
  const OnnxModel two_scaled = Model("graph g (x: float[4]) -> (y, n) {\n  c = const float[]{1.1}\n  y = Mul-13(x, c)\n  n = Shape-13(x)\n}\n", 13);
  EXPECT_NEAR(Judge(two.graph, &samples, {}, 1).Of(two_scaled.graph, {0, 1})->sqnr_db, 20, 0.01);
}

TEST(QuantizeJudge, NamesAModelThatMakesMuchOfLittle) {
  RandomSamples samples({1, 64}, 2);
  // sin 100 x: a hundredth more of x is an angle of one more.
  const OnnxModel unsteady = Model("graph g (x: float[1,64]) -> (y) {\n  hundred = const float[]{100}\n  e = Mul-13(x, hundred)\n  y = Sin-13(e)\n}\n", 13);
  const std::string told = Judge(unsteady.graph, &samples, {}, 1).Unsteady({0});
  EXPECT_NE(told.find("noise of 1 % (40 dB) in its inputs alone leaves "), std::string::npos) << told;
  const OnnxModel steady = Model("graph g (x: float[1,64]) -> (y) {\n  y = Tanh-13(x)\n}\n", 13);
  EXPECT_EQ(Judge(steady.graph, &samples, {}, 1).Unsteady({0}), "");
  EXPECT_EQ(Judge(steady.graph, &samples, {}, 1).Unsteady({}), "");
}

}  // namespace
}  // namespace linnet::quantize
