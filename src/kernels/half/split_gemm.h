// Matrix products of float32 on tiles of bfloat16, as exact as float32: operands are split into three parts
// (split-inl.h) on the way, B from the panels that the vector kernels read, so that nothing is packed or kept
// twice.
//
// Six tile instructions for 16 x 16 x 32 products take 96 cycles where vectors of 16 lanes need 256;
// splitting both operands takes as long as some 24 rows and columns do.
#pragma once

#include "kernels/gemm.h"

namespace linnet {

/// Whether any processor of this architecture has tiles.
#if defined(__x86_64__)
inline constexpr bool kSplitsAnywhere = true;
#else
inline constexpr bool kSplitsAnywhere = false;
#endif

inline constexpr int64_t kSplitBlock = 32;  ///< rows and columns that are computed together

/// How a product is cut, so that what is split stays in the second-level cache: K into pieces whose sums wait
/// in memory, panels into groups, rows into ranges, of which those of one piece may be longer.
inline constexpr int64_t kSplitPieceK = 128, kSplitGroupPanels = 24, kSplitRowsOfOnePiece = 1024,
                         kSplitRowsOfPieces = 256;
/// Bytes: a block of sums; one part of a step of 32 of K of a block of A, all parts, all steps of a piece; a
/// group of B; all sums.
inline constexpr int64_t kSplitBlockBytes = kSplitBlock * kSplitBlock * 4;
inline constexpr int64_t kSplitPartBytesA = kSplitBlock * 64, kSplitStepBytesA = 3 * kSplitPartBytesA,
                         kSplitBytesA = kSplitPieceK / 32 * kSplitStepBytesA;
inline constexpr int64_t kSplitBytesB = kSplitGroupPanels * kSplitPieceK * kPanelColumns * 6;
inline constexpr int64_t kSplitBytesSums =
    kSplitRowsOfPieces / kSplitBlock * (kSplitGroupPanels / 2) * kSplitBlockBytes;

struct SplitGemmKernels {
  /// As GemmF32Kernels::run, for packed B. m0 is a multiple of kSplitBlock and panel0 of 2; then any split
  /// gives the same bits. Rows of A, and pairs of panels, with a number that is not finite are computed by
  /// `plain`. `scratch`: SplitGemmScratchBytes(), 64-byte aligned.
  void (*run)(const GemmF32& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
              const GemmF32Kernels& plain, void* scratch);
};

int64_t SplitGemmScratchBytes();

/// Whether tiles take less time than vectors. Depends on nothing but the sizes.
bool SplitGemmPays(int64_t m, int64_t n, int64_t k);

/// Null where there are no tiles.
const SplitGemmKernels* PickSplitGemm(CpuLevel level);
/// For tests: with the tiles in memory. Null without AVX-512.
const SplitGemmKernels* EmulatedSplitGemm(CpuLevel level);

/// A good unit of work for so many threads: rows a multiple of kSplitBlock, an even number of panels.
GemmGrain SplitGemmGrain(int64_t m, int64_t n, int64_t k, int threads);

}  // namespace linnet
