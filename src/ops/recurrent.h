// Recurrent<Cell>: the operator around a cell: binding, packing, the walk over time and directions.
//
// Recurrent<Cell, true> is the one whose W and R, either or both, are bytes (RecurrentAttributes::CheckBytes has its inputs).
//
// A cell offers
//     static constexpr int kGates;  static constexpr bool kCellState;
//     Status Parse(const Node&, RecurrentAttributes*);
//     std::span<const GatePart> parts() const;          one or two
//     bool keeps_bias(int gate) const;                  its recurrent bias is not added to xg
//     void Pick(const RecurrentAttributes&, CpuLevel);   kernels
//     template <class W> void Step(int part, const CellRow<W>&) const;
#pragma once

#include <string.h>

#include <limits>

#include "kernels/gates.h"
#include "kernels/nbits/byte_panels.h"
#include "ops/recurrent_helpers.h"

namespace linnet {

template <class Cell, bool kBytes = false>
struct Recurrent {
  RecurrentAttributes attributes;
  Cell cell;
  const GemmF32Kernels* kernels = nullptr;
  RowTimesPanelsFn* row_times_panels = nullptr;
  const void* packed = nullptr;   ///< all matrices; null when a weight is computed
  // Of matrices of bytes, W's and R's: whether they are, and have zero points.
  MultiplyBytePanelsFn* multiply_bytes = nullptr;
  bool bytes[2] = {false, false}, zeros[2] = {false, false};

  static constexpr int kGates = Cell::kGates;
  static constexpr uint32_t kTypes = kBytes ? Mask(DType::kFloat) : kAnyFloat;
  enum { kW, kR };   ///< which matrix: input 1 or 2

  struct Bound {
    int64_t seq = 0, batch = 0, inputs = 0, hidden = 0, blocks = 1, block = 1;
    int64_t share = 0;   ///< hidden units of a thread, whole panels, where a single task is split; 0: it is not
    // Bytes of scratch, in this order.
    int64_t packed_bytes = 0, temporary_bytes = 0, x_bytes = 0, xg_bytes = 0, bias_bytes = 0, peephole_bytes = 0,
            worker_bytes = 0;
  };

  Status Parse(const Node& node) { return cell.Parse(node, &attributes); }
  Status Infer(InferContext& c) const { return attributes.Infer(c, Cell::kCellState, kBytes); }

  template <class W>
  int64_t MatrixBytes(int which, int64_t n, int64_t k) const {
    if constexpr (kBytes) {
      if (bytes[which]) return ByteGateMatrix::Bytes(n, k);
    }
    return GateMatrix<W>::Count(n, k) * static_cast<int64_t>(sizeof(W));
  }
  /// Bytes of a direction's matrices: W, then R part by part.
  template <class W>
  int64_t DirectionBytes(int64_t inputs, int64_t hidden) const {
    int64_t sum = MatrixBytes<W>(kW, kGates * hidden, inputs);
    for (const GatePart& part : cell.parts()) sum += MatrixBytes<W>(kR, part.count * hidden, hidden);
    return sum;
  }

  /// Calls pack(which, first row of that weight, rows, columns, where to) for each matrix.
  template <class W, class Pack>
  void ForEachMatrix(int64_t inputs, int64_t hidden, std::byte* out, Pack pack) const {
    for (int d = 0; d < attributes.directions; ++d) {
      pack(kW, d * kGates * hidden, kGates * hidden, inputs, out);
      out += MatrixBytes<W>(kW, kGates * hidden, inputs);
      for (const GatePart& part : cell.parts()) {
        pack(kR, (d * kGates + part.first) * hidden, part.count * hidden, hidden, out);
        out += MatrixBytes<W>(kR, part.count * hidden, hidden);
      }
    }
  }
  template <class T>
  void PackAll(const T* w, const T* r, int64_t inputs, int64_t hidden, Wide<T>* temporary, void* out) const {
    using W = Wide<T>;
    ForEachMatrix<W>(inputs, hidden, static_cast<std::byte*>(out), [&](int which, int64_t row, int64_t n, int64_t k, std::byte* to) {
      GateMatrix<W>::Pack((which == kW ? w : r) + row * k, n, k, temporary, reinterpret_cast<W*>(to));
    });
  }

