// The reductions of ScatterElements and ScatterND, for every element type.
#pragma once

#include "base/float_types.h"
#include "ops/for_type.h"
#include "ops/movement.h"

namespace linnet {

enum class ScatterReduction : uint8_t { kNone, kAdd, kMul, kMax, kMin };

/// Attribute 'reduction': add and mul since version 16, max and min since 18.
inline Result<ScatterReduction> ParseScatterReduction(const Node& node) {
  LINNET_ASSIGN(std::string name, node.String("reduction", "none"));
  if (name == "none") return ScatterReduction::kNone;
  if (name == "add") return ScatterReduction::kAdd;
  if (name == "mul") return ScatterReduction::kMul;
  if (name == "max") return ScatterReduction::kMax;
  if (name == "min") return ScatterReduction::kMin;
  return InvalidModel("attribute 'reduction' is ", Quote(name), "; known: none, add, mul, max, min");
}

/// f(a, b) as numpy has it: integers wrap, a NaN of either side stays, bools add as "or" and multiply as "and".
template <ScatterReduction kind, class T>
inline T ReducePair(T a, T b) {
  if constexpr (std::is_same_v<T, Float16>) {
    return ToFloat16(ReducePair<kind>(ToFloat(a), ToFloat(b)));
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return ToBfloat16(ReducePair<kind>(ToFloat(a), ToFloat(b)));
  } else if constexpr (std::is_same_v<T, bool>) {
    return kind == ScatterReduction::kAdd || kind == ScatterReduction::kMax ? a || b : a && b;
  } else if constexpr (kind == ScatterReduction::kMax) {
    return a > b || a != a ? a : b;
  } else if constexpr (kind == ScatterReduction::kMin) {
    return a < b || a != a ? a : b;
  } else if constexpr (std::is_integral_v<T>) {
    const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
    return static_cast<T>(kind == ScatterReduction::kAdd ? x + y : x * y);
  } else {
    return kind == ScatterReduction::kAdd ? a + b : a * b;
  }
}

/// Calls f(element type tag, apply) where apply(to, from) puts one update into its place. kNone works on any type by its
/// width.
template <class F>
Status ForReduction(ScatterReduction kind, DType dtype, F&& f) {
  if (kind == ScatterReduction::kNone) {
    return ForWidth(dtype, [&]<class T>() { return f.template operator()<T>([](T& to, const T& from) { to = from; }); });
  }
  return ForType<kFixedSize>(dtype, [&]<class T>() {
    switch (kind) {
#define LINNET_CASE(k)                                                                                             \
  case ScatterReduction::k:                                                                                        \
    return f.template operator()<T>([](T& to, T from) { to = ReducePair<ScatterReduction::k>(to, from); })
      LINNET_CASE(kAdd);
      LINNET_CASE(kMul);
      LINNET_CASE(kMax);
      default:
        LINNET_CASE(kMin);
#undef LINNET_CASE
    }
  });
}

}  // namespace linnet
