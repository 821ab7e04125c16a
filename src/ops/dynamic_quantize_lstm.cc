// DynamicQuantizeLSTM (com.microsoft, version 1): LSTM whose weights are 8-bit and whose inputs are quantized as they come.
//
// Inputs X, W, R, B?, sequence_lens?, initial_h?, initial_c?, P?, W_scale, W_zero_point, R_scale, R_zero_point. As LSTM, but
//
//     W is [directions, input_size, 4 hidden], R is [directions, hidden, 4 hidden]      bytes, transposed to LSTM's
//     scales and zero points are [directions], or [directions, 4 hidden] where columns have their own
//
// X is quantized to uint8 by its range over the whole sequence, h by its range over the batch at every step. One direction
// walks after the other; at every step, threads have some hidden units each.
#include <string.h>

#include <limits>

#include "ops/dynamic_quantizer.h"
#include "ops/integer_product.h"
#include "ops/lstm_cell.h"

namespace linnet {
namespace {

struct DynamicQuantizeLstm {
  enum Input { kX, kW, kR, kB, kLengths, kH, kC, kP, kWScale, kWZero, kRScale, kRZero, kInputs };

  static constexpr double kCellNs = 1.6;   ///< of a hidden unit

  RecurrentAttributes attributes;
  LstmCell cell;
  DynamicQuantizer quantizer;
  IntegerProduct products[2];   ///< of W and R: all directions' matrices

  struct Bound {
    int64_t seq = 0, batch = 0, inputs = 0, hidden = 0;
    IntegerProductParams products[2];
    // Parts of scratch behind those of the products.
    int64_t range_at = 0, bytes_at = 0, xg_at = 0, bias_at = 0, hg_at = 0, h_at = 0, c_at = 0;
  };

  Status Parse(const Node& node) {
    LINNET_TRY(cell.Parse(node, &attributes));
    if (attributes.batch_first) return Unsupported("layout 1");
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kR + 1, kInputs));
    for (int i : {kWScale, kWZero, kRScale, kRZero}) {
      if (!c.has_input(i)) return InvalidModel("input ", i, " is missing");
    }
    for (int i : {kX, kB, kH, kC, kP, kWScale, kRScale}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    for (int i : {kW, kR, kWZero, kRZero}) LINNET_TRY(c.CheckType(i, kByteTypes));
    LINNET_TRY(c.CheckType(kLengths, Mask(DType::kInt32)));
    LINNET_TRY(CheckSameType(c, {kW, kWZero}));
    LINNET_TRY(CheckSameType(c, {kR, kRZero}));
    constexpr int kRanks[] = {3, 3, 3, 2, 1, 3, 3, 2};
    for (int i = 0; i < 8; ++i) LINNET_TRY(c.CheckRank(i, kRanks[i]));
    auto dim = [&](int input, int axis) {
      return c.has_input(input) && c.shape(input).has_rank() ? c.shape(input)[axis] : kUnknownDim;
    };
    int64_t hidden = attributes.hidden_size;
    if (hidden < 0) hidden = dim(kR, 1);
    if (hidden == 0) return InvalidModel("the hidden size is 0");
    const int64_t seq = dim(kX, 0), batch = dim(kX, 1), all = DimMul(hidden, 4), directions = attributes.directions;
    const struct {
      int input, axis;
      int64_t wanted;
    } checks[] = {
        {kW, 0, directions}, {kW, 1, dim(kX, 2)}, {kW, 2, all},    {kR, 0, directions}, {kR, 1, hidden}, {kR, 2, all},
        {kB, 0, directions}, {kB, 1, DimMul(2, all)}, {kLengths, 0, batch}, {kH, 0, directions}, {kH, 1, batch}, {kH, 2, hidden},
        {kC, 0, directions}, {kC, 1, batch},      {kC, 2, hidden}, {kP, 0, directions}, {kP, 1, DimMul(3, hidden)},
    };
    for (const auto& check : checks) {
      const int64_t is = dim(check.input, check.axis);
      if (IsKnownDim(is) && IsKnownDim(check.wanted) && is != check.wanted) {
        return InvalidModel("input ", check.input, " has shape ", ToString(c.shape(check.input)), "; dimension ", check.axis,
                            " should be ", check.wanted);
      }
    }
    for (int i : {kWScale, kWZero, kRScale, kRZero}) {
      if (!c.shape(i).is_static() || !IsKnownDim(all)) continue;
      const int64_t have = c.shape(i).elements();
      if (have != directions && have != directions * all) {
        return InvalidModel("input ", i, " has ", have, " elements where ", directions, " or ", directions * all, " are expected");
      }
    }
    const Shape y{seq, directions, batch, hidden}, state{directions, batch, hidden};
    LINNET_TRY(CheckShape(y));
    LINNET_TRY(c.SetOutput(0, DType::kFloat, y));
    LINNET_TRY(c.SetOutput(1, DType::kFloat, state));
    return c.SetOutput(2, DType::kFloat, state);
  }

