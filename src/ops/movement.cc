// Strided copies and the other loops that movement operators share.
#include "ops/movement.h"

#include "base/float_types.h"

namespace linnet {

void CopyElements(DType dtype, void* to, const void* from, int64_t count) {
  if (count <= 0 || to == from) return;
  if (dtype == DType::kString) {
    CopyRun(static_cast<std::string*>(to), static_cast<const std::string*>(from), count);
  } else {
    memcpy(to, from, static_cast<size_t>((count * DTypeBits(dtype) + 7) / 8));
  }
}

Result<IntList> IntList::OfInput(const InferContext& c, int i) {
  const Fact& fact = c.fact(i);
  if (fact.type.shape.rank() > 1) {
    return InvalidModel("input ", i, " has shape ", ToString(fact.type.shape), " where a list is expected");
  }
  IntList list;
  list.data_ = fact.data;
  list.size_ = fact.type.shape.elements();
  list.narrow_ = fact.type.dtype == DType::kInt32;
  if (!list.narrow_ && fact.type.dtype != DType::kInt64) {
    return InvalidModel("input ", i, " is ", DTypeName(fact.type.dtype), " where int64 is expected");
  }
  return list;
}

Result<int64_t> IntegerAt(const Fact& fact, int64_t index) {
  auto at = [&]<class T>() { return static_cast<const T*>(fact.data)[index]; };
  auto cut = [](double value) -> int64_t {
    if (!(value > -9.2e18)) return value < 0 ? INT64_MIN : 0;
    return value < 9.2e18 ? static_cast<int64_t>(value) : INT64_MAX;
  };
  switch (fact.type.dtype) {
    case DType::kInt64: return at.template operator()<int64_t>();
    case DType::kInt32: return at.template operator()<int32_t>();
    case DType::kInt16: return at.template operator()<int16_t>();
    case DType::kInt8: return at.template operator()<int8_t>();
    case DType::kUint8: return at.template operator()<uint8_t>();
    case DType::kUint16: return at.template operator()<uint16_t>();
    case DType::kUint32: return at.template operator()<uint32_t>();
    case DType::kUint64: return static_cast<int64_t>(std::min<uint64_t>(at.template operator()<uint64_t>(), INT64_MAX));
    case DType::kFloat: return cut(at.template operator()<float>());
    case DType::kDouble: return cut(at.template operator()<double>());
    case DType::kFloat16: return cut(static_cast<double>(ToFloat(at.template operator()<Float16>())));
    case DType::kBfloat16: return cut(static_cast<double>(ToFloat(at.template operator()<Bfloat16>())));
    case DType::kBool: return int64_t{at.template operator()<bool>()};
    default: return Unsupported("a ", DTypeName(fact.type.dtype), " tensor gives no integer here");
  }
}

Status StoreNumber(DType dtype, double value, void* to) {
  return ForType<kFixedSize>(dtype, [&]<class T>() {
    T element;
    if constexpr (std::is_same_v<T, Float16>) {
      element = ToFloat16(RoundToOdd(value));
    } else if constexpr (std::is_same_v<T, Bfloat16>) {
      element = ToBfloat16(RoundToOdd(value));
    } else {
      element = static_cast<T>(value);
    }
    memcpy(to, &element, sizeof element);
    return Status();
  });
}

Result<uint32_t> AxisSet(const IntList& axes, int rank) {
  uint32_t set = 0;
  for (int64_t i = 0; i < axes.size(); ++i) {
    LINNET_ASSIGN(int axis, NormalizeAxis(axes[i], rank));
    if (set >> axis & 1) return InvalidModel("axis ", axis, " is named twice");
    set |= uint32_t{1} << axis;
  }
  return set;
}

void StridedCopy::Finish(DType dtype) {
  bits = static_cast<uint8_t>(DTypeBits(dtype));
  int kept = 0;
  for (int i = 0; i < loops; ++i) {
    const Loop next = loop[i];
    if (next.turns == 0) empty = true;
    if (next.turns == 1) continue;
    if (kept > 0 && loop[kept - 1].from == next.from * next.turns && loop[kept - 1].to == next.to * next.turns) {
      loop[kept - 1] = {loop[kept - 1].turns * next.turns, next.from, next.to};
    } else {
      loop[kept++] = next;
    }
  }
  loops = kept;
  if (loops > 0 && loop[loops - 1].from == 1 && loop[loops - 1].to == 1) run = loop[--loops].turns;
  Widen();
  // A transpose: the innermost loop writes neighbours but reads far apart, and another loop reads neighbours.
  if (loops < 2 || run != 1 || loop[loops - 1].to != 1 || loop[loops - 1].from == 0) return;
  for (int i = loops - 2; i >= 0; --i) {
    if (loop[i].from != 1) continue;
    const Loop across = loop[i];
    for (int k = i; k < loops - 2; ++k) loop[k] = loop[k + 1];
    loop[loops - 2] = across;
    tiled = true;
    return;
  }
}

void StridedCopy::Widen() {
  int64_t wide = run * bits;
  if (bits < 8 || run == 1 || (wide != 16 && wide != 32 && wide != 64 && wide != 128)) return;
  bool divides = from_offset % run == 0 && to_offset % run == 0;
  for (int i = 0; i < loops; ++i) divides = divides && loop[i].from % run == 0 && loop[i].to % run == 0;
  if (!divides || loops == 0) return;
  from_offset /= run;
  to_offset /= run;
  for (int i = 0; i < loops; ++i) loop[i] = {loop[i].turns, loop[i].from / run, loop[i].to / run};
  bits = static_cast<uint8_t>(wide);
  run = 1;
}

namespace {

template <class T>
void CopyLoop(T* to, const T* from, const StridedCopy::Loop& loop, int64_t turns, int64_t run) {
  if (run != 1) {
    for (int64_t k = 0; k < turns; ++k) CopyRun(to + k * loop.to, from + k * loop.from, run);
  } else if (loop.to == 1 && loop.from == 0) {
    const T value = *from;
    for (int64_t k = 0; k < turns; ++k) to[k] = value;
  } else if (loop.to == 1) {
    for (int64_t k = 0; k < turns; ++k) to[k] = from[k * loop.from];
  } else {
    for (int64_t k = 0; k < turns; ++k) to[k * loop.to] = from[k * loop.from];
  }
}

constexpr int64_t kTile = 16;

/// to[i * across.to + j] = from[i + j * along.from] for i in [begin, end), all j.
template <class T>
void CopyTiles(T* to, const T* from, const StridedCopy::Loop& across, const StridedCopy::Loop& along, int64_t begin,
               int64_t end) {
  for (int64_t i = begin; i < end; i += kTile) {
    int64_t i_end = std::min(i + kTile, end);
    for (int64_t j = 0; j < along.turns; j += kTile) {
      int64_t j_end = std::min(j + kTile, along.turns);
      for (int64_t ii = i; ii < i_end; ++ii) {
        T* row = to + ii * across.to;
        for (int64_t jj = j; jj < j_end; ++jj) row[jj] = from[ii + jj * along.from];
      }
    }
  }
}

constexpr double kNsPerByte = 0.1;

template <class T>
Status Run(const RunContext& c, const StridedCopy& copy, const T* from, T* to) {
  const double ns = kNsPerByte * static_cast<double>(sizeof(T));
  if (copy.is_block()) {
    from += copy.from_offset;
    to += copy.to_offset;
    return c.ParallelFor(copy.run, 1 << 14, ns,
                         [&](int64_t begin, int64_t end, int) { CopyRun(to + begin, from + begin, end - begin); });
  }
  int outer = copy.loops - (copy.tiled ? 2 : 1);
  int64_t outer_turns = 1;
  for (int i = 0; i < outer; ++i) outer_turns *= copy.loop[i].turns;
  if (copy.tiled) {
    const StridedCopy::Loop &across = copy.loop[outer], &along = copy.loop[outer + 1];
    int64_t bands = DivUp(across.turns, kTile);
    return c.ParallelFor(outer_turns * bands, 1, 5 * ns * static_cast<double>(kTile * along.turns),
                         [&](int64_t begin, int64_t end, int) {
      Odometer at(copy, outer, begin / bands);
      for (int64_t band = begin % bands; begin < end; ++begin) {
        CopyTiles(to + at.to, from + at.from, across, along, band * kTile, std::min((band + 1) * kTile, across.turns));
        if (++band == bands) {
          band = 0;
          at.Next();
        }
      }
    });
  }
  const StridedCopy::Loop& inner = copy.loop[outer];
  return c.ParallelFor(outer_turns * inner.turns, 1, 1 + ns * static_cast<double>(copy.run),
                       [&](int64_t begin, int64_t end, int) {
    Odometer at(copy, outer, begin / inner.turns);
    for (int64_t first = begin % inner.turns; begin < end; first = 0) {
      int64_t turns = std::min(inner.turns - first, end - begin);
      CopyLoop(to + at.to + first * inner.to, from + at.from + first * inner.from, inner, turns, copy.run);
      begin += turns;
      at.Next();
    }
  });
}

Status RunPacked(const StridedCopy& copy, const void* from, void* to) {
  int64_t turns = 1;
  for (int i = 0; i < copy.loops; ++i) turns *= copy.loop[i].turns;
  Odometer at(copy, copy.loops, 0);
  for (; turns > 0; --turns, at.Next()) {
    for (int64_t i = 0; i < copy.run; ++i) SetPacked(to, at.to + i, copy.bits, GetPacked(from, at.from + i, copy.bits));
  }
  return Status();
}

}  // namespace

Status RunCopy(const RunContext& c, const StridedCopy& copy, const void* from, void* to) {
  if (copy.empty) return Status();
  if (copy.bits == 2 || copy.bits == 4) return RunPacked(copy, from, to);
  return ForWidth(copy.bits,
                  [&]<class T>() { return Run(c, copy, static_cast<const T*>(from), static_cast<T*>(to)); });
}

Status ViewOfInput::Run(RunContext& c) const {
  CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
  return Status();
}

Status EmitTensor(const RunContext& c, int i, const Tensor& value) {
  if (!c.has_output(i)) return Status();
  if (!c.output_shape(i).is_static()) {
    c.SetOutput(i, Datum::Of(value));
    return Status();
  }
  if (!(c.output_shape(i) == value.shape()) || c.output_dtype(i) != value.dtype()) {
    return InvalidArgument("element is ", ToString(value.type()), " where ", ToString(c.output_type(i)), " was declared");
  }
  CopyElements(value.dtype(), c.output(i), value.data(), value.elements());
  return Status();
}

}  // namespace linnet
