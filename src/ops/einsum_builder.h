// The program an Einsum becomes: copies, row sums and matrix products over scratch, written by EinsumBuilder.
#pragma once

#include <span>

#include "kernels/copy.h"
#include "ops/dense_helpers.h"
#include "ops/einsum_equation.h"

namespace linnet {

/// A tensor in mid-computation. Sizes of indices are in EinsumBuilder::dims.
struct EinsumOperand {
  static constexpr int kOutput = -1, kScratch = -2;
  int source = kScratch;          ///< an input's number, or one of the above
  int64_t at = 0;                 ///< bytes into scratch
  int count = 0;
  int8_t indices[2 * kMaxRank];
  int64_t strides[2 * kMaxRank];  ///< in elements
};

struct EinsumStep {
  enum Kind : uint8_t { kConvertIn, kCopy, kSumRows, kProduct, kSmallProduct, kConvertOut } kind;
  int x = 0, w = 0, y = 0;               ///< as EinsumOperand::source
  int64_t x_at = 0, w_at = 0, y_at = 0;
  int64_t elements = 0, rows = 0, n = 0;
  bool transposed = false;               ///< W is [N, summed]
  CopyPlan copy;
  DenseParams product;
};

/// Writes the program of one node: operands are contracted from left to right (einsum.cc).
class EinsumBuilder {
 public:
  /// `plain` and `turned` (W transposed) plan products. `steps` has room for kStepsPerOperand of each operand, and 4.
  static constexpr int kStepsPerOperand = 8;
  EinsumBuilder(DType compute, CpuLevel cpu, const Dense& plain, const Dense& turned, int threads, EinsumStep* steps)
      : compute_(compute), cpu_(cpu), plain_(plain), turned_(turned), threads_(threads), steps_(steps) {}

  int64_t dims[kEinsumIndices];   ///< sizes of all indices; 1 for unused ones. The caller fills them

  int64_t bytes() const { return static_cast<int64_t>(DTypeBytes(compute_)); }
  int64_t Size(std::span<const int8_t> indices) const;
  EinsumStep& Add(EinsumStep::Kind kind);
  EinsumStep& last() { return steps_[count_ - 1]; }
  /// Room for `elements`, as an offset into scratch.
  int64_t Take(int64_t elements);
  bool IsDense(const EinsumOperand& operand, std::span<const int8_t> order) const;
  /// The operand dense in this order of all its indices; copied when it is not. `to_output`: copied there in any case.
  Result<EinsumOperand> Arrange(const EinsumOperand& operand, std::span<const int8_t> order, bool to_output = false);
  /// Sums out the indices that are not in `keep`; what is left is dense in the order of `keep`.
  Result<EinsumOperand> SumOut(const EinsumOperand& operand, std::span<const int8_t> keep);
  /// Sums products over the indices of left and right that are not `needed`.
  Result<EinsumOperand> Contract(const EinsumOperand& left, const EinsumOperand& right, const bool* needed);

  int step_count() const { return count_; }
  int64_t scratch_bytes() const { return scratch_; }

 private:
  Result<EinsumOperand> Fresh(std::span<const int8_t> indices);

  DType compute_;
  CpuLevel cpu_;
  const Dense& plain_;
  const Dense& turned_;
  int threads_;
  EinsumStep* steps_;
  int count_ = 0;
  int64_t scratch_ = 0;
};

}  // namespace linnet
