// GlobalAveragePool, GlobalMaxPool and GlobalLpPool: one number for every channel of an image.
//
// ONNX's operators have channels first and run as they are where the rank is not known before the run; otherwise the
// resolve pass makes the channels-last twins in the linnet domain. Versions 1, 2 (integer p) and 22 (bfloat16) mean the
// same. Max gives NaN when an element is NaN. An image without pixels gives 0 (Average, Lp) or -infinity.
#include "kernels/reduce.h"

#include <cmath>
#include <limits>

#include "kernels/pool/pool.h"
#include "ops/scalar_helpers.h"
#include "ops/window_helpers.h"

namespace linnet {
namespace {

template <PoolKind kind, Layout layout>
struct GlobalPool {
  double p = 2;
  ReduceRowsFn* rows = nullptr;         ///< float32; null when there is no kernel for this p
  ReduceColumnsFn* columns = nullptr;
  ReduceColumnsFn* sums = nullptr;      ///< of a part of the pixels, for averages

  struct Sizes {
    int64_t batch = 0, channels = 0, pixels = 0, worker_bytes = 0, parts = 1;
  };
  /// An image of so many numbers is reduced in so many parts (half as many of few pixels), each of pixels in a row, and then the parts are: the layers
  /// around split images between threads like that. Always, so that results do not depend on the number of threads.
  static constexpr int64_t kElementsMin = 16384, kParts = 8;
  /// Channels-last sums are made in runs of so many pixels, so that rounding errors stay small.
  static constexpr int64_t kRun = 64;

