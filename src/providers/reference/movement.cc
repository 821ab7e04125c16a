// Operators that only move elements: every output element is one input element, or a constant.
//
// Each is a formula from an output index to the offset in the input it comes from.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/number_text.h"
#include "providers/reference/elementwise.h"
#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

/// The same elements in the same order under the shape Infer found (the rules for it are in the shape alone).
Status Same(Call& c) {
  return c.Move(0, 0, c.out_shape(), [&](const Index& index) { return OffsetOf(c.out_shape(), index); });
}

Status Transpose(Call& c) {
  std::vector<int64_t> perm = c.Ints("perm");
  if (perm.empty()) {
    for (int d = c.rank() - 1; d >= 0; --d) perm.push_back(d);
  }
  Shape y = c.shape(0);
  for (int d = 0; d < y.rank(); ++d) y[d] = c.shape(0)[static_cast<int>(perm[U(d)])];
  return c.Move(0, 0, y, [&](const Index& index) {
    Index from{};
    for (int d = 0; d < y.rank(); ++d) from[U(perm[U(d)])] = index[U(d)];
    return OffsetOf(c.shape(0), from);
  });
}

Status Concat(Call& c) {
  const int axis = c.Axis(c.version() < 4 ? 1 : 0);
  Shape y = c.shape(0);
  for (int i = 1; i < c.inputs(); ++i) y[axis] += c.shape(i)[axis];
  LINNET_ASSIGN(Cells out, c.Make(0, y));
  int64_t begin = 0;
  for (int i = 0; i < c.inputs(); ++i) {
    const Cells x = c.Raw(i);
    ForEachIndex(x.shape, [&](Index index, int64_t at) {
      index[U(axis)] += begin;
      out.Copy(OffsetOf(y, index), x, at);
    });
    begin += x.shape[axis];
  }
  return Status();
}

Status Split(Call& c) {
  const int axis = c.Axis(0);
  const int64_t n = c.shape(0)[axis], pieces = c.outputs();
  std::vector<int64_t> sizes = c.List(1, "split");
  // Equal pieces; the last one may be smaller.
  for (int64_t left = n, piece = DivUp(n, pieces); sizes.size() < U(pieces); left -= piece)
    sizes.push_back(std::min(piece, left));
  int64_t begin = 0;
  for (int o = 0; o < c.outputs(); ++o) {
    LINNET_TRY(c.Move(0, o, WithDim(c.shape(0), axis, sizes[U(o)]), [&](Index index) {
      index[U(axis)] += begin;
      return OffsetOf(c.shape(0), index);
    }));
    begin += sizes[U(o)];
  }
  return Status();
}

Status Slice(Call& c) {
  const std::vector<int64_t> starts = c.List(1, "starts"), ends = c.List(2, "ends"), axes = c.List(3, "axes"), steps = c.List(4);
  Shape y = c.shape(0);
  Index begin{}, step;
  step.fill(1);
  for (size_t i = 0; i < starts.size(); ++i) {
    const int axis = AxisOf(axes.empty() ? static_cast<int64_t>(i) : axes[i], c.rank());
    const int64_t n = y[axis], s = steps.empty() ? 1 : steps[i];
    // From the back when negative, then clamped: going up both to [0, n], going down the start to [0, n - 1] and the end to
    // [-1, n - 1].
    auto clamp = [&](int64_t at, int64_t low, int64_t high) {
      return std::clamp(at < 0 ? std::max(at, -n - 1) + n : at, low, std::max(low, high));
    };
    const int64_t from = clamp(starts[i], 0, s > 0 ? n : n - 1), to = clamp(ends[i], s > 0 ? 0 : -1, s > 0 ? n : n - 1);
    const int64_t span = n == 0 ? 0 : s > 0 ? to - from : from - to;
    const uint64_t stride = s > 0 ? static_cast<uint64_t>(s) : 0 - static_cast<uint64_t>(s);
    y[axis] = span <= 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / stride) + 1;
    begin[U(axis)] = from;
    step[U(axis)] = s;
  }
  return c.Move(0, 0, y, [&](const Index& index) {
    Index from{};
    for (int d = 0; d < y.rank(); ++d) from[U(d)] = begin[U(d)] + index[U(d)] * step[U(d)];
    return OffsetOf(c.shape(0), from);
  });
}

