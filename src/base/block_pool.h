// Memory of blocks that are too large for the heap's taste and too small for mappings of their own.
//
// Opening a model makes hundreds of blocks of a few hundred kilobytes: weights, and what they are made of. New pages cost more
// than what is written into them (1.3 us for 4 KiB, a tenth of that with huge pages), so such blocks lie one behind the other
// in areas of huge pages, and what is freed is given out again with its pages.
#pragma once

#include <stddef.h>

namespace linnet {

/// Blocks below this many bytes come from the heap.
inline constexpr size_t kPooledBytesMin = size_t{64} << 10;

/// 64-byte aligned, uninitialised memory; null where there is no pool, or no room for it. Thread-safe.
void* TakePooled(size_t bytes);
/// Takes back what TakePooled gave. False when it did not give this.
bool GivePooled(void* memory);

/// While one exists, all freed pages are kept for the next blocks; the last one gives those that are left back to the system.
/// Otherwise only some are kept.
class KeepFreedPages {
 public:
  KeepFreedPages();
  ~KeepFreedPages();
  KeepFreedPages(const KeepFreedPages&) = delete;
  KeepFreedPages& operator=(const KeepFreedPages&) = delete;
};

}  // namespace linnet
