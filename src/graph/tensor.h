// Tensor: element type, shape and shared contents; Datum: a value of any ONNX type.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "graph/type.h"

namespace linnet {

/// A dense tensor whose contents are shared: an owned block, an array of strings, or bytes of a mapped file kept alive
/// by `owner`. Copies share. Contents are row-major; 2- and 4-bit types are packed, low bits first. bool is one byte, 0 or 1.
/// A tensor with null data() and a type is "contents unknown"; zero-size tensors may have null data too.
class Tensor {
 public:
  Tensor() = default;

  /// Uninitialised contents (strings are empty). `shape` must be static.
  static Result<Tensor> Allocate(DType dtype, const Shape& shape, MemoryBudget* budget = nullptr);
  /// Contents that `owner` keeps alive. The caller checked that `data` holds the bytes the type needs. `in_file`: they
  /// lie in a private file mapping.
  static Tensor View(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner = nullptr,
                     bool in_file = false);
  /// Convenience for constants made by passes and tests.
  template <class T>
  static Tensor Of(const Shape& shape, std::span<const T> values);
  template <class T>
  static Tensor Scalar(T value) {
    return Of<T>(Shape::OfRank(0), std::span<const T>(&value, 1));
  }
  static Tensor Ints(std::span<const int64_t> values) {
    return Of<int64_t>(Shape{static_cast<int64_t>(values.size())}, values);
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  Type type() const { return Type::Tensor(dtype_, shape_); }
  bool has_data() const { return data_ != nullptr; }
  const void* data() const { return data_; }
  void* mutable_data() { return const_cast<void*>(data_); }
  template <class T>
  const T* as() const { return static_cast<const T*>(data_); }
  template <class T>
  T* mutable_as() { return static_cast<T*>(mutable_data()); }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const;
  const std::shared_ptr<const void>& owner() const { return owner_; }

  /// Says that the contents, or their first bytes, are not needed for now: pages of a mapped file leave resident memory. Other
  /// contents stay.
  void LetPagesGo(int64_t first_bytes = INT64_MAX) const;

  /// The same contents under another shape of as many elements.
  Tensor Reshaped(const Shape& shape) const {
    Tensor out = *this;
    out.shape_ = shape;
    return out;
  }

 private:
  DType dtype_ = DType::kUndefined;
  Shape shape_;
  bool in_file_ = false;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

template <class T>
Tensor Tensor::Of(const Shape& shape, std::span<const T> values) {
  Tensor tensor = Allocate(kDTypeOf<T>, shape).value();
  if (!tensor.has_data()) return tensor;
  T* out = tensor.mutable_as<T>();
  for (size_t i = 0; i < values.size(); ++i) out[i] = values[i];
  return tensor;
}

/// Copies the contents of a tensor of static `type`; strings are assigned one by one, so `to` must hold strings.
void CopyElements(const Type& type, const void* from, void* to);

/// A value of any type at run time. Which members count depends on type.kind:
///   tensor                 tensor
///   sequence               items (each a tensor)
///   optional               present, and tensor
///   optional(sequence)     present, and items
///   map                    keys (1-D tensor) and tensor (1-D, as many values)
///   sequence of maps       items (each a map)
struct Datum {
  Type type;
  Tensor tensor;
  Tensor keys;
  std::vector<Datum> items;
  bool present = true;

  static Datum Of(Tensor tensor) {
    Datum datum;
    datum.type = tensor.type();
    datum.tensor = std::move(tensor);
    return datum;
  }
};

}  // namespace linnet
