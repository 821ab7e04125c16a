// Matrix products as operators use them: batches with broadcasting, transposed operands, an added tensor, activation.
//
//     Y[b] = activation(alpha X[b] W[b] + bias + beta C)      float, float16 and bfloat16 (computed in float)
//
// W is used in one of these forms, chosen when shapes are known:
//     packed       a constant, packed when the model was prepared (alpha folded in); of 16 bits where the node says so
//     pack now     packed into scratch by this run, a group of matrices at a time: many rows use it
//     row-major    read where it lies: few rows use it
//     dots         W transposed in memory, and few rows; also W of one column, with the roles of X and W exchanged
// Rows of all batches become one matrix when W is shared by them.
#pragma once

#include <optional>

#include "kernels/half/half_gemm.h"
#include "kernels/half/split_gemm.h"
#include "kernels/gemm.h"
#include "ops/elementwise.h"
#include "ops/op.h"

namespace linnet {

enum class DenseForm : uint8_t { kPacked, kPackNow, kRowMajor, kDots, kVector };

/// Asks for a product's rows of A at once, if they are few, where another core may have written some of them: tiles would wait for
/// line after line.
inline void AskForRows(const float* data, int64_t bytes) {
  constexpr int64_t kBytesMax = 32 << 10;
  for (int64_t at = 0; at < bytes && bytes <= kBytesMax; at += 64) __builtin_prefetch(reinterpret_cast<const char*>(data) + at);
}

/// Plain data: a product for one set of shapes. Offsets are bytes into scratch; -1: not used.
struct DenseParams {
  int64_t batches = 1, m = 0, n = 0, k = 0;
  BroadcastLoop batch;          ///< operand 0: X, operand 1: W, in matrices
  DenseForm form = DenseForm::kPacked;
  bool half = false;            ///< x, w, y are widened to float in scratch
  bool splits = false;          ///< of packed W: tiles multiply split numbers
  int64_t x_matrices = 1, w_matrices = 1;
  int64_t group = 1;            ///< matrices packed at a time
  GemmGrain grain{1, 1};
  int64_t column_block = 0;     ///< row-major and dots: columns of a task
  int64_t worker_at = -1, worker_bytes = 0;
  int64_t pack_at = -1, transposed_x_at = -1, bias_at = -1, wide_x_at = -1, wide_w_at = -1, wide_y_at = -1;
  // The added tensor C, broadcast to Y: a row of n values, as large as Y, or anything else.
  enum class Added : uint8_t { kNone, kRow, kSame, kBroadcast } added = Added::kNone;
  int64_t c_row_step = 0, c_column_step = 0;   ///< kBroadcast (batches == 1)
};

/// Shape of numpy.matmul of two tensors; whatever is known of it.
Result<Shape> MatMulShape(const Shape& x, bool transpose_x, const Shape& w, bool transpose_w);

struct Dense {
  bool transpose_x = false, transpose_w = false;
  float alpha = 1, beta = 1;
  Activation activation = Activation::kNone;
  float activation_alpha = 0, activation_beta = 0;
  std::optional<HalfFormat> reduce;   ///< ReducedFormat: of float32 operands, where W is a constant matrix (ops/precision.h)

  /// Picks kernels; Prepare does so too.
  void Pick(CpuLevel cpu) { kernels_ = &PickGemmF32(cpu), split_ = PickSplitGemm(cpu); }
  /// Packs input `w` when it is a constant of a floating-point type with at least two dimensions, and drops it.
  Status Prepare(PrepareContext& c, int w);
  /// Shapes as the inputs have them; `added`: null, or the shape of C (broadcasts to the output). `x` and `w` of rank
  /// 1 are a row and a column. `biased`: Run is given a bias. Returns how many bytes of scratch the product uses, from
  /// `scratch_at` on.
  Result<int64_t> Plan(DType dtype, const Shape& x, const Shape& w, const Shape* added, bool biased, int threads,
                       int64_t scratch_at, DenseParams* params) const;
  /// Plan for a node whose only scratch this is.
  Status Bind(BindContext& c, const Shape* added, bool biased, DenseParams* params) const;
  /// `bias` (n values of the operands' type) may be null. `added` null when there is no C. `y` may be `added`.
  Status Run(const RunContext& c, const DenseParams& p, const void* x, const void* w, const void* bias,
             const void* added, void* y) const;

 private:
  template <class T>
  Status RunHalf(const RunContext& c, const DenseParams& p, const void* x, const void* w, const void* bias,
                 const void* added, void* y) const;
  Status RunFloat(const RunContext& c, const DenseParams& p, const float* x, const float* w, const float* bias,
                  const float* added, float* y) const;
  Status MultiplyGroup(const RunContext& c, const DenseParams& p, const GemmF32& shared, const float* x,
                       const float* w, float* y, int64_t first, int64_t count) const;

  Status PrepareReduced(PrepareContext& c, int w, int64_t k, int64_t n);
  Status MultiplyReduced(const RunContext& c, const DenseParams& p, const Epilogue& epilogue, const float* x, float* y) const;

  const GemmF32Kernels* kernels_ = nullptr;
  const SplitGemmKernels* split_ = nullptr;
  const HalfKernels* reduced_ = nullptr;   ///< not null: packed_ is of its format
  const void* packed_ = nullptr;           ///< all matrices of a constant W
};

/// The product as plain loops: for double, 32 and 64-bit integers (which wrap), and for float matrices too small for a
/// kernel. Row-major X [m,k] or, transposed, [k,m]; the same for W. Y = X W.
Status MultiplyPlain(const RunContext& c, DType dtype, const DenseParams& p, bool transpose_x, bool transpose_w,
                     const void* x, const void* w, void* y);

}  // namespace linnet
