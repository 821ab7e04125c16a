// Pointwise programs against elementwise evaluation in double with naive broadcasting.
#include "kernels/pointwise_program.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <memory>
#include <random>
#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

using Dims = std::vector<int64_t>;

int64_t Product(const Dims& dims) {
  int64_t size = 1;
  for (int64_t dim : dims) size *= dim;
  return size;
}

double Apply(Pointwise function, const double* x, float alpha, float beta) {
  switch (function) {
    case Pointwise::kAdd:
      return x[0] + x[1];
    case Pointwise::kSub:
      return x[0] - x[1];
    case Pointwise::kMul:
      return x[0] * x[1];
    case Pointwise::kMax:
      return fmax(x[0], x[1]);
    case Pointwise::kRelu:
      return fmax(x[0], 0);
    case Pointwise::kSigmoid:
      return 1 / (1 + exp(-x[0]));
    case Pointwise::kTanh:
      return tanh(x[0]);
    case Pointwise::kAffine:
      return alpha * x[0] + beta;
    case Pointwise::kAtan:
      return atan(x[0]);
    case Pointwise::kFmod:
      return fmod(x[0], x[1]);
    case Pointwise::kMulAdd:
      return x[0] * x[1] + x[2];
    case Pointwise::kWhere:
      return x[0] != 0 ? x[1] : x[2];
    default:
      ADD_FAILURE();
      return 0;
  }
}

// Element `at` of the output, straight from the definition.
double Evaluate(const PointwiseProgram& program, const Dims& output, const std::vector<Dims>& dims,
                const std::vector<std::unique_ptr<Guarded<float>>>& inputs, int64_t at) {
  double loaded[kPointwiseInputsMax], values[kPointwiseInstructionsMax];
  for (size_t k = 0; k < dims.size(); ++k) {
    int64_t rest = at, offset = 0, inside = 1;
    for (size_t back = 1; back <= output.size(); ++back) {
      const int64_t coordinate = rest % output[output.size() - back];
      rest /= output[output.size() - back];
      if (back > dims[k].size()) continue;
      const int64_t dim = dims[k][dims[k].size() - back];
      if (dim != 1) offset += coordinate * inside;
      inside *= dim;
    }
    loaded[k] = (*inputs[k])[offset];
  }
  for (int i = 0; i < program.instruction_count; ++i) {
    const PointwiseInstruction& instruction = program.instructions[i];
    double operands[3] = {};
    for (int k = 0; k < PointwiseArity(instruction.function); ++k) {
      const PointwiseOperand operand = instruction.operands[k];
      operands[k] = operand.kind == PointwiseOperand::Kind::kValue   ? values[operand.index]
                    : operand.kind == PointwiseOperand::Kind::kInput ? loaded[operand.index]
                                                                     : program.constants[operand.index];
    }
    values[i] = Apply(instruction.function, operands, instruction.alpha, instruction.beta);
  }
  return values[program.instruction_count - 1];
}

// Runs whole, checks against the definition, then in uneven pieces and in place, which must be the same to
// the bit.
void Check(const PointwiseProgram& program, const Dims& output, const std::vector<Dims>& dims) {
  std::vector<std::unique_ptr<Guarded<float>>> inputs;
  std::vector<std::span<const int64_t>> spans;
  std::vector<const float*> pointers;
  for (size_t k = 0; k < dims.size(); ++k) {
    inputs.push_back(std::make_unique<Guarded<float>>(Product(dims[k])));
    FillUniform(inputs[k]->data(), inputs[k]->size(), 0.1f, 1, static_cast<int>(k) + 1);
    spans.push_back(dims[k]);
    pointers.push_back(inputs[k]->data());
  }
  PointwiseShape shape;
  ASSERT_TRUE(MakePointwiseShape(output, spans, &shape).ok());
  ASSERT_EQ(shape.size, Product(output));
  for (CpuLevel level : FloatLevels()) {
    PointwiseKernel kernel;
    ASSERT_TRUE(PreparePointwise(program, level, &kernel).ok());
    Guarded<float> whole(shape.size), pieces(shape.size);
    RunPointwise(kernel, shape, pointers.data(), whole.data(), 0, shape.size);
    const int64_t step = shape.size > 5000 ? 37 : 1;
    for (int64_t i = 0; i < shape.size; i += step) {
      const double expected = Evaluate(program, output, dims, inputs, i);
      ASSERT_NEAR(whole[i], expected, 1e-5 * fmax(1, fabs(expected))) << "element " << i;
    }
    int64_t piece = 1;
    for (int64_t begin = 0; begin < shape.size;) {
      const int64_t end = std::min(shape.size, begin + piece);
      RunPointwise(kernel, shape, pointers.data(), pieces.data(), begin, end);
      begin = end;
      piece = piece * 3 % 2003;
    }
    ASSERT_EQ(memcmp(whole.data(), pieces.data(), static_cast<size_t>(shape.size) * 4), 0);
    for (size_t k = 0; k < dims.size(); ++k) {
      if (Product(dims[k]) != shape.size) continue;
      memcpy(pieces.data(), pointers[k], static_cast<size_t>(shape.size) * 4);
      std::vector<const float*> aliased = pointers;
      aliased[k] = pieces.data();
      RunPointwise(kernel, shape, aliased.data(), pieces.data(), 0, shape.size);
      ASSERT_EQ(memcmp(whole.data(), pieces.data(), static_cast<size_t>(shape.size) * 4), 0)
          << "in place of input " << k;
    }
    ASSERT_TRUE(whole.Intact() && pieces.Intact());
  }
}

