// LinearRegressor and LinearClassifier: scores = X W^T + b, transformed; the classifier answers with a label too.
//
// One row of weights for two classes is a margin: its sign decides, and the other class scores its negative.
#include "kernels/gemm.h"
#include "ops/ml_helpers.h"

namespace linnet {
namespace {

struct LinearScores {
  std::vector<float> weights, bias;   ///< [targets][features] until packed; bias may be empty
  int64_t targets = 1, features = 0;
  PostTransform post = PostTransform::kNone;
  const GemmF32Kernels* kernels = nullptr;
  Block packed;
  static constexpr int64_t kRows = 64;   ///< rows of a task

  Status ParseWeights(const Node& node) {
    LINNET_ASSIGN(post, ParsePostTransform(node));
    LINNET_ASSIGN(weights, node.Floats("coefficients"));
    LINNET_ASSIGN(bias, node.Floats("intercepts"));
    return Status();
  }
  Status SetTargets(int64_t count) {
    targets = count;
    const int64_t size = static_cast<int64_t>(weights.size());
    if (count < 1 || size % count != 0) return InvalidModel("attribute 'coefficients' has ", size, " numbers for ", count, " targets");
    features = size / count;
    if (!bias.empty() && static_cast<int64_t>(bias.size()) != count) {
      return InvalidModel("attribute 'intercepts' has ", bias.size(), " numbers for ", count, " targets");
    }
    return Status();
  }
  Status CheckInput(const InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kMlNumbers));
    const Shape& in = c.shape(0);
    if (in.has_rank() && IsKnownDim(ColumnsOf(in)) && ColumnsOf(in) != features) {
      return InvalidArgument("input has ", ColumnsOf(in), " features where the model has ", features);
    }
    return Status();
  }
  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    LINNET_ASSIGN(packed, Block::Allocate(PackedSizeF32(features, targets) * static_cast<int64_t>(sizeof(float))));
    PackF32(weights.data(), features, targets, 1, features, reinterpret_cast<float*>(packed.data()));
    weights = {};
    return Status();
  }
  Status Bind(BindContext& c) const {
    c.Scratch(kRows * (features + targets) * static_cast<int64_t>(sizeof(float)), c.threads());
    return Status();
  }
  /// Calls finish(row, scores) for every row; scores may be changed.
  template <class F>
  Status ForEachRow(RunContext& c, F&& finish) const {
    const int64_t rows = RowsOf(c.input_shape(0));
    const double ns = 0.2 * static_cast<double>(features) * static_cast<double>(RoundUp(targets, 16)) + 20;
    return c.ParallelFor(rows, kRows, ns, [&](int64_t begin, int64_t end, int worker) {
      auto* x = reinterpret_cast<float*>(c.scratch(worker));
      float* scores = x + kRows * features;
      for (int64_t first = begin; first < end; first += kRows) {
        const int64_t count = std::min(kRows, end - first);
        GemmF32 gemm;
        gemm.a = x;
        if (c.input_dtype(0) == DType::kFloat) {
          gemm.a = c.in<float>(0) + first * features;
        } else {
          LoadNumbers(c.input_dtype(0), c.input(0), first * features, count * features, x);
        }
        gemm.a_row_stride = gemm.k = features;
        gemm.m = count;
        gemm.n = gemm.c_row_stride = targets;
        gemm.c = scores;
        UsePackedB(&gemm, reinterpret_cast<const float*>(packed.data()));
        if (!bias.empty()) gemm.epilogue.bias = bias.data();
        kernels->run(gemm, 0, count, 0, PanelCount(targets));
        for (int64_t r = 0; r < count; ++r) finish(first + r, scores + r * targets);
      }
    });
  }
};

struct LinearRegressor : LinearScores {
  Status Parse(const Node& node) {
    LINNET_TRY(ParseWeights(node));
    LINNET_ASSIGN(int64_t count, node.Int("targets", 1));
    return SetTargets(count);
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(CheckInput(c));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    return c.SetOutput(0, DType::kFloat, {rows, targets});
  }
  Status Run(RunContext& c) const {
    return ForEachRow(c, [&](int64_t row, float* scores) {
      ApplyPostTransform(post, scores, targets);
      CopyRun(c.out<float>(0) + row * targets, scores, targets);
    });
  }
};

struct LinearClassifier : LinearScores {
  std::vector<int64_t> ints;
  std::vector<std::string> strings;
  int64_t classes = 1;        ///< columns of the scores

  Status Parse(const Node& node) {
    LINNET_TRY(ParseWeights(node));
    LINNET_ASSIGN(ints, node.Ints("classlabels_ints"));
    LINNET_ASSIGN(strings, node.Strings("classlabels_strings"));
    if (!ints.empty() && !strings.empty()) return InvalidModel("has both 'classlabels_ints' and 'classlabels_strings'");
    const int64_t labels = static_cast<int64_t>(ints.size() + strings.size());
    // Intercepts say how many rows of weights there are; without them, labels do.
    LINNET_TRY(SetTargets(!bias.empty() ? static_cast<int64_t>(bias.size()) : std::max<int64_t>(labels, 1)));
    classes = targets == 1 && labels == 2 ? 2 : targets;
    if (labels != 0 && labels != classes) return InvalidModel(labels, " labels for ", classes, " classes");
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(CheckInput(c));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    LINNET_TRY(c.SetOutput(0, strings.empty() ? DType::kInt64 : DType::kString, {rows}));
    return c.SetOutput(1, DType::kFloat, {rows, classes});
  }
  Status Run(RunContext& c) const {
    float* out = c.has_output(1) ? c.out<float>(1) : nullptr;
    return ForEachRow(c, [&](int64_t row, float* scores) {
      int64_t best = 0;
      if (targets == 1) {
        best = scores[0] > 0;
      } else {
        for (int64_t t = 1; t < targets; ++t) best = scores[t] > scores[best] ? t : best;
      }
      PutLabel(c, row, best);
      if (!out) return;
      float* to = out + row * classes;
      if (classes != targets) {
        to[0] = -scores[0];
        to[1] = scores[0];
      } else {
        CopyRun(to, scores, targets);
      }
      ApplyPostTransform(post, to, classes);
    });
  }
  void PutLabel(RunContext& c, int64_t row, int64_t best) const {
    if (!c.has_output(0)) return;
    const size_t index = static_cast<size_t>(best);
    if (!strings.empty()) {
      // A single label is the positive one; its absence has no name.
      c.out<std::string>(0)[row] = classes == 1 ? (best ? strings[0] : std::string()) : strings[index];
    } else if (!ints.empty()) {
      c.out<int64_t>(0)[row] = classes == 1 ? (best ? ints[0] : 0) : ints[index];
    } else {
      c.out<int64_t>(0)[row] = best;
    }
  }
};

}  // namespace

LINNET_ML_OP(LinearRegressor, 1, LinearRegressor);
LINNET_ML_OP(LinearClassifier, 1, LinearClassifier);

}  // namespace linnet
