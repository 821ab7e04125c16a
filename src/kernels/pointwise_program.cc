// Preparing and running pointwise programs.
#include "kernels/pointwise_program.h"

#include <string.h>

#include "base/memory.h"

namespace linnet {
namespace {

using Kind = PointwiseOperand::Kind;

// Floats of the stack buffer that tiles of registers and spread inputs share; half of a small L1.
constexpr int64_t kScratchFloats = 4096;
constexpr int64_t kTileMax = 1024;
// A run needs no tiles when nothing but inputs and output is touched.
constexpr int64_t kTileOfOneStep = 1 << 16;
Status CheckOperand(const PointwiseProgram& program, int instruction, PointwiseOperand operand) {
  const int limit = operand.kind == Kind::kValue      ? instruction
                    : operand.kind == Kind::kInput    ? program.input_count
                    : operand.kind == Kind::kConstant ? program.constant_count
                                                      : 0;
  if (operand.index < limit) return Status();
  return InvalidArgument("pointwise instruction ", int64_t{instruction}, " reads operand ",
                         int64_t{operand.index}, " of kind ", static_cast<int64_t>(operand.kind),
                         "; there are ", int64_t{limit});
}

}  // namespace

Status PreparePointwise(const PointwiseProgram& program, CpuLevel level, PointwiseKernel* kernel) {
  const int count = program.instruction_count;
  if (count < 1 || count > kPointwiseInstructionsMax || program.input_count < 0 ||
      program.input_count > kPointwiseInputsMax || program.constant_count < 0 ||
      program.constant_count > kPointwiseConstantsMax) {
    return InvalidArgument("pointwise program of ", int64_t{count}, " instructions, ",
                           int64_t{program.input_count}, " inputs, ", int64_t{program.constant_count},
                           " constants");
  }
  int last_use[kPointwiseInstructionsMax];
  for (int i = 0; i < count; ++i) {
    const PointwiseInstruction& instruction = program.instructions[i];
    const int function = static_cast<int>(instruction.function);
    if (function >= kPointwiseCount) {
      return InvalidArgument("pointwise instruction ", i, " has unknown function ", int64_t{function});
    }
    last_use[i] = i;
    for (int k = 0; k < PointwiseArity(instruction.function); ++k) {
      LINNET_TRY(CheckOperand(program, i, instruction.operands[k]));
      if (instruction.operands[k].kind == Kind::kValue) last_use[instruction.operands[k].index] = i;
    }
  }

  kernel->input_count = program.input_count;
  kernel->register_count = 0;
  kernel->step_count = count;
  memcpy(kernel->constants, program.constants, sizeof(kernel->constants));
  int register_of[kPointwiseInstructionsMax];
  int held_until[kPointwiseRegistersMax];  // the instruction after which a register is free
  for (int i = 0; i < count; ++i) {
    const PointwiseInstruction& instruction = program.instructions[i];
    PointwiseKernel::Step& step = kernel->steps[i];
    step.fn = PickPointwise(instruction.function, level);
    step.arity = static_cast<uint8_t>(PointwiseArity(instruction.function));
    step.alpha = instruction.alpha;
    step.beta = instruction.beta;
    for (int k = 0; k < step.arity; ++k) {
      step.operands[k] = instruction.operands[k];
      if (step.operands[k].kind == Kind::kValue)
        step.operands[k].index = static_cast<uint8_t>(register_of[step.operands[k].index]);
    }
    step.target = 0;
    if (i == count - 1) break;  // goes to the output
    // A register that an operand is in is not free yet: a scalar there is read while the target is written.
    int free = 0;
    while (free < kernel->register_count && held_until[free] >= i) ++free;
    if (free == kPointwiseRegistersMax) {
      return InvalidArgument("pointwise instruction ", i, " needs more than ",
                             int64_t{kPointwiseRegistersMax}, " registers");
    }
    if (free == kernel->register_count) ++kernel->register_count;
    held_until[free] = last_use[i];
    register_of[i] = free;
    step.target = static_cast<uint8_t>(free);
  }
  return Status();
}

Status MakePointwiseShape(std::span<const int64_t> output, std::span<const std::span<const int64_t>> inputs,
                          PointwiseShape* shape) {
  const int count = static_cast<int>(inputs.size());
  if (count > kPointwiseInputsMax) return Unsupported("pointwise program of ", int64_t{count}, " inputs");
  int64_t dense[kPointwiseInputsMax];  // elements of each input inside the dimension at hand
  for (int k = 0; k < count; ++k) {
    dense[k] = 1;
    if (inputs[k].size() > output.size()) {
      return InvalidArgument("input ", int64_t{k}, " of rank ", static_cast<int64_t>(inputs[k].size()),
                             " does not broadcast to rank ", static_cast<int64_t>(output.size()));
    }
  }
  // From the innermost dimension outwards; dims and strides are filled from their ends and moved to the
  // front.
  int first = kPointwiseRankMax;
  shape->size = 1;
  for (size_t back = 1; back <= output.size(); ++back) {
    const int64_t dim = output[output.size() - back];
    if (dim < 0 || !CheckedMul(shape->size, dim, &shape->size))
      return InvalidArgument("output dimension ", dim);
    int64_t stride[kPointwiseInputsMax];
    bool merges = first < kPointwiseRankMax;
    for (int k = 0; k < count; ++k) {
      const int64_t own = back <= inputs[k].size() ? inputs[k][inputs[k].size() - back] : 1;
      if (own != dim && own != 1) {
        return InvalidArgument("dimension ", own, " of input ", int64_t{k}, " does not broadcast to ", dim);
      }
      stride[k] = own == 1 ? 0 : dense[k];
      dense[k] *= own;
      if (merges) merges = stride[k] == shape->strides[k][first] * shape->dims[first];
    }
    if (dim == 1) continue;
    if (merges) {
      shape->dims[first] *= dim;
      continue;
    }
    if (first == 0)
      return Unsupported("broadcasting over more than ", int64_t{kPointwiseRankMax}, " dimensions");
    --first;
    shape->dims[first] = dim;
    for (int k = 0; k < count; ++k) shape->strides[k][first] = stride[k];
  }
  shape->rank = kPointwiseRankMax - first;
  memmove(shape->dims, shape->dims + first, sizeof(int64_t) * static_cast<size_t>(shape->rank));
  for (int k = 0; k < count; ++k) {
    memmove(shape->strides[k], shape->strides[k] + first, sizeof(int64_t) * static_cast<size_t>(shape->rank));
  }
  return Status();
}

namespace {

// Short runs, four floats at a time.
void CopyFew(const float* from, int64_t n, float* to) {
  for (; n >= 4; n -= 4, from += 4, to += 4) memcpy(to, from, 16);
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}
void Repeat(float value, int64_t n, float* to) {
  const float four[4] = {value, value, value, value};
  for (; n >= 4; n -= 4, to += 4) memcpy(to, four, 16);
  for (int64_t i = 0; i < n; ++i) to[i] = value;
}

// How one input reaches the tiles.
enum class Access : uint8_t { kDense, kScalar, kSpread };

struct Walk {
  const PointwiseKernel& kernel;
  const PointwiseShape& shape;
  const float* const* inputs;
  float* output;
  int64_t row;                          // elements of the innermost dimension
  int64_t index[kPointwiseRankMax];     // coordinates of the row at hand
  int64_t offset[kPointwiseInputsMax];  // where each input's row begins
  const float* tile[kPointwiseInputsMax];
  uint32_t scalars;  // bit k: tile[k] is one value
  int64_t tile_max;
  float* scratch;

