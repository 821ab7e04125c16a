// Plans in prepared files: runs with their shapes plan nothing, other shapes do, and a plan that is wrong is a sentence.
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "api/full_build.h"
#include "format/linnet_file.h"
#include "hostile_util.h"

namespace linnet::hostile {
namespace {

namespace fs = std::filesystem;

/// Views, work in place, contents that follow from the shape, and values that follow each other in memory.
constexpr char kGraph[] = R"(graph (x: float[N,4]) -> (y, z) {
  w = const float[4,4]{1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4}
  a = MatMul-13(x, w)
  b = Sigmoid-13(a)
  s = Shape-13(x)
  i = const int64[1]{0}
  n = Gather-13(s, i)
  four = const int64[1]{4}
  turned = Concat-13(four, n) {axis=0}
  c = Reshape-13(b, turned)
  e = Softmax-13(c)
  y = MatMul-13(e, a)
  z = Transpose-13(e)
})";

Shape OfRows(int64_t n) { return Shape{n, 4}; }

Tensor Rows(int64_t n) {
  Tensor x = Filled<float>(OfRows(n), 0);
  for (int64_t i = 0; i < 4 * n; ++i) x.mutable_as<float>()[i] = static_cast<float>(i % 7) - 3;
  return x;
}

class StoredPlans : public testing::Test {
 protected:
  StoredPlans() : folder_(fs::temp_directory_path() / ("linnet_plans_" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    options_.threads = 1;
  }
  ~StoredPlans() override { fs::remove_all(folder_); }

  std::string Path(const char* name) const { return (folder_ / name).string(); }

  /// A prepared file of `text` with a plan for each number of rows.
  Status Make(const char* text, const std::vector<int64_t>& rows) {
    std::ofstream(Path("m.onnx"), std::ios::binary) << OnnxOf(text);
    auto shapes = [&](const Session& session) -> Result<std::vector<std::vector<Type>>> {
      std::vector<std::vector<Type>> sets;
      for (int64_t n : rows) {
        std::vector<Type> types;
        for (const PortInfo& port : session.inputs()) {
          types.push_back(port.type);
          for (int d = 0; d < types.back().shape.rank(); ++d) {
            if (types.back().shape[d] < 0) types.back().shape[d] = n;
          }
        }
        sets.push_back(types);
      }
      return sets;
    };
    return ConvertModel(Path("m.onnx"), Path("m.linnet"), options_, shapes);
  }

  /// Runs both files on the same rows and expects the same bits.
  void ExpectSame(Session& prepared, int64_t n) {
    auto plain = Session::Open(Path("m.onnx"), options_);
    ASSERT_TRUE(plain.ok()) << plain.status().message();
    std::vector<Datum> want, have;
    Status status = RunSession(**plain, {Rows(n)}, &want);
    ASSERT_TRUE(status.ok()) << status.message();
    status = RunSession(prepared, {Rows(n)}, &have);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(want.size(), have.size());
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(want[i].type, have[i].type);
      EXPECT_EQ(memcmp(want[i].tensor.data(), have[i].tensor.data(), static_cast<size_t>(want[i].tensor.bytes())), 0) << "output " << i;
    }
  }

  /// Why the file cannot be opened after `edit` has been at its (only) plan. The plan is read, edited and written again.
  std::string WhyNot(const std::function<void(StoredPlan&, const Graph&)>& edit) {
    std::ifstream in(Path("m.linnet"), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    Block block = std::move(Block::Allocate(static_cast<int64_t>(bytes.size())).value());
    memcpy(block.data(), bytes.data(), bytes.size());
    Result<PreparedFile> file = ReadLinnet({reinterpret_cast<const char*>(block.data()), bytes.size()}, nullptr, GraphLimits());
    EXPECT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(file->plans.size(), 1u);
    edit(file->plans[0], file->graph);
    MemorySink sink;
    Status written = WriteLinnet(*file, sink);
    EXPECT_TRUE(written.ok()) << written.message();
    auto session = OpenBytes(sink.contents(), options_);
    return session.ok() ? "" : Why(session.status());
  }

  fs::path folder_;
  SessionOptions options_;
};

/// The values of a plan with a place of this kind.
std::vector<size_t> With(const StoredPlan& plan, Place::Kind kind) {
  std::vector<size_t> found;
  for (size_t v = 0; v < plan.places.size(); ++v) {
    if (plan.places[v].kind == kind) found.push_back(v);
  }
  return found;
}

TEST_F(StoredPlans, RunsWithTheirShapesPlanNothing) {
  Status status = Make(kGraph, {3, 8});
  ASSERT_TRUE(status.ok()) << status.message();
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  for (int64_t n : {3, 8, 3}) ExpectSame(**session, n);
  EXPECT_EQ((*session)->model().plans_made(), 0);
  ExpectSame(**session, 5);
  EXPECT_EQ((*session)->model().plans_made(), 1);
}

TEST_F(StoredPlans, ScratchLiesBehindTheValues) {
  ASSERT_TRUE(Make(kGraph, {8}).ok());
  for (int threads : {1, 4}) {
    options_.threads = threads;
    auto session = Session::Open(Path("m.linnet"), options_);
    ASSERT_TRUE(session.ok()) << session.status().message();
    auto plan = (*session)->PlanFor({Type::Tensor(DType::kFloat, OfRows(8))});
    ASSERT_TRUE(plan.ok());
    for (const Step& step : (*plan)->steps) {
      if (step.scratch_bytes == 0) continue;
      for (const Place& place : (*plan)->places) {
        EXPECT_TRUE(place.kind != Place::kArena || place.offset < step.scratch_offset);
      }
      EXPECT_LE(step.scratch_offset + step.scratch_bytes * step.workers, (*plan)->arena_bytes);
    }
    ExpectSame(**session, 8);
  }
}

TEST_F(StoredPlans, KnownSizesArePlannedWithoutBeingAskedFor) {
  const std::string onnx = OnnxOf("graph (x: float[2,4]) -> (y) { y = Softmax-13(x) }");
  std::ofstream(Path("m.onnx"), std::ios::binary) << onnx;
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("m.linnet"), options_).ok());
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  EXPECT_EQ((*session)->model().plans_made(), 0);
  ExpectSame(**session, 2);
  EXPECT_EQ((*session)->model().plans_made(), 0);
}

