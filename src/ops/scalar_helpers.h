// What operators on several inputs of one element type need: computing in a wider type, and the check that types agree.
#pragma once

#include "ops/arithmetic.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {

/// Fails unless those of `inputs` that are given have the element type of the first.
inline Status CheckSameType(const InferContext& c, std::initializer_list<int> inputs) {
  const int first = *inputs.begin();
  for (int i : inputs) {
    if (!c.has_input(i) || !c.has_input(first)) continue;
    if (c.dtype(i) != c.dtype(first) && c.dtype(i) != DType::kUndefined && c.dtype(first) != DType::kUndefined) {
      return InvalidModel("inputs ", first, " and ", i, " are ", DTypeName(c.dtype(first)), " and ", DTypeName(c.dtype(i)));
    }
  }
  return Status();
}

}  // namespace linnet
