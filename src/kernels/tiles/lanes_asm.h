// Pieces of assembly for tiles of up to 6 rows by 16 columns on 64-bit Arm, whose A is multiplied by lanes.
//
// Sums of row r are in v(8 + 4 r) to v(11 + 4 r), four k of row r of A in v(r). Rows of A are at x1 to x6, x11 bytes apart. A row of B
// is read from x7 into v28 to v31, and x12 is from row to row; six rows leave v6 and v7 for it, which are filled twice, and x12 is less
// by what they hold. What ends in a number is for so many rows.
#pragma once

#define LINNET_PREPARE_1 ""
#define LINNET_PREPARE_2 ""
#define LINNET_PREPARE_3 ""
#define LINNET_PREPARE_4 ""
#define LINNET_PREPARE_5 ""
#define LINNET_PREPARE_6 "sub x12, x12, #32\n"

// One step over k by the multiply-add M(sum, b, a, lane); with six rows, all but the loads twice: of two vectors each.
#define LINNET_MACS_1(M, lane) M(8, 28, 0, lane) M(9, 29, 0, lane) M(10, 30, 0, lane) M(11, 31, 0, lane)
#define LINNET_MACS_2(M, lane) LINNET_MACS_1(M, lane) M(12, 28, 1, lane) M(13, 29, 1, lane) M(14, 30, 1, lane) M(15, 31, 1, lane)
#define LINNET_MACS_3(M, lane) LINNET_MACS_2(M, lane) M(16, 28, 2, lane) M(17, 29, 2, lane) M(18, 30, 2, lane) M(19, 31, 2, lane)
#define LINNET_MACS_4(M, lane) LINNET_MACS_3(M, lane) M(20, 28, 3, lane) M(21, 29, 3, lane) M(22, 30, 3, lane) M(23, 31, 3, lane)
#define LINNET_MACS_5(M, lane) LINNET_MACS_4(M, lane) M(24, 28, 4, lane) M(25, 29, 4, lane) M(26, 30, 4, lane) M(27, 31, 4, lane)
#define LINNET_STEP_1(M, lane) LINNET_LOAD_B LINNET_MACS_1(M, lane)
#define LINNET_STEP_2(M, lane) LINNET_LOAD_B LINNET_MACS_2(M, lane)
#define LINNET_STEP_3(M, lane) LINNET_LOAD_B LINNET_MACS_3(M, lane)
#define LINNET_STEP_4(M, lane) LINNET_LOAD_B LINNET_MACS_4(M, lane)
#define LINNET_STEP_5(M, lane) LINNET_LOAD_B LINNET_MACS_5(M, lane)
#define LINNET_LOAD_B "ld1 {v28.4s, v29.4s, v30.4s, v31.4s}, [x7], x12\n"
#define LINNET_LEFT_6(M, lane) \
  M(8, 6, 0, lane) M(12, 6, 1, lane) M(16, 6, 2, lane) M(20, 6, 3, lane) M(24, 6, 4, lane) M(28, 6, 5, lane) \
  M(9, 7, 0, lane) M(13, 7, 1, lane) M(17, 7, 2, lane) M(21, 7, 3, lane) M(25, 7, 4, lane) M(29, 7, 5, lane)
#define LINNET_RIGHT_6(M, lane) \
  M(10, 6, 0, lane) M(14, 6, 1, lane) M(18, 6, 2, lane) M(22, 6, 3, lane) M(26, 6, 4, lane) M(30, 6, 5, lane) \
  M(11, 7, 0, lane) M(15, 7, 1, lane) M(19, 7, 2, lane) M(23, 7, 3, lane) M(27, 7, 4, lane) M(31, 7, 5, lane)
#define LINNET_STEP_6(M, lane) \
  "ld1 {v6.4s, v7.4s}, [x7], #32\n" LINNET_LEFT_6(M, lane) "ld1 {v6.4s, v7.4s}, [x7], x12\n" LINNET_RIGHT_6(M, lane)