TEST_F(StoredPlans, WhatDependsOnContentsIsRefused) {
  Status status = Make("graph (x: float[N,4]) -> (y) { y = NonZero-13(x) }", {2});
  ExpectParts(Why(status), {"unsupported", "NonZero", "depend on contents"});
  status = Make(R"(graph (x: float[N,4]) -> (y) { s = SequenceConstruct-11(x, x)
    y = ConcatFromSequence-11(s) {axis=0} })", {2});
  EXPECT_FALSE(status.ok());
  // Without being asked for there is none, and the file is as good as ever.
  const std::string onnx = OnnxOf("graph (x: float[2,4]) -> (y) { y = NonZero-13(x) }");
  std::ofstream(Path("m.onnx"), std::ios::binary) << onnx;
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("m.linnet"), options_).ok());
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  ExpectSame(**session, 2);
}

TEST_F(StoredPlans, AFileWithoutPlansOpens) {
  ASSERT_TRUE(Make(kGraph, {}).ok());
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  ExpectSame(**session, 3);
  EXPECT_EQ((*session)->model().plans_made(), 1);
}

TEST_F(StoredPlans, AWrongPlanIsRefused) {
  ASSERT_TRUE(Make(kGraph, {8}).ok());
  EXPECT_EQ(WhyNot([](StoredPlan&, const Graph&) {}), "");
  const auto arena = [](StoredPlan& plan) -> std::vector<size_t> {
    std::vector<size_t> found = With(plan, Place::kArena);
    EXPECT_GE(found.size(), 2u);
    return found;
  };
  // Beyond the arena, before it, off its grid, in a smaller one.
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[arena(plan)[0]].offset = plan.arena_bytes; }), {"plan", "lies at"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[arena(plan)[0]].offset = -64; }), {"lies at -64"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[arena(plan)[0]].offset = INT64_MAX - 63; }), {"lies at"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[arena(plan)[0]].offset += 4; }), {"lies at"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.arena_bytes = 64; }), {"of 64"});
  // All on one another: some of them live at once.
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) {
    for (size_t v : arena(plan)) plan.places[v].offset = 0;
  }), {"still needed"});
  // Views of something else, or of more than there is.
  const auto view = [](StoredPlan& plan) {
    std::vector<size_t> found = With(plan, Place::kAlias);
    EXPECT_FALSE(found.empty());
    return found.empty() ? 0 : found[0];
  };
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[view(plan)].offset = 4; }), {"view"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[view(plan)].root = 1 << 20; }), {"view of value"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[view(plan)].root = static_cast<ValueId>(view(plan)); }), {"view of value"});
  // Sizes that do not follow from the inputs.
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.facts[arena(plan)[0]].type.shape = Shape{1, 4}; }), {"plan"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.facts[arena(plan)[0]].type.dtype = DType::kDouble; }), {"plan"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph& graph) {
    plan.facts[static_cast<size_t>(graph.inputs[0])].type.shape = Shape{2, 4};
  }), {"plan"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph& graph) {
    plan.facts[static_cast<size_t>(graph.inputs[0])].type.dtype = DType::kInt32;
  }), {"plan", "int32"});
  // Outputs that are none, that are another's, that nothing computes.
  const auto output = [](StoredPlan& plan) { return With(plan, Place::kOutput).at(0); };
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[output(plan)].offset = 2; }), {"is output 2"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[output(plan)].offset ^= 1; }), {"is not output"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[output(plan)] = Place(); }), {"plan"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[arena(plan)[0]] = Place(); }), {"plan"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph& graph) { plan.places[static_cast<size_t>(graph.inputs[0])].offset = 1; }), {"is input 0"});
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) { plan.places[arena(plan)[0]] = {Place::kInput, 0, kNoValue, 0}; }), {"is no input"});
  // A constant is where the graph has it.
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph& graph) {
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      if (!graph.value(id).is_constant) continue;
      plan.places[static_cast<size_t>(id)] = {Place::kArena, 0, kNoValue, 0};
      plan.facts[static_cast<size_t>(id)].type = Type::Tensor(DType::kFloat, Shape{1});
      return;
    }
  }), {"is a constant"});
  // Plans of another graph.
  ExpectParts(WhyNot([&](StoredPlan& plan, const Graph&) {
    plan.places.pop_back();
    plan.facts.pop_back();
  }), {"other values than the graph"});
}

/// Every flipped bit of the head gives a session or a sentence, and a session runs.
TEST_F(StoredPlans, FlippedBits) {
  ASSERT_TRUE(Make(kGraph, {3}).ok());
  std::ifstream in(Path("m.linnet"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  int opened = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    const char before = bytes[at];
    bytes[at] = static_cast<char>(before ^ (1 << (at * 5 % 8)));
    auto session = OpenBytes(bytes);
    bytes[at] = before;
    if (!session.ok()) {
      ASSERT_NE(session.status().code(), Code::kInternal) << session.status().message();
      continue;
    }
    ++opened;
    Status status = RunSession(**session, {Rows(3)});
    ASSERT_NE(status.code(), Code::kInternal) << status.message();
  }
  EXPECT_GT(opened, 0);
}

}  // namespace
}  // namespace linnet::hostile
