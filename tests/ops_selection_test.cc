// Operators that repeat, pad, select and order elements: versions, numpy's corner cases, hostile values.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

const float kNan = NAN;

Tensor List(Ints values) { return Tensor::Ints(values); }
Floats Iota(int64_t n) {
  Floats values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(i));
  return values;
}
Fact TensorFact(DType dtype, const Shape& shape) { return {Type::Tensor(dtype, shape), nullptr}; }
Fact KnownFact(const Tensor& tensor) { return {tensor.type(), tensor.data()}; }

// Repeating -------------------------------------------------------------------------------------------------------

TEST(Expand, BroadcastsBothWays) {
  Tensor out = OpCall("Expand", 13).In<float>({2, 1}, {1, 2}).In(List({3, 1, 2})).Run();
  EXPECT_EQ(out.shape(), Shape({3, 2, 2}));
  EXPECT_EQ(Values<float>(out), (Floats{1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2}));
  EXPECT_EQ(OpCall("Expand", 13).In<float>({2, 3}, Iota(6)).In(List({1})).Run().shape(), Shape({2, 3}));
  EXPECT_EQ(OpCall("Expand", 13).In<float>({2, 1}, Iota(2)).In(List({2, 0})).Run().shape(), Shape({2, 0}));
  EXPECT_NE(OpCall("Expand", 13).In<float>({2, 3}, Iota(6)).In(List({4})).Error(), "");
  EXPECT_NE(OpCall("Expand", 13).In<float>({1}, Iota(1)).In(List({-1})).Error(), "");
  EXPECT_NE(OpCall("Expand", 13).In<float>({1}, Iota(1)).In(List({INT64_MAX, 2})).Error(), "");
  EXPECT_NE(OpCall("Expand", 13).In<float>({1}, Iota(1)).In(List({1 << 30, 1 << 30})).Error(), "");
}

TEST(Tile, AllAxesAndVersion1) {
  EXPECT_EQ(Values<float>(OpCall("Tile", 13).In<float>({2, 2}, Iota(4)).In(List({2, 2})).Run()),
            (Floats{0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3}));
  EXPECT_EQ(Values<float>(OpCall("Tile", 1).In<float>({2, 2}, Iota(4)).In(Tensor::Scalar(2.0f)).In(Tensor::Scalar(1.0f)).Run()),
            (Floats{0, 1, 0, 1, 2, 3, 2, 3}));
  EXPECT_EQ(OpCall("Tile", 13).In<float>({2}, Iota(2)).In(List({0})).Run().shape(), Shape({0}));
  // Ranks whose repeats double the loops: every axis repeated.
  Tensor deep = OpCall("Tile", 13).In<float>({2, 2, 2, 2, 2, 2, 2, 2}, Iota(256)).In(List({2, 2, 2, 2, 2, 2, 2, 2})).Run();
  Floats values = Values<float>(deep);
  for (size_t i = 0; i < values.size(); ++i) {
    size_t source = 0;
    for (int axis = 7; axis >= 0; --axis) source = source * 2 + (i >> (2 * axis) & 1);
    ASSERT_EQ(values[i], static_cast<float>(source));
  }
  EXPECT_NE(OpCall("Tile", 13).In<float>({2}, Iota(2)).In(List({-1})).Error(), "");
  EXPECT_NE(OpCall("Tile", 13).In<float>({2}, Iota(2)).In(List({INT64_MAX})).Error(), "");
  EXPECT_NE(OpCall("Tile", 13).In<float>({2}, Iota(2)).In(List({1, 1})).Error(), "");
}

// Padding ---------------------------------------------------------------------------------------------------------

OpCall PadCall(const char* mode, Ints pads, int64_t size) {
  OpCall call("Pad", 19);
  call.Set("mode", std::string(mode)).In<float>({size}, Iota(size)).In(List(pads));
  return call;
}

TEST(Pad, ModesContinueBeyondOneLength) {
  // Expectations from numpy.pad on arange(3).
  EXPECT_EQ(Values<float>(PadCall("reflect", {5, 4}, 3).Run()), (Floats{1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2}));
  EXPECT_EQ(Values<float>(PadCall("wrap", {4, 5}, 3).Run()), (Floats{2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1}));
  EXPECT_EQ(Values<float>(PadCall("edge", {2, 1}, 3).Run()), (Floats{0, 0, 0, 1, 2, 2}));
  EXPECT_EQ(Values<float>(PadCall("reflect", {2, 2}, 1).Run()), (Floats{0, 0, 0, 0, 0}));
  EXPECT_NE(PadCall("edge", {1, 0}, 0).Error(), "");
}

