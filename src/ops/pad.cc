// Pad and CenterCropPad: a tensor with borders added, or (negative pads) cut away.
//
// Per axis, the part of the input that is kept ("core") lands at `lead` in the output; what lies outside takes a constant
// or an element of the core:
//
//     core a b c d      constant 0 0 [a b c d] 0 0     edge a a [a b c d] d d
//                       reflect  c b [a b c d] c b     wrap c d [a b c d] a b       (each continues for wider borders)
//
// Pads come as an attribute before version 11 (as "paddings" in version 1), as an input since; axes since 18, wrap since 19.
#include "ops/movement.h"

namespace linnet {
namespace {

template <class T>
void FillRun(T* to, int64_t count, const T& value) {
  constexpr int64_t kFew = 16, kPiece = 1024;
  if constexpr (sizeof(T) == 1) {
    uint8_t byte;
    memcpy(&byte, &value, 1);
    if (count > 0) memset(to, byte, static_cast<size_t>(count));
    return;
  }
  std::fill_n(to, std::min(kFew, count), value);
  if constexpr (std::is_same_v<T, std::string>) {
    if (count > kFew) std::fill_n(to + kFew, count - kFew, value);
  } else {
    for (int64_t done = kFew; done < count;) {   // copies of what there is already
      const int64_t some = std::min({done, kPiece, count - done});
      CopyRun(to + done, to, some);
      done += some;
    }
  }
}

enum class PadMode : uint8_t { kConstant, kReflect, kEdge, kWrap };

struct PadAxis {
  int64_t in, out;
  int64_t first, core, lead;   ///< input position and size of the core, and its output position

  /// The input position of output position i, or -1 for the constant.
  int64_t Source(PadMode mode, int64_t i) const {
    int64_t at = i - lead;
    if (at < 0 || at >= core) {
      if (mode == PadMode::kConstant) return -1;
      if (mode == PadMode::kEdge) {
        at = at < 0 ? 0 : core - 1;
      } else if (mode == PadMode::kWrap) {
        at = (at % core + core) % core;
      } else {
        const int64_t period = std::max<int64_t>(1, 2 * (core - 1));
        at = (at % period + period) % period;
        if (at >= core) at = period - at;
      }
    }
    return first + at;
  }
};

/// Padding of a whole tensor: outer axes walked row by row, one row axis, and what lies within it as units.
struct PadPlan {
  PadMode mode = PadMode::kConstant;
  int32_t outer = 0;                 ///< axes before the row axis
  PadAxis axis[kMaxRank];            ///< the last one in use is the row axis
  int64_t rows = 1;
  int64_t unit = 1;                  ///< elements per position of the row axis
  int64_t in_elements = 1, out_elements = 1;

  /// `before[i]`, `after[i]`: what axis i gains. Neighbouring axes that do not change are merged.
  Status Set(PadMode pad_mode, const Shape& in, const int64_t* before, const int64_t* after) {
    mode = pad_mode;
    int used = 0;
    bool plain = false;              // the last axis in use does not change
    for (int i = 0; i < in.rank(); ++i) {
      int64_t first = std::max<int64_t>(0, -before[i]), out = in[i] + before[i] + after[i];
      int64_t core = std::max<int64_t>(0, in[i] - std::max<int64_t>(0, -after[i]) - first);
      if (core == 0 && out > 0 && mode != PadMode::kConstant) {
        return InvalidArgument("axis ", i, " of size ", in[i], " has nothing to fill its border with");
      }
      in_elements *= in[i];
      out_elements *= out;
      bool same = before[i] == 0 && after[i] == 0;
      if (same && plain) {
        PadAxis& last = axis[used - 1];
        last.in = last.out = last.core = last.core * in[i];
      } else {
        axis[used++] = {in[i], out, first, core, std::max<int64_t>(0, before[i])};
      }
      plain = same;
    }
    if (plain && used > 0) unit = axis[--used].in;
    if (used == 0) axis[used++] = {1, 1, 0, 1, 0};
    outer = used - 1;
    for (int i = 0; i < outer; ++i) rows *= axis[i].out;
    return Status();
  }
  bool is_copy() const { return outer == 0 && axis[0].in == axis[0].out && axis[0].lead == axis[0].first; }

  template <class T>
  void FillRow(const T* in, T* out, int64_t begin, int64_t end, const T& value) const {
    const PadAxis& row = axis[outer];
    if (!in || mode == PadMode::kConstant) return FillRun(out + begin * unit, (end - begin) * unit, value);
    for (int64_t i = begin; i < end; ++i) CopyRun(out + i * unit, in + row.Source(mode, i) * unit, unit);
  }