// Addresses of the rows behind the first; four k, and one k, of each row.
#define LINNET_ROWS_1 ""
#define LINNET_ROWS_2 LINNET_ROWS_1 "add x2, x1, x11\n"
#define LINNET_ROWS_3 LINNET_ROWS_2 "add x3, x2, x11\n"
#define LINNET_ROWS_4 LINNET_ROWS_3 "add x4, x3, x11\n"
#define LINNET_ROWS_5 LINNET_ROWS_4 "add x5, x4, x11\n"
#define LINNET_ROWS_6 LINNET_ROWS_5 "add x6, x5, x11\n"
#define LINNET_LOAD_A_1 "ldr q0, [x1], #16\n"
#define LINNET_LOAD_A_2 LINNET_LOAD_A_1 "ldr q1, [x2], #16\n"
#define LINNET_LOAD_A_3 LINNET_LOAD_A_2 "ldr q2, [x3], #16\n"
#define LINNET_LOAD_A_4 LINNET_LOAD_A_3 "ldr q3, [x4], #16\n"
#define LINNET_LOAD_A_5 LINNET_LOAD_A_4 "ldr q4, [x5], #16\n"
#define LINNET_LOAD_A_6 LINNET_LOAD_A_5 "ldr q5, [x6], #16\n"
#define LINNET_LOAD_A1_1 "ldr s0, [x1], #4\n"
#define LINNET_LOAD_A1_2 LINNET_LOAD_A1_1 "ldr s1, [x2], #4\n"
#define LINNET_LOAD_A1_3 LINNET_LOAD_A1_2 "ldr s2, [x3], #4\n"
#define LINNET_LOAD_A1_4 LINNET_LOAD_A1_3 "ldr s3, [x4], #4\n"
#define LINNET_LOAD_A1_5 LINNET_LOAD_A1_4 "ldr s4, [x5], #4\n"
#define LINNET_LOAD_A1_6 LINNET_LOAD_A1_5 "ldr s5, [x6], #4\n"

// Sums from rows at x13, x20 bytes apart, and to rows x23 bytes apart.
#define LINNET_LOAD_SUMS_1 "ld1 {v8.4s, v9.4s, v10.4s, v11.4s}, [x13], x20\n"
#define LINNET_LOAD_SUMS_2 LINNET_LOAD_SUMS_1 "ld1 {v12.4s, v13.4s, v14.4s, v15.4s}, [x13], x20\n"
#define LINNET_LOAD_SUMS_3 LINNET_LOAD_SUMS_2 "ld1 {v16.4s, v17.4s, v18.4s, v19.4s}, [x13], x20\n"
#define LINNET_LOAD_SUMS_4 LINNET_LOAD_SUMS_3 "ld1 {v20.4s, v21.4s, v22.4s, v23.4s}, [x13], x20\n"
#define LINNET_LOAD_SUMS_5 LINNET_LOAD_SUMS_4 "ld1 {v24.4s, v25.4s, v26.4s, v27.4s}, [x13], x20\n"
#define LINNET_LOAD_SUMS_6 LINNET_LOAD_SUMS_5 "ld1 {v28.4s, v29.4s, v30.4s, v31.4s}, [x13], x20\n"
#define LINNET_STORE_SUMS_1 "st1 {v8.4s, v9.4s, v10.4s, v11.4s}, [x13], x23\n"
#define LINNET_STORE_SUMS_2 LINNET_STORE_SUMS_1 "st1 {v12.4s, v13.4s, v14.4s, v15.4s}, [x13], x23\n"
#define LINNET_STORE_SUMS_3 LINNET_STORE_SUMS_2 "st1 {v16.4s, v17.4s, v18.4s, v19.4s}, [x13], x23\n"
#define LINNET_STORE_SUMS_4 LINNET_STORE_SUMS_3 "st1 {v20.4s, v21.4s, v22.4s, v23.4s}, [x13], x23\n"
#define LINNET_STORE_SUMS_5 LINNET_STORE_SUMS_4 "st1 {v24.4s, v25.4s, v26.4s, v27.4s}, [x13], x23\n"
#define LINNET_STORE_SUMS_6 LINNET_STORE_SUMS_5 "st1 {v28.4s, v29.4s, v30.4s, v31.4s}, [x13], x23\n"

