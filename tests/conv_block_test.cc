// fuse_conv_blocks and linnet:ConvBlock: the kernel against its parts, the graphs the pass makes and leaves alone, and the
// same numbers with and without it and from the reference provider.
#include <gtest/gtest.h>

#include <string.h>

#include <cmath>
#include <optional>

#include "kernels/conv/conv_block.h"
#include "ops/conv_block_sizes.h"
#include "passes_test_util.h"
#include "reference_test_util.h"

namespace linnet {
namespace {

// The kernel ----------------------------------------------------------------------------------------------------------

/// Runs a block by strips, cut unevenly, and its parts one after another; both must give the same bits.
void CheckKernel(CpuLevel level, Choices& c) {
  const GemmF32Kernels& kernels = PickGemmF32(level);
  DepthwiseF32Fn* depthwise = PickDepthwiseF32(level);
  const bool has_expand = c.Int(0, 3) != 0, has_project = !has_expand || c.Int(0, 3) != 0;
  const bool stem = has_expand && c.Int(0, 3) == 0;
  ConvBlockF32 block;
  block.has_expand = has_expand;
  DepthwiseF32& d = block.depthwise;
  ConvF32& e = block.expand;
  d.batch = c.Int(1, 3), d.channels = c.Int(1, 70);
  e.batch = d.batch, e.in_c = stem ? c.Int(1, 4) : c.Int(1, 20), e.out_c = d.channels;
  e.in_h = c.Int(1, 17), e.in_w = c.Int(1, 33);
  if (stem) {
    e.kernel_h = c.Int(1, 3), e.kernel_w = c.Int(1, 4), e.stride_h = c.Int(1, 2), e.stride_w = c.Int(1, 3);
    e.pad_top = c.Int(0, 2), e.pad_left = c.Int(0, 2);
  }
  e.out_h = std::max<int64_t>(1, (e.in_h + 2 * e.pad_top - e.kernel_h) / e.stride_h + 1);
  e.out_w = std::max<int64_t>(1, (e.in_w + 2 * e.pad_left - e.kernel_w) / e.stride_w + 1);
  e.input_pixel_stride = e.in_c, e.input_row_stride = e.in_w * e.in_c, e.input_batch_stride = e.in_h * e.input_row_stride;
  d.in_h = e.out_h, d.in_w = e.out_w;
  d.kernel_h = c.Of<int64_t>({1, 2, 3, 3, 5, 7}), d.kernel_w = c.Of<int64_t>({1, 2, 3, 3, 5, 7});
  d.stride_h = c.Int(1, 3), d.stride_w = c.Int(1, 2), d.dilation_h = c.Of<int64_t>({1, 1, 1, 2, 3}), d.dilation_w = c.Int(1, 2);
  d.pad_top = c.Int(-1, d.kernel_h), d.pad_left = c.Int(-1, d.kernel_w);
  // Any output size is allowed: what lies outside reads as zero.
  d.out_h = c.Int(1, d.in_h + 3) / d.stride_h + 1, d.out_w = c.Int(1, d.in_w + 3) / d.stride_w + 1;
  block.out_c = c.Int(1, 40);
  block.strip_rows = c.Int(1, d.out_h + 1);
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " expand " << has_expand << " kernel " << e.kernel_h << "x" << e.kernel_w
                                  << " image " << d.batch << "x" << d.in_h << "x" << d.in_w << "x" << d.channels << " kernel "
                                  << d.kernel_h << "x" << d.kernel_w << " stride " << d.stride_h << " dilation " << d.dilation_h
                                  << " pad " << d.pad_top << " out " << d.out_h << "x" << d.out_w << " project " << has_project
                                  << " strip " << block.strip_rows);

