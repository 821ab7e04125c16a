// Finishing blocks of sums whose rows are not all rows of C.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_INT8_RUNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_INT8_RUNS_INL_H_
#undef LINNET_KERNELS_INT8_RUNS_INL_H_
#else
#define LINNET_KERNELS_INT8_RUNS_INL_H_
#endif

#include <stdint.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"
#include "kernels/tiles/strip.h"

#if HWY_TARGET == HWY_AVX3

namespace linnet {
namespace HWY_NAMESPACE {

// Int8Kernels::finish of panels side by side, the sums of panel p at sums + p * panel_stride. Defined in int8_gemm_finish.cc.
void Int8FinishPanels(const FinishInt8& f, const int32_t* sums, int64_t panel_stride, const int32_t* row_sums, int64_t row,
                      int rows, int64_t column, int64_t columns);

// Rows [row, row + count) of `rows`: those between the pitch and what is valid of it are left out.
inline void FinishRuns(const RowsInt8& rows, const FinishInt8& finish, const int32_t* sums, int64_t panel_stride,
                       const int32_t* row_sums, int64_t row, int count, int64_t column, int64_t columns) {
  ForRowsOfC(rows.pitch, rows.valid, rows.c_row, row, count, [&](int64_t c_row, int64_t at, int64_t n) {
    Int8FinishPanels(finish, sums + at * kPanelColumns, panel_stride, row_sums ? row_sums + at : nullptr, c_row, static_cast<int>(n),
                     column, columns);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet

#endif

#endif  // per-target guard
