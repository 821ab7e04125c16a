// move_quantization and the passes that make integer operators (fuse_integer ... fuse_activation_tables): the graphs they make, and answers within one step of the graph
// as it is written, which runs in float.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "passes_test_util.h"

namespace linnet {
namespace {

/// A constant of random numbers in text form.
std::string Constant(const std::string& name, const std::string& type, int64_t count, int low, int high, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text = fmt::format("  {} = const {}{{", name, type);
  for (int64_t i = 0; i < count; ++i) text += fmt::format("{}{}", i ? "," : "", low + static_cast<int>(random() % static_cast<uint32_t>(high - low + 1)));
  return text + "}\n";
}
std::string Scales(const std::string& name, int64_t count, float least, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text = fmt::format("  {} = const float[{}]{{", name, count);
  for (int64_t i = 0; i < count; ++i) text += fmt::format("{}{}", i ? "," : "", least * (1 + 0.01f * static_cast<float>(random() % 100)));
  return text + "}\n";
}

/// y and what a step of it is: results of both must be equal but for one in `few` at most that differs by one step.
void ExpectWithinOneStep(const std::string& text, const std::vector<Shape>& shapes, float step, size_t few = 200) {
  PipelineOptions without, with;
  without.level = kOptimizeNothing;
  const std::vector<float> expected = Outputs(text, shapes, without, 1), got = Outputs(text, shapes, with, 1);
  ASSERT_EQ(expected.size(), got.size());
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(got, Outputs(text, shapes, with, 3));
  size_t different = 0, distinct = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_LE(std::abs(expected[i] - got[i]), step * 1.001f) << i;
    different += expected[i] != got[i];
    distinct += expected[i] != expected[0];
  }
  EXPECT_LE(different, expected.size() / few) << "of " << expected.size();
  EXPECT_GT(distinct, expected.size() / 4) << "the numbers must mean something";
}

bool Contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Shape ParseShape(const std::string& text) {
  std::vector<int64_t> dims;
  for (size_t at = 0; at < text.size(); at = text.find(',', at) == text.npos ? text.size() : text.find(',', at) + 1) dims.push_back(std::stoll(text.substr(at)));
  Shape shape = Shape::OfRank(static_cast<int>(dims.size()));
  for (size_t i = 0; i < dims.size(); ++i) shape[static_cast<int>(i)] = dims[i];
  return shape;
}

constexpr char kParameters[] =
    "  xs = const float[]{0.031}\n  xz = const uint8[]{131}\n  ys = const float[]{0.043}\n  yz = const uint8[]{117}\n"
    "  is = const float[]{0.031}\n  iz = const int8[]{-3}\n  zero = const float[]{0}\n  three = const float[]{3}\n";

/// x quantized, between DQ and Q `body` computes y from xf, and y again as floats.
std::string Wrapped(const std::string& shape, const std::string& body) {
  return "graph (x: float[" + shape + "]) -> (out) {\n" + kParameters +
         "  xq = QuantizeLinear-13(x, xs, xz)\n  xf = DequantizeLinear-13(xq, xs, xz)\n" + body +
         "  yq = QuantizeLinear-13(y, ys, yz)\n  out = DequantizeLinear-13(yq, ys, yz)\n}\n";
}

std::string ConvBody(const std::string& type, const std::string& zero, const std::string& after, int64_t group_in, int groups) {
  const int64_t out = 12;
  std::string text = Constant("w", fmt::format("{}[{},{},3,3]", type, out, group_in), out * group_in * 9, type == "int8" ? -127 : 0, type == "int8" ? 127 : 255, 5);
  text += Scales("ws", out, 0.002f, 6) + zero;
  // A bias at a scale of its own is rounded to the scale of the products, which is fine; floats likewise.
  text += Scales("b", out, 0.3f, 7);
  text += fmt::format("  wf = DequantizeLinear-13(w, ws{}) {{axis=0}}\n", zero.empty() ? "" : ", wz");
  text += fmt::format("  c = Conv-11(xf, wf, b) {{pads=[1, 1, 1, 1], group={}}}\n", groups) + after;
  return text;
}

TEST(FuseInteger, ConvolutionsOfAllTypes) {
  const std::string zeros = Constant("wz", "uint8[12]", 12, 100, 150, 8);
  for (const std::string& body : {ConvBody("int8", "", "  y = Identity-13(c)\n", 6, 1), ConvBody("uint8", zeros, "  y = Identity-13(c)\n", 6, 1),
                                  ConvBody("int8", "", "  y = Identity-13(c)\n", 3, 2)}) {
    const std::string text = Wrapped("2,6,9,11", body);
    EXPECT_TRUE(Contains(Optimized(text, "fuse_integer"), "QLinearConv-10"));
    EXPECT_FALSE(Contains(Optimized(text, "fuse_integer"), "= Conv"));
    ExpectWithinOneStep(text, {{2, 6, 9, 11}}, 0.043f);
  }
}

TEST(FuseInteger, GroupsOfAFewOutputs) {
  const std::string zeros = Constant("wz", "uint8[12]", 12, 100, 150, 8);
  for (int groups : {2, 3, 4, 6, 12}) {
    for (int64_t group_in : {1, 2, 4, 8}) {
      for (bool is_signed : {true, false}) {
        const std::string shape = fmt::format("2,{},9,11", group_in * groups);
        const std::string text = Wrapped(shape, ConvBody(is_signed ? "int8" : "uint8", is_signed ? "" : zeros, "  y = Identity-13(c)\n", group_in, groups));
        EXPECT_TRUE(Contains(Optimized(text, "fuse_integer"), "QLinearConv-10"));
        ExpectWithinOneStep(text, {ParseShape(shape)}, 0.043f, 100);
      }
    }
  }
}

TEST(FuseInteger, BoundsBecomeIntegers) {
  const std::string relu = Wrapped("1,6,9,11", ConvBody("int8", "", "  y = Relu-13(c)\n", 6, 1));
  EXPECT_TRUE(Contains(Optimized(relu, "fuse_integer"), "Clip-13"));
  ExpectWithinOneStep(relu, {{1, 6, 9, 11}}, 0.043f);
  const std::string both = Wrapped("1,6,9,11", ConvBody("int8", "", "  d = Clip-13(c, zero, three)\n  y = Relu-13(d)\n", 6, 1));
  EXPECT_TRUE(Contains(Optimized(both, "fuse_integer"), "{117}"));   // 0
  EXPECT_TRUE(Contains(Optimized(both, "fuse_integer"), "{187}"));   // 117 + round(3 / 0.043)
  ExpectWithinOneStep(both, {{1, 6, 9, 11}}, 0.043f);
  // From 0 on is all there is when 0 is the least integer.
  std::string free = relu;
  free.replace(free.find("{117}"), 5, "{0}");
  EXPECT_FALSE(Contains(Optimized(free, "fuse_integer"), "Clip"));
  ExpectWithinOneStep(free, {{1, 6, 9, 11}}, 0.043f);
}

TEST(FuseInteger, ProductsSumsAndPools) {
  std::string matmul = Constant("w", "int8[20,7]", 140, -127, 127, 3) + Scales("ws", 7, 0.004f, 4) +
                       "  wf = DequantizeLinear-13(w, ws) {axis=1}\n  y = MatMul-13(xf, wf)\n";
  EXPECT_TRUE(Contains(Optimized(Wrapped("5,20", matmul), "fuse_integer"), "QLinearMatMul-10"));
  ExpectWithinOneStep(Wrapped("5,20", matmul), {{5, 20}}, 0.043f);

  const std::string add = "  other = Transpose-13(x) {perm=[0, 2, 1]}\n  oq = QuantizeLinear-13(other, ys, yz)\n  of = DequantizeLinear-13(oq, ys, yz)\n";
  for (const char* op : {"Add", "Mul"}) {
    const std::string text = Wrapped("2,30,30", add + "  s = " + op + "-13(xf, of)\n  y = Relu-13(s)\n");
    EXPECT_TRUE(Contains(Optimized(text, "fuse_integer"), std::string("QLinear") + op));
    ExpectWithinOneStep(text, {{2, 30, 30}}, 0.043f);
  }
  const std::string pool = Wrapped("3,40,5,4", "  y = GlobalAveragePool-1(xf)\n");
  EXPECT_TRUE(Contains(Optimized(pool, "fuse_integer"), "QLinearGlobalAveragePool-1"));
  ExpectWithinOneStep(pool, {{3, 40, 5, 4}}, 0.043f);
}

std::string TransposedBody(int kernel, int stride, int pad, int more, bool per_channel, const std::string& after) {
  const std::string zero = per_channel ? Constant("wz", "uint8[5]", 5, 100, 150, 8) : "  wz = const uint8[]{131}\n";
  return Constant("w", fmt::format("uint8[6,5,{0},{0}]", kernel), 30 * kernel * kernel, 0, 255, 5) + zero +
         (per_channel ? Scales("ws", 5, 0.003f, 6) : "  ws = const float[]{0.004}\n") + Scales("b", 5, 0.3f, 7) +
         "  wf = DequantizeLinear-13(w, ws, wz) {axis=1}\n" +
         fmt::format("  c = ConvTranspose-11(xf, wf, b) {{strides=[{0}, {0}], pads=[{1}, {1}, {1}, {1}], output_padding=[{2}, {2}]}}\n", stride, pad, more) + after;
}

TEST(FuseInteger, TransposedConvolutions) {
  for (int kernel = 1; kernel <= 5; ++kernel) {
    for (int stride = 1; stride <= 3; ++stride) {
      for (int pad = 0; pad <= std::min(1, kernel - 1); ++pad) {
        const std::string text = Wrapped("2,6,5,7", TransposedBody(kernel, stride, pad, 0, kernel % 2 == 0, "  y = Identity-13(c)\n"));
        SCOPED_TRACE(fmt::format("kernel {} stride {} pad {}", kernel, stride, pad));
        EXPECT_TRUE(Contains(Optimized(text, "fuse_integer"), "QLinearConv-10"));
        EXPECT_FALSE(Contains(Optimized(text, "fuse_integer"), "ConvTranspose"));
        ExpectWithinOneStep(text, {{2, 6, 5, 7}}, 0.043f);
      }
    }
  }
  // Rows of padding behind what the pads cut off; bounds.
  const std::string padded = Wrapped("1,6,4,4", TransposedBody(3, 2, 1, 1, true, "  y = Relu-13(c)\n"));
  EXPECT_FALSE(Contains(Optimized(padded, "fuse_integer"), "ConvTranspose"));
  ExpectWithinOneStep(padded, {{1, 6, 4, 4}}, 0.043f);
  // What no tap reaches is not in the convolution.
  const std::string beyond = Wrapped("1,6,4,4", TransposedBody(2, 2, 0, 1, true, "  y = Identity-13(c)\n"));
  EXPECT_TRUE(Contains(Optimized(beyond, "fuse_integer"), "ConvTranspose"));
  ExpectWithinOneStep(beyond, {{1, 6, 4, 4}}, 0.043f);
  // Kernels that would be zeros for the most part stay as they are.
  const std::string sparse = Wrapped("1,6,4,4", TransposedBody(1, 4, 0, 0, true, "  y = Identity-13(c)\n"));
  EXPECT_TRUE(Contains(Optimized(sparse, "fuse_integer"), "ConvTranspose"));
}

/// A transposed convolution of x (uint8, 6 channels) between DQ and Q.
std::string AnyTransposed(const std::string& shape, int group, const std::string& kernel, const std::string& attributes, const std::string& after) {
  const int out = group == 6 ? 1 : 4;
  const int64_t count = 6 * out * ParseShape(kernel).Product(0, ParseShape(kernel).rank());
  return Wrapped(shape, Constant("w", fmt::format("int8[6,{},{}]", out, kernel), count, -127, 127, 5) + Scales("ws", out, 0.003f, 6) +
                            Scales("b", out * group, 0.3f, 7) + "  wf = DequantizeLinear-13(w, ws) {axis=1}\n" +
                            fmt::format("  c = ConvTranspose-11(xf, wf, b) {{group={}, {}}}\n", group, attributes) + after);
}

TEST(FuseInteger, DifferencesMeansMaximaAndMixedSigns) {
  // is, iz: another tensor's parameters, of signed bytes.
  const std::string other = "  os = const float[]{0.02}\n  oz = const uint8[]{100}\n  b = Slice-13(x, last, all, width, last)\n"
                            "  bq = QuantizeLinear-13(b, os, oz)\n  bf = DequantizeLinear-13(bq, os, oz)\n"
                            "  sq = QuantizeLinear-13(b, is, iz)\n  sf = DequantizeLinear-13(sq, is, iz)\n";
  const std::string head = "  last = const int64[1]{-1}\n  all = const int64[1]{-9999}\n  width = const int64[1]{3}\n" + other;   // lines turned round
  const struct {
    const char *body, *made, *gone;
  } cases[] = {{"  y = Sub-14(xf, bf)\n", "QLinearAdd", "= Sub"},
               {"  y = Sub-14(xf, sf)\n", "QLinearAdd", "= Sub"},
               {"  y = Add-14(xf, sf)\n", "QLinearAdd", "= Add"},
               {"  y = Add-14(sf, xf)\n", "QLinearAdd", "= Add"},
               {"  y = Mul-14(sf, bf)\n", "QLinearMul", "= Mul"},
               {"  m = Sub-14(sf, sf)\n  y = Relu-14(m)\n", "QLinearAdd", "= Sub"},
               {"  y = Softmax-13(sf)\n", "QLinearSoftmax", "= Softmax"},
               {"  axes = const int64[2]{-1, 2}\n  y = ReduceMean-18(xf, axes)\n", "QLinearGlobalAveragePool", "ReduceMean"},
               {"  y = ReduceMean-13(sf) {axes=[1, 2]}\n", "channels_last=1", "ReduceMean"},
               {"  y = GlobalMaxPool-1(xf)\n", "= MaxPool", "GlobalMaxPool"},
               {"  y = GlobalMaxPool-1(sf)\n", "= MaxPool", "GlobalMaxPool"}};
  for (const auto& each : cases) {
    const std::string text = Wrapped("3,5,9,11", head + each.body);
    SCOPED_TRACE(each.body);
    const std::string fused = Optimized(text, "fuse_integer");
    EXPECT_TRUE(Contains(fused, each.made)) << fused;
    EXPECT_FALSE(Contains(fused, each.gone)) << fused;
    // Nothing real is left between the bytes; Softmax's are 0 and 1 for the most part.
    if (Contains(each.body, "Softmax") || Contains(each.body, "sf, sf")) {
      PipelineOptions without;
      without.level = kOptimizeNothing;
      const std::vector<float> expected = Outputs(text, {{3, 5, 9, 11}}, without, 1), got = Outputs(text, {{3, 5, 9, 11}}, {}, 1);
      ASSERT_EQ(expected.size(), got.size());
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(expected[i], got[i], 0.0431f);
    } else {
      ExpectWithinOneStep(text, {{3, 5, 9, 11}}, 0.043f, 5);
    }
  }
}

TEST(FuseInteger, TransposedConvolutionsOfAllKinds) {
  const struct {
    const char *shape, *kernel, *attributes;
    int group;
    const char* made;
  } kinds[] = {{"1,6,5,7", "4,4", "strides=[2, 2], pads=[1, 1, 1, 1]", 1, "DepthToSpace"},
               {"1,6,5,7", "4,3", "strides=[2, 1], pads=[1, 0, 1, 1]", 1, "Transpose"},
               {"1,6,5,7", "3,3", "strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1]", 2, "Transpose"},
               {"1,6,5,7", "3,3", "strides=[2, 2]", 6, "mode=\"CRD\""},
               {"1,6,5,7", "3,2", "strides=[3, 2]", 6, "Transpose"},
               {"2,6,11", "4", "strides=[2], pads=[1, 1]", 1, "Transpose"},
               {"2,6,11", "5", "strides=[3], pads=[2, 0]", 3, "Transpose"},
               {"1,6,5,7", "3,3", "strides=[1, 1]", 2, "Conv"}};
  for (const auto& kind : kinds) {
    for (const char* after : {"  y = Identity-13(c)\n", "  y = LeakyRelu-6(c) {alpha=0.2}\n", "  s = Sigmoid-13(c)\n  y = Mul-13(c, s)\n",
                              "  h = HardSwish-14(c)\n  y = Add-13(h, zero)\n", "  y = Relu-13(c)\n"}) {
      const std::string text = AnyTransposed(kind.shape, kind.group, kind.kernel, kind.attributes, after);
      SCOPED_TRACE(text.substr(text.find("  c = ")));
      const std::string turned = Optimized(text, "turn_transposed");
      EXPECT_TRUE(Contains(turned, kind.made)) << turned;
      EXPECT_FALSE(Contains(turned, "ConvTranspose")) << turned;
      const std::string last = Optimized(text, "");
      EXPECT_TRUE(Contains(last, "QLinearConv") || Contains(last, "ConvIntegerToFloat")) << last;
      ExpectWithinOneStep(text, {ParseShape(kind.shape)}, 0.043f, 20);
    }
  }
  // What others read, and what is not rounded, stays.
  std::string read = AnyTransposed("1,6,5,7", 1, "4,4", "strides=[2, 2]", "  l = LeakyRelu-6(c)\n  r = Reshape-13(l, minus)\n  y = Identity-13(l)\n");
  read.insert(read.find("  xq = "), "  minus = const int64[1]{-1}\n");
  read.replace(read.find("-> (out)"), 8, "-> (out, r)");
  EXPECT_TRUE(Contains(Optimized(read, "turn_transposed"), "ConvTranspose"));
}

TEST(FuseInteger, BatchNormalizationGoesIntoBytes) {
  const std::string norm = "  var = const float[12]{0.5, 1, 2, 1, 0.25, 1, 1, 3, 1, 1, 1, 1}\n  mean = const float[12]{1, -1, 0, 0.5, 0, 2, 0, 0, -3, 0, 0, 0}\n"
                           "  shift = const float[12]{0, 1, -1, 0.5, 0.25, 0, 0, 2, 1, 0.3, -0.2, 0.7}\n"
                           // Turned round, nothing, next to nothing beside its bias.
                           "  gamma = const float[12]{1, -1, 0.5, 1.5, -0.75, 1, 0, 0.00000001, -2, 1, 1, 1}\n";
  const std::string behind = norm + "  n = BatchNormalization-15(c, gamma, shift, mean, var)\n";
  for (const char* after : {"  y = Identity-13(n)\n", "  y = Relu-13(n)\n", "  y = HardSwish-14(n)\n"}) {
    for (const auto& [type, zero] : {std::pair{"int8", ""}, {"uint8", "  wz = const uint8[]{117}\n"}}) {
      std::string body = ConvBody(type, zero, behind + after, 6, 1);
      if (*zero) body.replace(body.find("ws = const float[12]"), body.find("}", body.find("ws =")) - body.find("ws =") + 1, "ws = const float[]{0.004}");
      const std::string text = Wrapped("1,6,19,21", body);
      const std::string fused = Optimized(text, "fuse_integer_products");
      EXPECT_FALSE(Contains(fused, "BatchNormalization")) << fused;
      EXPECT_TRUE(Contains(fused, "QLinearConv") || Contains(fused, "ConvInteger")) << fused;
      ExpectWithinOneStep(text, {{1, 6, 19, 21}}, 0.043f, 40);
    }
  }
  // -128 is turned round too: to 127, beside a zero point of -1.
  std::string lowest = ConvBody("int8", "", "  g = const float[1,12,1,1]{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}\n  y = Mul-13(c, g)\n", 6, 1);
  lowest.replace(lowest.find("{", lowest.find("w = ")) + 1, lowest.find(",", lowest.find("{", lowest.find("w = "))) - lowest.find("{", lowest.find("w = ")) - 1, "-128");
  EXPECT_TRUE(Contains(Optimized(Wrapped("1,6,19,21", lowest), "fuse_integer"), "QLinearConv"));
  ExpectWithinOneStep(Wrapped("1,6,19,21", lowest), {{1, 6, 19, 21}}, 0.043f);
}

TEST(FuseInteger, Softmax) {
  for (const char* softmax : {"Softmax-13(xf) {axis=1}", "Softmax-13(xf)", "Softmax-11(xf) {axis=2}"}) {
    const std::string text = Wrapped("3,4,5", std::string("  y = ") + softmax + "\n");
    EXPECT_TRUE(Contains(Optimized(text, "fuse_integer"), "QLinearSoftmax-1"));
    ExpectWithinOneStep(text, {{3, 4, 5}}, 0.043f);
  }
}

TEST(FuseInteger, BoundsBecomeTheConvolutions) {
  const std::string relu = Wrapped("1,6,9,11", ConvBody("int8", "", "  y = Relu-13(c)\n", 6, 1));
  const std::string after = Optimized(relu, "fuse_epilogues");
  EXPECT_TRUE(Contains(after, "q_min=117") && !Contains(after, "Clip")) << after;
}

TEST(FuseInteger, SumsBecomeTheConvolutions) {
  // A block as in ResNet: what one convolution makes is read by another and added to what that makes.
  auto block = [](const std::string& type, int group_in, int groups, const std::string& sum) {
    const std::string scales = "  cs = const float[]{0.037}\n  cz = const uint8[]{120}\n  ks = const float[]{0.052}\n  kz = const uint8[]{99}\n";
    return Wrapped("2,12,9,11", ConvBody(type, "", scales + "  cq = QuantizeLinear-13(c, cs, cz)\n  cf = DequantizeLinear-13(cq, cs, cz)\n" +
                                                       fmt::format("  k = Conv-11(cf, wf, b) {{pads=[1, 1, 1, 1], group={}}}\n", groups) +
                                                       "  kq = QuantizeLinear-13(k, ks, kz)\n  kf = DequantizeLinear-13(kq, ks, kz)\n" + sum, group_in, groups));
  };
  // The bits are those of both operators.
  auto same_bits = [](const std::string& text) {
    PipelineOptions apart;
    apart.disabled = {"fuse_epilogues"};
    const Shape x{2, 12, 9, 11};
    for (int threads : {1, 3}) EXPECT_EQ(Outputs(text, {x}, {}, threads), Outputs(text, {x}, apart, threads));
  };
  for (const char* sum : {"  y = Add-13(cf, kf)\n", "  y = Add-13(kf, cf)\n", "  s = Add-13(cf, kf)\n  y = Relu-13(s)\n"}) {
    const std::string text = block("int8", 12, 1, sum), after = Optimized(text, "fuse_epilogues");
    EXPECT_FALSE(Contains(after, "QLinearAdd") || Contains(after, "Clip")) << after;
    same_bits(text);
  }
  // What else reads the convolution, and groups, which other kernels compute.
  const std::string twice = block("int8", 12, 1, "  t = Sigmoid-13(kf)\n  s = Add-13(cf, kf)\n  y = Mul-13(s, t)\n");
  same_bits(twice);
  const std::string groups = block("int8", 6, 2, "  y = Add-13(cf, kf)\n");
  EXPECT_TRUE(Contains(Optimized(groups, "fuse_epilogues"), "QLinearAdd"));
  same_bits(groups);
}

TEST(FuseInteger, LayerNormalization) {
  for (const char* rows : {"{axis=-1}", "{axis=2, epsilon=0.01}"}) {
    const std::string text = Wrapped("3,7,50", Scales("g", 50, 0.5f, 3) + Scales("b", 50, -0.2f, 4) + "  y = LayerNormalization-17(xf, g, b) " + rows + "\n");
    EXPECT_TRUE(Contains(Optimized(text, "fuse_integer"), "linnet:QLinearLayerNormalization"));
    PipelineOptions without;
    without.level = kOptimizeNothing;
    for (int threads : {1, 3}) EXPECT_EQ(Outputs(text, {{3, 7, 50}}, {}, threads), Outputs(text, {{3, 7, 50}}, without, 1)) << "the same floats";
  }
  // Rows of two dimensions, without B; and a scale that is no row.
  const std::string planes = Wrapped("4,5,6", "  g = const float[5,6]{" + std::string("1,2,0.5,1,2,3,") + "1,1,1,1,1,1,0.1,0.2,0.3,0.4,0.5,0.6,1,1,2,2,3,3,1,2,1,2,1,2}\n"
                                                  "  y = LayerNormalization-17(xf, g) {axis=1}\n");
  EXPECT_TRUE(Contains(Optimized(planes, "fuse_integer"), "linnet:QLinearLayerNormalization"));
  ExpectWithinOneStep(planes, {{4, 5, 6}}, 0.043f);
  const std::string one = Wrapped("4,50", "  g = const float[1]{2}\n  y = LayerNormalization-17(xf, g)\n");
  EXPECT_FALSE(Contains(Optimized(one, "fuse_integer"), "QLinearLayerNormalization"));
  ExpectWithinOneStep(one, {{4, 50}}, 0.043f);
}

TEST(FuseInteger, InterpolatedBytes) {
  const std::string sizes = "  s = const float[4]{1, 1, 2.5, 0.7}\n";
  auto same = [](std::string text) {
    text.replace(text.find("yq = QuantizeLinear-13(y, ys, yz)"), 33, "yq = QuantizeLinear-13(y, xs, xz)");
    return text.replace(text.find("DequantizeLinear-13(yq, ys, yz)"), 31, "DequantizeLinear-13(yq, xs, xz)");
  };
  for (const char* mode : {"mode=\"linear\"", "mode=\"cubic\"", "mode=\"linear\", coordinate_transformation_mode=\"align_corners\"",
                           "mode=\"linear\", antialias=1"}) {
    for (const char* shape : {"2,12,9,11", "1,1,9,11", "3,20,1,4"}) {
      const std::string text = Wrapped(shape, sizes + "  y = Resize-18(xf, _, s) {" + mode + "}\n");
      const Shape x = ParseShape(shape);
      // Between other scales: rounded twice, but where interpolation leaves the range of the bytes.
      const std::string after = Optimized(text, "fuse_integer_tables");
      const bool floats_left = Contains(after, "float[" + std::string(shape) + "] = DequantizeLinear"), cubic = Contains(mode, "cubic");
      EXPECT_TRUE(floats_left == cubic && Contains(after, "LookupTable") != cubic) << after;
      PipelineOptions without;
      without.level = kOptimizeNothing;
      const std::vector<float> expected = Outputs(text, {x}, without, 1), got = Outputs(text, {x}, {}, 1);
      ASSERT_EQ(expected.size(), got.size());
      for (size_t i = 0; i < expected.size(); ++i) ASSERT_LE(std::fabs(expected[i] - got[i]), 0.043f * 1.001f) << mode << " " << shape << " " << i;
      // Between equal ones: once, but for halves, of which floats are off by their rounding.
      const std::string equal = same(text);
      EXPECT_FALSE(Contains(Optimized(equal, "fuse_integer_tables"), "LookupTable"));
      const std::vector<float> floats = Outputs(equal, {x}, without, 1), bytes = Outputs(equal, {x}, {}, 1);
      ASSERT_EQ(floats.size(), bytes.size());
      EXPECT_EQ(bytes, Outputs(equal, {x}, {}, 3));
      size_t different = 0;
      for (size_t i = 0; i < floats.size(); ++i) {
        ASSERT_LE(std::fabs(floats[i] - bytes[i]), 0.031f * 1.001f) << mode << " " << shape << " " << i;
        different += floats[i] != bytes[i];
      }
      EXPECT_LE(different, floats.size() / 20 + 1) << mode << " " << shape;
    }
  }
}

TEST(FuseInteger, LeavesWhatOthersRead) {
  const std::string text = "graph (x: float[1,6,9,11]) -> (out, c) {\n" + std::string(kParameters) +
                           "  xq = QuantizeLinear-13(x, xs, xz)\n  xf = DequantizeLinear-13(xq, xs, xz)\n" + ConvBody("int8", "", "", 6, 1) +
                           "  yq = QuantizeLinear-13(c, ys, yz)\n  out = DequantizeLinear-13(yq, ys, yz)\n}\n";
  EXPECT_FALSE(Contains(Optimized(text, "fuse_integer"), "QLinearConv"));
  ExpectWithinOneStep(text, {{1, 6, 9, 11}}, 0.043f);
}

TEST(FuseInteger, HugeBiasesStayFloat) {
  std::string body = ConvBody("int8", "", "  y = Identity-13(c)\n", 6, 1);
  body.replace(body.find("b = const float[12]{"), 20, "b = const float[12]{1000000,");
  body.erase(body.rfind(',', body.find("  wf")), body.find("}\n", body.rfind(',', body.find("  wf"))) - body.rfind(',', body.find("  wf")));
  EXPECT_FALSE(Contains(Optimized(Wrapped("1,6,9,11", body), "fuse_integer"), "QLinearConv"));
}

// What follows the product is computed behind its sums, in steps of the output or by a table.
TEST(FuseActivationTables, ActivationsOfProducts) {
  struct Row {
    const char* after;
    const char* made;   // part of the final graph
  };
  const std::string matmul = Constant("w", "int8[20,40]", 800, -127, 127, 3) + Scales("ws", 40, 0.001f, 4) + Scales("b", 40, 0.1f, 7) +
                             "  wf = DequantizeLinear-13(w, ws) {axis=1}\n  m = MatMul-13(xf, wf)\n  c = Add-13(m, b)\n";
  for (const Row& row : {Row{"  y = HardSwish-14(c)\n", "activation=\"HardSwish\""}, Row{"  y = LeakyRelu-6(c) {alpha=0.2}\n", "activation=\"LeakyRelu\""},
                         Row{"  s = Sigmoid-13(c)\n  y = Mul-13(c, s)\n", "uint8[4096]"}, Row{"  y = Sigmoid-13(c)\n", "uint8["},
                         Row{"  y = Tanh-13(c)\n", "uint8["}, Row{"  y = Elu-6(c)\n", "uint8["}, Row{"  y = Gelu-20(c)\n", "uint8["},
                         Row{"  y = Softplus-1(c)\n", "uint8["}, Row{"  y = HardSigmoid-6(c)\n", "uint8["}}) {
    const std::string conv = Wrapped("1,6,19,21", ConvBody("int8", "", row.after, 6, 1)), product = Wrapped("70,20", matmul + row.after);
    std::string depthwise = ConvBody("uint8", "  wz = const uint8[]{117}\n", row.after, 1, 12);
    depthwise.replace(depthwise.find("ws = const float[12]"), depthwise.find("}", depthwise.find("ws =")) - depthwise.find("ws =") + 1, "ws = const float[]{0.004}");
    const std::string separate = Wrapped("1,12,19,21", depthwise);
    for (const auto& [text, shape] : {std::pair{conv, Shape{1, 6, 19, 21}}, {product, Shape{70, 20}}, {separate, Shape{1, 12, 19, 21}}}) {
      const std::string after = Optimized(text, "");
      EXPECT_TRUE(Contains(after, row.made)) << after;
      EXPECT_TRUE(Contains(after, "IntegerToFloat")) << after;
      EXPECT_EQ(after.find("QuantizeLinear-13"), after.rfind(" QuantizeLinear-13") + 1) << "that of x alone is left: " << after;
      ExpectWithinOneStep(text, {shape}, 0.043f, 25);
    }
  }
}

// Between its bounds a hard sigmoid is a scale and a bias; where the bytes end within them, nothing else, and next to no byte differs.
TEST(FuseActivationTables, HardSigmoidsThatFillTheBytes) {
  auto with = [](const std::string& scale, const std::string& zero) {
    std::string text = Wrapped("1,6,19,21", ConvBody("int8", "", "  y = HardSigmoid-6(c) {alpha=0.1}\n", 6, 1));
    text.replace(text.find("ys = const float[]{0.043}"), 25, "ys = const float[]{" + scale + "}");
    text.replace(text.find("yz = const uint8[]{117}"), 23, "yz = const uint8[]{" + zero + "}");
    return text;
  };
  EXPECT_FALSE(Contains(Optimized(with("0.0039215", "0"), ""), "HardSigmoid"));
  EXPECT_FALSE(Contains(Optimized(with("0.0039215", "0"), ""), "uint8[512]"));
  ExpectWithinOneStep(with("0.0039215", "0"), {{1, 6, 19, 21}}, 0.0039215f, 1000);
  EXPECT_TRUE(Contains(Optimized(with("0.01", "0"), ""), "uint8["));   // bytes beyond 1
  for (const char* zero : {"1", "20"}) ExpectWithinOneStep(with("0.0039215", zero), {{1, 6, 19, 21}}, 0.0039215f, 10);
  ExpectWithinOneStep(with("0.01", "0"), {{1, 6, 19, 21}}, 0.01f, 10);
}

// A function whose bytes are all alike has no table.
TEST(FuseActivationTables, ConstantFunctions) {
  std::string text = Wrapped("1,6,9,11", ConvBody("int8", "", "  y = Sigmoid-13(c)\n", 6, 1));
  text.replace(text.find("ys = const float[]{0.043}"), 25, "ys = const float[]{900.0}");
  PipelineOptions without;
  without.level = kOptimizeNothing;
  EXPECT_EQ(Outputs(text, {{1, 6, 9, 11}}, {}, 1), Outputs(text, {{1, 6, 9, 11}}, without, 1));
}

TEST(FuseIntegerProducts, ResultsThatStayReal) {
  const std::string head = "graph (x: float[SHAPE]) -> (y) {\n" + std::string(kParameters) + "  xq = QuantizeLinear-13(x, xs, xz)\n  xf = DequantizeLinear-13(xq, xs, xz)\n";
  const std::string weights = Constant("w", "int8[40,20]", 800, -127, 127, 3) + Scales("ws", 40, 0.001f, 4);
  const std::string bias = Constant("b", "int32[40]", 40, -9000, 9000, 5) + Scales("bs", 40, 0.0001f, 6) + "  bf = DequantizeLinear-13(b, bs) {axis=0}\n";
  const std::string gemm = weights + bias + "  wf = DequantizeLinear-13(w, ws) {axis=0}\n  y = Gemm-13(xf, wf, bf) {transB=1}\n";
  const std::string linear = weights + Scales("b", 40, 0.1f, 7) + "  wf = DequantizeLinear-13(w, ws) {axis=0}\n  wt = Transpose-13(wf) {perm=[1, 0]}\n" +
                             "  m = MatMul-13(xf, wt)\n  y = Add-13(m, b)\n";
  struct Row {
    std::string body;
    std::string shape;
    const char* made;
  };
  for (const Row& row : {Row{ConvBody("int8", "", "  y = Relu-13(c)\n", 6, 1), "2,6,9,11", "linnet:ConvIntegerToFloat"},
                         Row{ConvBody("uint8", Constant("wz", "uint8[12]", 12, 100, 150, 8), "  y = Identity-13(c)\n", 3, 2), "2,6,9,11", "linnet:ConvIntegerToFloat"},
                         Row{gemm, "5,20", "linnet:MatMulIntegerToFloat"}, Row{linear, "3,5,20", "linnet:MatMulIntegerToFloat"}}) {
    std::string text = head + row.body + "}\n";
    text.replace(text.find("SHAPE"), 5, row.shape);
    const std::string after = Optimized(text, "");
    EXPECT_TRUE(Contains(after, row.made)) << after;
    EXPECT_FALSE(Contains(after, "DequantizeLinear")) << after;
    PipelineOptions without;
    without.level = kOptimizeNothing;
    const std::vector<float> expected = Outputs(text, {ParseShape(row.shape)}, without, 1), got = Outputs(text, {ParseShape(row.shape)}, {}, 2);
    ASSERT_EQ(expected.size(), got.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-4f) << i;
  }
}

TEST(FuseIntegerTables, FunctionsBecomeTables) {
  for (const char* body : {"  y = Sigmoid-13(xf)\n", "  s = Sigmoid-13(xf)\n  y = Mul-13(xf, s)\n",
                           "  a = Mul-13(xf, three)\n  b = Tanh-13(a)\n  y = Add-13(b, xf)\n", "  y = Identity-13(xf)\n", "  y = Relu-13(xf)\n"}) {
    const std::string text = Wrapped("4,50", body), after = Optimized(text, "fuse_integer_tables");
    EXPECT_TRUE(Contains(after, "linnet:LookupTable")) << after;
    PipelineOptions without, with;
    without.level = kOptimizeNothing;
    EXPECT_EQ(Outputs(text, {{4, 50}}, with, 2), Outputs(text, {{4, 50}}, without, 1)) << "tables are exact";
  }
  // Bytes of the other sign.
  const std::string text = "graph (x: float[4,50]) -> (out) {\n" + std::string(kParameters) +
                           "  xq = QuantizeLinear-13(x, is, iz)\n  xf = DequantizeLinear-13(xq, is, iz)\n  y = Elu-6(xf)\n"
                           "  yq = QuantizeLinear-13(y, ys, yz)\n  out = DequantizeLinear-13(yq, ys, yz)\n}\n";
  PipelineOptions without;
  without.level = kOptimizeNothing;
  EXPECT_TRUE(Contains(Optimized(text, "fuse_integer_tables"), "linnet:LookupTable"));
  EXPECT_EQ(Outputs(text, {{4, 50}}, {}, 2), Outputs(text, {{4, 50}}, without, 1));
}

TEST(FuseIntegerTables, NotWhatNeedsMoreThanOneTensor) {
  const std::string rows = Wrapped("4,50", Scales("v", 50, 0.5f, 2) + "  y = Mul-13(xf, v)\n");
  EXPECT_FALSE(Contains(Optimized(rows, "fuse_integer_tables"), "LookupTable"));
  const std::string wider = Wrapped("50", "  one = const float[1,1,1]{2}\n  a = Mul-13(xf, one)\n  y = Tanh-13(a)\n");
  ExpectWithinOneStep(wider, {{50}}, 0.043f);
}

TEST(MoveQuantization, BytesMoveInsteadOfFloats) {
  const std::string moves = "  a = Transpose-13(xf) {perm=[0, 2, 3, 1]}\n  target = const int64[2]{2, -1}\n  b = Reshape-13(a, target)\n  y = Flatten-13(b)\n";
  std::string text = Wrapped("2,6,9,11", moves);
  // The same parameters on both sides.
  text.replace(text.find("yq = QuantizeLinear-13(y, ys, yz)"), 33, "yq = QuantizeLinear-13(y, xs, xz)");
  text.replace(text.find("DequantizeLinear-13(yq, ys, yz)"), 31, "DequantizeLinear-13(yq, xs, xz)");
  const std::string after = Optimized(text, "move_quantization");
  EXPECT_EQ(after.find("QuantizeLinear-13"), after.rfind(" QuantizeLinear-13") + 1) << after;   // one
  EXPECT_TRUE(Contains(after, ": uint8[2,594] = ")) << after;
  PipelineOptions without;
  without.level = kOptimizeNothing;
  EXPECT_EQ(Outputs(text, {{2, 6, 9, 11}}, {}, 2), Outputs(text, {{2, 6, 9, 11}}, without, 1));
}

// What others read as real numbers is not quantized as a whole for what is chosen of it; what is chosen of bytes is chosen as bytes.
TEST(MoveQuantization, ChoicesBesideOtherReaders) {
  const std::string constants = "  s = const float[]{0.1}\n  z = const uint8[]{128}\n  first = const int64[]{0}\n  rows = const int64[7]{0, 1, 2, 0, 1, 2, 0}\n";
  const std::string made = "graph g (x: float[3,4]) -> (q, t) {\n" + constants +
                           "  r = Tanh-13(x)\n  a = Gather-13(r, first) {axis=0}\n  q = QuantizeLinear-13(a, s, z)\n  t = Sinh-9(r)\n}\n";
  EXPECT_FALSE(Contains(Optimized(made, "move_quantization"), "uint8[3,4]"));
  auto read = [&](const std::string& indices) {
    return Optimized("graph g (x: uint8[3,4]) -> (t) {\n" + constants + "  d = DequantizeLinear-13(x, s, z)\n  a = Gather-13(d, " + indices +
                     ") {axis=0}\n  t = Sinh-9(a)\n}\n", "move_quantization");
  };
  EXPECT_TRUE(Contains(read("first"), "uint8[4]"));
  EXPECT_FALSE(Contains(read("rows"), "uint8[7,4]"));   // more than there is
}

// Borders of bytes, which become pads of the convolution where they are its zero point.
TEST(MoveQuantization, PadsBecomePadsOfConvolutions) {
  std::string body = ConvBody("int8", "", "  y = Relu-13(c)\n", 6, 1);
  const size_t at = body.find("  c = Conv-11(xf, wf, b)");
  body.insert(at, "  around = const int64[8]{0, 0, 1, 0, 0, 0, 2, 3}\n  border = const float[]{0}\n  xp = Pad-13(xf, around, border)\n"
                  "  pq = QuantizeLinear-13(xp, xs, xz)\n  pf = DequantizeLinear-13(pq, xs, xz)\n");
  body.replace(body.find("Conv-11(xf,"), 11, "Conv-11(pf,");
  const std::string text = Wrapped("2,6,9,11", body), after = Optimized(text, "fold_pads");
  EXPECT_FALSE(Contains(after, "= Pad")) << after;
  EXPECT_TRUE(Contains(after, "pads=[2, 1, 3, 4]")) << after;
  ExpectWithinOneStep(text, {{2, 6, 9, 11}}, 0.043f);
  // Another border stays a border, of bytes.
  std::string three = text;
  three.replace(three.find("border = const float[]{0}"), 25, "border = const float[]{0.31}");
  EXPECT_TRUE(Contains(Optimized(three, "fold_pads"), ": uint8[2,6,12,14] = Pad")) << Optimized(three, "fold_pads");
  ExpectWithinOneStep(three, {{2, 6, 9, 11}}, 0.043f);
}

TEST(FoldPads, OfFloatConvolutionsAndAverages) {
  const std::string head = "graph (x: float[1,4,9,11]) -> (y) {\n  w = const float[5,4,3,3]{" + [] {
    std::string all;
    for (int i = 0; i < 180; ++i) all += fmt::format("{}{}", i ? "," : "", (i * 37 % 19) * 0.1 - 0.9);
    return all;
  }() + "}\n";
  struct Row {
    const char* pad;
    const char* conv;
    const char* pads;   // of the convolution afterwards; null: the Pad stays
  };
  for (const Row& row : {Row{"  p = Pad-2(x) {pads=[0, 0, 1, 2, 0, 0, 3, 0]}\n", "Conv-11(p, w)", "pads=[1, 2, 3, 0]"},
                         Row{"  a = const int64[4]{1, 2, 0, 1}\n  i = const int64[2]{-1, 2}\n  z = const float[]{0}\n  p = Pad-18(x, a, z, i)\n", "Conv-11(p, w) {pads=[1, 1, 1, 1]}", "pads=[3, 2, 2, 1]"},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 2, 0, 0, 3, 0]}\n", "Conv-11(p, w) {auto_pad=\"VALID\"}", "pads=[1, 2, 3, 0]"},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 2, 0, 0, 3, 0]}\n", "Conv-11(p, w) {auto_pad=\"SAME_UPPER\"}", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 2, 0, 0, 3, 0], value=1.0}\n", "Conv-11(p, w)", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 2, 0, 0, 3, 0], mode=\"edge\"}\n", "Conv-11(p, w)", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, -1, 2, 0, 0, 3, 0]}\n", "Conv-11(p, w)", nullptr},
                         Row{"  p = Pad-2(x) {pads=[1, 0, 1, 2, 0, 0, 3, 0]}\n", "Conv-11(p, w)", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 1, 0, 0, 1, 1]}\n", "AveragePool-11(p) {kernel_shape=[3, 3]}", "pads=[1, 1, 1, 1]"},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 2, 0, 0, 0, 0]}\n", "AveragePool-11(p) {kernel_shape=[4, 5], strides=[2, 3], pads=[1, 0, 1, 1], count_include_pad=1}", "pads=[2, 2, 1, 1]"},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 1, 0, 0, 1, 1]}\n", "AveragePool-11(p) {kernel_shape=[3, 3], pads=[1, 1, 1, 1]}", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 3, 1, 0, 0, 1, 1]}\n", "AveragePool-11(p) {kernel_shape=[3, 3]}", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 1, 0, 0, 1, 1]}\n", "AveragePool-11(p) {kernel_shape=[3, 3], ceil_mode=1, strides=[2, 2]}", nullptr},
                         Row{"  p = Pad-2(x) {pads=[0, 0, 1, 1, 0, 0, 1, 1]}\n", "MaxPool-11(p) {kernel_shape=[3, 3]}", nullptr}}) {
    const std::string text = head + row.pad + "  y = " + row.conv + "\n}\n", after = Optimized(text, "fold_pads");
    EXPECT_EQ(Contains(after, "= Pad"), row.pads == nullptr) << after;
    EXPECT_TRUE(Contains(after, row.pads ? row.pads : "= Pad")) << after;
    PipelineOptions without;
    without.level = kOptimizeNothing;
    const std::vector<float> expected = Outputs(text, {{1, 4, 9, 11}}, without, 1), got = Outputs(text, {{1, 4, 9, 11}}, {}, 2);
    ASSERT_EQ(expected.size(), got.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-4f) << i;
  }
}

