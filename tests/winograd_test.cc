// Winograd convolutions at every instruction set against direct sums in double precision, and when they are chosen.
#include "kernels/conv/winograd.h"

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "guarded.h"
#include "kernels/transpose.h"
#include "ops_test_util.h"

namespace linnet {
namespace {

struct Case {
  int64_t batch, in_h, in_w, in_c, out_c;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t slice = 0;  // channels before and after, in input and output
  bool bias = true, residual = false;
  Activation activation = Activation::kRelu;
  int64_t gap = 0;    // floats between output rows
  int64_t dilation_h = 1, dilation_w = 1;
};

/// A convolution, its buffers, and the answer in double precision.
struct Problem {
  explicit Problem(const Case& t, bool normal = false) : t(t) {
    c.batch = t.batch, c.in_h = t.in_h, c.in_w = t.in_w, c.in_c = t.in_c, c.out_c = t.out_c;
    c.kernel_h = c.kernel_w = 3;
    c.pad_top = t.pad_top, c.pad_left = t.pad_left;
    c.dilation_h = t.dilation_h, c.dilation_w = t.dilation_w;
    c.out_h = t.in_h + t.pad_top + t.pad_bottom - 2 * t.dilation_h;
    c.out_w = t.in_w + t.pad_left + t.pad_right - 2 * t.dilation_w;
    c.input_pixel_stride = t.in_c + t.slice;
    c.input_row_stride = t.in_w * c.input_pixel_stride;
    c.input_batch_stride = t.in_h * c.input_row_stride;
    c.output_pixel_stride = t.out_c + t.slice;
    row_stride = c.out_w * c.output_pixel_stride + t.gap;
    if (t.gap) c.output_row_stride = row_stride;
    pixels = t.batch * c.out_h * c.out_w;
    Numbers numbers;
    auto fill = [&](Guarded<float>& array) {
      for (int64_t i = 0; i < array.size(); ++i) {
        // A sum of twelve uniform numbers is close to normal; its variance is 12 / 3.
        float sum = numbers.Next();
        for (int j = 0; normal && j < 11; ++j) sum += numbers.Next();
        array[i] = normal ? sum / 2 : sum;
      }
    };
    fill(input), fill(weights), fill(bias), fill(residual);
    c.input = input.data();
    if (t.bias) c.epilogue.bias = bias.data();
    if (t.residual) c.epilogue.residual = residual.data(), c.epilogue.residual_row_stride = t.out_c;
    c.epilogue.activation = t.activation;
    if (t.activation == Activation::kClip) c.epilogue.alpha = -0.5f, c.epilogue.beta = 0.75f;
    if (t.activation == Activation::kSilu) c.epilogue.alpha = 1;
  }

  double Expected(int64_t pixel, int64_t o, double* size) const {
    const int64_t n = pixel / c.out_w / c.out_h, h = pixel / c.out_w % c.out_h, w = pixel % c.out_w;
    double sum = t.bias ? bias[o] : 0;
    *size = 1;
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t j = 0; j < 3; ++j) {
        const int64_t y = h + i * t.dilation_h - t.pad_top, x = w + j * t.dilation_w - t.pad_left;
        if (y < 0 || y >= t.in_h || x < 0 || x >= t.in_w) continue;
        const float* from = &input[n * c.input_batch_stride + y * c.input_row_stride + x * c.input_pixel_stride];
        for (int64_t k = 0; k < t.in_c; ++k) {
          const double product = static_cast<double>(from[k]) * weights[((o * t.in_c + k) * 3 + i) * 3 + j];
          sum += product, *size += std::fabs(product);
        }
      }
    }
    if (t.residual) sum += residual[pixel * t.out_c + o];
    switch (t.activation) {
      case Activation::kRelu: return std::max(sum, 0.0);
      case Activation::kClip: return std::min(std::max(sum, -0.5), 0.75);
      case Activation::kSilu: return sum / (1 + std::exp(-sum));
      default: return sum;
    }
  }

