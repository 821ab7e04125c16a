// FlexAttention (ai.onnx.preview, version 1): attention whose scores and probabilities subgraphs may change.
//
//     Y = prob_mod(softmax(score_mod(scale Q K'))) V
//
// Q, K, V are [B, heads, S, size], key heads shared by groups of query heads. The subgraphs take and give the whole tensor
// [B, query heads, S, keys] in the softmax's type: softmax_precision, else float (double for double inputs).
#include <cmath>
#include <limits>

#include "graph/graph.h"
#include "kernels/gemm.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct FlexAttention {
  bool has_scale = false;
  float scale = 0;
  DType precision = DType::kUndefined;
  struct Mod {
    std::shared_ptr<Graph> graph;
    PlanSource* body = nullptr;
    int first_capture = 0, captures = 0;
  };
  Mod score_mod, prob_mod;
  const GemmF32Kernels* gemm = nullptr;

  static constexpr int kCapturesMax = 64;

  struct Bound {
    int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, size = 0, value_size = 0;
    int64_t wide_bytes = 0, scores_bytes = 0, input_bytes = 0, panel_bytes = 0;
  };

  Status Parse(const Node& node) {
    has_scale = node.Has("scale");
    LINNET_ASSIGN(scale, node.Float("scale", 0));
    LINNET_ASSIGN(int64_t type, node.Int("softmax_precision", 0));
    if (type != 0 && (!IsKnown(type) || !(Mask(static_cast<DType>(type)) & kAnyFloat))) {
      return InvalidModel("attribute softmax_precision is ", type);
    }
    precision = static_cast<DType>(type);
    LINNET_ASSIGN(score_mod.graph, node.GraphOf("score_mod"));
    LINNET_ASSIGN(prob_mod.graph, node.GraphOf("prob_mod"));
    int capture = 0;   // captures follow the order of attributes
    for (const Attribute& attribute : node.attributes) {
      Mod* mod = attribute.name == "score_mod" ? &score_mod : attribute.name == "prob_mod" ? &prob_mod : nullptr;
      if (!mod || !mod->graph) continue;
      if (mod->graph->inputs.size() != 1 || mod->graph->outputs().size() != 1) {
        return InvalidModel("attribute ", attribute.name, " has ", mod->graph->inputs.size(), " inputs and ",
                            mod->graph->outputs().size(), " outputs; one of each is expected");
      }
      mod->first_capture = capture;
      mod->captures = static_cast<int>(mod->graph->captures.size());
      capture += mod->captures;
    }
    if (capture > kCapturesMax) return Unsupported("the subgraphs capture ", capture, " values; the limit is ", kCapturesMax);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    for (int i = 0; i < 3; ++i) {
      LINNET_TRY(c.CheckType(i, kAnyFloat));
      LINNET_TRY(c.CheckRank(i, 4));
    }
    LINNET_TRY(CheckSameType(c, {0, 1, 2}));
    auto dim = [&](int input, int axis) { return c.shape(input).has_rank() ? c.shape(input)[axis] : kUnknownDim; };
    constexpr int kSame[][4] = {{0, 0, 1, 0}, {1, 0, 2, 0}, {1, 1, 2, 1}, {1, 2, 2, 2}, {0, 3, 1, 3}};
    for (const auto& [a, a_axis, b, b_axis] : kSame) {
      if (IsKnownDim(dim(a, a_axis)) && IsKnownDim(dim(b, b_axis)) && dim(a, a_axis) != dim(b, b_axis)) {
        return InvalidModel("inputs ", a, " and ", b, " have shapes ", ToString(c.shape(a)), " and ", ToString(c.shape(b)));
      }
    }
    if (IsKnownDim(dim(0, 1)) && IsKnownDim(dim(1, 1)) && (dim(1, 1) == 0 || dim(0, 1) % dim(1, 1) != 0)) {
      return InvalidModel(dim(0, 1), " query heads do not share ", dim(1, 1), " key heads evenly");
    }
    LINNET_TRY(CheckShape(Shape{dim(0, 0), dim(0, 1), dim(0, 2), dim(1, 2)}));
    return c.SetOutput(0, c.dtype(0), Shape{dim(0, 0), dim(0, 1), dim(0, 2), dim(2, 3)});
  }

  Status Prepare(PrepareContext& c) {
    gemm = &PickGemmF32(c.cpu());
    for (Mod* mod : {&score_mod, &prob_mod}) {
      if (!mod->graph) continue;
      LINNET_ASSIGN(mod->body, c.Body(mod->graph));
    }
    return Status();
  }

  DType SoftmaxType(DType input) const {
    if (precision != DType::kUndefined) return precision;
    return input == DType::kDouble ? DType::kDouble : DType::kFloat;
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &q = c.shape(0), &k = c.shape(1);
    b.batch = q[0], b.heads = q[1], b.kv_heads = k[1], b.queries = q[2], b.keys = k[2], b.size = q[3];
    b.value_size = c.shape(2)[3];
    // Room for the widest of the types.
    b.wide_bytes = b.scores_bytes = RoundUp(b.batch * b.heads * b.queries * b.keys * 8, kAlignment);
    b.input_bytes = RoundUp((q.elements() + k.elements() + c.shape(2).elements()) * 8 + 3 * kAlignment, kAlignment);
    b.panel_bytes = RoundUp(kPanelColumns * std::max<int64_t>(b.keys, 1) * 8, kAlignment);
    c.Scratch(b.wide_bytes + 2 * b.scores_bytes + b.input_bytes + b.panel_bytes);
    return Status();
  }

  Status Run(RunContext& c) const {
    if (c.output_shape(0).elements() == 0) return Status();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      return ForType<kAnyFloat>(SoftmaxType(c.input_dtype(0)), [&]<class P>() -> Status { return RunAs<T, P>(c); });
    });
  }

  template <class T, class P>
  Status RunAs(RunContext& c) const {
    using W = std::conditional_t<std::is_same_v<T, double> || std::is_same_v<P, double>, double, float>;
    const Bound& b = c.params<Bound>();
    std::byte* memory = c.scratch();
    W* wide = reinterpret_cast<W*>(memory);
    P* scores = reinterpret_cast<P*>(memory + b.wide_bytes);
    P* changed = reinterpret_cast<P*>(memory + b.wide_bytes + b.scores_bytes);
    W* inputs = reinterpret_cast<W*>(memory + b.wide_bytes + 2 * b.scores_bytes);
    W* panel = reinterpret_cast<W*>(memory + b.wide_bytes + 2 * b.scores_bytes + b.input_bytes);
    const W *q = Widened(c.in<T>(0), c.input_shape(0).elements(), &inputs);
    const W *k = Widened(c.in<T>(1), c.input_shape(1).elements(), &inputs);
    const W *v = Widened(c.in<T>(2), c.input_shape(2).elements(), &inputs);
    const W factor = has_scale ? static_cast<W>(scale) : static_cast<W>(1 / std::sqrt(static_cast<double>(std::max<int64_t>(b.size, 1))));
    const int64_t count = b.batch * b.heads * b.queries * b.keys, group = b.heads / b.kv_heads, rows = b.batch * b.heads;
    for (int64_t i = 0; i < rows; ++i) {
      LINNET_TRY(c.CheckStop());
      const int64_t kv = i / b.heads * b.kv_heads + i % b.heads / group;
      Products(q + i * b.queries * b.size, k + kv * b.keys * b.size, b, wide + i * b.queries * b.keys);
    }
    for (int64_t i = 0; i < count; ++i) scores[i] = Narrow<P>(wide[i] * factor);
    LINNET_TRY(Change(c, b, score_mod, &scores, &changed));
    if (b.keys > 0) {
      for (int64_t i = 0; i < rows * b.queries; ++i) Softmax(scores + i * b.keys, b.keys);
    }
    LINNET_TRY(Change(c, b, prob_mod, &scores, &changed));
    for (int64_t i = 0; i < count; ++i) wide[i] = static_cast<W>(Widen(scores[i]));
    for (int64_t i = 0; i < rows; ++i) {
      LINNET_TRY(c.CheckStop());
      const int64_t kv = i / b.heads * b.kv_heads + i % b.heads / group;
      Values(wide + i * b.queries * b.keys, v + kv * b.keys * b.value_size, b, panel, c.out<T>(0) + i * b.queries * b.value_size);
    }
    return Status();
  }

  template <class T, class W>
  static const W* Widened(const T* from, int64_t count, W** memory) {
    if constexpr (std::is_same_v<T, W>) {
      return from;
    } else {
      W* to = *memory;
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<W>(Widen(from[i]));
      *memory += RoundUp(count, 16);
      return to;
    }
  }

  template <class W>
  void Products(const W* q, const W* k, const Bound& b, W* out) const {
    if constexpr (std::is_same_v<W, float>) {
      GemmF32 g;
      g.a = q, g.a_row_stride = b.size;
      g.m = b.queries, g.n = b.keys, g.k = b.size;
      g.b = k, g.b_row_stride = b.size;
      g.c = out, g.c_row_stride = b.keys;
      gemm->run_transposed(g, 0, b.keys);
    } else {
      for (int64_t i = 0; i < b.queries; ++i) {
        for (int64_t j = 0; j < b.keys; ++j) {
          W sum = 0;
          for (int64_t d = 0; d < b.size; ++d) sum += q[i * b.size + d] * k[j * b.size + d];
          out[i * b.keys + j] = sum;
        }
      }
    }
  }

  /// Rows of probabilities times values, straight into the output where its type allows.
  template <class W, class T>
  void Values(const W* p, const W* v, const Bound& b, W* panel, T* y) const {
    if constexpr (std::is_same_v<W, float> && std::is_same_v<T, float>) {
      GemmF32 g;
      g.a = p, g.a_row_stride = b.keys;
      g.m = b.queries, g.n = b.value_size, g.k = b.keys;
      g.b = v, g.b_row_stride = b.value_size;
      g.c = y, g.c_row_stride = b.value_size;
      gemm->run_row_major(g, 0, b.queries, panel);
    } else {
      for (int64_t i = 0; i < b.queries; ++i) {
        for (int64_t d = 0; d < b.value_size; ++d) {
          W sum = 0;
          for (int64_t j = 0; j < b.keys; ++j) sum += p[i * b.keys + j] * v[j * b.value_size + d];
          y[i * b.value_size + d] = Narrow<T>(sum);
        }
      }
    }
  }

  template <class P>
  static void Softmax(P* s, int64_t n) {
    using W = Wide<P>;
    W most = -std::numeric_limits<W>::infinity(), sum = 0;
    for (int64_t j = 0; j < n; ++j) most = Widen(s[j]) > most ? Widen(s[j]) : most;
    for (int64_t j = 0; j < n; ++j) sum += std::exp(Widen(s[j]) - most);
    for (int64_t j = 0; j < n; ++j) s[j] = Narrow<P>(std::exp(Widen(s[j]) - most) / sum);
  }

  /// Runs a subgraph on *scores into *spare and swaps the two.
  template <class P>
  Status Change(RunContext& c, const Bound& b, const Mod& mod, P** scores, P** spare) const {
    if (!mod.body) return Status();
    const Type type = Type::Tensor(kDTypeOf<P>, Shape{b.batch, b.heads, b.queries, b.keys});
    Fact facts[1 + kCapturesMax];
    facts[0] = {type, *scores};
    for (int i = 0; i < mod.captures; ++i) facts[1 + i] = c.capture(mod.first_capture + i);
    RunOutput out;
    out.data = *spare;
    out.capacity = b.scores_bytes;
    LINNET_TRY(c.RunBody(*mod.body, facts, 1 + mod.captures, &out, 1));
    if (!(out.type == type)) return InvalidModel("a subgraph made ", ToString(out.type), " of ", ToString(type));
    std::swap(*scores, *spare);
    return Status();
  }
};

}  // namespace

LINNET_PREVIEW_OP(FlexAttention, 1, FlexAttention);

}  // namespace linnet