TEST(MoveQuantization, ThroughPoolsAndJoins) {
  const std::string text = Wrapped("2,6,9,11", ConvBody("int8", "", "  d = Relu-13(c)\n  p = MaxPool-12(d) {kernel_shape=[2, 2], strides=[2, 2]}\n"
                                                                    "  q = MaxPool-12(xf) {kernel_shape=[2, 2], strides=[2, 2]}\n  y = Concat-13(p, q) {axis=1}\n", 6, 1));
  const std::string after = Optimized(text, "fuse_integer_tables");
  EXPECT_TRUE(Contains(after, "QLinearConv") && Contains(after, "linnet:LookupTable")) << after;
  EXPECT_FALSE(Contains(after, "= Relu") || Contains(after, " float[2,6,4,5] = MaxPool")) << after;
  ExpectWithinOneStep(text, {{2, 6, 9, 11}}, 0.043f);
}

/// x and what `body` makes of xf, both rounded to 16 bits: of scale 0.001 by default.
std::string Rounded(const std::string& shape, const std::string& body, const std::string& out = "ys, yz") {
  return "graph (x: float[" + shape + "]) -> (out) {\n  xs = const float[]{0.001}\n  xz = const uint16[]{31000}\n"
         "  ys = const float[]{0.002}\n  yz = const int16[]{-32768}\n  zero = const float[]{0}\n  most = const float[]{140}\n"
         "  xq = QuantizeLinear-21(x, xs, xz)\n  xf = DequantizeLinear-21(xq, xs, xz)\n" + body +
         "  yq = QuantizeLinear-21(y, " + out + ")\n  out = DequantizeLinear-21(yq, " + out + ")\n}\n";
}

