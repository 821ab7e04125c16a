// Large blocks of memory: aligned, padded, counted against a budget, and allowed to fail with a Status.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomic>
#include <memory>

#include "base/status.h"

namespace linnet {

/// Alignment of every block, in bytes: one cache line, one AVX-512 register.
inline constexpr size_t kAlignment = 64;
/// Readable bytes beyond the end of every block, so that vector loops may read a whole register at its tail.
inline constexpr size_t kPadding = 64;

/// a * b and a + b, or false on overflow of int64. Operands must be >= 0.
inline bool CheckedMul(int64_t a, int64_t b, int64_t* out) { return !__builtin_mul_overflow(a, b, out); }
inline bool CheckedAdd(int64_t a, int64_t b, int64_t* out) { return !__builtin_add_overflow(a, b, out); }

inline int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
inline int64_t DivUp(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

/// memcpy of runs that may be long. From 4 KiB on, glibc before 2.39 copies by `rep movsb`, which on Zen 3 and Zen 4 moves 2 bytes a
/// nanosecond instead of 30 where the two addresses are not aligned alike (glibc's bug 30994): such runs are copied in pieces.
inline void CopyLong(void* to, const void* from, size_t bytes) {
#if defined(__x86_64__) && defined(__linux__)
  constexpr size_t kShort = 4096, kPiece = 1024, kAlike = 32;
  if (bytes >= kShort && (reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from)) % kAlike != 0) {
    for (; bytes > kPiece; bytes -= kPiece) {
      memcpy(to, from, kPiece);
      to = static_cast<char*>(to) + kPiece, from = static_cast<const char*>(from) + kPiece;
    }
  }
#endif
  memcpy(to, from, bytes);
}

/// Bytes in use against a limit; shared by everything a session allocates. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t limit_bytes = INT64_MAX) : limit_(limit_bytes) {}

  /// Counts `bytes` or fails with kLimitReached naming need, use and limit.
  Status Take(int64_t bytes);
  /// The last touch of whoever took bytes: when used_bytes() is 0, nobody will come back, and the budget may go.
  void Give(int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_release); }

  int64_t used_bytes() const { return used_.load(std::memory_order_acquire); }
  int64_t peak_bytes() const { return peak_.load(std::memory_order_relaxed); }
  int64_t limit_bytes() const { return limit_; }
  void set_limit_bytes(int64_t limit) { limit_ = limit; }

 private:
  std::atomic<int64_t> used_{0};
  std::atomic<int64_t> peak_{0};
  int64_t limit_;
};

/// An owned block, 64-byte aligned, with kPadding readable bytes after `size`. Moves, does not copy.
class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept { *this = static_cast<Block&&>(other); }
  Block& operator=(Block&& other) noexcept;
  ~Block() { Release(); }

  /// `bytes` >= 0, uninitialised. `budget` may be null and must outlive the block otherwise.
  static Result<Block> Allocate(int64_t bytes, MemoryBudget* budget = nullptr);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }
  void Release();

 private:
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
  MemoryBudget* budget_ = nullptr;
};

/// Takes the whole pages inside [data, data + bytes), which must lie in a private file mapping nobody wrote to, out of
/// resident memory; reading them later brings them back from the file.
void ReleaseFilePages(const void* data, int64_t bytes);

/// Heap blocks this process has allocated through Block so far: a statistic for "allocations per run".
int64_t BlockAllocationCount();

}  // namespace linnet