  Status Parse(const Node& node) {
    if (kind != PoolKind::kLp) return Status();
    if (node.IsFloat("p")) {   // version 1
      LINNET_ASSIGN(p, node.Float("p", 2));
    } else {
      LINNET_ASSIGN(int64_t integer, node.Int("p", 2));
      p = static_cast<double>(integer);
    }
    if (!(p > 0) || p > 1e6) return InvalidModel("attribute p is ", p);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    const Shape& x = c.shape(0);
    LINNET_TRY(CheckImage(x));
    if (!x.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    int64_t ones[kSpatialMax];
    for (int64_t& one : ones) one = 1;
    return c.SetOutput(0, c.dtype(0), ImageShape(layout, x[0], x[ChannelAxis(layout, x.rank())],
                                                 {ones, static_cast<size_t>(x.rank() - 2)}));
  }

  Status Prepare(PrepareContext& c) {
    if (kind == PoolKind::kLp && p != 1 && p != 2) return Status();
    if constexpr (kind == PoolKind::kMax) {
      Pick<Reduction::kMax>(c.cpu());
    } else if constexpr (kind == PoolKind::kAverage) {
      Pick<Reduction::kMean>(c.cpu());
    } else if (p == 1) {
      Pick<Reduction::kL1>(c.cpu());
    } else {
      Pick<Reduction::kL2>(c.cpu());
    }
    return Status();
  }

  template <Reduction reduction>
  void Pick(CpuLevel cpu) {
    rows = PickReduceRows<reduction>(cpu);
    columns = PickReduceColumns<reduction>(cpu);
    sums = columns;
    if constexpr (kind == PoolKind::kAverage) sums = PickReduceColumns<Reduction::kSum>(cpu);
  }

  Status Bind(BindContext& c) const {
    const Shape& x = c.shape(0);
    Sizes& s = *c.Params<Sizes>();
    s.batch = x[0];
    s.channels = x[ChannelAxis(layout, x.rank())];
    s.pixels = 1;
    for (int i = 0; i < x.rank() - 2 && s.batch * s.channels > 0; ++i) s.pixels *= x[SpatialAxis(layout, i)];
    if (layout == Layout::kChannelsLast) {
      s.worker_bytes = RoundUp(2 * s.channels * static_cast<int64_t>(sizeof(double)), kAlignment);
      const int64_t elements = s.pixels * s.channels;
      if (c.dtype(0) == DType::kFloat && rows && s.batch == 1 && elements >= kElementsMin && s.pixels >= kParts) s.parts = s.pixels < 16 * kParts ? kParts / 2 : kParts;
      c.Scratch(s.parts > 1 ? s.parts * s.channels * static_cast<int64_t>(sizeof(float)) : s.worker_bytes * c.threads());
    }
    return Status();
  }

  Status Run(RunContext& c) const {
    const Sizes s = c.params<Sizes>();
    if (c.input_dtype(0) == DType::kFloat && rows && s.pixels > 0) return RunF32(c, s);
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      const T* x = c.in<T>(0);
      T* y = c.out<T>(0);
      double pixel_ns = 0.5 * static_cast<double>(s.pixels);
      if constexpr (layout == Layout::kChannelsFirst) {
        return c.ParallelFor(s.batch * s.channels, 1, pixel_ns, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) y[i] = Row(x + i * s.pixels, s.pixels);
        });
      } else {
        // Blocks of channels, each over all pixels.
        constexpr int64_t kBlock = 64;
        const int64_t blocks = DivUp(s.channels, kBlock);
        return c.ParallelFor(s.batch * blocks, 1, pixel_ns * kBlock, [&](int64_t begin, int64_t end, int worker) {
          auto* sums = reinterpret_cast<Wide<T>*>(c.scratch() + worker * s.worker_bytes);
          for (int64_t i = begin; i < end; ++i) {
            int64_t image = i / blocks, channel = i % blocks * kBlock;
            Columns(x + image * s.pixels * s.channels + channel, s, std::min(kBlock, s.channels - channel), sums,
                    y + image * s.channels + channel);
          }
        });
      }
    });
  }

  Status RunF32(RunContext& c, const Sizes& s) const {
    const float* x = c.in<float>(0);
    float* y = c.out<float>(0);
    const double pixel_ns = static_cast<double>(s.pixels) / 10;
    if constexpr (layout == Layout::kChannelsFirst) {
      return c.ParallelFor(s.batch * s.channels, 16, pixel_ns, [&](int64_t begin, int64_t end, int) {
        rows(x + begin * s.pixels, s.pixels, end - begin, s.pixels, y + begin);
      });
    } else {
      if (s.parts > 1) return RunParts(c, s);
      return c.ParallelFor(s.batch * s.channels, 64, pixel_ns, [&](int64_t begin, int64_t end, int) {
        while (begin < end) {
          int64_t image = begin / s.channels, channel = begin % s.channels, count = std::min(s.channels - channel, end - begin);
          columns(x + image * s.pixels * s.channels + channel, s.channels, s.pixels, count, y + begin);
          begin += count;
        }
      });
    }
  }

  Status RunParts(RunContext& c, const Sizes& s) const {
    const float* x = c.in<float>(0);
    float* y = c.out<float>(0);
    float* partial = reinterpret_cast<float*>(c.scratch());
    LINNET_TRY(c.ParallelFor(s.parts, 1, static_cast<double>(s.pixels * s.channels / s.parts) / 10, [&](int64_t begin, int64_t end, int) {
      // Backwards: of an image that a cache does not hold, it has what was written last.
      for (int64_t part = end; part-- > begin;) {
        const int64_t first = s.pixels * part / s.parts, last = s.pixels * (part + 1) / s.parts;
        sums(x + first * s.channels, s.channels, last - first, s.channels, partial + part * s.channels);
      }
    }));
    sums(partial, s.channels, s.parts, s.channels, y);
    if (kind == PoolKind::kAverage) {
      for (int64_t i = 0; i < s.channels; ++i) y[i] /= static_cast<float>(s.pixels);
    }
    return Status();
  }

  template <class W>
  W Term(W v) const {
    if (kind != PoolKind::kLp) return v;
    return p == 2 ? v * v : p == 1 ? std::abs(v) : std::pow(std::abs(v), static_cast<W>(p));
  }
  template <class W>
  W Finish(W sum, int64_t pixels) const {
    if (kind == PoolKind::kAverage) return sum / static_cast<W>(std::max<int64_t>(pixels, 1));
    if (kind == PoolKind::kLp) return p == 2 ? std::sqrt(sum) : p == 1 ? sum : std::pow(sum, static_cast<W>(1 / p));
    return sum;
  }
  template <class W>
  static W Larger(W a, W b) { return b > a || b != b ? b : a; }

  template <class T>
  T Row(const T* x, int64_t pixels) const {
    using W = Wide<T>;
    if (kind == PoolKind::kMax) {
      W most = -std::numeric_limits<W>::infinity();
      for (int64_t i = 0; i < pixels; ++i) most = i == 0 ? Widen(x[0]) : Larger(most, Widen(x[i]));
      return Narrow<T>(most);
    }
    double total = 0;
    for (int64_t i = 0; i < pixels; ++i) total += static_cast<double>(Term(Widen(x[i])));
    return Narrow<T>(Finish(static_cast<W>(total), pixels));
  }

  template <class T>
  void Columns(const T* x, const Sizes& s, int64_t channels, Wide<T>* sums, T* y) const {
    using W = Wide<T>;
    W* run = sums + channels;
    for (int64_t k = 0; k < channels; ++k) {
      sums[k] = kind != PoolKind::kMax ? W(0) : s.pixels == 0 ? -std::numeric_limits<W>::infinity() : Widen(x[k]);
    }
    for (int64_t first = 0; first < s.pixels; first += kRun) {
      int64_t end = std::min(s.pixels, first + kRun);
      if (kind == PoolKind::kMax) {
        for (int64_t i = first; i < end; ++i) {
          for (int64_t k = 0; k < channels; ++k) sums[k] = Larger(sums[k], Widen(x[i * s.channels + k]));
        }
        continue;
      }
      for (int64_t k = 0; k < channels; ++k) run[k] = 0;
      for (int64_t i = first; i < end; ++i) {
        for (int64_t k = 0; k < channels; ++k) run[k] += Term(Widen(x[i * s.channels + k]));
      }
      for (int64_t k = 0; k < channels; ++k) sums[k] += run[k];
    }
    for (int64_t k = 0; k < channels; ++k) y[k] = Narrow<T>(Finish(sums[k], s.pixels));
  }
};

}  // namespace

LINNET_OP(GlobalAveragePool, 1, GlobalPool<PoolKind::kAverage, Layout::kChannelsFirst>);
LINNET_OP(GlobalMaxPool, 1, GlobalPool<PoolKind::kMax, Layout::kChannelsFirst>);
LINNET_OP(GlobalLpPool, 1, GlobalPool<PoolKind::kLp, Layout::kChannelsFirst>);
LINNET_INTERNAL_OP(GlobalAveragePool, 1, GlobalPool<PoolKind::kAverage, Layout::kChannelsLast>);
LINNET_INTERNAL_OP(GlobalMaxPool, 1, GlobalPool<PoolKind::kMax, Layout::kChannelsLast>);
LINNET_INTERNAL_OP(GlobalLpPool, 1, GlobalPool<PoolKind::kLp, Layout::kChannelsLast>);

}  // namespace linnet
