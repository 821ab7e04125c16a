// Product of 8-bit matrices by AVX-512 VNNI: tiles of up to 14 rows by two panels, A read where it lies.
//
// The loop is written in assembly: compilers keep some of its 28 sums in memory. A row costs a broadcast of four of its bytes,
// which is a load, and two multiplications:
//
//     zmm0..27  sums of 14 rows x 2 panels       zmm28 29  a row of each panel       zmm30  four bytes of a row of A
//
// Sums of most tiles of 14 rows become bytes before they leave their registers.
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_gemm_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/int8/int8_runs-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__)
#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int kRowsMax = 14;
constexpr int64_t kSumsStride = kRowsMax * kPanelColumns;   // from panel to panel
constexpr int64_t kFarBytes = 1 << 20;                      // of B, that are read once

// Defined in int8_gemm_tiles.cc.
void Int8OneRow(const BlocksInt8& job, const RowsInt8& rows, int64_t row, int64_t panel0, int64_t panel1, const int32_t* row_sum);

// One tile: rows of A from `a` on, their pieces at offsets[0 .. pieces), `fours` times four bytes each; two panels, and what
// their sums begin with.
struct RowTile {
  const uint8_t* a;
  int64_t stride;
  const int64_t* offsets;
  int64_t pieces, fours;
  const int8_t* panel;
  int64_t panel_bytes;      // to the second panel, or 0: there is none
  int64_t ahead;            // from a row of the panel to one that is asked for meanwhile
  const __m512i_u* first[2];
  int32_t* sums;
  // Where sums become bytes before they leave their registers: the first row of C and the way to the next, and for each panel a scale and
  // what FloorRounding adds behind it, and a zero point as bytes, or without FloorRounding as words.
  uint8_t* to;
  int64_t to_stride;
  uint32_t mask;
  alignas(64) __m512 scale[2];
  __m512 back[2];
  __m512i zero;
};

