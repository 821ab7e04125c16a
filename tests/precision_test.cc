// The option `precision`: which nodes it marks, how far results move, and that files say what they were prepared for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "api/full_build.h"
#include "api/precision.h"
#include "api_test_util.h"
#include "guarded.h"
#include "passes_test_util.h"

namespace linnet {
namespace {

/// "name = const float[dims]{...}" of numbers whose products neither grow nor vanish.
std::string Weights(const std::string& name, const std::vector<int64_t>& dims) {
  int64_t elements = 1, inner = 1;
  std::string shape, numbers;
  for (size_t i = 0; i < dims.size(); ++i) {
    elements *= dims[i], inner *= i > 0 ? dims[i] : 1;
    shape += Cat(i == 0 ? "" : ",", dims[i]);
  }
  static uint32_t state = 1;
  const double scale = 2 / std::sqrt(static_cast<double>(std::max<int64_t>(inner, 1)));
  for (int64_t i = 0; i < elements; ++i) {
    state = state * 1664525 + 1013904223;
    numbers += Cat(i == 0 ? "" : ", ", (static_cast<double>(state >> 8) / (1 << 23) - 1) * scale);
  }
  return Cat("  ", name, " = const float[", shape, "]{", numbers, "}\n");
}

/// What the option may mark (two products) and must not (few weights, a vector of them, integers' neighbour).
const std::string& Matrices() {
  static const std::string text =
      "graph g (x: float[rows,96]) -> (y) {\n" + Weights("w1", {96, 200}) + Weights("b1", {200}) +
      Weights("w2", {90, 200}) + Weights("b2", {90}) + Weights("w3", {90, 32}) +
      "  a = MatMul-13(x, w1)\n  b = Add-13(a, b1)\n  c = Relu-13(b)\n  d = Gemm-13(c, w2, b2) {transB=1, alpha=0.5}\n"
      "  y: float[rows,32] = MatMul-13(d, w3)\n}\n";
  return text;
}
const std::string& Images() {
  static const std::string text =
      "graph g (x: float[2,3,40,36]) -> (y) {\n" + Weights("w1", {32, 3, 3, 3}) + Weights("w2", {48, 32, 3, 3}) +
      Weights("b2", {48}) + Weights("w3", {64, 48, 1, 1}) + Weights("w4", {64, 1, 3, 3}) + Weights("w5", {40, 64, 3, 3}) +
      "  a = Conv-13(x, w1) {pads=[1, 1, 1, 1], strides=[2, 2]}\n"
      "  b = Conv-13(a, w2, b2) {pads=[1, 1, 1, 1]}\n  c = Relu-13(b)\n  d = Conv-13(c, w3)\n"
      "  e = Conv-13(d, w4) {pads=[1, 1, 1, 1], group=64}\n  f = Sigmoid-13(e)\n"
      "  y: float[2,40,10,9] = Conv-13(f, w5) {pads=[1, 1, 1, 1], strides=[2, 2]}\n}\n";
  return text;
}
const std::string& Blocks() {
  static const std::string text =
      "graph g (x: float[1,16,56,56]) -> (y) {\n" + Weights("w0", {16, 16, 3, 3}) + Weights("w1", {96, 16, 1, 1}) +
      Weights("b1", {96}) + Weights("w2", {96, 1, 3, 3}) + Weights("w3", {16, 96, 1, 1}) + Weights("b3", {16}) +
      "  o = Conv-13(x, w0) {pads=[1, 1, 1, 1]}\n  a = Conv-13(o, w1, b1)\n  b = Relu-13(a)\n"
      "  c = Conv-13(b, w2) {pads=[1, 1, 1, 1], group=96}\n  d = Relu-13(c)\n  e = Conv-13(d, w3, b3)\n  y: float[1,16,56,56] = Add-13(e, o)\n}\n";
  return text;
}

struct Marks {
  int marked = 0, unmarked = 0, blocks = 0;
};
Marks MarksOf(const std::string& text, Precision precision) {
  Graph graph = Parsed(text);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  context.precision = precision;
  Status status = RunPipeline(graph, context, {});
  EXPECT_TRUE(status.ok()) << status.message();
  Marks marks;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (node.inputs.size() < 2 || !graph.is_constant(node.inputs[1])) continue;
    ++(node.Has("precision") ? marks.marked : marks.unmarked);
    marks.blocks += node.op == "ConvBlock";
  }
  return marks;
}

TEST(Precision, MarksWhatPays) {
  for (const std::string* text : {&Matrices(), &Images(), &Blocks()}) EXPECT_EQ(MarksOf(*text, Precision::kFloat32).marked, 0);
  for (Precision precision : {Precision::kBfloat16, Precision::kFloat16}) {
    const Marks matrices = MarksOf(Matrices(), precision), images = MarksOf(Images(), precision);
    EXPECT_EQ(matrices.marked, 2);
    EXPECT_EQ(matrices.unmarked, 1);   // the last: too few weights
    EXPECT_EQ(images.marked, 3);
    EXPECT_EQ(images.unmarked, 2);     // the first, of three channels, and the depthwise one
    const Marks blocks = MarksOf(Blocks(), precision);
    EXPECT_EQ(blocks.blocks, 1);
    EXPECT_EQ(blocks.marked, 2);
  }
}

/// The first output for seeded inputs.
std::vector<float> RunOnce(Session& session) {
  Numbers numbers;
  Shape shape = session.inputs()[0].type.shape;
  for (int d = 0; d < shape.rank(); ++d) shape[d] = shape[d] < 0 ? 37 : shape[d];
  Result<Tensor> x = Tensor::Allocate(DType::kFloat, shape);
  for (int64_t i = 0; i < x->elements(); ++i) x->mutable_as<float>()[i] = numbers.Next();
  const Fact fact{x->type(), x->data()};
  std::vector<RunOutput> outputs(session.outputs().size());
  Status status = session.Run(&fact, outputs.data());
  EXPECT_TRUE(status.ok()) << status.message();
  if (!status.ok()) return {};
  const Tensor& y = outputs[0].datum.tensor;
  return std::vector<float>(y.as<float>(), y.as<float>() + y.elements());
}

std::vector<float> RunText(const std::string& text, const SessionOptions& options) {
  const std::string bytes = linnet_test::ModelBytes(text);
  Result<std::unique_ptr<Session>> session = Session::FromMemory(bytes.data(), bytes.size(), nullptr, options);
  EXPECT_TRUE(session.ok()) << session.status().message();
  return session.ok() ? RunOnce(**session) : std::vector<float>();
}

SessionOptions With(const std::string& precision, const char* cpu = "", int threads = 1) {
  SessionOptions options;
  options.precision = precision;
  options.cpu = cpu;
  options.threads = threads;
  return options;
}

TEST(Precision, MovesResultsALittle) {
  for (const std::string* text : {&Matrices(), &Images(), &Blocks()}) {
    std::vector<CpuLevel> levels = FloatLevels();
    levels.push_back(DetectedCpuLevel());
    for (CpuLevel level : levels) {
      const char* cpu = CpuLevelName(level);
      const std::vector<float> exact = RunText(*text, With("", cpu)), same = RunText(*text, With("f32", cpu));
      EXPECT_EQ(exact, same) << cpu;
      for (const char* precision : {"bf16", "fp16"}) {
        const std::vector<float> reduced = RunText(*text, With(precision, cpu));
        ASSERT_EQ(exact.size(), reduced.size());
        double most = 0, size = 0;
        for (size_t i = 0; i < exact.size(); ++i) {
          most = std::max(most, std::fabs(static_cast<double>(exact[i]) - static_cast<double>(reduced[i])));
          size = std::max(size, std::fabs(static_cast<double>(exact[i])));
        }
        EXPECT_GT(most, 1e-5 * size) << cpu << " " << precision << ": nothing was rounded";
        EXPECT_LT(most, 2e-2 * size) << cpu << " " << precision;
        EXPECT_EQ(reduced, RunText(*text, With(precision, cpu, 3))) << cpu << " " << precision << ": other bits on three threads";
      }
    }
  }
}

TEST(Precision, FilesSayWhatTheyWerePreparedFor) {
  const std::string model = linnet_test::TemporaryPath("model.onnx"), folder = (std::filesystem::path(model).parent_path()).string();
  const std::vector<std::string> precisions = {"f32", "bf16", "fp16"};
  auto file_of = [&](const std::string& precision) { return folder + "/" + precision + ".linnet"; };
  for (const std::string* text : {&Matrices(), &Images(), &Blocks()}) {
    const std::string bytes = linnet_test::ModelBytes(*text);
    FILE* file = fopen(model.c_str(), "wb");
    ASSERT_EQ(fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    fclose(file);
    for (const std::string& prepared : precisions) {
      Status status = ConvertModel(model, file_of(prepared), With(prepared));
      ASSERT_TRUE(status.ok()) << status.message();
      if (prepared != "f32") {
        EXPECT_LT(std::filesystem::file_size(file_of(prepared)), std::filesystem::file_size(file_of("f32")));
      }
      for (const std::string asked : {"", "f32", "bf16", "fp16"}) {
        Result<std::unique_ptr<Session>> session = Session::Open(file_of(prepared), With(asked));
        if (!asked.empty() && asked != prepared) {
          ASSERT_FALSE(session.ok());
          EXPECT_NE(session.status().message().find(Cat("was prepared for precision ", prepared, ", not ", asked)), std::string::npos)
              << session.status().message();
          continue;
        }
        ASSERT_TRUE(session.ok()) << session.status().message();
        EXPECT_STREQ(PrecisionName((*session)->precision()), prepared.c_str());
        EXPECT_EQ(RunOnce(**session), RunText(*text, With(prepared, "", 1)));
      }
      // A file serves every CPU level.
      for (CpuLevel level : FloatLevels()) {
        Result<std::unique_ptr<Session>> session = Session::Open(file_of(prepared), With("", CpuLevelName(level)));
        ASSERT_TRUE(session.ok()) << session.status().message();
        EXPECT_EQ(RunOnce(**session), RunText(*text, With(prepared, CpuLevelName(level), 1)));
      }
    }
  }
  // Half is what processors of this family multiply fast, and any file of 16 bits.
  Result<Precision> half = ParsePrecision("half");
  ASSERT_TRUE(half.ok());
  EXPECT_STREQ(PrecisionName(*half), kHalfHere);
  for (const std::string& prepared : precisions) {
    EXPECT_EQ(Session::Open(file_of(prepared), With("half")).ok(), prepared != "f32") << prepared;
  }
  EXPECT_EQ(ParsePrecision("fp8").status().code(), Code::kInvalidArgument);
  // ONNX has no word for it.
  EXPECT_EQ(WriteOptimizedOnnx(model, folder + "/out.onnx", With("bf16")).code(), Code::kInvalidArgument);
  // Each precision has a file of its own in the cache.
  SessionOptions cached = With("");
  cached.cache_folder = folder + "/cache";
  for (const std::string precision : {"bf16", "f32", "fp16", "", "bf16"}) {
    cached.precision = precision;
    Result<std::unique_ptr<Session>> session = Session::Open(model, cached);
    ASSERT_TRUE(session.ok()) << session.status().message();
    EXPECT_STREQ(PrecisionName((*session)->precision()), precision.empty() ? "f32" : precision.c_str());
  }
  int files = 0;   // notes lie beside them where the model is no longer new
  for (const auto& entry : std::filesystem::directory_iterator(cached.cache_folder)) files += entry.path().extension() == ".linnet";
  EXPECT_EQ(files, 3);
}

}  // namespace
}  // namespace linnet