  const int64_t in_pixels = d.in_h * d.in_w, out_pixels = d.batch * d.out_h * d.out_w, out_c = has_project ? block.out_c : d.channels;
  Guarded<float> input(d.batch * (has_expand ? e.in_h * e.in_w * e.in_c : in_pixels * d.channels));
  Guarded<float> expand_w(e.out_c * e.in_c * e.kernel_h * e.kernel_w), depthwise_w(d.channels * d.kernel_h * d.kernel_w);
  Guarded<float> project_w(d.channels * block.out_c), bias(d.channels), project_bias(block.out_c), residual(out_pixels * out_c);
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(expand_w), numbers.Fill(depthwise_w), numbers.Fill(project_w);
  numbers.Fill(bias), numbers.Fill(project_bias), numbers.Fill(residual);
  Guarded<float> expand_packed(PackedConvSizeF32(e.out_c, e.in_c, 1, e.kernel_h, e.kernel_w));
  Guarded<float> depthwise_packed(PackedDepthwiseSizeF32(d.channels, d.kernel_h, d.kernel_w));
  Guarded<float> project_packed(PackedSizeF32(d.channels, block.out_c));
  PackConvF32(expand_w.data(), e.out_c, e.in_c, 1, e.kernel_h, e.kernel_w, expand_packed.data());
  PackDepthwiseF32(depthwise_w.data(), d.channels, d.kernel_h, d.kernel_w, depthwise_packed.data());
  PackF32(project_w.data(), d.channels, block.out_c, 1, d.channels, project_packed.data());
  e.packed = expand_packed.data(), d.packed = depthwise_packed.data();
  const Activation activations[] = {Activation::kNone, Activation::kRelu, Activation::kSilu, Activation::kHardSwish};
  auto choose = [&](Epilogue* epilogue, const Guarded<float>& b) {
    if (c.Coin()) epilogue->bias = b.data();
    epilogue->activation = activations[c.Int(0, 3)];
    epilogue->alpha = 1;
  };
  choose(&e.epilogue, bias), choose(&d.epilogue, bias), choose(&block.project, project_bias);
  Epilogue& last = has_project ? block.project : d.epilogue;
  if (c.Coin()) last.residual = residual.data(), last.residual_row_stride = out_c;

  // The parts.
  Guarded<float> expanded(d.batch * in_pixels * d.channels), between(out_pixels * d.channels), expected(out_pixels * out_c);
  DepthwiseF32 whole = d;
  whole.input = input.data();
  whole.input_pixel_stride = d.channels, whole.input_row_stride = d.in_w * d.channels, whole.input_batch_stride = in_pixels * d.channels;
  if (has_expand) {
    ConvF32 first = e;
    first.input = input.data(), first.output = expanded.data(), first.output_pixel_stride = d.channels;
    Guarded<double> scratch((ConvScratchBytes(kernels, first) + 7) / 8, NAN);
    RunConvF32(kernels, first, 0, d.batch * in_pixels, 0, ConvPanels(first), scratch.data());
    whole.input = expanded.data();
  }
  whole.output = has_project ? between.data() : expected.data(), whole.output_pixel_stride = d.channels;
  depthwise(whole, 0, d.batch * d.out_h, 0, d.channels);
  if (has_project) {
    GemmF32 product;
    product.a = between.data(), product.a_row_stride = d.channels, product.m = out_pixels, product.n = block.out_c;
    product.k = d.channels, product.c = expected.data(), product.c_row_stride = block.out_c, product.epilogue = block.project;
    UsePackedB(&product, project_packed.data());
    kernels.run(product, 0, out_pixels, 0, PanelCount(block.out_c));
    block.project_packed = project_packed.data();
  }