  int64_t OutputSize() const { return (t.batch * c.out_h - 1) * row_stride + c.out_w * c.output_pixel_stride - t.slice; }
  const float& Out(const Guarded<float>& output, int64_t pixel, int64_t o) const {
    return output[pixel / c.out_w * row_stride + pixel % c.out_w * c.output_pixel_stride + o];
  }

  const Case t;
  ConvF32 c;
  int64_t row_stride, pixels;
  Guarded<float> input{t.batch * t.in_h * t.in_w * (t.in_c + t.slice) - t.slice}, weights{t.out_c * t.in_c * 9},
      bias{t.out_c}, residual{t.batch * (t.in_h + t.pad_top + t.pad_bottom - 2 * t.dilation_h) *
                              (t.in_w + t.pad_left + t.pad_right - 2 * t.dilation_w) * t.out_c};
};

/// Computes units of `tiles` by `panels`, each thread's turn on the same scratch.
void Compute(CpuLevel level, Problem& p, WinogradWay way, int64_t tiles, int64_t panels, Guarded<float>* output, bool start_often) {
  const GemmF32Kernels& gemm = PickGemmF32(level);
  const WinogradF32Kernels& kernels = PickWinogradF32(level);
  const int tile = way.tile;
  Guarded<float> packed(way.ahead ? PackedWinogradSizeF32(p.t.out_c, p.t.in_c, tile) : PackedConvSizeF32(p.t.out_c, p.t.in_c, 1, 3, 3));
  if (way.ahead) {
    PackWinogradF32(p.weights.data(), p.t.out_c, p.t.in_c, tile, packed.data());
  } else {
    PackConvF32(p.weights.data(), p.t.out_c, p.t.in_c, 1, 3, 3, packed.data());
  }
  ConvF32 c = p.c;
  c.transpose = PickTranspose(4, level);
  c.packed = packed.data();
  c.output = output->data();
  const int64_t bytes = WinogradScratchBytes(kernels, gemm, c, way);
  // Aligned as the contract wants it; an element beyond the bytes asked for lies in the unreadable page.
  Guarded<double> scratch((bytes + 63) / 64 * 8, NAN);
  ASSERT_TRUE(scratch.Intact());
  StartWinogradF32(scratch.data());
  const int64_t all = WinogradTiles(c, tile);
  for (int64_t at = 0; at < all; at += tiles) {
    for (int64_t panel = 0; panel < ConvPanels(c); panel += panels) {
      if (start_often) StartWinogradF32(scratch.data());
      RunWinogradF32(kernels, gemm, c, way, at, std::min(all, at + tiles), panel,
                     std::min(ConvPanels(c), panel + panels), scratch.data());
    }
  }
  ASSERT_TRUE(scratch.Intact() && packed.Intact() && output->Intact() && p.input.Intact());
}

