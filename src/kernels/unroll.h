// Compiler directives of the register-tiled kernels.
#pragma once

// A loop whose bound is a compile-time constant, unrolled entirely. An array of vectors stays in registers
// only where every loop over it is. Not with sanitizers: their checks in so much code keep a compiler busy for minutes.
#if defined(LINNET_SANITIZED)
#define LINNET_UNROLL
#elif defined(__clang__)
#define LINNET_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LINNET_UNROLL _Pragma("GCC unroll 32")
#endif

// Hides where a pointer came from: otherwise compilers keep a pointer for each row, and spill most of them.
#define LINNET_OPAQUE(pointer) __asm__("" : "+r"(pointer))