Status Expand(Call& c) {
  LINNET_ASSIGN(Shape asked, MakeShape(c.List(1)));
  LINNET_ASSIGN(Shape y, Broadcast(c.shape(0), asked));
  return c.Move(0, 0, y, [&](const Index& index) { return BroadcastOffsetOf(c.shape(0), index, y.rank()); });
}

Status Tile(Call& c) {
  std::vector<int64_t> repeats = c.List(1);
  if (c.version() < 6) {  // inputs: how often, along which axis
    repeats.assign(U(c.rank()), 1);
    repeats[U(AxisOf(c.First<int64_t>(2), c.rank()))] = c.First<int64_t>(1);
  }
  Shape y = c.shape(0);
  for (int d = 0; d < y.rank(); ++d) y[d] *= repeats[U(d)];
  return c.Move(0, 0, y, [&](Index index) {
    for (int d = 0; d < y.rank(); ++d) index[U(d)] %= c.shape(0)[d];
    return OffsetOf(c.shape(0), index);
  });
}

/// Blocks of channels become blocks of pixels: channel (by, bx, c) in mode DCR, (c, by, bx) in mode CRD.
Status DepthToSpace(Call& c) {
  const int64_t b = c.Int("blocksize", 1), channels = c.shape(0)[1] / (b * b);
  const bool crd = c.Text("mode", "DCR") == "CRD";
  const Shape y{c.shape(0)[0], channels, c.shape(0)[2] * b, c.shape(0)[3] * b};
  return c.Move(0, 0, y, [&](const Index& at) {
    const int64_t block = at[2] % b * b + at[3] % b;
    const int64_t channel = crd ? at[1] * b * b + block : block * channels + at[1];
    return OffsetOf(c.shape(0), {at[0], channel, at[2] / b, at[3] / b});
  });
}
Status SpaceToDepth(Call& c) {
  const int64_t b = c.Int("blocksize", 1), channels = c.shape(0)[1];
  const Shape y{c.shape(0)[0], channels * b * b, c.shape(0)[2] / b, c.shape(0)[3] / b};
  return c.Move(0, 0, y, [&](const Index& at) {
    const int64_t block = at[1] / channels;
    return OffsetOf(c.shape(0), {at[0], at[1] % channels, at[2] * b + block / b, at[3] * b + block % b});
  });
}

/// Where position `at` of an axis of `n` elements is found when it lies outside; -1: nowhere.
int64_t Inside(const std::string& mode, int64_t at, int64_t n) {
  if (at >= 0 && at < n) return at;
  if (mode == "constant" || n == 0) return -1;
  if (mode == "edge") return at < 0 ? 0 : n - 1;
  if (mode == "wrap") return ((at % n) + n) % n;
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1), phase = ((at % period) + period) % period;   // reflect
  return phase < n ? phase : period - phase;
}