  Status PrepareBytes(PrepareContext& c) {
    multiply_bytes = PickMultiplyBytePanels(c.cpu());
    for (int which : {kW, kR}) {
      const int scale = RecurrentAttributes::ScaleOf(1 + which), zero = scale + 1;
      bytes[which] = c.dtype(1 + which) != DType::kFloat;
      if (!c.is_constant(1 + which) || (bytes[which] && (!c.is_constant(scale) || (c.has_input(zero) && !c.is_constant(zero))))) {
        return InvalidModel("weights of 8 bits, or what belongs to them, are not constant");
      }
      if (!bytes[which]) continue;
      const uint8_t none = c.dtype(1 + which) == DType::kInt8 ? 0 : 128;
      zeros[which] = !c.has_input(zero) && none != 0;
      const int64_t count = c.has_input(zero) ? c.shape(zero).elements() : 0;
      for (int64_t i = 0; i < count; ++i) zeros[which] |= c.data<uint8_t>(zero)[i] != none;
    }
    const int64_t inputs = c.shape(1)[2], hidden = c.shape(2)[2];
    LINNET_ASSIGN(packed, c.Weights("weights", attributes.directions * DirectionBytes<float>(inputs, hidden), [&](void* out) {
      ForEachMatrix<float>(inputs, hidden, static_cast<std::byte*>(out), [&](int which, int64_t row, int64_t n, int64_t k, std::byte* to) {
        const int weight = 1 + which, scale = RecurrentAttributes::ScaleOf(weight);
        if (!bytes[which]) return GateMatrix<float>::Pack(c.data<float>(weight) + row * k, n, k, nullptr, reinterpret_cast<float*>(to));
        const uint8_t* zero = c.has_input(scale + 1) ? c.data<uint8_t>(scale + 1) + row : nullptr;
        ByteGateMatrix::Pack(c.data<uint8_t>(weight) + row * k, c.dtype(weight) == DType::kInt8, c.data<float>(scale) + row, zero, n, k, to);
      });
      return Status();
    }));
    c.Drop(1);
    c.Drop(2);
    return Status();
  }

  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    row_times_panels = PickRowTimesPanels(c.cpu());
    for (auto& direction : attributes.function) {
      for (GateFunction& f : direction) f.Pick(c.cpu());
    }
    cell.Pick(attributes, c.cpu());
    if constexpr (kBytes) return PrepareBytes(c);
    if (!c.is_constant(1) || !c.is_constant(2) || !c.shape(1).is_static() || !c.shape(2).is_static()) return Status();
    const int64_t inputs = c.shape(1)[2], hidden = c.shape(2)[2];
    LINNET_TRY(ForType<kAnyFloat>(c.dtype(1), [&]<class T>() -> Status {
      using W = Wide<T>;
      LINNET_ASSIGN(packed, c.Weights("weights", attributes.directions * DirectionBytes<W>(inputs, hidden), [&](void* out) -> Status {
        LINNET_ASSIGN(Block temporary, Block::Allocate(std::max(c.shape(1).elements(), c.shape(2).elements()) * 4));
        PackAll(c.data<T>(1), c.data<T>(2), inputs, hidden, reinterpret_cast<W*>(temporary.data()), out);
        return Status();
      }));
      return Status();
    }));
    c.Drop(1);
    c.Drop(2);
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& x = c.shape(0);
    b.seq = x[attributes.batch_first ? 1 : 0];
    b.batch = x[attributes.batch_first ? 0 : 1];
    b.inputs = x[2];
    b.hidden = c.shape(2)[2];
    // Few rows read all weights for little work: better that each thread reads a part of them for all rows.
    const bool may_split = attributes.directions == 1 && c.threads() > 1 && b.hidden % kPanelColumns == 0 && b.hidden >= 64;
    if (may_split && b.batch <= 8 * c.threads()) {
      b.block = std::max<int64_t>(1, b.batch);
      b.share = RoundUp(DivUp(b.hidden, c.threads()), kPanelColumns);
    } else {
      b.blocks = std::max<int64_t>(1, std::min<int64_t>(b.batch, DivUp(c.threads(), attributes.directions)));
      b.block = std::max<int64_t>(1, DivUp(b.batch, b.blocks));
      b.blocks = std::max<int64_t>(1, DivUp(b.batch, b.block));
    }
    const bool is_double = c.dtype(0) == DType::kDouble, narrow = !is_double && c.dtype(0) != DType::kFloat;
    const int64_t size = is_double ? 8 : 4, gates = kGates * b.hidden;
    auto room = [size](int64_t count) { return RoundUp(count * size, kAlignment); };
    if (!packed) {
      const int64_t direction = is_double ? DirectionBytes<double>(b.inputs, b.hidden) : DirectionBytes<float>(b.inputs, b.hidden);
      b.packed_bytes = RoundUp(attributes.directions * direction, kAlignment);
      if (narrow) b.temporary_bytes = room(gates * std::max(b.inputs, b.hidden));
    }
    if (narrow) b.x_bytes = room(b.seq * b.batch * b.inputs);
    b.xg_bytes = room(attributes.directions * b.seq * b.batch * gates);
    b.bias_bytes = room(attributes.directions * 2 * gates);
    b.peephole_bytes = room(attributes.directions * 3 * b.hidden);
    b.worker_bytes = room(b.block * gates) + 4 * room(b.block * b.hidden);
    c.Scratch(b.packed_bytes + b.temporary_bytes + b.x_bytes + b.xg_bytes + b.bias_bytes + b.peephole_bytes +
              b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    return ForType<kTypes>(c.input_dtype(0), [&]<class T>() -> Status { return RunAs<T>(c); });
  }

