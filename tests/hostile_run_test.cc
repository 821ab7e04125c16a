// Hostile computations: outputs that explode, integers that trap, indices outside, loops without an end, odd floats.
#include <gtest/gtest.h>

#include <math.h>

#include <limits>
#include <thread>

#include "hostile_util.h"

namespace linnet::hostile {
namespace {

Tensor Scalar64(int64_t value) { return Of<int64_t>(Shape::OfRank(0), {value}); }

/// One operator with inputs x0, x1, ... and one output, fed at run time or constant.
std::string OneNode(std::string_view op, const std::vector<Tensor>& inputs, std::string_view attributes, bool constant, int outputs = 1) {
  std::string ports, names, body, results;
  for (size_t i = 0; i < inputs.size(); ++i) {
    names += Cat(i ? ", " : "", "x", i);
    if (constant) {
      body += Cat("x", i, " = const ", PrintTensor(inputs[i]), "\n");
    } else {
      Type type = inputs[i].type();
      for (int d = 0; d < type.shape.rank(); ++d) type.shape[d] = kUnknownDim;
      ports += Cat(ports.empty() ? "" : ", ", "x", i, ": ", ToString(type));
    }
  }
  for (int i = 0; i < outputs; ++i) results += Cat(i ? ", y" : "y", i);
  return Cat("graph (", ports, ") -> (", results, ") {\n", body, results, " = ", op, "(", names, ") {", attributes, "} @node\n}");
}

/// The failure of one node at run time and as a constant; both fail alike.
std::string NodeError(std::string_view op, const std::vector<Tensor>& inputs, std::string_view attributes = "", int outputs = 1) {
  WorkWatch watch;
  std::string fed = Why(OpenAndRun(OneNode(op, inputs, attributes, false, outputs), inputs));
  std::string folded = Why(OpenAndRun(OneNode(op, inputs, attributes, true, outputs), {}));
  EXPECT_NE(fed, "") << op << " {" << attributes << "}";
  EXPECT_NE(folded, "") << op << " {" << attributes << "} of constants";
  EXPECT_LT(watch.seconds(), 1.0 * kSlower) << op;
  EXPECT_TRUE(fed.find("node") != std::string::npos || fed.find("output 0, ") != std::string::npos) << fed;
  return fed;
}

/// Both ways it works: the first output.
template <class T>
std::vector<T> NodeValues(std::string_view op, const std::vector<Tensor>& inputs, std::string_view attributes = "") {
  std::vector<T> values[2];
  for (bool constant : {false, true}) {
    auto session = OpenText(OneNode(op, inputs, attributes, constant));
    EXPECT_TRUE(session.ok()) << session.status().message();
    if (!session.ok()) return {};
    std::vector<Datum> results;
    Status status = RunSession(**session, constant ? std::vector<Tensor>() : inputs, &results);
    EXPECT_TRUE(status.ok()) << status.message();
    if (!status.ok()) return {};
    EXPECT_EQ(results[0].tensor.dtype(), kDTypeOf<T>);
    values[constant].assign(results[0].tensor.as<T>(), results[0].tensor.as<T>() + results[0].tensor.elements());
  }
  auto bits = [](std::vector<T> v) {
    // Which NaN comes out depends on the compiler: processors keep that of an operation's first operand, whichever that became.
    if constexpr (std::is_floating_point_v<T>) {
      for (T& x : v) x = isnan(x) ? std::numeric_limits<T>::quiet_NaN() : x;
    }
    return std::string(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T));
  };
  EXPECT_EQ(bits(values[0]), bits(values[1])) << op << " folded and run";
  return values[0];
}

// Row 22, 23 --------------------------------------------------------------------------------------------------------

TEST(HostileRun, OutputsThatExplode) {
  const int64_t huge = int64_t{1} << 62;
  const Tensor one = Filled<float>(Shape{1}, 1), pair = List<float>({0, 1});
  struct Case {
    const char* op;
    std::vector<Tensor> inputs;
    std::string attributes;
  };
  const Case cases[] = {
      {"Expand-13", {one, List<int64_t>({huge})}, ""},
      {"Expand-13", {one, List<int64_t>({800'000'000})}, ""},
      {"Expand-13", {one, List<int64_t>({1 << 30, 1 << 30})}, ""},
      {"Tile-13", {one, List<int64_t>({huge})}, ""},
      {"Tile-13", {one, List<int64_t>({800'000'000})}, ""},
      {"Range-11", {Scalar64(0), Scalar64(huge), Scalar64(1)}, ""},
      {"Range-11", {Scalar64(INT64_MIN), Scalar64(INT64_MAX), Scalar64(1)}, ""},
      {"Range-11", {Scalar64(0), Scalar64(100'000'000), Scalar64(1)}, ""},
      {"Range-11", {Scalar64(0), Scalar64(1), Scalar64(0)}, ""},
      {"ConstantOfShape-9", {List<int64_t>({huge})}, ""},
      {"ConstantOfShape-9", {List<int64_t>({int64_t{1} << 40})}, ""},
      {"ConstantOfShape-9", {List<int64_t>({800'000'000})}, ""},
      {"ConstantOfShape-9", {List<int64_t>({-1})}, ""},
      {"OneHot-11", {List<int64_t>({1}), Scalar64(huge), pair}, ""},
      {"OneHot-11", {List<int64_t>({1}), Scalar64(800'000'000), pair}, ""},
      {"OneHot-11", {List<int64_t>({1}), Scalar64(-5), pair}, ""},
      {"Resize-13", {Filled<float>(Shape{1, 1, 1, 1}, 1), Tensor(), Tensor(), List<int64_t>({1, 1, 1 << 30, 1 << 30})}, "mode=\"nearest\""},
      {"Resize-13", {Filled<float>(Shape{1, 1, 1, 1}, 1), Tensor(), List<float>({1, 1, 1e30f, 1e30f})}, "mode=\"linear\""},
      {"Resize-13", {Filled<float>(Shape{1, 1, 1, 1}, 1), Tensor(), List<float>({1, 1, 30000, 30000})}, "mode=\"linear\""},
      {"Pad-13", {one, List<int64_t>({huge, huge})}, ""},
      {"Pad-13", {one, List<int64_t>({INT64_MIN, 0})}, ""},
      {"Pad-13", {one, List<int64_t>({0, 800'000'000})}, ""},
      {"Reshape-14", {one, List<int64_t>({huge, 4})}, ""},
      {"Reshape-14", {one, List<int64_t>({-1, -1})}, ""},
      {"Reshape-14", {one, List<int64_t>({-7})}, ""},
      {"TopK-11", {one, List<int64_t>({huge})}, ""},
      {"TopK-11", {one, List<int64_t>({-1})}, ""},
      {"HannWindow-17", {Scalar64(huge)}, ""},
      {"HannWindow-17", {Scalar64(800'000'000)}, ""},
      {"CumSum-14", {one, Scalar64(huge)}, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(Cat(c.op, " ", c.attributes));
    // Omitted inputs are written as "_".
    auto text = [&](bool constant) {
      std::string whole = OneNode(c.op, c.inputs, c.attributes, constant);
      for (size_t i = 0; i < c.inputs.size(); ++i) {
        if (c.inputs[i].dtype() != DType::kUndefined) continue;
        std::string name = Cat("x", i);
        for (std::string cut : {Cat(", ", name, ": undefined[...]"), Cat(name, " = const undefined[...]{?}\n")}) {
          if (size_t at = whole.find(cut); at != std::string::npos) whole.erase(at, cut.size());
        }

        size_t use = whole.rfind(name);
        whole.replace(use, name.size(), "_");
      }
      return whole;
    };
    std::vector<Tensor> fed;
    for (const Tensor& tensor : c.inputs) {
      if (tensor.dtype() != DType::kUndefined) fed.push_back(tensor);
    }
    WorkWatch watch;
    for (bool constant : {false, true}) {
      std::string why = Why(OpenAndRun(text(constant), constant ? std::vector<Tensor>() : fed));
      EXPECT_NE(why, "") << (constant ? "constant" : "fed");
      bool says_where = false;
      for (const char* where : {"node", "output 0, ", "activation memory"}) says_where = says_where || why.find(where) != std::string::npos;
      EXPECT_TRUE(says_where) << why;
    }
    EXPECT_LT(watch.seconds(), 0.5 * kSlower);
  }
  ExpectParts(NodeError("Expand-13", {one, List<int64_t>({800'000'000})}), {"limit reached", "3200000000 bytes", "67108864"});
  ExpectParts(NodeError("RandomNormal-1", {}, "shape=[100000, 10000]"), {"limit reached"});
  ExpectParts(NodeError("RandomUniform-1", {}, "shape=[4611686018427387904]"), {"4611686018427387904"});
}

TEST(HostileRun, ASmallFileThatFoldsIntoGigabytes) {
  // Twelve doublings of a megabyte; folding stops at its own limit, running at the budget.
  std::string text = "graph () -> (v12) {\n v0 = const float[1]{1}\n big = const int64[1]{262144}\n";
  text += " e = Expand-13(v0, big)\n v1 = Concat-13(e, e) {axis=0}\n";
  for (int i = 1; i < 12; ++i) text += Cat(" v", i + 1, " = Concat-13(v", i, ", v", i, ") {axis=0}\n");
  WorkWatch watch;
  std::string why = Why(OpenAndRun(text + "}", {}));
  ExpectParts(why, {"limit reached", "67108864"});
  EXPECT_LT(watch.seconds(), 1.0 * kSlower);
}

// Row 24, 26, 28 ----------------------------------------------------------------------------------------------------

TEST(HostileRun, ParametersOutOfRange) {
  const Tensor x = Filled<float>(Shape{4}, 1), image = Filled<float>(Shape{1, 4, 4, 4}, 1);
  auto slice = [&](int64_t start, int64_t end, int64_t step) {
    return std::vector<Tensor>{x, List<int64_t>({start}), List<int64_t>({end}), List<int64_t>({0}), List<int64_t>({step})};
  };
  ExpectParts(NodeError("Slice-13", slice(0, 4, 0)), {"step", "0"});
  // The specification's clamps, in arithmetic that does not overflow.
  EXPECT_EQ(NodeValues<float>("Slice-13", slice(INT64_MIN, INT64_MAX, 1)).size(), 4u);
  EXPECT_EQ(NodeValues<float>("Slice-13", slice(INT64_MAX, INT64_MIN, -1)).size(), 4u);
  EXPECT_EQ(NodeValues<float>("Slice-13", slice(INT64_MAX, INT64_MIN, INT64_MIN)).size(), 1u);
  EXPECT_EQ(NodeValues<float>("Slice-13", slice(0, INT64_MAX, INT64_MAX)).size(), 1u);
  EXPECT_NE(NodeError("Split-18", {x, List<int64_t>({INT64_MAX, INT64_MAX})}, "", 2), "");
  EXPECT_NE(NodeError("Split-18", {x, List<int64_t>({-1, 5})}, "", 2), "");
  EXPECT_NE(NodeError("Split-18", {x, List<int64_t>({1, 2})}, "", 2), "");
  for (int64_t block : {int64_t{0}, int64_t{-2}, int64_t{1} << 40, INT64_MIN}) {
    ExpectParts(NodeError("DepthToSpace-13", {image}, Cat("blocksize=", block)), {"blocksize", Cat(block)});
    ExpectParts(NodeError("SpaceToDepth-13", {image}, Cat("blocksize=", block)), {"blocksize", Cat(block)});
  }
  for (std::string bad : {"kernel_shape=[0, 2]", "kernel_shape=[2, 2], strides=[0, 1]", "kernel_shape=[2, 2], strides=[-1, 1]",
                          "kernel_shape=[2, 2], dilations=[0, 1]", "kernel_shape=[2, 2], pads=[-1, 0, 0, 0]", "kernel_shape=[2]",
                          "kernel_shape=[2, 2], pads=[1, 1]", "kernel_shape=[4611686018427387904, 2]",
                          "kernel_shape=[2, 2], dilations=[4611686018427387904, 1]",
                          "kernel_shape=[2, 2], pads=[9223372036854775807, 0, 9223372036854775807, 0]",
                          "kernel_shape=[2, 2], auto_pad=\"SOMEHOW\""}) {
    EXPECT_NE(NodeError("MaxPool-12", {image}, bad), "") << bad;
    EXPECT_NE(NodeError("AveragePool-19", {image}, bad), "") << bad;
  }
  const Tensor w = Filled<float>(Shape{4, 4, 2, 2}, 1);
  for (std::string bad : {"group=0", "group=-1", "group=3", "strides=[0, 1]", "dilations=[0, 1]", "pads=[-1, 0, 0, 0]", "strides=[1]",
                          "dilations=[4611686018427387904, 1]", "pads=[9223372036854775807, 0, 9223372036854775807, 0]"}) {
    EXPECT_NE(NodeError("Conv-11", {image, w}, bad), "") << bad;
    EXPECT_NE(NodeError("ConvTranspose-11", {image, w}, bad), "") << bad;
  }
  EXPECT_NE(NodeError("ConvTranspose-11", {image, w}, "output_padding=[9223372036854775807, 0]"), "");
  EXPECT_NE(NodeError("ConvTranspose-11", {image, w}, "output_shape=[9223372036854775807, 4]"), "");
  EXPECT_NE(NodeError("ConvTranspose-11", {image, w}, "strides=[4611686018427387904, 1]"), "");
  EXPECT_NE(NodeError("GroupNormalization-21", {image, Filled<float>(Shape{4}, 1), Filled<float>(Shape{4}, 1)}, "num_groups=0"), "");
  EXPECT_NE(NodeError("LRN-13", {image}, "size=0"), "");
  const Tensor sequence = Filled<float>(Shape{1, 1, 2}, 1), gates = Filled<float>(Shape{1, 8, 2}, 1);
  for (std::string hidden : {"0", "-1", "1099511627776"}) {
    EXPECT_NE(NodeError("LSTM-14", {sequence, gates, gates}, Cat("hidden_size=", hidden)), "") << hidden;
  }
  const Tensor flat = Filled<float>(Shape{1, 2, 4}, 1);
  EXPECT_NE(NodeError("Attention-23", {flat, flat, flat}, "q_num_heads=0, kv_num_heads=0"), "");
  EXPECT_NE(NodeError("Attention-23", {flat, flat, flat}, "q_num_heads=-1, kv_num_heads=2"), "");
}

// Row 21 ------------------------------------------------------------------------------------------------------------

TEST(HostileRun, AxesOutOfRange) {
  const Tensor x = Filled<float>(Shape{2, 3}, 1);
  for (int64_t axis : {int64_t{2}, int64_t{-3}, INT64_MIN, INT64_MAX}) {
    std::string attribute = Cat("axis=", axis);
    for (const char* op : {"Softmax-13", "ArgMax-13", "LogSoftmax-13", "Hardmax-13"}) {
      ExpectParts(NodeError(op, {x}, attribute), {"axis", Cat(axis), "rank 2"});
    }
    ExpectParts(NodeError("Concat-13", {x, x}, attribute), {"axis", Cat(axis), "rank 2"});
    ExpectParts(NodeError("Gather-13", {x, List<int64_t>({0})}, attribute), {"axis", Cat(axis), "rank 2"});
    ExpectParts(NodeError("ReduceSum-13", {x, List<int64_t>({axis})}), {"axis", Cat(axis), "rank 2"});
    ExpectParts(NodeError("Squeeze-13", {x, List<int64_t>({axis})}), {"axis", Cat(axis), "rank 2"});
    ExpectParts(NodeError("CumSum-14", {x, Scalar64(axis)}), {"axis", Cat(axis), "rank 2"});
  }
  EXPECT_NE(NodeError("Unsqueeze-13", {x, List<int64_t>({1, 1})}), "");
  EXPECT_NE(NodeError("Unsqueeze-13", {x, List<int64_t>({INT64_MIN})}), "");
  for (std::string perm : {"[0, 0]", "[1]", "[0, 2]", "[-3, 0]", "[-1, 1]", "[0, 1, 2]", "[-9223372036854775808, 0]"}) {
    EXPECT_NE(NodeError("Transpose-13", {x}, "perm=" + perm), "") << perm;
  }
}

// Row 25, 26 --------------------------------------------------------------------------------------------------------

TEST(HostileRun, IndicesOutOfRange) {
  const Tensor x = Filled<float>(Shape{3, 4}, 1);
  for (int64_t index : {int64_t{3}, int64_t{-4}, INT64_MIN, INT64_MAX, int64_t{1} << 40}) {
    std::string number = Cat(index);
    ExpectParts(NodeError("Gather-13", {x, List<int64_t>({0, index})}, "axis=0"), {number, "3"});
    ExpectParts(NodeError("GatherElements-13", {x, Of<int64_t>(Shape{1, 2}, {0, index})}, "axis=0"), {number, "3"});
    ExpectParts(NodeError("GatherND-13", {x, Of<int64_t>(Shape{1, 1}, {index})}), {number, "3"});
    ExpectParts(NodeError("ScatterElements-18", {x, Of<int64_t>(Shape{1, 1}, {index}), Filled<float>(Shape{1, 1}, 9)}, "axis=0"), {number, "3"});
    ExpectParts(NodeError("ScatterND-18", {x, Of<int64_t>(Shape{1, 1}, {index}), Filled<float>(Shape{1, 4}, 9)}), {number, "3"});
  }
  for (int64_t index : {int64_t{9}, int64_t{-1}, INT64_MIN, INT64_MAX}) {
    ExpectParts(NodeError("MaxUnpool-11", {Filled<float>(Shape{1, 1, 1, 1}, 1), Of<int64_t>(Shape{1, 1, 1, 1}, {index})},
                          "kernel_shape=[3, 3]"), {Cat(index)});
  }
  // OneHot marks nothing for an index outside.
  EXPECT_EQ(NodeValues<float>("OneHot-11", {List<int64_t>({5, INT64_MIN, -1}), Scalar64(2), List<float>({0, 1})}),
            (std::vector<float>{0, 0, 0, 0, 0, 1}));
  ExpectParts(NodeError("TopK-11", {Filled<float>(Shape{3}, 1), List<int64_t>({4})}), {"4", "3"});
  const Tensor rois = Filled<float>(Shape{1, 4}, 0.5f), image = Filled<float>(Shape{1, 1, 4, 4}, 1);
  EXPECT_NE(NodeError("RoiAlign-16", {image, rois, List<int64_t>({1})}, "output_height=2, output_width=2"), "");
  EXPECT_NE(NodeError("RoiAlign-16", {image, rois, List<int64_t>({INT64_MIN})}, "output_height=2, output_width=2"), "");
  EXPECT_NE(NodeError("RoiAlign-16", {image, rois, List<int64_t>({0})}, "output_height=1099511627776, output_width=2"), "");
  // Odd rectangles and counts are computed or refused, in bounded time.
  for (float odd : {NAN, INFINITY, -INFINITY, 1e30f, -1e30f}) {
    WorkWatch watch;
    std::vector<Tensor> inputs = {image, List<float>({0, 0, odd, odd}), List<int64_t>({0})};
    inputs[1] = inputs[1].Reshaped(Shape{1, 4});
    Why(OpenAndRun(OneNode("RoiAlign-16", inputs, "output_height=2, output_width=2, sampling_ratio=0", false), inputs));
    std::vector<Tensor> boxes = {Of<float>(Shape{1, 2, 4}, {0, 0, odd, 1, odd, 0, 1, 1}), Of<float>(Shape{1, 1, 2}, {odd, 1}),
                                 List<int64_t>({INT64_MAX}), List<float>({0.5f}), List<float>({0})};
    Why(OpenAndRun(OneNode("NonMaxSuppression-11", boxes, "", false), boxes));
    EXPECT_LT(watch.seconds(), 1.0 * kSlower) << odd;
  }
}

// Row 27 ------------------------------------------------------------------------------------------------------------

template <class T>
void CheckIntegers(bool is_signed) {
  const T least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
  for (const char* op : {"Div-14", "Mod-13"}) {
    std::string why = NodeError(op, {List<T>({7, 8, 9}), List<T>({1, 0, 1})});
    ExpectParts(why, {"by zero"});
  }
  if (is_signed) {
    EXPECT_EQ(NodeValues<T>("Div-14", {List<T>({least, 7}), List<T>({static_cast<T>(-1), 2})}), (std::vector<T>{least, 3}));
    EXPECT_EQ(NodeValues<T>("Mod-13", {List<T>({least, 7}), List<T>({static_cast<T>(-1), 2})}), (std::vector<T>{0, 1}));
    EXPECT_EQ(NodeValues<T>("Mod-13", {List<T>({least, 7}), List<T>({static_cast<T>(-1), 2})}, "fmod=1"), (std::vector<T>{0, 1}));
    EXPECT_EQ(NodeValues<T>("Neg-13", {List<T>({least})}), (std::vector<T>{least}));
    EXPECT_EQ(NodeValues<T>("Abs-13", {List<T>({least})}), (std::vector<T>{least}));
  }
  EXPECT_EQ(NodeValues<T>("Add-14", {List<T>({most}), List<T>({1})}), (std::vector<T>{least}));
}

TEST(HostileRun, IntegersThatTrapElsewhere) {
  CheckIntegers<int8_t>(true);
  CheckIntegers<int16_t>(true);
  CheckIntegers<int32_t>(true);
  CheckIntegers<int64_t>(true);
  CheckIntegers<uint8_t>(false);
  CheckIntegers<uint64_t>(false);
  for (const char* direction : {"LEFT", "RIGHT"}) {
    EXPECT_EQ(NodeValues<uint8_t>("BitShift-11", {List<uint8_t>({255, 255}), List<uint8_t>({8, 255})}, Cat("direction=\"", direction, "\"")),
              (std::vector<uint8_t>{0, 0}));
    EXPECT_EQ(NodeValues<uint64_t>("BitShift-11", {List<uint64_t>({1}), List<uint64_t>({64})}, Cat("direction=\"", direction, "\"")),
              (std::vector<uint64_t>{0}));
  }
}

// Row 30 ------------------------------------------------------------------------------------------------------------

TEST(HostileRun, NanRules) {
  const float nan = NAN;
  // Wherever the NaN is, vectors and tails included.
  for (size_t at = 0; at < 21; ++at) {
    std::vector<float> values(21, 1.0f);
    values[at] = nan;
    const Tensor x = List<float>(values), ones = Filled<float>(Shape{21}, 1);
    for (const char* op : {"Max-13", "Min-13"}) {
      for (bool swapped : {false, true}) {
        std::vector<float> out = NodeValues<float>(op, {swapped ? ones : x, swapped ? x : ones});
        ASSERT_EQ(out.size(), 21u);
        for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(isnan(out[i]) != 0, i == at) << op << " NaN at " << at << ", element " << i;
      }
    }
    for (const char* op : {"ReduceMax-18", "ReduceMin-18", "ReduceSum-13", "ReduceMean-18"}) {
      std::vector<float> out = NodeValues<float>(op, {x}, "keepdims=0");
      ASSERT_EQ(out.size(), 1u);
      EXPECT_TRUE(isnan(out[0])) << op << " NaN at " << at;
    }
    std::vector<float> soft = NodeValues<float>("Softmax-13", {x}, "axis=0");
    for (float value : soft) EXPECT_TRUE(isnan(value)) << "Softmax, NaN at " << at;
    std::vector<float> relu = NodeValues<float>("Relu-14", {x});
    EXPECT_TRUE(isnan(relu[at])) << "Relu at " << at;
    std::vector<float> clip = NodeValues<float>("Clip-13", {x, Of<float>(Shape::OfRank(0), {0}), Of<float>(Shape::OfRank(0), {6})});
    EXPECT_TRUE(isnan(clip[at])) << "Clip at " << at;
    // An index is always a place inside.
    std::vector<int64_t> arg = NodeValues<int64_t>("ArgMax-13", {x}, "axis=0, keepdims=0");
    EXPECT_TRUE(arg[0] >= 0 && arg[0] < 21);
  }
  EXPECT_EQ(NodeValues<int32_t>("Cast-13", {List<float>({nan, INFINITY, -INFINITY, 3e9f, -3e9f, 1.9f})}, "to=6"),
            (std::vector<int32_t>{0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 1}));
  EXPECT_EQ(NodeValues<int64_t>("Cast-13", {List<float>({nan, INFINITY, -INFINITY, 1e19f})}, "to=7"),
            (std::vector<int64_t>{0, INT64_MAX, INT64_MIN, INT64_MAX}));
  EXPECT_EQ(NodeValues<uint8_t>("Cast-13", {List<float>({nan, 1e9f, -1.0f, 255.5f})}, "to=2"), (std::vector<uint8_t>{0, 255, 0, 255}));
  const Tensor image = Filled<float>(Shape{1, 1, 2, 2}, 1);
  for (float scale : {nan, INFINITY, -1.0f, 0.0f}) {
    std::string text = OneNode("Resize-13", {image, List<float>({1, 1, scale, 1})}, "mode=\"linear\"", false);
    size_t use = text.find("(x0, x1)");
    text.replace(use, 8, "(x0, _, x1)");
    ExpectParts(Why(OpenAndRun(text, {image, List<float>({1, 1, scale, 1})})), {"scale"});
  }
}

// Row 29 ------------------------------------------------------------------------------------------------------------

TEST(HostileRun, OddQuantisationParameters) {
  const Tensor x = List<float>({-1, 0, 1, NAN, INFINITY, -INFINITY, 1e30f});
  for (float scale : {0.0f, -1.0f, NAN, INFINITY, 1e-42f, 1e38f}) {
    for (bool constant : {false, true}) {
      std::vector<Tensor> inputs = {x, Of<float>(Shape::OfRank(0), {scale}), Of<uint8_t>(Shape::OfRank(0), {128})};
      Why(OpenAndRun(OneNode("QuantizeLinear-13", inputs, "", constant), constant ? std::vector<Tensor>() : inputs));
      std::vector<Tensor> back = {List<uint8_t>({0, 255}), inputs[1], inputs[2]};
      Why(OpenAndRun(OneNode("DequantizeLinear-13", back, "", constant), constant ? std::vector<Tensor>() : back));
    }
  }
  EXPECT_EQ(NodeValues<uint8_t>("QuantizeLinear-13", {List<float>({-INFINITY, INFINITY, 1e30f, -1e30f}), Of<float>(Shape::OfRank(0), {1}),
                                                      Of<uint8_t>(Shape::OfRank(0), {3})}),
            (std::vector<uint8_t>{0, 255, 255, 0}));
  EXPECT_NE(NodeError("QuantizeLinear-13", {Filled<float>(Shape{2, 2}, 1), List<float>({1, 1, 1}), List<uint8_t>({0, 0, 0})}, "axis=1"), "");
  EXPECT_NE(NodeError("QuantizeLinear-13", {Filled<float>(Shape{2, 2}, 1), List<float>({1, 1}), List<uint8_t>({0, 0})}, "axis=77"), "");
}

// Row 31 ------------------------------------------------------------------------------------------------------------

TEST(HostileRun, TensorsWithoutElements) {
  const char* nodes[] = {
      "Relu-14(x) {}", "Softmax-13(x) {axis=0}", "Softmax-13(x) {axis=1}", "Transpose-13(x) {}", "Add-14(x, x) {}", "Concat-13(x, x) {axis=1}",
      "ReduceSum-13(x) {}", "ReduceMean-18(x) {}", "ReduceProd-18(x) {}", "ReduceL2-18(x) {}", "ReduceLogSumExp-18(x) {}", "Flatten-13(x) {}",
      "Shape-15(x) {}", "Size-13(x) {}", "Cast-13(x) {to=7}", "NonZero-13(x) {}", "Unique-11(x) {}", "LayerNormalization-17(x, s) {}",
      "MatMul-13(x, w) {}", "Gemm-13(x, w) {}", "Identity-16(x) {}", "Dropout-13(x) {}", "LogSoftmax-13(x) {}", "Hardmax-13(x) {}",
      "Clip-13(x) {}", "Erf-13(x) {}", "IsNaN-13(x) {}", "Sign-13(x) {}", "Sum-13(x, x) {}", "Max-13(x, x) {}", "Where-16(c, x, x) {}",
      "Tile-13(x, two) {}", "Gather-13(x, none) {axis=1}", "Squeeze-13(x) {}", "Expand-13(x, two) {}", "Pad-13(x, pads) {}",
      "LpNormalization-1(x) {}", "CumSum-14(x, axis) {}", "Compress-11(x, some) {}", "Einsum-12(x) {equation=\"ij->ji\"}", "Einsum-12(x) {equation=\"ij->\"}",
      "Trilu-14(x) {}", "GatherND-13(x, pairs) {}", "MeanVarianceNormalization-13(x) {axes=[0]}", "QuantizeLinear-13(x, q) {}",
      "DynamicQuantizeLinear-11(x) {}", "TopK-11(x, k0) {axis=1}", "ReduceMax-18(x) {keepdims=0}", "ArgMax-13(x) {axis=1}", "ArgMax-13(x) {axis=0}",
      "Slice-13(x, k0, k0) {}", "Split-18(x) {axis=1, num_outputs=1}", "Reshape-14(x, flat) {}", "Reshape-14(x, keep) {allowzero=1}",
  };
  for (const char* node : nodes) {
    for (Shape shape : {Shape{0, 4}, Shape{4, 0}, Shape{0, 0}}) {
      std::string text = Cat("graph (x: float[?,?]) -> (y) {\n s = const float[1]{1}\n two = const int64[2]{2, 1}\n none = const int64[0]{}\n",
                             " pads = const int64[4]{1, 0, 0, 1}\n axis = const int64[]{0}\n some = const bool[0]{}\n pairs = const int64[0,2]{}\n",
                             " q = const float[]{0.5}\n k0 = const int64[1]{0}\n flat = const int64[1]{-1}\n keep = const int64[2]{0, 7}\n",
                             " w = const float[4,2]{1, 2, 3, 4, 5, 6, 7, 8}\n c = const bool[1]{true}\n y = ", node, "\n}");
      // The specification gives a result or an error; here it must be one of the two.
      Why(OpenAndRun(text, {Tensor::Allocate(DType::kFloat, shape).value()}));
    }
  }
  EXPECT_EQ(NodeValues<float>("ReduceSum-13", {Tensor::Allocate(DType::kFloat, Shape{0, 2}).value(), List<int64_t>({0})}, "keepdims=0"),
            (std::vector<float>{0, 0}));
  EXPECT_EQ(NodeValues<float>("MatMul-13", {Tensor::Allocate(DType::kFloat, Shape{2, 0}).value(), Tensor::Allocate(DType::kFloat, Shape{0, 1}).value()}),
            (std::vector<float>{0, 0}));
  ExpectParts(NodeError("ArgMax-13", {Tensor::Allocate(DType::kFloat, Shape{2, 0}).value()}, "axis=1"), {"axis 1"});
  const Tensor image = Tensor::Allocate(DType::kFloat, Shape{0, 2, 4, 4}).value(), w = Filled<float>(Shape{2, 2, 2, 2}, 1);
  EXPECT_EQ(NodeValues<float>("Conv-11", {image, w}).size(), 0u);
  EXPECT_EQ(NodeValues<float>("MaxPool-12", {image}, "kernel_shape=[2, 2]").size(), 0u);
  Why(OpenAndRun(OneNode("Conv-11", {Tensor::Allocate(DType::kFloat, Shape{1, 0, 4, 4}).value(), Tensor::Allocate(DType::kFloat, Shape{2, 0, 2, 2}).value()}, "", false),
                 {Tensor::Allocate(DType::kFloat, Shape{1, 0, 4, 4}).value(), Tensor::Allocate(DType::kFloat, Shape{2, 0, 2, 2}).value()}));
}

// Row 34 ------------------------------------------------------------------------------------------------------------

TEST(HostileRun, EquationsAndPatternsThatExplode) {
  const Tensor x = Filled<float>(Shape{2, 2}, 1);
  std::string letters;
  for (int i = 0; i < 100000; ++i) letters += "ij,";
  WorkWatch watch;
  EXPECT_NE(NodeError("Einsum-12", {x}, Cat("equation=\"", letters, "->ij\"")), "");
  EXPECT_NE(NodeError("Einsum-12", {x}, "equation=\"ij->ijii\""), "");
  EXPECT_NE(NodeError("Einsum-12", {x}, "equation=\"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ->a\""), "");
  EXPECT_NE(NodeError("Einsum-12", {x}, "equation=\"i...j...->ij\""), "");
  const Tensor text = Of<std::string>(Shape{1}, {std::string(20000, 'a')});
  Why(OpenAndRun(OneNode("RegexFullMatch-20", {text}, "pattern=\"(a*)*b\"", false), {text}));
  Why(OpenAndRun(OneNode("RegexFullMatch-20", {text}, "pattern=\"((a{1000}){1000}){1000}\"", false), {text}));
  Why(OpenAndRun(OneNode("RegexFullMatch-20", {text}, Cat("pattern=\"", std::string(50000, '('), "\""), false), {text}));
  EXPECT_LT(watch.seconds(), 3.0 * kSlower);
}

TEST(HostileRun, BytesOfNothing) {
  auto bytes_of = [](const std::string& shape, const Tensor& x, const std::string& body) -> std::vector<uint8_t> {
    const std::string text = Cat("graph (x: float[", shape, "]) -> (y) {\n  s = const float[]{0.5}\n  z = const uint8[]{3}\n  q = QuantizeLinear-13(x, s, z)\n",
                                 "  f = DequantizeLinear-13(q, s, z)\n", body, "  y = QuantizeLinear-13(r, s, z)\n}");
    auto session = OpenText(text);
    EXPECT_TRUE(session.ok()) << session.status().message() << text;
    std::vector<Datum> results;
    if (!session.ok() || !RunSession(**session, {x}, &results).ok()) return {255};
    return {results[0].tensor.as<uint8_t>(), results[0].tensor.as<uint8_t>() + results[0].tensor.elements()};
  };
  const Tensor none = Filled<float>(Shape{1, 0, 1, 1}, 0), one = Filled<float>(Shape{1, 1, 1, 1}, 0);
  auto conv = [](const char* op, const char* shape, const char* numbers, const char* bias) {
    return Cat("  w = const int8[", shape, "]{", numbers, "}\n  wf = DequantizeLinear-13(w, s)\n  b = const float", bias, "\n  r = ", op, "(f, wf, b) {strides=[2, 2]}\n");
  };
  EXPECT_EQ(bytes_of("1,0,1,1", none, conv("Conv-11", "2,0,1,1", "", "[2]{1, 2}")), (std::vector<uint8_t>{5, 7}));
  EXPECT_EQ(bytes_of("1,0,1,1", none, conv("ConvTranspose-11", "0,1,2,1", "", "[1]{1}")), (std::vector<uint8_t>{5, 5}));
  EXPECT_EQ(bytes_of("1,1,1,1", one, conv("ConvTranspose-11", "1,0,2,2", "", "[0]{}")), std::vector<uint8_t>());
  // Axes that a constant adds in front are none of an image.
  EXPECT_EQ(bytes_of("1,1,1,1", one, "  w = const int8[1,1,2,1]{1, 1}\n  wf = DequantizeLinear-13(w, s)\n  c = ConvTranspose-11(f, wf) {strides=[2, 2]}\n"
                                    "  five = const float[1,1,1,1,1]{1}\n  r = Add-13(c, five)\n"), (std::vector<uint8_t>{5, 5}));
  for (const char* op : {"Add", "Sub", "Mul"}) {
    EXPECT_EQ(bytes_of("2,1", Filled<float>(Shape{2, 1}, 1), Cat("  o = const uint8[1,0]{}\n  of = DequantizeLinear-13(o, s, z)\n  r = ", op, "-13(f, of)\n")), std::vector<uint8_t>()) << op;
  }
}

}  // namespace
}  // namespace linnet::hostile