PointwiseInstruction Make(Pointwise function, std::initializer_list<PointwiseOperand> operands,
                          float alpha = 0, float beta = 0) {
  PointwiseInstruction instruction{function, {}, alpha, beta};
  int k = 0;
  for (PointwiseOperand operand : operands) instruction.operands[k++] = operand;
  return instruction;
}

PointwiseProgram Program(int inputs, std::initializer_list<PointwiseInstruction> instructions,
                         std::initializer_list<float> constants = {}) {
  PointwiseProgram program;
  program.input_count = inputs;
  for (float constant : constants) program.constants[program.constant_count++] = constant;
  for (const PointwiseInstruction& one : instructions)
    program.instructions[program.instruction_count++] = one;
  return program;
}

const auto I = PointwiseOperand::Input;
const auto V = PointwiseOperand::Value;
const auto C = PointwiseOperand::Constant;

TEST(PointwiseProgram, BroadcastsEachWay) {
  const PointwiseProgram add = Program(2, {Make(Pointwise::kAdd, {I(0), I(1)})});
  Check(add, {}, {{}, {}});
  Check(add, {1000}, {{1000}, {1}});
  Check(add, {7, 100}, {{7, 100}, {100}});
  Check(add, {7, 100}, {{7, 1}, {100}});
  Check(add, {90, 3}, {{90, 3}, {3}});
  Check(add, {900, 1, 3}, {{900, 1, 3}, {900, 1, 1}});
  Check(add, {2, 5, 7, 24}, {{2, 5, 7, 24}, {2, 1, 1, 24}});
  Check(add, {2, 24, 5, 10}, {{2, 24, 5, 10}, {24, 1, 1}});
  Check(add, {2, 3, 2, 3, 2, 3}, {{2, 1, 2, 1, 2, 1}, {1, 3, 1, 3, 1, 3}});
  Check(add, {3, 400, 16}, {{3, 400, 16}, {3, 1, 16}});
  Check(add, {3, 70000}, {{3, 70000}, {3, 1}});
  Check(add, {0, 4}, {{0, 4}, {4}});
}

TEST(PointwiseProgram, ScalarsFoldAndInputsServeTwice) {
  const PointwiseProgram program =
      Program(3,
              {Make(Pointwise::kTanh, {I(1)}), Make(Pointwise::kMul, {V(0), C(0)}),
               Make(Pointwise::kSub, {I(0), V(1)}), Make(Pointwise::kAtan, {V(2)}),
               Make(Pointwise::kMulAdd, {V(3), I(2), V(1)}), Make(Pointwise::kWhere, {I(0), V(4), C(1)}),
               Make(Pointwise::kFmod, {V(5), C(0)})},
              {3.0f, 0.25f});
  Check(program, {3000}, {{3000}, {}, {3000}});
  Check(program, {40, 75}, {{40, 75}, {1}, {75}});
  Check(program, {100, 30}, {{100, 30}, {1}, {100, 1}});
  Check(program, {100, 30}, {{1}, {1}, {1}});
}

