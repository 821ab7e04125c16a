// Single elements of tensors as text and back: internal to the printer and parser of graphs.
#pragma once

#include <string>
#include <string_view>

#include "graph/tensor.h"

namespace linnet {

/// Numbers an element is written as: 2 for complex types.
int NumbersPerElement(DType dtype);
/// Appends number `index` (element, or real or imaginary part).
void AppendNumber(const Tensor& tensor, int64_t index, std::string& out);
/// Stores the number `text`; false when it is none of the type.
bool StoreNumber(std::string_view text, int64_t index, Tensor& tensor);

/// Text in double quotes; the parser undoes the escapes.
std::string QuotedText(std::string_view text);
/// FLOAT attributes: as FormatNumber, but always distinct from an integer.
std::string FloatText(float value);

/// An integer in decimal; false when there is anything else or it overflows.
bool ParseInteger(std::string_view text, int64_t* value);

}  // namespace linnet
