// What stands for dense_helpers_bf16.cc in a build without products of bfloat16 operands: never called (ops/precision.h).
#include "ops/dense_helpers.h"

namespace linnet {

Status Dense::PrepareReduced(PrepareContext&, int, int64_t, int64_t) { return Internal("no bfloat16 products"); }
Status Dense::MultiplyReduced(const RunContext&, const DenseParams&, const Epilogue&, const float*, float*) const {
  return Internal("no bfloat16 products");
}

}  // namespace linnet
