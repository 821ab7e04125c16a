// Attention of float32 on tiles of bfloat16, as exact as float32: every number is a sum of three bfloat16,
// which have its 24 bits, and of the nine products of two numbers' parts the six are summed that a float32
// product has room for.
//
//     y = softmax(scale q k' + mask) v        for one head
//
// Six tile instructions do in 96 cycles what vectors of 16 lanes need 256 for. Keys and values are split once
// a head; queries and probabilities 32 rows at a time, with softmax between. Probabilities are divided by
// their sum last.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// Sizes of a head: `size` and `value_size` are multiples of 32, `keys` is any number above 0.
struct SplitAttentionSizes {
  int64_t keys = 0, size = 0, value_size = 0;
};

inline constexpr int64_t kSplitRows = 32;  // of queries, that are computed together

/// One block of up to 32 queries.
struct SplitAttention {
  SplitAttentionSizes sizes;
  const void* keys = nullptr;    ///< as pack_keys leaves them
  const void* values = nullptr;  ///< as pack_values leaves them
  const float* q = nullptr;      ///< rows q_stride apart
  int64_t q_stride = 0;
  int64_t rows = 0;
  const float* mask =
      nullptr;  ///< one number for each key, rows mask_stride apart (0: the same for all); null: zeros
  int64_t mask_stride = 0;
  float scale = 1;
  float* y = nullptr;  ///< rows y_stride apart
  int64_t y_stride = 0;
};

struct SplitAttentionKernels {
  /// Splits a head's keys, or values; rows are `stride` apart. False where a number is not finite: those have
  /// no parts.
  bool (*pack_keys)(const SplitAttentionSizes& sizes, const float* k, int64_t stride, void* out);
  bool (*pack_values)(const SplitAttentionSizes& sizes, const float* v, int64_t stride, void* out);
  /// False where a number of q is not finite: then y is not written.
  bool (*run)(const SplitAttention& block, void* scratch);
};

/// Bytes of split keys and values, and of a block's scratch; all are 64-byte aligned.
int64_t SplitKeysBytes(const SplitAttentionSizes& sizes);
int64_t SplitValuesBytes(const SplitAttentionSizes& sizes);
int64_t SplitScratchBytes(const SplitAttentionSizes& sizes);

/// Null where there are no tiles.
const SplitAttentionKernels* PickSplitAttention(CpuLevel level);
/// For tests: with the tiles in memory. Null without AVX-512.
const SplitAttentionKernels* EmulatedSplitAttention(CpuLevel level);

}  // namespace linnet
