// Softmax, LogSoftmax, Hardmax along an axis.
//
// Since version 13 along `axis` alone (default -1); before, over everything from `axis` (default 1) on. Hardmax is 1 at
// the first largest element and 0 elsewhere. Infinities and NaN: kernels/softmax.h.
#include "kernels/softmax.h"

#include <math.h>

#include "ops/axis_helpers.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

enum class SoftmaxKind { kSoftmax, kLogSoftmax, kHardmax };

/// Columns that one task computes side by side.
constexpr int64_t kColumns = 64;
/// From this many rows on, narrow ones are computed many at a time.
constexpr int64_t kNarrowRowsMin = 64;

template <class F>
void SoftmaxLane(F* lane, int64_t n, bool logarithm) {
  F most = lane[0], sum = 0;
  for (int64_t k = 1; k < n; ++k) most = lane[k] > most || lane[k] != lane[k] ? lane[k] : most;
  for (int64_t k = 0; k < n; ++k) sum += exp(lane[k] - most);
  for (int64_t k = 0; k < n; ++k) lane[k] = logarithm ? lane[k] - most - log(sum) : exp(lane[k] - most) / sum;
}

template <class F>
void HardmaxLane(F* lane, int64_t n) {
  int64_t best = 0;
  for (int64_t k = 1; k < n; ++k) {
    if (lane[k] > lane[best] || (lane[k] != lane[k] && lane[best] == lane[best])) best = k;
  }
  for (int64_t k = 0; k < n; ++k) lane[k] = k == best ? F{1} : F{0};
}

template <SoftmaxKind kind>
struct Softmax {
  int64_t axis = -1;
  bool flattens = false;
  SoftmaxRowsFn* rows = nullptr;
  SoftmaxColumnsFn* columns = nullptr;
  SoftmaxNarrowFn* narrow = nullptr;

  Status Parse(const Node& node) {
    flattens = node.version < 13;
    LINNET_ASSIGN(axis, node.Int("axis", flattens ? 1 : -1));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    if (c.shape(0).has_rank()) {
      // Flattening may start after the last dimension.
      const int rank = c.shape(0).rank();
      if (!(flattens && axis == rank) && rank > 0) {
        auto normalized = NormalizeAxis(axis, rank);
        if (!normalized.ok()) return normalized.TakeStatus();
      }
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Prepare(PrepareContext& c) {
    rows = PickSoftmaxRows(kind == SoftmaxKind::kLogSoftmax, c.cpu());
    columns = PickSoftmaxColumns(kind == SoftmaxKind::kLogSoftmax, c.cpu());
    narrow = PickSoftmaxNarrow(kind == SoftmaxKind::kLogSoftmax, c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    AxisSplit& split = *c.Params<AxisSplit>();
    const Shape& shape = c.shape(0);
    const int at = static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
    if (shape.rank() == 0) {
      split = AxisSplit();
    } else {
      split = flattens ? SplitFrom(shape, at) : SplitAt(shape, at);
    }
    c.InPlace(0, 0);
    if (kind == SoftmaxKind::kHardmax || c.dtype(0) != DType::kFloat) {
      c.Scratch(c.dtype(0) == DType::kDouble ? LaneBytes<double>(split) : LaneBytes<float>(split), c.threads());
    }
    return Status();
  }

  Status Run(RunContext& c) const {
    const AxisSplit& split = c.params<AxisSplit>();
    if (split.elements() == 0) return Status();
    if (kind != SoftmaxKind::kHardmax && c.input_dtype(0) == DType::kFloat) return RunFloat(c, split);
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      return ForEachLane(c, split, c.in<T>(0), c.out<T>(0), 3, [&](Wide<T>* lane, int64_t n) {
        if (kind == SoftmaxKind::kHardmax) {
          HardmaxLane(lane, n);
        } else if constexpr (std::is_same_v<Wide<T>, float>) {
          rows({lane, n, nullptr, 0, lane, n, 1, n, 1});
        } else {
          SoftmaxLane(lane, n, kind == SoftmaxKind::kLogSoftmax);
        }
      });
    });
  }

 private:
  Status RunFloat(const RunContext& c, const AxisSplit& split) const {
    const float* x = c.in<float>(0);
    float* y = c.out<float>(0);
    const int64_t n = split.n, inner = split.inner;
    const double lane_ns = static_cast<double>(n) * 0.8;
    if (inner == 1 && n <= kSoftmaxNarrow && split.outer >= kNarrowRowsMin) {
      return c.ParallelFor(split.outer, kColumns, lane_ns, [&](int64_t begin, int64_t end, int) {
        narrow(x + begin * n, n, end - begin, y + begin * n);
      });
    }
    if (inner == 1) {
      return c.ParallelFor(split.outer, 1, lane_ns, [&](int64_t begin, int64_t end, int) {
        rows({x + begin * n, n, nullptr, 0, y + begin * n, n, end - begin, n, 1});
      });
    }
    const int64_t blocks = DivUp(inner, kColumns);
    return c.ParallelFor(split.outer * blocks, 1, lane_ns * kColumns, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kColumns, count = inner - first < kColumns ? inner - first : kColumns;
        const int64_t at = i / blocks * n * inner + first;
        columns(x + at, inner, n, count, y + at);
      }
    });
  }
};

}  // namespace

LINNET_OP(Softmax, 1, Softmax<SoftmaxKind::kSoftmax>);
LINNET_OP(LogSoftmax, 1, Softmax<SoftmaxKind::kLogSoftmax>);
LINNET_OP(Hardmax, 1, Softmax<SoftmaxKind::kHardmax>);

}  // namespace linnet