/// G g G' in double precision, each product and sum rounded by itself, by the formulas of winograd.h's points.
void Transformed(const float* g, int tile, float* u) {
  const int side = tile + 2;
  struct Real {
    volatile double value;   // a compiler may not merge what is stored between
    Real(double v) : value(v) {}
    Real(const Real& other) : value(other.value) {}
    Real& operator=(const Real& other) {
      value = other.value;
      return *this;
    }
    Real operator*(const Real& b) const { return value * b.value; }
    Real operator+(const Real& b) const { return value + b.value; }
    Real operator-(const Real& b) const { return value - b.value; }
  };
  auto column = [&](Real a, Real b, Real c, Real* out) {
    if (tile == 2) {
      const Real even = Real(0.5) * (a + c), odd = Real(0.5) * b;
      out[0] = a, out[1] = even + odd, out[2] = even - odd, out[3] = c;
      return;
    }
    if (tile == 6) {
      out[0] = Real(-1) * a, out[7] = c;
      for (int i = 0; i < 3; ++i) {
        // A row is 1, x, x^2 over the product of x minus the other points.
        const double x = i == 0 ? 0.5 : i, over = 1 / (i == 0 ? 1.40625 : i == 1 ? -4.5 : 90);
        const Real even = Real(over) * a + Real(over * x * x) * c, odd = Real(over * x) * b;
        out[1 + 2 * i] = even + odd, out[2 + 2 * i] = even - odd;
      }
      return;
    }
    const double p = 0.75, q = 1.5, p2 = p * p, q2 = q * q, at_p = 1 / (2 * p2 * (p2 - q2)), at_q = 1 / (2 * q2 * (q2 - p2));
    const Real even_p = Real(at_p) * a + Real(at_p * p2) * c, even_q = Real(at_q) * a + Real(at_q * q2) * c;
    const Real odd_p = Real(at_p * p) * b, odd_q = Real(at_q * q) * b;
    out[0] = Real(1 / (p2 * q2)) * a;
    out[1] = even_p + odd_p, out[2] = even_p - odd_p, out[3] = even_q + odd_q, out[4] = even_q - odd_q, out[5] = c;
  };
  std::vector<Real> half(3 * 8, 0.0), whole(8, 0.0);
  for (int j = 0; j < 3; ++j) column(g[j], g[3 + j], g[6 + j], &half[static_cast<size_t>(8 * j)]);
  for (size_t i = 0; i < static_cast<size_t>(side); ++i) {
    column(half[i], half[8 + i], half[16 + i], whole.data());
    for (size_t j = 0; j < static_cast<size_t>(side); ++j) u[i * static_cast<size_t>(side) + j] = static_cast<float>(whole[j].value);
  }
}

TEST(Winograd, WeightsAreTheSameBitsOnEveryMachine) {
  // Prepared files carry them from one machine to another: no instruction set may round otherwise.
  const int64_t out_c = 21, in_c = 7;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> weights(static_cast<size_t>(out_c * in_c * 9));
  for (float& w : weights) w = normal(random);
  for (int tile : {2, 4, 6}) {
    const int64_t positions = (tile + 2) * (tile + 2);
    std::vector<float> packed(static_cast<size_t>(PackedWinogradSizeF32(out_c, in_c, tile)));
    PackWinogradF32(weights.data(), out_c, in_c, tile, packed.data());
    float expected[64];
    for (int64_t o = 0; o < out_c; ++o) {
      for (int64_t c = 0; c < in_c; ++c) {
        Transformed(&weights[static_cast<size_t>((o * in_c + c) * 9)], tile, expected);
        for (int64_t i = 0; i < positions; ++i) {
          const int64_t at = ((i * PanelCount(out_c) + o / 16) * in_c + c) * 16 + o % 16;
          ASSERT_EQ(packed[static_cast<size_t>(at)], expected[i]) << "tile " << tile << " position " << i;
        }
      }
    }
  }
}

void Check(CpuLevel level, WinogradWay way, const Case& t) {
  const int tile = way.tile;
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " tile " << tile << (way.ahead ? "" : ", late,") << " input " << t.batch << "x" << t.in_h << "x"
                                  << t.in_w << "x" << t.in_c << " out_c " << t.out_c << " pads " << t.pad_top << " "
                                  << t.pad_left << " " << t.pad_bottom << " " << t.pad_right << " slice " << t.slice);
  Problem p(t);
  Guarded<float> output(p.OutputSize(), 77.0f);
  Compute(level, p, way, 5, 2, &output, false);
  for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
    for (int64_t o = 0; o < t.out_c; ++o) {
      double size;
      const double expected = p.Expected(pixel, o, &size);
      ASSERT_NEAR(p.Out(output, pixel, o), expected, size * (tile == 6 ? 1.6e-5 : 4e-6)) << "pixel " << pixel << " channel " << o;
    }
    for (int64_t o = t.out_c; o < t.out_c + t.slice && pixel + 1 < p.pixels; ++o) {
      ASSERT_EQ(p.Out(output, pixel, o), 77.0f) << "wrote beside its channels";
    }
  }
  for (int64_t row = 0; row + 1 < t.batch * p.c.out_h; ++row) {
    for (int64_t i = 0; i < t.gap; ++i) {
      ASSERT_EQ(output[(row + 1) * p.row_stride - 1 - i], 77.0f) << "wrote beside its rows";
    }
  }
}

