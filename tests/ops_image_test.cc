// Convolutions and pools with channels last against their definitions (written here with channels first), over ranks,
// groups, paddings, types and threads; shapes with unknown sizes; hostile attributes.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

/// A small generator: tests must not depend on a library's random numbers.
struct Noise {
  uint32_t state = 12345;
  float operator()() {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1.0f;
  }
  std::vector<float> Vector(int64_t n) {
    std::vector<float> out;
    for (int64_t i = 0; i < n; ++i) out.push_back((*this)());
    return out;
  }
};

/// N C S... to N S... C or back.
std::vector<float> MoveChannels(const std::vector<float>& x, int64_t batch, int64_t rows, int64_t columns) {
  std::vector<float> out(x.size());
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        out[static_cast<size_t>((n * columns + c) * rows + r)] = x[static_cast<size_t>((n * rows + r) * columns + c)];
      }
    }
  }
  return out;
}

struct Axis {
  int64_t in, kernel, stride = 1, dilation = 1, pad = 0, pad_end = 0;
  int64_t out() const { return (in + pad + pad_end - (kernel - 1) * dilation - 1) / stride + 1; }
};
struct ConvCase {
  int64_t batch, in_c, out_c, groups;
  std::vector<Axis> axes;
  int64_t pixels(bool out) const {
    int64_t n = 1;
    for (const Axis& a : axes) n *= out ? a.out() : a.in;
    return n;
  }
  int64_t taps() const {
    int64_t n = 1;
    for (const Axis& a : axes) n *= a.kernel;
    return n;
  }
};

