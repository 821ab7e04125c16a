// Comes before every operator in a build that runs plans of files only: the operator table is made without Infer, so that nothing
// reaches shape inference and it is not linked.
#pragma once

#include "ops/op.h"

#undef LINNET_OP_
#define LINNET_OP_(variant, domain, name, since, ...)            \
  OpDef LinnetOp_##variant##_##name##_##since();                 \
  OpDef LinnetOp_##variant##_##name##_##since() {                \
    return MakeOpDef<__VA_ARGS__, false>(domain, #name, since);  \
  }                                                              \
  static_assert(true)
