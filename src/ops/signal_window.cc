// HannWindow, HammingWindow, BlackmanWindow and MelWeightMatrix: constants of signal processing (version 17).
//
// A window is a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N) with N the size (periodic) or one less (symmetric; a symmetric
// window of one element is 1). MelWeightMatrix holds triangles over spectrogram bins, evenly spaced on the mel scale
// 2595 log10(1 + f / 700). Integer output types take the values cut.
#include <cmath>

#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

Status ReadOutputType(const Node& node, DType* out) {
  LINNET_ASSIGN(int64_t type, node.Int("output_datatype", 1));
  if (!IsKnown(type) || !(Mask(static_cast<DType>(type)) & kAnyNumber)) {
    return InvalidModel("attribute output_datatype is ", type);
  }
  *out = static_cast<DType>(type);
  return Status();
}

constexpr uint32_t kSizes = Mask(DType::kInt32) | Mask(DType::kInt64);

Result<int64_t> ReadSize(const InferContext& c, int i, const char* what, int64_t least) {
  LINNET_ASSIGN(InferContext::SmallInts list, c.ReadInts(i));
  if (list.count != 1) return InvalidModel(what, " has ", list.count, " numbers where one is expected");
  if (list[0] < least || list[0] > kDimMax) return InvalidModel(what, " is ", list[0]);
  return list[0];
}

enum class WindowShape { kHann, kHamming, kBlackman };

template <WindowShape shape>
struct SignalWindow {
  DType type = DType::kFloat;
  bool periodic = true;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t p, node.Int("periodic", 1));
    periodic = p != 0;
    return ReadOutputType(node, &type);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kSizes));
    if (!c.KnowsInts(0)) return c.SetOutput(0, type, Shape{kUnknownDim});
    LINNET_ASSIGN(int64_t size, ReadSize(c, 0, "size", 0));
    return c.SetOutput(0, type, Shape{size});
  }

  Status Run(RunContext& c) const {
    constexpr double kTau = 2 * 3.14159265358979323846;
    constexpr double a0 = shape == WindowShape::kHann ? 0.5 : shape == WindowShape::kHamming ? 25.0 / 46 : 0.42;
    constexpr double a1 = shape == WindowShape::kHamming ? 21.0 / 46 : 0.5;
    constexpr double a2 = shape == WindowShape::kBlackman ? 0.08 : 0;
    const int64_t size = c.output_shape(0)[0];
    const double period = static_cast<double>(periodic ? size : size - 1);
    return ForType<kAnyNumber>(type, [&]<class T>() -> Status {
      for (int64_t i = 0; i < size; ++i) {
        const double angle = kTau * static_cast<double>(i) / period;
        const double value = period == 0 ? 1 : a0 - a1 * std::cos(angle) + a2 * std::cos(2 * angle);
        c.out<T>(0)[i] = Narrow<T>(std::is_unsigned_v<T> ? std::max(value, 0.0) : value);
      }
      return Status();
    });
  }
};

struct MelWeightMatrix {
  DType type = DType::kFloat;
  enum { kBins, kLength, kRate, kLow, kHigh };

  Status Parse(const Node& node) { return ReadOutputType(node, &type); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(5, 5));
    for (int i : {kBins, kLength, kRate}) LINNET_TRY(c.CheckType(i, kSizes));
    for (int i : {kLow, kHigh}) {
      LINNET_TRY(c.CheckType(i, kAnyFloat));
      if (c.shape(i).is_static() && c.shape(i).elements() != 1) return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)));
    }
    Shape y{kUnknownDim, kUnknownDim};
    if (c.KnowsInts(kLength)) {
      LINNET_ASSIGN(int64_t length, ReadSize(c, kLength, "dft_length", 1));
      y[0] = length / 2 + 1;
    }
    if (c.KnowsInts(kBins)) {
      LINNET_ASSIGN(y[1], ReadSize(c, kBins, "num_mel_bins", 0));
    }
    return c.SetOutput(0, type, y);
  }

  static double Scalar(RunContext& c, int i) {
    double value = 0;
    Status ignored = ForType<kAnyFloat>(c.input_dtype(i), [&]<class T>() -> Status {
      value = static_cast<double>(Widen(c.in<T>(i)[0]));
      return Status();
    });
    (void)ignored;   // Infer checked the type
    return value;
  }
  static int64_t Integer(RunContext& c, int i) {
    return c.input_dtype(i) == DType::kInt64 ? c.in<int64_t>(i)[0] : c.in<int32_t>(i)[0];
  }

  Status Run(RunContext& c) const {
    const int64_t rows = c.output_shape(0)[0], bins = c.output_shape(0)[1];
    const int64_t rate = Integer(c, kRate), length = Integer(c, kLength);
    const double low = Scalar(c, kLow), high = Scalar(c, kHigh);
    if (rate < 1) return InvalidArgument("sample_rate is ", rate);
    if (!(low >= 0 && high >= low && high < 1e12)) return InvalidArgument("the mel range is ", low, " to ", high, " hertz");
    auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
    const double first = mel(low), step = (mel(high) - first) / static_cast<double>(bins + 2);
    // Spectrogram bin where triangle i begins; its peak is where the next begins, its end one further.
    auto edge = [&](int64_t i) {
      const double hertz = 700 * (std::pow(10.0, (static_cast<double>(i) * step + first) / 2595) - 1);
      return static_cast<int64_t>(std::min(std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate)), 1e15));
    };
    return ForType<kAnyNumber>(type, [&]<class T>() -> Status {
      T* out = c.out<T>(0);
      for (int64_t i = 0; i < rows * bins; ++i) out[i] = Narrow<T>(0.0);
      for (int64_t i = 0; i < bins; ++i) {
        const int64_t begin = edge(i), peak = edge(i + 1), end = edge(i + 2);
        for (int64_t k = begin; k <= std::min(peak, rows - 1); ++k) {
          out[k * bins + i] = Narrow<T>(peak == begin ? 1.0 : static_cast<double>(k - begin) / static_cast<double>(peak - begin));
        }
        for (int64_t k = peak; k < std::min(end, rows); ++k) {
          out[k * bins + i] = Narrow<T>(static_cast<double>(end - k) / static_cast<double>(end - peak));
        }
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(HannWindow, 17, SignalWindow<WindowShape::kHann>);
LINNET_OP(HammingWindow, 17, SignalWindow<WindowShape::kHamming>);
LINNET_OP(BlackmanWindow, 17, SignalWindow<WindowShape::kBlackman>);
LINNET_OP(MelWeightMatrix, 17, MelWeightMatrix);

}  // namespace linnet
