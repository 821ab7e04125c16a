// Products whose constant matrix is packed as numbers of 16 bits (ops/precision.h).
#include <algorithm>

#include "ops/aligned_floats.h"
#include "ops/dense_helpers.h"

namespace linnet {

Status Dense::PrepareReduced(PrepareContext& c, int w, int64_t k, int64_t n) {
  int64_t bytes;
  if (!CheckedMul(PanelCount(n) * kPanelColumns, PackedKHalf(k), &bytes) || !CheckedMul(bytes, 2, &bytes)) {
    return LimitReached("packing weights of shape ", ToString(c.shape(w)), " overflows");
  }
  LINNET_ASSIGN(packed_, c.Weights(*reduce == HalfFormat::kBfloat16 ? "w_bf16" : "w_fp16", bytes, [&](void* out) -> Status {
    AlignedFloats from;
    LINNET_TRY(from.Make(c.data(w), k * n));
    PackPanelsHalf(*reduce, from.data(), k, n, transpose_w ? 1 : n, transpose_w ? k : 1, alpha, 0, PanelCount(n), out);
    return Status();
  }));
  reduced_ = &PickHalf(*reduce, c.cpu());
  c.Drop(w);
  return Status();
}

Status Dense::MultiplyReduced(const RunContext& c, const DenseParams& p, const Epilogue& epilogue, const float* x, float* y) const {
  const int64_t row_tasks = DivUp(p.m, p.grain.rows), panels = PanelCount(p.n), column_tasks = DivUp(panels, p.grain.panels);
  const int64_t tasks = row_tasks * column_tasks;
  const double macs = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k + 4);
  return c.ParallelFor(p.batches * tasks, 1, macs / static_cast<double>(tasks) / reduced_->macs_per_ns, [&](int64_t begin, int64_t end, int worker) {
    void* scratch = c.scratch() + p.worker_at + worker * p.worker_bytes;
    for (int64_t i = begin; i < end;) {
      // Neighbouring groups of columns in one call: it rounds their rows once.
      const int64_t batch = i / tasks, row = i % tasks / column_tasks, column = i % column_tasks;
      const int64_t count = std::min(column_tasks - column, end - i);
      GemmHalf g;
      g.a = x + batch * p.m * p.k, g.a_row_stride = p.k;
      g.m = p.m, g.n = p.n, g.k = p.k, g.packed = packed_;
      g.c = y + batch * p.m * p.n, g.c_row_stride = p.n;
      g.epilogue = epilogue;
      if (g.epilogue.residual) g.epilogue.residual += batch * p.m * p.n;
      const int64_t m0 = row * p.grain.rows, panel0 = column * p.grain.panels;
      RunGemmHalf(*reduced_, g, m0, std::min(p.m, m0 + p.grain.rows), panel0, std::min(panels, panel0 + count * p.grain.panels), scratch);
      i += count;
    }
  });
}

}  // namespace linnet
