// Choosing a form for W, packing, and cutting a batch of products into tasks.
#include "ops/dense_helpers.h"

#include <string.h>

#include <algorithm>

#include "ops/for_type.h"
#include "ops/packed_weights.h"

namespace linnet {
namespace {

/// Seconds of a multiply-add, roughly, in nanoseconds.
constexpr double kNsPerMac = 0.03;
constexpr uint32_t kHalf = Mask(DType::kFloat16) | Mask(DType::kBfloat16);
/// What a weight costs at least: with few rows a product waits for its weights.
constexpr double kNsPerWeight = 0.13, kNsPerNearWeight = 0.04;
/// Scratch that packing W may take before it is done in groups.
constexpr int64_t kPackFloatsMax = 4 << 20;
/// Up to this many rows a W that is used once is read where it lies.
constexpr int64_t kRowsUnpacked = 32, kRowsDots = 8;
/// Bytes of a constant W that are packed at a time, see PrepareContext::Reading.
constexpr int64_t kPackBytes = 1 << 20;

Shape BatchOf(const Shape& shape) { return Shape(shape.dims().first(shape.dims().size() - 2)); }

int64_t OffsetOf(const BroadcastLoop& loop, int64_t index, int operand) {
  int64_t offset = (loop.scalars >> operand) & 1 ? 0 : index % loop.run;
  int64_t rest = index / loop.run;
  for (int d = loop.rank - 1; d >= 0; --d) {
    offset += rest % loop.dims[d] * loop.strides[operand][d];
    rest /= loop.dims[d];
  }
  return offset;
}

/// Sections of one scratch area.
struct Sections {
  int64_t bytes = 0;
  Result<int64_t> Floats(int64_t a, int64_t b, int64_t c = 1) {
    int64_t count;
    if (!CheckedMul(a, b, &count) || !CheckedMul(count, c, &count) || count > kElementsMax) {
      return LimitReached("scratch of ", a, " x ", b, " x ", c, " floats is too large");
    }
    const int64_t at = bytes;
    bytes += RoundUp(count * 4, static_cast<int64_t>(kAlignment));
    return at;
  }
};

template <class T>
void WidenAll(const T* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ToFloat(x[i]);
}

}  // namespace

Result<Shape> MatMulShape(const Shape& x, bool transpose_x, const Shape& w, bool transpose_w) {
  if (!x.has_rank() || !w.has_rank()) return Shape();
  if (x.rank() == 0 || w.rank() == 0) return InvalidModel("operands of a matrix product must have at least one dimension");
  const bool row = x.rank() == 1, column = w.rank() == 1;
  const int64_t m = row ? 1 : x[x.rank() - (transpose_x ? 1 : 2)];
  const int64_t k = row ? x[0] : x[x.rank() - (transpose_x ? 2 : 1)];
  const int64_t k_of_w = column ? w[0] : w[w.rank() - (transpose_w ? 1 : 2)];
  const int64_t n = column ? 1 : w[w.rank() - (transpose_w ? 2 : 1)];
  if (IsKnownDim(k) && IsKnownDim(k_of_w) && k != k_of_w) {
    return InvalidModel("inner dimensions ", k, " and ", k_of_w, " of ", ToString(x), " and ", ToString(w), " differ");
  }
  const Shape x_batch = row ? Shape::OfRank(0) : BatchOf(x), w_batch = column ? Shape::OfRank(0) : BatchOf(w);
  LINNET_ASSIGN(Shape out, Broadcast(x_batch, w_batch));
  if (!row) out.Append(m);
  if (!column) out.Append(n);
  return out;
}

Status Dense::Prepare(PrepareContext& c, int w) {
  Pick(c.cpu());
  const DType dtype = c.dtype(w);
  const Shape& shape = c.shape(w);
  const bool half = dtype == DType::kFloat16 || dtype == DType::kBfloat16;
  if (!c.is_constant(w) || shape.rank() < 2 || (dtype != DType::kFloat && !half)) return Status();
  const int64_t rows = shape[shape.rank() - 2], columns = shape[shape.rank() - 1];
  const int64_t k = transpose_w ? columns : rows, n = transpose_w ? rows : columns;
  const int64_t matrices = BatchOf(shape).elements();
  // A single column or row is better read as it is, without padding to a panel.
  if (n == 1) return Status();
  if (reduce && dtype == DType::kFloat && matrices == 1) return PrepareReduced(c, w, k, n);
  int64_t padded, bytes;
  if (!CheckedMul(RoundUp(n, kPanelColumns), k, &padded) || !CheckedMul(padded, 4 * std::max<int64_t>(matrices, 1), &bytes)) {
    return LimitReached("packing weights of shape ", ToString(shape), " overflows");
  }
  LINNET_ASSIGN(const void* packed, c.Weights("w", bytes, [&](void* out) -> Status {
    Block wide;
    const float* from = c.data<float>(w);
    if (half) {
      LINNET_ASSIGN(wide, Block::Allocate(shape.elements() * 4));
      float* to = reinterpret_cast<float*>(wide.data());
      LINNET_TRY(ForType<kHalf>(dtype, [&]<class T>() -> Status {
        WidenAll(c.data<T>(w), shape.elements(), to);
        return Status();
      }));
      from = to;
    }
    // So many rows of W at a time, of which 16 make a panel when they are columns.
    const int64_t step = std::max<int64_t>(16, RoundUp(kPackBytes / std::max<int64_t>(4 * columns, 1), 16));
    for (int64_t i = 0; i < matrices; ++i) {
      const float* b = from + i * rows * columns;
      float* to = static_cast<float*>(out) + i * padded;
      for (int64_t row = 0; row < rows; row += step) {
        const int64_t end = std::min(rows, row + step), bytes_of_row = columns * DTypeBytes(dtype);
        if (!half) c.Reading(w, (i * rows + row) * bytes_of_row, (end - row) * bytes_of_row);
        if (transpose_w) PackPanelsF32(b, k, n, 1, k, alpha, row / kPanelColumns, PanelCount(end), to);
        else PackRowsF32(b, k, n, n, 1, alpha, row, end, to);
      }
    }
    return Status();
  }));
  packed_ = packed;
  c.Drop(w);
  return Status();
}

Status Dense::Bind(BindContext& c, const Shape* added, bool biased, DenseParams* params) const {
  LINNET_ASSIGN(int64_t bytes, Plan(c.dtype(0), c.shape(0), c.shape(1), added, biased, c.threads(), 0, params));
  c.Scratch(bytes);
  return Status();
}

Result<int64_t> Dense::Plan(DType dtype, const Shape& x, const Shape& w, const Shape* added, bool biased, int threads,
                            int64_t scratch_at, DenseParams* params) const {
  DenseParams& p = *params;
  const bool row = x.rank() == 1, column = w.rank() == 1;
  const bool turn_x = transpose_x && !row, turn_w = transpose_w && !column;
  p.m = row ? 1 : x[x.rank() - (turn_x ? 1 : 2)];
  p.k = row ? x[0] : x[x.rank() - (turn_x ? 2 : 1)];
  p.n = column ? 1 : w[w.rank() - (turn_w ? 2 : 1)];
  p.half = dtype == DType::kFloat16 || dtype == DType::kBfloat16;
  const Shape batches[2] = {row ? Shape::OfRank(0) : BatchOf(x), column ? Shape::OfRank(0) : BatchOf(w)};
  LINNET_ASSIGN(Shape batch, Broadcast(batches[0], batches[1]));
  p.batches = batch.elements();
  p.x_matrices = batches[0].elements();
  p.w_matrices = batches[1].elements();
  if (p.w_matrices == 1 && !turn_x && p.x_matrices == p.batches) {
    p.m *= p.batches;
    p.batches = p.x_matrices = 1;
    batch = Shape::OfRank(0);
    p.batch = MakeBroadcastLoop(batch, std::span<const Shape>());
    p.batch.scalars = 3;
  } else {
    p.batch = MakeBroadcastLoop(batch, batches);
  }

  if (added) {
    using Added = DenseParams::Added;
    const int64_t elements = added->elements();
    const int64_t last = added->rank() > 0 ? (*added)[added->rank() - 1] : 1;
    if (elements == p.batches * p.m * p.n && (added->rank() >= x.rank() || elements == 1)) {
      p.added = beta == 1 ? Added::kSame : Added::kBroadcast;
      p.c_row_step = p.n, p.c_column_step = 1;
    } else if (elements == p.n && last == p.n) {
      p.added = Added::kRow;
    } else {
      p.added = Added::kBroadcast;
      p.c_column_step = last == 1 ? 0 : 1;
      p.c_row_step = elements == last ? 0 : last;
    }
  }

  const bool plain = dtype != DType::kFloat && !p.half;
  if (plain || p.batches * p.m * p.n == 0) return int64_t{0};
  const bool no_epilogue = !added && !biased && activation == Activation::kNone && alpha == 1;
  const int64_t uses_of_w = p.w_matrices == 1 ? p.batches * p.m : p.m;
  if (!kComputedWeights || packed_) {
    if (!packed_) return NotPacked();
    p.form = DenseForm::kPacked;
  } else if (p.n == 1 && no_epilogue && !turn_x) {
    p.form = DenseForm::kVector;
  } else if (turn_w && uses_of_w <= kRowsDots && alpha == 1) {
    p.form = DenseForm::kDots;
  } else if (!turn_w && uses_of_w <= kRowsUnpacked && alpha == 1) {
    p.form = DenseForm::kRowMajor;
  } else {
    p.form = DenseForm::kPackNow;
  }

  Sections sections{scratch_at};
  p.grain = GemmGrainF32(*kernels_, p.m, p.n, p.k, threads);
  if (static_cast<double>(p.m) * kNsPerMac < kNsPerWeight && threads > 1) {
    // Every thread reads a part of the weights, the same one in every run.
    const int64_t panels = PanelCount(p.n), parts = std::clamp<int64_t>(panels / (16 * threads), 1, 4) * threads;
    p.grain.panels = std::min(std::max<int64_t>(panels, 1), RoundUp(std::max<int64_t>(1, DivUp(panels, parts)), panels > 64 ? 8 : 4));
  }
  if (p.half) {
    LINNET_ASSIGN(p.wide_x_at, sections.Floats(p.x_matrices, p.m * p.k));
    if (kComputedWeights && !packed_) {
      LINNET_ASSIGN(p.wide_w_at, sections.Floats(p.w_matrices, p.k * p.n));
    }
    LINNET_ASSIGN(p.wide_y_at, sections.Floats(p.batches, p.m * p.n));
  }
  LINNET_ASSIGN(p.bias_at, sections.Floats(p.n, 1));
  if (turn_x) {
    LINNET_ASSIGN(p.transposed_x_at, sections.Floats(p.x_matrices, p.m * p.k));
  }
  if (kComputedWeights && p.form == DenseForm::kPackNow) {
    const int64_t one = PackedSizeF32(p.k, p.n);
    p.group = std::clamp<int64_t>(kPackFloatsMax / std::max<int64_t>(one, 1), 1, p.batches);
    LINNET_ASSIGN(p.pack_at, sections.Floats(p.w_matrices == 1 ? 1 : p.group, one));
    if (p.w_matrices == 1) p.group = p.batches;
  } else {
    p.group = p.batches;
  }
  if (kComputedWeights && (p.form == DenseForm::kRowMajor || p.form == DenseForm::kDots)) {
    // Enough columns that a task is worth handing out, whole panels.
    const int64_t worth = 200000 / std::max<int64_t>(1, p.m * p.k);
    p.column_block = RoundUp(std::clamp<int64_t>(worth, 1, p.n), 4 * kPanelColumns);
  }
  if (reduced_) {
    p.grain = GemmGrainHalf(*reduced_, p.m, p.n, p.k, threads);
    p.worker_bytes = GemmHalfScratchBytes(*reduced_, p.m, p.n, p.k);
    LINNET_ASSIGN(p.worker_at, sections.Floats(p.worker_bytes / 4, threads));
  }
  p.splits = kSplitsAnywhere && split_ && !reduced_ && (p.form == DenseForm::kPacked || p.form == DenseForm::kPackNow) && SplitGemmPays(p.m, p.n, p.k);
  if (kSplitsAnywhere && p.splits) {
    p.grain = SplitGemmGrain(p.m, p.n, p.k, threads);
    p.worker_bytes = SplitGemmScratchBytes();
    LINNET_ASSIGN(p.worker_at, sections.Floats(p.worker_bytes / 4, threads));
  }
  if (kComputedWeights && p.form == DenseForm::kRowMajor) {
    p.worker_bytes = p.k * kPanelColumns * 4;
    LINNET_ASSIGN(p.worker_at, sections.Floats(p.k * kPanelColumns, threads));
  }
  return sections.bytes - scratch_at;
}

Status Dense::MultiplyGroup(const RunContext& c, const DenseParams& p, const GemmF32& shared, const float* x,
                            const float* w, float* y, int64_t first, int64_t count) const {
  const bool dots = kComputedWeights && p.form == DenseForm::kDots, in_place = dots || (kComputedWeights && p.form == DenseForm::kRowMajor);
  const int64_t row_tasks = in_place ? 1 : DivUp(p.m, p.grain.rows);
  const int64_t column_tasks = in_place ? DivUp(p.n, p.column_block) : DivUp(PanelCount(p.n), p.grain.panels), tasks = row_tasks * column_tasks;
  const double weight_ns = c.weights_are_far() ? kNsPerWeight : kNsPerNearWeight, row_ns = kernels_->ns_per_mac;
  const double ns = static_cast<double>(p.n) * static_cast<double>(p.k + 4) * std::max(weight_ns, row_ns * static_cast<double>(p.m));
  const int64_t packed_size = PackedSizeF32(p.k, p.n), xy = p.m * p.n;
  return c.ParallelFor(count * tasks, 1, ns / static_cast<double>(tasks), [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin, columns = 1; i < end; i += columns) {
      const int64_t batch = first + i / tasks, rest = i % tasks;
      const int64_t row = rest / column_tasks, column = rest % column_tasks;
      if (!in_place && !p.splits) columns = std::min(column_tasks - column, end - i);   // in one call: wider tiles, and A is read once
      const int64_t w_at = OffsetOf(p.batch, batch, 1);
      GemmF32 g = shared;
      g.a = x + OffsetOf(p.batch, batch, 0) * p.m * p.k;
      g.c = y + batch * xy;
      if (g.epilogue.residual) g.epilogue.residual += batch * xy;
      if (in_place) {
        const int64_t n0 = column * p.column_block, n1 = std::min(p.n, n0 + p.column_block);
        g.b = w + w_at * p.k * p.n;
        if (dots) {
          g.b_row_stride = p.k;
          kernels_->run_transposed(g, n0, n1);
          continue;
        }
        // The columns [n0, n1) as a product of their own.
        g.b += n0;
        g.b_row_stride = p.n;
        g.c += n0;
        g.n = n1 - n0;
        if (g.epilogue.bias) g.epilogue.bias += n0;
        if (g.epilogue.residual) g.epilogue.residual += n0;
        kernels_->run_row_major(g, 0, p.m, reinterpret_cast<float*>(c.scratch() + p.worker_at + worker * p.worker_bytes));
        continue;
      }
      UsePackedB(&g, w + (!kComputedWeights || p.form == DenseForm::kPacked ? w_at : p.w_matrices == 1 ? 0 : batch - first) * packed_size);
      const int64_t m0 = row * p.grain.rows, panel0 = column * p.grain.panels;
      const int64_t m1 = std::min(p.m, m0 + p.grain.rows), panel1 = std::min(PanelCount(p.n), panel0 + columns * p.grain.panels);
      if (kSplitsAnywhere && p.splits) {
        split_->run(g, m0, m1, panel0, panel1, *kernels_, c.scratch() + p.worker_at + worker * p.worker_bytes);
      } else {
        if (columns < column_tasks) AskForRows(g.a + m0 * p.k, (m1 - m0) * p.k * 4);
        kernels_->run(g, m0, m1, panel0, panel1);
      }
    }
  });
}