TEST(Pad, NegativePadsCutFirst) {
  EXPECT_EQ(Values<float>(PadCall("constant", {-1, 2}, 4).Run()), (Floats{1, 2, 3, 0, 0}));
  EXPECT_EQ(Values<float>(PadCall("edge", {-1, 2}, 4).Run()), (Floats{1, 2, 3, 3, 3}));
  EXPECT_EQ(Values<float>(PadCall("reflect", {2, -1}, 4).Run()), (Floats{2, 1, 0, 1, 2}));
  EXPECT_EQ(Values<float>(PadCall("constant", {-4, 6}, 3).Run()), (Floats{0, 0, 0, 0, 0}));
  EXPECT_NE(PadCall("constant", {-4, 0}, 3).Error(), "");
  EXPECT_NE(PadCall("constant", {INT64_MIN, INT64_MIN}, 3).Error(), "");
  EXPECT_NE(PadCall("constant", {INT64_MAX, INT64_MAX}, 3).Error(), "");
}

TEST(Pad, VersionsGiveTheSame) {
  const Floats expected{9, 9, 0, 1, 9, 9, 2, 3};
  EXPECT_EQ(Values<float>(OpCall("Pad", 1).Set("paddings", Ints{0, 2, 0, 0}).Set("value", 9.0f).In<float>({2, 2}, Iota(4)).Run()), expected);
  EXPECT_EQ(Values<float>(OpCall("Pad", 2).Set("pads", Ints{0, 2, 0, 0}).Set("value", 9.0f).In<float>({2, 2}, Iota(4)).Run()), expected);
  EXPECT_EQ(Values<float>(OpCall("Pad", 11).In<float>({2, 2}, Iota(4)).In(List({0, 2, 0, 0})).In(Tensor::Scalar(9.0f)).Run()), expected);
  EXPECT_EQ(Values<float>(OpCall("Pad", 18).In<float>({2, 2}, Iota(4)).In(List({2, 0})).In(Tensor::Scalar(9.0f)).In(List({-1})).Run()), expected);
}

TEST(Pad, InnerAxesMoveAsUnits) {
  // [1,2,2,3] padded on both middle axes, as an image with channels last.
  Tensor out = OpCall("Pad", 13).Set("mode", std::string("edge")).In<float>({1, 2, 2, 3}, Iota(12)).In(List({0, 1, 0, 0, 0, 0, 1, 0})).Run();
  EXPECT_EQ(out.shape(), Shape({1, 3, 3, 3}));
  EXPECT_EQ(Values<float>(out), (Floats{0, 1, 2, 3, 4, 5, 3, 4, 5, 0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 9, 10, 11}));
}

TEST(Pad, StringsAndNibbles) {
  EXPECT_EQ(Values<std::string>(OpCall("Pad", 13).In<std::string>({1}, {"a"}).In(List({1, 0})).Run()), (std::vector<std::string>{"", "a"}));
  uint8_t bytes[] = {0x21, 0x03}, seven = 7;
  Tensor out = OpCall("Pad", 21).In(Tensor::View(DType::kUint4, {3}, bytes)).In(List({1, 2})).In(Tensor::View(DType::kUint4, Shape::OfRank(0), &seven)).Run();
  EXPECT_EQ(out.as<uint8_t>()[0], 0x17);
  EXPECT_EQ(out.as<uint8_t>()[1], 0x32);
  EXPECT_EQ(out.as<uint8_t>()[2], 0x77);
}

TEST(Pad, InferenceWithSymbols) {
  Tensor pads = List({0, 1, 0, 1});
  OpCall pad("Pad", 13);
  auto types = InferTypes(pad, {TensorFact(DType::kFloat, {-2, 5}), KnownFact(pads)});
  ASSERT_TRUE(types.ok());
  EXPECT_EQ((*types)[0].shape, Shape({-2, 7}));
}

// Sources ---------------------------------------------------------------------------------------------------------

