// Packing B, the arrays of offsets and scales, and cutting a batch of 8-bit products into tasks.
#include "ops/integer_product.h"

#include <string.h>

#include <algorithm>

#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/packed_weights.h"
#include "ops/quantize_helpers.h"

namespace linnet {
namespace {

constexpr int64_t kNearBytes = 1 << 20;   // of B, that a second-level cache keeps

Shape BatchOf(const Shape& shape) { return Shape(shape.dims().first(static_cast<size_t>(std::max(shape.rank() - 2, 0)))); }

/// Checked bytes of `matrices` packed matrices.
Result<int64_t> PackedBytes(int64_t k, int64_t n, int64_t matrices) {
  int64_t bytes;
  if (!CheckedMul(RoundUp(k, int64_t{4}) + 8, RoundUp(n, kPanelColumns) + kPanelColumns, &bytes) ||
      !CheckedMul(bytes, std::max<int64_t>(matrices, 1), &bytes) || bytes > kElementsMax) {
    return LimitReached("packing ", matrices, " matrices of ", k, " x ", n, " overflows");
  }
  return std::max<int64_t>(matrices, 1) * IntegerProduct::MatrixBytes(k, n);
}

}  // namespace

void IntegerProductParams::Locate(int64_t index, int64_t* a, int64_t* b) const {
  *a = *b = 0;
  for (int d = batch_rank - 1; d >= 0; --d) {
    *a += index % batch_dims[d] * a_strides[d];
    *b += index % batch_dims[d] * b_strides[d];
    index /= batch_dims[d];
  }
}

Status IntegerProduct::Prepare(PrepareContext& c, int b, std::string_view tag) {
  kernels = &PickInt8(c.cpu());
  const Shape& shape = c.shape(b);
  const DType dtype = c.dtype(b);
  if (!c.is_constant(b) || !shape.is_static() || shape.rank() < 2 || !(Mask(dtype) & kByteTypes)) return Status();
  const int64_t rows = shape[shape.rank() - 2], columns = shape[shape.rank() - 1];
  const int64_t k = transpose_b ? columns : rows, n = transpose_b ? rows : columns, matrices = BatchOf(shape).elements();
  if (matrices * k * n == 0) return Status();
  LINNET_ASSIGN(int64_t bytes, PackedBytes(k, n, matrices));
  LINNET_ASSIGN(const void* made, c.Weights(tag, bytes, [&](void* out) -> Status {
    memset(out, 0, static_cast<size_t>(bytes));
    for (int64_t i = 0; i < matrices; ++i) {
      PackInt8(c.data<uint8_t>(b) + i * k * n, dtype == DType::kInt8, k, n, transpose_b ? 1 : n, transpose_b ? k : 1,
               static_cast<std::byte*>(out) + i * MatrixBytes(k, n));
    }
    return Status();
  }));
  packed = static_cast<const std::byte*>(made);
  c.Drop(b);
  if (const int64_t each = OrdersBytesInt8(*kernels, k, n); each > 0) {
    LINNET_ASSIGN(orders, Block::Allocate(matrices * each));
    memset(orders.data(), 0, static_cast<size_t>(orders.size()));
  }
  return Status();
}

Result<int64_t> IntegerProduct::Plan(const Shape& a, const Shape& b, int threads, int64_t scratch_at,
                                     IntegerProductParams* params) const {
  IntegerProductParams& p = *params;
  const bool turned = transpose_b && b.rank() >= 2;
  p.m = a.rank() >= 2 ? a[a.rank() - 2] : 1;
  p.k = a[a.rank() - 1];
  p.n = b.rank() >= 2 ? b[b.rank() - (turned ? 2 : 1)] : 1;
  const Shape a_batch = BatchOf(a), b_batch = BatchOf(b);
  LINNET_ASSIGN(Shape batch, Broadcast(a_batch, b_batch));
  p.batches = batch.elements();
  p.b_matrices = b_batch.elements();
  if (p.b_matrices == 1 && a_batch.elements() == p.batches) {
    p.m *= p.batches;
    p.batches = 1;
  } else {
    p.batch_rank = batch.rank();
    int64_t a_step = 1, b_step = 1;
    for (int d = batch.rank() - 1; d >= 0; --d) {
      const int ad = d - (batch.rank() - a_batch.rank()), bd = d - (batch.rank() - b_batch.rank());
      p.batch_dims[d] = batch[d];
      p.a_strides[d] = ad < 0 || a_batch[ad] == 1 ? 0 : a_step;
      p.b_strides[d] = bd < 0 || b_batch[bd] == 1 ? 0 : b_step;
      if (ad >= 0) a_step *= a_batch[ad];
      if (bd >= 0) b_step *= b_batch[bd];
    }
  }
  if (p.batches * p.m * p.n == 0) return int64_t{0};
  p.near = repeats && p.b_matrices == 1 && p.n * p.k <= kNearBytes;
  p.grain = GemmGrainInt8(*kernels, p.m, p.n, p.k, threads, p.near);
  int64_t at = scratch_at;
  auto take = [&at](int64_t bytes) {
    const int64_t from = at;
    at += RoundUp(bytes, kAlignment);
    return from;
  };
  const int64_t columns = PanelCount(p.n) * kPanelColumns * 4;
  p.zero_at = take(columns);
  p.offset_at = take(columns);
  p.scale_at = take(columns);
  p.bias_at = take(columns);
  if (!kComputedWeights && !packed) return NotPacked();
  if (kComputedWeights && !packed) {
    LINNET_ASSIGN(int64_t bytes, PackedBytes(p.k, p.n, 1));
    p.packed_at = take(bytes);
  }
  p.worker_bytes = RoundUp(GemmInt8ScratchBytes(*kernels, p.m, p.k), kAlignment);
  p.worker_at = take(p.worker_bytes * threads);
  return at - scratch_at;
}

GemmInt8 IntegerProduct::Start(const RunContext& c, const IntegerProductParams& p, const Operands& o) const {
  std::byte* const scratch = c.scratch();
  const int64_t padded = PanelCount(p.n) * kPanelColumns;
  GemmInt8 g;
  g.a = static_cast<const uint8_t*>(o.a);
  g.a_row_stride = p.k, g.a_signed = o.a_signed;
  g.m = p.m, g.n = p.n, g.k = p.k;
  g.near = p.near && o.again;
  g.finish = o.finish;
  g.finish.c = o.y;
  g.finish.c_row_stride = p.n;
  g.finish.epilogue.residual_row_stride = p.n;

  // Zero points as the packed bytes have them.
  int32_t* zeros = reinterpret_cast<int32_t*>(scratch + p.zero_at);
  const int32_t shift = o.b_signed ? 0 : 128;
  const int32_t first = (o.b_zero.data ? static_cast<int32_t>(LoadInteger(o.b_zero.dtype, o.b_zero.data, 0)) : 0) - shift;
  bool any = first != 0;
  if (any || o.b_zero.count > 1) {
    for (int64_t j = 0; j < padded; ++j) {
      zeros[j] = j >= p.n          ? 0
                 : o.b_zero.count > 1 ? static_cast<int32_t>(LoadInteger(o.b_zero.dtype, o.b_zero.data, j)) - shift
                                      : first;
      any = any || zeros[j] != 0;
    }
  }
  if (any) g.finish.column_zero = zeros;
  int32_t* offsets = reinterpret_cast<int32_t*>(scratch + p.offset_at);
  g.finish.offset = offsets;
  if (packed) {
    SetPacked(o.matrix, &g);
    OffsetsInt8(*kernels, o.a_signed, o.a_zero, PackedSums(g.packed), g.finish.column_zero, o.bias, p.k, p.n, offsets);
  }
  if (g.finish.to != FinishInt8::To::kInt32) {
    float* scale = reinterpret_cast<float*>(scratch + p.scale_at);
    const int64_t given = o.b_scale.data ? std::min(o.b_scale.count, p.n) : 0;
    if (given > 0) FindLoad(o.b_scale.dtype, Stage::kFloat)(o.b_scale.data, 0, given, scale);
    if (given == 0) scale[0] = 1;
    g.finish.one_scale = given <= 1;
    const int64_t count = given <= 1 ? kPanelColumns : padded;
    for (int64_t j = given <= 1 ? 1 : given; j < count; ++j) scale[j] = given <= 1 ? scale[0] : 0;
    for (int64_t at = 0; at < count; at += kPanelColumns) {   // of a fixed length: compilers use vectors
      for (int64_t j = at; j < at + kPanelColumns; ++j) scale[j] *= o.a_scale;
    }
    if (o.y_scale != 1) {
      for (int64_t j = 0; j < count; ++j) scale[j] /= o.y_scale;
    }
    g.finish.scale = scale;
  }
  g.finish.epilogue.bias = o.float_bias;
  if (o.float_bias && p.n % kPanelColumns != 0) {
    float* bias = reinterpret_cast<float*>(scratch + p.bias_at);
    std::copy_n(o.float_bias, p.n, bias);
    std::fill(bias + p.n, bias + padded, 0.0f);
    g.finish.epilogue.bias = bias;
  }
  return g;
}

void IntegerProduct::SetPacked(int64_t matrix, GemmInt8* g) const {
  g->packed = packed + matrix * MatrixBytes(g->k, g->n);
  std::byte* const all = const_cast<std::byte*>(orders.data());   // written once, by calls that find them missing
  if (all) g->orders = all + matrix * OrdersBytesInt8(*kernels, g->k, g->n);
}

void IntegerProduct::Part(const RunContext& c, const IntegerProductParams& p, const GemmInt8& g, int64_t row0,
                          int64_t row1, int64_t panel0, int64_t panel1, int worker) const {
  RunGemmInt8(*kernels, g, row0, row1, panel0, panel1, c.scratch() + p.worker_at + worker * p.worker_bytes);
}

double IntegerProduct::Ns(const IntegerProductParams& p) const {
  return ProductNs(*kernels, static_cast<double>(p.m), static_cast<double>(p.n), static_cast<double>(p.k), p.near);
}

Status IntegerProduct::Run(const RunContext& c, const IntegerProductParams& p, const Operands& o) const {
  const bool wide = o.finish.to == FinishInt8::To::kInt32 || o.finish.to == FinishInt8::To::kFloat;
  if (!kWideResults && wide) return NoSuchNumbers();
  if (p.batches * p.m * p.n == 0) return Status();
  GemmInt8 g = Start(c, p, o);
  const int64_t row_tasks = DivUp(p.m, p.grain.rows), panel_tasks = DivUp(PanelCount(p.n), p.grain.panels);
  const double task_ns = Ns(p) / static_cast<double>(row_tasks * panel_tasks);
  const int64_t y_bytes = (wide ? 4 : 1) * p.m * p.n;
  int64_t ready = packed ? 0 : -1;   // the matrix of B whose offsets, and packed bytes, scratch has
  for (int64_t batch = 0; batch < p.batches; ++batch) {
    int64_t a = 0, b = 0;
    p.Locate(batch, &a, &b);
    if (!kComputedWeights || packed) {
      SetPacked(o.matrix + b, &g);
    } else {
      std::byte* made = c.scratch() + p.packed_at;
      g.packed = made;
      if (b != ready) {
        const uint8_t* from = static_cast<const uint8_t*>(o.b) + b * p.k * p.n;
        LINNET_TRY(c.ParallelFor(PanelCount(p.n), 1, static_cast<double>(p.k * kPanelColumns), [&](int64_t begin, int64_t end, int) {
          PackPanelsInt8(from, o.b_signed, p.k, p.n, transpose_b ? 1 : p.n, transpose_b ? p.k : 1, begin, end, made);
        }));
      }
    }
    if (b != ready) {
      OffsetsInt8(*kernels, o.a_signed, o.a_zero, PackedSums(g.packed), g.finish.column_zero, o.bias, p.k, p.n,
                  reinterpret_cast<int32_t*>(c.scratch() + p.offset_at));
      ready = b;
    }
    g.a = static_cast<const uint8_t*>(o.a) + a * p.m * p.k;
    g.finish.c = static_cast<std::byte*>(o.y) + batch * y_bytes;
    if (o.finish.epilogue.residual) g.finish.epilogue.residual = o.finish.epilogue.residual + batch * p.m * p.n;
    LINNET_TRY(c.ParallelFor(row_tasks * panel_tasks, 1, task_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end;) {
        // Neighbouring groups of panels in one call: it widens A once.
        const int64_t panel = task % panel_tasks, count = std::min(panel_tasks - panel, end - task);
        const int64_t row = task / panel_tasks * p.grain.rows;
        Part(c, p, g, row, std::min(p.m, row + p.grain.rows), panel * p.grain.panels,
             std::min(PanelCount(p.n), (panel + count) * p.grain.panels), worker);
        task += count;
      }
    }));
  }
  return Status();
}

