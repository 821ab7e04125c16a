// Allocation of tensors.
#include "graph/tensor.h"

#include <string.h>

#include <algorithm>
#include <new>

namespace linnet {

Result<Tensor> Tensor::Allocate(DType dtype, const Shape& shape, MemoryBudget* budget) {
  if (!shape.is_static()) return Internal("allocating a tensor of shape ", ToString(shape));
  LINNET_TRY(CheckShape(shape));
  LINNET_ASSIGN(int64_t bytes, ByteSize(dtype, shape.elements()));
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  LINNET_ASSIGN(Block block, Block::Allocate(bytes, budget));
  struct Holder {
    Block block;
    int64_t strings = 0;
    ~Holder() {
      auto* text = reinterpret_cast<std::string*>(block.data());
      for (int64_t i = 0; i < strings; ++i) text[i].~basic_string();
    }
  };
  auto holder = std::make_shared<Holder>();
  holder->block = std::move(block);
  if (dtype == DType::kString) {
    auto* text = reinterpret_cast<std::string*>(holder->block.data());
    holder->strings = shape.elements();
    for (int64_t i = 0; i < holder->strings; ++i) new (text + i) std::string();
  }
  tensor.data_ = holder->block.data();
  tensor.owner_ = std::move(holder);
  return tensor;
}

Tensor Tensor::View(DType dtype, const Shape& shape, const void* data, std::shared_ptr<const void> owner, bool in_file) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  tensor.data_ = data;
  tensor.owner_ = std::move(owner);
  tensor.in_file_ = in_file;
  return tensor;
}

void Tensor::LetPagesGo(int64_t first_bytes) const {
  if (in_file_ && data_) ReleaseFilePages(data_, std::min(first_bytes, bytes()));
}

void CopyElements(const Type& type, const void* from, void* to) {
  int64_t elements = type.shape.elements();
  if (type.dtype == DType::kString) {
    for (int64_t i = 0; i < elements; ++i) {
      static_cast<std::string*>(to)[i] = static_cast<const std::string*>(from)[i];
    }
  } else if (elements > 0) {
    memcpy(to, from, static_cast<size_t>(ByteSize(type.dtype, elements).value()));
  }
}

int64_t Tensor::bytes() const {
  Result<int64_t> bytes = ByteSize(dtype_, shape_.is_static() ? shape_.elements() : 0);
  return bytes.ok() ? *bytes : 0;
}

}  // namespace linnet
