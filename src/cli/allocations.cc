// Counts by replacing operator new for the program this file is linked into.
#include "cli/allocations.h"

#include <stdlib.h>

#include <atomic>
#include <cstddef>
#include <new>

#include "base/memory.h"

namespace {
std::atomic<int64_t> allocations{0};

void* Count(size_t bytes, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = malloc(bytes ? bytes : 1);
  } else if (posix_memalign(&memory, alignment, bytes ? bytes : 1) != 0) {
    memory = nullptr;
  }
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(size_t bytes) { return Count(bytes, 1); }
void* operator new[](size_t bytes) { return Count(bytes, 1); }
void* operator new(size_t bytes, std::align_val_t alignment) { return Count(bytes, static_cast<size_t>(alignment)); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return Count(bytes, static_cast<size_t>(alignment)); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { free(memory); }

namespace linnet::cli {
int64_t HeapAllocations() { return allocations.load(std::memory_order_relaxed) + BlockAllocationCount(); }
}  // namespace linnet::cli