TEST(MoveQuantization, SixteenBitsAreSteps) {
  PipelineOptions without;
  without.level = kOptimizeNothing;
  const std::string pair = "  {0}q = QuantizeLinear-21({0}, xs, xz)\n  {0}f = DequantizeLinear-21({0}q, xs, xz)\n";
  // Once on the grid, moved numbers stay there: the end's steps are the beginning's.
  const std::string moves = "  a = MaxPool-12(xf) {kernel_shape=[2, 2]}\n" + fmt::format(fmt::runtime(pair), "a") + "  b = Transpose-13(af) {perm=[0, 2, 3, 1]}\n" +
                            fmt::format(fmt::runtime(pair), "b") + "  y = Concat-13(bf, bf) {axis=1}\n";
  const std::string alike = Rounded("2,6,9,11", moves, "xs, xz"), other = Rounded("2,6,9,11", moves);
  for (const std::string& text : {alike, other}) {
    const std::string after = Optimized(text, "move_quantization");
    EXPECT_FALSE(Contains(after, "QuantizeLinear")) << after;
    EXPECT_EQ(CountOf(after, "linnet:Steps"), 2) << after;   // the last makes the graph's output
    for (int threads : {1, 3}) EXPECT_EQ(Outputs(text, {{2, 6, 9, 11}}, {}, threads), Outputs(text, {{2, 6, 9, 11}}, without, 1));
  }
  // Bounds that the 16 bits have anyway go; others stay.
  const std::string relu = Rounded("4,50", "  y = Relu-13(xf)\n"), clip = Rounded("4,50", "  y = Clip-13(xf, zero, most)\n");
  const std::string less = Rounded("4,50", "  y = Clip-13(xf, zero, xs)\n");
  EXPECT_FALSE(Contains(Optimized(relu, "move_quantization"), "Relu"));
  EXPECT_FALSE(Contains(Optimized(clip, "move_quantization"), "Clip"));
  EXPECT_TRUE(Contains(Optimized(less, "move_quantization"), "Clip"));
  for (const std::string& text : {relu, clip, less}) EXPECT_EQ(Outputs(text, {{4, 50}}, {}, 2), Outputs(text, {{4, 50}}, without, 1));
}