  template <class T>
  void Rows(const T* in, T* out, const T& value, int64_t begin, int64_t end) const {
    const PadAxis& row = axis[outer];
    for (int64_t r = begin; r < end; ++r) {
      int64_t rest = r, stride = row.in, offset = 0;
      bool outside = false;
      for (int i = outer - 1; i >= 0; --i) {
        int64_t at = axis[i].Source(mode, rest % axis[i].out);
        rest /= axis[i].out;
        outside |= at < 0;
        offset += at * stride;
        stride *= axis[i].in;
      }
      const T* from = outside ? nullptr : in + offset * unit;
      T* to = out + r * row.out * unit;
      if (outside || row.core == 0) {
        FillRow<T>(nullptr, to, 0, row.out, value);
        continue;
      }
      FillRow(from, to, 0, row.lead, value);
      CopyRun(to + row.lead * unit, from + row.first * unit, row.core * unit);
      FillRow(from, to, row.lead + row.core, row.out, value);
    }
  }

  template <class T>
  Status Run(RunContext& c, const T* in, T* out, const T& value) const {
    if (out_elements == 0) return Status();
    double ns = 2 + 0.1 * sizeof(T) * static_cast<double>(axis[outer].out * unit);
    return c.ParallelFor(rows, 1, ns, [&](int64_t begin, int64_t end, int) { Rows(in, out, value, begin, end); });
  }

  /// Packed types go through bytes, in scratch.
  int64_t ScratchBytes(DType dtype) const {
    return DTypeBits(dtype) == 4 || DTypeBits(dtype) == 2 ? in_elements + out_elements : 0;
  }
  Status RunPacked(RunContext& c, int bits, uint8_t value) const {
    auto* in = reinterpret_cast<Unit<1>*>(c.scratch());
    Unit<1>* out = in + in_elements;
    for (int64_t i = 0; i < in_elements; ++i) in[i].bytes[0] = GetPacked(c.input(0), i, bits);
    LINNET_TRY(Run(c, in, out, Unit<1>{{value}}));
    for (int64_t i = 0; i < out_elements; ++i) SetPacked(c.output(0), i, bits, out[i].bytes[0]);
    return Status();
  }
  /// `value`: one element, or null for zero (an empty string).
  Status RunAny(RunContext& c, const void* value) const {
    const DType dtype = c.input_dtype(0);
    const int bits = DTypeBits(dtype);
    if (bits == 2 || bits == 4) return RunPacked(c, bits, value ? GetPacked(value, 0, bits) : uint8_t{0});
    return ForWidth(bits, [&]<class T>() {
      T constant{};
      if (value) constant = *static_cast<const T*>(value);
      return Run(c, c.in<T>(0), c.out<T>(0), constant);
    });
  }
};

struct Pad {
  PadMode mode = PadMode::kConstant;
  bool from_attributes = false;
  float value = 0;
  std::vector<int64_t> pads;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string name, node.String("mode", "constant"));
    if (name == "constant") {
      mode = PadMode::kConstant;
    } else if (name == "reflect") {
      mode = PadMode::kReflect;
    } else if (name == "edge") {
      mode = PadMode::kEdge;
    } else if (name == "wrap" && node.version >= 19) {
      mode = PadMode::kWrap;
    } else {
      return InvalidModel("attribute 'mode' is ", Quote(name), "; known: constant, reflect, edge, and since version 19 wrap");
    }
    from_attributes = node.version < 11;
    if (from_attributes) {
      LINNET_ASSIGN(pads, node.Ints(node.version < 2 ? "paddings" : "pads"));
      LINNET_ASSIGN(value, node.Float("value", 0));
    }
    return Status();
  }

