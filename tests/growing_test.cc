// Plans made from earlier plans: a model whose sizes wander answers as one that meets each size for the first time.
#include "passes_test_util.h"

namespace linnet {
namespace {

/// Joins the past and the present, attends, and makes views, shapes from dimensions, in-place steps, and outputs that are views.
constexpr char kDecoder[] = R"(graph (x: float[1,S,8], past: float[1,P,8]) -> (present, y, flat, tail) {
  axis = const int64[1]{1}
  w = const float[8,8]{0.5,0.25,0,0,0,0,0,0.125, 0,0.5,0.25,0,0,0,0,0, 0,0,0.5,0.25,0,0,0,0, 0,0,0,0.5,0.25,0,0,0, 0,0,0,0,0.5,0.25,0,0, 0,0,0,0,0,0.5,0.25,0, 0,0,0,0,0,0,0.5,0.25, 0.25,0,0,0,0,0,0,0.5}
  minus = const int64[1]{-1}
  one = const int64[1]{1}
  two = const int64[1]{2}
  far = const int64[1]{1000000}
  present = Concat-17(past, x) {axis=1}
  k = Transpose-17(present) {perm=[0, 2, 1]}
  scores = MatMul-17(x, k)
  warm = Sigmoid-17(scores)
  p = Softmax-17(warm) {axis=-1}
  mixed = MatMul-17(p, present)
  h = MatMul-17(mixed, w)
  a = Relu-17(h)
  b = Add-17(a, x)
  n = Shape-17(present)
  length = Gather-17(n, one) {axis=0}
  target = Concat-17(length, two, minus) {axis=0}
  split = Reshape-17(present, target)
  mean = ReduceMean-17(split) {axes=[0], keepdims=1}
  c = Mul-17(split, mean)
  flat = Reshape-17(c, minus)
  tail = Slice-17(c, minus, far, axis0)
  axis0 = const int64[1]{0}
  y = Tanh-17(b)
}
)";

struct Runner {
  std::unique_ptr<Model> model;
  RunState state;
  ThreadPool pool{2};

  explicit Runner(int plans) {
    Graph graph = Parsed(kDecoder);
    PassContext context;
    context.table = &OpTable::BuiltIn();
    Status status = RunPipeline(graph, context, PipelineOptions());
    EXPECT_TRUE(status.ok()) << status.message();
    CompileOptions options;
    options.table = &OpTable::BuiltIn();
    options.threads = 2;
    options.plan_cache_capacity = plans;
    Result<std::unique_ptr<Model>> made = Model::Make(std::make_shared<Graph>(std::move(graph)), options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    model = std::move(*made);
  }

  /// All outputs, and their shapes, one after the other.
  std::vector<float> Run(int64_t tokens, int64_t past) {
    std::vector<float> numbers(static_cast<size_t>((tokens + past) * 8));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::sin(static_cast<float>(i * i + 3 * i) * 0.37f);
    const Fact facts[] = {{Type::Tensor(DType::kFloat, {1, tokens, 8}), numbers.data()},
                          {Type::Tensor(DType::kFloat, {1, past, 8}), numbers.data() + tokens * 8}};
    RunEnv env;
    env.pool = &pool;
    env.threads = 2;
    std::vector<RunOutput> outputs(4);
    Status status = state.Run(*model, env, facts, 2, outputs.data(), 4);
    EXPECT_TRUE(status.ok()) << status.message();
    std::vector<float> all;
    for (const RunOutput& output : outputs) {
      const Tensor& tensor = output.datum.tensor;
      for (int64_t d : tensor.shape().dims()) all.push_back(static_cast<float>(d));
      all.insert(all.end(), tensor.as<float>(), tensor.as<float>() + tensor.elements());
    }
    return all;
  }
};

void Wander(const std::vector<std::pair<int64_t, int64_t>>& sizes, int plans) {
  Runner one(plans);
  for (auto [tokens, past] : sizes) {
    EXPECT_EQ(one.Run(tokens, past), Runner(plans).Run(tokens, past)) << tokens << " tokens behind " << past;
  }
}

TEST(Growing, ByOneToken) {
  std::vector<std::pair<int64_t, int64_t>> sizes;
  for (int64_t past = 0; past < 150; ++past) sizes.push_back({1, past});
  for (int64_t past : {149, 0, 30, 149, 1}) sizes.push_back({1, past});
  Wander(sizes, 4);
}

TEST(Growing, BackAndForth) {
  std::vector<std::pair<int64_t, int64_t>> sizes;
  std::mt19937 random(7);
  for (int i = 0; i < 120; ++i) sizes.push_back({1 + static_cast<int64_t>(random() % (i % 3 == 0 ? 40 : 3)), static_cast<int64_t>(random() % 60)});
  Wander(sizes, 1);
}

TEST(Growing, PlansOfSmallSizesDoNotTakeTheMemoryOfBigOnes) {
  Runner runner(2);
  auto arena_of = [&](int64_t tokens, int64_t past) {
    const Fact facts[] = {{Type::Tensor(DType::kFloat, {1, tokens, 8}), nullptr}, {Type::Tensor(DType::kFloat, {1, past, 8}), nullptr}};
    Result<PlanRef> plan = runner.model->Start(facts, 2, nullptr);
    EXPECT_TRUE(plan.ok());
    return (*plan)->arena_bytes;
  };
  const int64_t first = arena_of(1024, 1024);
  EXPECT_GT(first, 4 << 20);
  EXPECT_LT(arena_of(64, 64), first / 64);
  arena_of(1024, 1025);
  const int64_t roomy = arena_of(1024, 1026);
  EXPECT_EQ(arena_of(1024, 1027), roomy) << "room to spare, as it grows";
  EXPECT_GT(roomy, first);
  EXPECT_LT(roomy, first * 5 / 4);
}

}  // namespace
}  // namespace linnet