Status Dense::RunFloat(const RunContext& c, const DenseParams& p, const float* x, const float* w, const float* bias,
                       const float* added, float* y) const {
  using Added = DenseParams::Added;
  auto section = [&](int64_t at) { return reinterpret_cast<float*>(c.scratch() + at); };
  if (p.transposed_x_at >= 0) {
    float* turned = section(p.transposed_x_at);
    for (int64_t b = 0; b < p.x_matrices; ++b) {
      const float* from = x + b * p.m * p.k;
      float* to = turned + b * p.m * p.k;
      for (int64_t i = 0; i < p.m; ++i) {
        for (int64_t l = 0; l < p.k; ++l) to[i * p.k + l] = from[l * p.m + i];
      }
    }
    x = turned;
  }
  if (kComputedWeights && p.form == DenseForm::kVector) {
    // y = X w: one row w times X transposed, for each batch.
    return c.ParallelFor(p.batches, 1, static_cast<double>(p.m * p.k) * kNsPerMac, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b) {
        GemmF32 g;
        g.a = w + OffsetOf(p.batch, b, 1) * p.k;
        g.a_row_stride = p.k;
        g.m = 1, g.n = p.m, g.k = p.k;
        g.b = x + OffsetOf(p.batch, b, 0) * p.m * p.k;
        g.b_row_stride = p.k;
        g.c = y + b * p.m;
        g.c_row_stride = p.m;
        kernels_->run_transposed(g, 0, p.m);
      }
    });
  }

  GemmF32 g;
  g.a_row_stride = p.k;
  g.m = p.m, g.n = p.n, g.k = p.k, g.only_row = p.m == 1;
  g.c_row_stride = p.n;
  g.epilogue.bias = bias;
  g.epilogue.activation = activation;
  g.epilogue.alpha = activation_alpha;
  g.epilogue.beta = activation_beta;
  g.epilogue.residual_row_stride = p.n;
  if (p.added == Added::kRow) {
    if (beta == 1 && !bias) {
      g.epilogue.bias = added;
    } else {
      float* sum = section(p.bias_at);
      for (int64_t j = 0; j < p.n; ++j) sum[j] = beta * added[j] + (bias ? bias[j] : 0);
      g.epilogue.bias = sum;
    }
  } else if (p.added == Added::kSame) {
    g.epilogue.residual = added;
  } else if (p.added == Added::kBroadcast) {
    for (int64_t i = 0; i < p.m; ++i) {
      const float* from = added + i * p.c_row_step;
      for (int64_t j = 0; j < p.n; ++j) y[i * p.n + j] = beta * from[j * p.c_column_step];
    }
    g.epilogue.residual = y;
  }

  if (reduced_) return MultiplyReduced(c, p, g.epilogue, x, y);
  if (!kComputedWeights || p.form != DenseForm::kPackNow) {
    return MultiplyGroup(c, p, g, x, !kComputedWeights || p.form == DenseForm::kPacked ? static_cast<const float*>(packed_) : w, y, 0, p.batches);
  }
  float* packed = section(p.pack_at);
  const int64_t panels = PanelCount(p.n), one = PackedSizeF32(p.k, p.n);
  const int64_t row_stride = transpose_w ? 1 : p.n, column_stride = transpose_w ? p.k : 1;
  for (int64_t first = 0; first < p.batches; first += p.group) {
    const int64_t count = std::min(p.group, p.batches - first), matrices = p.w_matrices == 1 ? 1 : count;
    LINNET_TRY(c.ParallelFor(matrices * panels, 4, static_cast<double>(p.k) * 8, [&](int64_t begin, int64_t end, int) {
      while (begin < end) {
        const int64_t matrix = begin / panels, panel0 = begin % panels;
        const int64_t panel1 = std::min(panels, panel0 + end - begin);
        PackPanelsF32(w + OffsetOf(p.batch, first + matrix, 1) * p.k * p.n, p.k, p.n, row_stride, column_stride, alpha,
                      panel0, panel1, packed + matrix * one);
        begin += panel1 - panel0;
      }
    }));
    LINNET_TRY(MultiplyGroup(c, p, g, x, packed, y, first, count));
  }
  return Status();
}