constexpr WinogradWay kWays[] = {{2, true}, {4, true}, {6, true}, {2, false}, {4, false}};

void CheckAll(const Case& t) {
  for (CpuLevel level : FloatLevels()) {
    for (WinogradWay way : kWays) Check(level, way, t);
  }
}

TEST(Winograd, SizesAndPaddings) {
  CheckAll({1, 8, 8, 16, 16, 1, 1, 1, 1});
  CheckAll({2, 7, 9, 5, 19, 1, 1, 1, 1});
  CheckAll({3, 3, 3, 4, 4});
  CheckAll({1, 3, 4, 1, 1});
  CheckAll({1, 1, 1, 7, 3, 1, 1, 1, 1});
  CheckAll({1, 1, 13, 33, 17, 1, 1, 1, 1});
  CheckAll({2, 6, 5, 3, 40, 0, 2, 2, 0});
  CheckAll({1, 4, 4, 2, 3, 5, 6, 7, 5});     // tiles of nothing but padding
  CheckAll({1, 12, 11, 6, 8, -2, -1, 0, 1});  // the borders are cut off
  CheckAll({4, 3, 4, 40, 21, 1, 1, 1, 1});    // four tiles of 4 x 4, each a picture
  CheckAll({1, 7, 8, 97, 50, 1, 1, 1, 1});
}

/// Weights that a run transforms some channels and panels at a time, as all are more than a cache holds.
TEST(Winograd, WeightsPartByPart) {
  for (CpuLevel level : FloatLevels()) {
    for (int tile : {2, 4}) {
      Check(level, {tile, false}, {1, 13, 14, 347, 40, 1, 1, 1, 1, 0, true, true, Activation::kRelu});
      Check(level, {tile, false}, {1, 11, 9, 128, 130, 1, 1, 1, 1});
    }
  }
}

/// Pictures taken apart, of the same size or not, of which some have no pixels.
TEST(Winograd, Dilations) {
  CheckAll({1, 8, 8, 16, 16, 2, 2, 2, 2, 0, true, false, Activation::kRelu, 0, 2, 2});
  CheckAll({2, 9, 11, 5, 19, 3, 2, 3, 2, 3, true, true, Activation::kSilu, 5, 3, 2});
  CheckAll({1, 7, 13, 3, 33, 1, 4, 1, 4, 0, false, true, Activation::kNone, 0, 1, 4});
  CheckAll({1, 5, 6, 4, 8, 7, 9, 7, 9, 0, true, true, Activation::kClip, 0, 7, 9});   // more pictures than rows
  CheckAll({2, 13, 12, 6, 20, 0, 1, 2, 0, 2, true, false, Activation::kRelu, 0, 2, 5});
}

TEST(Winograd, Channels) {
  for (int64_t channels = 1; channels <= 70; channels += channels < 20 ? 1 : 7) {
    CheckAll({1, 5, 7, channels, 71 - channels, 1, 1, 1, 1});
  }
  CheckAll({1, 6, 6, 130, 100, 1, 1, 1, 1});
}

TEST(Winograd, Epilogues) {
  for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kClip, Activation::kSilu}) {
    for (bool residual : {false, true}) {
      for (bool bias : {false, true}) {
        CheckAll({2, 6, 7, 9, 21, 1, 1, 1, 1, 3, bias, residual, activation, 5});
        CheckAll({1, 9, 5, 8, 32, 1, 1, 1, 1, 0, bias, residual, activation});
      }
    }
  }
}

