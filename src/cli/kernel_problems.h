// Problems that `linnet kernels` times: a product or a convolution, and every kernel that could do it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/memory.h"

namespace linnet::cli {

/// What numbers a kernel multiplies.
enum class Numbers : uint8_t { kFloat32, kInt8, kBfloat16, kFloat16 };

struct Candidate {
  CpuLevel level;
  std::string name;
  bool pick;
  std::function<void()> run;
  double ns = 0;
};

struct Problem {
  std::string title;
  Numbers numbers = Numbers::kFloat32;
  double macs = 0, bytes = 0, weight_bytes = 0;
  std::vector<Candidate> candidates;
};

struct GemmProblem {
  int64_t m = 0, n = 0, k = 0;
};
struct ConvProblem {
  int64_t height = 0, width = 0, channels = 0, filters = 0;
  int64_t kernel = 3, stride = 1, dilation = 1, groups = 1;

  int64_t pad() const { return (kernel - 1) * dilation / 2; }
  int64_t Out(int64_t in) const { return (in + 2 * pad() - (kernel - 1) * dilation - 1) / stride + 1; }
  bool depthwise() const { return groups == channels && filters == channels && groups > 1; }
};

/// Memory of one problem.
class Workspace {
 public:
  /// Small numbers that are no denormals.
  Result<float*> Floats(int64_t count);
  Result<std::byte*> Bytes(int64_t count);

 private:
  std::vector<Block> blocks_;
};

/// Every level of this machine that has kernels of its own for such numbers, the best first.
std::vector<CpuLevel> LevelsFor(Numbers numbers, CpuLevel best);

Status AddGemm(const GemmProblem& p, Numbers numbers, CpuLevel best, Workspace& memory, Problem* problem);
Status AddConv(const ConvProblem& p, Numbers numbers, CpuLevel best, Workspace& memory, Problem* problem);

}  // namespace linnet::cli
