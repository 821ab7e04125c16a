// What operators that only move elements share: element widths, integer lists, strided copies.
#pragma once

#include <string.h>

#include <string>

#include "kernels/copy.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {

/// Types whose elements have an address of their own: all but the packed 2- and 4-bit ones.
inline constexpr uint32_t kWholeBytes = ~(Mask(DType::kUndefined) | Mask(DType::kUint4) | Mask(DType::kInt4) |
                                          Mask(DType::kFloat4e2m1) | Mask(DType::kUint2) | Mask(DType::kInt2));

/// An element of N bytes that is only moved: of any type, at any alignment. Compilers copy it with one instruction.
template <int N>
struct Unit {
  uint8_t bytes[N];
};

/// Types by the bits of an element.
inline constexpr uint32_t kOf16Bits = Mask(DType::kInt16) | Mask(DType::kUint16) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);
inline constexpr uint32_t kOf32Bits = Mask(DType::kFloat) | Mask(DType::kInt32) | Mask(DType::kUint32);
inline constexpr uint32_t kOf64Bits = Mask(DType::kDouble) | Mask(DType::kInt64) | Mask(DType::kUint64) | Mask(DType::kComplex64);
inline constexpr uint32_t kOf128Bits = Mask(DType::kComplex128);
inline constexpr uint32_t kOf8Bits = kAnyType & ~(Mask(DType::kString) | kOf16Bits | kOf32Bits | kOf64Bits | kOf128Bits);

/// Calls f.template operator()<T>() for T = Unit<bits / 8>, or std::string when bits is 0, where this build has a type of that
/// width; InferTypes lets nothing else come here.
template <class F>
decltype(auto) ForWidth(int bits, F&& f) {
#define LINNET_WIDTH(width, types, T)                                                \
  if constexpr ((LINNET_TYPES & (types)) != 0) {                                     \
    if (bits == (width)) return f.template operator()<T>();                          \
  }
  LINNET_WIDTH(0, Mask(DType::kString), std::string)
  LINNET_WIDTH(16, kOf16Bits, Unit<2>)
  LINNET_WIDTH(32, kOf32Bits, Unit<4>)
  LINNET_WIDTH(64, kOf64Bits, Unit<8>)
  LINNET_WIDTH(128, kOf128Bits, Unit<16>)
  LINNET_WIDTH(bits, kOf8Bits, Unit<1>)
#undef LINNET_WIDTH
  __builtin_trap();
}
/// The same for the elements of `dtype`, one of kWholeBytes.
template <class F>
decltype(auto) ForWidth(DType dtype, F&& f) {
  return ForWidth(DTypeBits(dtype), static_cast<F&&>(f));
}

/// Calls f.template operator()<T>() for indices of `dtype`: int32_t, where this build has it, or int64_t.
template <class F>
decltype(auto) ForIndices(DType dtype, F&& f) {
  if constexpr ((LINNET_TYPES & Mask(DType::kInt32)) != 0) {
    if (dtype == DType::kInt32) return f.template operator()<int32_t>();
  }
  return f.template operator()<int64_t>();
}

/// Copies `count` elements between arrays that do not overlap (or are the same).
template <class T>
inline void CopyRun(T* to, const T* from, int64_t count) {
  if (count <= 0 || to == from) return;
  if constexpr (std::is_same_v<T, std::string>) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  } else {
    memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  }
}
void CopyElements(DType dtype, void* to, const void* from, int64_t count);

/// Rows of `length` elements that lie behind each other get a distance of `stride`, at least `length`: a cache that grows.
template <class T>
inline void SpreadRows(T* rows, int64_t count, int64_t length, int64_t stride) {
  if constexpr (!std::is_same_v<T, std::string>) {   // these lie in no caller's memory
    for (int64_t i = count - 1; i > 0 && length > 0 && stride != length; --i) {
      memmove(rows + i * stride, rows + i * length, static_cast<size_t>(length) * sizeof(T));
    }
  }
}

/// Address of element `index` of an array of `dtype` (one of kWholeBytes).
inline const void* ElementAt(DType dtype, const void* base, int64_t index) {
  return static_cast<const std::byte*>(base) + index * static_cast<int64_t>(DTypeBytes(dtype));
}
inline void* ElementAt(DType dtype, void* base, int64_t index) {
  return static_cast<std::byte*>(base) + index * static_cast<int64_t>(DTypeBytes(dtype));
}

/// A list of integers that is not copied: an attribute, or the contents of an int32 or int64 input.
class IntList {
 public:
  IntList() = default;
  IntList(const std::vector<int64_t>& values) : data_(values.data()), size_(static_cast<int64_t>(values.size())) {}
  /// Contents of input i, which are known (KnowsInts). Fails unless it is a list (or a single number) of int32 or int64.
  static Result<IntList> OfInput(const InferContext& c, int i);
  int64_t size() const { return size_; }
  int64_t operator[](int64_t i) const {
    return narrow_ ? static_cast<const int32_t*>(data_)[i] : static_cast<const int64_t*>(data_)[i];
  }

 private:
  const void* data_ = nullptr;
  int64_t size_ = 0;
  bool narrow_ = false;
};