  void Seek(int64_t row_number) {
    for (int k = 0; k < kernel.input_count; ++k) offset[k] = 0;
    for (int i = shape.rank - 2; i >= 0; --i) {
      index[i] = row_number % shape.dims[i];
      row_number /= shape.dims[i];
      for (int k = 0; k < kernel.input_count; ++k) offset[k] += index[i] * shape.strides[k][i];
    }
  }

  void NextRow() {
    for (int i = shape.rank - 2; i >= 0; --i) {
      for (int k = 0; k < kernel.input_count; ++k) offset[k] += shape.strides[k][i];
      if (++index[i] < shape.dims[i]) return;
      for (int k = 0; k < kernel.input_count; ++k) offset[k] -= shape.dims[i] * shape.strides[k][i];
      index[i] = 0;
    }
  }

  int64_t InnerStride(int k) const { return shape.rank == 0 ? 0 : shape.strides[k][shape.rank - 1]; }

  // Runs every step over n elements; `out` is where the output's tile begins.
  void RunTile(float* out, int64_t n) const {
    uint32_t scalar_registers = 0;
    for (int s = 0; s < kernel.step_count; ++s) {
      const PointwiseKernel::Step& step = kernel.steps[s];
      const float* operands[3] = {nullptr, nullptr, nullptr};
      uint32_t step_scalars = 0;
      for (int k = 0; k < step.arity; ++k) {
        const PointwiseOperand operand = step.operands[k];
        bool is_scalar = true;
        if (operand.kind == Kind::kValue) {
          operands[k] = scratch + operand.index * tile_max;
          is_scalar = (scalar_registers >> operand.index) & 1;
        } else if (operand.kind == Kind::kInput) {
          operands[k] = tile[operand.index];
          is_scalar = (scalars >> operand.index) & 1;
        } else {
          operands[k] = &kernel.constants[operand.index];
        }
        step_scalars |= uint32_t{is_scalar} << k;
      }
      const bool last = s == kernel.step_count - 1;
      const bool one_value = !last && step_scalars + 1 == (1u << step.arity);
      step.fn(last ? out : scratch + step.target * tile_max, operands[0], operands[1], operands[2],
              one_value ? 1 : n, step_scalars, step.alpha, step.beta);
      scalar_registers = (scalar_registers & ~(1u << step.target)) | uint32_t{one_value} << step.target;
    }
  }

