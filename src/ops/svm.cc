// SVMRegressor and SVMClassifier: support vector machines, or linear models when there are no support vectors.
//
// A classifier of c classes holds c (c - 1) / 2 machines, one for each pair. Votes decide the label; with prob_a and
// prob_b each machine's score becomes the probability of its pair (Platt), and these are coupled into probabilities of
// the classes (Wu, Lin, Weng: "Probability estimates for multi-class classification by pairwise coupling", 2004, the
// second method).
#include "ops/ml_helpers.h"

namespace linnet {
namespace {

enum class SvmKernel : uint8_t { kLinear, kPoly, kRbf, kSigmoid };

struct SvmBase {
  SvmKernel kernel = SvmKernel::kLinear;
  float gamma = 0, coef0 = 0, degree = 0;
  PostTransform post = PostTransform::kNone;
  std::vector<float> coefficients, vectors, rho;
  int64_t features = 0;
  int64_t vector_count = 0;

  Status ParseBase(const Node& node) {
    LINNET_ASSIGN(std::string name, node.String("kernel_type", "LINEAR"));
    if (name == "LINEAR") {
      kernel = SvmKernel::kLinear;
    } else if (name == "POLY") {
      kernel = SvmKernel::kPoly;
    } else if (name == "RBF") {
      kernel = SvmKernel::kRbf;
    } else if (name == "SIGMOID") {
      kernel = SvmKernel::kSigmoid;
    } else {
      return InvalidModel("attribute 'kernel_type' is ", Quote(name), "; known: LINEAR, POLY, RBF, SIGMOID");
    }
    LINNET_ASSIGN(std::vector<float> parameters, node.Floats("kernel_params"));
    if (!parameters.empty() && parameters.size() != 3) return InvalidModel("attribute 'kernel_params' has ", parameters.size(), " numbers where 3 are expected");
    if (!parameters.empty()) {
      gamma = parameters[0];
      coef0 = parameters[1];
      degree = parameters[2];
    }
    LINNET_ASSIGN(post, ParsePostTransform(node));
    LINNET_ASSIGN(coefficients, node.Floats("coefficients"));
    LINNET_ASSIGN(vectors, node.Floats("support_vectors"));
    LINNET_ASSIGN(rho, node.Floats("rho"));
    if (rho.empty()) return InvalidModel("attribute 'rho' is missing");
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
  /// The kernel of x and one vector, both of `features` floats.
  float Apply(const float* x, const float* v) const {
    float lanes[8] = {};
    int64_t i = 0;
    if (kernel == SvmKernel::kRbf) {
      for (; i + 8 <= features; i += 8) {
        for (int k = 0; k < 8; ++k) lanes[k] += (x[i + k] - v[i + k]) * (x[i + k] - v[i + k]);
      }
      for (; i < features; ++i) lanes[0] += (x[i] - v[i]) * (x[i] - v[i]);
    } else {
      for (; i + 8 <= features; i += 8) {
        for (int k = 0; k < 8; ++k) lanes[k] += x[i + k] * v[i + k];
      }
      for (; i < features; ++i) lanes[0] += x[i] * v[i];
    }
    const float sum = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    switch (kernel) {
      case SvmKernel::kPoly: return powf(gamma * sum + coef0, degree);
      case SvmKernel::kSigmoid: return tanhf(gamma * sum + coef0);
      case SvmKernel::kRbf: return expf(-gamma * sum);
      default: return sum;
    }
  }
  /// Calls finish(row, x, scratch) for every row; scratch is the `extra` floats of this worker.
  template <class F>
  Status ForEachRow(RunContext& c, int64_t extra, double ns, F&& finish) const {
    return c.ParallelFor(RowsOf(c.input_shape(0)), 1, ns, [&](int64_t begin, int64_t end, int worker) {
      auto* buffer = reinterpret_cast<float*>(c.scratch(worker));
      for (int64_t row = begin; row < end; ++row) {
        LoadNumbers(c.input_dtype(0), c.input(0), row * features, features, buffer);
        finish(row, buffer, buffer + features);
      }
    });
  }
  void BindScratch(BindContext& c, int64_t extra) const {
    c.Scratch((features + extra) * static_cast<int64_t>(sizeof(float)), c.threads());
  }
};

struct SvmRegressor : SvmBase {
  bool one_class = false;