  template <class T>
  Status RunAs(RunContext& c) const {
    using W = Wide<T>;
    const Bound& b = c.params<Bound>();
    const int64_t gates = kGates * b.hidden, rows = b.seq * b.batch;
    if (c.has_input(4)) LINNET_TRY(CheckLengths(c, b));
    std::byte* memory = c.scratch();
    auto take = [&memory](int64_t bytes) {
      W* at = reinterpret_cast<W*>(memory);
      memory += bytes;
      return at;
    };
    const std::byte* matrices = static_cast<const std::byte*>(packed);
    if (!kBytes && !packed) {
      W* made = take(b.packed_bytes);
      W* temporary = take(b.temporary_bytes);
      PackAll(c.in<T>(1), c.in<T>(2), b.inputs, b.hidden, temporary, made);
      matrices = reinterpret_cast<const std::byte*>(made);
    }
    const W* x;
    if constexpr (std::is_same_v<T, W>) {
      x = c.in<T>(0);
    } else {
      W* wide = take(b.x_bytes);
      for (int64_t i = 0; i < rows * b.inputs; ++i) wide[i] = Widen(c.in<T>(0)[i]);
      x = wide;
    }
    W* xg = take(b.xg_bytes);
    W* bias = take(b.bias_bytes);
    W* peepholes = take(b.peephole_bytes);
    SumBias(c.has_input(3) ? c.in<T>(3) : nullptr, b.hidden, bias);
    if (c.has_input(7)) {
      for (int64_t i = 0; i < attributes.directions * 3 * b.hidden; ++i) peepholes[i] = Widen(c.in<T>(7)[i]);
    }
    const int64_t direction_bytes = DirectionBytes<W>(b.inputs, b.hidden);

    // All inputs times W: blocks of rows by parts of a gate's panels, the same ones that the walk gives a thread.
    const int64_t row_block = 64, row_blocks = DivUp(rows, row_block), panels = PanelCount(gates);
    const int64_t parts = b.share > 0 ? DivUp(b.hidden, b.share) : 1;
    const double block_ns = ProductNs(std::min(rows, row_block), b.inputs, gates) / static_cast<double>(parts);
    for (int d = 0; d < attributes.directions; ++d) {
      LINNET_TRY(c.ParallelFor(parts * row_blocks, 1, block_ns, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t part = i / row_blocks, first = i % row_blocks * row_block, count = std::min(row_block, rows - first);
          auto multiply = [&](int64_t panel0, int64_t panel1) {
            MultiplyRows(kW, matrices + d * direction_bytes, gates, b.inputs, x + first * b.inputs, count, bias + d * 2 * gates,
                         xg + (d * rows + first) * gates, gates, panel0, panel1);
          };
          if (parts == 1) {
            multiply(0, panels);
          } else {
            ForEachGate(b, 0, kGates, part * b.share, std::min(b.hidden, (part + 1) * b.share), multiply);
          }
        }
      }));
    }

