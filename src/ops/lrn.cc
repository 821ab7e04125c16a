// LRN: x / (bias + alpha / size * sum of squares of the `size` channels around it) ^ beta.
#include <math.h>

#include <algorithm>

#include "ops/convert.h"
#include "ops/arithmetic.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

/// Positions computed side by side.
constexpr int64_t kBlock = kConvertChunk;

struct LrnParams {
  int64_t samples = 0, channels = 0, inner = 0;
};

struct Lrn {
  float alpha = 1e-4f, beta = 0.75f, bias = 1;
  int64_t size = 0;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(alpha, node.Float("alpha", alpha));
    LINNET_ASSIGN(beta, node.Float("beta", beta));
    LINNET_ASSIGN(bias, node.Float("bias", bias));
    LINNET_ASSIGN(size, node.Int("size", 0));
    if (size <= 0) return InvalidModel("attribute 'size' is ", size, "; it must be above 0");
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    if (c.shape(0).has_rank() && c.shape(0).rank() < 2) {
      return InvalidModel("input has shape ", ToString(c.shape(0)), "; it needs a sample and a channel dimension");
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Bind(BindContext& c) const {
    const Shape& x = c.shape(0);
    *c.Params<LrnParams>() = {x[0], x[1], x.Product(2, x.rank())};
    return Status();
  }

  Status Run(RunContext& c) const {
    const LrnParams& p = c.params<LrnParams>();
    const int64_t blocks = DivUp(p.inner, kBlock);
    const int64_t before = (size - 1) / 2, after = size - 1 - before;
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      using W = Wide<T>;
      return c.ParallelFor(p.samples * p.channels * blocks, 1, kBlock * 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i % blocks * kBlock, count = std::min(kBlock, p.inner - first);
          const int64_t row = i / blocks, channel = row % p.channels;
          const int64_t low = std::max<int64_t>(0, channel - before);
          const int64_t high = channel + std::min(after, p.channels - 1 - channel);
          W squares[kBlock] = {};
          for (int64_t k = low; k <= high; ++k) {
            const T* x = c.in<T>(0) + (row - channel + k) * p.inner + first;
            for (int64_t j = 0; j < count; ++j) squares[j] += Widen(x[j]) * Widen(x[j]);
          }
          const T* x = c.in<T>(0) + row * p.inner + first;
          T* y = c.out<T>(0) + row * p.inner + first;
          const W factor = static_cast<W>(alpha) / static_cast<W>(size);
          for (int64_t j = 0; j < count; ++j) y[j] = Narrow<T>(Widen(x[j]) / Power(bias + factor * squares[j]));
        }
      });
    });
  }

 private:
  template <class W>
  W Power(W base) const {
    if (beta == 0.75f) return sqrt(base) * sqrt(sqrt(base));
    return static_cast<W>(pow(base, static_cast<W>(beta)));
  }
};

}  // namespace

LINNET_OP(LRN, 1, Lrn);

}  // namespace linnet
