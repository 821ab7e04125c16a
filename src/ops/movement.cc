// Strided copies and the other loops that movement operators share.
#include "ops/movement.h"

#include "base/float_types.h"
#include "base/memory.h"

namespace linnet {

void CopyElements(DType dtype, void* to, const void* from, int64_t count) {
  if (count <= 0 || to == from) return;
  if (dtype == DType::kString) {
    CopyRun(static_cast<std::string*>(to), static_cast<const std::string*>(from), count);
  } else {
    CopyLong(to, from, static_cast<size_t>((count * DTypeBits(dtype) + 7) / 8));
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

Result<int64_t> IntegerAt(DType dtype, const void* data, int64_t index) {
  auto at = [&]<class T>() { return static_cast<const T*>(data)[index]; };
  auto cut = [](double value) -> int64_t {
    if (!(value > -9.2e18)) return value < 0 ? INT64_MIN : 0;
    return value < 9.2e18 ? static_cast<int64_t>(value) : INT64_MAX;
  };
  switch (dtype) {
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
    default: return Unsupported("a ", DTypeName(dtype), " tensor gives no integer here");
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

void StridedCopy::Finish(DType dtype, CpuLevel cpu) {
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
  if (!empty && bits >= 8 && loops > 0 && (loops > 1 || loop[0].from != 1)) {
    int64_t dims[kLoopsMax], from[kLoopsMax], to[kLoopsMax];
    for (int i = 0; i < loops; ++i) dims[i] = loop[i].turns, from[i] = loop[i].from, to[i] = loop[i].to;
    auto list = [this](const int64_t* values) { return std::span<const int64_t>(values, static_cast<size_t>(loops)); };
    planned = loops <= kCopyRankMax + 2 && MakeCopy(bits / 8, list(dims), list(from), list(to), cpu, &plan).ok();
  }
  if (loops > 0 && loop[loops - 1].from == 1 && loop[loops - 1].to == 1) run = loop[--loops].turns;
}

namespace {

constexpr double kNsPerByte = 0.1;

template <class T>
Status RunBlock(const RunContext& c, const T* from, T* to, int64_t count) {
  return c.ParallelFor(count, 1 << 14, kNsPerByte * static_cast<double>(sizeof(T)), [&](int64_t begin, int64_t end, int) {
    CopyRun(to + begin, from + begin, end - begin);
  });
}

/// Calls copy(to, from) with the offsets of every run.
template <class F>
void ForEachRun(const StridedCopy& copy, F&& f) {
  int64_t turns = 1;
  for (int i = 0; i < copy.loops; ++i) turns *= copy.loop[i].turns;
  Odometer at(copy, copy.loops, 0);
  for (; turns > 0; --turns, at.Next()) f(at.to, at.from);
}

}  // namespace

Status RunCopy(const RunContext& c, const StridedCopy& copy, const void* from, void* to) {
  if (copy.empty) return Status();
  if (copy.planned) {
    const void* start = static_cast<const std::byte*>(from) + copy.from_offset * (copy.bits / 8);
    double bytes = static_cast<double>(copy.plan.rows_piece * copy.plan.cols_piece * copy.plan.element_bytes);
    return c.ParallelFor(copy.plan.units, 1, 5 + kNsPerByte * bytes, [&](int64_t begin, int64_t end, int) {
      linnet::RunCopy(copy.plan, start, to, begin, end);
    });
  }
  if (copy.bits == 2 || copy.bits == 4) {
    ForEachRun(copy, [&](int64_t at, int64_t source) {
      for (int64_t i = 0; i < copy.run; ++i) SetPacked(to, at + i, copy.bits, GetPacked(from, source + i, copy.bits));
    });
    return Status();
  }
  return ForWidth(copy.bits, [&]<class T>() {
    const T* in = static_cast<const T*>(from);
    T* out = static_cast<T*>(to);
    if (copy.is_block()) return RunBlock(c, in + copy.from_offset, out, copy.run);
    ForEachRun(copy, [&](int64_t at, int64_t source) { CopyRun(out + at, in + source, copy.run); });
    return Status();
  });
}

void CopyOfInput::Finish(BindContext& c, StridedCopy* copy) const {
  copy->Finish(c.dtype(0), cpu);
  if (copy->is_block() && !copy->empty) c.Alias(0, 0, copy->from_offset * static_cast<int64_t>(DTypeBytes(c.dtype(0))));
}

Status CopyOfInput::Run(RunContext& c) const {
  return RunCopy(c, c.params<StridedCopy>(), c.input(0), c.output(0));
}

Status ViewOfInput::Run(RunContext& c) const {
  CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
  return Status();
}

}  // namespace linnet
