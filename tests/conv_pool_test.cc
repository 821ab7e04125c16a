// fuse_conv_pools and linnet:ConvPool: the kernel against its parts, the graphs the pass makes and leaves alone, and the same numbers with
// and without it.
#include <gtest/gtest.h>

#include <string.h>

#include "kernels/conv/conv_pool.h"
#include "kernels/half/split_gemm.h"
#include "passes_test_util.h"
#include "reference_test_util.h"

namespace linnet {
namespace {

ConvPoolF32 RandomSizes(Choices& c) {
  ConvPoolF32 args;
  ConvF32& e = args.conv;
  PoolArgs& p = args.pool;
  e.batch = c.Int(1, 3), e.in_c = c.Int(1, 6), e.out_c = c.Int(1, 70);
  e.in_h = c.Int(1, 30), e.in_w = c.Int(1, 30);
  e.kernel_h = c.Int(1, 7), e.kernel_w = c.Int(1, 7), e.stride_h = c.Int(1, 3), e.stride_w = c.Int(1, 3);
  e.pad_top = c.Int(0, e.kernel_h), e.pad_left = c.Int(0, e.kernel_w);
  e.out_h = std::max<int64_t>(1, (e.in_h + 2 * e.pad_top - e.kernel_h) / e.stride_h + 1);
  e.out_w = std::max<int64_t>(1, (e.in_w + 2 * e.pad_left - e.kernel_w) / e.stride_w + 1);
  const int64_t in[] = {e.out_h, e.out_w};
  for (int i = 1; i <= 2; ++i) {
    p.in[i] = in[i - 1];
    p.kernel[i] = c.Int(1, 4), p.stride[i] = c.Int(1, 4), p.dilation[i] = c.Of<int64_t>({1, 1, 1, 2});
    const int64_t reach = (p.kernel[i] - 1) * p.dilation[i];
    p.pad_begin[i] = c.Int(0, reach);
    // As many as begin inside of the image.
    p.out_dims[i] = c.Int(1, (p.in[i] - 1 + p.pad_begin[i]) / p.stride[i] + 1);
  }
  args.strip_rows = c.Int(1, p.out_dims[1] + 1);
  return args;
}

/// Runs both by strips, cut unevenly, and one after the other; the bits must be the same.
void CheckKernel(CpuLevel level, ConvPoolF32 args, Choices& c) {
  const GemmF32Kernels& kernels = PickGemmF32(level);
  PoolFn* run_pool = PickMaxPool(PoolElement::kFloat, level);
  ConvF32& e = args.conv;
  PoolArgs& p = args.pool;
  p.channels = e.out_c;
  e.input_pixel_stride = e.in_c, e.input_row_stride = e.in_w * e.in_c, e.input_batch_stride = e.in_h * e.input_row_stride;
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " image " << e.batch << "x" << e.in_h << "x" << e.in_w << "x" << e.in_c << " between " << e.out_h
                                  << "x" << e.out_w << "x" << e.out_c << " pool " << p.kernel[1] << "x" << p.kernel[2] << " stride " << p.stride[1]
                                  << " dilation " << p.dilation[1] << " pad " << p.pad_begin[1] << " out " << p.out_dims[1] << "x" << p.out_dims[2]
                                  << " strip " << args.strip_rows);
  Guarded<float> input(e.batch * e.input_batch_stride), weights(e.out_c * e.in_c * e.kernel_h * e.kernel_w), bias(e.out_c);
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(weights), numbers.Fill(bias);
  Guarded<float> packed(PackedConvSizeF32(e.out_c, e.in_c, 1, e.kernel_h, e.kernel_w));
  PackConvF32(weights.data(), e.out_c, e.in_c, 1, e.kernel_h, e.kernel_w, packed.data());
  e.input = input.data(), e.packed = packed.data();
  if (c.Coin()) e.epilogue.bias = bias.data();
  const Activation activations[] = {Activation::kNone, Activation::kRelu, Activation::kSilu};
  e.epilogue.activation = activations[c.Int(0, 2)], e.epilogue.alpha = 1;