  void RunLongRows(int64_t begin, int64_t end) {
    Seek(begin / row);
    int64_t within = begin % row;
    for (int64_t at = begin; at < end;) {
      const int64_t left = row - within < end - at ? row - within : end - at;
      const int64_t n = left < tile_max ? left : tile_max;
      scalars = 0;
      for (int k = 0; k < kernel.input_count; ++k) {
        const int64_t stride = InnerStride(k);
        tile[k] = inputs[k] + offset[k] + within * stride;
        scalars |= uint32_t{stride == 0} << k;
      }
      RunTile(output + at, n);
      at += n;
      within += n;
      if (within == row) within = 0, NextRow();
    }
  }

  // Tiles of many rows. Inputs that are neither dense nor one value are spread by copying, row by row, into
  // buffers of their own; a buffer that holds the same row over and over serves as long as that is the row.
  void RunShortRows(int64_t begin, int64_t end, const Access* access, float* buffers) {
    struct {
      int64_t offset = 0, count = 0;  // count elements of repeated rows from inputs + offset
    } held[kPointwiseInputsMax];
    scalars = 0;
    for (int k = 0; k < kernel.input_count; ++k) {
      tile[k] = inputs[k];
      if (access[k] == Access::kScalar) scalars |= 1u << k;
      if (access[k] != Access::kSpread) continue;
      tile[k] = buffers;
      buffers += tile_max;
    }
    const int64_t step = tile_max / row * row;
    const int outer = shape.rank - 2;
    for (int64_t at = begin; at < end;) {
      const int64_t limit = (at / step + 1) * step, within = at % row;
      const int64_t n = (limit < end ? limit : end) - at;
      Seek(at / row);
      const bool one_outer = index[outer] + DivUp(within + n, row) <= shape.dims[outer];
      uint32_t copied = 0;
      for (int k = 0; k < kernel.input_count; ++k) {
        if (access[k] == Access::kDense) tile[k] = inputs[k] + at;
        if (access[k] != Access::kSpread) continue;
        const bool repeats = one_outer && within == 0 && shape.strides[k][outer] == 0;
        if (repeats && held[k].offset == offset[k] && held[k].count >= n) continue;
        held[k] = {offset[k], repeats ? n : 0};
        copied |= 1u << k;
      }
      if (copied) CopyRows(within, n, copied);
      RunTile(output + at, n);
      at += n;
    }
  }

  // n elements of the inputs in `copied`, from element `within` of the row at hand.
  void CopyRows(int64_t within, int64_t n, uint32_t copied) {
    for (int64_t done = 0; done < n;) {
      const int64_t count = row - within < n - done ? row - within : n - done;
      for (int k = 0; k < kernel.input_count; ++k) {
        if (!(copied >> k & 1)) continue;
        const float* source = inputs[k] + offset[k];
        float* target = const_cast<float*>(tile[k]) + done;  // one of our buffers
        if (InnerStride(k) == 0) {
          Repeat(source[0], count, target);
        } else {
          CopyFew(source + within, count, target);
        }
      }
      done += count;
      within = 0;
      NextRow();
    }
  }
};

// As many elements as fit `buffers` times into the scratch.
int64_t TileFor(int64_t buffers) {
  if (buffers == 0) return kTileOfOneStep;
  const int64_t fit = kScratchFloats / buffers / 16 * 16;
  return fit < kTileMax ? fit : kTileMax;
}

}  // namespace

void RunPointwise(const PointwiseKernel& kernel, const PointwiseShape& shape, const float* const* inputs,
                  float* output, int64_t begin, int64_t end) {
  if (begin >= end) return;
  alignas(kAlignment) float scratch[kScratchFloats];
  Walk walk{kernel, shape, inputs, output};
  walk.row = shape.rank == 0 ? 1 : shape.dims[shape.rank - 1];
  walk.scratch = scratch;
  Access access[kPointwiseInputsMax];
  int64_t buffers = kernel.register_count;
  for (int k = 0; k < kernel.input_count; ++k) {
    bool dense = true, scalar = true;
    int64_t inside = 1;
    for (int i = shape.rank - 1; i >= 0; --i) {
      dense &= shape.strides[k][i] == inside;
      scalar &= shape.strides[k][i] == 0;
      inside *= shape.dims[i];
    }
    access[k] = dense ? Access::kDense : scalar ? Access::kScalar : Access::kSpread;
    buffers += access[k] == Access::kSpread;
  }
  walk.tile_max = TileFor(buffers);
  // Short rows share a tile; long ones have tiles of their own, in which broadcast inputs are read in place.
  if (shape.rank >= 2 && 2 * walk.row <= walk.tile_max) {
    walk.RunShortRows(begin, end, access, scratch + kernel.register_count * walk.tile_max);
  } else {
    walk.tile_max = TileFor(kernel.register_count);
    walk.RunLongRows(begin, end);
  }
}

}  // namespace linnet
