// Resize, Upsample, GridSample, AffineGrid and the region operators: versions, layouts, types and contents that come late;
// expected values from the specification's formulas worked out by hand or in double here.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

using Ints = std::vector<int64_t>;

OpCall ResizeCall(const char* mode, const char* coordinates, int version = 13, const char* domain = "") {
  return OpCall("Resize", version, domain).Set("mode", std::string(mode)).Set("coordinate_transformation_mode", std::string(coordinates));
}

TEST(ResizeOp, CoordinateModesOfOneAxis) {
  struct Row {
    const char* coordinates;
    std::vector<float> linear;   ///< 2 elements to 4: (x + 0.5) / 2 - 0.5 = -0.25 0.25 0.75 1.25
  };
  for (const Row& row : {Row{"half_pixel", {0, 2.5, 7.5, 10}}, Row{"pytorch_half_pixel", {0, 2.5, 7.5, 10}},
                         Row{"align_corners", {0, 10 / 3.0f, 20 / 3.0f, 10}}, Row{"asymmetric", {0, 5, 10, 10}},
                         Row{"half_pixel_symmetric", {0, 2.5, 7.5, 10}}}) {
    Tensor y = ResizeCall("linear", row.coordinates, 19).In<float>({2}, {0, 10}).Skip().Skip().In<int64_t>({1}, {4}).Run();
    for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(y.as<float>()[i], row.linear[static_cast<size_t>(i)], 1e-6) << row.coordinates;
  }
  // One output element: pytorch_half_pixel and align_corners read the first.
  for (const char* coordinates : {"pytorch_half_pixel", "align_corners"}) {
    Tensor y = ResizeCall("linear", coordinates).In<float>({3}, {1, 2, 3}).Skip().Skip().In<int64_t>({1}, {1}).Run();
    EXPECT_EQ(Values<float>(y), std::vector<float>{1}) << coordinates;
  }
}

TEST(ResizeOp, NearestModesAtTies) {
  // asymmetric, 4 to 2 by scale 0.5: positions 0 and 2; 2 to 4: 0, 0.5, 1, 1.5.
  const std::pair<const char*, std::vector<float>> rows[] = {
      {"round_prefer_floor", {0, 0, 1, 1}}, {"round_prefer_ceil", {0, 1, 1, 1}}, {"floor", {0, 0, 1, 1}}, {"ceil", {0, 1, 1, 1}}};
  for (const auto& [mode, wanted] : rows) {
    Tensor y = ResizeCall("nearest", "asymmetric").Set("nearest_mode", std::string(mode))
                   .In<float>({2}, {0, 1}).Skip().In<float>({1}, {2.0f}).Run();
    EXPECT_EQ(Values<float>(y), wanted) << mode;
  }
}

TEST(ResizeOp, ScalesThatAreNotExactStillHitWholePositions) {
  // 1 / 3 as a float is not a third; every third element is meant nonetheless.
  std::vector<float> x;
  for (int i = 0; i < 300; ++i) x.push_back(static_cast<float>(i));
  Tensor y = ResizeCall("nearest", "asymmetric").Set("nearest_mode", std::string("floor"))
                 .In<float>({300}, x).Skip().In<float>({1}, {1.0f / 3}).Run();
  ASSERT_EQ(y.elements(), 100);
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(y.as<float>()[i], static_cast<float>(3 * i));
}

TEST(ResizeOp, LayoutsAgreeOnAllModes) {
  std::vector<float> x;
  for (int i = 0; i < 2 * 3 * 5 * 4; ++i) x.push_back(std::sin(static_cast<float>(i) * 1.7f));
  auto to_last = [](const std::vector<float>& v, int64_t pixels) {
    std::vector<float> out(v.size());
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t c = 0; c < 3; ++c) {
        for (int64_t p = 0; p < pixels; ++p) out[static_cast<size_t>((n * pixels + p) * 3 + c)] = v[static_cast<size_t>((n * 3 + c) * pixels + p)];
      }
    }
    return out;
  };
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    for (const Ints& sizes : {Ints{2, 3, 9, 7}, Ints{2, 3, 5, 9}, Ints{2, 3, 2, 3}, Ints{2, 3, 5, 4}}) {
      for (int64_t antialias : {0, 1}) {
        if (antialias && std::string_view(mode) == "nearest") continue;
        auto call = [&](const char* domain, const Shape& shape, const std::vector<float>& v) {
          return ResizeCall(mode, "half_pixel", 18, domain).Set("antialias", antialias)
              .In<float>(shape, v).Skip().Skip().In<int64_t>({4}, sizes);
        };
        Tensor first = call("", {2, 3, 5, 4}, x).Run();
        OpCall last_call = call("linnet", {2, 5, 4, 3}, to_last(x, 20));
        for (auto constants : {Ints{}, Ints{3}}) {
          Tensor last = last_call.RunFed(1, std::vector<int>(constants.begin(), constants.end()), 2)[0];
          const std::vector<float> wanted = to_last(Values<float>(first), sizes[2] * sizes[3]);
          ASSERT_EQ(last.shape(), (Shape{2, sizes[2], sizes[3], 3}));
          for (int64_t i = 0; i < last.elements(); ++i) ASSERT_NEAR(last.as<float>()[i], wanted[static_cast<size_t>(i)], 2e-6) << mode;
        }
      }
    }
  }
}

