// Operators that move elements: versions, symbolic inference, hostile values, and what the conformance cases leave out.
#include "ops_test_util.h"
#include "passes_test_util.h"

namespace linnet {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

Floats Iota(int64_t n) {
  Floats values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(i));
  return values;
}
Tensor List(Ints values) { return Tensor::Ints(values); }
Fact TensorFact(DType dtype, const Shape& shape) { return {Type::Tensor(dtype, shape), nullptr}; }
Fact KnownFact(const Tensor& tensor) { return {tensor.type(), tensor.data()}; }

constexpr int64_t kN = -2, kM = -3;   // two symbols

Shape InferredShape(OpCall call, std::vector<Fact> inputs) {
  auto types = InferTypes(call, std::move(inputs));
  EXPECT_TRUE(types.ok()) << types.status().message();
  return types.ok() ? (*types)[0].shape : Shape();
}

// Reshape ---------------------------------------------------------------------------------------------------------

TEST(Reshape, AttributeBeforeVersion5) {
  Tensor out = OpCall("Reshape", 1).In<float>({2, 3}, Iota(6)).Set("shape", Ints{3, -1}).Run();
  EXPECT_EQ(out.shape(), Shape({3, 2}));
}

TEST(Reshape, CopiedSymbolsCancel) {
  Tensor target = List({0, -1, 4});
  EXPECT_EQ(InferredShape(OpCall("Reshape", 14), {TensorFact(DType::kFloat, {kN, 6, 2}), KnownFact(target)}), Shape({kN, 3, 4}));
  Tensor flat = List({-1, 12});
  EXPECT_EQ(InferredShape(OpCall("Reshape", 14), {TensorFact(DType::kFloat, {kN, 3, 4}), KnownFact(flat)}), Shape({kN, 12}));
  EXPECT_EQ(InferredShape(OpCall("Reshape", 14), {TensorFact(DType::kFloat, {kN, kM, 12}), KnownFact(flat)}), Shape({-1, 12}));
}

TEST(Reshape, UnknownTargetOfKnownLengthGivesRank) {
  EXPECT_EQ(InferredShape(OpCall("Reshape", 14), {TensorFact(DType::kFloat, {2, 3}), TensorFact(DType::kInt64, {3})}), Shape::OfRank(3));
}

TEST(Reshape, ZeroSizes) {
  EXPECT_EQ(OpCall("Reshape", 14).In<float>({0, 3}, {}).In(List({0, -1})).Run().shape(), Shape({0, 3}));
  EXPECT_EQ(OpCall("Reshape", 14).Set("allowzero", int64_t{1}).In<float>({0, 3}, {}).In(List({3, 0})).Run().shape(), Shape({3, 0}));
  EXPECT_NE(OpCall("Reshape", 14).Set("allowzero", int64_t{1}).In<float>({0, 3}, {}).In(List({-1, 0})).Error(), "");
}

TEST(Reshape, RefusesWhatDoesNotFit) {
  EXPECT_NE(OpCall("Reshape", 14).In<float>({2, 3}, Iota(6)).In(List({4, -1})).Error(), "");
  EXPECT_NE(OpCall("Reshape", 14).In<float>({2, 3}, Iota(6)).In(List({-1, -1})).Error(), "");
  EXPECT_NE(OpCall("Reshape", 14).In<float>({2, 3}, Iota(6)).In(List({7})).Error(), "");
  EXPECT_NE(OpCall("Reshape", 14).In<float>({2, 3}, Iota(6)).In(List({INT64_MIN})).Error(), "");
  EXPECT_NE(OpCall("Reshape", 14).In<float>({2}, Iota(2)).In(List({INT64_MAX, INT64_MAX, 2})).Error(), "");
  EXPECT_NE(OpCall("Reshape", 14).In<float>({1}, Iota(1)).In(List({1, 1, 1, 1, 1, 1, 1, 1, 1})).Error(), "");
}

