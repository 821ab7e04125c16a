// Counts by replacing operator new for the program this file is linked into.
#include "cli/allocations.h"

#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <new>

#include "base/memory.h"
#include "base/system.h"

namespace {
std::atomic<int64_t> allocations{0};

void* Count(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return malloc(bytes ? bytes : 1);
}
void* Count(size_t bytes, std::align_val_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return linnet::AllocateAligned(std::max(static_cast<size_t>(alignment), sizeof(void*)), bytes ? bytes : 1);
}
void* OrThrow(void* memory) {
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

// All forms, since a library's or a sanitizer's own would not go with the deletes here.
void* operator new(size_t bytes) { return OrThrow(Count(bytes)); }
void* operator new[](size_t bytes) { return OrThrow(Count(bytes)); }
void* operator new(size_t bytes, std::align_val_t alignment) { return OrThrow(Count(bytes, alignment)); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return OrThrow(Count(bytes, alignment)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Count(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Count(bytes); }
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept { return Count(bytes, alignment); }
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept { return Count(bytes, alignment); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { linnet::FreeAligned(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { linnet::FreeAligned(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { linnet::FreeAligned(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { linnet::FreeAligned(memory); }

namespace linnet::cli {
int64_t HeapAllocations() { return allocations.load(std::memory_order_relaxed) + BlockAllocationCount(); }
}  // namespace linnet::cli
