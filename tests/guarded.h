// Arrays that end at an unreadable page, so that a kernel that reads or writes one element too far dies.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>
#include <vector>

#include "base/cpu.h"

namespace linnet {

size_t TestPageBytes();
/// Whole pages that may be written, between two that may not be touched.
char* MapBetweenGuards(size_t bytes);
void UnmapBetweenGuards(char* memory, size_t bytes);

/// `count` elements whose last one is followed by a page that may not be touched, and whose first is preceded by one or by slack.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t count, T fill = T()) : count_(count) {
    const size_t page = TestPageBytes();
    mapped_ = (static_cast<size_t>(count) * sizeof(T) + page - 1) / page * page;
    base_ = MapBetweenGuards(mapped_);
    data_ = reinterpret_cast<T*>(base_ + mapped_) - count;
    for (char* slack = base_; slack < reinterpret_cast<char*>(data_); ++slack) *slack = kSlack;
    for (int64_t i = 0; i < count; ++i) data_[i] = fill;
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(static_cast<int64_t>(values.size())) {
    for (int64_t i = 0; i < count_; ++i) data_[i] = values[static_cast<size_t>(i)];
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { UnmapBetweenGuards(base_, mapped_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return count_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

  /// False once the slack before the first element has been written.
  bool Intact() const {
    for (const char* p = base_; p < reinterpret_cast<const char*>(data_); ++p) {
      if (*p != kSlack) return false;
    }
    return true;
  }

 private:
  static constexpr char kSlack = 0x5A;
  int64_t count_;
  size_t mapped_ = 0;
  char* base_ = nullptr;
  T* data_ = nullptr;
};

/// Levels this machine can run whose float kernels differ.
inline std::vector<CpuLevel> FloatLevels() {
  std::vector<CpuLevel> levels;
  for (CpuLevel level :
       {CpuLevel::kSse4, CpuLevel::kAvx2, CpuLevel::kAvx512, CpuLevel::kNeon, CpuLevel::kWasm}) {
    if (Supports(DetectedCpuLevel(), level)) levels.push_back(level);
  }
  return levels;
}

/// Reproducible numbers in [-1, 1).
class Numbers {
 public:
  float Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<int32_t>(state_ >> 32)) / 2147483648.0f;
  }
  template <class Array>
  void Fill(Array& array) {
    for (int64_t i = 0; i < static_cast<int64_t>(array.size()); ++i) array[i] = Next();
  }

 private:
  uint64_t state_ = 88172645463325252u;
};

}  // namespace linnet