TEST(Flatten, SymbolsAndBounds) {
  EXPECT_EQ(InferredShape(OpCall("Flatten", 13).Set("axis", int64_t{-1}), {TensorFact(DType::kFloat, {1, kN, 5})}), Shape({kN, 5}));
  EXPECT_EQ(OpCall("Flatten", 13).Set("axis", int64_t{0}).In<float>({2, 3}, Iota(6)).Run().shape(), Shape({1, 6}));
  EXPECT_NE(OpCall("Flatten", 13).Set("axis", INT64_MIN).In<float>({2, 3}, Iota(6)).Error(), "");
}

TEST(Squeeze, AttributeAndInput) {
  EXPECT_EQ(OpCall("Squeeze", 1).Set("axes", Ints{0, 2}).In<float>({1, 3, 1}, Iota(3)).Run().shape(), Shape({3}));
  EXPECT_EQ(OpCall("Squeeze", 13).In<float>({1, 3, 1}, Iota(3)).In(List({-1})).Run().shape(), Shape({1, 3}));
  EXPECT_EQ(OpCall("Squeeze", 13).In<float>({1, 3, 1}, Iota(3)).Run().shape(), Shape({3}));
  EXPECT_NE(OpCall("Squeeze", 13).In<float>({1, 3, 1}, Iota(3)).In(List({1})).Error(), "");
  // A dimension that is not known may be 1: the rank is then open.
  EXPECT_FALSE(InferredShape(OpCall("Squeeze", 13), {TensorFact(DType::kFloat, {1, kN})}).has_rank());
}

TEST(Unsqueeze, RefusesRepeatedAxes) {
  EXPECT_EQ(OpCall("Unsqueeze", 11).Set("axes", Ints{0, -1}).In<float>({3}, Iota(3)).Run().shape(), Shape({1, 3, 1}));
  EXPECT_NE(OpCall("Unsqueeze", 13).In<float>({3}, Iota(3)).In(List({0, -3})).Error(), "");
  EXPECT_EQ(InferredShape(OpCall("Unsqueeze", 13), {TensorFact(DType::kFloat, {kN}), TensorFact(DType::kInt64, {2})}), Shape::OfRank(3));
}

// Transpose -------------------------------------------------------------------------------------------------------

TEST(Transpose, EveryWidthMatchesTheDefinition) {
  const Shape shape{3, 20, 5, 33};
  const int perms[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 1, 3}, {1, 0, 2, 3}, {0, 3, 1, 2}, {0, 2, 3, 1}, {2, 3, 0, 1}};
  auto check = [&]<class T>() {
    std::vector<T> values(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, std::string>) {
        values[i] = std::to_string(i);
      } else {
        values[i] = static_cast<T>(i * 2654435761u >> 7);
      }
    }
    for (const auto& perm : perms) {
      Tensor out = OpCall("Transpose", 13).Set("perm", Ints(perm, perm + 4)).In<T>(shape, values).Run();
      const T* at = out.as<T>();
      int64_t index[4];
      for (index[perm[0]] = 0; index[perm[0]] < shape[perm[0]]; ++index[perm[0]])
        for (index[perm[1]] = 0; index[perm[1]] < shape[perm[1]]; ++index[perm[1]])
          for (index[perm[2]] = 0; index[perm[2]] < shape[perm[2]]; ++index[perm[2]])
            for (index[perm[3]] = 0; index[perm[3]] < shape[perm[3]]; ++index[perm[3]])
              ASSERT_EQ(*at++, values[static_cast<size_t>(((index[0] * 20 + index[1]) * 5 + index[2]) * 33 + index[3])]);
    }
  };
  check.operator()<uint8_t>();
  check.operator()<uint16_t>();
  check.operator()<float>();
  check.operator()<int64_t>();
  check.operator()<std::string>();
}

