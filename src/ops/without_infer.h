// Comes before every operator in a build that runs plans of files only: the operator table is made without Infer, so that nothing
// reaches shape inference and it is not linked.
#pragma once

#include "ops/op.h"

namespace linnet {

/// As MakeOpDef.
template <class Op>
OpDef MakeOpDefWithoutInfer(const char* domain, const char* name, int since) {
  OpDef def;
  def.name = {domain, name, since};
  def.state_bytes = sizeof(Op);
  def.construct = [](void* state, const OpDef& self) {
    if constexpr (std::is_constructible_v<Op, const OpDef&>) {
      new (state) Op(self);
    } else {
      new (state) Op();
    }
  };
  def.destroy = [](void* state) { static_cast<Op*>(state)->~Op(); };
  def.parse = [](void* state, const Node& node) { return static_cast<Op*>(state)->Parse(node); };
  if constexpr (requires(Op op, PrepareContext& c) { op.Prepare(c); }) {
    def.prepare = [](void* state, PrepareContext& c) { return static_cast<Op*>(state)->Prepare(c); };
  }
  if constexpr (requires(const Op op, BindContext& c) { op.Bind(c); }) {
    def.bind = [](const void* state, BindContext& c) { return static_cast<const Op*>(state)->Bind(c); };
  }
  if constexpr (requires(const Op op, RunContext& c) { op.Run(c); }) {
    def.run = [](const void* state, RunContext& c) { return static_cast<const Op*>(state)->Run(c); };
  }
  return def;
}

}  // namespace linnet

#undef LINNET_OP_
#define LINNET_OP_(variant, domain, name, since, ...)                  \
  OpDef LinnetOp_##variant##_##name##_##since();                       \
  OpDef LinnetOp_##variant##_##name##_##since() {                      \
    return MakeOpDefWithoutInfer<__VA_ARGS__>(domain, #name, since);   \
  }                                                                    \
  static_assert(true)