TEST(MoveQuantization, StepsBecomeTheConvolutions) {
  const std::string text = Rounded("2,6,9,11", Constant("w", "int8[12,6,3,3]", 12 * 54, -127, 127, 5) + "  ws = const float[]{0.002}\n  wf = DequantizeLinear-13(w, ws)\n"
                                               "  c = Conv-11(xf, wf) {pads=[1, 1, 1, 1]}\n  y = Relu-13(c)\n");
  const std::string after = Optimized(text, "");
  EXPECT_TRUE(Contains(after, "activation=\"Steps\"") && !Contains(after, "Relu") && !Contains(after, "QuantizeLinear")) << after;
  PipelineOptions without;
  without.level = kOptimizeNothing;
  const std::vector<float> expected = Outputs(text, {{2, 6, 9, 11}}, without, 1), got = Outputs(text, {{2, 6, 9, 11}}, {}, 1);
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_LE(std::fabs(expected[i] - got[i]), 0.002f * 1.001f) << i;
}

TEST(FuseIntegerTables, TablesTakeAnyLayout) {
  const std::string text = Wrapped("2,6,9,11", ConvBody("int8", "", "  cq = QuantizeLinear-13(c, ys, yz)\n  cf = DequantizeLinear-13(cq, ys, yz)\n  s = HardSwish-14(cf)\n"
                                                                    "  sq = QuantizeLinear-13(s, xs, xz)\n  sf = DequantizeLinear-13(sq, xs, xz)\n" +
                                                                        Constant("v", "int8[7,12,1,1]", 84, -127, 127, 9) + "  vf = DequantizeLinear-13(v, xs, iz)\n  y = Conv-11(sf, vf)\n", 6, 1));
  const std::string after = Optimized(text, "layout");
  EXPECT_TRUE(Contains(after, "linnet:LookupTable")) << after;
  EXPECT_EQ(CountOf(after, "ToChannels"), 2) << after;   // around both convolutions
}