template <class T>
Status Dense::RunHalf(const RunContext& c, const DenseParams& p, const void* x, const void* w, const void* bias,
                      const void* added, void* y) const {
  using Added = DenseParams::Added;
  auto section = [&](int64_t at) { return reinterpret_cast<float*>(c.scratch() + at); };
  float *wide_x = section(p.wide_x_at), *wide_y = section(p.wide_y_at), *wide_w = nullptr;
  WidenAll(static_cast<const T*>(x), p.x_matrices * p.m * p.k, wide_x);
  if (p.wide_w_at >= 0) {
    wide_w = section(p.wide_w_at);
    WidenAll(static_cast<const T*>(w), p.w_matrices * p.k * p.n, wide_w);
  }
  // What is added goes through Y, except a row, which goes through the bias.
  DenseParams rest = p;
  rest.added = Added::kNone;
  const float* wide_bias = nullptr;
  if (bias || p.added == Added::kRow) {
    float* sum = section(p.bias_at);
    for (int64_t j = 0; j < p.n; ++j) {
      sum[j] = (bias ? ToFloat(static_cast<const T*>(bias)[j]) : 0) +
               (p.added == Added::kRow ? beta * ToFloat(static_cast<const T*>(added)[j]) : 0);
    }
    wide_bias = sum;
  }
  const float* wide_added = nullptr;
  if (p.added == Added::kSame || p.added == Added::kBroadcast) {
    const T* from = static_cast<const T*>(added);
    const bool same = p.added == Added::kSame;
    for (int64_t i = 0; i < p.batches * p.m; ++i) {
      const int64_t row = same ? i * p.n : i * p.c_row_step;
      for (int64_t j = 0; j < p.n; ++j) {
        wide_y[i * p.n + j] = beta * ToFloat(from[row + (same ? j : j * p.c_column_step)]);
      }
    }
    rest.added = Added::kSame;
    wide_added = wide_y;
  }
  LINNET_TRY(RunFloat(c, rest, wide_x, wide_w, wide_bias, wide_added, wide_y));
  T* out = static_cast<T*>(y);
  for (int64_t i = 0; i < p.batches * p.m * p.n; ++i) out[i] = Narrow<T>(wide_y[i]);
  return Status();
}

