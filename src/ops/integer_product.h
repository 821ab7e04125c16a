// Products of 8-bit matrices as operators use them: batches with broadcasting, zero points, scales, and what follows.
//
//     sums[b] = (A[b] - a_zero) (B[b] - b_zero) + bias        exact, in 32 bits
//     Y[b] = sums, or in float or 8 bits as kernels/int8/int8_gemm.h finishes them
//
// B is packed when the model is prepared, where it is a constant, and otherwise by each run, one matrix at a time. Rows of all
// batches become one matrix where B is shared by them.
#pragma once

#include "kernels/int8/int8_gemm.h"
#include "ops/activation_helpers.h"
#include "ops/op.h"

namespace linnet {

inline constexpr uint32_t kByteTypes = Mask(DType::kInt8) | Mask(DType::kUint8);

/// Plain data: a product for one set of shapes. Offsets are bytes into scratch.
struct IntegerProductParams {
  int64_t batches = 1, m = 1, n = 1, k = 1, b_matrices = 1;
  int batch_rank = 0;
  bool near = false;   ///< B fits the second-level cache, should it be multiplied again and again
  int64_t batch_dims[kMaxRank], a_strides[kMaxRank], b_strides[kMaxRank];   ///< in matrices; 0 where broadcast
  GemmGrain grain{1, 1};
  int64_t zero_at = 0, offset_at = 0, scale_at = 0, bias_at = 0, packed_at = 0, worker_at = 0, worker_bytes = 0;

  /// Which matrices of A and B batch `index` multiplies.
  void Locate(int64_t index, int64_t* a, int64_t* b) const;
};

struct IntegerProduct {
  bool transpose_b = false;
  bool repeats = false;   ///< most runs follow one another, with the same B

  /// Packs input `b` when it is a constant with at least two dimensions, and drops it. `tag`: what the packed weights are
  /// called, should a node have several.
  Status Prepare(PrepareContext& c, int b, std::string_view tag = "w8");
  /// Bytes from one packed matrix to the next.
  static int64_t MatrixBytes(int64_t k, int64_t n) { return RoundUp(PackedSizeInt8(k, n), static_cast<int64_t>(kAlignment)); }
  /// A and B as the inputs have them; rank 1 is a row and a column. Returns how many bytes of scratch the product uses, from
  /// `scratch_at` on.
  Result<int64_t> Plan(const Shape& a, const Shape& b, int threads, int64_t scratch_at, IntegerProductParams* params) const;

  /// Numbers of B's columns: one for all, or one for each.
  struct Columns {
    const void* data = nullptr;   ///< null: zeros (of scales: ones)
    DType dtype = DType::kUndefined;
    int64_t count = 1;
  };
  struct Operands {
    const void* a = nullptr;
    const void* b = nullptr;             ///< not read when packed
    int64_t matrix = 0;                  ///< of those packed, where A's first is multiplied with another than the first
    bool a_signed = false, b_signed = false;
    int32_t a_zero = 0;
    bool again = false;                  ///< B was multiplied before, and is in the cache if it fits
    Columns b_zero, b_scale;
    const int32_t* bias = nullptr;       ///< n, added to the sums
    const float* float_bias = nullptr;   ///< n, added behind the scale
    float a_scale = 1, y_scale = 1;      ///< the sums are multiplied by a_scale b_scale / y_scale
    FinishInt8 finish;                   ///< to, low, high, zero, and the epilogue's residual and activation
    void* y = nullptr;
  };
  Status Run(const RunContext& c, const IntegerProductParams& p, const Operands& o) const;

  /// For operators that do something with each part of a product while it is in the cache: the product with the first
  /// matrix of a packed B, which Part computes.
  GemmInt8 Start(const RunContext& c, const IntegerProductParams& p, const Operands& o) const;
  void Part(const RunContext& c, const IntegerProductParams& p, const GemmInt8& g, int64_t row0, int64_t row1,
            int64_t panel0, int64_t panel1, int worker) const;
  /// About how long all parts take.
  double Ns(const IntegerProductParams& p) const;

  const Int8Kernels* kernels = nullptr;
  const std::byte* packed = nullptr;     ///< all matrices of a constant B
  Block orders;                          ///< of their panels (OrdersBytesInt8)

 private:
  /// Makes `g` multiply with a packed matrix.
  void SetPacked(int64_t matrix, GemmInt8* g) const;
};

/// `to`, and the bounds and zero point of an output of 8 bits with zero point `zero`, clamped to [low, high].
void FinishBytes(DType dtype, int32_t zero, int64_t low, int64_t high, FinishInt8* finish);

/// Of a product whose output may be activated bytes instead of floats (FinishInt8::To::kActivated): optional inputs `table`, a list of
/// bytes, and `zero`, the output's zero point, of which one at most is there, and then no residual, which would be input `residual`. With
/// `zero`, scale and bias are in steps of the output; the activation may be HardSwish or LeakyRelu, with FinishInt8's alpha.
struct ActivatedBytes {
  int table, zero, residual;

  template <class Context>
  bool Has(const Context& c) const { return c.has_input(table) || c.has_input(zero); }
  /// The type of the output: floats, or bytes.
  Result<DType> Infer(InferContext& c, const FusedActivation& activation) const;
  void Set(const RunContext& c, FinishInt8* finish) const;
};

}  // namespace linnet