/// The definition, channels first, in double.
std::vector<double> Convolve(const ConvCase& c, const std::vector<float>& x, const std::vector<float>& w,
                             const std::vector<float>& bias) {
  const int64_t group_in = c.in_c / c.groups, group_out = c.out_c / c.groups;
  std::vector<double> y;
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t o = 0; o < c.out_c; ++o) {
      for (int64_t p = 0; p < c.pixels(true); ++p) {
        double sum = bias.empty() ? 0 : static_cast<double>(bias[static_cast<size_t>(o)]);
        for (int64_t i = 0; i < group_in; ++i) {
          for (int64_t t = 0; t < c.taps(); ++t) {
            int64_t at = 0, stride = 1, pixel = p, tap = t;
            bool inside = true;
            for (size_t d = c.axes.size(); d-- > 0;) {
              const Axis& a = c.axes[d];
              const int64_t from = pixel % a.out() * a.stride - a.pad + tap % a.kernel * a.dilation;
              inside = inside && from >= 0 && from < a.in;
              at += from * stride;
              stride *= a.in;
              pixel /= a.out();
              tap /= a.kernel;
            }
            if (!inside) continue;
            const int64_t channel = o / group_out * group_in + i;
            sum += static_cast<double>(x[static_cast<size_t>((n * c.in_c + channel) * c.pixels(false) + at)]) *
                   static_cast<double>(w[static_cast<size_t>((o * group_in + i) * c.taps() + t)]);
          }
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

Shape ImageLast(int64_t batch, int64_t channels, const ConvCase& c, bool out) {
  Shape shape = Shape::OfRank(static_cast<int>(c.axes.size()) + 2);
  shape[0] = batch;
  for (size_t i = 0; i < c.axes.size(); ++i) shape[static_cast<int>(i) + 1] = out ? c.axes[i].out() : c.axes[i].in;
  shape[shape.rank() - 1] = channels;
  return shape;
}

OpCall ConvCall(const ConvCase& c, const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& bias) {
  OpCall call("Conv", 11, "linnet");
  std::vector<int64_t> strides, dilations, pads, ends;
  Shape w_shape{c.out_c, c.in_c / c.groups};
  for (const Axis& a : c.axes) {
    w_shape.Append(a.kernel);
    strides.push_back(a.stride);
    dilations.push_back(a.dilation);
    pads.push_back(a.pad);
    ends.push_back(a.pad_end);
  }
  pads.insert(pads.end(), ends.begin(), ends.end());
  call.Set("group", c.groups).Set("strides", strides).Set("dilations", dilations).Set("pads", pads);
  call.In<float>(ImageLast(c.batch, c.in_c, c, false), MoveChannels(x, c.batch, c.in_c, c.pixels(false))).In<float>(w_shape, w);
  if (!bias.empty()) call.In<float>(Shape{c.out_c}, bias);
  return call;
}

const ConvCase kConvCases[] = {
    {2, 5, 7, 1, {{9, 3, 1, 1, 1, 1}, {8, 3, 1, 1, 1, 1}}},
    {1, 3, 20, 1, {{11, 3, 2, 1, 0, 1}, {7, 5, 3, 1, 2, 0}}},
    {1, 8, 6, 2, {{6, 1}, {6, 2, 1, 3, 3, 2}}},
    {2, 6, 6, 6, {{7, 3, 1, 1, 1, 1}, {7, 3, 2, 1, 1, 1}}},      // depthwise
    {1, 4, 12, 4, {{5, 3, 1, 2, 2, 2}, {5, 1}}},                 // depthwise, three outputs a channel
    {2, 3, 4, 1, {{13, 4, 2, 2, 3, 1}}},                         // one dimension
    {1, 4, 6, 2, {{5, 3, 1, 1, 1, 1}, {4, 2, 2, 1, 0, 1}, {6, 3, 1, 2, 2, 2}}},
    {1, 2, 3, 1, {{2, 1, 1, 1, 3, 0}, {3, 2}, {3, 2}}},          // planes of padding alone
    {1, 2, 2, 1, {{3, 2}, {3, 2, 1, 1, 1, 0}, {2, 2}, {3, 1}}},  // four dimensions
    {3, 17, 33, 1, {{5, 1}, {4, 1}}},
    {1, 16, 8, 8, {{2, 1, 1, 1, 1, 0}, {7, 1}, {12, 1}}},                              // no scratch but for padding
    {1, 16, 16, 8, {{3, 3, 1, 1, 1, 1}, {20, 3, 1, 1, 1, 1}, {20, 3, 1, 1, 1, 1}}},   // groups that lie together in vectors
};

TEST(ImageConv, IsItsDefinition) {
  Noise noise;
  for (const ConvCase& c : kConvCases) {
    for (bool with_bias : {false, true}) {
      const auto x = noise.Vector(c.batch * c.in_c * c.pixels(false)), w = noise.Vector(c.out_c * c.in_c / c.groups * c.taps());
      const auto bias = with_bias ? noise.Vector(c.out_c) : std::vector<float>();
      const std::vector<double> y = Convolve(c, x, w, bias);
      const std::vector<float> wanted = MoveChannels(std::vector<float>(y.begin(), y.end()), c.batch, c.out_c, c.pixels(true));
      OpCall call = ConvCall(c, x, w, bias);
      for (auto& [constants, threads] : std::vector<std::pair<std::vector<int>, int>>{{{}, 1}, {{1}, 1}, {{1, 2}, 3}, {{}, 4}}) {
        std::vector<int> given;
        for (int i : constants) {
          if (static_cast<size_t>(i) < call.inputs.size()) given.push_back(i);
        }
        Tensor out = call.RunFed(1, given, threads)[0];
        ASSERT_EQ(out.shape(), ImageLast(c.batch, c.out_c, c, true));
        for (int64_t i = 0; i < out.elements(); ++i) ASSERT_NEAR(out.as<float>()[i], wanted[static_cast<size_t>(i)], 2e-5) << i;
      }
    }
  }
}

TEST(ImageConv, OtherTypesAreTheSame) {
  Noise noise;
  const ConvCase c = kConvCases[1];
  auto x = noise.Vector(c.batch * c.in_c * c.pixels(false)), w = noise.Vector(c.out_c * c.in_c * c.taps());
  for (float& v : x) v = ToFloat(ToFloat16(v));
  for (float& v : w) v = ToFloat(ToFloat16(v));
  Tensor f32 = ConvCall(c, x, w, {}).Run();
  for (DType dtype : {DType::kDouble, DType::kFloat16}) {
    OpCall call = ConvCall(c, x, w, {});
    for (Datum& input : call.inputs) {
      Tensor other = Tensor::Allocate(dtype, input.tensor.shape()).value();
      for (int64_t i = 0; i < other.elements(); ++i) {
        if (dtype == DType::kDouble) other.mutable_as<double>()[i] = static_cast<double>(input.tensor.as<float>()[i]);
        if (dtype == DType::kFloat16) other.mutable_as<Float16>()[i] = ToFloat16(input.tensor.as<float>()[i]);
      }
      input = Datum::Of(other);
    }
    Tensor y = call.RunFed(1, {1})[0];
    for (int64_t i = 0; i < y.elements(); ++i) {
      const double v = dtype == DType::kDouble ? y.as<double>()[i] : static_cast<double>(ToFloat(y.as<Float16>()[i]));
      ASSERT_NEAR(v, f32.as<float>()[i], dtype == DType::kDouble ? 2e-5 : 1e-2);
    }
  }
}

TEST(ImageConv, ActivationAndResidualFollowTheSum) {
  Noise noise;
  for (const ConvCase& c : {kConvCases[0], kConvCases[3], kConvCases[6], kConvCases[8]}) {
    const auto x = noise.Vector(c.batch * c.in_c * c.pixels(false)), w = noise.Vector(c.out_c * c.in_c / c.groups * c.taps());
    const auto bias = noise.Vector(c.out_c), residual = noise.Vector(c.batch * c.out_c * c.pixels(true));
    const std::vector<double> y = Convolve(c, x, w, bias);
    const std::vector<float> plain = MoveChannels(std::vector<float>(y.begin(), y.end()), c.batch, c.out_c, c.pixels(true));
    struct Function {
      const char* name;
      float alpha, beta;
      double (*f)(double);
    };
    const Function functions[] = {
        {"", 0, 0, [](double v) { return v; }},
        {"Relu", 0, 0, [](double v) { return v > 0 ? v : 0; }},
        {"Clip", -0.25f, 0.5f, [](double v) { return std::min(std::max(v, -0.25), 0.5); }},
        {"HardSwish", 0, 0, [](double v) { return v * std::min(std::max(v / 6 + 0.5, 0.0), 1.0); }},
        {"Silu", 1, 0, [](double v) { return v / (1 + std::exp(-v)); }},
    };
    for (const Function& f : functions) {
      OpCall call = ConvCall(c, x, w, bias);
      call.In<float>(ImageLast(c.batch, c.out_c, c, true), residual);
      call.Set("activation", std::string(f.name)).Set("alpha", f.alpha).Set("beta", f.beta);
      Tensor out = call.RunFed(1, {1, 2})[0];
      for (int64_t i = 0; i < out.elements(); ++i) {
        const size_t k = static_cast<size_t>(i);
        ASSERT_NEAR(out.as<float>()[i], f.f(static_cast<double>(plain[k] + residual[k])), 3e-5) << f.name << " " << i;
      }
    }
  }
}

/// Transposed convolution is the adjoint of convolution: <conv(x), z> = <x, transpose(z)>, with the same weights.
TEST(ImageConvTranspose, IsTheAdjoint) {
  Noise noise;
  for (const ConvCase& c : kConvCases) {
    const auto x = noise.Vector(c.batch * c.in_c * c.pixels(false)), w = noise.Vector(c.out_c * c.in_c / c.groups * c.taps());
    const auto z = noise.Vector(c.batch * c.out_c * c.pixels(true));
    const std::vector<double> y = Convolve(c, x, w, {});
    double left = 0;
    for (size_t i = 0; i < y.size(); ++i) left += y[i] * static_cast<double>(z[i]);

    OpCall forward = ConvCall(c, x, w, {});
    OpCall call("ConvTranspose", 11, "linnet");
    for (const Attribute& a : forward.node.attributes) call.Set(a.name, a.payload);
    std::vector<int64_t> sizes;
    for (const Axis& a : c.axes) sizes.push_back(a.in);
    // The output size asked for may leave a rest at the end, which output_padding describes.
    std::vector<int64_t> rest;
    for (const Axis& a : c.axes) {
      rest.push_back(a.in - ((a.out() - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 - a.pad - a.pad_end));
    }
    call.Set("output_padding", rest);
    call.In<float>(ImageLast(c.batch, c.out_c, c, true), MoveChannels(z, c.batch, c.out_c, c.pixels(true)));
    call.In(forward.inputs[1].tensor);
    for (auto constants : {std::vector<int>{}, std::vector<int>{1}}) {
      Tensor t = call.RunFed(1, constants)[0];
      ASSERT_EQ(t.shape(), ImageLast(c.batch, c.in_c, c, false));
      const std::vector<float> first = MoveChannels(x, c.batch, c.in_c, c.pixels(false));
      double right = 0;
      for (int64_t i = 0; i < t.elements(); ++i) right += static_cast<double>(t.as<float>()[i]) * static_cast<double>(first[static_cast<size_t>(i)]);
      EXPECT_NEAR(left, right, 1e-3);
    }
  }
}

TEST(ImageConvTranspose, ActivationAndResidualFollowTheSum) {
  Noise noise;
  for (const Shape& w : {Shape{3, 5, 3, 2}, Shape{3, 5, 3, 2, 2}}) {
    const bool deep = w.rank() == 5;
    const Shape x = deep ? Shape{1, 4, 3, 2, 3} : Shape{1, 4, 3, 3}, y = deep ? Shape{1, 6, 4, 3, 5} : Shape{1, 6, 4, 5};
    auto call = [&] { return OpCall("ConvTranspose", 11, "linnet"); };
    const auto xs = noise.Vector(x.elements()), ws = noise.Vector(w.elements()), bias = noise.Vector(5), residual = noise.Vector(y.elements());
    Tensor plain = call().In<float>(x, xs).In<float>(w, ws).In<float>({5}, bias).Run();
    ASSERT_EQ(plain.shape(), y);
    Tensor fused = call().Set("activation", std::string("Relu")).In<float>(x, xs).In<float>(w, ws).In<float>({5}, bias)
                       .In<float>(y, residual).RunFed(1, {1}, 2)[0];
    for (int64_t i = 0; i < y.elements(); ++i) {
      EXPECT_NEAR(fused.as<float>()[i], std::max(0.0f, plain.as<float>()[i] + residual[static_cast<size_t>(i)]), 1e-5);
    }
  }
}

TEST(ImageConvTranspose, OutputShapeDecidesThePadding) {
  // Full result of one dimension: 3 inputs, stride 2, kernel 3: 7 numbers; 5 of them cut 1 from each side.
  for (const char* pad : {"NOTSET", "SAME_UPPER", "SAME_LOWER"}) {
    Tensor y = OpCall("ConvTranspose", 11, "linnet").Set("auto_pad", std::string(pad)).Set("strides", std::vector<int64_t>{2})
                   .Set("output_shape", std::vector<int64_t>{6})
                   .In<float>({1, 3, 1}, {1, 10, 100}).In<float>({1, 1, 3}, {1, 2, 3}).Run();
    const std::vector<float> full = {1, 2, 13, 20, 130, 200, 300};
    const size_t cut = std::string_view(pad) == "SAME_UPPER" ? 0 : 1;
    EXPECT_EQ(Values<float>(y), std::vector<float>(full.begin() + static_cast<int64_t>(cut), full.begin() + static_cast<int64_t>(cut) + 6)) << pad;
  }
  // Larger than the result: the rest holds the bias.
  Tensor y = OpCall("ConvTranspose", 11, "linnet").Set("output_shape", std::vector<int64_t>{1, 1, 4})
                 .In<float>({1, 2, 1}, {1, 2}).In<float>({1, 1, 1}, {3}).In<float>({1}, {0.5}).Run();
  EXPECT_EQ(Values<float>(y), (std::vector<float>{3.5, 6.5, 0.5, 0.5}));
}

TEST(ImageConvTranspose, SamePaddingMakesInputTimesStride) {
  // Also where the kernel is shorter than the stride: rows that no input reaches hold the bias.
  Tensor y = OpCall("ConvTranspose", 11, "linnet").Set("auto_pad", std::string("SAME_UPPER")).Set("strides", std::vector<int64_t>{3})
                 .In<float>({1, 2, 1}, {1, 2}).In<float>({1, 1, 2}, {1, 10}).In<float>({1}, {0.5}).Run();
  EXPECT_EQ(Values<float>(y), (std::vector<float>{1.5, 10.5, 0.5, 2.5, 20.5, 0.5}));
}

TEST(ImagePool, CeilModeDropsWindowsThatStartInThePadding) {
  // 4 elements, kernel 2, stride 3, padding 1 behind: ceil gives 3 windows, the third would start at 6 > 4.
  for (const char* op : {"MaxPool", "AveragePool"}) {
    OpCall call(op, 12);
    call.Set("kernel_shape", std::vector<int64_t>{1}).Set("strides", std::vector<int64_t>{2}).Set("ceil_mode", int64_t{1});
    Tensor y = call.In<float>({1, 1, 4}, {1, 2, 3, 4}).Run();
    EXPECT_EQ(Values<float>(y), (std::vector<float>{1, 3})) << op;
  }
  // Counted padding ends where the padding ends, not where the last window does.
  OpCall call("AveragePool", 19);
  call.Set("kernel_shape", std::vector<int64_t>{3}).Set("strides", std::vector<int64_t>{2}).Set("ceil_mode", int64_t{1});
  call.Set("pads", std::vector<int64_t>{1, 1}).Set("count_include_pad", int64_t{1});
  Tensor y = call.In<float>({1, 1, 4}, {3, 6, 9, 12}).Run();
  EXPECT_EQ(Values<float>(y), (std::vector<float>{3, 9, 6}));   // 0 3 6 | 6 9 12 | 12 0
}

TEST(ImagePool, BothLayoutsAndAllTypesAgree) {
  Noise noise;
  const auto x = noise.Vector(2 * 19 * 7 * 6);
  for (const char* op : {"MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"}) {
    for (int p : {1, 2, 3}) {
      const bool global = std::string_view(op).starts_with("Global"), lp = std::string_view(op).ends_with("LpPool");
      if (!lp && p > 1) continue;
      auto make = [&](const char* domain) {
        OpCall call(op, 18, domain);
        if (lp) call.Set("p", int64_t{p});
        if (!global) {
          call.Set("kernel_shape", std::vector<int64_t>{3, 2}).Set("strides", std::vector<int64_t>{2, 1});
          call.Set("pads", std::vector<int64_t>{1, 0, 1, 1});
        }
        return call;
      };
      Tensor first = make("").In<float>({2, 19, 7, 6}, x).Run();
      Tensor last = make("linnet").In<float>({2, 7, 6, 19}, MoveChannels(x, 2, 19, 42)).RunFed(1, {}, 3)[0];
      const int64_t pixels = first.elements() / 38;
      const std::vector<float> wanted = MoveChannels(Values<float>(first), 2, 19, pixels);
      for (int64_t i = 0; i < last.elements(); ++i) ASSERT_NEAR(last.as<float>()[i], wanted[static_cast<size_t>(i)], 2e-5) << op << i;
      std::vector<double> wide(x.begin(), x.end());
      Tensor f64 = make("").In<double>({2, 19, 7, 6}, wide).Run();
      for (int64_t i = 0; i < f64.elements(); ++i) ASSERT_NEAR(f64.as<double>()[i], first.as<float>()[i], 2e-5) << op << i;
    }
  }
}

TEST(ImagePool, NanPropagatesWhereverItStands) {
  for (int64_t at = 0; at < 20; ++at) {
    std::vector<float> x(20 * 4, 1.0f);
    x[static_cast<size_t>(2 * 20 + at)] = std::nanf("");
    Tensor y = OpCall("MaxPool", 12, "linnet").Set("kernel_shape", std::vector<int64_t>{4}).In<float>({1, 4, 20}, x).Run();
    for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(y.as<float>()[i]), i == at);
  }
}

TEST(ImagePool, IndicesCountRowsOrColumns) {
  const std::vector<float> x = {1, 5, 3, 2, 4, 6};
  auto run = [&](int64_t order) {
    return OpCall("MaxPool", 12).Set("kernel_shape", std::vector<int64_t>{1, 2}).Set("storage_order", order)
        .In<float>({1, 1, 2, 3}, x).RunAll(2);
  };
  EXPECT_EQ(Values<float>(run(0)[0]), (std::vector<float>{5, 5, 4, 6}));
  EXPECT_EQ(Values<int64_t>(run(0)[1]), (std::vector<int64_t>{1, 1, 4, 5}));
  EXPECT_EQ(Values<int64_t>(run(1)[1]), (std::vector<int64_t>{2, 2, 3, 5}));
}

TEST(ImageInfer, SymbolsAndUnknownSizesPass) {
  const int64_t n = SymbolDim(0), h = SymbolDim(1);
  OpCall conv("Conv", 11);
  conv.Set("pads", std::vector<int64_t>{1, 1, 1, 1});
  auto infer = [](OpCall& call, const Shape& x, const Shape& w) {
    auto types = InferTypes(call, {{Type::Tensor(DType::kFloat, x)}, {Type::Tensor(DType::kFloat, w)}});
    EXPECT_TRUE(types.ok()) << types.status().message();
    return types.ok() ? (*types)[0].shape : Shape();
  };
  EXPECT_EQ(infer(conv, {n, 3, h, 10}, {8, 3, 3, 3}), (Shape{n, 8, h, 10}));
  EXPECT_EQ(infer(conv, {n, 3, h, 10}, {8, 3, 5, 3}), (Shape{n, 8, kUnknownDim, 10}));
  EXPECT_EQ(infer(conv, Shape(), {8, 3, 3, 3}), (Shape{kUnknownDim, 8, kUnknownDim, kUnknownDim}));
  EXPECT_EQ(infer(conv, {n, 3, h, 10}, Shape()), (Shape{n, kUnknownDim, kUnknownDim, kUnknownDim}));
  OpCall same("ConvTranspose", 11);
  EXPECT_EQ(infer(same, {n, 3, h, 4}, {3, 2, 3, 3}), (Shape{n, 2, kUnknownDim, 6}));
  EXPECT_EQ(infer(same, Shape(), Shape()), Shape());
}

TEST(ImageHostile, AttributesAreChecked) {
  using Ints = std::vector<int64_t>;
  auto error = [](const char* op, const char* name, Attribute::Payload value) {
    OpCall call(op, 18);
    if (std::string_view(op) != "Conv") call.Set("kernel_shape", Ints{2, 2});
    call.Set(name, std::move(value));
    std::vector<Fact> inputs = {{Type::Tensor(DType::kFloat, {1, 2, 4, 4})}};
    if (std::string_view(op) == "Conv") inputs.push_back({Type::Tensor(DType::kFloat, {2, 2, 2, 2})});
    return std::string(InferTypes(call, inputs).status().message());
  };
  EXPECT_EQ(error("Conv", "group", int64_t{1}), "");
  EXPECT_EQ(error("MaxPool", "kernel_shape", std::vector<int64_t>{2, 2}), "");
  for (const char* op : {"Conv", "MaxPool"}) {
    for (int64_t bad : {int64_t{0}, int64_t{-1}, int64_t{1} << 31, int64_t{1} << 62, INT64_MIN}) {
      EXPECT_NE(error(op, "strides", Ints{1, bad}), "") << bad;
      EXPECT_NE(error(op, "dilations", Ints{bad, 1}), "") << bad;
      EXPECT_NE(error(op, "kernel_shape", Ints{bad, 1}), "") << bad;
      if (bad != 0) {
        EXPECT_NE(error(op, "pads", Ints{0, 0, bad, 0}), "") << bad;
      }
    }
    EXPECT_NE(error(op, "strides", Ints{1}), "");
    EXPECT_NE(error(op, "pads", Ints{1, 1, 1}), "");
    EXPECT_NE(error(op, "auto_pad", std::string("SAME")), "");
    EXPECT_NE(error(op, "kernel_shape", Ints(20, 1)), "");
  }
  for (int64_t groups : {int64_t{0}, int64_t{-2}, int64_t{3}, INT64_MIN, int64_t{1} << 62}) {
    EXPECT_NE(error("Conv", "group", groups), "") << groups;
  }
  EXPECT_NE(error("MaxPool", "kernel_shape", Ints{9, 9}).find("does not fit"), std::string::npos);
}

TEST(ImageHostile, EmptyTensors) {
  Tensor none = OpCall("Conv", 11, "linnet").In<float>({0, 5, 5, 3}, {}).In<float>({4, 3, 3, 3}, std::vector<float>(108)).Run();
  EXPECT_EQ(none.shape(), (Shape{0, 3, 3, 4}));
  // No channels to sum: the bias remains.
  Tensor bias = OpCall("Conv", 11, "linnet").In<float>({1, 2, 2, 0}, {}).In<float>({2, 0, 1, 1}, {}).In<float>({2}, {1, 2}).Run();
  EXPECT_EQ(Values<float>(bias), (std::vector<float>{1, 2, 1, 2, 1, 2, 1, 2}));
  Tensor pool = OpCall("MaxPool", 12).Set("kernel_shape", std::vector<int64_t>{2, 2}).In<float>({2, 0, 4, 4}, {}).Run();
  EXPECT_EQ(pool.shape(), (Shape{2, 0, 3, 3}));
  Tensor moved = OpCall("ToChannelsLast", 1, "linnet").In<float>({2, 3, 0, 4}, {}).Run();
  EXPECT_EQ(moved.shape(), (Shape{2, 0, 4, 3}));
}

TEST(ChannelsLast, MovesAnyElementAndComesBack) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 40, 33}, Shape{3, 1, 4, 4}, Shape{2, 9, 1, 1}, Shape{1, 70, 3, 2, 50}}) {
    std::vector<int64_t> x;
    for (int64_t i = 0; i < shape.elements(); ++i) x.push_back(i);
    std::vector<uint8_t> bytes(x.begin(), x.end());
    auto round_trip = [&]<class T>(const std::vector<T>& values) {
      Tensor last = OpCall("ToChannelsLast", 1, "linnet").In<T>(shape, values).RunFed(1, {}, 2)[0];
      EXPECT_EQ(last.shape()[shape.rank() - 1], shape[1]);
      Tensor back = OpCall("ToChannelsFirst", 1, "linnet").In(last).RunFed(1)[0];
      EXPECT_EQ(Values<T>(back), values);
      return last;
    };
    Tensor last = round_trip(x);
    round_trip(bytes);
    const int64_t pixels = shape.elements() / shape[0] / shape[1];
    for (int64_t i = 0; i < last.elements(); ++i) {
      const int64_t n = i / (shape[1] * pixels), p = i / shape[1] % pixels, k = i % shape[1];
      ASSERT_EQ(last.as<int64_t>()[i], (n * shape[1] + k) * pixels + p);
    }
  }
}