  const int64_t between_floats = e.batch * e.out_h * e.out_w * e.out_c, out_floats = e.batch * p.out_dims[1] * p.out_dims[2] * e.out_c;
  Guarded<float> between(between_floats), expected(out_floats), output(out_floats, 77.0f);
  {
    ConvF32 first = e;
    first.output = between.data(), first.output_pixel_stride = e.out_c;
    Guarded<double> scratch((ConvScratchBytes(kernels, first) + 7) / 8, NAN);
    RunConvF32(kernels, first, 0, e.batch * e.out_h * e.out_w, 0, ConvPanels(first), scratch.data());
    PoolArgs pool = p;
    pool.x = between.data(), pool.out = expected.data();
    run_pool(pool, 0, e.batch * p.out_dims[1]);
  }
  p.out = output.data();
  Guarded<double> scratch((ConvPoolScratchBytes(kernels, args) + 7) / 8, NAN);
  for (int64_t strip = 0, strips = ConvPoolStrips(args); strip < strips;) {
    const int64_t end = std::min(strips, strip + c.Int(1, 5));
    RunConvPoolF32(kernels, run_pool, args, strip, end, scratch.data());
    strip = end;
  }
  ASSERT_EQ(memcmp(output.data(), expected.data(), static_cast<size_t>(expected.size()) * 4), 0);
  EXPECT_TRUE(scratch.Intact() && output.Intact());
}

TEST(ConvPool, StripsGiveTheBitsOfTheParts) {
  for (CpuLevel level : FloatLevels()) {
    Choices choices(47 + SeedShift());
    for (int i = 0; i < 250 && !HasFatalFailure(); ++i) CheckKernel(level, RandomSizes(choices), choices);
  }
}

TEST(ConvPool, OneRowIsReadInPlaceAndTheOthersAreNot) {
  // A 1x1 convolution of one row, with padding below: strips of a row each, of which the first is the product of the image itself.
  for (CpuLevel level : FloatLevels()) {
    Choices choices(3);
    ConvPoolF32 args;
    args.conv.in_c = 3, args.conv.in_w = args.conv.out_w = 300, args.conv.out_h = 5, args.conv.out_c = 24;
    args.pool.in[1] = 5, args.pool.in[2] = 300;
    args.pool.kernel[2] = 2, args.pool.out_dims[1] = 5, args.pool.out_dims[2] = 299;
    CheckKernel(level, args, choices);
  }
}

// What a strip has to make depends on how many threads there are.
TEST(ConvPool, StripsGiveTheSameBitsWhereTilesWouldPay) {
  const CpuLevel level = DetectedCpuLevel();
  const GemmF32Kernels& kernels = PickGemmF32(level);
  ConvPoolF32 args;
  ConvF32& e = args.conv;
  PoolArgs& p = args.pool;
  e.split = EmulatedSplitGemm(level);
  if (!e.split) GTEST_SKIP() << "no AVX-512";
  e.in_c = 15, e.out_c = p.channels = 192, e.kernel_h = e.kernel_w = 7;
  e.in_h = e.in_w = 46, e.out_h = e.out_w = p.in[1] = p.in[2] = 40;
  e.input_pixel_stride = e.in_c, e.input_row_stride = e.in_w * e.in_c, e.input_batch_stride = e.in_h * e.input_row_stride;
  p.kernel[1] = p.kernel[2] = p.stride[1] = p.stride[2] = 2, p.out_dims[1] = p.out_dims[2] = 20;
  Guarded<float> input(e.input_batch_stride), weights(e.out_c * e.in_c * 49), packed(PackedConvSizeF32(e.out_c, e.in_c, 1, 7, 7));
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(weights);
  PackConvF32(weights.data(), e.out_c, e.in_c, 1, 7, 7, packed.data());
  e.input = input.data(), e.packed = packed.data();
  std::vector<float> expected;
  for (int64_t rows : {1, 2, 5, 20}) {
    args.strip_rows = rows;
    std::vector<float> output(static_cast<size_t>(20 * 20 * e.out_c));
    p.out = output.data();
    Guarded<double> scratch((ConvPoolScratchBytes(kernels, args) + 63) / 64 * 8, NAN);   // aligned to 64
    RunConvPoolF32(kernels, PickMaxPool(PoolElement::kFloat, level), args, 0, ConvPoolStrips(args), scratch.data());
    if (expected.empty()) expected = output;
    EXPECT_TRUE(output == expected) << rows;
    EXPECT_TRUE(scratch.Intact());
  }
}

struct Chain {
  int64_t batch = 1, size = 160, in_c = 3, out_c = 48, kernel = 3, stride = 2, group = 1;
  std::vector<int64_t> pool_kernel = {3, 3}, pool_pads = {1, 1, 1, 1}, pool_strides = {2, 2};
  int64_t ceil_mode = 0;
  bool also = false;   ///< the image between is an output too
};

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
  const ValueId x = graph.AddInput("x", Type::Tensor(DType::kFloat, Shape{t.batch, t.in_c, t.size, t.size}));
  const ValueId w = graph.AddConstant("w", numbers.Floats(Shape{t.out_c, t.in_c / t.group, t.kernel, t.kernel}, -0.3, 0.3));
  const ValueId b = graph.AddConstant("b", numbers.Floats(Shape{t.out_c}, -0.3, 0.3));
  const int64_t pad = t.kernel / 2;
  ValueId y = add("Conv", {x, w, b}, {{"group", t.group}, {"strides", std::vector<int64_t>{t.stride, t.stride}}, {"pads", std::vector<int64_t>{pad, pad, pad, pad}}}, "conv");
  y = add("Relu", {y}, {}, "between");
  const ValueId between = y;
  y = add("MaxPool", {y}, {{"kernel_shape", t.pool_kernel}, {"pads", t.pool_pads}, {"strides", t.pool_strides}, {"ceil_mode", t.ceil_mode}}, "y");
  graph.AddOutput(y);
  if (t.also) graph.AddOutput(between);
  return graph;
}

