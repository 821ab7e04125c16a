// The tiles that float32 products are made of: how many rows and vectors they have at each instruction set.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_GEMM_SIZES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_GEMM_SIZES_INL_H_
#undef LINNET_KERNELS_TILES_GEMM_SIZES_INL_H_
#else
#define LINNET_KERNELS_TILES_GEMM_SIZES_INL_H_
#endif

#include <stdint.h>

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/tiles/gemm_transposed-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3
constexpr char kTargetName[] = "avx512";
constexpr int kMaxRows = 14;
constexpr int MaxVectors(int rows) {
  return rows <= 2 ? 8 : rows <= 6 ? 4 : 2;
}
#elif HWY_TARGET == HWY_AVX2
constexpr char kTargetName[] = "avx2";
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : 2;
}
#elif HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64
constexpr char kTargetName[] = "neon";
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) {
  return rows <= 2 ? 8 : 4;
}
#else
constexpr const char* kTargetName = HWY_TARGET == HWY_NEON ? "neon" : "128-bit";  // ARMv7 has 16 registers
constexpr int kMaxRows = 4;
constexpr int MaxVectors(int rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : 2;
}
#endif

// A small build has few heights of tiles, all of one width: a third of the code, for a tile more where rows are left, and for columns
// that are computed and not stored where C ends within a tile.
#if defined(LINNET_SMALL)
constexpr bool kFewTiles = true;
#else
constexpr bool kFewTiles = false;
#endif
// Hard swishes take four instructions a vector, which a small build does in one place.
constexpr bool kHardSwishes = !kFewTiles;
// Rows of a tile that is one vector wide: a sum a row is few, and what a tile costs beside its sums is shared by twice as many.
constexpr int kTallRows = kFewTiles ? 0 : HWY_TARGET == HWY_AVX3 ? 28 : HWY_TARGET == HWY_AVX2 ? 12 : 0;
// Whether there is one width: where it is no wider than what B is padded to.
constexpr bool kOneWidth = kFewTiles && MaxVectors(kMaxRows) * kLanes <= kPanelColumns;
constexpr int WidestVectors(int rows) {
  return kOneWidth || (kFewTiles && rows > 1) ? MaxVectors(kMaxRows) : MaxVectors(rows);
}

// Rows of the next tile when `left` are to be done. Above 8 only even heights exist; an odd rest is split in
// two. AVX-512 splits a full tile and one or two rows in halves: a pass of so few rows takes as long as B takes to come from the
// second-level cache.
constexpr int64_t kHalvesRows = HWY_TARGET == HWY_AVX3 && !kFewTiles ? kMaxRows + 2 : 0;
constexpr int TileRows(int64_t left) {
  if (left > kMaxRows && left <= kHalvesRows) return 8;
  if (left >= kMaxRows) return kMaxRows;
  int rows = static_cast<int>(left);
  if (kFewTiles && kMaxRows <= 6) return rows >= 3 ? 3 : 1;
  if (kFewTiles) return rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
  return rows > 8 && rows % 2 ? (rows + 1) / 2 : rows;
}

// Bytes of other memory that each panel of a tile asks for with each step over k: together two or three a cycle, of which the
// third-level cache gives ten. Tiles of few rows read their own panels as fast as that.
constexpr int64_t AheadBytes(int rows, int vectors) {
  return rows < 6 ? 0 : rows * vectors >= 20 ? 32 / std::max(vectors, 2) : 16;
}

// Rows of a panel between the one in use and the one asked for: the memory's latency, at a row every 4 to 14 cycles.
constexpr int64_t kAheadRows = 64;

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