TEST(Winograd, ResidualInPlace) {
  for (CpuLevel level : FloatLevels()) {
    for (WinogradWay tile : kWays) {
      for (int64_t dilation : {1, 3}) {
        Problem p({1, 10, 10, 8, 24, dilation, dilation, dilation, dilation, 0, true, true, Activation::kRelu, 0, dilation, dilation});
        Guarded<float> apart(p.OutputSize()), within(p.OutputSize());
        Compute(level, p, tile, 4, 1, &apart, false);
        memcpy(within.data(), p.residual.data(), static_cast<size_t>(p.residual.size()) * 4);
        p.c.epilogue.residual = within.data();
        Compute(level, p, tile, 4, 1, &within, false);
        EXPECT_EQ(memcmp(apart.data(), within.data(), static_cast<size_t>(apart.size()) * 4), 0) << CpuLevelName(level);
      }
    }
  }
}

TEST(Winograd, AnySplitGivesTheSameBits) {
  for (CpuLevel level : FloatLevels()) {
    for (WinogradWay way : kWays) {
      Problem p({2, 23, 19, 37, 75, 1, 1, 1, 1, 0, true, true, Activation::kSilu});
      Guarded<float> whole(p.OutputSize());
      Compute(level, p, way, 1 << 20, 1 << 20, &whole, false);
      const GemmGrain grain = WinogradGrainF32(PickWinogradF32(level), PickGemmF32(level), p.c, way, 4);
      for (auto [tiles, panels] : {std::pair<int64_t, int64_t>{1, 1}, {7, 3}, {grain.rows, grain.panels}, {11, 100}}) {
        for (bool start_often : {false, true}) {
          Guarded<float> parts(p.OutputSize());
          Compute(level, p, way, tiles, panels, &parts, start_often);
          ASSERT_EQ(memcmp(whole.data(), parts.data(), static_cast<size_t>(whole.size()) * 4), 0)
              << CpuLevelName(level) << " tile " << way.tile << " in units of " << tiles << " x " << panels;
        }
      }
    }
  }
}

/// The largest difference from exact sums, as a part of the largest magnitude.
double Error(CpuLevel level, WinogradWay way, int64_t size, int64_t channels) {
  Problem p({1, size, size, channels, 16, 1, 1, 1, 1, 0, false, false, Activation::kNone}, true);
  Guarded<float> output(p.OutputSize());
  Compute(level, p, way, 1 << 20, 1, &output, false);
  double most = 0, largest = 0, sum;
  for (int64_t pixel = 0; pixel < p.pixels; ++pixel) {
    for (int64_t o = 0; o < 16; ++o) {
      const double expected = p.Expected(pixel, o, &sum);
      most = std::max(most, std::fabs(p.Out(output, pixel, o) - expected));
      largest = std::max(largest, std::fabs(expected));
    }
  }
  return most / largest;
}

TEST(Winograd, ErrorsOfNormalData) {
  for (CpuLevel level : FloatLevels()) {
    for (auto [tile, bound] : {std::pair{2, 2e-6}, {4, 1e-5}, {6, 4e-5}}) {
      const double error = Error(level, {tile, true}, 17, 512);
      EXPECT_LT(error, bound) << CpuLevelName(level) << " tile " << tile;
      RecordProperty(std::string(CpuLevelName(level)) + "_" + std::to_string(tile), testing::PrintToString(error));
    }
    // Weights transformed at every run are rounded once more; 7 x 7 pixels are four tiles of 4 x 4.
    EXPECT_LT(Error(level, {2, false}, 17, 512), 2e-6) << CpuLevelName(level);
    EXPECT_LT(Error(level, {4, false}, 17, 512), 1e-5) << CpuLevelName(level);
    EXPECT_LT(Error(level, {4, false}, 7, 512), 1e-5) << CpuLevelName(level);
  }
}