bool Fuses(const Chain& chain) {
  Graph graph = MakeChain(chain);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  Status status = RunPipeline(graph, context, {});
  EXPECT_TRUE(status.ok()) << status.message();
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (graph.node(id).alive && graph.node(id).op == "ConvPool") return true;
  }
  return false;
}

TEST(FuseConvPools, MakesOneNodeWhereItPays) {
  EXPECT_TRUE(Fuses({}));
  EXPECT_TRUE(Fuses({.kernel = 7, .pool_pads = {0, 0, 0, 0}, .ceil_mode = 1}));
  EXPECT_TRUE(Fuses({.batch = 2, .kernel = 5, .pool_kernel = {2, 2}, .pool_pads = {0, 0, 0, 0}}));
  EXPECT_FALSE(Fuses({.size = 64})) << "what stays in a cache";
  EXPECT_FALSE(Fuses({.in_c = 32})) << "no first layer";
  EXPECT_FALSE(Fuses({.in_c = 4, .group = 2}));
  EXPECT_FALSE(Fuses({.out_c = 8, .stride = 1})) << "few outputs have kernels of their own";
  EXPECT_FALSE(Fuses({.in_c = 12, .stride = 1})) << "by Winograd's tiles";
  EXPECT_FALSE(Fuses({.also = true})) << "somebody else sees the image between";
}

TEST(FuseConvPools, KeepsTheBitsForAnyNumberOfThreads) {
  const Chain chains[] = {{}, {.batch = 3, .size = 171, .kernel = 7, .pool_kernel = {3, 2}, .pool_pads = {0, 1, 1, 0}, .ceil_mode = 1},
                          {.size = 99, .in_c = 1, .out_c = 37, .kernel = 5, .stride = 1, .pool_kernel = {2, 2}, .pool_pads = {0, 0, 0, 0}},
                          {.size = 90, .in_c = 7, .out_c = 50, .kernel = 1, .stride = 1, .pool_kernel = {4, 4}, .pool_pads = {2, 2, 2, 2}, .pool_strides = {3, 1}}};
  for (const Chain& chain : chains) {
    SCOPED_TRACE(testing::Message() << chain.size << " kernel " << chain.kernel);
    ASSERT_TRUE(Fuses(chain));
    Choices choices(9);
    RandomModel numbers(choices, 17);
    const std::vector<Tensor> feed = {numbers.Floats(Shape{chain.batch, chain.in_c, chain.size, chain.size})};
    PipelineOptions apart;
    apart.disabled = {"fuse_conv_pools"};
    for (CpuLevel level : FloatLevels()) {
      const std::vector<float> expected = Outputs(MakeChain(chain), feed, apart, level, 1);
      ASSERT_FALSE(expected.empty());
      for (int threads : {1, 2, 4}) EXPECT_EQ(Outputs(MakeChain(chain), feed, {}, level, threads), expected) << CpuLevelName(level) << " " << threads;
    }
  }
}

