// Pointwise programs: any expression of elementwise functions with broadcasting, evaluated in one walk over
// the data.
//
// A program is a list of instructions in which instruction i defines value i from inputs, constants and
// earlier values; the last value is the output. The walk takes the output a tile at a time and runs every
// instruction over the tile, so that what lies between input and output stays in L1:
//
//     inputs ──▶ tile of each input ──▶ value 0 ──▶ value 1 ──▶ ... ──▶ tile of the output
//                (in place, one scalar,   registers of one tile each,
//                 or spread by copying)   assigned by PreparePointwise
#pragma once

#include <stdint.h>

#include <span>

#include "base/cpu.h"
#include "base/status.h"
#include "kernels/pointwise.h"

namespace linnet {

inline constexpr int kPointwiseInputsMax = 8;
inline constexpr int kPointwiseConstantsMax = 16;
inline constexpr int kPointwiseInstructionsMax = 64;
inline constexpr int kPointwiseRegistersMax = 16;  ///< values that may be awaiting a use at the same time
inline constexpr int kPointwiseRankMax = 6;

/// What an instruction reads: the value of an earlier instruction, an input of the program or a constant.
struct PointwiseOperand {
  enum class Kind : uint8_t { kValue, kInput, kConstant };
  Kind kind = Kind::kValue;
  uint8_t index = 0;

  static PointwiseOperand Value(int i) { return {Kind::kValue, static_cast<uint8_t>(i)}; }
  static PointwiseOperand Input(int i) { return {Kind::kInput, static_cast<uint8_t>(i)}; }
  static PointwiseOperand Constant(int i) { return {Kind::kConstant, static_cast<uint8_t>(i)}; }
};

struct PointwiseInstruction {
  Pointwise function = Pointwise::kAbs;
  PointwiseOperand operands[3];  ///< as many as the function's arity count
  float alpha = 0, beta = 0;
};

/// Plain data: may be stored in a file and comes from there unchecked; PreparePointwise checks it.
struct PointwiseProgram {
  int32_t input_count = 0;
  int32_t constant_count = 0;
  int32_t instruction_count = 0;
  float constants[kPointwiseConstantsMax] = {};
  PointwiseInstruction instructions[kPointwiseInstructionsMax];
};

/// A program with its loops picked and its values assigned to registers.
struct PointwiseKernel {
  struct Step {
    PointwiseFn* fn;
    PointwiseOperand operands[3];  ///< values are register numbers here
    uint8_t arity;
    uint8_t target;  ///< register
    float alpha, beta;
  };
  int32_t input_count = 0;
  int32_t register_count = 0;
  int32_t step_count = 0;
  float constants[kPointwiseConstantsMax];
  Step steps[kPointwiseInstructionsMax];
};

/// Fails with kInvalidArgument when counts, functions or operands are out of range, an operand is not an
/// earlier value, or more than kPointwiseRegistersMax values are needed at once.
Status PreparePointwise(const PointwiseProgram& program, CpuLevel level, PointwiseKernel* kernel);

/// How the inputs of a program extend over its output. The output is dense in row-major order over `dims`;
/// input k's element for output coordinate c is at sum(c[i] * strides[k][i]). Neighbouring dimensions that no
/// input tells apart are one.
struct PointwiseShape {
  int32_t rank = 0;
  int64_t size = 1;  ///< elements of the output
  int64_t dims[kPointwiseRankMax];
  int64_t strides[kPointwiseInputsMax][kPointwiseRankMax];  ///< 0 where broadcast
};

/// The shape for dense inputs that broadcast to `output` by the numpy rule (trailing dimensions aligned, each
/// equal or 1). Fails with kInvalidArgument when one does not, with kUnsupported when more than
/// kPointwiseRankMax dimensions remain.
Status MakePointwiseShape(std::span<const int64_t> output, std::span<const std::span<const int64_t>> inputs,
                          PointwiseShape* shape);

/// Computes the elements [begin, end) of the output, 0 <= begin <= end <= shape.size. `output` points to
/// element 0. `output` may be the same as an input that is not broadcast; otherwise it overlaps none. Reads
/// no byte outside the inputs. The result does not depend on how [0, size) is split into calls. Uses 24 KiB
/// of stack.
void RunPointwise(const PointwiseKernel& kernel, const PointwiseShape& shape, const float* const* inputs,
                  float* output, int64_t begin, int64_t end);

}  // namespace linnet
