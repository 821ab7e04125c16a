// From an element type known at run time to a C++ type: ForType<mask>(dtype, [&]<class T>() { ... }).
#pragma once

#include "base/dtype.h"
#include "base/status.h"

namespace linnet {

/// Types a reduced build keeps (cmake/operators.cmake); loops for others are not compiled.
#ifndef LINNET_TYPES
#define LINNET_TYPES ~uint32_t{0}
#endif

inline constexpr uint32_t kAnyFloat = Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);
inline constexpr uint32_t kAnySigned = Mask(DType::kInt8) | Mask(DType::kInt16) | Mask(DType::kInt32) | Mask(DType::kInt64);
inline constexpr uint32_t kAnyUnsigned = Mask(DType::kUint8) | Mask(DType::kUint16) | Mask(DType::kUint32) | Mask(DType::kUint64);
inline constexpr uint32_t kAnyInteger = kAnySigned | kAnyUnsigned;
inline constexpr uint32_t kAnyNumber = kAnyFloat | kAnyInteger;
inline constexpr uint32_t kFixedSize = kAnyNumber | Mask(DType::kBool);   ///< whole-byte numbers and bool
inline constexpr uint32_t kAnyType = ~uint32_t{1};

/// "unsupported", or "not in this build" when `mask` has the type.
Status NoLoopFor(DType dtype, uint32_t mask);

/// Calls f.template operator()<T>() for the C++ type of `dtype` when it is in `mask`; f returns Status.
template <uint32_t mask, class F>
Status ForType(DType dtype, F&& f) {
  switch (dtype) {
#define LINNET_CASE(type)                                                            \
  case kDTypeOf<type>:                                                               \
    if constexpr ((mask & LINNET_TYPES & Mask(kDTypeOf<type>)) != 0) {               \
      return f.template operator()<type>();                                          \
    }                                                                                \
    break
    LINNET_CASE(float);
    LINNET_CASE(double);
    LINNET_CASE(Float16);
    LINNET_CASE(Bfloat16);
    LINNET_CASE(int8_t);
    LINNET_CASE(int16_t);
    LINNET_CASE(int32_t);
    LINNET_CASE(int64_t);
    LINNET_CASE(uint8_t);
    LINNET_CASE(uint16_t);
    LINNET_CASE(uint32_t);
    LINNET_CASE(uint64_t);
    LINNET_CASE(bool);
    LINNET_CASE(std::string);
#undef LINNET_CASE
    default: break;
  }
  Status failure = NoLoopFor(dtype, mask);
  if (failure.ok()) __builtin_unreachable();
  return failure;
}

}  // namespace linnet