// Rows at x13, x14 bytes apart, are added; and the larger or the smaller (fmax or fmin) of each sum and v0.
#define LINNET_ADD4(s0, s1, s2, s3) \
  "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x13], x14\n fadd v" #s0 ".4s, v" #s0 ".4s, v0.4s\n fadd v" #s1 ".4s, v" #s1 ".4s, v1.4s\n" \
  "fadd v" #s2 ".4s, v" #s2 ".4s, v2.4s\n fadd v" #s3 ".4s, v" #s3 ".4s, v3.4s\n"
#define LINNET_ADD_RESIDUAL_1 LINNET_ADD4(8, 9, 10, 11)
#define LINNET_ADD_RESIDUAL_2 LINNET_ADD_RESIDUAL_1 LINNET_ADD4(12, 13, 14, 15)
#define LINNET_ADD_RESIDUAL_3 LINNET_ADD_RESIDUAL_2 LINNET_ADD4(16, 17, 18, 19)
#define LINNET_ADD_RESIDUAL_4 LINNET_ADD_RESIDUAL_3 LINNET_ADD4(20, 21, 22, 23)
#define LINNET_ADD_RESIDUAL_5 LINNET_ADD_RESIDUAL_4 LINNET_ADD4(24, 25, 26, 27)
#define LINNET_ADD_RESIDUAL_6 LINNET_ADD_RESIDUAL_5 LINNET_ADD4(28, 29, 30, 31)
#define LINNET_CLAMP1(op, s) op " v" #s ".4s, v" #s ".4s, v0.4s\n"
#define LINNET_CLAMP_1(op) LINNET_CLAMP1(op, 8) LINNET_CLAMP1(op, 9) LINNET_CLAMP1(op, 10) LINNET_CLAMP1(op, 11)
#define LINNET_CLAMP_2(op) LINNET_CLAMP_1(op) LINNET_CLAMP1(op, 12) LINNET_CLAMP1(op, 13) LINNET_CLAMP1(op, 14) LINNET_CLAMP1(op, 15)
#define LINNET_CLAMP_3(op) LINNET_CLAMP_2(op) LINNET_CLAMP1(op, 16) LINNET_CLAMP1(op, 17) LINNET_CLAMP1(op, 18) LINNET_CLAMP1(op, 19)
#define LINNET_CLAMP_4(op) LINNET_CLAMP_3(op) LINNET_CLAMP1(op, 20) LINNET_CLAMP1(op, 21) LINNET_CLAMP1(op, 22) LINNET_CLAMP1(op, 23)
#define LINNET_CLAMP_5(op) LINNET_CLAMP_4(op) LINNET_CLAMP1(op, 24) LINNET_CLAMP1(op, 25) LINNET_CLAMP1(op, 26) LINNET_CLAMP1(op, 27)
#define LINNET_CLAMP_6(op) LINNET_CLAMP_5(op) LINNET_CLAMP1(op, 28) LINNET_CLAMP1(op, 29) LINNET_CLAMP1(op, 30) LINNET_CLAMP1(op, 31)

// 6H: six rows by 8 columns, whose sums are the first two of each row's four.
#define LINNET_PREPARE_6H ""
#define LINNET_ROWS_6H LINNET_ROWS_6
#define LINNET_LOAD_A_6H LINNET_LOAD_A_6
#define LINNET_LOAD_A1_6H LINNET_LOAD_A1_6
#define LINNET_STEP_6H(M, lane) "ld1 {v6.4s, v7.4s}, [x7], x12\n" LINNET_LEFT_6(M, lane)
#define LINNET_LOAD_SUMS_6H                                                                                                       \
  "ld1 {v8.4s, v9.4s}, [x13], x20\n ld1 {v12.4s, v13.4s}, [x13], x20\n ld1 {v16.4s, v17.4s}, [x13], x20\n"                        \
  "ld1 {v20.4s, v21.4s}, [x13], x20\n ld1 {v24.4s, v25.4s}, [x13], x20\n ld1 {v28.4s, v29.4s}, [x13], x20\n"
#define LINNET_STORE_SUMS_6H                                                                                                      \
  "st1 {v8.4s, v9.4s}, [x13], x23\n st1 {v12.4s, v13.4s}, [x13], x23\n st1 {v16.4s, v17.4s}, [x13], x23\n"                        \
  "st1 {v20.4s, v21.4s}, [x13], x23\n st1 {v24.4s, v25.4s}, [x13], x23\n st1 {v28.4s, v29.4s}, [x13], x23\n"
