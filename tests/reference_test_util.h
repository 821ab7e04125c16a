// Differential tests: random small models, run by the optimised operators at every CPU level, by the reference provider and,
// where LINNET_PEER names its library, by ONNX Runtime, must agree. LINNET_SEED makes other models; tools/check-differential
// runs many.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "api/session.h"
#include "fuzz/random_model.h"
#include "fuzz/sides.h"
#include "graph/text.h"
#include "guarded.h"

namespace linnet {

/// ONNX Runtime where LINNET_PEER names its library; at the end says how many models of each operator it has run.
inline PeerRuns* PeerOfTests() {
  struct Loaded {
    Loaded() {
      const char* path = getenv("LINNET_PEER");
      if (!path) return;
      Status status = PeerRuns::Load(path);
      EXPECT_TRUE(status.ok()) << status.message();
    }
    ~Loaded() {
      if (!PeerRuns::Get()) return;
      for (const auto& [op, count] : PeerRuns::Get()->counts()) fprintf(stderr, "peer ran %s %d\n", op.c_str(), count);
    }
  };
  static const Loaded loaded;
  return PeerRuns::Get();
}

/// Runs the model on the reference and on the CPU at every level with 1 and 4 threads: outputs agree with the reference, are bit-equal
/// for both thread counts, and a failure is a failure everywhere. False when the model does not run.
inline bool CheckExample(const Example& example, const Agreement& agreement) {
  const std::string bytes = OnnxOf(example);
  SCOPED_TRACE(Shown(example));
  std::vector<Tensor> expected, first;
  const std::string failure = RunOn({"reference"}, bytes, example.feeds, &expected);
  auto compare = [&](const Tensor& actual, size_t i, const Agreement& allowed, const std::string& where) {
    const std::string difference = Difference(actual, expected[i], allowed);
    EXPECT_EQ(difference, "") << "output " << i << " of " << where;
  };
  for (CpuLevel level : LevelsFor(example.graph)) {
    for (int threads : {1, 4}) {
      const Side side{"cpu", CpuLevelName(level), threads};
      std::vector<Tensor> outputs;
      const std::string cpu_failure = RunOn(side, bytes, example.feeds, &outputs);
      EXPECT_EQ(cpu_failure.empty(), failure.empty()) << side.Name() << ": " << cpu_failure << "\nreference: " << failure;
      if (!cpu_failure.empty() || !failure.empty()) return false;
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (threads == 1) compare(outputs[i], i, agreement, side.Name());
        EXPECT_TRUE(threads == 1 || SameBits(outputs[i], first[i])) << "output " << i << " differs at " << side.Name();
      }
      if (threads == 1) first = std::move(outputs);
    }
  }
  if (PeerRuns* peer = example.peer ? PeerOfTests() : nullptr) {
    Agreement loose = agreement;
    loose.of_max = std::max(loose.of_max, 1e-4);
    loose.steps = std::max(loose.steps, 1.0);
    const std::vector<Tensor> outputs = peer->Run(bytes, example);
    for (size_t i = 0; i < outputs.size(); ++i) compare(outputs[i], i, loose, "the peer");
  }
  return true;
}

/// The environment variable LINNET_SEED, a number, makes other models than those every run checks.
inline uint32_t SeedShift() {
  const char* text = getenv("LINNET_SEED");
  return text ? static_cast<uint32_t>(strtoul(text, nullptr, 10)) * 1000 : 0;
}

/// Calls make(choices, model) `count` times with a fresh model of `opset` and checks each. Some models may fail to run (the
/// attributes do not fit); at least half must run.
template <class Make>
void CheckRandomModels(uint32_t seed, int count, int opset, const Agreement& agreement, Make make) {
  Choices choices(seed + SeedShift());
  int ran = 0;
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("model " + std::to_string(i));
    RandomModel model(choices, opset);
    if (choices.Int(0, 3) == 0) model.HideDims();
    if (PeerOfTests() && PeerRuns::Saturates()) model.NarrowWeights();
    model.Output(make(choices, model));
    ran += CheckExample(model.Take(), agreement);
  }
  EXPECT_TRUE(ran * 2 >= count || testing::Test::HasFailure()) << "only " << ran << " of " << count << " models ran";
}

}  // namespace linnet