Status Pad(Call& c) {
  const std::vector<int64_t> pads = c.List(1, c.version() < 2 ? "paddings" : "pads"), axes = c.List(3);
  const std::string mode = c.Text("mode", "constant");
  const Shape& x = c.shape(0);
  Index begin{}, end{};
  const size_t listed = pads.size() / 2;
  for (size_t i = 0; i < listed; ++i) {
    const size_t axis = axes.empty() ? i : U(AxisOf(axes[i], x.rank()));
    begin[axis] = pads[i];
    end[axis] = pads[i + listed];
  }
  // Negative pads cut; what is left is what the padding continues.
  Shape y = x;
  Index first{}, kept{};
  for (int d = 0; d < x.rank(); ++d) {
    y[d] = std::max<int64_t>(0, x[d] + begin[U(d)] + end[U(d)]);
    first[U(d)] = std::max<int64_t>(0, -begin[U(d)]);
    kept[U(d)] = x[d] - first[U(d)] - std::max<int64_t>(0, -end[U(d)]);
  }
  LINNET_ASSIGN(Cells out, c.Make(0, y));
  const bool real = out.dtype != DType::kString && c.version() < 11 && c.HasAttribute("value");
  ForEachIndex(y, [&](const Index& index, int64_t at) {
    Index from{};
    bool outside = false;
    for (int d = 0; d < x.rank(); ++d) {
      const int64_t position = Inside(mode, index[U(d)] - std::max<int64_t>(0, begin[U(d)]), kept[U(d)]);
      outside = outside || position < 0;
      from[U(d)] = first[U(d)] + position;
    }
    if (!outside) {
      out.Copy(at, c.Raw(0), OffsetOf(x, from));
    } else if (c.Has(2) && c.shape(2).elements() > 0) {
      out.Copy(at, c.Raw(2), 0);
    } else if (out.dtype != DType::kString) {
      Store(out.dtype, out.data, at, real ? c.Float("value", 0) : 0.0);
    }
  });
  return Status();
}

Status CenterCropPad(Call& c) {
  std::vector<int64_t> wanted = c.List(1), axes = c.Ints("axes");
  const Shape& x = c.shape(0);
  Shape y = x;
  for (size_t i = 0; i < wanted.size(); ++i) y[AxisOf(axes.empty() ? static_cast<int64_t>(i) : axes[i], x.rank())] = wanted[i];
  return c.Move(0, 0, y, [&](const Index& index) -> int64_t {
    Index from{};
    for (int d = 0; d < x.rank(); ++d) {
      from[U(d)] = index[U(d)] + (x[d] >= y[d] ? (x[d] - y[d]) / 2 : -((y[d] - x[d]) / 2));
      if (from[U(d)] < 0 || from[U(d)] >= x[d]) return -1;
    }
    return OffsetOf(x, from);
  });
}

Status ReverseSequence(Call& c) {
  const size_t time = U(c.Int("time_axis", 0)), batch = U(c.Int("batch_axis", 1));
  const Integers lengths = c.In<int64_t>(1);
  for (int64_t length : lengths.data) {
    if (length < 0 || length > c.shape(0)[static_cast<int>(time)])
      return InvalidArgument("sequence length ", length, " is outside the sequence");
  }
  return c.Move(0, 0, c.shape(0), [&](Index index) {
    const int64_t length = lengths[static_cast<int64_t>(index[batch])];
    if (index[time] < length) index[time] = length - 1 - index[time];
    return OffsetOf(c.shape(0), index);
  });
}

/// Keeps the upper (or lower) triangle of the last two dimensions, from diagonal k on.
Status Trilu(Call& c) {
  const int64_t k = c.First<int64_t>(1);
  const bool upper = c.Flag("upper", true);
  const size_t row = U(c.rank() - 2), column = U(c.rank() - 1);
  return c.Move(0, 0, c.shape(0), [&](const Index& index) -> int64_t {
    const int64_t diagonal = index[column] - index[row];
    return (upper ? diagonal >= k : diagonal <= k) ? OffsetOf(c.shape(0), index) : -1;
  });
}

Status EyeLike(Call& c) {
  Integers y(c.shape(0));
  const int64_t k = c.Int("k", 0);
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) { y[at] = index[1] - index[0] == k; });
  return c.Out(0, y);
}

Status ConstantOfShape(Call& c) {
  LINNET_ASSIGN(Shape shape, MakeShape(c.List(0)));
  LINNET_ASSIGN(Cells y, c.Make(0, shape));
  const Tensor value = c.TensorOf("value");
  for (int64_t i = 0; i < shape.elements(); ++i) {
    if (value.has_data()) CopyElement(y.dtype, value.data(), 0, y.data, i);
    else Store(y.dtype, y.data, i, 0.0);
  }
  return Status();
}

