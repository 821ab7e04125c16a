// Recurrent<Cell>: the operator around a cell: binding, packing, the walk over time and directions.
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

#include "ops/recurrent_helpers.h"

namespace linnet {

template <class Cell>
struct Recurrent {
  RecurrentAttributes attributes;
  Cell cell;
  const GemmF32Kernels* kernels = nullptr;
  const void* packed = nullptr;   ///< all matrices; null when a weight is computed

  static constexpr int kGates = Cell::kGates;

  struct Bound {
    int64_t seq = 0, batch = 0, inputs = 0, hidden = 0, blocks = 1, block = 1;
    // Bytes of scratch, in this order.
    int64_t packed_bytes = 0, temporary_bytes = 0, x_bytes = 0, xg_bytes = 0, bias_bytes = 0, peephole_bytes = 0,
            worker_bytes = 0;
  };

  Status Parse(const Node& node) { return cell.Parse(node, &attributes); }
  Status Infer(InferContext& c) const { return attributes.Infer(c, Cell::kCellState); }

  /// Elements of a direction's matrices: W, then R part by part.
  template <class W>
  int64_t DirectionCount(int64_t inputs, int64_t hidden) const {
    int64_t count = GateMatrix<W>::Count(kGates * hidden, inputs);
    for (const GatePart& part : cell.parts()) count += GateMatrix<W>::Count(part.count * hidden, hidden);
    return count;
  }

  template <class T>
  void PackAll(const T* w, const T* r, int64_t inputs, int64_t hidden, Wide<T>* temporary, Wide<T>* out) const {
    using W = Wide<T>;
    for (int d = 0; d < attributes.directions; ++d) {
      GateMatrix<W>::Pack(w + d * kGates * hidden * inputs, kGates * hidden, inputs, temporary, out);
      out += GateMatrix<W>::Count(kGates * hidden, inputs);
      for (const GatePart& part : cell.parts()) {
        GateMatrix<W>::Pack(r + (d * kGates + part.first) * hidden * hidden, part.count * hidden, hidden, temporary, out);
        out += GateMatrix<W>::Count(part.count * hidden, hidden);
      }
    }
  }