TEST(Winograd, ChosenByCost) {
  auto way = [](int64_t in_c, int64_t out_c, int64_t out_h, int64_t out_w, int64_t dilation = 1, int64_t batch = 1, const WinogradF32Kernels* late = nullptr) {
    ConvSizes c;
    c.batch = batch, c.in_c = in_c, c.out_c = out_c, c.out_h = out_h, c.out_w = out_w, c.dilation_h = c.dilation_w = dilation;
    const WinogradWay way = ChooseWinograd(c, late);
    EXPECT_TRUE(!late || !way.ahead);
    return std::pair(way.tile, way.ahead);
  };
  using Way = std::pair<int, bool>;
  EXPECT_EQ(way(64, 64, 56, 56), Way(4, true));
  EXPECT_EQ(way(256, 256, 14, 14), Way(2, true));    // the weights of 4 x 4 tiles would cost more than they save
  EXPECT_EQ(way(128, 128, 28, 28), Way(4, true));    // 1.3 MB more for what they save
  EXPECT_EQ(way(256, 128, 32, 32), Way(4, false));   // twice as many: made at every run
  EXPECT_EQ(way(256, 256, 16, 16), Way(4, false));
  EXPECT_EQ(way(512, 512, 7, 7), Way(4, false));     // four tiles, no weight is written
  WinogradF32Kernels kernels = PickWinogradF32(DetectedCpuLevel());
  kernels.few = nullptr;
  EXPECT_EQ(way(512, 512, 7, 7, 1, 1, &kernels), Way(2, false));   // those that cannot
  EXPECT_EQ(way(64, 64, 56, 56, 1, 1, &kernels), Way(4, false));
  EXPECT_EQ(way(128, 128, 56, 56), Way(4, true));
  EXPECT_EQ(way(64, 128, 32, 32), Way(4, true));
  EXPECT_EQ(way(64, 64, 112, 112), Way(6, true));
  EXPECT_EQ(way(16, 16, 256, 256), Way(6, true));
  EXPECT_EQ(way(8, 8, 256, 256).first, 0);
  EXPECT_EQ(way(64, 64, 64, 64), Way(4, true));      // too small for so many bytes
  EXPECT_EQ(way(512, 512, 1, 1).first, 0);           // nearly all of a tile would be thrown away
  EXPECT_EQ(way(512, 512, 1, 1, 1, 64).first, 0);
  EXPECT_EQ(way(3, 32, 224, 224).first, 0);          // transforms dominate
  EXPECT_EQ(way(1, 1, 100, 100).first, 0);
  EXPECT_EQ(way(64, 64, 56, 56, 2), Way(4, true));   // four pictures of 28 x 28
  EXPECT_NE(way(512, 512, 28, 28, 2).first, 0);
  EXPECT_EQ(way(960, 256, 14, 14, 12).first, 0);     // most taps are outside
  EXPECT_EQ(way(64, 64, 0, 0), way(64, 64, 28, 28)); // sizes not known
  EXPECT_EQ(way(64, 64, kUnknownDim, SymbolDim(0), 1, kUnknownDim), way(64, 64, 28, 28));
}

/// A store that holds the forms named, as a prepared file does, and notes what was asked for.
class OneForm : public WeightStore {
 public:
  explicit OneForm(std::string form) : form_(std::move(form)) {}
  Result<const void*> Get(int64_t, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)> fill) override {
    if (!form_.empty() && tag != form_) return InvalidModel("no ", tag);
    got = tag;
    memory_.assign(static_cast<size_t>(bytes) / 8 + 1, NAN);
    LINNET_TRY(fill(memory_.data()));
    return static_cast<const void*>(memory_.data());
  }
  std::string got;

 private:
  std::string form_;
  std::vector<double> memory_;
};

