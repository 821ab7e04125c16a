// LinearAttention: attention as a recurrence over a state matrix of each key head (version 27).
//
//     state *= exp(decay)                                    update_rule gated, gated_delta
//     v      = beta (v - state' k)                           delta, gated_delta
//     state += k v'         y = scale q' state               query heads of a group share a state
//
// query, key, value are [B, T, heads * size]; the state is [B, kv heads, key size, value size]; decay is given for every
// head or every key number, beta for every head or once. Computed in float (double for double), one state a task.
#include <cmath>

#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct LinearAttention {
  bool gated = true, delta = true;
  int64_t q_heads = 0, kv_heads = 0;
  float scale = 0;   ///< 0: 1 / sqrt(key size)

  enum { kQuery, kKey, kValue, kPast, kDecay, kBeta };

  struct Bound {
    int64_t batch = 0, length = 0, key = 0, value = 0, decay = 0, beta = 0, worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string rule, node.String("update_rule", "gated_delta"));
    gated = rule == "gated" || rule == "gated_delta";
    delta = rule == "delta" || rule == "gated_delta";
    if (!gated && !delta && rule != "linear") {
      return InvalidModel("attribute update_rule is ", Quote(rule), "; known: linear, gated, delta, gated_delta");
    }
    LINNET_ASSIGN(q_heads, node.Int("q_num_heads", 0));
    LINNET_ASSIGN(kv_heads, node.Int("kv_num_heads", 0));
    if (q_heads < 1 || kv_heads < 1 || q_heads > kDimMax || q_heads % kv_heads != 0) {
      return InvalidModel("attributes q_num_heads and kv_num_heads are ", q_heads, " and ", kv_heads);
    }
    LINNET_ASSIGN(scale, node.Float("scale", 0));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 6));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {kQuery, kKey, kValue, kDecay, kBeta}));
    if (gated != c.has_input(kDecay)) return InvalidModel("this update_rule ", gated ? "needs" : "has no", " decay");
    if (delta != c.has_input(kBeta)) return InvalidModel("this update_rule ", delta ? "needs" : "has no", " beta");
    for (int i : {kQuery, kKey, kValue, kDecay, kBeta}) LINNET_TRY(c.CheckRank(i, 3));
    LINNET_TRY(c.CheckRank(kPast, 4));
    auto dim = [&](int input, int axis) {
      return c.has_input(input) && c.shape(input).has_rank() ? c.shape(input)[axis] : kUnknownDim;
    };
    const int64_t batch = dim(kQuery, 0), length = dim(kQuery, 1);
    const int64_t divisors[] = {q_heads, kv_heads, kv_heads};
    int64_t size[3];
    for (int i = 0; i < 3; ++i) {
      if (IsKnownDim(dim(i, 2)) && dim(i, 2) % divisors[i] != 0) {
        return InvalidModel("input ", i, " of shape ", ToString(c.shape(i)), " does not divide into ", divisors[i], " heads");
      }
      size[i] = DimDiv(dim(i, 2), divisors[i]);
    }
    struct Check {
      int input, axis;
      int64_t wanted;
    };
    const Check checks[] = {{kKey, 0, batch},   {kKey, 1, length},     {kValue, 0, batch},   {kValue, 1, length},
                            {kDecay, 0, batch}, {kDecay, 1, length},   {kBeta, 0, batch},    {kBeta, 1, length},
                            {kPast, 0, batch},  {kPast, 1, kv_heads},  {kPast, 2, size[1]},  {kPast, 3, size[2]},
                            {kKey, 2, DimMul(size[0], kv_heads)}};
    for (const Check& check : checks) {
      int64_t is = dim(check.input, check.axis);
      if (IsKnownDim(is) && IsKnownDim(check.wanted) && is != check.wanted) {
        return InvalidModel("input ", check.input, " has shape ", ToString(c.shape(check.input)), "; dimension ", check.axis,
                            " should be ", check.wanted);
      }
    }
    const int64_t decay = dim(kDecay, 2), beta = dim(kBeta, 2), keys = dim(kKey, 2);
    if (IsKnownDim(decay) && IsKnownDim(keys) && decay != kv_heads && decay != keys) {
      return InvalidModel("decay has shape ", ToString(c.shape(kDecay)), "; its last dimension should be ", kv_heads, " or ", keys);
    }
    if (IsKnownDim(beta) && beta != kv_heads && beta != 1) {
      return InvalidModel("beta has shape ", ToString(c.shape(kBeta)), "; its last dimension should be ", kv_heads, " or 1");
    }
    LINNET_TRY(CheckShape(Shape{batch, kv_heads, size[1], size[2]}));
    LINNET_TRY(c.SetOutput(0, c.dtype(kQuery), Shape{batch, length, DimMul(q_heads, size[2])}));
    return c.SetOutput(1, c.has_input(kPast) ? c.dtype(kPast) : c.dtype(kQuery), Shape{batch, kv_heads, size[1], size[2]});
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    b.batch = c.shape(kQuery)[0], b.length = c.shape(kQuery)[1];
    b.key = c.shape(kKey)[2] / kv_heads, b.value = c.shape(kValue)[2] / kv_heads;
    b.decay = gated ? c.shape(kDecay)[2] : 0;
    b.beta = delta ? c.shape(kBeta)[2] : 0;
    const int64_t size = c.dtype(kQuery) == DType::kDouble ? 8 : 4;
    b.worker_bytes = RoundUp((b.key * b.value + b.value) * size, kAlignment);
    c.Scratch(b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    const DType state = c.has_input(kPast) ? c.input_dtype(kPast) : c.input_dtype(kQuery);
    return ForType<kAnyFloat>(c.input_dtype(kQuery), [&]<class T>() -> Status {
      return ForType<kAnyFloat>(state, [&]<class S>() -> Status {
        double task_ns = static_cast<double>(b.length * b.key * b.value) * static_cast<double>(2 + q_heads / kv_heads) / 2 + 20;
        return c.ParallelFor(b.batch * kv_heads, 1, task_ns, [&](int64_t begin, int64_t end, int worker) {
          for (int64_t i = begin; i < end; ++i) {
            Head<T, S>(c, b, i / kv_heads, i % kv_heads, reinterpret_cast<Wide<T>*>(c.scratch() + worker * b.worker_bytes));
          }
        });
      });
    });
  }

  template <class T, class S>
  void Head(RunContext& c, const Bound& b, int64_t batch, int64_t head, Wide<T>* state) const {
    using W = Wide<T>;
    const int64_t cells = b.key * b.value, group = q_heads / kv_heads;
    W* v = state + cells;
    const int64_t state_at = (batch * kv_heads + head) * cells;
    for (int64_t i = 0; i < cells; ++i) state[i] = c.has_input(kPast) ? static_cast<W>(Widen(c.in<S>(kPast)[state_at + i])) : W(0);
    const W factor = scale != 0 ? static_cast<W>(scale) : static_cast<W>(1 / std::sqrt(static_cast<double>(std::max<int64_t>(b.key, 1))));
    for (int64_t t = 0; t < b.length; ++t) {
      const int64_t row = batch * b.length + t;
      const T* k = c.in<T>(kKey) + (row * kv_heads + head) * b.key;
      const T* value = c.in<T>(kValue) + (row * kv_heads + head) * b.value;
      for (int64_t d = 0; gated && d < b.key; ++d) {
        const T* decay = c.in<T>(kDecay) + row * b.decay;
        const W g = std::exp(Widen(b.decay == kv_heads ? decay[head] : decay[head * b.key + d]));
        for (int64_t m = 0; m < b.value; ++m) state[d * b.value + m] *= g;
      }
      for (int64_t m = 0; m < b.value; ++m) v[m] = Widen(value[m]);
      if (delta) {
        const W beta = Widen(c.in<T>(kBeta)[row * b.beta + (b.beta == 1 ? 0 : head)]);
        for (int64_t d = 0; d < b.key; ++d) {
          for (int64_t m = 0; m < b.value; ++m) v[m] -= state[d * b.value + m] * Widen(k[d]);
        }
        for (int64_t m = 0; m < b.value; ++m) v[m] *= beta;
      }
      for (int64_t d = 0; d < b.key; ++d) {
        for (int64_t m = 0; m < b.value; ++m) state[d * b.value + m] += Widen(k[d]) * v[m];
      }
      for (int64_t g = 0; g < group && c.has_output(0); ++g) {
        const int64_t q_at = row * q_heads + head * group + g;
        const T* q = c.in<T>(kQuery) + q_at * b.key;
        T* y = c.out<T>(0) + q_at * b.value;
        for (int64_t m = 0; m < b.value; ++m) v[m] = 0;
        for (int64_t d = 0; d < b.key; ++d) {
          for (int64_t m = 0; m < b.value; ++m) v[m] += Widen(q[d]) * state[d * b.value + m];
        }
        for (int64_t m = 0; m < b.value; ++m) y[m] = Narrow<T>(v[m] * factor);
      }
    }
    for (int64_t i = 0; c.has_output(1) && i < cells; ++i) c.out<S>(1)[state_at + i] = Narrow<S>(state[i]);
  }
};

}  // namespace

LINNET_OP(LinearAttention, 27, LinearAttention);

}  // namespace linnet
