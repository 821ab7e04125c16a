// DFT and STFT: discrete Fourier transforms along an axis, and of overlapping frames of a signal.
//
// DFT: version 17 has the axis as an attribute (default 1), 20 as an input (default -2). The last dimension is 1 (real) or
// 2 (real, imaginary). onesided keeps length / 2 + 1 bins; with inverse it takes them and gives a real signal, whose length
// is 2 (bins - 1) unless dft_length says otherwise. The signal is cut or filled with zeros to dft_length.
// STFT (17): frames of frame_length every frame_step samples, times the window. Everything is computed in double.
#include "ops/fourier.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

/// Lines of complex numbers in memory: where a task's input is, where its output goes.
struct Lines {
  Fourier fourier;
  const Complex* table = nullptr;
  int64_t worker_bytes = 0;

  Status Make(BindContext& c, int64_t length) {
    fourier = Fourier::OfLength(length);
    Complex* memory = c.Table<Complex>(fourier.table_count());
    if (!memory) return OutOfMemory("no memory for the tables of a transform of ", length);
    StopSource* stop = c.stop();
    fourier.Fill(memory, [stop] { return stop && stop->Asked(); });
    if (stop) LINNET_TRY(stop->Check());
    table = memory;
    worker_bytes = RoundUp((2 * length + fourier.scratch_count()) * static_cast<int64_t>(sizeof(Complex)), kAlignment);
    c.Scratch(worker_bytes * c.threads());
    return Status();
  }
};

/// One number of an integer input whose contents are known; `fallback` when it is not given.
Result<int64_t> ReadScalar(const InferContext& c, int i, int64_t fallback) {
  if (!c.has_input(i)) return fallback;
  LINNET_ASSIGN(InferContext::SmallInts list, c.ReadInts(i));
  if (list.count != 1) return InvalidModel("input ", i, " has ", list.count, " numbers where one is expected");
  return list[0];
}

Status CheckLength(int64_t length, const char* what) {
  if (length < 1) return InvalidModel(what, " is ", length);
  if (length > kFourierMax) return LimitReached(what, " ", length, " is above the limit of ", kFourierMax);
  return Status();
}

constexpr uint32_t kLengths = Mask(DType::kInt32) | Mask(DType::kInt64);

struct Dft {
  bool inverse = false, onesided = false;
  int64_t axis = 1;
  int axis_input = -1;   ///< -1: the attribute

