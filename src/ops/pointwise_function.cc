// The table of elementwise functions, and programs as text.
#include "ops/pointwise_function.h"

#include <string.h>

#include <algorithm>

#include "base/number_text.h"
#include "base/text.h"

namespace linnet {
namespace {

using P = Pointwise;
using OperandKind = PointwiseOperand::Kind;

struct ParameterRow {
  const char* name = nullptr;
  float fallback = 0;
};

struct Row {
  const char* op;
  Pointwise function;
  float ns;                       ///< per float
  ParameterRow alpha = {}, beta = {};
};

constexpr Row kUnary[] = {
    {"Abs", P::kAbs, 0.1f},
    {"Neg", P::kNeg, 0.1f},
    {"Sign", P::kSign, 0.1f},
    {"Sqrt", P::kSqrt, 0.3f},
    {"Exp", P::kExp, 0.5f},
    {"Log", P::kLog, 0.5f},
    {"Erf", P::kErf, 0.8f},
    {"Sigmoid", P::kSigmoid, 0.6f},
    {"Tanh", P::kTanh, 0.6f},
    {"Relu", P::kRelu, 0.1f},
    {"LeakyRelu", P::kLeakyRelu, 0.1f, {"alpha", 0.01f}},
    {"Elu", P::kElu, 0.5f, {"alpha", 1}},
    {"Selu", P::kSelu, 0.5f, {"alpha", 1.67326319217681884765625f}, {"gamma", 1.05070102214813232421875f}},
    {"Celu", P::kCelu, 0.6f, {"alpha", 1}},
    {"HardSigmoid", P::kHardSigmoid, 0.1f, {"alpha", 0.2f}, {"beta", 0.5f}},
    {"HardSwish", P::kHardSwish, 0.15f},
    {"Softplus", P::kSoftplus, 0.9f},
    {"Softsign", P::kSoftsign, 0.3f},
    {"ThresholdedRelu", P::kThresholdedRelu, 0.1f, {"alpha", 1}},
    {"Gelu", P::kGelu, 0.9f},
    {"FastGelu", P::kGeluTanh, 0.8f},
    {"QuickGelu", P::kSwish, 0.7f, {"alpha", 1.702f}},
    {"Swish", P::kSwish, 0.7f, {"alpha", 1}},
    {"Mish", P::kMish, 0.8f},
    {"Shrink", P::kShrink, 0.15f, {"lambd", 0.5f}, {"bias", 0}},
    {"Steps", P::kSteps, 0.2f, {"alpha", 1}, {"beta", 0}},
    {"Reciprocal", P::kReciprocal, 0.3f},
    {"Floor", P::kFloor, 0.1f},
    {"Ceil", P::kCeil, 0.1f},
    {"Round", P::kRound, 0.1f},
    {"Sin", P::kSin, 8},
    {"Cos", P::kCos, 8},
    {"Tan", P::kTan, 12},
    {"Asin", P::kAsin, 8},
    {"Acos", P::kAcos, 8},
    {"Atan", P::kAtan, 8},
    {"Sinh", P::kSinh, 10},
    {"Cosh", P::kCosh, 10},
    {"Asinh", P::kAsinh, 12},
    {"Acosh", P::kAcosh, 12},
    {"Atanh", P::kAtanh, 12},
};

constexpr Row kBinary[] = {
    {"Add", P::kAdd, 0.1f}, {"Sub", P::kSub, 0.1f}, {"Mul", P::kMul, 0.1f},     {"Div", P::kDiv, 0.3f}, {"Max", P::kMax, 0.1f},
    {"Min", P::kMin, 0.1f}, {"Sum", P::kAdd, 0.1f}, {"PRelu", P::kPRelu, 0.1f}, {"Pow", P::kPow, 4.0f},
};

template <size_t n>
const Row* FindRow(const Row (&rows)[n], std::string_view op) {
  for (const Row& row : rows) {
    if (op == row.op) return &row;
  }
  return nullptr;
}

}  // namespace

Result<std::optional<PointwiseFunction>> UnaryFunctionOf(const Node& node) {
  if (!node.domain.empty() && node.domain != "com.microsoft" && node.domain != "linnet") return std::optional<PointwiseFunction>();
  const Row* row = FindRow(kUnary, node.op);
  if (!row) return std::optional<PointwiseFunction>();
  if (node.op == "Gelu") {
    LINNET_ASSIGN(std::string approximate, node.String("approximate", "none"));
    if (approximate == "tanh") {
      row = FindRow(kUnary, "FastGelu");
    } else if (approximate != "none") {
      return InvalidModel("attribute 'approximate' is ", Quote(approximate), "; known are 'none' and 'tanh'");
    }
  }
  PointwiseFunction out = {row->function, 0, 0, row->ns};
  const bool short_selu = node.op == "Selu" && node.version < 6;
  if (row->alpha.name) {
    LINNET_ASSIGN(out.alpha, node.Float(row->alpha.name, short_selu ? 1.6732f : row->alpha.fallback));
  }
  if (row->beta.name) {
    LINNET_ASSIGN(out.beta, node.Float(row->beta.name, short_selu ? 1.0507f : row->beta.fallback));
  }
  if (node.op == "Celu" && out.alpha == 0) return InvalidModel("attribute 'alpha' must not be 0");
  return std::optional<PointwiseFunction>(out);
}

std::optional<PointwiseFunction> BinaryFunctionOf(const Node& node) {
  const Row* row = node.domain.empty() ? FindRow(kBinary, node.op) : nullptr;
  const bool variadic = row && (node.op == "Max" || node.op == "Min" || node.op == "Sum");
  if (!row || node.inputs.size() != 2 || node.version < (variadic ? 8 : 7)) return std::nullopt;
  return PointwiseFunction{row->function, 0, 0, row->ns};
}

float PointwiseNs(Pointwise function) {
  for (const Row& row : kUnary) {
    if (row.function == function) return row.ns;
  }
  for (const Row& row : kBinary) {
    if (row.function == function) return row.ns;
  }
  return 0.15f;
}

std::string FormatInstruction(const PointwiseProgram& program, int index) {
  const PointwiseInstruction& instruction = program.instructions[index];
  std::string text = PointwiseName(instruction.function);
  for (int k = 0; k < PointwiseArity(instruction.function); ++k) {
    const PointwiseOperand operand = instruction.operands[k];
    text += ' ';
    if (operand.kind == OperandKind::kConstant) {
      text += FormatNumber(program.constants[operand.index]);
    } else {
      text += Cat(operand.kind == OperandKind::kInput ? "x" : "v", int64_t{operand.index});
    }
  }
  if (instruction.alpha != 0) text += " alpha=" + FormatNumber(instruction.alpha);
  if (instruction.beta != 0) text += " beta=" + FormatNumber(instruction.beta);
  return text;
}

Status ParseInstruction(std::string_view text, PointwiseProgram* program) {
  auto wrong = [&](const char* what) { return InvalidModel("instruction ", Quote(std::string(text)), ": ", what); };
  if (program->instruction_count >= kPointwiseInstructionsMax) return wrong("a program has at most 64 instructions");
  PointwiseInstruction instruction;
  std::string_view rest = text;
  auto next = [&] {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return word;
  };
  const std::string_view name = next();
  int function = 0;
  while (function < kPointwiseCount && name != PointwiseName(static_cast<Pointwise>(function))) ++function;
  if (function == kPointwiseCount) return wrong("there is no such function");
  instruction.function = static_cast<Pointwise>(function);
  for (int k = 0; k < PointwiseArity(instruction.function); ++k) {
    const std::string_view word = next();
    if (word.empty()) return wrong("an operand is missing");
    if (word[0] != 'x' && word[0] != 'v') {
      LINNET_ASSIGN(const float number, ParseFloat(word));
      int at = 0;   // of the very bits
      while (at < program->constant_count && memcmp(&program->constants[at], &number, sizeof(number)) != 0) ++at;
      if (at == kPointwiseConstantsMax) return wrong("a program has at most 16 numbers");
      program->constants[at] = number;
      program->constant_count = std::max(program->constant_count, at + 1);
      instruction.operands[k] = PointwiseOperand::Constant(at);
      continue;
    }
    int index = 0;
    for (char c : word.substr(1)) {
      if (c < '0' || c > '9' || index > kPointwiseInstructionsMax) return wrong("an operand is neither a number, an input nor a value");
      index = index * 10 + (c - '0');
    }
    const bool input = word[0] == 'x';
    if (word.size() < 2 || index >= (input ? kPointwiseInputsMax : program->instruction_count)) {
      return wrong("an operand is not there yet");
    }
    if (input) program->input_count = std::max(program->input_count, index + 1);
    instruction.operands[k] = input ? PointwiseOperand::Input(index) : PointwiseOperand::Value(index);
  }
  while (!rest.empty()) {
    const std::string_view word = next();
    const size_t equals = word.find('=');
    const std::string_view key = word.substr(0, std::min(equals, word.size()));
    if (equals == std::string_view::npos || (key != "alpha" && key != "beta")) return wrong("what follows the operands is no parameter");
    LINNET_ASSIGN((key == "alpha" ? instruction.alpha : instruction.beta), ParseFloat(word.substr(equals + 1)));
  }
  program->instructions[program->instruction_count++] = instruction;
  return Status();
}

}  // namespace linnet