/// Element `index` of a number tensor's contents as an integer: floating values are cut towards zero, and saturate.
Result<int64_t> IntegerAt(DType dtype, const void* data, int64_t index);
inline Result<int64_t> IntegerAt(const Fact& fact, int64_t index) { return IntegerAt(fact.type.dtype, fact.data, index); }

/// Writes `value` as one element of `dtype` (one of kFixedSize), rounded to it.
Status StoreNumber(DType dtype, double value, void* to);

/// Axes as a set of bits; fails for an axis out of range or named twice.
Result<uint32_t> AxisSet(const IntList& axes, int rank);

/// Row-major strides of a static shape, in elements.
struct Strides {
  explicit Strides(const Shape& shape) {
    int64_t stride = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      values[i] = stride;
      stride *= shape[i];
    }
  }
  int64_t operator[](int i) const { return values[i]; }
  int64_t values[kMaxRank];
};

/// The first index outside [-size, size), or none. `Index` is int32_t or int64_t.
template <class Index>
const Index* FirstOutside(const Index* indices, int64_t count, int64_t size) {
  bool bad = false;
  for (int64_t i = 0; i < count; ++i) bad |= indices[i] < -size || indices[i] >= size;
  if (!bad) return nullptr;
  while (*indices >= -size && *indices < size) ++indices;
  return indices;
}
template <class Index>
Status CheckIndices(const Index* indices, int64_t count, int64_t size, int axis) {
  const Index* bad = FirstOutside(indices, count, size);
  if (!bad) return Status();
  return InvalidArgument("index ", static_cast<int64_t>(*bad), " is outside axis ", axis, " of size ", size);
}

/// A loop nest that copies elements between two strided arrays. Describe it with Add, outermost loop first, in the order
/// of the target's memory; Finish merges loops that continue each other on both sides and plans the kernel
/// (kernels/copy.h). Strings, packed elements and nests too deep for the kernel are walked element by element.
/// Plain data, for Bind's parameters.
struct StridedCopy {
  static constexpr int kLoopsMax = 2 * kMaxRank;
  struct Loop {
    int64_t turns, from, to;   ///< strides in elements
  };
  Loop loop[kLoopsMax];
  int32_t loops = 0;
  uint8_t bits = 0;            ///< of one element; 0: strings
  bool empty = false;
  bool planned = false;        ///< `plan` does it
  int64_t run = 1;             ///< elements copied at once in the innermost turn
  int64_t from_offset = 0;     ///< where the source walk starts, in elements
  CopyPlan plan;

  void Add(int64_t turns, int64_t from, int64_t to) { loop[loops++] = {turns, from, to}; }
  void Finish(DType dtype, CpuLevel cpu);
  /// After Finish: the copy is one contiguous block.
  bool is_block() const { return loops == 0; }
};

/// Walks the first `loops` loops of a copy in order, from any position: `from` and `to` are where its elements are.
struct Odometer {
  Odometer(const StridedCopy& copy, int loops, int64_t position) : loop_(copy.loop), loops_(loops) {
    from = copy.from_offset;
    to = 0;
    for (int i = loops - 1; i >= 0; --i) {
      at_[i] = position % loop_[i].turns;
      position /= loop_[i].turns;
      from += at_[i] * loop_[i].from;
      to += at_[i] * loop_[i].to;
    }
  }
  void Next() {
    for (int i = loops_ - 1; i >= 0; --i) {
      from += loop_[i].from;
      to += loop_[i].to;
      if (++at_[i] < loop_[i].turns) return;
      from -= loop_[i].turns * loop_[i].from;
      to -= loop_[i].turns * loop_[i].to;
      at_[i] = 0;
    }
  }
  int64_t from, to;

 private:
  const StridedCopy::Loop* loop_;
  int loops_;
  int64_t at_[StridedCopy::kLoopsMax];
};

/// Base of operators that are one strided copy from input 0 to output 0, which Bind describes.
struct CopyOfInput {
  CpuLevel cpu = CpuLevel::kSse4;
  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    return Status();
  }
  Status Run(RunContext& c) const;
  /// Finishes `copy`; a contiguous one becomes a view.
  void Finish(BindContext& c, StridedCopy* copy) const;
};

/// Runs a finished copy. The packed 2- and 4-bit types must fill the target completely.
Status RunCopy(const RunContext& c, const StridedCopy& copy, const void* from, void* to);

/// Element `index` of a packed array of `bits`-wide (2 or 4) elements.
inline uint8_t GetPacked(const void* base, int64_t index, int bits) {
  int64_t bit = index * bits;
  return static_cast<uint8_t>(static_cast<const uint8_t*>(base)[bit >> 3] >> (bit & 7) & ((1 << bits) - 1));
}
inline void SetPacked(void* base, int64_t index, int bits, uint8_t value) {
  int64_t bit = index * bits;
  uint8_t& byte = static_cast<uint8_t*>(base)[bit >> 3];
  int mask = ((1 << bits) - 1) << (bit & 7);
  byte = static_cast<uint8_t>((byte & ~mask) | (value << (bit & 7) & mask));
}

/// Base of operators whose output is input 0 under another shape.
struct ViewOfInput {
  Status Bind(BindContext& c) const {
    c.Alias(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const;
};

}  // namespace linnet
