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

// What sums that begin with their offsets still take to become bytes: what FinishInt8 says, nothing but a scale behind which they are bounded,
// or FloorRounding, for which they begin with FloorRounding::Begin.
enum class BytesLeft : uint8_t { kAll, kScale, kFloor };
// Of the sums of k products in panels [panel0, panel1). Defined in int8_gemm_finish.cc.
BytesLeft Int8BytesLeft(const FinishInt8& f, int64_t k, int64_t panel0, int64_t panel1);
// FloorRounding::Begin of n numbers, a multiple of 16.
void Int8BeginFloors(const int32_t* offsets, int64_t n, int32_t* out);

// Int8Kernels::finish of panels side by side, the sums of panel p at sums + p * panel_stride. Defined in int8_gemm_finish.cc.
void Int8FinishPanels(const FinishInt8& f, BytesLeft left, const int32_t* sums, int64_t panel_stride, const int32_t* row_sums, int64_t row,
                      int rows, int64_t column, int64_t columns);

// Rows [row, row + count) of `rows`: those between the pitch and what is valid of it are left out.
inline void FinishRuns(const RowsInt8& rows, const FinishInt8& finish, BytesLeft left, const int32_t* sums, int64_t panel_stride,
                       const int32_t* row_sums, int64_t row, int count, int64_t column, int64_t columns) {
  ForRowsOfC(rows.pitch, rows.valid, rows.c_row, row, count, [&](int64_t c_row, int64_t at, int64_t n) {
    Int8FinishPanels(finish, left, sums + at * kPanelColumns, panel_stride, row_sums ? row_sums + at : nullptr, c_row, static_cast<int>(n),
                     column, columns);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet

#endif

#endif  // per-target guard