TEST(Transpose, PackedNibbles) {
  // [2,3] of int4 codes 0..5.
  uint8_t bytes[] = {0x10, 0x32, 0x54};
  Tensor in = Tensor::View(DType::kUint4, {2, 3}, bytes);
  Tensor out = OpCall("Transpose", 21).In(in).Run();
  EXPECT_EQ(out.shape(), Shape({3, 2}));
  EXPECT_EQ(out.as<uint8_t>()[0], 0x30);
  EXPECT_EQ(out.as<uint8_t>()[1], 0x41);
  EXPECT_EQ(out.as<uint8_t>()[2], 0x52);
}

TEST(Transpose, RefusesBadPermutations) {
  EXPECT_NE(OpCall("Transpose", 13).Set("perm", Ints{0, 0}).In<float>({2, 3}, Iota(6)).Error(), "");
  EXPECT_NE(OpCall("Transpose", 13).Set("perm", Ints{0, INT64_MIN}).In<float>({2, 3}, Iota(6)).Error(), "");
  EXPECT_NE(OpCall("Transpose", 13).Set("perm", Ints{0, 1, 2}).In<float>({2, 3}, Iota(6)).Error(), "");
}

// Concat and Split ------------------------------------------------------------------------------------------------

TEST(Concat, DefaultAxisOfVersion1IsOne) {
  Tensor out = OpCall("Concat", 1).In<float>({1, 1}, {7}).In<float>({1, 2}, {8, 9}).Run();
  EXPECT_EQ(out.shape(), Shape({1, 3}));
  EXPECT_EQ(Values<float>(out), (Floats{7, 8, 9}));
}

TEST(Concat, RowsOfUnequalPiecesAndEmptyOnes) {
  Tensor out = OpCall("Concat", 13).Set("axis", int64_t{-1}).In<int64_t>({2, 1}, {1, 4}).In<int64_t>({2, 0}, {}).In<int64_t>({2, 2}, {2, 3, 5, 6}).Run();
  EXPECT_EQ(Values<int64_t>(out), (Ints{1, 2, 3, 4, 5, 6}));
}

template <class T>
void CheckShortPieces(const Ints& pieces) {
  constexpr int64_t kRows = 700;
  OpCall call("Concat", 13);
  call.Set("axis", int64_t{1});
  std::vector<T> expected;
  std::vector<std::vector<T>> inputs;
  for (int64_t piece : pieces) {
    std::vector<T> values;
    for (int64_t i = 0; i < kRows * piece; ++i) values.push_back(static_cast<T>(i * 7 + static_cast<int64_t>(inputs.size()) * 31));
    call.In<T>({kRows, piece}, values);
    inputs.push_back(values);
  }
  for (int64_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      for (int64_t k = 0; k < pieces[i]; ++k) expected.push_back(inputs[i][static_cast<size_t>(row * pieces[i] + k)]);
    }
  }
  EXPECT_EQ(Values<T>(call.Run()), expected) << testing::PrintToString(pieces) << " of " << sizeof(T);
}

TEST(Concat, ShortPieces) {
  for (int64_t length : {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 33, 48, 63}) {
    for (size_t count : {2, 3, 7, 8, 17, 70}) {
      Ints pieces(count, length);
      CheckShortPieces<uint8_t>(pieces);
      if (length < 17) CheckShortPieces<float>(pieces);
      pieces[count / 2] = length + 1;
      pieces.push_back(0);
      pieces.push_back(32);
      CheckShortPieces<uint8_t>(pieces);
      if (length < 4) CheckShortPieces<int64_t>(pieces);
    }
  }
}

