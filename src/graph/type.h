// Types of values: tensors, and the sequences, optionals and maps ONNX builds from them.
#pragma once

#include <string>

#include "graph/shape.h"

namespace linnet {

enum class Kind : uint8_t {
  kUnknown,           ///< not inferred yet
  kTensor,            ///< dense tensor; a sparse initializer is made dense when it is read
  kSequence,          ///< sequence of tensors
  kOptional,          ///< optional tensor
  kOptionalSequence,  ///< optional sequence of tensors
  kMap,               ///< map from `key` to a scalar of `dtype`
  kSequenceOfMaps,
};

/// Plain data. `dtype` and `shape` describe the tensor (the element of a sequence or optional, the value of a map).
struct Type {
  Kind kind = Kind::kUnknown;
  DType dtype = DType::kUndefined;
  DType key = DType::kUndefined;
  Shape shape;

  static Type Tensor(DType dtype, const Shape& shape) { return {Kind::kTensor, dtype, DType::kUndefined, shape}; }
  static Type Sequence(DType dtype, const Shape& shape = Shape()) {
    return {Kind::kSequence, dtype, DType::kUndefined, shape};
  }
  bool is_tensor() const { return kind == Kind::kTensor; }
  bool operator==(const Type& other) const = default;
};

/// "float[1,3,N]", "seq(int64[...])", "optional(float[2])", "map(string,float)", "?".
#if defined(LINNET_NO_SENTENCES)
inline std::string ToString(const Type&, const SymbolTable* = nullptr) { return {}; }
#else
std::string ToString(const Type& type, const SymbolTable* symbols = nullptr);
#endif

}  // namespace linnet
