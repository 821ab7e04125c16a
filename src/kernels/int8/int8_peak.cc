// The peak loops of products of bytes.
#include "kernels/dispatch.h"
#include "kernels/peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_peak.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/tiles/amx-inl.h"
#include "kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int kSums = 12;

// 16-bit multiply-adds of widened bytes.
[[maybe_unused]] void MultiplyWords(int64_t turns) {
  hn::Vec<I32> sum[kSums];
  LINNET_UNROLL
  for (int i = 0; i < kSums; ++i) sum[i] = hn::Zero(I32());
  hn::Vec<I16> a = hn::Set(I16(), 3), b = hn::Set(I16(), 5);
  for (int64_t turn = 0; turn < turns; ++turn) {
    LINNET_UNROLL
    for (int i = 0; i < kSums; ++i) {
      LINNET_IN_ORDER(a);   // or one product would do for all sums
      AddInPlace(sum[i], PairProducts(a, b));
    }
  }
  LINNET_UNROLL
  for (int i = 0; i < kSums; ++i) LINNET_IN_ORDER(sum[i]);
}
#if HWY_TARGET != HWY_AVX2 || !defined(__x86_64__)
constexpr Int8Peak kInt8Peak = {MultiplyWords, int64_t{kSums} * HWY_LANES(int16_t) * 2};
#else
// Pairs of bytes, added as 16-bit numbers, then pairs of those: int8_gemm_pairs.cc.
void MultiplyPairs(int64_t turns) {
  __m256i sum[kSums];
  LINNET_UNROLL
  for (int i = 0; i < kSums; ++i) sum[i] = _mm256_setzero_si256();
  const __m256i a = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (int64_t turn = 0; turn < turns; ++turn) {
    LINNET_UNROLL
    for (int i = 0; i < kSums; ++i) {
      __m256i product;
      __asm__ volatile("vpmaddubsw %2, %2, %1\n\tvpmaddwd %3, %1, %1\n\tvpaddd %1, %0, %0"
                       : "+x"(sum[i]), "=&x"(product) : "x"(a), "x"(ones));
    }
  }
}
constexpr Int8Peak kInt8Peak = {MultiplyPairs, int64_t{kSums} * HWY_LANES(int8_t) * 2};
#endif

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
// VNNI.
void MultiplyBytes(int64_t turns) {
  hn::Vec<I32> sum[kSums];
  LINNET_UNROLL
  for (int i = 0; i < kSums; ++i) sum[i] = hn::Zero(I32());
  const hn::Vec<I32> a = hn::Set(I32(), 0x01020304);
  for (int64_t turn = 0; turn < turns; ++turn) {
    LINNET_UNROLL
    for (int i = 0; i < kSums; ++i) {
#if HWY_TARGET == HWY_AVX3
      __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sum[i].raw) : "v"(a.raw));
#else
      __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sum[i].raw) : "x"(a.raw));
#endif
    }
  }
}
constexpr Int8Peak kBytesPeak = {MultiplyBytes, int64_t{kSums} * HWY_LANES(int8_t) * 2};
#endif

#if HWY_TARGET == HWY_AVX3
// AMX: four tiles of sums, on operands that are there.
void MultiplyTilesOfBytes(int64_t turns) {
  AmxTiles::Configure(TileConfig(kTileRows, 64, true));
  for (int64_t turn = 0; turn < turns; ++turn) {
    __asm__ volatile(
        "tdpbusd %%tmm6, %%tmm4, %%tmm0\n\ttdpbusd %%tmm7, %%tmm4, %%tmm1\n\ttdpbusd %%tmm6, %%tmm5, %%tmm2\n\t"
        "tdpbusd %%tmm7, %%tmm5, %%tmm3" ::);
  }
  AmxTiles::Release();
}
constexpr Int8Peak kTilesPeak = {MultiplyTilesOfBytes, int64_t{4} * 16 * 16 * 64 * 2};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

Int8Peak PickInt8Peak(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return N_AVX3::kTilesPeak;
  if (Supports(level, CpuLevel::kAvx512Vnni)) return N_AVX3::kBytesPeak;
  if (Supports(level, CpuLevel::kAvxVnni)) return N_AVX2::kBytesPeak;
#endif
  return *LINNET_PICK(level, kInt8Peak);
}

}  // namespace linnet
#endif