TEST(Concat, Strings) {
  Tensor out = OpCall("Concat", 13).Set("axis", int64_t{0}).In<std::string>({1}, {"a"}).In<std::string>({2}, {"b", "c"}).Run();
  EXPECT_EQ(Values<std::string>(out), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Concat, SymbolsOnOtherAxes) {
  OpCall call("Concat", 13);
  call.Set("axis", int64_t{1});
  EXPECT_EQ(InferredShape(call, {TensorFact(DType::kFloat, {kN, 2}), TensorFact(DType::kFloat, {kN, 3})}), Shape({kN, 5}));
  EXPECT_EQ(InferredShape(call, {TensorFact(DType::kFloat, {-1, 2}), TensorFact(DType::kFloat, {4, kM})}), Shape({4, -1}));
  EXPECT_FALSE(InferTypes(call, {TensorFact(DType::kFloat, {3, 2}), TensorFact(DType::kFloat, {4, 2})}).ok());
  EXPECT_FALSE(InferTypes(call, {TensorFact(DType::kFloat, {3, 2}), TensorFact(DType::kInt64, {3, 2})}).ok());
  EXPECT_FALSE(InferTypes(call, {TensorFact(DType::kFloat, {3, 2}), TensorFact(DType::kFloat, {3, 2, 1})}).ok());
}

TEST(Split, EveryWayToSaySizes) {
  auto sizes = [](std::vector<Tensor> parts) {
    Ints out;
    for (const Tensor& part : parts) out.push_back(part.shape()[1]);
    return out;
  };
  EXPECT_EQ(sizes(OpCall("Split", 2).Set("axis", int64_t{1}).Set("split", Ints{1, 3}).In<float>({2, 4}, Iota(8)).RunAll(2)), (Ints{1, 3}));
  EXPECT_EQ(sizes(OpCall("Split", 13).Set("axis", int64_t{-1}).In<float>({2, 4}, Iota(8)).In(List({4, 0})).RunAll(2)), (Ints{4, 0}));
  EXPECT_EQ(sizes(OpCall("Split", 18).Set("axis", int64_t{1}).Set("num_outputs", int64_t{3}).In<float>({1, 7}, Iota(7)).RunAll(3)), (Ints{3, 3, 1}));
  EXPECT_EQ(sizes(OpCall("Split", 18).Set("axis", int64_t{1}).Set("num_outputs", int64_t{4}).In<float>({1, 5}, Iota(5)).RunAll(4)), (Ints{2, 2, 1, 0}));
  std::vector<Tensor> parts = OpCall("Split", 13).Set("axis", int64_t{1}).In<float>({2, 4}, Iota(8)).RunAll(2);
  EXPECT_EQ(Values<float>(parts[1]), (Floats{2, 3, 6, 7}));
}

TEST(Split, RefusesSizesThatDoNotFit) {
  EXPECT_FALSE(OpCall("Split", 13).In<float>({5}, Iota(5)).Try(2).ok());
  EXPECT_FALSE(OpCall("Split", 13).In<float>({5}, Iota(5)).In(List({6, -1})).Try(2).ok());
  EXPECT_FALSE(OpCall("Split", 13).In<float>({5}, Iota(5)).In(List({INT64_MAX, INT64_MAX})).Try(2).ok());
  EXPECT_FALSE(OpCall("Split", 13).In<float>({5}, Iota(5)).In(List({5})).Try(2).ok());
  EXPECT_FALSE(OpCall("Split", 18).Set("num_outputs", int64_t{1} << 40).In<float>({5}, Iota(5)).Try(2).ok());
}

// Slice -----------------------------------------------------------------------------------------------------------

TEST(Slice, AttributesBeforeVersion10) {
  Tensor out = OpCall("Slice", 1).Set("starts", Ints{1}).Set("ends", Ints{INT64_MAX}).Set("axes", Ints{1}).In<float>({2, 3}, Iota(6)).Run();
  EXPECT_EQ(Values<float>(out), (Floats{1, 2, 4, 5}));
}

TEST(Slice, ExtremeBoundsFollowNumpy) {
  struct Case {
    int64_t start, end, step;
    Floats expected;
  };
  const Case cases[] = {
      {INT64_MIN, INT64_MAX, 1, {0, 1, 2, 3, 4}},  {INT64_MAX, INT64_MIN, -1, {4, 3, 2, 1, 0}},
      {-1, INT64_MIN, -2, {4, 2, 0}},              {INT64_MIN, INT64_MAX, INT64_MAX, {0}},
      {INT64_MAX, INT64_MIN, INT64_MIN, {4}},      {4, 1, 1, {}},
      {1, 4, -1, {}},                              {3, -6, -3, {3, 0}},
      {-5, -1, 3, {0, 3}},                         {-100, 2, -1, {}},
  };
  for (const Case& k : cases) {
    Tensor out = OpCall("Slice", 13).In<float>({5}, Iota(5)).In(List({k.start})).In(List({k.end})).In(List({0})).In(List({k.step})).Run();
    EXPECT_EQ(Values<float>(out), k.expected) << k.start << ":" << k.end << ":" << k.step;
  }
  EXPECT_NE(OpCall("Slice", 13).In<float>({5}, Iota(5)).In(List({0})).In(List({5})).In(List({0})).In(List({0})).Error(), "");
  EXPECT_NE(OpCall("Slice", 13).In<float>({5}, Iota(5)).In(List({0})).In(List({5})).In(List({INT64_MIN})).Error(), "");
}

TEST(Slice, Int32BoundsAndBackwardRows) {
  Tensor out = OpCall("Slice", 13).In<int16_t>({3, 2}, {1, 2, 3, 4, 5, 6}).In<int32_t>({1}, {-1}).In<int32_t>({1}, {-10}).In<int32_t>({1}, {0}).In<int32_t>({1}, {-1}).Run();
  EXPECT_EQ(Values<int16_t>(out), (std::vector<int16_t>{5, 6, 3, 4, 1, 2}));
}

TEST(Slice, InferenceKeepsWhatIsNotSliced) {
  Tensor zero = List({0}), far = List({INT64_MAX}), one = List({1});
  OpCall call("Slice", 13);
  EXPECT_EQ(InferredShape(call, {TensorFact(DType::kFloat, {kN, kM}), KnownFact(zero), KnownFact(far), KnownFact(one)}), Shape({kN, kM}));
  EXPECT_EQ(InferredShape(call, {TensorFact(DType::kFloat, {kN, 5}), TensorFact(DType::kInt64, {1}), TensorFact(DType::kInt64, {1}), KnownFact(one)}), Shape({kN, -1}));
  EXPECT_EQ(InferredShape(call, {TensorFact(DType::kFloat, {kN, 5}), TensorFact(DType::kInt64, {1}), TensorFact(DType::kInt64, {1})}), Shape({-1, 5}));
}

// Gather and Scatter ----------------------------------------------------------------------------------------------

TEST(Gather, NegativeIndicesOnEveryAxis) {
  EXPECT_EQ(Values<float>(OpCall("Gather", 13).In<float>({3, 2}, Iota(6)).In<int32_t>({2}, {-1, 0}).Run()), (Floats{4, 5, 0, 1}));
  EXPECT_EQ(Values<float>(OpCall("Gather", 13).Set("axis", int64_t{-1}).In<float>({3, 2}, Iota(6)).In(List({-1})).Run()), (Floats{1, 3, 5}));
  Tensor scalar = OpCall("Gather", 13).In<float>({3, 2}, Iota(6)).In(Tensor::Scalar<int64_t>(1)).Run();
  EXPECT_EQ(scalar.shape(), Shape({2}));
  EXPECT_EQ(Values<float>(scalar), (Floats{2, 3}));
}

TEST(Gather, RefusesIndicesOutside) {
  for (int64_t bad : {int64_t{3}, int64_t{-4}, INT64_MIN, INT64_MAX}) {
    EXPECT_NE(OpCall("Gather", 13).In<float>({3, 2}, Iota(6)).In(List({bad})).Error(), "");
    EXPECT_NE(OpCall("GatherElements", 13).In<float>({3, 1}, Iota(3)).In<int64_t>({1, 1}, {bad}).Error(), "");
    EXPECT_NE(OpCall("GatherND", 13).In<float>({3, 2}, Iota(6)).In<int64_t>({2, 1}, {0, bad}).Error(), "");
    EXPECT_NE(OpCall("ScatterElements", 13).In<float>({3}, Iota(3)).In(List({bad})).In<float>({1}, {1}).Error(), "");
    EXPECT_NE(OpCall("ScatterND", 13).In<float>({3}, Iota(3)).In<int64_t>({1, 1}, {bad}).In<float>({1}, {1}).Error(), "");
  }
  EXPECT_NE(OpCall("Gather", 13).In<float>({0, 2}, {}).In(List({0})).Error(), "");
}

TEST(Gather, Strings) {
  EXPECT_EQ(Values<std::string>(OpCall("Gather", 13).In<std::string>({2}, {"a", "b"}).In(List({1, 1, 0})).Run()), (std::vector<std::string>{"b", "b", "a"}));
}

TEST(GatherElements, IndicesMaySpanLessThanTheData) {
  // As torch.gather(arange(12).reshape(3, 4), 0, [[2, 0]]).
  EXPECT_EQ(Values<float>(OpCall("GatherElements", 13).In<float>({3, 4}, Iota(12)).In<int64_t>({1, 2}, {2, 0}).Run()), (Floats{8, 1}));
  EXPECT_NE(OpCall("GatherElements", 13).In<float>({3, 1}, Iota(3)).In<int64_t>({1, 2}, {2, 0}).Error(), "");
}

TEST(GatherNd, BatchDims) {
  // data [2,2,2], one index pair into each batch entry: data[0][1], data[1][0].
  Tensor out = OpCall("GatherND", 12).Set("batch_dims", int64_t{1}).In<float>({2, 2, 2}, Iota(8)).In<int64_t>({2, 1}, {1, 0}).Run();
  EXPECT_EQ(out.shape(), Shape({2, 2}));
  EXPECT_EQ(Values<float>(out), (Floats{2, 3, 4, 5}));
  EXPECT_NE(OpCall("GatherND", 12).Set("batch_dims", int64_t{3}).In<float>({2, 2}, Iota(4)).In<int64_t>({2, 1}, {1, 0}).Error(), "");
  EXPECT_NE(OpCall("GatherND", 12).In<float>({2, 2}, Iota(4)).In<int64_t>({1, 3}, {0, 0, 0}).Error(), "");
}

TEST(ScatterElements, ReductionsOfEveryKind) {
  auto scatter = [](const char* reduction, auto value) {
    using T = decltype(value);
    return Values<T>(OpCall("ScatterElements", 18).Set("reduction", std::string(reduction)).In<T>({3}, {1, 2, 3}).In(List({1, 1, -1})).template In<T>({3}, {4, 5, 0}).Run());
  };
  EXPECT_EQ(scatter("none", int8_t{}), (std::vector<int8_t>{1, 5, 0}));
  EXPECT_EQ(scatter("add", int8_t{}), (std::vector<int8_t>{1, 11, 3}));
  EXPECT_EQ(scatter("mul", double{}), (std::vector<double>{1, 40, 0}));
  EXPECT_EQ(scatter("max", uint16_t{}), (std::vector<uint16_t>{1, 5, 3}));
  EXPECT_EQ(scatter("min", float{}), (Floats{1, 2, 0}));
  EXPECT_EQ(Halves(OpCall("ScatterElements", 18).Set("reduction", std::string("add")).In<Float16>({1}, ToHalves<Float16>({1})).In(List({0})).In<Float16>({1}, ToHalves<Float16>({0.5})).Run()), (Floats{1.5}));
  EXPECT_NE(OpCall("ScatterElements", 18).Set("reduction", std::string("xor")).In<float>({1}, {1}).In(List({0})).In<float>({1}, {1}).Error(), "");
}

TEST(ScatterElements, LinesAlongTheFirstAxis) {
  Tensor out = OpCall("Scatter", 9).In<float>({3, 3}, Floats(9)).In<int64_t>({2, 2}, {1, 0, 2, 2}).In<float>({2, 2}, {1, 2, 3, 4}).Run();
  EXPECT_EQ(Values<float>(out), (Floats{0, 2, 0, 1, 0, 0, 3, 4, 0}));
}

// Every second row and column of a matrix, and what is left of it when it is cut once more along its own rows.
TEST(Slice, OfSlicesAlongOtherAxes) {
  const std::string text = "graph g (x: float[4,11]) -> (z) {\n  zero = const int64[1]{0}\n  one = const int64[1]{1}\n  two = const int64[1]{2}\n"
                           "  far = const int64[1]{9223372036854775807}\n  last = const int64[1]{-1}\n  a = Slice-13(x, one, far, zero, two)\n"
                           "  b = Slice-13(a, zero, far, last, two)\n  z = Slice-13(b, one, far, zero)\n}\n";
  EXPECT_EQ(CountOf(Optimized(text, ""), "= Slice"), 2) << Optimized(text, "");
  EXPECT_EQ(Outputs(Parsed(text), {Tensor::Of<float>({4, 11}, Iota(44))}, {}, DetectedCpuLevel(), 1), (Floats{33, 35, 37, 39, 41, 43}));
}

TEST(ScatterNd, SlicesInOrder) {
  Tensor out = OpCall("ScatterND", 11).In<float>({3, 2}, Floats(6)).In<int64_t>({3, 1}, {2, 0, 2}).In<float>({3, 2}, {1, 2, 3, 4, 5, 6}).Run();
  EXPECT_EQ(Values<float>(out), (Floats{3, 4, 0, 0, 5, 6}));
  EXPECT_NE(OpCall("ScatterND", 11).In<float>({3, 2}, Floats(6)).In<int64_t>({3, 1}, {2, 0, 2}).In<float>({3, 1}, {1, 2, 3}).Error(), "");
  EXPECT_NE(OpCall("ScatterND", 11).In<float>({3, 2}, Floats(6)).In<int64_t>({1, 3}, {2, 0, 2}).In<float>({1}, {1}).Error(), "");
}

// x[:, ::2] = y and x[:, ::2] += y as exporters write them, with constant indices: rows 0 and 2 of both matrices, whole.
TEST(ScatterNd, ConstantIndicesOfWholeRows) {
  std::string indices;
  for (const char* at : {"0, 0", "0, 2", "1, 0", "1, 2"}) {
    for (int column = 0; column < 8; ++column) indices += std::string(indices.empty() ? "" : ", ") + at + ", " + std::to_string(column);
  }
  Tensor x = Tensor::Of<float>({2, 3, 8}, Iota(48)), y = Tensor::Of<float>({2, 2, 8}, Floats(32, 100));
  for (bool adds : {false, true}) {
    Floats expected = Iota(48);
    for (size_t i = 0; i < expected.size(); ++i) {
      if (i / 8 % 3 != 1) expected[i] = adds ? expected[i] + 100 : 100;
    }
    const std::string text = "graph g (x: float[2,3,8], y: float[2,2,8]) -> (z) {\n  i = const int64[2,2,8,3]{" + indices +
                             "}\n  z = ScatterND-18(x, i, y)" + (adds ? " {reduction=\"add\"}" : "") + "\n}\n";
    EXPECT_EQ(Outputs(Parsed(text), {x, y}, {}, DetectedCpuLevel(), 1), expected);
  }
}

TEST(TensorScatter, CircularWrapsAndLinearRefuses) {
  Tensor cache = Tensor::Of<float>({1, 4, 1}, Floats{0, 0, 0, 0});
  Tensor update = Tensor::Of<float>({1, 2, 1}, Floats{5, 6});
  EXPECT_EQ(Values<float>(OpCall("TensorScatter", 24).Set("mode", std::string("circular")).In(cache).In(update).In(List({7})).Run()), (Floats{6, 0, 0, 5}));
  EXPECT_NE(OpCall("TensorScatter", 24).In(cache).In(update).In(List({3})).Error(), "");
  EXPECT_NE(OpCall("TensorScatter", 24).In(cache).In(update).In(List({-1})).Error(), "");
  EXPECT_NE(OpCall("TensorScatter", 24).In(cache).In(update).In(List({INT64_MAX})).Error(), "");
}

}  // namespace
}  // namespace linnet