  /// What each axis gains, when that is known.
  Status Gains(const InferContext& c, int rank, int64_t* before, int64_t* after) const {
    IntList list(pads), axes;
    const bool has_axes = c.has_input(3);
    if (!from_attributes) {
      LINNET_ASSIGN(list, IntList::OfInput(c, 1));
    }
    if (has_axes) {
      LINNET_ASSIGN(axes, IntList::OfInput(c, 3));
    }
    const int64_t count = has_axes ? axes.size() : rank;
    if (count > rank || list.size() != 2 * count) {
      return InvalidArgument(list.size(), " pads for ", count, " axes of a tensor of rank ", rank);
    }
    for (int i = 0; i < rank; ++i) before[i] = after[i] = 0;
    for (int64_t i = 0; i < count; ++i) {
      int at = static_cast<int>(i);
      if (has_axes) {
        LINNET_ASSIGN(at, NormalizeAxis(axes[i], rank));
      }
      before[at] = list[i];
      after[at] = list[count + i];
      if (std::abs(std::max(before[at], -kDimMax - 1)) > kDimMax || std::abs(std::max(after[at], -kDimMax - 1)) > kDimMax) {
        return LimitReached("pads ", before[at], " and ", after[at], " of axis ", at, " are above the limit of ", kDimMax);
      }
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(from_attributes ? 1 : 2, from_attributes ? 1 : 4));
    LINNET_TRY(c.CheckType(0, kAnyType));
    if (!from_attributes) {
      LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
      if (c.dtype(0) != DType::kUndefined) LINNET_TRY(c.CheckType(2, Mask(c.dtype(0))));
    } else if (c.dtype(0) == DType::kString) {
      return Unsupported("strings are padded since version 11");
    }
    Shape out = c.shape(0);
    if (!out.has_rank()) return c.SetOutput(0, c.dtype(0), out);
    if ((!from_attributes && !c.KnowsInts(1)) || (c.has_input(3) && !c.KnowsInts(3))) {
      return c.SetOutput(0, c.dtype(0), Shape::OfRank(out.rank()));
    }
    int64_t before[kMaxRank], after[kMaxRank];
    LINNET_TRY(Gains(c, out.rank(), before, after));
    for (int i = 0; i < out.rank(); ++i) {
      if (before[i] == 0 && after[i] == 0) continue;
      int64_t dim = out[i] + before[i] + after[i];
      if (IsKnownDim(out[i]) && dim < 0) return InvalidArgument("pads ", before[i], " and ", after[i], " leave nothing of axis ", i, " of size ", out[i]);
      out[i] = IsKnownDim(out[i]) ? dim : kUnknownDim;
    }
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    int64_t before[kMaxRank], after[kMaxRank];
    LINNET_TRY(Gains(c, c.shape(0).rank(), before, after));
    auto* plan = c.Params<PadPlan>();
    LINNET_TRY(plan->Set(mode, c.shape(0), before, after));
    if (plan->is_copy()) c.Alias(0, 0);
    c.Scratch(plan->ScratchBytes(c.dtype(0)));
    return Status();
  }
  Status Run(RunContext& c) const {
    alignas(16) std::byte number[16];
    const void* constant = nullptr;
    if (from_attributes) {
      LINNET_TRY(StoreNumber(c.input_dtype(0), value, number));
      constant = number;
    } else if (c.has_input(2) && c.input_shape(2).elements() > 0) {
      constant = c.input(2);
    }
    return c.params<PadPlan>().RunAny(c, constant);
  }
};

struct CenterCropPad {
  std::vector<int64_t> axes;
  bool has_axes = false;

  Status Parse(const Node& node) {
    has_axes = node.Has("axes");
    LINNET_ASSIGN(axes, node.Ints("axes"));
    return Status();
  }
  /// The asked size of every axis; the input's own where nothing is asked.
  Status Sizes(const InferContext& c, Shape& out) const {
    LINNET_ASSIGN(IntList sizes, IntList::OfInput(c, 1));
    const int64_t count = has_axes ? static_cast<int64_t>(axes.size()) : out.rank();
    if (sizes.size() != count) return InvalidArgument("shape lists ", sizes.size(), " sizes for ", count, " axes");
    for (int64_t i = 0; i < count; ++i) {
      LINNET_ASSIGN(int at, NormalizeAxis(has_axes ? axes[static_cast<size_t>(i)] : i, out.rank()));
      if (sizes[i] < 0) return InvalidArgument("size ", sizes[i], " of axis ", at, " is negative");
      out[at] = sizes[i];
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt32) | Mask(DType::kInt64)));
    Shape out = c.shape(0);
    if (!out.has_rank()) return c.SetOutput(0, c.dtype(0), out);
    if (c.KnowsInts(1)) {
      LINNET_TRY(Sizes(c, out));
      return c.SetOutput(0, c.dtype(0), out);
    }
    if (!has_axes) return c.SetOutput(0, c.dtype(0), Shape::OfRank(out.rank()));
    for (int64_t axis : axes) {
      LINNET_ASSIGN(int at, NormalizeAxis(axis, out.rank()));
      out[at] = kUnknownDim;
    }
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape &in = c.shape(0), &out = c.output_shape(0);
    int64_t before[kMaxRank], after[kMaxRank];
    for (int i = 0; i < in.rank(); ++i) {
      int64_t gain = out[i] - in[i];
      before[i] = gain / 2;   // towards zero, both for cropping and for padding
      after[i] = gain - before[i];
    }
    auto* plan = c.Params<PadPlan>();
    LINNET_TRY(plan->Set(PadMode::kConstant, in, before, after));
    if (plan->is_copy()) c.Alias(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const { return c.params<PadPlan>().RunAny(c, nullptr); }
};

}  // namespace

LINNET_OP(Pad, 1, Pad);
LINNET_OP(CenterCropPad, 18, CenterCropPad);

}  // namespace linnet
