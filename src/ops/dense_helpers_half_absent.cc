// What stands for dense_helpers_half.cc in a build without products of 16-bit operands: never called (ops/precision.h).
#include "ops/dense_helpers.h"

namespace linnet {

Status Dense::PrepareReduced(PrepareContext&, int, int64_t, int64_t) { return Internal("no products of 16-bit operands"); }
Status Dense::MultiplyReduced(const RunContext&, const DenseParams&, const Epilogue&, const float*, float*) const {
  return Internal("no products of 16-bit operands");
}

}  // namespace linnet