  struct Bound {
    Lines lines;
    int64_t outer = 1, inner = 1, in = 0, out = 0, in_parts = 1, out_parts = 2;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t inv, node.Int("inverse", 0));
    LINNET_ASSIGN(int64_t one, node.Int("onesided", 0));
    inverse = inv != 0;
    onesided = one != 0;
    axis = -2;
    if (node.version >= 20) {
      axis_input = 2;
    } else {
      LINNET_ASSIGN(axis, node.Int("axis", 1));
    }
    return Status();
  }

  bool Knows(const InferContext& c, int i) const { return !c.has_input(i) || c.KnowsInts(i); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, axis_input < 0 ? 2 : 3));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckType(1, kLengths));
    if (axis_input >= 0) LINNET_TRY(c.CheckType(axis_input, kLengths));
    const Shape& x = c.shape(0);
    if (!x.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    if (x.rank() < 2) return InvalidModel("input has shape ", ToString(x), " where [..., signal, 1 or 2] is expected");
    const int last = x.rank() - 1;
    if (IsKnownDim(x[last]) && x[last] != 1 && x[last] != 2) {
      return InvalidModel("input has shape ", ToString(x), "; its last dimension should be 1 or 2");
    }
    Shape y = x;
    y[last] = inverse && onesided ? 1 : 2;
    if (axis_input >= 0 && !Knows(c, axis_input)) {
      for (int i = 0; i < last; ++i) y[i] = kUnknownDim;
      return c.SetOutput(0, c.dtype(0), y);
    }
    LINNET_ASSIGN(int at, Axis(c));
    y[at] = kUnknownDim;
    if (Knows(c, 1) && (c.has_input(1) || IsKnownDim(x[at]))) {
      LINNET_ASSIGN(int64_t length, Length(c, at));
      y[at] = onesided && !inverse ? length / 2 + 1 : length;
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  Result<int> Axis(const InferContext& c) const {
    int64_t given = axis;
    if (axis_input >= 0) {
      LINNET_ASSIGN(given, ReadScalar(c, axis_input, -2));
    }
    LINNET_ASSIGN(int at, NormalizeAxis(given, c.shape(0).rank()));
    if (at == c.shape(0).rank() - 1) return InvalidModel("axis ", given, " is the one of real and imaginary parts");
    return at;
  }

  Result<int64_t> Length(const InferContext& c, int at) const {
    const int64_t size = c.shape(0)[at];
    LINNET_ASSIGN(int64_t length, ReadScalar(c, 1, inverse && onesided ? 2 * (size - 1) : size));
    LINNET_TRY(CheckLength(length, "dft_length"));
    return length;
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    if (c.output_shape(0).elements() == 0) return Status();
    const Shape& x = c.shape(0);
    LINNET_ASSIGN(int at, Axis(c));
    LINNET_ASSIGN(int64_t length, Length(c, at));
    const int last = x.rank() - 1;
    b.outer = x.Product(0, at), b.inner = x.Product(at + 1, last);
    b.in = x[at], b.out = c.output_shape(0)[at];
    b.in_parts = x[last], b.out_parts = c.output_shape(0)[last];
    return b.lines.Make(c, length);
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (c.output_shape(0).elements() == 0) return Status();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      double line_ns = 60.0 * static_cast<double>(b.lines.fourier.length());
      LINNET_TRY(c.ParallelFor(b.outer * b.inner, 1, line_ns, [&](int64_t begin, int64_t end, int worker) {
        Complex* x = reinterpret_cast<Complex*>(c.scratch() + worker * b.lines.worker_bytes);
        auto asked = [&c] { return c.StopAsked(); };
        for (int64_t i = begin; i < end; ++i) Line(c.in<T>(0), c.out<T>(0), b, i / b.inner, i % b.inner, x, asked);
      }));
      return c.CheckStop();   // a line may have ended early
    });
  }

  template <class T>
  void Line(const T* from, T* to, const Bound& b, int64_t outer, int64_t inner, Complex* x, StopAsked asked) const {
    const int64_t n = b.lines.fourier.length();
    Complex* y = x + n;
    // A one-sided spectrum holds the bins up to n / 2; the rest are their conjugates.
    const int64_t given = std::min(b.in, inverse && onesided ? n / 2 + 1 : n);
    const bool all = ForEachUnlessAsked(n, asked, [&](int64_t k) {
      x[k] = Complex();
      if (k >= given) return;
      const T* at = from + ((outer * b.in + k) * b.inner + inner) * b.in_parts;
      x[k].re = static_cast<double>(Widen(at[0]));
      if (b.in_parts == 2) x[k].im = static_cast<double>(Widen(at[1]));
    });
    if (!all) return;
    if (inverse && onesided) {
      x[0].im = 0;
      if (n % 2 == 0) x[n / 2].im = 0;
      for (int64_t k = n / 2 + 1; k < n; ++k) x[k] = Conjugate(x[n - k]);
    }
    if (inverse) {
      for (int64_t k = 0; k < n; ++k) x[k] = Conjugate(x[k]);
    }
    b.lines.fourier.Run(b.lines.table, x, y, y + n, asked);
    const double scale = inverse ? 1 / static_cast<double>(n) : 1;
    ForEachUnlessAsked(b.out, asked, [&](int64_t k) {
      T* at = to + ((outer * b.out + k) * b.inner + inner) * b.out_parts;
      at[0] = Narrow<T>(y[k].re * scale);
      if (b.out_parts == 2) at[1] = Narrow<T>((inverse ? -y[k].im : y[k].im) * scale);
    });
  }
};

struct Stft {
  bool onesided = true;

