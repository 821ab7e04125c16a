// What tests of passes share: a graph written as text, what passes make of it, and its numbers with and without them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/thread_pool.h"
#include "compile/model.h"
#include "graph/text.h"
#include "passes/passes.h"
#include "run/state.h"

namespace linnet {

/// How often `part` stands in `text`.
inline int CountOf(std::string_view text, std::string_view part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// Constant weights of these four dimensions that differ everywhere, as text.
inline std::string WeightsText(const std::string& name, int64_t a, int64_t b, int64_t h, int64_t w) {
  std::string text = "  " + name + " = const float[" + std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(h) + "," +
                     std::to_string(w) + "]{";
  for (int64_t i = 0; i < a * b * h * w; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string((i * 37 % 101 - 50) / 64.0);
  }
  return text + "}\n";
}

inline Graph Parsed(std::string_view text) {
  Result<Graph> graph = ParseGraph(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return std::move(*graph);
}

inline std::string Optimized(std::string_view text, std::string_view stop_after) {
  Graph graph = Parsed(text);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  PipelineOptions options;
  options.stop_after = stop_after;
  Status status = RunPipeline(graph, context, options);
  EXPECT_TRUE(status.ok()) << status.message();
  return PrintGraph(graph);
}

/// The first output, floats, of a graph that has gone through the pipeline.
inline Result<std::vector<float>> OutputsOrError(Graph graph, const std::vector<Tensor>& inputs, const PipelineOptions& options, CpuLevel level,
                                                 int threads) {
  PassContext context;
  context.table = &OpTable::BuiltIn();
  LINNET_TRY(RunPipeline(graph, context, options));
  CompileOptions compile;
  compile.table = &OpTable::BuiltIn();
  compile.cpu = level;
  compile.threads = threads;
  LINNET_ASSIGN(std::unique_ptr<Model> model, Model::Make(std::make_shared<Graph>(std::move(graph)), compile));
  std::vector<Fact> facts;
  for (const Tensor& tensor : inputs) facts.push_back({tensor.type(), tensor.data()});
  ThreadPool pool(threads);
  RunEnv env;
  env.pool = &pool;
  env.threads = threads;
  RunState state;
  std::vector<RunOutput> outputs(model->outputs.size());
  LINNET_TRY(state.Run(*model, env, facts.data(), static_cast<int>(facts.size()), outputs.data(), static_cast<int>(outputs.size())));
  const Tensor& out = outputs[0].datum.tensor;
  return std::vector<float>(out.as<float>(), out.as<float>() + out.elements());
}
inline std::vector<float> Outputs(Graph graph, const std::vector<Tensor>& inputs, const PipelineOptions& options, CpuLevel level,
                                  int threads) {
  Result<std::vector<float>> result = OutputsOrError(std::move(graph), inputs, options, level, threads);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? *result : std::vector<float>();
}

/// The same for inputs of these shapes filled with seeded numbers.
inline std::vector<float> Outputs(std::string_view text, const std::vector<Shape>& shapes, const PipelineOptions& options, int threads) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<Tensor> data;
  for (const Shape& shape : shapes) {
    Result<Tensor> tensor = Tensor::Allocate(DType::kFloat, shape);
    EXPECT_TRUE(tensor.ok()) << tensor.status().message();
    if (!tensor.ok()) return {};
    for (int64_t i = 0; i < tensor->elements(); ++i) tensor->mutable_as<float>()[i] = normal(random);
    data.push_back(std::move(*tensor));
  }
  return Outputs(Parsed(text), data, options, DetectedCpuLevel(), threads);
}

/// Numbers must agree with those of the graph without the pass, and be the same for any number of threads.
inline void ExpectSameNumbers(std::string_view text, const std::vector<Shape>& shapes) {
  PipelineOptions without, with;
  without.level = kOptimizeNothing;
  std::vector<float> expected = Outputs(text, shapes, without, 1), one = Outputs(text, shapes, with, 1);
  ASSERT_EQ(expected.size(), one.size());
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(one, Outputs(text, shapes, with, 3));
  float largest = 0;
  for (float value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(one[i], expected[i], 2e-6 * largest) << i;
}

}  // namespace linnet