TEST(PointwiseProgram, RandomProgramsOnRandomShapes) {
  std::mt19937 random(7);
  const Pointwise functions[] = {Pointwise::kAdd,     Pointwise::kMul,    Pointwise::kSub,
                                 Pointwise::kMax,     Pointwise::kRelu,   Pointwise::kTanh,
                                 Pointwise::kSigmoid, Pointwise::kAffine, Pointwise::kWhere};
  for (int round = 0; round < 60; ++round) {
    PointwiseProgram program;
    program.input_count = 1 + static_cast<int>(random() % 4);
    program.constant_count = 2;
    program.constants[0] = 0.5f, program.constants[1] = -0.75f;
    program.instruction_count = 1 + static_cast<int>(random() % 20);
    for (int i = 0; i < program.instruction_count; ++i) {
      PointwiseInstruction& instruction = program.instructions[i];
      instruction.function = functions[random() % std::size(functions)];
      instruction.alpha = 0.5f, instruction.beta = 0.25f;
      for (PointwiseOperand& operand : instruction.operands) {
        const uint32_t kind = random() % 8;
        operand = kind == 0 ? C(static_cast<int>(random() % 2))
                  : kind < 4 || i < 1
                      ? I(static_cast<int>(random() % static_cast<uint32_t>(program.input_count)))
                      : V(i - 1 - static_cast<int>(random() % static_cast<uint32_t>(std::min(i, 6))));
      }
    }
    const Dims sizes = {1, 2, 3, 5, 8, 16, 17, 64, 130};
    Dims output;
    for (uint32_t i = 0; i < 1 + random() % 4 && Product(output) < 3000; ++i)
      output.push_back(sizes[random() % sizes.size()]);
    std::vector<Dims> dims;
    for (int k = 0; k < program.input_count; ++k) {
      dims.push_back(output);
      if (random() % 3 == 0) continue;
      for (int64_t& dim : dims.back()) {
        if (random() % 2) dim = 1;
      }
      if (dims.back()[0] == 1 && random() % 2) dims.back().erase(dims.back().begin());
    }
    SCOPED_TRACE(round);
    Check(program, output, dims);
  }
}

TEST(PointwiseProgram, ReusesRegisters) {
  PointwiseProgram chain = Program(1, {Make(Pointwise::kTanh, {I(0)})});
  while (chain.instruction_count < kPointwiseInstructionsMax) {
    chain.instructions[chain.instruction_count] =
        Make(Pointwise::kAffine, {V(chain.instruction_count - 1)}, 1, 0.01f);
    ++chain.instruction_count;
  }
  PointwiseKernel kernel;
  ASSERT_TRUE(PreparePointwise(chain, CpuLevel::kSse4, &kernel).ok());
  EXPECT_EQ(kernel.register_count, 2);
  Check(chain, {5000}, {{5000}});
}

TEST(PointwiseProgram, RefusesMalformedPrograms) {
  PointwiseKernel kernel;
  auto refused = [&](const PointwiseProgram& program) {
    return PreparePointwise(program, CpuLevel::kSse4, &kernel).code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused(Program(0, {})));
  EXPECT_TRUE(refused(Program(9, {Make(Pointwise::kAbs, {I(0)})})));
  EXPECT_TRUE(refused(Program(1, {Make(Pointwise::kAbs, {I(1)})})));
  EXPECT_TRUE(refused(Program(1, {Make(Pointwise::kAbs, {V(0)})})));
  EXPECT_TRUE(refused(Program(1, {Make(Pointwise::kAdd, {I(0), C(0)})})));
  EXPECT_TRUE(refused(Program(1, {Make(static_cast<Pointwise>(kPointwiseCount), {I(0)})})));
  PointwiseProgram wide = Program(1, {});
  for (int i = 0; i < 17; ++i) wide.instructions[wide.instruction_count++] = Make(Pointwise::kAbs, {I(0)});
  for (int i = 0; i < 17; ++i)
    wide.instructions[wide.instruction_count++] =
        Make(Pointwise::kAdd, {V(i), V(wide.instruction_count - 1)});
  EXPECT_TRUE(refused(wide));
}

TEST(PointwiseShape, RefusesWhatDoesNotBroadcast) {
  PointwiseShape shape;
  auto status = [&](const Dims& output, const Dims& input) {
    const std::span<const int64_t> one[] = {input};
    return MakePointwiseShape(output, one, &shape).code();
  };
  EXPECT_EQ(status({4, 3}, {4, 1}), Code::kOk);
  EXPECT_EQ(status({4, 3}, {4}), Code::kInvalidArgument);
  EXPECT_EQ(status({3}, {4, 3}), Code::kInvalidArgument);
  EXPECT_EQ(status({1}, {4}), Code::kInvalidArgument);
  EXPECT_EQ(status({int64_t{1} << 40, int64_t{1} << 40}, {1}), Code::kInvalidArgument);
  EXPECT_EQ(status({2, 2, 2, 2, 2, 2, 2}, {2, 1, 2, 1, 2, 1, 2}), Code::kUnsupported);
  EXPECT_EQ(status({2, 2, 2, 2, 2, 2, 2, 2}, {2, 2, 1, 1, 2, 2, 2, 2}), Code::kOk);
  EXPECT_EQ(shape.rank, 3);
}

}  // namespace
}  // namespace linnet