Status Range(Call& c) {
  return ForWide(c.dtype(0), [&]<class T>() -> Status {
    const T start = c.First<T>(0), limit = c.First<T>(1), delta = c.First<T>(2);
    if (delta == 0) return InvalidArgument("delta is 0");
    const double count = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
    if (!(count <= static_cast<double>(kDimMax))) return LimitReached("a range of ", count, " elements");
    Array<T> y(Shape{std::max<int64_t>(0, static_cast<int64_t>(count))});
    for (int64_t i = 0; i < y.size(); ++i) y[i] = Plus(start, Times(static_cast<T>(i), delta));
    return c.Out(0, y);
  });
}

/// Numbers as text, and back.
Status CastText(Call& c) {
  const Cells x = c.Raw(0);
  LINNET_ASSIGN(Cells y, c.Make(0, x.shape));
  for (int64_t i = 0; i < x.shape.elements(); ++i) {
    if (y.dtype == DType::kString) {
      std::string& text = static_cast<std::string*>(y.data)[i];
      if (x.dtype == DType::kDouble) text = FormatNumber(Load<double>(x.dtype, x.data, i));
      else if (IsFloating(x.dtype)) text = FormatNumber(static_cast<float>(Load<double>(x.dtype, x.data, i)));
      else if (IsSigned(x.dtype)) text = Cat(Load<int64_t>(x.dtype, x.data, i));
      else text = Cat(Load<uint64_t>(x.dtype, x.data, i));
      continue;
    }
    const std::string& text = static_cast<const std::string*>(x.data)[i];
    int64_t whole = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (!IsFloating(y.dtype) && error == std::errc() && end == text.data() + text.size()) {
      Store(y.dtype, y.data, i, whole);
    } else if (y.dtype == DType::kFloat) {
      LINNET_ASSIGN(const float value, ParseFloat(text));
      Store(y.dtype, y.data, i, static_cast<double>(value));
    } else {
      LINNET_ASSIGN(const double value, ParseNumber(text));
      Store(y.dtype, y.data, i, value);
    }
  }
  return Status();
}

/// The same number in another type.
Status Cast(Call& c) {
  if (c.dtype(0) == c.out_dtype()) return Same(c);
  if (c.dtype(0) == DType::kString || c.out_dtype() == DType::kString) return CastText(c);
  const std::string mode = c.Text("round_mode", "up");
  const Rounding rounding{c.Flag("saturate", true), mode == "down"      ? E8m0Rounding::kDown
                                                    : mode == "nearest" ? E8m0Rounding::kNearest
                                                                        : E8m0Rounding::kUp};
  return ForWide(c.dtype(0), [&]<class T>() { return c.Out(0, c.In<T>(0), rounding); });
}

/// The same bits under another type of the same width; a bool is 1 for any bits but 0.
Status BitCast(Call& c) {
  const Cells x = c.Raw(0);
  LINNET_ASSIGN(Cells y, c.Make(0, x.shape));
  for (int64_t i = 0; i < x.shape.elements(); ++i) {
    if (y.dtype == DType::kBool) Store(y.dtype, y.data, i, Load<uint64_t>(DType::kUint8, x.data, i));
    else y.Copy(i, x, i);
  }
  return Status();
}

constexpr Row kRows[] = {
    {"Reshape", Same}, {"Flatten", Same}, {"Squeeze", Same}, {"Unsqueeze", Same},
    {"Transpose", Transpose}, {"Concat", Concat}, {"Split", Split}, {"Slice", Slice}, {"Expand", Expand}, {"Tile", Tile},
    {"DepthToSpace", DepthToSpace}, {"SpaceToDepth", SpaceToDepth}, {"Pad", Pad}, {"CenterCropPad", CenterCropPad},
    {"ReverseSequence", ReverseSequence}, {"Trilu", Trilu}, {"EyeLike", EyeLike}, {"ConstantOfShape", ConstantOfShape},
    {"Range", Range}, {"Cast", Cast}, {"CastLike", Cast}, {"BitCast", BitCast},
};

}  // namespace

std::span<const Row> MovementRows() { return kRows; }

}  // namespace linnet::reference