TEST(FuseInteger, ConstantsOfChannelsTakeAnyLayout) {
  // A product and a sum with a constant a channel between convolutions.
  const std::string last = Constant("v", "int8[7,12,1,1]", 84, -127, 127, 9) + "  vf = DequantizeLinear-13(v, xs, iz)\n  y = Conv-11(rf, vf)\n";
  const std::string constants = Constant("s", "uint8[12,1,1]", 12, 1, 255, 3) + Constant("t", "uint8[1,12,1,1]", 12, 1, 255, 4);
  const std::string text = Wrapped("2,6,9,11", ConvBody("int8", "", constants +
      "  cq = QuantizeLinear-13(c, ys, yz)\n  cf = DequantizeLinear-13(cq, ys, yz)\n  sf = DequantizeLinear-13(s, xs, xz)\n  p = Mul-14(cf, sf)\n"
      "  pq = QuantizeLinear-13(p, ys, yz)\n  pf = DequantizeLinear-13(pq, ys, yz)\n  tf = DequantizeLinear-13(t, xs, xz)\n  r = Add-14(tf, pf)\n"
      "  rq = QuantizeLinear-13(r, xs, xz)\n  rf = DequantizeLinear-13(rq, xs, xz)\n" + last, 6, 1));
  const std::string after = Optimized(text, "layout");
  EXPECT_TRUE(Contains(after, "QLinearMul") && Contains(after, "QLinearAdd")) << after;
  EXPECT_EQ(CountOf(after, "ToChannels"), 2) << after;   // around both convolutions
  ExpectWithinOneStep(text, {{2, 6, 9, 11}}, 0.043f);
}

