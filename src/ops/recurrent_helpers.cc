// Attributes, shapes and gate functions of the recurrent operators.
#include "ops/recurrent_helpers.h"

namespace linnet {
namespace {

struct FunctionRow {
  const char* name;   ///< lower case: names are compared without case, as exporters disagree
  GateFunction::Kind kind;
  bool has_alpha, has_beta;
  float alpha, beta;
};
constexpr FunctionRow kFunctions[] = {
    {"relu", GateFunction::kRelu, false, false, 0, 0},
    {"tanh", GateFunction::kTanh, false, false, 0, 0},
    {"sigmoid", GateFunction::kSigmoid, false, false, 0, 0},
    {"affine", GateFunction::kAffine, true, true, 1, 0},
    {"leakyrelu", GateFunction::kLeakyRelu, true, false, 0.01f, 0},
    {"thresholdedrelu", GateFunction::kThresholdedRelu, true, false, 1, 0},
    {"scaledtanh", GateFunction::kScaledTanh, true, true, 1, 1},
    {"hardsigmoid", GateFunction::kHardSigmoid, true, true, 0.2f, 0.5f},
    {"elu", GateFunction::kElu, true, false, 1, 0},
    {"softsign", GateFunction::kSoftsign, false, false, 0, 0},
    {"softplus", GateFunction::kSoftplus, false, false, 0, 0},
};

Result<const FunctionRow*> FindFunction(std::string_view name) {
  std::string lower(name);
  for (char& ch : lower) ch = ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch - 'A' + 'a') : ch;
  for (const FunctionRow& row : kFunctions) {
    if (lower == row.name) return &row;
  }
  return InvalidModel("activation ", Quote(name), " is unknown");
}

}  // namespace

void GateFunction::Pick(CpuLevel cpu) {
  constexpr Pointwise kKernels[] = {Pointwise::kRelu,        Pointwise::kTanh, Pointwise::kSigmoid,
                                    Pointwise::kAffine,      Pointwise::kLeakyRelu, Pointwise::kThresholdedRelu,
                                    Pointwise::kTanh,        Pointwise::kHardSigmoid, Pointwise::kElu,
                                    Pointwise::kSoftsign,    Pointwise::kSoftplus};
  kernel = PickPointwise(kKernels[kind], cpu);
}

void GateFunction::Apply(float* x, int64_t n) const {
  if (kind == kScaledTanh) {
    for (int64_t i = 0; i < n; ++i) x[i] *= beta;
  }
  kernel(x, x, nullptr, nullptr, n, 0, alpha, beta);
  if (kind == kScaledTanh) {
    for (int64_t i = 0; i < n; ++i) x[i] *= alpha;
  }
}

void GateFunction::Apply(double* x, int64_t n) const {
  const double a = static_cast<double>(alpha), b = static_cast<double>(beta);
  for (int64_t i = 0; i < n; ++i) {
    double v = x[i];
    switch (kind) {
      case kRelu: v = v < 0 ? 0 : v; break;
      case kTanh: v = std::tanh(v); break;
      case kSigmoid: v = 1 / (1 + std::exp(-v)); break;
      case kAffine: v = a * v + b; break;
      case kLeakyRelu: v = v < 0 ? a * v : v; break;
      case kThresholdedRelu: v = v > a ? v : 0; break;
      case kScaledTanh: v = a * std::tanh(b * v); break;
      case kHardSigmoid: v = a * v + b < 0 ? 0 : a * v + b > 1 ? 1 : a * v + b; break;
      case kElu: v = v < 0 ? a * std::expm1(v) : v; break;
      case kSoftsign: v = v / (1 + std::abs(v)); break;
      case kSoftplus: v = v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); break;
    }
    x[i] = v;
  }
}

void ByteGateMatrix::Pack(const uint8_t* rows, bool is_signed, const float* scales, const uint8_t* zeros, int64_t n, int64_t k,
                          std::byte* out) {
  PackBytePanels(rows, is_signed, k, n, reinterpret_cast<int8_t*>(out));
  float* to = reinterpret_cast<float*>(out + RoundUp(PackedBytePanels(k, n), kAlignment));
  int32_t* zeros_to = reinterpret_cast<int32_t*>(to + Columns(n));
  for (int64_t j = 0; j < Columns(n); ++j) {
    const int zero = j >= n || !zeros ? 0 : is_signed ? static_cast<int8_t>(zeros[j]) : zeros[j];
    to[j] = j < n ? scales[j] : 0;
    zeros_to[j] = j >= n ? 0 : is_signed ? zero : zero - 128;
  }
}