  Status Parse(const Node& node) {
    LINNET_TRY(ParseBase(node));
    LINNET_ASSIGN(vector_count, node.Int("n_supports", 0));
    LINNET_ASSIGN(int64_t flag, node.Int("one_class", 0));
    one_class = flag != 0;
    const int64_t coefficient_count = static_cast<int64_t>(coefficients.size()), numbers = static_cast<int64_t>(vectors.size());
    if (vector_count > 0) {
      if (numbers % vector_count != 0 || coefficient_count != vector_count) {
        return InvalidModel(numbers, " numbers and ", coefficient_count, " coefficients for ", vector_count, " support vectors");
      }
      features = numbers / vector_count;
    } else {
      if (vector_count < 0) return InvalidModel("attribute 'n_supports' is ", vector_count);
      kernel = SvmKernel::kLinear;
      features = coefficient_count;
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(CheckInput(c));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    return c.SetOutput(0, DType::kFloat, {rows, 1});
  }
  Status Bind(BindContext& c) const {
    BindScratch(c, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const double ns = static_cast<double>(std::max<int64_t>(1, vector_count)) * (20 + 0.3 * static_cast<double>(features));
    return ForEachRow(c, 0, ns, [&](int64_t row, const float* x, float*) {
      float sum = 0;
      if (vector_count > 0) {
        for (int64_t j = 0; j < vector_count; ++j) sum += coefficients[static_cast<size_t>(j)] * Apply(x, vectors.data() + j * features);
      } else {
        sum = Apply(x, coefficients.data());
      }
      sum += rho[0];
      if (one_class) {
        sum = sum > 0 ? 1.0f : -1.0f;
      } else {
        ApplyPostTransform(post, &sum, 1);
      }
      c.out<float>(0)[row] = sum;
    });
  }
};

struct SvmClassifier : SvmBase {
  ClassLabels labels;
  int64_t classes = 0, pairs = 0;
  std::vector<int64_t> first_vector;      ///< of each class, and the end
  std::vector<float> prob_a, prob_b;
  bool all_positive = true;
  static constexpr int64_t kClassesMax = 4096;

  bool linear() const { return vector_count == 0; }
  bool probabilities() const { return !prob_a.empty() && !linear(); }

  Status Parse(const Node& node) {
    LINNET_TRY(ParseBase(node));
    LINNET_TRY(labels.Parse(node, "classlabels_ints", "classlabels_strings"));
    LINNET_ASSIGN(std::vector<int64_t> counts, node.Ints("vectors_per_class"));
    LINNET_ASSIGN(prob_a, node.Floats("prob_a"));
    LINNET_ASSIGN(prob_b, node.Floats("prob_b"));
    classes = labels.size();
    if (classes > kClassesMax) return LimitReached(classes, " classes are above the limit of ", kClassesMax);
    pairs = classes * (classes - 1) / 2;
    first_vector.assign(1, 0);
    for (int64_t count : counts) {
      if (count < 0 || !CheckedAdd(vector_count, count, &vector_count)) return InvalidModel("attribute 'vectors_per_class' has ", count);
      first_vector.push_back(vector_count);
    }
    const int64_t coefficient_count = static_cast<int64_t>(coefficients.size()), numbers = static_cast<int64_t>(vectors.size());
    if (linear()) {
      kernel = SvmKernel::kLinear;
      if (coefficient_count % classes != 0) return InvalidModel(coefficient_count, " coefficients for ", classes, " classes");
      features = coefficient_count / classes;
    } else {
      if (static_cast<int64_t>(counts.size()) != classes || numbers % vector_count != 0 || classes < 2 ||
          coefficient_count != (classes - 1) * vector_count || static_cast<int64_t>(rho.size()) < pairs) {
        return InvalidModel(numbers, " numbers, ", coefficient_count, " coefficients and ", rho.size(), " values of rho for ",
                            vector_count, " support vectors of ", classes, " classes");
      }
      features = numbers / vector_count;
    }
    if (prob_a.size() != prob_b.size() || (probabilities() && static_cast<int64_t>(prob_a.size()) < pairs)) {
      return InvalidModel("attributes 'prob_a' and 'prob_b' have ", prob_a.size(), " and ", prob_b.size(), " numbers for ", pairs, " pairs");
    }
    for (float coefficient : coefficients) all_positive = all_positive && coefficient >= 0;
    return Status();
  }
  /// Scores of a row: of classes, or of pairs (two classes make one pair, which gives two columns).
  int64_t score_count() const { return linear() || probabilities() ? classes : pairs; }
  int64_t columns() const { return std::max<int64_t>(score_count(), classes == 2 ? 2 : 1); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(CheckInput(c));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    LINNET_TRY(c.SetOutput(0, labels.dtype(), {rows}));
    return c.SetOutput(1, DType::kFloat, {rows, columns()});
  }
  /// Scratch floats: scores, votes, and either kernels or what Couple needs.
  int64_t extra() const {
    const int64_t coupling = probabilities() ? 2 * classes * (classes + 1) : 0;
    return std::max(pairs, classes) + 2 + classes + std::max(vector_count, coupling);
  }
  Status Bind(BindContext& c) const {
    BindScratch(c, extra());
    return Status();
  }
  Status Run(RunContext& c) const {
    const double ns = static_cast<double>(linear() ? classes : vector_count + pairs * 8) * (20 + 0.3 * static_cast<double>(features));
    return ForEachRow(c, extra(), ns, [&](int64_t row, const float* x, float* scratch) { Classify(c, row, x, scratch); });
  }

  void Classify(RunContext& c, int64_t row, const float* x, float* scratch) const {
    float* scores = scratch;                       // columns() of them at least
    float* votes = scores + std::max(pairs, classes) + 2;
    int64_t best = 0;
    float weight;
    if (linear()) {
      for (int64_t k = 0; k < classes; ++k) {
        scores[k] = Apply(x, coefficients.data() + k * features) + rho[0];
      }
      for (int64_t k = 1; k < classes; ++k) best = scores[k] > scores[best] ? k : best;
      weight = scores[best];
    } else {
      PairScores(x, votes + classes, scores, votes);
      if (probabilities()) Couple(scores, votes + classes);
      for (int64_t k = 1; k < classes; ++k) best = votes[k] > votes[best] ? k : best;
      weight = votes[best];
    }
    if (rho.size() == 1 && classes == 2 && !probabilities() && all_positive && weight >= 0.5f) best = 1;
    labels.Put(c, row, best);
    if (!c.has_output(1)) return;
    if (score_count() == 1 && classes == 2) {
      scores[1] = scores[0];
      scores[0] = -scores[1];
    }
    ApplyPostTransform(post, scores, columns());
    CopyRun(c.out<float>(1) + row * columns(), scores, columns());
  }

  void PairScores(const float* x, float* kernels, float* scores, float* votes) const {
    for (int64_t j = 0; j < vector_count; ++j) kernels[j] = Apply(x, vectors.data() + j * features);
    for (int64_t k = 0; k < classes; ++k) votes[k] = 0;
    auto part = [&](int64_t row, int64_t k) {
      float sum = 0;
      for (int64_t v = first_vector[static_cast<size_t>(k)]; v < first_vector[static_cast<size_t>(k) + 1]; ++v) {
        sum += coefficients[static_cast<size_t>(row * vector_count + v)] * kernels[v];
      }
      return sum;
    };
    int64_t pair = 0;
    for (int64_t i = 0; i < classes; ++i) {
      for (int64_t j = i + 1; j < classes; ++j, ++pair) {
        scores[pair] = rho[static_cast<size_t>(pair)] + part(j - 1, i) + part(i, j);
        votes[scores[pair] > 0 ? i : j] += 1;
      }
    }
  }

  /// Pair scores become class probabilities, in place. `work`: 2 classes^2 + 2 classes floats.
  void Couple(float* scores, float* work) const {
    const int64_t n = classes;
    float *r = work, *q = r + n * n, *qp = q + n * n, *p = qp + n;
    int64_t pair = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i + 1; j < n; ++j, ++pair) {
        const float score = scores[pair] * prob_a[static_cast<size_t>(pair)] + prob_b[static_cast<size_t>(pair)];
        const float probability = std::clamp(1 - Logistic(score), 1e-7f, 1 - 1e-7f);
        r[i * n + j] = probability;
        r[j * n + i] = 1 - probability;
      }
    }
    for (int64_t t = 0; t < n; ++t) {
      p[t] = 1.0f / static_cast<float>(n);
      q[t * n + t] = 0;
      for (int64_t j = 0; j < n; ++j) {
        if (j == t) continue;
        q[t * n + t] += r[j * n + t] * r[j * n + t];
        q[t * n + j] = -r[j * n + t] * r[t * n + j];
      }
    }
    const float small = 0.005f / static_cast<float>(n);
    for (int64_t turn = 0; turn < std::max<int64_t>(100, n); ++turn) {
      float total = 0, error = 0;
      for (int64_t t = 0; t < n; ++t) {
        qp[t] = 0;
        for (int64_t j = 0; j < n; ++j) qp[t] += q[t * n + j] * p[j];
        total += p[t] * qp[t];
      }
      for (int64_t t = 0; t < n; ++t) error = std::max(error, fabsf(qp[t] - total));
      if (error < small) break;
      for (int64_t t = 0; t < n; ++t) {
        const float step = (total - qp[t]) / q[t * n + t];
        p[t] += step;
        total = (total + step * (step * q[t * n + t] + 2 * qp[t])) / (1 + step) / (1 + step);
        for (int64_t j = 0; j < n; ++j) {
          qp[j] = (qp[j] + step * q[t * n + j]) / (1 + step);
          p[j] /= 1 + step;
        }
      }
    }
    CopyRun(scores, p, n);
  }
};

}  // namespace

LINNET_ML_OP(SVMRegressor, 1, SvmRegressor);
LINNET_ML_OP(SVMClassifier, 1, SvmClassifier);

}  // namespace linnet