#define LINNET_ADD2(s0, s1) \
  "ld1 {v0.4s, v1.4s}, [x13], x14\n fadd v" #s0 ".4s, v" #s0 ".4s, v0.4s\n fadd v" #s1 ".4s, v" #s1 ".4s, v1.4s\n"
#define LINNET_ADD_RESIDUAL_6H \
  LINNET_ADD2(8, 9) LINNET_ADD2(12, 13) LINNET_ADD2(16, 17) LINNET_ADD2(20, 21) LINNET_ADD2(24, 25) LINNET_ADD2(28, 29)
#define LINNET_CLAMP_6H(op)                                                                                                       \
  LINNET_CLAMP1(op, 8) LINNET_CLAMP1(op, 9) LINNET_CLAMP1(op, 12) LINNET_CLAMP1(op, 13) LINNET_CLAMP1(op, 16) LINNET_CLAMP1(op, 17) \
  LINNET_CLAMP1(op, 20) LINNET_CLAMP1(op, 21) LINNET_CLAMP1(op, 24) LINNET_CLAMP1(op, 25) LINNET_CLAMP1(op, 28) LINNET_CLAMP1(op, 29)

// 32-bit sums of 16 columns as bytes in v(s0): times the scales in v0 to v3, rounded, halves to even, with v4 added (16 bits), within v5
// and v6 (unsigned), and with the bits of v7 turned. Rounding and narrowing saturate, which is what bounds before them would do.
#define LINNET_ROUND(s, scale) "scvtf v" #s ".4s, v" #s ".4s\n fmul v" #s ".4s, v" #s ".4s, v" #scale ".4s\n fcvtns v" #s ".4s, v" #s ".4s\n"
#define LINNET_BYTES(s0, s1, s2, s3)                                                                                              \
  LINNET_ROUND(s0, 0) LINNET_ROUND(s1, 1) LINNET_ROUND(s2, 2) LINNET_ROUND(s3, 3)                                                 \
  "sqxtn v" #s0 ".4h, v" #s0 ".4s\n sqxtn v" #s2 ".4h, v" #s2 ".4s\n sqxtn2 v" #s0 ".8h, v" #s1 ".4s\n"                            \
  "sqxtn2 v" #s2 ".8h, v" #s3 ".4s\n sqadd v" #s0 ".8h, v" #s0 ".8h, v4.8h\n sqadd v" #s2 ".8h, v" #s2 ".8h, v4.8h\n"              \
  "sqxtun v" #s0 ".8b, v" #s0 ".8h\n sqxtun2 v" #s0 ".16b, v" #s2 ".8h\n umax v" #s0 ".16b, v" #s0 ".16b, v5.16b\n"                \
  "umin v" #s0 ".16b, v" #s0 ".16b, v6.16b\n eor v" #s0 ".16b, v" #s0 ".16b, v7.16b\n"

// The same without care: sums are floats less 2^23, all times scales in v4 to v7, of which 2^23 times as much, in v0 to v3, is taken. The bytes
// are unsigned, without bounds of their own, and come to v0. See PlainScalesInt8.
#define LINNET_PLAIN1(s, to, scale) "fmla v" #to ".4s, v" #s ".4s, v" #scale ".4s\n"
#define LINNET_PLAIN_BYTES(s0, s1, s2, s3)                                                                                        \
  LINNET_PLAIN1(s0, 0, 4) LINNET_PLAIN1(s1, 1, 5) LINNET_PLAIN1(s2, 2, 6) LINNET_PLAIN1(s3, 3, 7)                                 \
  "fcvtns v0.4s, v0.4s\n fcvtns v1.4s, v1.4s\n fcvtns v2.4s, v2.4s\n fcvtns v3.4s, v3.4s\n uzp1 v0.8h, v0.8h, v1.8h\n"           \
  "uzp1 v2.8h, v2.8h, v3.8h\n sqxtun v0.8b, v0.8h\n sqxtun2 v0.16b, v2.8h\n"

#define LINNET_LANE_CLOBBERS                                                                                                            \
  "memory", "cc", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x19",   \
      "x20", "x21", "x22", "x23", "x24", "x25", "x26", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", \
      "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
