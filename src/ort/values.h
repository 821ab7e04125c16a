// The parts of a .ort file without names of values in them: texts, types, tensors.
#pragma once

#include <string>
#include <string_view>

#include "onnx/context.h"
#include "ort_generated.h"

namespace linnet::ort {

using onnx::Context;

/// A verified flatbuffer's text; "" when it is absent.
inline std::string_view View(const flatbuffers::String* text) {
  return text ? std::string_view(text->c_str(), text->size()) : std::string_view();
}

/// The text, counted and within the limit on names.
Result<std::string_view> Name(const flatbuffers::String* text, Context& context);

/// The numbers of a vector, of which the verifier lets those of 8 bytes lie at multiples of 4.
std::vector<int64_t> Ints(const flatbuffers::Vector<int64_t>* numbers);

/// Null, and a type of no known kind, are kUnknown.
Result<Type> ReadType(const fbs::Type* from, SymbolTable& symbols, Context& context);

/// Contents stay in the file where they are aligned for their type.
Result<Tensor> ReadTensor(const fbs::Tensor& from, Context& context);

/// Made dense.
Result<Tensor> ReadSparseTensor(const fbs::SparseTensor& from, Context& context);

}  // namespace linnet::ort
