// LSTM, GRU and RNN, step by step as the specification writes them, and LSTM with 8-bit weights.
//
// Activations are named, with parameters listed for those that have any; comparison of names ignores case. Entries of the
// batch that are at their end keep their state and give zeros. `clip` bounds what enters a gate's activation; the cell state
// is nobody's gate, so what enters LSTM's h is not clipped.
#include <math.h>

#include <algorithm>
#include <functional>

#include "providers/reference/families.h"
#include "providers/reference/quantization.h"

namespace linnet::reference {
namespace {

using Vector = std::vector<double>;

struct FunctionRow {
  const char* name;
  double (*f)(double x, double alpha, double beta);
  int parameters;
  double alpha, beta;
};
constexpr FunctionRow kFunctions[] = {
    {"relu", [](double x, double, double) { return x < 0 ? 0 : x; }, 0, 0, 0},
    {"tanh", [](double x, double, double) { return tanh(x); }, 0, 0, 0},
    {"sigmoid", [](double x, double, double) { return 1 / (1 + exp(-x)); }, 0, 0, 0},
    {"affine", [](double x, double a, double b) { return a * x + b; }, 2, 1, 0},
    {"leakyrelu", [](double x, double a, double) { return x < 0 ? a * x : x; }, 1, 0.01, 0},
    {"thresholdedrelu", [](double x, double a, double) { return x > a ? x : 0; }, 1, 1, 0},
    {"scaledtanh", [](double x, double a, double b) { return a * tanh(b * x); }, 2, 1, 1},
    {"hardsigmoid", [](double x, double a, double b) { return std::clamp(a * x + b, 0.0, 1.0); }, 2, 0.2, 0.5},
    {"elu", [](double x, double a, double) { return x < 0 ? a * expm1(x) : x; }, 1, 1, 0},
    {"softsign", [](double x, double, double) { return x / (1 + fabs(x)); }, 0, 0, 0},
    {"softplus", [](double x, double, double) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }, 0, 0, 0},
};

struct Function {
  const FunctionRow* row = nullptr;
  double alpha = 0, beta = 0, clip = 0;
  double Plain(double x) const { return row->f(x, alpha, beta); }
  double operator()(double x) const { return Plain(clip > 0 ? std::clamp(x, -clip, clip) : x); }
};

/// The activations of all directions.
std::vector<Function> Activations(const Call& c, int64_t directions, std::vector<std::string> defaults) {
  std::vector<std::string> names = c.Texts("activations");
  if (names.empty()) {
    for (int64_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  const std::vector<float> alphas = c.Floats("activation_alpha"), betas = c.Floats("activation_beta");
  const double clip = c.Float("clip", 0);
  std::vector<Function> functions;
  size_t next_alpha = 0, next_beta = 0;
  for (std::string name : names) {
    for (char& ch : name) ch = static_cast<char>(tolower(ch));
    for (const FunctionRow& row : kFunctions) {
      if (name != row.name) continue;
      double alpha = row.alpha, beta = row.beta;
      if (row.parameters > 0 && next_alpha < alphas.size()) alpha = static_cast<double>(alphas[next_alpha++]);
      if (row.parameters > 1 && next_beta < betas.size()) beta = static_cast<double>(betas[next_beta++]);
      functions.push_back({&row, alpha, beta, clip});
    }
  }
  return functions;
}

/// One direction's weights.
struct Weights {
  int64_t hidden = 0, gates = 0, features = 0;
  const double *w = nullptr, *r = nullptr, *b = nullptr, *peephole = nullptr;   ///< [gates hidden][...]; b: W's, then R's

  double InputPart(int64_t gate, int64_t j, const double* x) const {
    return Dot(w, features, gate * hidden + j, x) + (b ? b[gate * hidden + j] : 0);
  }
  double HiddenPart(int64_t gate, int64_t j, const double* h) const {
    return Dot(r, hidden, gate * hidden + j, h) + HiddenBias(gate, j);
  }
  double HiddenBias(int64_t gate, int64_t j) const { return b ? b[(gates + gate) * hidden + j] : 0; }
  double Peephole(int64_t gate, int64_t j) const { return peephole ? peephole[gate * hidden + j] : 0; }

 private:
  static double Dot(const double* matrix, int64_t n, int64_t row, const double* v) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += matrix[row * n + i] * v[i];
    return sum;
  }
};

struct State {
  Vector h, c;
};
/// The next state of one batch entry from an input.
using Cell = std::function<void(const Weights&, const Function* f, const double* x, State* state)>;

Status Recur(Call& call, int64_t gates, std::vector<std::string> defaults, const Cell& cell, bool has_cell_state) {
  const Reals x = call.In(0), w = call.In(1), r = call.In(2);
  const bool batch_first = call.Flag("layout");
  const int64_t steps = x.shape[batch_first ? 1 : 0], batch = x.shape[batch_first ? 0 : 1], features = x.shape[2];
  const int64_t directions = w.shape[0], hidden = r.shape[2];
  const bool backward = call.Text("direction", "forward") == "reverse";
  const Shape state_shape = batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  const Reals bias = call.InOr(3, 0, Shape{directions, 2 * gates * hidden}), h0 = call.InOr(5, 0, state_shape);
  const Reals c0 = has_cell_state ? call.InOr(6, 0, state_shape) : Reals(state_shape);
  const Reals peepholes = has_cell_state ? call.InOr(7, 0, Shape{directions, 3 * hidden}) : Reals(Shape{directions, 3 * hidden});
  const Integers lengths = call.Has(4) ? call.In<int64_t>(4) : Integers(Shape{batch}, steps);
  for (int64_t length : lengths.data) {
    if (length < 0 || length > steps) return InvalidArgument("sequence length ", length, " is outside [0, ", steps, "]");
  }
  const std::vector<Function> functions = Activations(call, directions, defaults);

  Reals y(batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden});
  Reals y_h(state_shape), y_c(state_shape);
  for (int64_t d = 0; d < directions; ++d) {
    Weights weights{hidden, gates, features};
    weights.w = w.data.data() + d * gates * hidden * features;
    weights.r = r.data.data() + d * gates * hidden * hidden;
    weights.b = bias.data.data() + d * 2 * gates * hidden;
    weights.peephole = peepholes.data.data() + d * 3 * hidden;
    for (int64_t n = 0; n < batch; ++n) {
      const int64_t at = (batch_first ? n * directions + d : d * batch + n) * hidden;
      State state{Vector(h0.data.begin() + at, h0.data.begin() + at + hidden),
                  Vector(c0.data.begin() + at, c0.data.begin() + at + hidden)};
      for (int64_t k = 0; k < lengths[n]; ++k) {
        const int64_t t = backward || d == 1 ? lengths[n] - 1 - k : k;
        cell(weights, &functions[U(d) * defaults.size()],
             x.data.data() + (batch_first ? n * steps + t : t * batch + n) * features, &state);
        const int64_t to = batch_first ? (n * steps + t) * directions + d : (t * directions + d) * batch + n;
        std::copy(state.h.begin(), state.h.end(), y.data.begin() + to * hidden);
      }
      std::copy(state.h.begin(), state.h.end(), y_h.data.begin() + at);
      std::copy(state.c.begin(), state.c.end(), y_c.data.begin() + at);
    }
  }
  LINNET_TRY(call.Out(0, y));
  LINNET_TRY(call.Out(1, y_h));
  return has_cell_state ? call.Out(2, y_c) : Status();
}

Status Rnn(Call& call) {
  return Recur(call, 1, {"Tanh"}, [](const Weights& w, const Function* f, const double* x, State* state) {
    const Vector h = state->h;
    for (int64_t j = 0; j < w.hidden; ++j) state->h[U(j)] = f[0](w.InputPart(0, j, x) + w.HiddenPart(0, j, h.data()));
  }, false);
}

/// Gates z, r, h.
Status Gru(Call& call) {
  const bool linear_before_reset = call.Flag("linear_before_reset");
  return Recur(call, 3, {"Sigmoid", "Tanh"}, [=](const Weights& w, const Function* f, const double* x, State* state) {
    const Vector h = state->h;
    Vector r(h.size()), reset(h.size());
    for (int64_t j = 0; j < w.hidden; ++j) {
      r[U(j)] = f[0](w.InputPart(1, j, x) + w.HiddenPart(1, j, h.data()));
      reset[U(j)] = r[U(j)] * h[U(j)];
    }
    for (int64_t j = 0; j < w.hidden; ++j) {
      const double z = f[0](w.InputPart(0, j, x) + w.HiddenPart(0, j, h.data()));
      const double recurrent = linear_before_reset ? r[U(j)] * w.HiddenPart(2, j, h.data()) : w.HiddenPart(2, j, reset.data());
      state->h[U(j)] = (1 - z) * f[1](w.InputPart(2, j, x) + recurrent) + z * h[U(j)];
    }
  }, false);
}

/// Gates i, o, f, c; peepholes i, o, f. `h`: what the products read of the state before.
void LstmStep(const Weights& w, const Function* f, bool input_forget, const double* x, const double* h, State* state) {
  for (int64_t j = 0; j < w.hidden; ++j) {
    auto gate = [&](int64_t g) { return w.InputPart(g, j, x) + w.HiddenPart(g, j, h); };
    double& c = state->c[U(j)];
    const double i = f[0](gate(0) + w.Peephole(0, j) * c);
    const double forget = input_forget ? 1 - i : f[0](gate(2) + w.Peephole(2, j) * c);
    c = forget * c + i * f[1](gate(3));
    const double o = f[0](gate(1) + w.Peephole(1, j) * c);
    state->h[U(j)] = o * f[2].Plain(c);
  }
}

Status Lstm(Call& call) {
  const bool input_forget = call.Flag("input_forget");
  return Recur(call, 4, {"Sigmoid", "Tanh", "Tanh"}, [=](const Weights& w, const Function* f, const double* x, State* state) {
    const Vector h = state->h;
    LstmStep(w, f, input_forget, x, h.data(), state);
  }, true);
}

/// 8-bit matrices [directions][rows][columns], one scale and zero point a direction or a column, as numbers [columns][rows].
Vector Transposed(const Call& call, int matrix, int scale, int zero) {
  const Reals bytes = call.In(matrix), scales = call.In(scale), zeros = call.In(zero);
  const int64_t directions = bytes.shape[0], rows = bytes.shape[1], columns = bytes.shape[2];
  const bool each = scales.size() > directions, each_zero = zeros.size() > directions;
  Vector out(bytes.data.size());
  for (int64_t d = 0; d < directions; ++d) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        out[U((d * columns + j) * rows + i)] = (bytes[(d * rows + i) * columns + j] - zeros[each_zero ? d * columns + j : d]) *
                                               scales[each ? d * columns + j : d];
      }
    }
  }
  return out;
}