TEST(Range, CountsAndWraps) {
  EXPECT_EQ(Values<int64_t>(OpCall("Range", 11).In(Tensor::Scalar<int64_t>(10)).In(Tensor::Scalar<int64_t>(4)).In(Tensor::Scalar<int64_t>(-3)).Run()), (Ints{10, 7}));
  EXPECT_EQ(Values<float>(OpCall("Range", 11).In(Tensor::Scalar(1.0f)).In(Tensor::Scalar(0.0f)).In(Tensor::Scalar(1.0f)).Run()), (Floats{}));
  EXPECT_EQ(Values<int64_t>(OpCall("Range", 11).In(Tensor::Scalar(INT64_MIN)).In(Tensor::Scalar(INT64_MAX)).In(Tensor::Scalar(INT64_MAX)).Run()), (Ints{INT64_MIN, -1, INT64_MAX - 1}));
  EXPECT_NE(OpCall("Range", 11).In(Tensor::Scalar<int64_t>(0)).In(Tensor::Scalar<int64_t>(4)).In(Tensor::Scalar<int64_t>(0)).Error(), "");
  EXPECT_NE(OpCall("Range", 11).In(Tensor::Scalar(0.0f)).In(Tensor::Scalar(kNan)).In(Tensor::Scalar(1.0f)).Error(), "");
  EXPECT_NE(OpCall("Range", 11).In(Tensor::Scalar<int64_t>(0)).In(Tensor::Scalar(INT64_MAX)).In(Tensor::Scalar<int64_t>(1)).Error(), "");
}

TEST(OneHot, WrapsSinceVersion11) {
  auto call = [](int version) {
    return Values<int32_t>(OpCall("OneHot", version).In<float>({2}, {-1, 1}).In(Tensor::Scalar(3.0)).In<int32_t>({2}, {5, 7}).Run());
  };
  EXPECT_EQ(call(9), (std::vector<int32_t>{5, 5, 5, 5, 7, 5}));
  EXPECT_EQ(call(11), (std::vector<int32_t>{5, 5, 7, 5, 7, 5}));
  Tensor first = OpCall("OneHot", 11).Set("axis", int64_t{0}).In(List({0, 2, 9, INT64_MIN})).In(Tensor::Scalar<int64_t>(3)).In<float>({2}, {0, 1}).Run();
  EXPECT_EQ(first.shape(), Shape({3, 4}));
  EXPECT_EQ(Values<float>(first), (Floats{1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}));
  EXPECT_NE(OpCall("OneHot", 11).In(List({0})).In(Tensor::Scalar<int64_t>(-1)).In<float>({2}, {0, 1}).Error(), "");
}

TEST(ConstantOfShape, FillsEveryType) {
  EXPECT_EQ(Values<float>(OpCall("ConstantOfShape", 9).In(List({2})).Run()), (Floats{0, 0}));
  Tensor value = Tensor::Of<int8_t>({1}, std::vector<int8_t>{-3});
  EXPECT_EQ(Values<int8_t>(OpCall("ConstantOfShape", 9).Set("value", value).In(List({})).Run()), (std::vector<int8_t>{-3}));
  uint8_t nibble = 0x5;
  Tensor packed = OpCall("ConstantOfShape", 21).Set("value", Tensor::View(DType::kInt4, {1}, &nibble)).In(List({3})).Run();
  EXPECT_EQ(packed.as<uint8_t>()[0], 0x55);
  EXPECT_NE(OpCall("ConstantOfShape", 9).In(List({-1})).Error(), "");
  EXPECT_NE(OpCall("ConstantOfShape", 9).In(List({INT64_MAX})).Error(), "");
}

TEST(EyeLike, DiagonalsOutsideAreEmpty) {
  EXPECT_EQ(Values<float>(OpCall("EyeLike", 9).Set("k", int64_t{-1}).In<float>({2, 3}, Iota(6)).Run()), (Floats{0, 0, 0, 1, 0, 0}));
  EXPECT_EQ(Values<float>(OpCall("EyeLike", 9).Set("k", INT64_MIN).In<float>({2, 2}, Iota(4)).Run()), Floats(4));
  EXPECT_EQ(Values<int32_t>(OpCall("EyeLike", 9).Set("dtype", int64_t{6}).In<float>({1, 1}, {5}).Run()), (std::vector<int32_t>{1}));
}

TEST(Trilu, FarDiagonals) {
  for (int64_t k : {INT64_MIN, INT64_MAX}) {
    for (int64_t upper : {0, 1}) {
      bool all = (k < 0) == (upper == 1);
      EXPECT_EQ(Values<float>(OpCall("Trilu", 14).Set("upper", upper).In<float>({1, 2, 2}, {1, 2, 3, 4}).In(Tensor::Scalar(k)).Run()),
                all ? (Floats{1, 2, 3, 4}) : Floats(4));
    }
  }
}