Status RecurrentAttributes::Parse(const Node& node, int gate_count, std::initializer_list<const char*> defaults) {
  gates = gate_count;
  functions = static_cast<int>(defaults.size());
  LINNET_ASSIGN(std::string direction, node.String("direction", "forward"));
  if (direction == "bidirectional") {
    directions = 2;
  } else if (direction == "reverse") {
    reverse = true;
  } else if (direction != "forward") {
    return InvalidModel("attribute direction is ", Quote(direction), "; known: forward, reverse, bidirectional");
  }
  LINNET_ASSIGN(hidden_size, node.Int("hidden_size", -1));
  if (node.Has("hidden_size") && (hidden_size < 1 || hidden_size > kDimMax)) {
    return InvalidModel("attribute hidden_size is ", hidden_size);
  }
  LINNET_ASSIGN(int64_t layout, node.Int("layout", 0));
  if (layout != 0 && layout != 1) return InvalidModel("attribute layout is ", layout);
  batch_first = layout == 1;
  LINNET_ASSIGN(float bound, node.Float("clip", 0));
  if (!(bound >= 0)) return InvalidModel("attribute clip is ", bound);
  clip = static_cast<double>(bound);

  LINNET_ASSIGN(std::vector<std::string> names, node.Strings("activations"));
  LINNET_ASSIGN(std::vector<float> alphas, node.Floats("activation_alpha"));
  LINNET_ASSIGN(std::vector<float> betas, node.Floats("activation_beta"));
  const size_t wanted = static_cast<size_t>(directions * functions);
  if (names.empty()) {
    for (int d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  if (names.size() != wanted) {
    return InvalidModel("attribute activations has ", names.size(), " names where ", wanted, " are expected");
  }
  // Parameters are listed for those functions only that have them.
  size_t next_alpha = 0, next_beta = 0;
  for (size_t i = 0; i < wanted; ++i) {
    LINNET_ASSIGN(const FunctionRow* row, FindFunction(names[i]));
    GateFunction& f = function[i / static_cast<size_t>(functions)][i % static_cast<size_t>(functions)];
    f.kind = row->kind;
    f.alpha = row->has_alpha && next_alpha < alphas.size() ? alphas[next_alpha++] : row->alpha;
    f.beta = row->has_beta && next_beta < betas.size() ? betas[next_beta++] : row->beta;
  }
  return Status();
}

bool RecurrentAttributes::AreFunctions(std::initializer_list<GateFunction::Kind> kinds) const {
  for (int d = 0; d < directions; ++d) {
    const GateFunction* f = function[d];
    for (GateFunction::Kind kind : kinds) {
      if (f++->kind != kind) return false;
    }
  }
  return true;
}

Status RecurrentAttributes::CheckBytes(const InferContext& c) const {
  for (int weight : {1, 2}) {
    const int scale = ScaleOf(weight), zero = scale + 1;
    LINNET_TRY(c.CheckType(weight, Mask(DType::kFloat) | Mask(DType::kInt8) | Mask(DType::kUint8)));
    LINNET_TRY(c.CheckRank(weight, 3));
    LINNET_TRY(c.CheckType(scale, Mask(DType::kFloat)));
    if (c.dtype(weight) == DType::kFloat) continue;
    if (!c.has_input(scale)) return InvalidModel("input ", scale, ", the scales of input ", weight, ", is missing");
    LINNET_TRY(CheckSameType(c, {weight, zero}));
    const Shape& shape = c.shape(weight);
    for (int i : {scale, zero}) {
      if (c.has_input(i) && (!c.shape(i).is_static() || !shape.is_static() || c.shape(i).elements() != directions * shape[1])) {
        return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where each row of input ", weight, " has a number");
      }
    }
  }
  return Status();
}

Status RecurrentAttributes::Infer(InferContext& c, bool cell_state, bool bytes) const {
  LINNET_TRY(c.CheckInputs(3, bytes ? ScaleOf(2) + 2 : cell_state ? 8 : 6));
  for (int i : {0, 3, 5, 6, 7}) LINNET_TRY(c.CheckType(i, bytes ? Mask(DType::kFloat) : kAnyFloat));
  if (bytes) {
    LINNET_TRY(CheckBytes(c));
  } else {
    for (int i : {1, 2}) LINNET_TRY(c.CheckType(i, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {0, 1, 2, 3, 5, 6, 7}));
  }
  LINNET_TRY(c.CheckType(4, Mask(DType::kInt32)));
  constexpr int kRanks[] = {3, 3, 3, 2, 1, 3, 3, 2};
  for (int i = 0; i < 8; ++i) LINNET_TRY(c.CheckRank(i, kRanks[i]));
  auto dim = [&](int input, int axis) {
    return c.has_input(input) && c.shape(input).has_rank() ? c.shape(input)[axis] : kUnknownDim;
  };
  int64_t hidden = hidden_size;
  if (hidden < 0) hidden = dim(2, 2);
  if (!IsKnownDim(hidden)) hidden = DimDiv(dim(1, 1), gates);
  if (hidden == 0) return InvalidModel("the hidden size is 0");
  const int64_t seq = dim(0, batch_first ? 1 : 0), batch = dim(0, batch_first ? 0 : 1), all = DimMul(hidden, gates);
  struct Check {
    int input, axis;
    int64_t wanted;
  };
  const int state_dir = batch_first ? 1 : 0;
  const Check checks[] = {
      {1, 0, directions}, {1, 1, all},        {1, 2, dim(0, 2)},  {2, 0, directions},  {2, 1, all},
      {2, 2, hidden},     {3, 0, directions}, {3, 1, DimMul(2, all)}, {4, 0, batch},
      {5, state_dir, directions}, {5, 1 - state_dir, batch}, {5, 2, hidden},
      {6, state_dir, directions}, {6, 1 - state_dir, batch}, {6, 2, hidden},
      {7, 0, directions}, {7, 1, DimMul(3, hidden)},
  };
  for (const Check& check : checks) {
    int64_t is = dim(check.input, check.axis);
    if (IsKnownDim(is) && IsKnownDim(check.wanted) && is != check.wanted) {
      return InvalidModel("input ", check.input, " has shape ", ToString(c.shape(check.input)), "; dimension ", check.axis,
                          " should be ", check.wanted);
    }
  }
  const DType dtype = bytes ? DType::kFloat : c.dtype(0) != DType::kUndefined ? c.dtype(0) : c.dtype(1);
  Shape y = batch_first ? Shape{batch, seq, directions, hidden} : Shape{seq, directions, batch, hidden};
  Shape state = batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  LINNET_TRY(CheckShape(y));   // scratch is sized by it even where nobody asks for Y
  LINNET_TRY(c.SetOutput(0, dtype, y));
  LINNET_TRY(c.SetOutput(1, dtype, state));
  return cell_state ? c.SetOutput(2, dtype, state) : Status();
}

}  // namespace linnet
