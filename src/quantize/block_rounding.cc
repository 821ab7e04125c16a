// Rounding blocks: by extremes, by least squares, and half-quadratically.
#include "quantize/block_rounding.h"

#include <float.h>
#include <math.h>

#include <algorithm>

#include "ops/quantize_helpers.h"
#include "quantize/scale.h"

namespace linnet::quantize {
namespace {

/// The norm that half-quadratic rounding minimises, and how it is relaxed: as the paper has them.
constexpr double kNorm = 0.7, kBeta = 10, kBetaGrowth = 1.01;
constexpr int kHalfQuadraticTurns = 20;

class Fitter {
 public:
  Fitter(const float* values, int64_t count, int64_t stride, DType dtype, bool real_zero)
      : values_(values), count_(count), stride_(stride), dtype_(dtype), codes_(RangeOf(dtype)), signed_(IsSigned(dtype)), real_zero_(real_zero) {
    for (int64_t i = 0; i < count; ++i) {
      low_ = std::min(low_, Value(i));
      high_ = std::max(high_, Value(i));
    }
  }
  bool empty() const { return low_ == 0 && high_ == 0; }

  Block Extremes(double factor = 1) const {
    const Params params = ChooseParams({low_ * factor, high_ * factor}, dtype_, signed_);
    return {params.scales[0], static_cast<float>(params.zeros[0])};
  }

  Block Squares() const {
    Block best = Extremes();
    double least = Error(best, 2);
    constexpr int kSteps = 20;
    for (int step = 0; step < kSteps; ++step) {
      // Signed codes reach one further down: a factor above 1 lets the lowest be used.
      Block block = Extremes(1.1 - 0.5 * step / kSteps);
      for (int turn = 0; turn < 3; ++turn) {
        const double error = Error(block, 2);
        if (error < least) least = error, best = block;
        double product = 0, square = 0;
        for (int64_t i = 0; i < count_; ++i) {
          const double code = Code(Value(i), block) - block.zero;
          product += code * Value(i);
          square += code * code;
        }
        if (square == 0 || product <= 0) break;
        block.scale = std::max(static_cast<float>(product / square), FLT_MIN);
      }
    }
    return best;
  }

  /// Splits the error into a part that may be anything, shrunk towards zero (the proximal operator of the norm), and a rest
  /// whose square is minimised over the zero point and the scale; both in turns, while the hold on the first grows.
  Block HalfQuadratic() const {
    Block best = Extremes(), block = best;
    if (!signed_) block.zero = static_cast<float>(static_cast<double>(codes_.low) - low_ / block.scale);
    double least = Error(best, kNorm), square = 0;
    for (int64_t i = 0; i < count_; ++i) square += Value(i) * Value(i);
    const double unit = sqrt(square / static_cast<double>(count_));   // the paper's constants are for weights of about 1
    const double pull = unit * unit / Power(unit);   // unit^(2 - norm)
    const bool whole = !signed_ && !real_zero_;
    double beta = kBeta;
    for (int turn = 0; turn <= kHalfQuadraticTurns; ++turn, beta *= kBetaGrowth) {
      double zeros = 0, product = 0, squares = 0, norm = 0;
      for (int64_t i = 0; i < count_; ++i) {
        const double code = Code(Value(i), block);
        const double error = Value(i) - (code - block.zero) * block.scale, size = fabs(error);
        const double power = Power(size);
        norm += power;
        // In units: the size less size^(norm - 1) / beta, but not below 0.
        const double shrunk = size == 0 ? 0 : copysign(std::max(size - power / size * pull / beta, 0.0), error);
        const double target = Value(i) - shrunk;
        zeros += code - target / block.scale;
        product += (code - block.zero) * target;
        squares += (code - block.zero) * (code - block.zero);
      }
      if (!whole && norm < least) least = norm, best = block;
      if (squares == 0 || product <= 0 || turn == kHalfQuadraticTurns) break;
      block.scale = std::max(static_cast<float>(product / squares), FLT_MIN);
      if (!signed_) block.zero = static_cast<float>(zeros / static_cast<double>(count_));
      if (!whole) continue;
      Block held = block;
      held.zero = static_cast<float>(std::clamp(nearbyint(static_cast<double>(block.zero)), static_cast<double>(codes_.low), static_cast<double>(codes_.high)));
      const double error = Error(held, kNorm);
      if (error < least) least = error, best = held;
    }
    return best;
  }

  double Code(double value, const Block& block) const {
    return std::clamp(nearbyint(value / block.scale + block.zero), static_cast<double>(codes_.low), static_cast<double>(codes_.high));
  }

 private:
  double Value(int64_t i) const { return values_[i * stride_]; }
  double Error(const Block& block, double norm) const {
    double sum = 0;
    for (int64_t i = 0; i < count_; ++i) {
      const double error = (Code(Value(i), block) - block.zero) * block.scale - Value(i);
      sum += norm == 2 ? error * error : Power(fabs(error));
    }
    return sum;
  }
  static double Power(double size) { return static_cast<double>(powf(static_cast<float>(size), static_cast<float>(kNorm))); }

  const float* values_;
  int64_t count_, stride_;
  DType dtype_;
  IntegerRange codes_;
  bool signed_, real_zero_;
  double low_ = 0, high_ = 0;
};

}  // namespace

Block FitBlock(const float* values, int64_t count, int64_t stride, DType dtype, BlockRounding rounding, bool real_zero) {
  const Fitter fitter(values, count, stride, dtype, real_zero);
  if (fitter.empty() || rounding == BlockRounding::kExtremes) return fitter.Extremes();
  return rounding == BlockRounding::kSquares ? fitter.Squares() : fitter.HalfQuadratic();
}

int64_t CodeOf(float value, const Block& block, DType dtype) {
  const IntegerRange codes = RangeOf(dtype);
  const double code = nearbyint(static_cast<double>(value) / block.scale + block.zero);
  return static_cast<int64_t>(std::clamp(code, static_cast<double>(codes.low), static_cast<double>(codes.high)));
}

}  // namespace linnet::quantize
