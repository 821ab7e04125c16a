// Conversions between element types in two short steps: any type → float, double or int64 ("stage") → any type.
//
// Every numeric type has one loop that reads it into a stage and one that writes it from a stage, so all pairs of the 24
// types need a few dozen loops. Packed 2- and 4-bit types are read and written in place.
#pragma once

#include <stdint.h>

#include "base/dtype.h"
#include "base/float_types.h"

namespace linnet {

enum class Stage : uint8_t { kFloat, kDouble, kInt64 };

/// A multiple of every packed type's elements per byte, and what callers convert at a time.
inline constexpr int64_t kConvertChunk = 256;

/// Elements [begin, begin + n) of `from` as n values of the stage's type. uint64 arrives in an int64 stage as its bits.
using LoadFn = void(const void* from, int64_t begin, int64_t n, void* stage);

struct StoreOptions {
  DType dtype = DType::kUndefined;   ///< of the target
  bool saturate = true;              ///< float8
  E8m0Rounding e8m0 = E8m0Rounding::kUp;
};
/// n stage values into elements [begin, begin + n) of `to`. `begin` is a multiple of kConvertChunk where `to` is packed.
///
/// Floats become integers of 8 bits and more by truncation, saturating, NaN becoming 0; 2- and 4-bit ones keep the low
/// bits of that. Integers become narrower integers by keeping the low bits. Anything but 0 becomes true. Floats become
/// narrower floats rounded to nearest even.
using StoreFn = void(const void* stage, int64_t n, void* to, int64_t begin, const StoreOptions& options);

/// The loops, null for string and complex types. Loading floating-point types to an int64 stage gives null too.
LoadFn* FindLoad(DType from, Stage stage);
StoreFn* FindStore(Stage stage, DType to);

/// True when the stage's representation is the type's own: nothing to do.
bool IsStage(DType dtype, Stage stage);
inline int StageBytes(Stage stage) { return stage == Stage::kFloat ? 4 : 8; }

/// Element `i` of a tensor of integers or bools.
int64_t LoadInteger(DType dtype, const void* data, int64_t i);

}  // namespace linnet