TEST(ResizeOp, IntegersRoundToEvenAndSaturate) {
  // Positions -0.25 0.25 0.75 1.25 between 0 and 2: 0, 0.5, 1.5, 2.
  Tensor y = ResizeCall("linear", "half_pixel").In<int32_t>({2}, {0, 2}).Skip().In<float>({1}, {2.0f}).Run();
  EXPECT_EQ(Values<int32_t>(y), (std::vector<int32_t>{0, 0, 2, 2}));
  // Cubic overshoots.
  Tensor z = ResizeCall("cubic", "half_pixel").In<uint8_t>({4}, {0, 0, 255, 255}).Skip().In<float>({1}, {4.0f}).Run();
  for (uint8_t v : Values<uint8_t>(z)) EXPECT_TRUE(v <= 255);
  EXPECT_EQ(Values<uint8_t>(z).front(), 0);
  EXPECT_EQ(Values<uint8_t>(z).back(), 255);
}

TEST(ResizeOp, NearestCopiesAnyType) {
  auto call = [] { return ResizeCall("nearest", "asymmetric"); };
  EXPECT_EQ(Values<std::string>(call().In<std::string>({2}, {"a", "b"}).Skip().In<float>({1}, {2.0f}).Run()),
            (std::vector<std::string>{"a", "a", "b", "b"}));
  EXPECT_EQ(Values<bool>(call().In<bool>({2}, {true, false}).Skip().In<float>({1}, {2.0f}).Run()),
            (std::vector<bool>{true, true, false, false}));
}

TEST(ResizeOp, OldVersionsAreAsymmetric) {
  // Resize-10 downsamples with ceil, Upsample with floor.
  Tensor down = OpCall("Resize", 10).In<float>({5}, {0, 1, 2, 3, 4}).In<float>({1}, {0.6f}).Run();
  EXPECT_EQ(Values<float>(down), (std::vector<float>{0, 2, 4}));
  Tensor seven = OpCall("Upsample", 7).Set("scales", std::vector<float>{1.5f}).In<float>({4}, {0, 1, 2, 3}).Run();
  EXPECT_EQ(Values<float>(seven), (std::vector<float>{0, 0, 1, 2, 2, 3}));
  Tensor one = OpCall("Upsample", 1).Set("height_scale", 1.0f).Set("width_scale", 2.0f).Set("mode", std::string("bilinear"))
                   .In<float>({1, 1, 1, 2}, {0, 2}).Run();
  EXPECT_EQ(Values<float>(one), (std::vector<float>{0, 1, 2, 2}));
}

TEST(ResizeOp, CropReadsItsRegionWhenItRuns) {
  // The region 0.5 to 2 of [0, 1, 2]: positions 1, 2.5 (outside).
  for (const char* domain : {"", "linnet"}) {
    OpCall call = ResizeCall("linear", "tf_crop_and_resize", 13, domain).Set("extrapolation_value", -1.0f);
    call.In<float>({1, 1, 3}, {0, 1, 2});
    if (*domain) call.inputs[0] = Datum::Of(call.inputs[0].tensor.Reshaped({1, 3, 1}));
    call.In<float>({6}, {0, 0, 0.5f, 1, 1, 2}).Skip().In<int64_t>({3}, {1, 1, 2});
    for (auto constants : {std::vector<int>{1, 3}, std::vector<int>{3}, std::vector<int>{}}) {
      Tensor y = call.RunFed(1, constants)[0];
      EXPECT_EQ(Values<float>(y), (std::vector<float>{1, -1}));
    }
  }
}

