// Float32 expand -> depthwise -> project, channels last, a strip of output rows at a time.
//
// The expanded image, which is several times as big as what goes in and comes out, never exists as a whole:
// its rows are made when the depthwise kernel first needs them and kept in a ring until it no longer does;
// the depthwise rows of a strip are projected at once.
//
//     input rows --expand--> ring of expanded rows --depthwise--> rows of a strip --project--> output rows
//
// Expand or project may be absent: then the depthwise kernel reads the input or writes the output.
#pragma once

#include <stdint.h>

#include "kernels/conv/conv.h"
#include "kernels/conv/depthwise.h"
#include "kernels/gemm.h"

namespace linnet {

/// One block. The parts' own members say their sizes, weights and epilogues. `expand` is a convolution of one
/// group whose output is what `depthwise` takes in; its output pointer and strides are not used, its residual
/// must be null. `depthwise` has that batch; its input is used only without expand, its output only without
/// project, its residual only without project. Project is a product of the depthwise channels by out_c
/// columns (project_packed made by PackF32), its residual's rows are output pixels. Input must not overlap
/// output; the project's residual may be the output itself.
struct ConvBlockF32 {
  bool has_expand = false;
  ConvF32 expand;
  DepthwiseF32 depthwise;
  const float* project_packed = nullptr;  ///< null: no project
  int64_t out_c = 0;
  Epilogue project;
  float* output = nullptr;  ///< dense, when there is a project
  int64_t strip_rows = 1;   ///< output rows of a strip, >= 1
};

/// Strips of all images: the unit of parallel work. The first strip of a call makes again the rows that the
/// strip before it has, so calls of several strips do less.
int64_t ConvBlockStrips(const ConvBlockF32& block);

/// Bytes of scratch a call needs, 64-byte aligned; each thread its own. Reads only sizes and strides, and
/// whether project_packed is null.
int64_t ConvBlockScratchBytes(const GemmF32Kernels& kernels, const ConvBlockF32& block);

/// Computes strips [strip0, strip1) of [0, ConvBlockStrips). Any split, and any strip_rows, gives the same
/// bits, which are those of the three parts run one after another.
void RunConvBlockF32(const GemmF32Kernels& kernels, DepthwiseF32Fn* depthwise, const ConvBlockF32& block,
                     int64_t strip0, int64_t strip1, void* scratch);

}  // namespace linnet