// Selecting -------------------------------------------------------------------------------------------------------

TEST(NonZero, ScalarsNanAndText) {
  EXPECT_EQ(OpCall("NonZero", 13).In(Tensor::Scalar(3.0f)).Run().shape(), Shape({0, 1}));
  EXPECT_EQ(Values<int64_t>(OpCall("NonZero", 13).In<float>({2, 2}, {-0.0f, kNan, 0, 2}).Run()), (Ints{0, 1, 1, 1}));
  EXPECT_EQ(Values<int64_t>(OpCall("NonZero", 13).In<std::string>({2}, {"", "a"}).Run()), (Ints{1}));
  EXPECT_EQ(OpCall("NonZero", 13).In<float>({0, 2}, {}).Run().shape(), Shape({2, 0}));
}

TEST(Compress, ShortConditionAndRefusals) {
  EXPECT_EQ(Values<float>(OpCall("Compress", 11).Set("axis", int64_t{-1}).In<float>({2, 3}, Iota(6)).In(Tensor::Of<bool>({2}, std::initializer_list<bool>{false, true})).Run()), (Floats{1, 4}));
  EXPECT_NE(OpCall("Compress", 11).In<float>({1}, Iota(1)).In(Tensor::Of<bool>({2}, std::initializer_list<bool>{false, true})).Error(), "");
}

TEST(TopK, TiesNanAndOrders) {
  auto top = [](Floats values, int64_t k, int64_t largest) {
    OpCall call("TopK", 11);
    call.Set("largest", largest).In<float>({static_cast<int64_t>(values.size())}, values).In(List({k}));
    return Values<int64_t>(call.RunAll(2)[1]);
  };
  EXPECT_EQ(top({1, 3, 3, 2}, 3, 1), (Ints{1, 2, 3}));
  EXPECT_EQ(top({1, 3, 1, 2}, 2, 0), (Ints{0, 2}));
  EXPECT_EQ(top({1, kNan, 5, kNan}, 3, 1), (Ints{1, 3, 2}));
  EXPECT_EQ(top({kNan, 1}, 2, 0), (Ints{1, 0}));
  EXPECT_EQ(top({1, 2}, 0, 1), (Ints{}));
  // A selection too large for the streaming heap, against a sort of everything.
  Floats many;
  for (int i = 0; i < 1000; ++i) many.push_back(static_cast<float>(i * 7919 % 251));
  for (int64_t k : {1, 63, 65, 200, 999, 1000}) {
    Ints order(1000);
    for (int i = 0; i < 1000; ++i) order[static_cast<size_t>(i)] = i;
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return many[static_cast<size_t>(a)] > many[static_cast<size_t>(b)]; });
    order.resize(static_cast<size_t>(k));
    EXPECT_EQ(top(many, k, 1), order);
  }
}

TEST(TopK, VersionsAxesAndRefusals) {
  std::vector<Tensor> out = OpCall("TopK", 1).Set("axis", int64_t{0}).Set("k", int64_t{1}).In<float>({2, 2}, {1, 4, 3, 2}).RunAll(2);
  EXPECT_EQ(Values<float>(out[0]), (Floats{3, 4}));
  EXPECT_EQ(Values<int64_t>(out[1]), (Ints{1, 0}));
  for (int64_t k : {int64_t{-1}, int64_t{3}, INT64_MAX}) {
    EXPECT_FALSE(OpCall("TopK", 10).In<float>({2}, {1, 4}).In(List({k})).Try(2).ok());
  }
  EXPECT_EQ(Values<uint64_t>(OpCall("TopK", 11).In<uint64_t>({2}, {1, UINT64_MAX}).In(List({1})).RunAll(2)[0]), (std::vector<uint64_t>{UINT64_MAX}));
  EXPECT_EQ(Halves(OpCall("TopK", 11).In<Float16>({2}, ToHalves<Float16>({-1, -2})).In(List({1})).RunAll(2)[0]), (Floats{-1}));
}

TEST(Unique, OrderOfFirstOccurrence) {
  std::vector<Tensor> out = OpCall("Unique", 11).Set("sorted", int64_t{0}).In<std::string>({5}, {"b", "a", "b", "c", "a"}).RunAll(4);
  EXPECT_EQ(Values<std::string>(out[0]), (std::vector<std::string>{"b", "a", "c"}));
  EXPECT_EQ(Values<int64_t>(out[1]), (Ints{0, 1, 3}));
  EXPECT_EQ(Values<int64_t>(out[2]), (Ints{0, 1, 0, 2, 1}));
  EXPECT_EQ(Values<int64_t>(out[3]), (Ints{2, 2, 1}));
}