TEST(ResizeOp, InferKeepsWhatItCan) {
  const int64_t n = SymbolDim(0);
  const Fact x{Type::Tensor(DType::kFloat, {n, 3, kUnknownDim, 8})};
  const float scales[] = {1, 1, 2, 2};
  const Fact given{Type::Tensor(DType::kFloat, {4}), scales};
  OpCall call = ResizeCall("linear", "half_pixel");
  auto types = InferTypes(call, {x, {Type::Tensor(DType::kFloat, {0})}, given});
  ASSERT_TRUE(types.ok()) << types.status().message();
  EXPECT_EQ((*types)[0].shape, (Shape{n, 3, kUnknownDim, 16}));
  types = InferTypes(call, {x, {Type::Tensor(DType::kFloat, {0})}, {Type::Tensor(DType::kFloat, {4})}});
  ASSERT_TRUE(types.ok());
  EXPECT_EQ((*types)[0].shape, Shape::OfRank(4));
  OpCall axes = ResizeCall("linear", "half_pixel", 18).Set("axes", Ints{-1, 2});
  types = InferTypes(axes, {x, {Type::Tensor(DType::kFloat, {0})}, {Type::Tensor(DType::kFloat, {2})}});
  ASSERT_TRUE(types.ok());
  EXPECT_EQ((*types)[0].shape, (Shape{n, 3, kUnknownDim, kUnknownDim}));
}

TEST(ResizeOp, HostileScalesAndSizes) {
  for (float scale : {0.0f, -1.0f, std::nanf(""), INFINITY, 1e30f}) {
    EXPECT_NE(ResizeCall("nearest", "asymmetric").In<float>({2}, {1, 2}).Skip().In<float>({1}, {scale}).Error(), "") << scale;
  }
  for (int64_t size : {int64_t{-1}, int64_t{1} << 40, INT64_MIN}) {
    EXPECT_NE(ResizeCall("linear", "half_pixel").In<float>({2}, {1, 2}).Skip().Skip().In<int64_t>({1}, {size}).Error(), "") << size;
  }
  EXPECT_NE(ResizeCall("linear", "half_pixel").In<float>({0}, {}).Skip().Skip().In<int64_t>({1}, {3}).Error(), "");
  EXPECT_NE(ResizeCall("linear", "half_pixel", 18).Set("axes", Ints{0, 0}).In<float>({2, 2}, {1, 2, 3, 4}).Skip().Skip().In<int64_t>({2}, {3, 3}).Error(), "");
  Tensor empty = ResizeCall("linear", "half_pixel").In<float>({0, 2}, {}).Skip().Skip().In<int64_t>({2}, {0, 4}).Run();
  EXPECT_EQ(empty.shape(), (Shape{0, 4}));
  // Regions of anything still give numbers.
  for (float edge : {std::nanf(""), INFINITY, -1e38f}) {
    Tensor y = ResizeCall("cubic", "tf_crop_and_resize").In<float>({2}, {1, 2}).In<float>({2}, {0, edge}).Skip().In<int64_t>({1}, {3}).Run();
    EXPECT_EQ(y.elements(), 3);
  }
}

TEST(GridSample, PositionsOfAnySizeStayInside) {
  const std::vector<float> wild = {std::nanf(""), 0, INFINITY, 0, -INFINITY, 1e30f, -1e30f, 0.5f};
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    for (const char* padding : {"zeros", "border", "reflection"}) {
      for (int64_t align : {0, 1}) {
        for (const Shape& x : {Shape{1, 1, 2, 3}, Shape{1, 1, 1, 1}}) {
          Tensor y = OpCall("GridSample", 20).Set("mode", std::string(mode)).Set("padding_mode", std::string(padding))
                         .Set("align_corners", align).In<float>(x, std::vector<float>(static_cast<size_t>(x.elements()), 2.0f))
                         .In<float>({1, 2, 2, 2}, wild).Run();
          for (float v : Values<float>(y)) {
            if (std::string_view(padding) != "zeros") {
              EXPECT_NEAR(v, 2, 1e-5) << mode << padding;
            } else {
              EXPECT_TRUE(v <= 2.5f && v >= -0.5f);
            }
          }
        }
      }
    }
  }
}

TEST(AffineGrid, IsAThetaOfPositions) {
  // Identity in x, 2 y + 1, for a 1 x 2 image: x = -0.5, 0.5, y = 0.
  Tensor y = OpCall("AffineGrid", 20).In<float>({1, 2, 3}, {1, 0, 0, 0, 2, 1}).In<int64_t>({4}, {1, 5, 1, 2}).Run();
  EXPECT_EQ(y.shape(), (Shape{1, 1, 2, 2}));
  EXPECT_EQ(Values<float>(y), (std::vector<float>{-0.5, 1, 0.5, 1}));
  EXPECT_NE(OpCall("AffineGrid", 20).In<float>({1, 2, 3}, std::vector<float>(6)).In<int64_t>({4}, {1, 1, -1, 2}).Error(), "");
}