  Status Prepare(PrepareContext& c) {
    for (auto& direction : attributes.function) {
      for (GateFunction& f : direction) f.Pick(c.cpu());
    }
    cell.Pick(attributes, c.cpu());
    quantizer.Pick(c.cpu());
    products[1].repeats = true;
    for (int i : {0, 1}) LINNET_TRY(products[i].Prepare(c, kW + i, i == 0 ? "w8" : "r8"));
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    b.seq = c.shape(kX)[0], b.batch = c.shape(kX)[1], b.inputs = c.shape(kX)[2], b.hidden = c.shape(kR)[1];
    const int64_t rows = b.seq * b.batch, gates = 4 * b.hidden;
    int64_t at = 0;
    auto take = [&at](int64_t bytes) {
      const int64_t from = at;
      at += RoundUp(bytes, kAlignment);
      return from;
    };
    const int64_t k[] = {b.inputs, b.hidden}, m[] = {rows, b.batch};
    for (int i : {0, 1}) {
      LINNET_ASSIGN(int64_t bytes, products[i].Plan(Shape{m[i], k[i]}, Shape{k[i], gates}, c.threads(), at, &b.products[i]));
      take(bytes);
    }
    b.range_at = take(DynamicQuantizer::ScratchBytes(c.threads()));
    b.bytes_at = take(std::max(rows * b.inputs, b.batch * b.hidden));
    b.xg_at = take(rows * gates * 4);
    b.bias_at = take(gates * 4);
    b.hg_at = take(b.batch * gates * 4);
    b.h_at = take(b.batch * b.hidden * 4);
    b.c_at = take(b.batch * b.hidden * 4);
    c.Scratch(at);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    for (int64_t i = 0; c.has_input(kLengths) && i < b.batch; ++i) {
      const int32_t length = c.in<int32_t>(kLengths)[i];
      if (length < 0 || length > b.seq) {
        return InvalidArgument("sequence_lens[", i, "] is ", length, "; the input has ", b.seq, " time steps");
      }
    }
    for (int direction = 0; direction < attributes.directions; ++direction) LINNET_TRY(Walk(c, b, direction));
    return Status();
  }

  template <class T>
  static T* At(const RunContext& c, int64_t at) {
    return reinterpret_cast<T*>(c.scratch() + at);
  }

  /// What is multiplied with the matrix `which` (0: W, 1: R) of a direction: x of n floats, quantized.
  Status Operands(RunContext& c, const Bound& b, int which, int direction, const float* x, int64_t n, float* y,
                  IntegerProduct::Operands* o) const {
    const int matrix = kW + which, scale = which == 0 ? kWScale : kRScale, zero = which == 0 ? kWZero : kRZero;
    const int64_t gates = 4 * b.hidden, k = which == 0 ? b.inputs : b.hidden;
    uint8_t x_zero;
    LINNET_TRY(quantizer.Run(c, x, n, At<uint8_t>(c, b.bytes_at), &o->a_scale, &x_zero, At<std::byte>(c, b.range_at)));
    o->a = At<uint8_t>(c, b.bytes_at);
    o->a_zero = x_zero;
    o->b_signed = c.input_dtype(matrix) == DType::kInt8;
    if (products[which].packed) {
      o->matrix = direction;
    } else {
      o->b = c.in<uint8_t>(matrix) + direction * k * gates;
    }
    const int64_t scales = c.input_shape(scale).elements() / attributes.directions;
    const int64_t zeros = c.input_shape(zero).elements() / attributes.directions;
    o->b_scale = {c.in<float>(scale) + direction * scales, DType::kFloat, scales};
    o->b_zero = {c.in<uint8_t>(zero) + direction * zeros, c.input_dtype(zero), zeros};
    o->finish.to = FinishInt8::To::kFloat;
    o->y = y;
    return Status();
  }