TEST(IntegerConv, IsExactAndPaddingIsTheZeroPoint) {
  // x - 3 = {-3, 252}, w - 1 = {-129, 126}; one element of padding on both sides.
  Tensor y = OpCall("ConvInteger", 10).Set("pads", std::vector<int64_t>{1, 1})
                 .In<uint8_t>({1, 1, 2}, {0, 255}).In<int8_t>({1, 1, 2}, {-128, 127}).In<uint8_t>(Shape::OfRank(0), {3})
                 .In<int8_t>({1}, {1}).Run();
  EXPECT_EQ(Values<int32_t>(y), (std::vector<int32_t>{-3 * 126, -3 * -129 + 252 * 126, 252 * -129}));
  OpCall bad("QLinearConv", 10);
  bad.In<uint8_t>({1, 1, 1}, {1}).In<float>(Shape::OfRank(0), {0.0f}).In<uint8_t>(Shape::OfRank(0), {0}).In<uint8_t>({1, 1, 1}, {1});
  bad.In<float>(Shape::OfRank(0), {1.0f}).In<uint8_t>(Shape::OfRank(0), {0}).In<float>(Shape::OfRank(0), {1.0f});
  bad.In<uint8_t>(Shape::OfRank(0), {0});
  EXPECT_NE(bad.Error().find("scale"), std::string::npos);
}

}  // namespace
}  // namespace linnet