Result<DType> ActivatedBytes::Infer(InferContext& c, const FusedActivation& activation) const {
  if (!Has(c)) return DType::kFloat;
  if (c.has_input(table) && c.has_input(zero)) return InvalidModel("both a table and a zero point are given");
  const int i = c.has_input(table) ? table : zero;
  LINNET_TRY(c.CheckType(i, kByteTypes));
  const Shape& shape = c.shape(i);
  // Places are whole numbers among the floats below 2^23.
  if (shape.is_static() && (i == table ? shape.rank() != 1 || shape[0] < 1 || shape[0] > 1 << 23 : shape.elements() != 1)) {
    return InvalidModel(i == table ? "the table" : "the zero point", " has shape ", ToString(shape));
  }
  const Activation kind = activation.kind;
  const bool bends = i == zero && (kind == Activation::kHardSwish || kind == Activation::kLeakyRelu);
  if (!bends && kind != Activation::kNone) return InvalidModel("this activation is given beside a table or zero point");
  if (c.has_input(residual)) return InvalidModel("a residual is given beside a table or zero point");
  return c.dtype(i);
}

void ActivatedBytes::Set(const RunContext& c, FinishInt8* finish) const {
  if (!Has(c)) return;
  if (c.has_input(table)) {
    finish->table = c.in<uint8_t>(table);
    finish->high = static_cast<float>(c.input_shape(table).elements() - 1);
  } else {
    const DType dtype = c.input_dtype(zero);
    const IntegerRange range = RangeOf(dtype);
    FinishBytes(dtype, static_cast<int32_t>(LoadInteger(dtype, c.input(zero), 0)), range.low, range.high, finish);
    finish->to_signed = dtype == DType::kInt8;
  }
  finish->to = FinishInt8::To::kActivated;
}

void FinishBytes(DType dtype, int32_t zero, int64_t low, int64_t high, FinishInt8* finish) {
  finish->to = dtype == DType::kInt8 ? FinishInt8::To::kInt8 : FinishInt8::To::kUint8;
  finish->zero = zero;
  finish->low = static_cast<float>(low - zero);
  finish->high = static_cast<float>(high - zero);
}

}  // namespace linnet