TEST(Regions, IndicesAndSizesAreChecked) {
  auto roi = [](int64_t image, float size) {
    return OpCall("RoiAlign", 16).In<float>({1, 1, 2, 2}, {1, 2, 3, 4}).In<float>({1, 4}, {0, 0, size, size}).In<int64_t>({1}, {image});
  };
  EXPECT_EQ(roi(0, 2).Run().elements(), 1);
  for (int64_t image : {int64_t{1}, int64_t{-1}, INT64_MAX, INT64_MIN}) EXPECT_NE(roi(image, 2).Error().find("batch_indices"), std::string::npos);
  for (float size : {1e30f, INFINITY, std::nanf("")}) EXPECT_NE(roi(0, size).Error(), "") << size;
  for (float image : {-1.0f, 1.0f, 1e30f, std::nanf("")}) {
    EXPECT_NE(OpCall("MaxRoiPool", 1).Set("pooled_shape", Ints{1, 1}).In<float>({1, 1, 2, 2}, {1, 2, 3, 4})
                  .In<float>({1, 5}, {image, 0, 0, 1, 1}).Error(), "") << image;
  }
  EXPECT_NE(OpCall("MaxRoiPool", 1).Set("pooled_shape", Ints{0, 1}).In<float>({1, 1, 2, 2}, {1, 2, 3, 4}).In<float>({0, 5}, {}).Error(), "");
}

TEST(MaxUnpool, IndicesAreChecked) {
  auto call = [](int64_t index) {
    return OpCall("MaxUnpool", 11).Set("kernel_shape", Ints{2}).Set("strides", Ints{2}).In<float>({1, 1, 1}, {7}).In<int64_t>({1, 1, 1}, {index});
  };
  EXPECT_EQ(Values<float>(call(1).Run()), (std::vector<float>{0, 7}));
  for (int64_t index : {int64_t{2}, int64_t{-1}, INT64_MAX, INT64_MIN}) EXPECT_NE(call(index).Error(), "") << index;
}

TEST(Col2Im, AddsOverlapsAndChecksItsBlocks) {
  // Blocks of 2 over an image of 3: columns (a b), (c d) give a, b + c, d.
  auto call = [](Ints image, Ints block) {
    return OpCall("Col2Im", 18).In<int32_t>({1, 2, 2}, {1, 2, 10, 20}).In<int64_t>({static_cast<int64_t>(image.size())}, image)
        .In<int64_t>({static_cast<int64_t>(block.size())}, block);
  };
  EXPECT_EQ(Values<int32_t>(call({3}, {2}).Run()), (std::vector<int32_t>{1, 12, 20}));
  EXPECT_NE(call({4}, {2}).Error(), "");
  EXPECT_NE(call({3}, {3}).Error(), "");
  EXPECT_NE(call({3}, {0}).Error(), "");
  EXPECT_NE(call({-3}, {2}).Error(), "");
  EXPECT_NE(call({3, 1}, {2}).Error(), "");
}

TEST(DeformConv, WithoutOffsetsIsConv) {
  std::vector<float> x, w;
  for (int i = 0; i < 4 * 5 * 5; ++i) x.push_back(std::sin(static_cast<float>(i)));
  for (int i = 0; i < 6 * 2 * 9; ++i) w.push_back(std::cos(static_cast<float>(i)));
  auto set = [](OpCall call) { return call.Set("group", int64_t{2}).Set("pads", Ints{1, 1, 1, 1}).Set("strides", Ints{2, 1}); };
  Tensor deformed = set(OpCall("DeformConv", 19)).In<float>({1, 4, 5, 5}, x).In<float>({6, 2, 3, 3}, w)
                        .In<float>({1, 18, 3, 5}, std::vector<float>(18 * 15)).RunFed(1, {}, 2)[0];
  std::vector<float> last(x.size());
  for (size_t k = 0; k < 4; ++k) {
    for (size_t p = 0; p < 25; ++p) last[p * 4 + k] = x[k * 25 + p];
  }
  Tensor plain = set(OpCall("Conv", 11, "linnet")).In<float>({1, 5, 5, 4}, last).In<float>({6, 2, 3, 3}, w).Run();
  ASSERT_EQ(deformed.shape(), (Shape{1, 6, 3, 5}));
  for (int64_t k = 0; k < 6; ++k) {
    for (int64_t p = 0; p < 15; ++p) EXPECT_NEAR(deformed.as<float>()[k * 15 + p], plain.as<float>()[p * 6 + k], 1e-5);
  }
}

}  // namespace
}  // namespace linnet