  struct Bound {
    Lines lines;
    int64_t batch = 0, samples = 0, parts = 1, frames = 0, step = 1, bins = 0, window = 0;
  };
  enum { kSignal, kStep, kWindow, kFrameLength };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t one, node.Int("onesided", 1));
    onesided = one != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 4));
    LINNET_TRY(c.CheckType(kSignal, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {kSignal, kWindow}));
    LINNET_TRY(c.CheckType(kStep, kLengths));
    LINNET_TRY(c.CheckType(kFrameLength, kLengths));
    LINNET_TRY(c.CheckRank(kWindow, 1));
    const Shape& x = c.shape(kSignal);
    if (x.has_rank() && x.rank() != 2 && (x.rank() != 3 || (IsKnownDim(x[2]) && x[2] != 1 && x[2] != 2))) {
      return InvalidModel("signal has shape ", ToString(x), " where [batch, samples, 1 or 2] is expected");
    }
    Shape y{x.has_rank() ? x[0] : kUnknownDim, kUnknownDim, kUnknownDim, 2};
    if (!KnowsLength(c)) return c.SetOutput(0, c.dtype(0), y);
    LINNET_ASSIGN(int64_t length, Length(c));
    y[2] = onesided ? length / 2 + 1 : length;
    if (c.KnowsInts(kStep) && x.has_rank() && IsKnownDim(x[1])) {
      LINNET_ASSIGN(int64_t step, ReadScalar(c, kStep, 1));
      if (step < 1) return InvalidModel("frame_step is ", step);
      y[1] = x[1] < length ? 0 : (x[1] - length) / step + 1;
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  bool KnowsLength(const InferContext& c) const {
    if (c.has_input(kFrameLength)) return c.KnowsInts(kFrameLength);
    if (c.has_input(kWindow)) return c.shape(kWindow).is_static();
    return c.shape(kSignal).has_rank() && IsKnownDim(c.shape(kSignal)[1]);
  }
  Result<int64_t> Length(const InferContext& c) const {
    int64_t fallback = 0;
    if (!c.has_input(kFrameLength)) fallback = c.has_input(kWindow) ? c.shape(kWindow)[0] : c.shape(kSignal)[1];
    LINNET_ASSIGN(int64_t length, ReadScalar(c, kFrameLength, fallback));
    LINNET_TRY(CheckLength(length, "frame_length"));
    return length;
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &x = c.shape(kSignal), &y = c.output_shape(0);
    if (y.elements() == 0) return Status();
    LINNET_ASSIGN(int64_t length, Length(c));
    LINNET_ASSIGN(b.step, ReadScalar(c, kStep, 1));
    b.batch = x[0], b.samples = x[1], b.parts = x.rank() == 3 ? x[2] : 1;
    b.frames = y[1], b.bins = y[2];
    b.window = c.has_input(kWindow) ? std::min(length, c.shape(kWindow)[0]) : length;
    return b.lines.Make(c, length);
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (c.output_shape(0).elements() == 0) return Status();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      const int64_t n = b.lines.fourier.length();
      LINNET_TRY(c.ParallelFor(b.batch * b.frames, 1, 60.0 * static_cast<double>(n), [&](int64_t begin, int64_t end, int worker) {
        Complex* x = reinterpret_cast<Complex*>(c.scratch() + worker * b.lines.worker_bytes);
        Complex* y = x + n;
        const T* window = c.has_input(kWindow) ? c.in<T>(kWindow) : nullptr;
        auto asked = [&c] { return c.StopAsked(); };
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i % b.frames * b.step;
          const T* signal = c.in<T>(0) + (i / b.frames * b.samples + first) * b.parts;
          const bool all = ForEachUnlessAsked(n, asked, [&](int64_t k) {
            x[k] = Complex();
            if (k >= b.window) return;
            const double w = window ? static_cast<double>(Widen(window[k])) : 1;
            x[k].re = w * static_cast<double>(Widen(signal[k * b.parts]));
            if (b.parts == 2) x[k].im = w * static_cast<double>(Widen(signal[k * 2 + 1]));
          });
          if (!all) return;
          b.lines.fourier.Run(b.lines.table, x, y, y + n, asked);
          T* out = c.out<T>(0) + i * b.bins * 2;
          ForEachUnlessAsked(b.bins, asked, [&](int64_t k) {
            out[2 * k] = Narrow<T>(y[k].re);
            out[2 * k + 1] = Narrow<T>(y[k].im);
          });
        }
      }));
      return c.CheckStop();   // a frame may have ended early
    });
  }
};

}  // namespace

LINNET_OP(DFT, 17, Dft);
LINNET_OP(STFT, 17, Stft);

}  // namespace linnet