/// linnet:Conv of a picture with constant weights, declared without sizes, on weights in one form; "" lets it choose.
/// `exact`: the same in double precision.
std::vector<float> RunOperator(const std::string& form, int threads, int64_t side, std::string* got, std::vector<double>* exact) {
  Numbers numbers;
  Tensor x = *Tensor::Allocate(DType::kFloat, {2, side, side + 3, 40}), w = *Tensor::Allocate(DType::kFloat, {70, 40, 3, 3});
  Tensor other = *Tensor::Allocate(DType::kFloat, x.shape());
  for (Tensor* tensor : {&x, &w, &other}) {
    for (int64_t i = 0; i < tensor->elements(); ++i) tensor->mutable_as<float>()[i] = numbers.Next();
  }
  auto graph = std::make_shared<Graph>();
  Node node;
  node.op = "Conv";
  node.domain = "linnet";
  node.version = 1;
  node.Set("pads", std::vector<int64_t>{1, 1, 1, 1});
  Type open = x.type();
  open.shape = Shape{kUnknownDim, kUnknownDim, kUnknownDim, 40};
  const ValueId out = graph->AddValue("y");
  node.inputs = {graph->AddInput("x", open), graph->AddConstant("w", w)};
  node.outputs = {out};
  graph->AddOutput(out);
  EXPECT_TRUE(graph->AddNode(std::move(node)).ok());
  OneForm weights(form);
  CompileOptions options;
  options.table = &OpTable::BuiltIn();
  options.cpu = DetectedCpuLevel();
  options.threads = threads;
  options.weights = &weights;
  Result<std::unique_ptr<Model>> model = Model::Make(graph, options);
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (!model.ok()) return {};
  ThreadPool pool(threads);
  RunEnv env;
  env.pool = &pool;
  env.threads = threads;
  RunState state;
  RunOutput result;
  // A run on another picture first: nothing of it may be left.
  for (const Tensor* image : {&other, &x}) {
    const Fact feed{image->type(), image->data()};
    Status status = state.Run(**model, env, &feed, 1, &result, 1);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  *got = weights.got;
  exact->clear();
  const float *picture = x.as<float>(), *kernel = w.as<float>();
  for (int64_t pixel = 0; pixel < 2 * side * (side + 3); ++pixel) {
    const int64_t column = pixel % (side + 3), row = pixel / (side + 3) % side;
    for (int64_t o = 0; o < 70; ++o) {
      double sum = 0;
      for (int64_t tap = 0; tap < 9; ++tap) {
        const int64_t i = row + tap / 3 - 1, j = column + tap % 3 - 1;
        if (i < 0 || i >= side || j < 0 || j >= side + 3) continue;
        const float* from = picture + (pixel + (tap / 3 - 1) * (side + 3) + tap % 3 - 1) * 40;
        for (int64_t c = 0; c < 40; ++c) sum += static_cast<double>(from[c]) * kernel[(o * 40 + c) * 9 + tap];
      }
      exact->push_back(sum);
    }
  }
  return Values<float>(result.datum.tensor);
}

TEST(Winograd, OperatorTakesTheFormItFinds) {
  for (int64_t side : {1, 4, 6, 20}) {
    for (const char* form : {"weights", "winograd2", "winograd4", "winograd6", ""}) {
      std::string got;
      std::vector<double> exact;
      const std::vector<float> one = RunOperator(form, 1, side, &got, &exact), three = RunOperator(form, 3, side, &got, &exact);
      EXPECT_TRUE(got == form || (*form == 0 && got.starts_with("winograd"))) << got;
      EXPECT_EQ(one, three) << form;
      ASSERT_EQ(one.size(), exact.size());
      const double bound = got == "winograd6" ? 8e-4 : 2e-4;
      for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], exact[i], bound) << form << " element " << i;
    }
  }
}

}  // namespace
}  // namespace linnet
