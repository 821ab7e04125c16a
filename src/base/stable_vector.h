// StableVector: a growing array whose elements stay where they are.
#pragma once

#include <stddef.h>

#include <bit>
#include <utility>
#include <vector>

namespace linnet {

/// Chunks that double: chunk k has kFirst << k elements. References to elements hold as long as it does.
template <class T>
class StableVector {
 public:
  StableVector() = default;
  StableVector(const StableVector& other) { *this = other; }
  StableVector(StableVector&& other) noexcept { Swap(other); }
  StableVector& operator=(const StableVector& other) {
    StableVector copy;
    for (size_t i = 0; i < other.size_; ++i) copy.push_back(other[i]);
    Swap(copy);
    return *this;
  }
  StableVector& operator=(StableVector&& other) noexcept {
    Swap(other);
    return *this;
  }

  size_t size() const { return size_; }
  T& operator[](size_t i) { return chunks_[ChunkOf(i)][PlaceOf(i)]; }
  const T& operator[](size_t i) const { return chunks_[ChunkOf(i)][PlaceOf(i)]; }
  T& back() { return chunks_.back().back(); }
  void push_back(T value) {
    if (PlaceOf(size_) == 0) {
      const size_t room = kFirst << chunks_.size();
      chunks_.emplace_back().reserve(room);
    }
    chunks_.back().push_back(std::move(value));
    ++size_;
  }

 private:
  static constexpr size_t kFirst = 16;
  static size_t ChunkOf(size_t i) { return static_cast<size_t>(std::bit_width((i + kFirst) / kFirst)) - 1; }
  static size_t PlaceOf(size_t i) { return i + kFirst - (kFirst << ChunkOf(i)); }
  void Swap(StableVector& other) {
    chunks_.swap(other.chunks_);
    std::swap(size_, other.size_);
  }

  std::vector<std::vector<T>> chunks_;
  size_t size_ = 0;
};

}  // namespace linnet
