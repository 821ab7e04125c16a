// Printing types.
#include "graph/type.h"

namespace linnet {

#if !defined(LINNET_NO_SENTENCES)
std::string ToString(const Type& type, const SymbolTable* symbols) {
  std::string tensor = Cat(DTypeName(type.dtype), ToString(type.shape, symbols));
  switch (type.kind) {
    case Kind::kUnknown: return "?";
    case Kind::kTensor: return tensor;
    case Kind::kSequence: return Cat("seq(", tensor, ")");
    case Kind::kOptional: return Cat("optional(", tensor, ")");
    case Kind::kOptionalSequence: return Cat("optional(seq(", tensor, "))");
    case Kind::kMap: return Cat("map(", DTypeName(type.key), ",", DTypeName(type.dtype), ")");
    case Kind::kSequenceOfMaps: return Cat("seq(map(", DTypeName(type.key), ",", DTypeName(type.dtype), "))");
  }
  return "?";
}
#endif

}  // namespace linnet