// Four bytes of each of four vectors, of every 128 bits, side by side: the vectors one after the other.
alignas(64) constexpr int32_t kOrder[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

#define LINNET_BEGIN(s0, s1) "vmovdqa64 %%zmm28, %%zmm" s0 "\n\tvmovdqa64 %%zmm29, %%zmm" s1 "\n\t"
#define LINNET_ROW(s0, s1, at)                                                                    \
  "vpbroadcastd " at ", %%zmm30\n\tvpdpbusd %%zmm28, %%zmm30, %%zmm" s0 "\n\t"                  \
  "vpdpbusd %%zmm29, %%zmm30, %%zmm" s1 "\n\t"
#define LINNET_STORE(row, s0, s1)                                                                  \
  "vmovdqu64 %%zmm" s0 ", " row "*64(%[left])\n\tvmovdqu64 %%zmm" s1 ", 14*64+" row "*64(%[left])\n\t"

// The same of one panel: the last of an odd number, or the only one.
#define LINNET_BEGIN_ONE(s0) "vmovdqa64 %%zmm28, %%zmm" s0 "\n\t"
#define LINNET_ROW_ONE(s0, at) "vpbroadcastd " at ", %%zmm30\n\tvpdpbusd %%zmm28, %%zmm30, %%zmm" s0 "\n\t"
#define LINNET_STORE_ONE(row) "vmovdqu64 %%zmm" row ", " row "*64(%[left])\n\t"

#define LINNET_ZMM                                                                                                          \
  "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13",       \
      "zmm14", "zmm15", "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26",  \
      "zmm27", "zmm28", "zmm29", "zmm30", "zmm31", "k1"

// Sums that become bytes, in place: whole numbers of FloorRounding, or of WideByteRounding where the bytes' type alone bounds them, and
// four vectors of those, the first with `zero` added.
#define LINNET_WHOLE_FLOOR(s, scale, back) "vfmadd213ps %c[" back "](%[t]), %%zmm" scale ", %%zmm" s "\n\tvcvtps2dq %%zmm" s ", %%zmm" s "\n\t"
#define LINNET_WHOLE_SCALE(s, scale, back) \
  "vcvtdq2ps %%zmm" s ", %%zmm" s "\n\tvmulps %%zmm" scale ", %%zmm" s ", %%zmm" s "\n\tvcvtps2dq %%zmm" s ", %%zmm" s "\n\t"
#define LINNET_WORDS(s0, s1) "vpackssdw %%zmm" s1 ", %%zmm" s0 ", %%zmm" s0 "\n\t"
#define LINNET_BYTES_FLOOR(s0, s1) "vpackuswb %%zmm" s1 ", %%zmm" s0 ", %%zmm" s0 "\n\tvpaddb %c[zero](%[t]), %%zmm" s0 ", %%zmm" s0 "\n\t"
#define LINNET_BYTES_SCALE(s0, s1)                                                                                        \
  "vpaddsw %c[zero](%[t]), %%zmm" s0 ", %%zmm" s0 "\n\tvpaddsw %c[zero](%[t]), %%zmm" s1 ", %%zmm" s1 "\n\tvpackuswb %%zmm" s1 ", %%zmm" s0 \
  ", %%zmm" s0 "\n\t"
#define LINNET_BYTES(kind, s0, s1, s2, s3) \
  LINNET_WORDS(s0, s1) LINNET_WORDS(s2, s3) LINNET_BYTES_##kind(s0, s2) "vpermd %%zmm" s0 ", %%zmm31, %%zmm" s0 "\n\t"
#define LINNET_BYTES_BEGIN                                                                                          \
  "mov %c[to](%[t]), %[left]\n\tmov %c[to_stride](%[t]), %[b0]\n\tlea (%[b0],%[b0],2), %[b1]\n\tvmovups %c[scale0](%[t]), %%zmm28\n\t" \
  "vmovups %c[scale1](%[t]), %%zmm29\n\tvmovdqu64 %[order], %%zmm31\n\tkmovd %c[mask](%[t]), %%k1\n\t"
// Two rows of two panels,
#define LINNET_BYTES_TWO(kind, s0, s1, s2, s3)                                                                                        \
  LINNET_WHOLE_##kind(s0, "28", "back0") LINNET_WHOLE_##kind(s1, "29", "back1") LINNET_WHOLE_##kind(s2, "28", "back0")                \
  LINNET_WHOLE_##kind(s3, "29", "back1") LINNET_BYTES(kind, s0, s1, s2, s3)                                                           \
  "vmovdqu64 %%ymm" s0 ", (%[left])\n\tvextracti64x4 $1, %%zmm" s0 ", (%[left],%[b0],1)\n\tlea (%[left],%[b0],2), %[left]\n\t"
// of which the second has fewer columns than 16 (`mask` has those of both),
#define LINNET_BYTES_PART(kind, s0, s1, s2, s3)                                                                                       \
  LINNET_WHOLE_##kind(s0, "28", "back0") LINNET_WHOLE_##kind(s1, "29", "back1") LINNET_WHOLE_##kind(s2, "28", "back0")                \
  LINNET_WHOLE_##kind(s3, "29", "back1") LINNET_BYTES(kind, s0, s1, s2, s3) "vextracti64x4 $1, %%zmm" s0 ", %%ymm" s1                  \
  "\n\tvmovdqu8 %%ymm" s0 ", (%[left])%{%%k1%}\n\tvmovdqu8 %%ymm" s1 ", (%[left],%[b0],1)%{%%k1%}\n\tlea (%[left],%[b0],2), %[left]\n\t"
// and four, or the last two, of one.
#define LINNET_BYTES_FOUR(kind, s0, s1, s2, s3)                                                                                       \
  LINNET_WHOLE_##kind(s0, "28", "back0") LINNET_WHOLE_##kind(s1, "28", "back0") LINNET_WHOLE_##kind(s2, "28", "back0")                \
  LINNET_WHOLE_##kind(s3, "28", "back0") LINNET_BYTES(kind, s0, s1, s2, s3)                                                           \
  "vmovdqu64 %%xmm" s0 ", (%[left])\n\tvextracti32x4 $1, %%zmm" s0 ", (%[left],%[b0],1)\n\tvextracti32x4 $2, %%zmm" s0              \
  ", (%[left],%[b0],2)\n\tvextracti32x4 $3, %%zmm" s0 ", (%[left],%[b1],1)\n\tlea (%[left],%[b0],4), %[left]\n\t"
#define LINNET_BYTES_LAST(kind, s0, s1)                                                                                               \
  LINNET_WHOLE_##kind(s0, "28", "back0") LINNET_WHOLE_##kind(s1, "28", "back0") LINNET_WORDS(s0, s1) "vmovdqa64 %%zmm" s0 ", %%zmm" s1    \
  "\n\t" LINNET_BYTES_##kind(s0, s1) "vpermd %%zmm" s0 ", %%zmm31, %%zmm" s0 "\n\t"                                                   \
  "vmovdqu64 %%xmm" s0 ", (%[left])\n\tvextracti32x4 $1, %%zmm" s0 ", (%[left],%[b0],1)\n\t"

// A member of the tile, so many bytes behind its beginning: one register has the address of all, of which unoptimized builds have few.
#define LINNET_AT(name, member, bytes) [name] "i"(offsetof(RowTile, member) + bytes)

// The three lists name as many rows.
#define LINNET_TILE(name, begins, multiplies, stores)                                                                       \
  void name(const RowTile& t) {                                                                                             \
    const int64_t *offsets = t.offsets, *const end = t.offsets + t.pieces;                                                  \
    const int8_t* b = t.panel;                                                                                              \
    int64_t left, b0, b1, b2, b3;                                                                                           \
    __asm__ volatile("mov %c[first0](%[t]), %[left]\n\tvmovdqu64 (%[left]), %%zmm28\n\tmov %c[first1](%[t]), %[left]\n\tvmovdqu64 (%[left]), %%zmm29\n\t" begins                           \
                     "jmp 3f\n\t.p2align 4\n1:\n\t"                                                                         \
                     "mov (%[offsets]), %[b0]\n\tadd $8, %[offsets]\n\tadd %[a], %[b0]\n\t"                              \
                     "lea (%[b0],%[stride],4), %[b1]\n\tlea (%[b1],%[stride],4), %[b2]\n\t"                               \
                     "lea (%[b2],%[stride],4), %[b3]\n\tmov %c[fours](%[t]), %[left]\n\t.p2align 4\n2:\n\t"                     \
                     "vmovdqu64 (%[b]), %%zmm28\n\tvmovdqu64 (%[b],%[panel]), %%zmm29\n\tprefetcht0 (%[b],%[ahead])\n\t" multiplies                      \
                     "add $64, %[b]\n\tadd $4, %[b0]\n\tadd $4, %[b1]\n\tadd $4, %[b2]\n\tadd $4, %[b3]\n\t"           \
                     "dec %[left]\n\tjnz 2b\n3:\n\tcmp %[end], %[offsets]\n\tjne 1b\n\tmov %c[sums](%[t]), %[left]\n\t" stores   \
                     : [offsets] "+r"(offsets), [b] "+r"(b), [left] "=&r"(left), [b0] "=&r"(b0), [b1] "=&r"(b1),            \
                       [b2] "=&r"(b2), [b3] "=&r"(b3)                                                                       \
                     : [t] "r"(&t), [end] "m"(end), [a] "r"(t.a), [stride] "r"(t.stride), [panel] "r"(t.panel_bytes),       \
                       [stride3] "r"(t.stride * 3), [ahead] "r"(t.ahead), LINNET_AT(fours, fours, 0), LINNET_AT(first0, first, 0), \
                       LINNET_AT(first1, first, 8), LINNET_AT(sums, sums, 0), LINNET_AT(to, to, 0), LINNET_AT(to_stride, to_stride, 0), \
                       LINNET_AT(scale0, scale, 0), LINNET_AT(scale1, scale, 64), LINNET_AT(back0, back, 0), LINNET_AT(back1, back, 64), \
                       LINNET_AT(zero, zero, 0), LINNET_AT(mask, mask, 0), [order] "m"(*reinterpret_cast<const __m512i*>(kOrder)) \
                     : "memory", "cc", LINNET_ZMM);                                                                         \
  }

LINNET_TILE(
    RowTile2,
    LINNET_BEGIN("0", "1") LINNET_BEGIN("2", "3"),
    LINNET_ROW("0", "1", "(%[b0])") LINNET_ROW("2", "3", "(%[b0],%[stride],1)"),
    LINNET_STORE("0", "0", "1") LINNET_STORE("1", "2", "3"))

LINNET_TILE(
    RowTile4,
    LINNET_BEGIN("0", "1") LINNET_BEGIN("2", "3") LINNET_BEGIN("4", "5") LINNET_BEGIN("6", "7"),
    LINNET_ROW("0", "1", "(%[b0])") LINNET_ROW("2", "3", "(%[b0],%[stride],1)")
    LINNET_ROW("4", "5", "(%[b0],%[stride],2)") LINNET_ROW("6", "7", "(%[b0],%[stride3],1)"),
    LINNET_STORE("0", "0", "1") LINNET_STORE("1", "2", "3") LINNET_STORE("2", "4", "5") LINNET_STORE("3", "6", "7"))

LINNET_TILE(
    RowTile8,
    LINNET_BEGIN("0", "1") LINNET_BEGIN("2", "3") LINNET_BEGIN("4", "5") LINNET_BEGIN("6", "7")
    LINNET_BEGIN("8", "9") LINNET_BEGIN("10", "11") LINNET_BEGIN("12", "13") LINNET_BEGIN("14", "15"),
    LINNET_ROW("0", "1", "(%[b0])") LINNET_ROW("2", "3", "(%[b0],%[stride],1)")
    LINNET_ROW("4", "5", "(%[b0],%[stride],2)") LINNET_ROW("6", "7", "(%[b0],%[stride3],1)")
    LINNET_ROW("8", "9", "(%[b1])") LINNET_ROW("10", "11", "(%[b1],%[stride],1)")
    LINNET_ROW("12", "13", "(%[b1],%[stride],2)") LINNET_ROW("14", "15", "(%[b1],%[stride3],1)"),
    LINNET_STORE("0", "0", "1") LINNET_STORE("1", "2", "3") LINNET_STORE("2", "4", "5") LINNET_STORE("3", "6", "7")
    LINNET_STORE("4", "8", "9") LINNET_STORE("5", "10", "11") LINNET_STORE("6", "12", "13") LINNET_STORE("7", "14", "15"))

#define LINNET_BEGIN14                                                                                   \
  LINNET_BEGIN("0", "1") LINNET_BEGIN("2", "3") LINNET_BEGIN("4", "5") LINNET_BEGIN("6", "7")          \
  LINNET_BEGIN("8", "9") LINNET_BEGIN("10", "11") LINNET_BEGIN("12", "13") LINNET_BEGIN("14", "15")    \
  LINNET_BEGIN("16", "17") LINNET_BEGIN("18", "19") LINNET_BEGIN("20", "21") LINNET_BEGIN("22", "23")  \
  LINNET_BEGIN("24", "25") LINNET_BEGIN("26", "27")
#define LINNET_ROWS14                                                                             \
  LINNET_ROW("0", "1", "(%[b0])") LINNET_ROW("2", "3", "(%[b0],%[stride],1)")                   \
  LINNET_ROW("4", "5", "(%[b0],%[stride],2)") LINNET_ROW("6", "7", "(%[b0],%[stride3],1)")      \
  LINNET_ROW("8", "9", "(%[b1])") LINNET_ROW("10", "11", "(%[b1],%[stride],1)")                 \
  LINNET_ROW("12", "13", "(%[b1],%[stride],2)") LINNET_ROW("14", "15", "(%[b1],%[stride3],1)")  \
  LINNET_ROW("16", "17", "(%[b2])") LINNET_ROW("18", "19", "(%[b2],%[stride],1)")               \
  LINNET_ROW("20", "21", "(%[b2],%[stride],2)") LINNET_ROW("22", "23", "(%[b2],%[stride3],1)")  \
  LINNET_ROW("24", "25", "(%[b3])") LINNET_ROW("26", "27", "(%[b3],%[stride],1)")
LINNET_TILE(
    RowTile14, LINNET_BEGIN14, LINNET_ROWS14,
    LINNET_STORE("0", "0", "1") LINNET_STORE("1", "2", "3") LINNET_STORE("2", "4", "5") LINNET_STORE("3", "6", "7")
    LINNET_STORE("4", "8", "9") LINNET_STORE("5", "10", "11") LINNET_STORE("6", "12", "13") LINNET_STORE("7", "14", "15")
    LINNET_STORE("8", "16", "17") LINNET_STORE("9", "18", "19") LINNET_STORE("10", "20", "21") LINNET_STORE("11", "22", "23")
    LINNET_STORE("12", "24", "25") LINNET_STORE("13", "26", "27"))

#define LINNET_BYTES14(store, kind)                                                                                    \
  LINNET_BYTES_BEGIN store(kind, "0", "1", "2", "3") store(kind, "4", "5", "6", "7") store(kind, "8", "9", "10", "11") \
  store(kind, "12", "13", "14", "15") store(kind, "16", "17", "18", "19") store(kind, "20", "21", "22", "23")          \
  store(kind, "24", "25", "26", "27")
LINNET_TILE(FloorTile14, LINNET_BEGIN14, LINNET_ROWS14, LINNET_BYTES14(LINNET_BYTES_TWO, FLOOR))
LINNET_TILE(ScaleTile14, LINNET_BEGIN14, LINNET_ROWS14, LINNET_BYTES14(LINNET_BYTES_TWO, SCALE))
LINNET_TILE(FloorTile14Part, LINNET_BEGIN14, LINNET_ROWS14, LINNET_BYTES14(LINNET_BYTES_PART, FLOOR))
LINNET_TILE(ScaleTile14Part, LINNET_BEGIN14, LINNET_ROWS14, LINNET_BYTES14(LINNET_BYTES_PART, SCALE))

LINNET_TILE(
    RowTile4One,
    LINNET_BEGIN_ONE("0") LINNET_BEGIN_ONE("1") LINNET_BEGIN_ONE("2") LINNET_BEGIN_ONE("3"),
    LINNET_ROW_ONE("0", "(%[b0])") LINNET_ROW_ONE("1", "(%[b0],%[stride],1)") LINNET_ROW_ONE("2", "(%[b0],%[stride],2)")
    LINNET_ROW_ONE("3", "(%[b0],%[stride3],1)"),
    LINNET_STORE_ONE("0") LINNET_STORE_ONE("1") LINNET_STORE_ONE("2") LINNET_STORE_ONE("3"))

LINNET_TILE(
    RowTile8One,
    LINNET_BEGIN_ONE("0") LINNET_BEGIN_ONE("1") LINNET_BEGIN_ONE("2") LINNET_BEGIN_ONE("3") LINNET_BEGIN_ONE("4")
    LINNET_BEGIN_ONE("5") LINNET_BEGIN_ONE("6") LINNET_BEGIN_ONE("7"),
    LINNET_ROW_ONE("0", "(%[b0])") LINNET_ROW_ONE("1", "(%[b0],%[stride],1)") LINNET_ROW_ONE("2", "(%[b0],%[stride],2)")
    LINNET_ROW_ONE("3", "(%[b0],%[stride3],1)") LINNET_ROW_ONE("4", "(%[b1])") LINNET_ROW_ONE("5", "(%[b1],%[stride],1)")
    LINNET_ROW_ONE("6", "(%[b1],%[stride],2)") LINNET_ROW_ONE("7", "(%[b1],%[stride3],1)"),
    LINNET_STORE_ONE("0") LINNET_STORE_ONE("1") LINNET_STORE_ONE("2") LINNET_STORE_ONE("3") LINNET_STORE_ONE("4") LINNET_STORE_ONE("5")
    LINNET_STORE_ONE("6") LINNET_STORE_ONE("7"))

#define LINNET_BEGIN14_ONE                                                                                         \
  LINNET_BEGIN_ONE("0") LINNET_BEGIN_ONE("1") LINNET_BEGIN_ONE("2") LINNET_BEGIN_ONE("3") LINNET_BEGIN_ONE("4")  \
  LINNET_BEGIN_ONE("5") LINNET_BEGIN_ONE("6") LINNET_BEGIN_ONE("7") LINNET_BEGIN_ONE("8") LINNET_BEGIN_ONE("9")  \
  LINNET_BEGIN_ONE("10") LINNET_BEGIN_ONE("11") LINNET_BEGIN_ONE("12") LINNET_BEGIN_ONE("13")
#define LINNET_ROWS14_ONE                                                                                                                \
  LINNET_ROW_ONE("0", "(%[b0])") LINNET_ROW_ONE("1", "(%[b0],%[stride],1)") LINNET_ROW_ONE("2", "(%[b0],%[stride],2)")                 \
  LINNET_ROW_ONE("3", "(%[b0],%[stride3],1)") LINNET_ROW_ONE("4", "(%[b1])") LINNET_ROW_ONE("5", "(%[b1],%[stride],1)")                \
  LINNET_ROW_ONE("6", "(%[b1],%[stride],2)") LINNET_ROW_ONE("7", "(%[b1],%[stride3],1)") LINNET_ROW_ONE("8", "(%[b2])")                \
  LINNET_ROW_ONE("9", "(%[b2],%[stride],1)") LINNET_ROW_ONE("10", "(%[b2],%[stride],2)") LINNET_ROW_ONE("11", "(%[b2],%[stride3],1)")  \
  LINNET_ROW_ONE("12", "(%[b3])") LINNET_ROW_ONE("13", "(%[b3],%[stride],1)")
LINNET_TILE(
    RowTile14One, LINNET_BEGIN14_ONE, LINNET_ROWS14_ONE,
    LINNET_STORE_ONE("0") LINNET_STORE_ONE("1") LINNET_STORE_ONE("2") LINNET_STORE_ONE("3") LINNET_STORE_ONE("4") LINNET_STORE_ONE("5")
    LINNET_STORE_ONE("6") LINNET_STORE_ONE("7") LINNET_STORE_ONE("8") LINNET_STORE_ONE("9") LINNET_STORE_ONE("10") LINNET_STORE_ONE("11")
    LINNET_STORE_ONE("12") LINNET_STORE_ONE("13"))

#define LINNET_BYTES14_ONE(kind)                                                                                 \
  LINNET_BYTES_BEGIN LINNET_BYTES_FOUR(kind, "0", "1", "2", "3") LINNET_BYTES_FOUR(kind, "4", "5", "6", "7")     \
  LINNET_BYTES_FOUR(kind, "8", "9", "10", "11") LINNET_BYTES_LAST(kind, "12", "13")
LINNET_TILE(FloorTile14One, LINNET_BEGIN14_ONE, LINNET_ROWS14_ONE, LINNET_BYTES14_ONE(FLOOR))
LINNET_TILE(ScaleTile14One, LINNET_BEGIN14_ONE, LINNET_ROWS14_ONE, LINNET_BYTES14_ONE(SCALE))

// The tile for `left` of `all` rows: the flattest that has them all, going over rows before them again if need be, or the
// tallest that fits.
struct Height {
  void (*run)(const RowTile&);
  int rows;
};
Height HeightFor(int64_t left, int64_t all, bool two) {
  if (left > 8 && all >= 14) return {two ? RowTile14 : RowTile14One, 14};
  if (left > 4 && all >= 8) return {two ? RowTile8 : RowTile8One, 8};
  if (left > 2 && all >= 4) return {two ? RowTile4 : RowTile4One, 4};
  return {RowTile2, 2};
}

void Int8TilesVnni(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                   const int32_t* row_sums) {
  const int64_t count = row1 - row0, panel_bytes = PaddedK(job.k) * kPanelColumns;
  if (count <= 0) return;
  if (count == 1 && rows.pitch == 0) return Int8OneRow(job, rows, row0, panel0, panel1, row_sums);
  alignas(64) static constexpr int32_t kZeros[kPanelColumns] = {};
  alignas(64) int32_t sums[2 * kSumsStride];
  const int64_t whole = 0;
  RowTile tile;
  tile.stride = rows.row_stride;
  tile.offsets = rows.offsets ? rows.offsets : &whole;   // pieces that follow one another are one
  tile.pieces = rows.steps == 0 ? 0 : rows.offsets ? rows.steps : 1;
  tile.fours = (rows.offsets ? rows.step : rows.steps * rows.step) / 4;
  tile.sums = sums;
  FinishInt8 finish = job.finish;
  finish.offset = nullptr;   // sums begin with it
  const BytesLeft bytes_left = Int8BytesLeft(job.finish, job.k, panel0, panel1);
  const bool floor = bytes_left == BytesLeft::kFloor;
  // Whether bytes need no other bounds than their type's.
  const bool plain = floor ? finish.low <= 0 && finish.high >= 255
                           : bytes_left == BytesLeft::kScale && finish.to == FinishInt8::To::kUint8 &&
                                 finish.low + static_cast<float>(finish.zero) <= 0 && finish.high + static_cast<float>(finish.zero) >= 255;
  tile.zero = floor ? _mm512_set1_epi8(static_cast<char>(finish.zero)) : _mm512_set1_epi16(static_cast<int16_t>(finish.zero));
  tile.to_stride = finish.c_row_stride;
  const bool bytes = finish.to != FinishInt8::To::kFloat && finish.to != FinishInt8::To::kInt32;
  const bool lines = rows.pitch > rows.valid && LineRowsInt8(rows.valid) <= rows.pitch;

  const bool far = (panel1 - panel0) * panel_bytes > kFarBytes, beyond = PanelCount(job.n) * panel_bytes > kFarBytes;
  // Some rows and a pair of panels, or the last one alone; returns the row behind them.
  auto block = [&](int64_t row, int64_t panel) {
    const bool two = panel + 1 < panel1;
    int64_t end = row1, line = row0, c_row = rows.c_row + row;   // rows of C, one after the other, from `line` on
    if (lines) {
      const int64_t y = row / rows.pitch, x = row % rows.pitch;
      if (x >= rows.valid) return (y + 1) * rows.pitch;
      line = std::max(row0, y * rows.pitch), end = std::min(row1, y * rows.pitch + rows.valid), c_row = rows.c_row + y * rows.valid + x;
    }
    const int64_t left = end - row;
    // A full tile and one or two rows are better done in halves: two rows wait for each multiplication.
    const bool halves = left > kRowsMax && left <= kRowsMax + 2 && !bytes;
    const Height height = HeightFor(halves ? 8 : left, count, two);
    // Rows before are computed again where fewer are left than the tile has; a single one goes with the one before it.
    const int64_t begin = std::max(row0, std::min(row, end - height.rows));
    const int skip = static_cast<int>(row - begin), done = static_cast<int>(std::min<int64_t>(height.rows - skip, left));
    const int64_t column = panel * kPanelColumns, columns = std::min<int64_t>(job.n - column, (two ? 2 : 1) * kPanelColumns);
    const bool here = plain && height.rows == kRowsMax && columns >= kPanelColumns && begin >= line && begin + kRowsMax <= end &&
                      (rows.pitch == 0 || rows.pitch == rows.valid || lines);
    alignas(64) int32_t floors[2 * kPanelColumns];
    for (int p = 0; p < (two ? 2 : 1); ++p) {
      const int32_t* at = job.finish.offset ? job.finish.offset + (panel + p) * kPanelColumns : kZeros;
      if (floor) _mm512_store_si512(floors + p * kPanelColumns, FloorRounding::Begin(_mm512_loadu_si512(at)));
      tile.first[p] = reinterpret_cast<const __m512i_u*>(floor ? floors + p * kPanelColumns : at);
      if (here) {
        tile.scale[p] = _mm512_loadu_ps(finish.scale + (finish.one_scale ? 0 : column + p * kPanelColumns));
        tile.back[p] = FloorRounding::Back(tile.scale[p]);
      }
    }
    if (!two) tile.first[1] = tile.first[0];
    tile.panel = job.panels + panel * panel_bytes;
    tile.panel_bytes = two ? panel_bytes : 0;
    // Of B that is read from beyond the second-level cache, some rows ask for the first panel of the next pair, others for the second.
    tile.ahead = beyond ? (row == row0 ? 2 : 3) * panel_bytes : 0;
    tile.a = rows.a + begin * rows.row_stride;
    if (here) {
      tile.to = static_cast<uint8_t*>(finish.c) + (c_row - skip) * finish.c_row_stride + column;
      tile.mask = columns == 2 * kPanelColumns ? ~0u : (1u << columns) - 1;
      auto* const run = !two                          ? (floor ? FloorTile14One : ScaleTile14One)
                        : columns < 2 * kPanelColumns ? (floor ? FloorTile14Part : ScaleTile14Part)
                                                      : (floor ? FloorTile14 : ScaleTile14);
      run(tile);
    } else {
      height.run(tile);
      FinishRuns(rows, finish, bytes_left, sums + skip * kPanelColumns, kSumsStride, row_sums ? row_sums + (row - row0) : nullptr, row, done,
                 column, columns);
    }
    return row + done;
  };
  if (far) {
    for (int64_t panel = panel0; panel < panel1; panel += 2) {
      for (int64_t row = row0; row < row1;) row = block(row, panel);
    }
  } else {
    for (int64_t row = row0; row < row1;) {
      int64_t next = row;
      for (int64_t panel = panel0; panel < panel1; panel += 2) next = block(row, panel);
      row = next;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX-512
#endif  // __x86_64__
