// Shapes: up to kMaxRank dimensions, each a number, a named symbol, or unknown; and checked element and byte counts.
//
// One representation serves symbolic and concrete inference: a dimension is an int64 where
//     >= 0   the size is known
//     -1     unknown (kUnknownDim)
//     <= -2  the symbol with index -(dim + 2) of the graph's SymbolTable
// Operators infer with the Dim* helpers, which give kUnknownDim whenever an operand is not a number; the same code then
// works on a model with symbols and on a plan where every input is known.
#pragma once

#include <stdint.h>

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"

namespace linnet {

inline constexpr int kMaxRank = 8;
inline constexpr int64_t kUnknownDim = -1;
/// Bounds on any tensor: one dimension, and all of them multiplied.
inline constexpr int64_t kDimMax = INT32_MAX;
inline constexpr int64_t kElementsMax = int64_t{1} << 40;

inline bool IsKnownDim(int64_t dim) { return dim >= 0; }
inline bool IsSymbolDim(int64_t dim) { return dim <= -2; }
inline int64_t SymbolDim(int index) { return -2 - static_cast<int64_t>(index); }
inline int SymbolIndex(int64_t dim) { return static_cast<int>(-2 - dim); }

/// a * b, a + b, a - b and ceil/floor quotients of dimensions; unknown unless both are numbers (1 * s and s + 0 stay s).
int64_t DimMul(int64_t a, int64_t b);
int64_t DimAdd(int64_t a, int64_t b);
int64_t DimSub(int64_t a, int64_t b);
int64_t DimDiv(int64_t a, int64_t b);

/// A tensor's shape, or "rank unknown". Plain data, copied freely.
class Shape {
 public:
  /// Unknown rank.
  Shape() = default;
  /// `rank` dimensions, all unknown. 0 <= rank <= kMaxRank.
  static Shape OfRank(int rank) {
    Shape shape;
    shape.rank_ = rank;
    for (int i = 0; i < rank; ++i) shape.dims_[i] = kUnknownDim;
    return shape;
  }
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  /// dims.size() must be <= kMaxRank; use MakeShape for sizes that come from files or callers.
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    for (int i = 0; i < rank_; ++i) dims_[i] = dims[static_cast<size_t>(i)];
  }
  // noexcept so that what holds a shape moves, rather than being copied, when a vector of it grows.
  Shape(const Shape& other) noexcept { *this = other; }
  Shape& operator=(const Shape& other) noexcept {
    rank_ = other.rank_;
    for (int i = 0; i < rank_; ++i) dims_[i] = other.dims_[i];
    return *this;
  }

  bool has_rank() const { return rank_ >= 0; }
  int rank() const { return rank_; }  ///< -1 when unknown
  int64_t operator[](int i) const { return dims_[i]; }
  int64_t& operator[](int i) { return dims_[i]; }
  std::span<const int64_t> dims() const { return {dims_, static_cast<size_t>(rank_ < 0 ? 0 : rank_)}; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + (rank_ < 0 ? 0 : rank_); }

  /// True when the rank and every dimension are numbers.
  bool is_static() const;
  /// Product of all dimensions of a static shape; the shape must have passed CheckShape.
  int64_t elements() const { return Product(0, rank_); }
  /// Product of dimensions [begin, end) of a static shape.
  int64_t Product(int begin, int end) const {
    int64_t product = 1;
    for (int i = begin; i < end; ++i) product *= dims_[i];
    return product;
  }

  /// Appends a dimension; rank() must be below kMaxRank.
  void Append(int64_t dim) { dims_[rank_++] = dim; }
  bool operator==(const Shape& other) const;

 private:
  int rank_ = -1;
  int64_t dims_[kMaxRank];
};

/// A shape from numbers of unknown origin: fails when there are too many.
Result<Shape> MakeShape(std::span<const int64_t> dims);

/// Fails with the numbers when a known dimension is above kDimMax or the product of the known ones above kElementsMax.
Status CheckShape(const Shape& shape);

/// Bytes of `elements` of `dtype` (packed 2- and 4-bit types round up to a byte; strings count sizeof(std::string)), or
/// failure when they overflow.
Result<int64_t> ByteSize(DType dtype, int64_t elements);

/// `axis` in [-rank, rank) as a number in [0, rank), or a sentence naming both.
Result<int> NormalizeAxis(int64_t axis, int rank);

/// numpy's broadcasting of two shapes (ONNX "Multidirectional Broadcasting"); symbols meet symbols by equality.
Result<Shape> Broadcast(const Shape& a, const Shape& b);

/// Names that start with this were made up by type inference for dimensions the model does not name.
inline constexpr char kAnonymousDim = '?';

/// The names of symbolic dimensions; one table is shared by a graph and its subgraphs.
class SymbolTable {
 public:
  SymbolTable() = default;
  SymbolTable(const SymbolTable&) = delete;
  SymbolTable& operator=(const SymbolTable&) = delete;
  /// The dimension for `name`, adding it when new.
  int64_t Intern(std::string_view name);
  /// A table of its own with the same names at the same indices.
  std::shared_ptr<SymbolTable> Copy() const;
  std::string_view name(int64_t dim) const { return *names_[static_cast<size_t>(SymbolIndex(dim))]; }
  /// False for dimensions that the model itself does not name.
  bool is_named(int64_t dim) const { return IsSymbolDim(dim) && !name(dim).starts_with(kAnonymousDim); }
  int size() const { return static_cast<int>(names_.size()); }

 private:
  std::vector<std::unique_ptr<const std::string>> names_;   // addresses stay
  std::vector<int> sorted_;                                 // indices, by name
};

/// "[1,3,N,?]"; "[...]" for unknown rank. `symbols` may be null.
#if defined(LINNET_NO_SENTENCES)
inline std::string ToString(const Shape&, const SymbolTable* = nullptr) { return {}; }
#else
std::string ToString(const Shape& shape, const SymbolTable* symbols = nullptr);
#endif

}  // namespace linnet