  // The block.
  Guarded<float> output(out_pixels * out_c, 77.0f);
  e.input = input.data();
  d.input = whole.input == input.data() ? input.data() : nullptr;
  d.input_pixel_stride = whole.input_pixel_stride, d.input_row_stride = whole.input_row_stride;
  d.input_batch_stride = whole.input_batch_stride;
  d.output = block.output = output.data(), d.output_pixel_stride = d.channels;
  Guarded<double> scratch((ConvBlockScratchBytes(kernels, block) + 7) / 8, NAN);
  for (int64_t strip = 0, strips = ConvBlockStrips(block); strip < strips;) {
    const int64_t end = std::min(strips, strip + c.Int(1, 5));
    RunConvBlockF32(kernels, depthwise, block, strip, end, scratch.data());
    strip = end;
  }
  ASSERT_EQ(memcmp(output.data(), expected.data(), static_cast<size_t>(expected.size()) * 4), 0);
  EXPECT_TRUE(scratch.Intact() && output.Intact());
}

TEST(ConvBlock, StripsGiveTheBitsOfTheParts) {
  for (CpuLevel level : FloatLevels()) {
    Choices choices(31 + SeedShift());
    for (int i = 0; i < 250 && !HasFatalFailure(); ++i) CheckKernel(level, choices);
  }
}

TEST(ConvBlock, ThreadsGetEqualShares) {
  for (int64_t out_h : {7, 14, 20, 28, 40, 56, 112}) {
    for (int64_t channels : {96, 120, 384}) {
      for (int threads : {2, 3, 4}) {
        ConvBlockSizes sizes;
        sizes.expand = sizes.project = true;
        sizes.in_h = sizes.in_w = sizes.out_h = sizes.out_w = out_h, sizes.channels = channels, sizes.window_h = 3;
        const int64_t rows = sizes.StripRows(threads), share = (out_h + threads - 1) / threads;
        const int64_t strips = (share + rows - 1) / rows;
        EXPECT_TRUE(sizes.StripBytes(rows) <= 1.5 * ConvBlockSizes::kStripBytes || rows == 1);
        EXPECT_LE(strips * rows - share, share / 6) << out_h << " rows, " << channels << " channels, " << threads << " threads";
      }
    }
  }
}

TEST(ConvBlock, StripsFitTheCacheAndAreEven) {
  ConvBlockSizes sizes;
  sizes.expand = sizes.project = true;
  sizes.in_h = sizes.in_w = 112, sizes.out_h = sizes.out_w = 56, sizes.channels = 96, sizes.window_h = 3, sizes.stride_h = 2;
  sizes.weight_floats = 96 * (16 + 24);
  EXPECT_TRUE(sizes.StripsPay());
  EXPECT_LE(sizes.StripBytes(sizes.StripRows()), ConvBlockSizes::kStripBytes);
  // One more row would not fit.
  EXPECT_GT(sizes.StripBytes(sizes.StripRows() + 1), ConvBlockSizes::kStripBytes);
  // What stays in the cache is not cut; a batch of it does not stay.
  sizes.in_h = sizes.in_w = sizes.out_h = sizes.out_w = 7, sizes.stride_h = 1, sizes.channels = 960;
  EXPECT_FALSE(sizes.StripsPay());
  sizes.channels = 96, sizes.batch = 32;
  EXPECT_TRUE(sizes.StripsPay());
  EXPECT_EQ(sizes.StripRows(), 7);
  // Nor are images cut whose weights would be read many times.
  sizes.weight_floats = 1 << 20;
  EXPECT_FALSE(sizes.StripsPay());
}

// The pass ------------------------------------------------------------------------------------------------------------

struct Chain {
  int64_t batch = 1, size = 48, in_c = 10, channels = 72, out_c = 10, kernel = 3, stride = 1;
  bool expand = true, project = true, residual = true, bias = true;
  std::string activation = "Clip";
  std::string also;       ///< the value that is a graph output too: "expanded" or "between"
  bool hidden = false;    ///< the image's size is not declared
};

/// A convolution, whose output the residual adds, then the chain.
Graph MakeChain(const Chain& t) {
  Choices choices(5);
  RandomModel numbers(choices, 17);
  Graph graph;
  auto add = [&](const char* op, std::vector<ValueId> inputs, const std::vector<Attribute>& attributes, const std::string& name) {
    Node node;
    node.op = op, node.version = 17, node.attributes = attributes, node.inputs = std::move(inputs);
    const ValueId y = graph.AddValue(name);
    node.outputs = {y};
    EXPECT_TRUE(graph.AddNode(std::move(node)).ok());
    return y;
  };
  auto constant = [&](const Shape& shape) { return graph.AddConstant(graph.FreshName("c"), numbers.Floats(shape, -0.3, 0.3)); };
  auto conv = [&](ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups, const std::string& name) {
    std::vector<ValueId> inputs = {x, constant(Shape{out, in / groups, kernel, kernel})};
    if (t.bias) inputs.push_back(constant(Shape{out}));
    const int64_t pad = kernel / 2;
    return add("Conv", inputs, {{"group", groups}, {"strides", std::vector<int64_t>{stride, stride}}, {"pads", std::vector<int64_t>{pad, pad, pad, pad}}}, name);
  };
  auto activate = [&](ValueId x, const std::string& name) {
    if (t.activation == "Clip") {
      const ValueId low = graph.AddConstant(graph.FreshName("low"), Tensor::Scalar<float>(0)), high = graph.AddConstant(graph.FreshName("high"), Tensor::Scalar<float>(1));
      return add("Clip", {x, low, high}, {}, name);
    }
    return add(t.activation.c_str(), {x}, {}, name);
  };
  const int64_t in_c = t.expand ? t.in_c : t.channels;
  Shape shape{t.batch, in_c, t.size, t.size};
  if (t.hidden) shape = Shape{t.batch, in_c, kUnknownDim, kUnknownDim};
  const ValueId x = graph.AddInput("x", Type::Tensor(DType::kFloat, shape));
  const ValueId start = conv(x, in_c, in_c, 3, 1, 1, "start");
  ValueId y = start, expanded = kNoValue;
  if (t.expand) expanded = y = activate(conv(y, in_c, t.channels, 1, 1, 1, "expand"), "expanded");
  y = activate(conv(y, t.channels, t.channels, t.kernel, t.stride, t.channels, "depthwise"), "between");
  const ValueId between = y;
  if (t.project) y = conv(y, t.channels, t.out_c, 1, 1, 1, "projected");
  if (t.residual && t.project && t.stride == 1 && t.out_c == in_c) y = add("Add", {start, y}, {}, "added");
  y = add("Relu", {y}, {}, "y");
  graph.AddOutput(y);
  if (!t.also.empty()) graph.AddOutput(t.also == "expanded" ? expanded : between);
  return graph;
}

std::string Optimized(const Chain& chain, const PipelineOptions& options) {
  Graph graph = MakeChain(chain);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  Status status = RunPipeline(graph, context, options);
  EXPECT_TRUE(status.ok()) << status.message();
  std::string text;
  for (NodeId id = 0; id < graph.node_count(); ++id) text += graph.node(id).op + " ";
  return text;
}

std::vector<float> Outputs(const Chain& chain, CpuLevel level, int threads, bool fuse) {
  PipelineOptions options;
  if (!fuse) options.disabled = {"fuse_conv_blocks"};
  Choices choices(9);
  RandomModel numbers(choices, 17);
  const Shape shape{chain.batch, chain.expand ? chain.in_c : chain.channels, chain.size, chain.size};
  return Outputs(MakeChain(chain), {numbers.Floats(shape)}, options, level, threads);
}

TEST(FuseConvBlocks, MakesOneNodeWhereItPays) {
  EXPECT_EQ(Optimized({}, {}), "ToChannelsLast Conv ConvBlock ToChannelsFirst ");
  EXPECT_EQ(Optimized({.expand = false}, {}), "ToChannelsLast Conv ConvBlock ToChannelsFirst ");
  EXPECT_EQ(Optimized({.project = false}, {}), "ToChannelsLast Conv ConvBlock Relu ToChannelsFirst ");
  // A first layer of few channels is the part before, whatever its kernel.
  EXPECT_EQ(Optimized({.size = 120, .channels = 12, .expand = false, .residual = false}, {}), "ToChannelsLast ConvBlock ToChannelsFirst ");
  // Where sizes are not known the operator decides.
  EXPECT_EQ(Optimized({.hidden = true}, {}), "ToChannelsLast Conv ConvBlock ToChannelsFirst ");
  EXPECT_EQ(Optimized({.size = 14}, {}), "ToChannelsLast Conv Conv Conv Conv ToChannelsFirst ");
  PipelineOptions off;
  off.disabled = {"fuse_conv_blocks"};
  EXPECT_EQ(Optimized({}, off), "ToChannelsLast Conv Conv Conv Conv ToChannelsFirst ");
}

TEST(FuseConvBlocks, LeavesWhatOthersRead) {
  // What the caller sees too stays a value of its own; what is left of the chain is still fused.
  auto count = [](const Chain& chain, const std::string& op) {
    const std::string text = " " + Optimized(chain, {});
    size_t found = 0;
    for (size_t at = text.find(" " + op + " "); at != std::string::npos; at = text.find(" " + op + " ", at + 1)) ++found;
    return found;
  };
  for (const char* also : {"expanded", "between"}) {
    EXPECT_EQ(count({.also = also}, "Conv"), 2u) << also;
    EXPECT_EQ(count({.also = also}, "ConvBlock"), 1u) << also;
  }
  EXPECT_EQ(count({.project = false, .also = "expanded"}, "ConvBlock"), 0u);
  EXPECT_EQ(count({.expand = false, .residual = false, .also = "between"}, "ConvBlock"), 0u);
}

TEST(FuseConvBlocks, KeepsTheBitsForAnyNumberOfThreads) {
  std::vector<Chain> chains = {
      {},
      {.batch = 2, .size = 37, .in_c = 7, .channels = 101, .out_c = 19, .kernel = 5, .stride = 2, .activation = "HardSwish"},
      {.size = 51, .channels = 67, .kernel = 7, .bias = false, .activation = "LeakyRelu"},
      {.size = 57, .expand = false, .activation = "Relu"},
      {.size = 57, .project = false, .activation = "Sigmoid"},
      {.batch = 9, .size = 14, .channels = 100},
  };
  for (size_t i = 0, count = chains.size(); i < count; ++i) {
    chains.push_back(chains[i]);
    chains.back().hidden = true;
  }
  chains.push_back({.size = 11, .channels = 33, .stride = 2, .hidden = true});   // runs part by part
  for (const Chain& chain : chains) {
    SCOPED_TRACE(testing::Message() << chain.batch << "x" << chain.size << "x" << chain.channels << " kernel " << chain.kernel);
    EXPECT_NE(Optimized(chain, {}).find("ConvBlock"), std::string::npos);
    for (CpuLevel level : FloatLevels()) {
      const std::vector<float> expected = Outputs(chain, level, 1, false);
      ASSERT_FALSE(expected.empty());
      for (int threads : {1, 2, 4}) EXPECT_EQ(Outputs(chain, level, threads, true), expected) << CpuLevelName(level) << " " << threads;
    }
  }
}

TEST(ConvBlock, RefusesWhatIsNoBlock) {
  // As a prepared file could say; inputs: image, expand, its bias, depthwise, its bias, project, its bias, residual.
  struct Bad {
    std::vector<std::optional<Shape>> inputs;
    std::vector<Attribute> attributes;
    const char* why;
  };
  const std::optional<Shape> none;
  const Shape x{1, 8, 8, 4}, w{6, 4, 1, 1}, d{6, 1, 3, 3}, p{5, 6, 1, 1};
  const Attribute groups{"depthwise_group", int64_t{6}};
  const std::vector<Bad> bad = {
      {{x, none, none, d}, {groups}, "one part"},
      {{x, w, none, none, none, p}, {groups}, "without depthwise weights"},
      {{x, w, none, d, none, none, none, x}, {groups}, "without a projection"},
      {{x, w, none, d}, {}, "depthwise weights have shape"},
      {{x, w, none, Shape{6, 1, 3}}, {groups}, "weights have shape"},
      {{x, w, none, d, none, Shape{5, 7, 1, 1}}, {groups}, "channels"},
      {{x, w, none, d, none, Shape{5, 6, 3, 3}}, {groups}, "no 1x1 convolution"},
      {{x, w, none, d, none, p}, {groups, {"project_strides", std::vector<int64_t>{2, 2}}}, "no 1x1 convolution"},
      {{x, w, none, d, none, p, Shape{4}}, {groups}, "bias"},
      {{x, w, none, d, none, p, none, Shape{1, 8, 8, 5}}, {groups}, "residual has shape"},
      {{x, Shape{6, 3, 1, 1}, none, d}, {groups}, "channels"},
      {{Shape{1, 8, 4}, w, none, d}, {groups}, "spatial dimensions"},
      {{x, w, none, d}, {groups, {"depthwise_activation", std::string("Sine")}}, "Sine"},
  };
  for (const Bad& t : bad) {
    Choices choices(3);
    RandomModel numbers(choices, 17);
    Graph graph;
    Node node;
    node.op = "ConvBlock", node.domain = "linnet", node.version = 1, node.attributes = t.attributes;
    for (size_t i = 0; i < t.inputs.size(); ++i) {
      if (!t.inputs[i]) {
        node.inputs.push_back(kNoValue);
      } else if (i == 0 || i == 7) {
        node.inputs.push_back(graph.AddInput("x" + std::to_string(i), Type::Tensor(DType::kFloat, *t.inputs[i])));
      } else {
        node.inputs.push_back(graph.AddConstant("c" + std::to_string(i), numbers.Floats(*t.inputs[i])));
      }
    }
    const ValueId y = graph.AddValue("y");
    node.outputs = {y};
    ASSERT_TRUE(graph.AddNode(std::move(node)).ok());
    graph.AddOutput(y);
    PassContext context;
    context.table = &OpTable::BuiltIn();
    const Status status = RunPipeline(graph, context, {});
    ASSERT_FALSE(status.ok()) << t.why;
    EXPECT_NE(status.message().find(t.why), std::string_view::npos) << status.message();
  }
}

TEST(Reference, ConvBlocks) {
  CheckRandomModels(41, 12, 17, {2e-5}, [](Choices& c, RandomModel& m) {
    const int64_t in = c.Int(1, 12), channels = c.Int(24, 60), out = c.Coin() ? in : c.Int(1, 30);
    const int64_t size = c.Int(40, 70), kernel = c.Of<int64_t>({3, 5}), stride = c.Int(1, 2);
    auto activate = [&](ValueId y) {
      switch (c.Int(0, 3)) {
        case 0: return m.AddOne("Relu", {y});
        case 1: return m.AddOne("HardSwish", {y});
        case 2: return m.AddOne("Mul", {y, m.AddOne("Sigmoid", {y})});
        default: return y;
      }
    };
    auto conv = [&](ValueId x, int64_t from, int64_t to, int64_t k, int64_t s, int64_t groups) {
      std::vector<ValueId> inputs = {x, m.Constant(m.Floats(Shape{to, from / groups, k, k}, -0.5, 0.5))};
      if (c.Coin()) inputs.push_back(m.Constant(m.Floats(Shape{to})));
      return m.AddOne("Conv", inputs, {{"group", groups}, {"strides", std::vector<int64_t>{s, s}}, {"auto_pad", c.Of<std::string>({"SAME_UPPER", "SAME_LOWER", "VALID"})}});
    };
    const ValueId x = m.Input(m.Floats(Shape{c.Int(1, 2), in, size, size + c.Int(0, 5)}), true);
    ValueId y = activate(conv(x, in, channels, c.Of<int64_t>({1, 1, 3}), 1, 1));
    y = activate(conv(y, channels, channels, kernel, stride, channels));
    return c.Int(0, 3) == 0 ? y : activate(conv(y, channels, out, 1, 1, 1));
  });
}

}  // namespace
}  // namespace linnet