TEST(Unique, NanAreOneAndEmptyIsFine) {
  std::vector<Tensor> out = OpCall("Unique", 11).In<float>({5}, {kNan, 2, kNan, -0.0f, 0.0f}).RunAll(4);
  EXPECT_EQ(out[0].shape(), Shape({3}));
  EXPECT_EQ(Values<int64_t>(out[3]), (Ints{2, 1, 2}));
  EXPECT_EQ(OpCall("Unique", 11).In<float>({0}, {}).RunAll(1)[0].shape(), Shape({0}));
  EXPECT_EQ(OpCall("Unique", 11).Set("axis", int64_t{1}).In<float>({0, 3}, {}).RunAll(1)[0].shape(), Shape({0, 1}));
}

TEST(ReverseSequence, TimeFirstAndRefusals) {
  EXPECT_EQ(Values<float>(OpCall("ReverseSequence", 10).In<float>({3, 2}, Iota(6)).In(List({3, 2})).Run()), (Floats{4, 3, 2, 1, 0, 5}));
  EXPECT_NE(OpCall("ReverseSequence", 10).In<float>({3, 2}, Iota(6)).In(List({4, 2})).Error(), "");
  EXPECT_NE(OpCall("ReverseSequence", 10).In<float>({3, 2}, Iota(6)).In(List({-1, 2})).Error(), "");
  EXPECT_NE(OpCall("ReverseSequence", 10).Set("time_axis", int64_t{7}).In<float>({3, 2}, Iota(6)).In(List({1, 2})).Error(), "");
}

TEST(DepthToSpace, ModesInvertSpaceToDepth) {
  Tensor image = Tensor::Of<float>({1, 2, 4, 6}, Iota(48));
  Tensor deep = OpCall("SpaceToDepth", 13).Set("blocksize", int64_t{2}).In(image).Run();
  EXPECT_EQ(deep.shape(), Shape({1, 8, 2, 3}));
  EXPECT_EQ(Values<float>(OpCall("DepthToSpace", 13).Set("blocksize", int64_t{2}).In(deep).Run()), Iota(48));
  for (int64_t block : {int64_t{0}, int64_t{-2}, int64_t{3}, int64_t{1} << 40, INT64_MIN}) {
    EXPECT_NE(OpCall("DepthToSpace", 13).Set("blocksize", block).In(deep).Error(), "");
  }
}

TEST(NonMaxSuppression, LimitsAndNan) {
  Tensor boxes = Tensor::Of<float>({1, 3, 4}, Floats{0, 0, 1, 1, 0, 0, 1, 1, 5, 5, 6, 6});
  Tensor scores = Tensor::Of<float>({1, 1, 3}, Floats{0.5, 0.9, kNan});
  auto run = [&](int64_t most) {
    return Values<int64_t>(OpCall("NonMaxSuppression", 11).In(boxes).In(scores).In(Tensor::Scalar(most)).In(Tensor::Scalar(0.5f)).Run());
  };
  EXPECT_EQ(run(INT64_MAX), (Ints{0, 0, 1}));
  EXPECT_EQ(run(0), (Ints{}));
  EXPECT_EQ(run(-5), (Ints{}));
  EXPECT_EQ(OpCall("NonMaxSuppression", 10).In(boxes).In(scores).Run().shape(), Shape({0, 3}));
  EXPECT_NE(OpCall("NonMaxSuppression", 10).In(boxes).In<float>({1, 1, 4}, Iota(4)).Error(), "");
}

TEST(CenterCropPad, OddDifferences) {
  // A crop drops one less in front; a pad adds one more behind.
  EXPECT_EQ(Values<float>(OpCall("CenterCropPad", 18).In<float>({5}, Iota(5)).In(List({2})).Run()), (Floats{1, 2}));
  EXPECT_EQ(Values<float>(OpCall("CenterCropPad", 18).In<float>({2}, {1, 2}).In(List({5})).Run()), (Floats{0, 1, 2, 0, 0}));
  EXPECT_NE(OpCall("CenterCropPad", 18).In<float>({2}, {1, 2}).In(List({-5})).Error(), "");
}

}  // namespace
}  // namespace linnet
