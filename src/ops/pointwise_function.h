// Elementwise operators of floats as functions of kernels/pointwise.h, and programs of them as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "graph/graph.h"
#include "kernels/pointwise_program.h"

namespace linnet {

/// One application of a function. `ns`: about how long an element takes.
struct PointwiseFunction {
  Pointwise function = Pointwise::kAbs;
  float alpha = 0, beta = 0;
  float ns = 0.15f;
};

/// The function of an operator of one tensor, its parameters from the node's attributes or their defaults; nullopt where `node`
/// is no such operator. Fails when an attribute is not what ONNX says.
Result<std::optional<PointwiseFunction>> UnaryFunctionOf(const Node& node);
/// The function of Add, Sub, Mul, Div, Pow, PRelu, and of Max, Min and Sum of two tensors, in versions that broadcast as numpy
/// does; nullopt for others.
std::optional<PointwiseFunction> BinaryFunctionOf(const Node& node);
/// About how long an element takes.
float PointwiseNs(Pointwise function);

/// An instruction as text: the function's name, its operands (x0: an input, v0: the value of instruction 0, or a number), and its
/// parameters where they are not 0: "Mul x0 v1", "Add v2 0.5", "Clip v3 alpha=0 beta=6".
std::string FormatInstruction(const PointwiseProgram& program, int index);
/// Appends what FormatInstruction wrote. Fails with a sentence that quotes the text.
Status ParseInstruction(std::string_view text, PointwiseProgram* program);

}  // namespace linnet
