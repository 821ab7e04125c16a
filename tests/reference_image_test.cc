// Image operators against the reference provider: convolutions with everything that fuses into them, pools, resizing.
#include "reference_test_util.h"

namespace linnet {
namespace {

constexpr Agreement kSum{1e-5, 0, 0.3};

/// Something that may be fused into the producer of `y`, which has `shape`.
ValueId Followed(Choices& c, RandomModel& m, ValueId y, const Shape& shape) {
  switch (c.Int(0, 8)) {
    case 0: return m.AddOne("Relu", {y});
    case 1: return m.AddOne("LeakyRelu", {y}, {{"alpha", 0.1f}});
    case 2: return m.AddOne("Clip", {y, m.Constant(-0.4f), m.Constant(0.7f)});
    case 3: return m.AddOne("HardSwish", {y});
    case 4: return m.AddOne("Mul", {y, m.AddOne("Sigmoid", {y})});
    case 5: return m.AddOne("Relu", {m.AddOne("Add", {y, m.Input(m.Floats(shape), true)})});
    case 6: {   // a batch normalisation, which folds into constant weights
      const Shape channels{shape[1]};
      return m.AddOne("BatchNormalization", {y, m.Constant(m.Floats(channels)), m.Constant(m.Floats(channels)),
                                             m.Constant(m.Floats(channels)), m.Constant(m.Floats(channels, 0.5, 2))});
    }
    case 7: {
      Shape channels = shape;
      for (int d = 0; d < channels.rank(); ++d) channels[d] = d == 1 ? shape[1] : 1;
      return m.AddOne("Add", {m.AddOne("Mul", {y, m.Constant(m.Floats(channels))}), m.Constant(m.Floats(channels))});
    }
    default: return y;
  }
}

struct WindowChoice {
  std::vector<int64_t> kernel, strides, dilations, pads;
  RandomModel::Attributes attributes;
};
WindowChoice ChooseWindow(Choices& c, int rank, bool dilate = true) {
  WindowChoice w;
  w.kernel = c.Ints(rank, 1, c.Coin() ? 3 : 5);
  w.strides = c.Coin() ? std::vector<int64_t>(static_cast<size_t>(rank), 1) : c.Ints(rank, 1, 3);
  w.dilations = !dilate || c.Coin() ? std::vector<int64_t>(static_cast<size_t>(rank), 1) : c.Ints(rank, 1, 2);
  w.pads = std::vector<int64_t>(static_cast<size_t>(2 * rank), 0);
  w.attributes = {{"kernel_shape", w.kernel}, {"strides", w.strides}};
  if (dilate) w.attributes.push_back({"dilations", w.dilations});
  if (c.Int(0, 3) == 0) {
    w.attributes.push_back({"auto_pad", c.Of<std::string>({"SAME_UPPER", "SAME_LOWER", "VALID"})});
  } else if (c.Coin()) {
    for (int i = 0; i < 2 * rank; ++i) w.pads[static_cast<size_t>(i)] = c.Int(0, w.kernel[static_cast<size_t>(i % rank)] - 1);
    w.attributes.push_back({"pads", w.pads});
  }
  return w;
}
Shape Image(Choices& c, int64_t channels, int rank) {
  Shape shape{c.Int(1, 2), channels};
  for (int d = 0; d < rank; ++d) shape.Append(c.Int(5, rank == 3 ? 7 : 19));
  return shape;
}
Shape With(Shape shape, const std::vector<int64_t>& rest) {
  for (int64_t dim : rest) shape.Append(dim);
  return shape;
}

TEST(Reference, Conv) {
  CheckRandomModels(1, 120, 17, kSum, [](Choices& c, RandomModel& m) {
    const int rank = c.Of({1, 2, 2, 2, 3});
    const WindowChoice w = ChooseWindow(c, rank);
    int64_t groups = c.Of({1, 1, 2, 3}), in = groups * c.Int(1, 9), out = groups * c.Int(1, 20);
    if (c.Int(0, 3) == 0) groups = in = out = c.Int(1, 37);   // depthwise
    const Shape x = Image(c, in, rank);
    const DType dtype = AnyFloat(c);
    std::vector<ValueId> inputs = {m.Input(m.Numbers(dtype, x), true),
                                   m.Input(m.Numbers(dtype, With(Shape{out, in / groups}, w.kernel)))};
    if (c.Coin()) inputs.push_back(m.Input(m.Numbers(dtype, Shape{out})));
    RandomModel::Attributes attributes = w.attributes;
    attributes.push_back({"group", groups});
    ValueId y = m.AddOne("Conv", inputs, attributes);
    if (dtype != DType::kFloat) return y;
    // A residual needs the output's shape, which is known for windows that keep the image's.
    Shape shape = x;
    shape[1] = out;
    const bool keeps = w.attributes.back().name == "auto_pad" && std::get<std::string>(w.attributes.back().payload) != "VALID" &&
                       w.strides == std::vector<int64_t>(static_cast<size_t>(rank), 1);
    if (!keeps) for (int d = 2; d < shape.rank(); ++d) shape[d] = 1;
    y = Followed(c, m, y, shape);
    return y;
  });
}

// Long rows and few outputs, where vectors hold pixels; of bytes too, and what follows their sums.
TEST(Reference, ConvsOfFewOutputs) {
  CheckRandomModels(9, 60, 17, kSum, [](Choices& c, RandomModel& m) {
    const int rank = c.Of({1, 2, 2});
    const int64_t in = c.Of<int64_t>({1, 1, 2, 3, 8, 17}), out = c.Of<int64_t>({1, 1, 2, 3, 5, 8, 12});
    Shape x{c.Int(1, 2), in}, w{out, in};
    if (rank == 2) x.Append(c.Int(5, 12)), w.Append(c.Int(1, 5));
    x.Append(rank == 2 ? c.Int(40, 150) : c.Int(200, 700));
    w.Append(rank == 2 ? c.Int(1, 7) : c.Int(3, 60));
    const RandomModel::Attributes attributes = {{"strides", c.Ints(rank, 1, 2)}, {"auto_pad", c.Of<std::string>({"SAME_UPPER", "VALID"})}};
    const DType type = c.Of({DType::kFloat, DType::kFloat, DType::kUint8, DType::kInt8});
    const Shape channels = rank == 2 ? Shape{out, 1, 1} : Shape{out, 1};
    if (type == DType::kFloat) {
      const ValueId y = m.AddOne("Conv", {m.Input(m.Floats(x), true), m.Constant(m.Floats(w)), m.Constant(m.Floats(Shape{out}))}, attributes);
      return c.Coin() ? y : m.AddOne("LeakyRelu", {y}, {{"alpha", 0.1f}});
    }
    std::vector<ValueId> inputs = {m.Input(m.Bits(type, x), true), m.Input(m.WeightBits(c.Coin() ? DType::kInt8 : type, w))};
    if (c.Coin()) inputs.push_back(m.Input(m.Bits(type, Shape::OfRank(0))));
    const ValueId sums = m.AddOne("ConvInteger", inputs, attributes);
    if (c.Coin()) return sums;
    const ValueId scaled = m.AddOne("Mul", {m.AddOne("Cast", {sums}, {{"to", int64_t{1}}}), m.Constant(m.Floats(channels, 1e-5, 1e-4))});
    const ValueId y = m.AddOne("Add", {scaled, m.Constant(m.Floats(channels))});
    return c.Coin() ? y : m.AddOne("Relu", {y});
  });
}

TEST(Reference, ConvChains) {
  // Several convolutions in a row, where layouts meet.
  CheckRandomModels(2, 30, 17, {1e-4}, [](Choices& c, RandomModel& m) {
    Shape shape{1, c.Int(1, 8), c.Int(6, 14), c.Int(6, 14)};
    ValueId y = m.Input(m.Floats(shape), true);
    for (int64_t i = c.Int(2, 4); i > 0; --i) {
      const int64_t out = c.Int(1, 24), k = c.Of<int64_t>({1, 3});
      y = m.AddOne("Conv", {y, m.Constant(m.Floats(Shape{out, shape[1], k, k}, -0.5, 0.5)), m.Constant(m.Floats(Shape{out}))},
                   {{"kernel_shape", std::vector<int64_t>{k, k}}, {"auto_pad", std::string("SAME_UPPER")}});
      shape[1] = out;
      y = Followed(c, m, y, shape);
      if (c.Int(0, 2) == 0) y = m.AddOne("Concat", {y, m.AddOne("Tanh", {y})}, {{"axis", int64_t{1}}}), shape[1] *= 2;
      if (c.Int(0, 3) == 0)
        y = m.AddOne("MaxPool", {y},
                     {{"kernel_shape", std::vector<int64_t>{3, 3}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}});
    }
    return c.Coin() ? y : m.AddOne("ReduceMean", {y}, {{"axes", std::vector<int64_t>{2, 3}}});
  });
}

TEST(Reference, ConvTranspose) {
  CheckRandomModels(3, 80, 17, kSum, [](Choices& c, RandomModel& m) {
    const int rank = c.Of({1, 2, 2, 3});
    WindowChoice w = ChooseWindow(c, rank);
    int64_t groups = c.Of({1, 1, 2, 3}), in = groups * c.Int(1, 7), out = c.Int(1, 9);
    if (c.Int(0, 4) == 0) groups = in = c.Int(1, 20), out = 1;
    const Shape x = Image(c, in, rank);
    const DType dtype = AnyFloat(c);
    std::vector<ValueId> inputs = {m.Input(m.Numbers(dtype, x), true), m.Input(m.Numbers(dtype, With(Shape{in, out}, w.kernel)))};
    if (c.Coin()) inputs.push_back(m.Input(m.Numbers(dtype, Shape{out * groups})));
    w.attributes.push_back({"group", groups});
    if (c.Int(0, 2) == 0) {
      std::vector<int64_t> more;
      for (size_t i = 0; i < w.strides.size(); ++i) more.push_back(c.Int(0, std::max(w.strides[i], w.dilations[i]) - 1));
      w.attributes.push_back({"output_padding", more});
    } else if (c.Int(0, 3) == 0) {
      std::vector<int64_t> wanted;
      for (int d = 0; d < rank; ++d) wanted.push_back(x[2 + d] * w.strides[static_cast<size_t>(d)]);
      w.attributes.push_back({"output_shape", wanted});
    }
    const ValueId y = m.AddOne("ConvTranspose", inputs, w.attributes);
    return c.Coin() ? y : m.AddOne("Relu", {y});
  });
}

TEST(Reference, Pools) {
  CheckRandomModels(4, 100, 19, {}, [](Choices& c, RandomModel& m) {
    const std::string op = c.Of<std::string>({"MaxPool", "AveragePool", "LpPool"});
    const int rank = c.Of({1, 2, 2, 3});
    WindowChoice w = ChooseWindow(c, rank);
    if (c.Coin()) w.attributes.push_back({"ceil_mode", int64_t{1}});
    if (op == "AveragePool" && c.Coin()) w.attributes.push_back({"count_include_pad", int64_t{1}});
    if (op == "LpPool") w.attributes.push_back({"p", c.Int(1, 3)});
    const Shape image = Image(c, c.Int(1, 21), rank);
    const bool bytes = op == "MaxPool" && c.Int(0, 2) == 0;
    const ValueId x = m.Input(bytes ? m.Bits(c.Of({DType::kInt8, DType::kUint8}), image) : m.Numbers(AnyFloat(c), image), true);
    if (op != "MaxPool" || c.Int(0, 2)) return m.AddOne(op, {x}, w.attributes);
    const std::vector<ValueId> both = m.Add(op, {x}, w.attributes, 2);
    m.Output(both[1]);
    return both[0];
  });
}

TEST(Reference, GlobalPools) {
  CheckRandomModels(5, 20, 17, {}, [](Choices& c, RandomModel& m) {
    const std::string op = c.Of<std::string>({"GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"});
    return m.AddOne(op, {m.Input(m.Numbers(AnyFloat(c), Image(c, c.Int(1, 21), c.Of({1, 2, 3}))), true)});
  });
}

TEST(Reference, Resize) {
  // Integers are rounded, which a sum in float may do the other way.
  CheckRandomModels(6, 160, 19, {1e-5, 1}, [](Choices& c, RandomModel& m) {
    const std::string mode = c.Of<std::string>({"nearest", "linear", "cubic"});
    const int rank = mode == "cubic" ? c.Of({3, 4}) : c.Of({3, 4, 4, 4, 5});
    Shape x = c.Dims(rank, 2, rank == 5 ? 4 : 7);
    const std::string coordinates = c.Of<std::string>(
        {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"});
    RandomModel::Attributes attributes = {{"mode", mode}, {"coordinate_transformation_mode", coordinates}};
    if (mode == "nearest")
      attributes.push_back({"nearest_mode", c.Of<std::string>({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})});
    if (mode == "cubic" && c.Coin()) attributes.push_back({"cubic_coeff_a", -0.5f});
    if (mode != "nearest" && c.Int(0, 2) == 0) attributes.push_back({"exclude_outside", int64_t{1}});
    if (mode != "nearest" && c.Int(0, 2) == 0) attributes.push_back({"antialias", int64_t{1}});
    const DType dtype = c.Int(0, 3) ? AnyFloat(c) : c.Of({DType::kInt8, DType::kUint8, DType::kInt32});
    const ValueId image = m.Input(m.Numbers(dtype, x, IsFloating(dtype) ? -1 : 0, IsFloating(dtype) ? 1 : 100), true);
    // Scales of whole halves, for which rounding decides nothing in nearest; sizes of any kind elsewhere.
    if (mode == "nearest" || c.Coin()) {
      Tensor scales = m.Floats(Shape{rank});
      for (int d = 0; d < rank; ++d) scales.mutable_as<float>()[d] = d < 2 ? 1.0f : c.Of({1.0f, 2.0f, 0.5f, 3.0f, 1.5f, 4.0f});
      return m.AddOne("Resize", {image, kNoValue, m.Input(scales)}, attributes);
    }
    std::vector<int64_t> sizes(x.begin(), x.end());
    for (size_t d = 2; d < sizes.size(); ++d) sizes[d] = c.Int(1, rank == 5 ? 5 : 13);
    if (c.Int(0, 3) == 0) attributes.push_back({"keep_aspect_ratio_policy", c.Of<std::string>({"not_larger", "not_smaller"})});
    return m.AddOne("Resize", {image, kNoValue, kNoValue, m.Constant(sizes)}, attributes);
  });
}

TEST(Reference, GridSampleAndRoiAlign) {
  CheckRandomModels(7, 60, 20, {}, [](Choices& c, RandomModel& m) {
    if (c.Coin()) {
      const int rank = c.Of({2, 2, 3});
      const Shape x = With(Shape{2, c.Int(1, 4)}, c.Ints(rank, 1, 6));
      Shape grid = With(Shape{2}, c.Ints(rank, 1, 5));
      grid.Append(rank);
      return m.AddOne("GridSample", {m.Input(m.Floats(x), true), m.Input(m.Floats(grid, -1.6, 1.6), true)},
                      {{"mode", c.Of<std::string>({"linear", "nearest", "cubic"})},
                       {"padding_mode", c.Of<std::string>({"zeros", "border", "reflection"})},
                       {"align_corners", c.Int(0, 1)}});
    }
    const int64_t count = c.Int(1, 4);
    Tensor rois = m.Floats(Shape{count, 4}, 0, 8), images = m.Numbers(DType::kInt64, Shape{count}, 0, 2);
    for (int64_t i = 0; i < count; ++i) {
      for (int k = 0; k < 2; ++k) rois.mutable_as<float>()[4 * i + 2 + k] += rois.as<float>()[4 * i + k];
    }
    return m.AddOne("RoiAlign", {m.Input(m.Floats(Shape{2, 3, 9, 11}), true), m.Input(rois), m.Input(images)},
                    {{"mode", c.Of<std::string>({"avg", "max"})}, {"output_height", c.Int(1, 4)}, {"output_width", c.Int(1, 4)},
                     {"sampling_ratio", c.Int(0, 3)}, {"spatial_scale", c.Of({1.0f, 0.5f})},
                     {"coordinate_transformation_mode", c.Of<std::string>({"half_pixel", "output_half_pixel"})}});
  });
}

}  // namespace
}  // namespace linnet
