// Shape arithmetic.
#include "graph/shape.h"

#include <algorithm>

#include "base/memory.h"

namespace linnet {

int64_t DimMul(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  if (a == 1) return b;
  if (b == 1) return a;
  int64_t product;
  return IsKnownDim(a) && IsKnownDim(b) && CheckedMul(a, b, &product) ? product : kUnknownDim;
}

int64_t DimAdd(int64_t a, int64_t b) {
  if (a == 0) return b;
  if (b == 0) return a;
  int64_t sum;
  return IsKnownDim(a) && IsKnownDim(b) && CheckedAdd(a, b, &sum) ? sum : kUnknownDim;
}

int64_t DimSub(int64_t a, int64_t b) {
  if (b == 0) return a;
  return IsKnownDim(a) && IsKnownDim(b) && a >= b ? a - b : kUnknownDim;
}

int64_t DimDiv(int64_t a, int64_t b) {
  if (b == 1) return a;
  return IsKnownDim(a) && b > 0 ? a / b : kUnknownDim;
}

bool Shape::is_static() const {
  if (rank_ < 0) return false;
  for (int i = 0; i < rank_; ++i) {
    if (dims_[i] < 0) return false;
  }
  return true;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i) {
    if (dims_[i] != other.dims_[i]) return false;
  }
  return true;
}

Result<Shape> MakeShape(std::span<const int64_t> dims) {
  if (dims.size() > static_cast<size_t>(kMaxRank)) {
    return Unsupported("rank ", dims.size(), " is above the limit of ", kMaxRank);
  }
  return Shape(dims);
}

Status CheckShape(const Shape& shape) {
  int64_t product = 1;
  bool zero = false;
  for (int64_t dim : shape) {
    if (dim > kDimMax) return LimitReached("dimension ", dim, " is above the limit of ", kDimMax);
    if (dim == 0) zero = true;
    if (dim <= 0 || zero) continue;
    if (!CheckedMul(product, dim, &product) || product > kElementsMax) {
      return LimitReached("shape ", ToString(shape), " has more elements than the limit of ", kElementsMax);
    }
  }
  return Status();
}

Result<int64_t> ByteSize(DType dtype, int64_t elements) {
  int64_t bytes;
  if (dtype == DType::kString) {
    if (elements >= 0 && CheckedMul(elements, static_cast<int64_t>(sizeof(std::string)), &bytes)) return bytes;
  } else if (elements >= 0 && CheckedMul(elements, DTypeBits(dtype), &bytes) && CheckedAdd(bytes, 7, &bytes)) {
    return bytes / 8;
  }
  return LimitReached(elements, " elements of ", DTypeName(dtype), " overflow a byte count");
}

Result<int> NormalizeAxis(int64_t axis, int rank) {
  if (axis < -static_cast<int64_t>(rank) || axis >= rank) {
    return InvalidModel("axis ", axis, " is outside rank ", rank);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Result<Shape> Broadcast(const Shape& a, const Shape& b) {
  if (!a.has_rank() || !b.has_rank()) return Shape();
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape out = longer;
  int shift = longer.rank() - shorter.rank();
  for (int i = shift; i < longer.rank(); ++i) {
    int64_t x = longer[i], y = shorter[i - shift];
    if (x == y || y == 1) continue;
    if (x == 1) {
      out[i] = y;
    } else if (IsKnownDim(x) && IsKnownDim(y)) {
      return InvalidModel("shapes ", ToString(a), " and ", ToString(b), " do not broadcast");
    } else {
      // A number above 1 wins over a symbol, which must then be that number or 1.
      out[i] = IsKnownDim(x) ? x : IsKnownDim(y) ? y : kUnknownDim;
    }
  }
  return out;
}

int64_t SymbolTable::Intern(std::string_view name) {
  auto at = std::lower_bound(sorted_.begin(), sorted_.end(), name,
                             [this](int index, std::string_view wanted) { return *names_[static_cast<size_t>(index)] < wanted; });
  if (at != sorted_.end() && *names_[static_cast<size_t>(*at)] == name) return SymbolDim(*at);
  const int index = size();
  sorted_.insert(at, index);
  names_.push_back(std::make_unique<const std::string>(name));
  return SymbolDim(index);
}

std::shared_ptr<SymbolTable> SymbolTable::Copy() const {
  auto copy = std::make_shared<SymbolTable>();
  for (const auto& one : names_) copy->Intern(*one);
  return copy;
}

#if !defined(LINNET_NO_SENTENCES)
std::string ToString(const Shape& shape, const SymbolTable* symbols) {
  if (!shape.has_rank()) return "[...]";
  std::string out = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i) out += ',';
    if (shape[i] >= 0) {
      AppendPart(out, shape[i]);
    } else if (symbols && symbols->is_named(shape[i])) {
      // Names come from files; one that would break a sentence is quoted.
      std::string_view name = symbols->name(shape[i]);
      const bool odd = std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
      out += odd ? Quote(name) : std::string(name);
    } else {
      out += '?';
    }
  }
  return out + "]";
}
#endif

}  // namespace linnet
