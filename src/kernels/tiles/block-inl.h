// What the tiles of a float32 product have in common while some rows pass over some columns.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_BLOCK_INL_H_
#undef LINNET_KERNELS_TILES_BLOCK_INL_H_
#else
#define LINNET_KERNELS_TILES_BLOCK_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

struct Block {
  const GemmF32& gemm;
  const SegmentF32* segments;
  int64_t segment_count;
  Clamp clamp;
  // The segment in which what is needed soon lies in the panels of the next tile.
  int64_t last_segment = -1;
  bool c_is_far = false;
  // A part of the summands: sums go on from what C holds, or stay unfinished.
  bool goes_on = false, unfinished = false;
  // What is asked for while these rows pass over a group of columns from `first_column` on: null for what they need
  // themselves soon, otherwise a part of the columns or the rows that follow, and the bytes from one step over k to the next and
  // from panel to panel.
  int64_t first_column = 0;
  const char* fetch = nullptr;
  int64_t fetch_step = 0, fetch_panel = 0;
  // Where these rows need nothing of both kinds.
  AheadPart* ahead = nullptr;
};

/// What is read next (GemmF32::next_b); no `b`: nothing that is known.
struct Next {
  const float* b = nullptr;
  int64_t row_bytes = 0, panel_stride = 0;
};

/// Tiles of some rows, side by side or one below the other, for assembly. Strides and steps are in bytes; Arm's knows where members lie.
struct PanelTiles {
  const SegmentF32* segments;
  const SegmentF32* segments_end;
  int64_t a_offset, a_stride;      ///< from a segment's begin to the first row, and from row to row
  const float* b;                  ///< the first row of the first panel
  int64_t b_panel;                 ///< from tile to tile
  union {
    int64_t b_step;                ///< Arm: from row to row of B
    int64_t fetch_jump;            ///< AVX-512: what is passed over, in what is asked for, from segment to segment
  };
  const float* init;               ///< what the sums of the first tile begin with,
  int64_t init_stride, init_step;  ///< from row to row, and from tile to tile
  float* c;
  int64_t c_stride;
  const float* residual;           ///< or null
  int64_t residual_stride;
  int64_t tiles;                   ///< at least one
  /// 1: a clamp below, 2: above too, 4: C is far, 8: for a target's own use, 16: hard swish; 65536 << i, for AVX-512: C has lane i of the last vector.
  int32_t flags;
  float low, high;
  const char* fetch;               ///< what the first tile asks for,
  int64_t fetch_step, fetch_panel; ///< from step over k to step, and from tile to tile
  int64_t a_step, c_step, residual_step;   ///< from tile to tile; Arm's lie side by side
  int64_t b_second;                ///< from the first panel of a tile that has two to the other
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // per-target guard