  Status Walk(RunContext& c, const Bound& b, int direction) const {
    const int64_t n = b.hidden, gates = 4 * n, rows = b.seq * b.batch;
    float *xg = At<float>(c, b.xg_at), *hg = At<float>(c, b.hg_at), *h = At<float>(c, b.h_at), *cells = At<float>(c, b.c_at);
    float* bias = At<float>(c, b.bias_at);
    for (int64_t i = 0; i < gates; ++i) {
      bias[i] = c.has_input(kB) ? c.in<float>(kB)[direction * 2 * gates + i] + c.in<float>(kB)[(direction * 2 + 1) * gates + i] : 0;
    }
    const int64_t state = direction * b.batch * n;
    auto start = [&](int input, float* to) {
      if (c.has_input(input)) {
        std::copy_n(c.in<float>(input) + state, b.batch * n, to);
      } else {
        std::fill_n(to, b.batch * n, 0.0f);
      }
    };
    start(kH, h);
    start(kC, cells);
    IntegerProduct::Operands inputs;
    LINNET_TRY(Operands(c, b, 0, direction, c.in<float>(kX), rows * b.inputs, xg, &inputs));
    inputs.float_bias = bias;
    LINNET_TRY(products[0].Run(c, b.products[0], inputs));
    const IntegerProduct& product = products[1];
    for (int64_t step = 0; step < b.seq; ++step) {
      LINNET_TRY(c.CheckStop());
      IntegerProduct::Operands o;
      LINNET_TRY(Operands(c, b, 1, direction, h, b.batch * n, hg, &o));
      o.again = step > 0;
      // Threads have some hidden units each, whole panels of every gate: their product, then their cells.
      const bool cut = product.packed && n % kPanelColumns == 0;
      if (!cut) {
        LINNET_TRY(product.Run(c, b.products[1], o));
        Cells(c, b, direction, step, 0, n);
        continue;
      }
      const GemmInt8 g = product.Start(c, b.products[1], o);
      const int64_t panels = n / kPanelColumns;
      const double cell_ns = static_cast<double>(b.batch * kPanelColumns) * kCellNs;
      LINNET_TRY(c.ParallelFor(panels, 1, product.Ns(b.products[1]) / static_cast<double>(panels) + cell_ns,
                               [&](int64_t begin, int64_t end, int worker) {
        const bool all = end - begin == panels;
        for (int64_t gate = 0; gate < (all ? 1 : LstmCell::kGates); ++gate) {
          const int64_t panel_end = all ? LstmCell::kGates * panels : gate * panels + end;
          product.Part(c, b.products[1], g, 0, b.batch, gate * panels + begin, panel_end, worker);
        }
        Cells(c, b, direction, step, begin * kPanelColumns, end * kPanelColumns);
      }));
    }
    if (c.has_output(1)) std::copy_n(h, b.batch * n, c.out<float>(1) + state);
    if (c.has_output(2)) std::copy_n(cells, b.batch * n, c.out<float>(2) + state);
    return Status();
  }

  /// The state of units [unit0, unit1) after a step.
  void Cells(RunContext& c, const Bound& b, int direction, int64_t step, int64_t unit0, int64_t unit1) const {
    const int64_t n = b.hidden, gates = 4 * n, count = unit1 - unit0;
    const bool backwards = attributes.directions == 2 ? direction == 1 : attributes.reverse;
    for (int64_t i = 0; i < b.batch; ++i) {
      const int64_t length = c.has_input(kLengths) ? c.in<int32_t>(kLengths)[i] : b.seq;
      const int64_t t = step >= length ? step : backwards ? length - 1 - step : step;
      const int64_t at = ((t * attributes.directions + direction) * b.batch + i) * n + unit0;
      float* y = c.has_output(0) ? c.out<float>(0) + at : nullptr;
      if (step >= length) {   // behind the sequence's end: zeros
        if (y) std::fill_n(y, count, 0.0f);
        continue;
      }
      CellRow<float> row;
      row.n = n, row.count = count;
      row.xg = At<float>(c, b.xg_at) + (t * b.batch + i) * gates + unit0;
      row.hg = At<float>(c, b.hg_at) + i * gates + unit0;
      row.before = nullptr;   // what it was has gone into the product
      row.h = At<float>(c, b.h_at) + i * n + unit0;
      row.cell = At<float>(c, b.c_at) + i * n + unit0;
      row.mixed = nullptr;
      row.peepholes = c.has_input(kP) ? c.in<float>(kP) + direction * 3 * n + unit0 : nullptr;
      row.recurrent_bias = nullptr;
      row.function = attributes.function[direction];
      row.clip = attributes.clip > 0 ? static_cast<float>(attributes.clip) : std::numeric_limits<float>::infinity();
      cell.Step(0, row);
      if (y) std::copy_n(row.h, count, y);
    }
  }
};

}  // namespace

LINNET_MS_OP(DynamicQuantizeLSTM, 1, DynamicQuantizeLstm);

}  // namespace linnet