Status Dense::Run(const RunContext& c, const DenseParams& p, const void* x, const void* w, const void* bias,
                  const void* added, void* y) const {
  if (p.batches * p.m * p.n == 0) return Status();
  if (!p.half) {
    return RunFloat(c, p, static_cast<const float*>(x), static_cast<const float*>(w), static_cast<const float*>(bias),
                    static_cast<const float*>(added), static_cast<float*>(y));
  }
  return ForType<kHalf>(c.output_dtype(0), [&]<class T>() { return RunHalf<T>(c, p, x, w, bias, added, y); });
}

Status MultiplyPlain(const RunContext& c, DType dtype, const DenseParams& p, bool transpose_x, bool transpose_w,
                     const void* x, const void* w, void* y) {
  constexpr uint32_t kTypes = Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kUint32) | Mask(DType::kUint64);
  // Sums of products wrap alike for signed and unsigned integers.
  if (dtype == DType::kInt32) dtype = DType::kUint32;
  if (dtype == DType::kInt64) dtype = DType::kUint64;
  return ForType<kTypes>(dtype, [&]<class T>() {
    const double ns = static_cast<double>(p.n) * static_cast<double>(p.k) * 0.5;
    const int64_t x_row = transpose_x ? 1 : p.k, x_step = transpose_x ? p.m : 1;
    return c.ParallelFor(p.batches * p.m, 1, ns, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t batch = i / p.m;
        const T* a = static_cast<const T*>(x) + OffsetOf(p.batch, batch, 0) * p.m * p.k + i % p.m * x_row;
        const T* b = static_cast<const T*>(w) + OffsetOf(p.batch, batch, 1) * p.k * p.n;
        T* out = static_cast<T*>(y) + i * p.n;
        std::fill(out, out + p.n, T{0});
        if (transpose_w) {
          for (int64_t j = 0; j < p.n; ++j) {
            for (int64_t l = 0; l < p.k; ++l) out[j] += a[l * x_step] * b[j * p.k + l];
          }
        } else {
          for (int64_t l = 0; l < p.k; ++l) {
            const T value = a[l * x_step];
            for (int64_t j = 0; j < p.n; ++j) out[j] += value * b[l * p.n + j];
          }
        }
      }
    });
  });
}

}  // namespace linnet