TEST(MoveQuantization, WeightsAreTransposedAsBytes) {
  const std::string body = Constant("w", "int8[7,20]", 140, -127, 127, 3) + Scales("ws", 7, 0.004f, 4) +
                           "  wf = DequantizeLinear-13(w, ws) {axis=0}\n  wt = Transpose-13(wf) {perm=[1, 0]}\n  y = MatMul-13(xf, wt)\n";
  EXPECT_TRUE(Contains(Optimized(Wrapped("5,20", body), "fuse_integer"), "QLinearMatMul-10"));
  ExpectWithinOneStep(Wrapped("5,20", body), {{5, 20}}, 0.043f);
}

TEST(FoldDequantized, WeightsOfFloatOperatorsAreFloats) {
  const std::string text = "graph (x: float[5,20]) -> (y) {\n" + Constant("w", "int8[20,7]", 140, -127, 127, 3) + Scales("ws", 7, 0.004f, 4) +
                           "  wf = DequantizeLinear-13(w, ws) {axis=1}\n  y = MatMul-13(x, wf)\n}\n";
  EXPECT_TRUE(Contains(Optimized(text, "fuse_integer_tables"), "DequantizeLinear"));
  EXPECT_FALSE(Contains(Optimized(text, "fold_dequantized"), "DequantizeLinear"));
}

}  // namespace
}  // namespace linnet