/// As a prepared file could say.
Graph OneNode(RandomModel& numbers, const Shape& x, const Shape& w, const std::vector<Attribute>& attributes) {
  Graph graph;
  Node node;
  node.op = "ConvPool", node.domain = "linnet", node.version = 1, node.attributes = attributes;
  node.inputs = {graph.AddInput("x", Type::Tensor(DType::kFloat, x)), graph.AddConstant("w", numbers.Floats(w))};
  const ValueId y = graph.AddValue("y");
  node.outputs = {y};
  graph.AddOutput(y);
  EXPECT_TRUE(graph.AddNode(std::move(node)).ok());
  return graph;
}

TEST(ConvPool, RefusesWhatItCannotRun) {
  struct Bad {
    Shape x, w;
    std::vector<Attribute> attributes;
    const char* why;
  };
  const Attribute kernel{"pool_kernel_shape", std::vector<int64_t>{3, 3}};
  const std::vector<Bad> bad = {
      {{1, 8, 8, 4}, {6, 4, 3, 3}, {}, "a pool of 0 dimensions"},
      {{1, 8, 8, 4}, {6, 2, 3, 3}, {kernel, {"group", int64_t{2}}}, "2 groups"},
      {{1, 8, 8, 4}, {6, 3, 3, 3}, {kernel}, "channels"},
      {{1, 8, 4}, {6, 4, 3}, {kernel}, "weights have shape"},
      {{1, 8, 8, 4}, {6, 4, 3, 3}, {kernel, {"activation", std::string("Sine")}}, "Sine"},
      {{1, 8, 8, 4}, {6, 4, 1, 1}, {kernel, {"pads", std::vector<int64_t>{1 << 28, 1 << 28, 1 << 28, 1 << 28}}}, "more elements than the limit"},
  };
  for (const Bad& t : bad) {
    Choices choices(3);
    RandomModel numbers(choices, 17);
    Graph graph = OneNode(numbers, t.x, t.w, t.attributes);
    PassContext context;
    context.table = &OpTable::BuiltIn();
    const Status status = RunPipeline(graph, context, {});
    EXPECT_FALSE(status.ok()) << t.why;
    EXPECT_NE(std::string(status.message()).find(t.why), std::string::npos) << status.message();
  }
}

TEST(ConvPool, RefusesShapesThatItCannotRun) {
  struct Bad {
    Shape x;
    std::vector<int64_t> kernel, pads;
    const char* why;
  };
  // An image between without columns, all of whose windows are padding; windows whose rows would be summed up one by one.
  const std::vector<Bad> bad = {{{1, 8, 0, 4}, {2, 2}, {1, 1, 1, 1}, "windows of padding alone"},
                                {{1, 1 << 20, 1, 4}, {1 << 20, 1}, {0, 0, 0, 0}, "windows of 1048576 rows"}};
  for (const Bad& t : bad) {
    Choices choices(3);
    RandomModel numbers(choices, 17);
    Graph graph = OneNode(numbers, t.x, {6, 4, 1, 1}, {{"pool_kernel_shape", t.kernel}, {"pool_pads", t.pads}});
    std::vector<Tensor> feed;
    feed.push_back(numbers.Floats(t.x));
    const Result<std::vector<float>> result = OutputsOrError(std::move(graph), feed, {}, DetectedCpuLevel(), 1);
    ASSERT_FALSE(result.ok()) << t.why;
    EXPECT_NE(std::string(result.status().message()).find(t.why), std::string::npos) << result.status().message();
  }
}

}  // namespace
}  // namespace linnet