  Status Prepare(PrepareContext& c) {
    kernels = &PickGemmF32(c.cpu());
    for (auto& direction : attributes.function) {
      for (GateFunction& f : direction) f.Pick(c.cpu());
    }
    cell.Pick(attributes, c.cpu());
    if (!c.is_constant(1) || !c.is_constant(2) || !c.shape(1).is_static() || !c.shape(2).is_static()) return Status();
    const int64_t inputs = c.shape(1)[2], hidden = c.shape(2)[2];
    LINNET_TRY(ForType<kAnyFloat>(c.dtype(1), [&]<class T>() -> Status {
      using W = Wide<T>;
      int64_t bytes = attributes.directions * DirectionCount<W>(inputs, hidden) * static_cast<int64_t>(sizeof(W));
      LINNET_ASSIGN(packed, c.Weights("weights", bytes, [&](void* out) -> Status {
        LINNET_ASSIGN(Block temporary, Block::Allocate(std::max(c.shape(1).elements(), c.shape(2).elements()) * 4));
        PackAll(c.data<T>(1), c.data<T>(2), inputs, hidden, reinterpret_cast<W*>(temporary.data()), static_cast<W*>(out));
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
    b.blocks = std::max<int64_t>(1, std::min<int64_t>(b.batch, DivUp(c.threads(), attributes.directions)));
    b.block = std::max<int64_t>(1, DivUp(b.batch, b.blocks));
    b.blocks = std::max<int64_t>(1, DivUp(b.batch, b.block));
    const bool is_double = c.dtype(0) == DType::kDouble, narrow = !is_double && c.dtype(0) != DType::kFloat;
    const int64_t size = is_double ? 8 : 4, gates = kGates * b.hidden;
    auto bytes = [size](int64_t count) { return RoundUp(count * size, kAlignment); };
    if (!packed) {
      int64_t count = is_double ? DirectionCount<double>(b.inputs, b.hidden) : DirectionCount<float>(b.inputs, b.hidden);
      b.packed_bytes = bytes(attributes.directions * count);
      if (narrow) b.temporary_bytes = bytes(gates * std::max(b.inputs, b.hidden));
    }
    if (narrow) b.x_bytes = bytes(b.seq * b.batch * b.inputs);
    b.xg_bytes = bytes(attributes.directions * b.seq * b.batch * gates);
    b.bias_bytes = bytes(attributes.directions * 2 * gates);
    b.peephole_bytes = bytes(attributes.directions * 3 * b.hidden);
    b.worker_bytes = bytes(b.block * gates) + 3 * bytes(b.block * b.hidden);
    c.Scratch(b.packed_bytes + b.temporary_bytes + b.x_bytes + b.xg_bytes + b.bias_bytes + b.peephole_bytes +
              b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status { return RunAs<T>(c); });
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
    const W* matrices = static_cast<const W*>(packed);
    if (!packed) {
      W* made = take(b.packed_bytes);
      W* temporary = take(b.temporary_bytes);
      PackAll(c.in<T>(1), c.in<T>(2), b.inputs, b.hidden, temporary, made);
      matrices = made;
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
    const int64_t direction_count = DirectionCount<W>(b.inputs, b.hidden);

    // All inputs times W: rows by blocks of panels.
    const int64_t panels = PanelCount(gates), row_block = 64, row_blocks = DivUp(rows, row_block);
    double block_ns = static_cast<double>(row_block * b.inputs * gates) / 30;
    for (int d = 0; d < attributes.directions; ++d) {
      GateMatrix<W> matrix{gates, b.inputs, matrices + d * direction_count};
      LINNET_TRY(c.ParallelFor(row_blocks, 1, block_ns, [&](int64_t begin, int64_t end, int) {
        int64_t first = begin * row_block, last = std::min(rows, end * row_block);
        Multiply(*kernels, x + first * b.inputs, last - first, matrix, bias + d * 2 * gates,
                 xg + (d * rows + first) * gates, gates, 0, panels);
      }));
    }

    Time<T> time{c, b, matrices, xg, bias, c.has_input(7) ? peepholes : nullptr};
    const int64_t tasks = attributes.directions * b.blocks;
    if (tasks == 1) return Walk(time, 0, 0, memory, true);
    // A walk only fails when the run was asked to stop, which the check below finds again.
    LINNET_TRY(c.ParallelFor(tasks, 1, static_cast<double>(b.seq * b.block * gates * b.hidden) / 20,
                             [&](int64_t begin, int64_t end, int worker) {
      std::byte* mine = memory + worker * b.worker_bytes;
      for (int64_t i = begin; i < end; ++i) {
        if (!Walk(time, static_cast<int>(i / b.blocks), i % b.blocks, mine, false).ok()) return;
      }
    }));
    return c.CheckStop();
  }

  template <class T>
  struct Time {
    RunContext& c;
    const Bound& b;
    const Wide<T>* matrices;
    const Wide<T>* xg;
    const Wide<T>* bias;
    const Wide<T>* peepholes;
  };

  /// [direction][what goes into xg | what the cell adds][gates * hidden].
  template <class T>
  void SumBias(const T* given, int64_t hidden, Wide<T>* out) const {
    const int64_t gates = kGates * hidden;
    for (int d = 0; d < attributes.directions; ++d, out += 2 * gates) {
      for (int64_t i = 0; i < gates; ++i) {
        Wide<T> w = 0, r = 0;
        if (given) {
          w = Widen(given[d * 2 * gates + i]);
          r = Widen(given[d * 2 * gates + gates + i]);
        }
        const bool keeps = cell.keeps_bias(static_cast<int>(i / hidden));
        out[i] = keeps ? w : w + r;
        out[gates + i] = keeps ? r : 0;
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
  Status Walk(const Time<T>& time, int direction, int64_t block, std::byte* memory, bool split) const {
    using W = Wide<T>;
    RunContext& c = time.c;
    const Bound& b = time.b;
    const int64_t n = b.hidden, gates = kGates * n, first = block * b.block, count = std::min(b.block, b.batch - first);
    if (count <= 0) return Status();
    auto bytes = [](int64_t elements) { return RoundUp(elements * static_cast<int64_t>(sizeof(W)), kAlignment); };
    W* hg = reinterpret_cast<W*>(memory);
    W* h = reinterpret_cast<W*>(memory + bytes(b.block * gates));
    W* cells = reinterpret_cast<W*>(memory + bytes(b.block * gates) + bytes(b.block * n));
    W* mixed = reinterpret_cast<W*>(memory + bytes(b.block * gates) + 2 * bytes(b.block * n));
    const bool backwards = attributes.directions == 2 ? direction == 1 : attributes.reverse;
    auto state_row = [&](int64_t row) {
      return attributes.batch_first ? (row * attributes.directions + direction) * n : (direction * b.batch + row) * n;
    };
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < n; ++k) {
        h[i * n + k] = c.has_input(5) ? Widen(c.in<T>(5)[state_row(first + i) + k]) : W(0);
        cells[i * n + k] = c.has_input(6) ? Widen(c.in<T>(6)[state_row(first + i) + k]) : W(0);
      }
    }
    const W* matrices = time.matrices + direction * DirectionCount<W>(b.inputs, n) + GateMatrix<W>::Count(gates, b.inputs);
    for (int64_t step = 0; step < b.seq; ++step) {
      if (step % 64 == 63) LINNET_TRY(c.CheckStop());
      const W* matrix = matrices;
      int part_index = 0;
      for (const GatePart& part : cell.parts()) {
        GateMatrix<W> r{part.count * n, n, matrix};
        matrix += GateMatrix<W>::Count(r.n, r.k);
        const W* a = part_index == 0 ? h : mixed;
        W* out = hg + part.first * n;
        const int64_t panels = PanelCount(r.n);
        if (split) {
          LINNET_TRY(c.ParallelFor(panels, 4, static_cast<double>(count * n * kPanelColumns) / 20,
                                   [&](int64_t begin, int64_t end, int) {
            Multiply(*kernels, a, count, r, static_cast<const W*>(nullptr), out, gates, begin, end);
          }));
        } else {
          Multiply(*kernels, a, count, r, static_cast<const W*>(nullptr), out, gates, 0, panels);
        }
        const bool last = ++part_index == static_cast<int>(cell.parts().size());
        for (int64_t i = 0; i < count; ++i) {
          const int64_t row = first + i;
          const int64_t length = c.has_input(4) ? c.in<int32_t>(4)[row] : b.seq;
          if (step < length) {
            const int64_t t = backwards ? length - 1 - step : step;
            const int64_t x_row = attributes.batch_first ? row * b.seq + t : t * b.batch + row;
            CellRow<W> state;
            state.n = n;
            state.xg = time.xg + (direction * b.seq * b.batch + x_row) * gates;
            state.hg = hg + i * gates;
            state.h = h + i * n;
            state.cell = cells + i * n;
            state.mixed = mixed + i * n;
            state.peepholes = time.peepholes ? time.peepholes + direction * 3 * n : nullptr;
            state.recurrent_bias = time.bias + (direction * 2 + 1) * gates;
            state.function = attributes.function[direction];
            state.clip = attributes.clip > 0 ? static_cast<W>(attributes.clip) : std::numeric_limits<W>::infinity();
            cell.Step(part_index - 1, state);
            if (last && c.has_output(0)) Store<T>(c, b, direction, t, row, h + i * n);
          } else if (last && c.has_output(0)) {
            Store<T>(c, b, direction, step, row, nullptr);   // behind the sequence's end: zeros
          }
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < n; ++k) {
        if (c.has_output(1)) c.out<T>(1)[state_row(first + i) + k] = Narrow<T>(h[i * n + k]);
        if (c.has_output(2)) c.out<T>(2)[state_row(first + i) + k] = Narrow<T>(cells[i * n + k]);
      }
    }
    return Status();
  }

  /// Writes one row of Y; zeros when `h` is null.
  template <class T>
  void Store(RunContext& c, const Bound& b, int direction, int64_t t, int64_t row, const Wide<T>* h) const {
    const int64_t at = attributes.batch_first ? (row * b.seq + t) * attributes.directions + direction
                                              : (t * attributes.directions + direction) * b.batch + row;
    T* to = c.out<T>(0) + at * b.hidden;
    for (int64_t k = 0; k < b.hidden; ++k) to[k] = Narrow<T>(h ? h[k] : Wide<T>(0));
  }
};

}  // namespace linnet
