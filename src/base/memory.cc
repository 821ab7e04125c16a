// Aligned allocation and the memory budget.
#include "base/memory.h"

#include <string.h>

#include <utility>

#include "base/block_pool.h"
#include "base/system.h"

namespace linnet {
namespace {
/// Weights are streamed through: with large pages there are fewer faults while they are packed, and fewer walks afterwards.
constexpr size_t kHugePage = size_t{2} << 20;
std::atomic<int64_t> block_allocations{0};

size_t TotalBytes(int64_t bytes) { return static_cast<size_t>(RoundUp(bytes, static_cast<int64_t>(kAlignment))) + kPadding; }
}  // namespace

Status MemoryBudget::Take(int64_t bytes) {
  int64_t used = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (used > limit_) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return LimitReached("needs ", bytes, " bytes more where ", used - bytes, " are in use and the memory limit is ",
                        limit_, " bytes");
  }
  int64_t peak = peak_.load(std::memory_order_relaxed);
  while (used > peak && !peak_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
  return Status();
}

Block& Block::operator=(Block&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    budget_ = std::exchange(other.budget_, nullptr);
  }
  return *this;
}

Result<Block> Block::Allocate(int64_t bytes, MemoryBudget* budget) {
  if (bytes < 0 || bytes > (INT64_MAX >> 1)) return LimitReached("a block of ", bytes, " bytes cannot exist");
  if (budget) LINNET_TRY(budget->Take(bytes));
  /// Gives the bytes back unless the block is made.
  struct Refund {
    MemoryBudget* budget;
    int64_t bytes;
    ~Refund() {
      if (budget) budget->Give(bytes);
    }
  } refund{budget, bytes};
  // Where addresses have 32 bits, half of them is the most that one block may take.
  if (static_cast<uint64_t>(bytes) > SIZE_MAX / 2 - kHugePage) return OutOfMemory("a block of ", bytes, " bytes does not fit into this machine's addresses");
  void* data = nullptr;
  const size_t total = TotalBytes(bytes);
  if (total >= kPooledBytesMin) data = TakePooled(total);
  if (!data) {
    const bool large = total >= kHugePage;
    data = AllocateAligned(large ? kHugePage : kAlignment, total);
    if (!data) return OutOfMemory("the system has no ", bytes, " bytes left");
    // Only pages that the block fills: nothing more is resident than was asked for.
    if (large) WantLargePages(data, total / kHugePage * kHugePage);
  }
  memset(static_cast<std::byte*>(data) + bytes, 0, total - static_cast<size_t>(bytes));
  block_allocations.fetch_add(1, std::memory_order_relaxed);
  refund.budget = nullptr;
  Block block;
  block.data_ = static_cast<std::byte*>(data);
  block.size_ = bytes;
  block.budget_ = bytes > 0 ? budget : nullptr;
  return block;
}

void Block::Release() {
  if (!data_) return;
  if (TotalBytes(size_) < kPooledBytesMin || !GivePooled(data_)) FreeAligned(data_);
  if (budget_) budget_->Give(size_);
  data_ = nullptr;
  size_ = 0;
}

void ReleaseFilePages(const void* data, int64_t bytes) {
  const int64_t page = PageBytes();
  int64_t begin = static_cast<int64_t>(reinterpret_cast<uintptr_t>(data));
  int64_t first = RoundUp(begin, page), last = (begin + bytes) / page * page;
  if (first < last) DropPages(reinterpret_cast<void*>(static_cast<uintptr_t>(first)), static_cast<size_t>(last - first));
}

int64_t BlockAllocationCount() { return block_allocations.load(std::memory_order_relaxed); }

}  // namespace linnet