/// X is rounded to bytes by its whole range, the state by that of the batch before every step.
Status DynamicQuantizeLstm(Call& call) {
  const bool input_forget = call.Flag("input_forget"), backward = call.Text("direction", "forward") == "reverse";
  Reals x = call.In(0);
  const int64_t steps = x.shape[0], batch = x.shape[1], features = x.shape[2];
  const Vector w = Transposed(call, 1, 8, 9), r = Transposed(call, 2, 10, 11);
  const int64_t hidden = call.shape(2)[1], directions = call.shape(2)[0];
  const Shape state_shape{directions, batch, hidden};
  const Reals bias = call.InOr(3, 0, Shape{directions, 8 * hidden}), h0 = call.InOr(5, 0, state_shape), c0 = call.InOr(6, 0, state_shape);
  const Reals peepholes = call.InOr(7, 0, Shape{directions, 3 * hidden});
  const Integers lengths = call.Has(4) ? call.In<int64_t>(4) : Integers(Shape{batch}, steps);
  const std::vector<Function> functions = Activations(call, directions, {"Sigmoid", "Tanh", "Tanh"});
  const ByteRange range(x.data);
  for (double& v : x.data) v = range.AndBack(v);

  Reals y(Shape{steps, directions, batch, hidden}), y_h(state_shape), y_c(state_shape);
  for (int64_t d = 0; d < directions; ++d) {
    Weights weights{hidden, 4, features};
    weights.w = w.data() + d * 4 * hidden * features;
    weights.r = r.data() + d * 4 * hidden * hidden;
    weights.b = bias.data.data() + d * 8 * hidden;
    weights.peephole = peepholes.data.data() + d * 3 * hidden;
    Vector h(h0.data.begin() + d * batch * hidden, h0.data.begin() + (d + 1) * batch * hidden);
    Vector c(c0.data.begin() + d * batch * hidden, c0.data.begin() + (d + 1) * batch * hidden);
    for (int64_t k = 0; k < steps; ++k) {
      Vector rounded = h;
      const ByteRange of_state(h);
      for (double& v : rounded) v = of_state.AndBack(v);
      for (int64_t n = 0; n < batch; ++n) {
        if (k >= lengths[n]) continue;
        const int64_t t = backward || d == 1 ? lengths[n] - 1 - k : k, at = n * hidden;
        State state{Vector(U(hidden)), Vector(c.begin() + at, c.begin() + at + hidden)};
        LstmStep(weights, &functions[U(d) * 3], input_forget, x.data.data() + (t * batch + n) * features, rounded.data() + at, &state);
        std::copy(state.h.begin(), state.h.end(), h.begin() + at);
        std::copy(state.c.begin(), state.c.end(), c.begin() + at);
        std::copy(state.h.begin(), state.h.end(), y.data.begin() + ((t * directions + d) * batch + n) * hidden);
      }
    }
    std::copy(h.begin(), h.end(), y_h.data.begin() + d * batch * hidden);
    std::copy(c.begin(), c.end(), y_c.data.begin() + d * batch * hidden);
  }
  LINNET_TRY(call.Out(0, y));
  LINNET_TRY(call.Out(1, y_h));
  return call.Out(2, y_c);
}

constexpr Row kRows[] = {{"LSTM", Lstm}, {"GRU", Gru}, {"RNN", Rnn}, {"DynamicQuantizeLSTM", DynamicQuantizeLstm, "com.microsoft"}};

}  // namespace

std::span<const Row> RecurrentRows() { return kRows; }

}  // namespace linnet::reference