    Time<T> time{c, b, matrices, xg, bias, c.has_input(7) ? peepholes : nullptr};
    const int64_t tasks = attributes.directions * b.blocks;
    if (tasks == 1) return Walk(time, 0, 0, memory);
    // A walk only fails when the run was asked to stop, which the check below finds again.
    const double walk_ns = static_cast<double>(b.seq) * ProductNs(b.block, b.hidden, gates);
    LINNET_TRY(c.ParallelFor(tasks, 1, walk_ns, [&](int64_t begin, int64_t end, int worker) {
      std::byte* mine = memory + worker * b.worker_bytes;
      for (int64_t i = begin; i < end; ++i) {
        if (!Walk(time, static_cast<int>(i / b.blocks), i % b.blocks, mine).ok()) return;
      }
    }));
    return c.CheckStop();
  }

  /// A product of m rows: its arithmetic, or the reading of its weights from a cache.
  static double ProductNs(int64_t m, int64_t k, int64_t n) {
    return static_cast<double>(k * n) * std::max(0.05, 0.02 * static_cast<double>(m));
  }

  /// Calls body(panel0, panel1) for the units [unit0, unit1), whole panels, of each of `count` gates in a row.
  template <class Body>
  static void ForEachGate(const Bound& b, int first, int count, int64_t unit0, int64_t unit1, Body body) {
    for (int64_t at = first * b.hidden, end = at + count * b.hidden; at < end; at += b.hidden) {
      body((at + unit0) / kPanelColumns, (at + unit1) / kPanelColumns);
    }
  }

  template <class T>
  struct Time {
    RunContext& c;
    const Bound& b;
    const std::byte* matrices;
    const Wide<T>* xg;
    const Wide<T>* bias;
    const Wide<T>* peepholes;
  };

  /// [direction][what goes into xg | what the cell adds][gates * hidden].
  template <class T>
  void SumBias(const T* given, int64_t hidden, Wide<T>* out) const {
    const int64_t gates = kGates * hidden;
    for (int d = 0; d < attributes.directions; ++d, out += 2 * gates) {
      const T* w = given ? given + d * 2 * gates : nullptr;
      const T* r = given ? w + gates : nullptr;
      for (int gate = 0; gate < kGates; ++gate) {
        const bool keeps = cell.keeps_bias(gate);
        for (int64_t i = gate * hidden; i < (gate + 1) * hidden; ++i) {
          const Wide<T> of_w = given ? Widen(w[i]) : Wide<T>(0), of_r = given ? Widen(r[i]) : Wide<T>(0);
          out[i] = keeps ? of_w : of_w + of_r;
          out[gates + i] = keeps ? of_r : Wide<T>(0);
        }
      }
    }
  }

  Status CheckLengths(RunContext& c, const Bound& b) const {
    for (int64_t i = 0; i < b.batch; ++i) {
      int32_t length = c.in<int32_t>(4)[i];
      if (length < 0 || length > b.seq) {
        return InvalidArgument("sequence_lens[", i, "] is ", length, "; the input has ", b.seq, " time steps");
      }
    }
    return Status();
  }

  /// All time steps of one direction for one block of the batch.
  template <class T>
  Status Walk(const Time<T>& time, int direction, int64_t block, std::byte* memory) const {
    using W = Wide<T>;
    RunContext& c = time.c;
    const Bound& b = time.b;
    const int64_t n = b.hidden, gates = kGates * n, first = block * b.block, count = std::min(b.block, b.batch - first);
    if (count <= 0) return Status();
    auto take = [&memory](int64_t elements) {
      W* at = reinterpret_cast<W*>(memory);
      memory += RoundUp(elements * static_cast<int64_t>(sizeof(W)), kAlignment);
      return at;
    };
    Rows<W> rows;
    rows.first = first, rows.count = count;
    rows.hg = take(b.block * gates);
    W* before = take(b.block * n);
    W* h = take(b.block * n);
    rows.cells = take(b.block * n);
    rows.mixed = take(b.block * n);
    auto state_row = [&](int64_t row) {
      return attributes.batch_first ? (row * attributes.directions + direction) * n : (direction * b.batch + row) * n;
    };
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < n; ++k) {
        h[i * n + k] = c.has_input(5) ? Widen(c.in<T>(5)[state_row(first + i) + k]) : W(0);
        rows.cells[i * n + k] = c.has_input(6) ? Widen(c.in<T>(6)[state_row(first + i) + k]) : W(0);
      }
    }
    const std::byte* matrices = time.matrices + direction * DirectionBytes<W>(b.inputs, n) + MatrixBytes<W>(kW, gates, b.inputs);
    const int parts = static_cast<int>(cell.parts().size());
    for (int64_t step = 0; step < b.seq; ++step) {
      if (step % 64 == 63) LINNET_TRY(c.CheckStop());
      std::swap(before, h);
      rows.before = before, rows.h = h;
      const std::byte* matrix = matrices;
      for (int part = 0; part < parts; ++part) {
        const GatePart gate = cell.parts()[static_cast<size_t>(part)];
        const std::byte* r = matrix;
        const int64_t columns = gate.count * n;
        matrix += MatrixBytes<W>(kR, columns, n);
        auto units = [&](int64_t unit0, int64_t unit1) {
          auto multiply = [&](int64_t panel0, int64_t panel1) {
            MultiplyRows(kR, r, columns, n, part == 0 ? before : rows.mixed, count, static_cast<const W*>(nullptr), rows.hg + gate.first * n,
                         gates, panel0, panel1);
          };
          if (b.share > 0) {
            ForEachGate(b, 0, gate.count, unit0, unit1, multiply);
          } else {
            multiply(0, PanelCount(columns));
          }
          Cells(time, rows, direction, step, part, unit0, unit1);
        };
        if (b.share > 0) {
          LINNET_TRY(c.ParallelFor(n, b.share, ProductNs(count, n, gate.count),
                                   [&](int64_t begin, int64_t end, int) { units(begin, end); }));
        } else {
          units(0, n);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < n; ++k) {
        if (c.has_output(1)) c.out<T>(1)[state_row(first + i) + k] = Narrow<T>(h[i * n + k]);
        if (c.has_output(2)) c.out<T>(2)[state_row(first + i) + k] = Narrow<T>(rows.cells[i * n + k]);
      }
    }
    return Status();
  }

  /// What a walk keeps of its rows of the batch, `count` from `first` on: runs of n or of gates * n numbers.
  template <class W>
  struct Rows {
    int64_t first = 0, count = 0;
    W* hg = nullptr;
    const W* before = nullptr;
    W *h = nullptr, *cells = nullptr, *mixed = nullptr;
  };

  /// c = a times a matrix of [n][k] transposed, plus bias (may be null), for panels [panel0, panel1).
  template <class W>
  void MultiplyRows(int which, const std::byte* matrix, int64_t n, int64_t k, const W* a, int64_t m, const W* bias, W* c, int64_t c_stride,
                    int64_t panel0, int64_t panel1) const {
    if constexpr (kBytes) {
      if (bytes[which]) return multiply_bytes(ByteGateMatrix::At(matrix, n, k, zeros[which]), a, k, m, bias, c, c_stride, panel0, panel1);
    }
    const GateMatrix<W> floats{n, k, reinterpret_cast<const W*>(matrix)};
    if constexpr (std::is_same_v<W, float>) {
      if (m == 1 && bias == nullptr) return row_times_panels(a, k, floats.data, n, panel0, panel1, c);
    }
    Multiply(*kernels, a, m, floats, bias, c, c_stride, panel0, panel1);
  }

  /// A part of the cell for the units [unit0, unit1) of all rows at one step.
  template <class T, class W = Wide<T>>
  void Cells(const Time<T>& time, const Rows<W>& rows, int direction, int64_t step, int part, int64_t unit0,
             int64_t unit1) const {
    RunContext& c = time.c;
    const Bound& b = time.b;
    const int64_t n = b.hidden, gates = kGates * n;
    const bool backwards = attributes.directions == 2 ? direction == 1 : attributes.reverse;
    const bool last = part + 1 == static_cast<int>(cell.parts().size());
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = rows.first + i, at = i * n + unit0;
      const int64_t length = c.has_input(4) ? c.in<int32_t>(4)[row] : b.seq;
      if (step >= length) {   // behind the sequence's end the state stays, and Y is zero
        if (!last) continue;
        std::copy_n(rows.before + at, unit1 - unit0, rows.h + at);
        if (c.has_output(0)) Store<T>(c, b, direction, step, row, nullptr, unit0, unit1);
        continue;
      }
      const int64_t t = backwards ? length - 1 - step : step;
      const int64_t x_row = attributes.batch_first ? row * b.seq + t : t * b.batch + row;
      CellRow<W> state;
      state.n = n, state.count = unit1 - unit0;
      state.xg = time.xg + (direction * b.seq * b.batch + x_row) * gates + unit0;
      state.hg = rows.hg + i * gates + unit0;
      state.before = rows.before + at;
      state.h = rows.h + at;
      state.cell = rows.cells + at;
      state.mixed = rows.mixed + at;
      state.peepholes = time.peepholes ? time.peepholes + direction * 3 * n + unit0 : nullptr;
      state.recurrent_bias = time.bias + (direction * 2 + 1) * gates + unit0;
      state.function = attributes.function[direction];
      state.clip = attributes.clip > 0 ? static_cast<W>(attributes.clip) : std::numeric_limits<W>::infinity();
      cell.Step(part, state);
      if (last && c.has_output(0)) Store<T>(c, b, direction, t, row, rows.h + i * n, unit0, unit1);
    }
  }

  /// Writes units [unit0, unit1) of one row of Y; zeros when `h` is null.
  template <class T>
  void Store(RunContext& c, const Bound& b, int direction, int64_t t, int64_t row, const Wide<T>* h, int64_t unit0,
             int64_t unit1) const {
    const int64_t at = attributes.batch_first ? (row * b.seq + t) * attributes.directions + direction
                                              : (t * attributes.directions + direction) * b.batch + row;
    T* to = c.out<T>(0) + at * b.hidden;
    for (int64_t k = unit0; k < unit1; ++k) to[k] = Narrow<T>(h ? h[k] : Wide<T>(0));
  }
};

}  // namespace linnet
