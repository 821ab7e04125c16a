// Areas of address space, each cut into ranges that are used, free with pages, or free without.
#include "base/block_pool.h"

// Sanitizers see overruns only in blocks of the heap; reduced builds read weights where they lie in a file.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define LINNET_NO_BLOCK_POOL 1
#endif
#endif
#if !defined(__linux__) || defined(__SANITIZE_ADDRESS__) || defined(LINNET_NO_ONNX) || __SIZEOF_POINTER__ < 8
#define LINNET_NO_BLOCK_POOL 1
#endif

#if defined(LINNET_NO_BLOCK_POOL)

namespace linnet {
void* TakePooled(size_t) { return nullptr; }
bool GivePooled(void*) { return false; }
KeepFreedPages::KeepFreedPages() = default;
KeepFreedPages::~KeepFreedPages() {}
}  // namespace linnet

#else

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace linnet {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kAreaBytes = size_t{64} << 20;
constexpr size_t kAlign = 64;
/// Freed pages that are kept while no model is opened: a run that makes tensors finds those of the run before.
constexpr size_t kKeptBytesMax = size_t{32} << 20;

size_t RoundTo(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

enum class Use : uint8_t { kUsed, kKept, kEmpty };

struct Range {
  std::byte* begin;
  size_t bytes;
  Use use;
};

/// A mapping; its ranges cover it in order, and no two neighbours are free alike.
struct Area {
  std::byte* begin = nullptr;
  size_t bytes = 0;
  std::vector<Range> ranges;
  bool first_is_large = false;

  bool Holds(const void* memory) const { return memory >= begin && memory < begin + bytes; }
};

class Pool {
 public:
  /// Never destroyed: blocks may outlive every other static.
  static Pool& Shared() {
    static Pool& pool = *new Pool();
    return pool;
  }

  void* Take(size_t bytes) {
    bytes = RoundTo(bytes, kAlign);
    Lock lock(mutex_);
    Place place = Find(bytes);
    if (!place.area) {
      if (!AddArea(bytes)) return nullptr;
      place = Find(bytes);
    }
    std::vector<Range>& ranges = place.area->ranges;
    ranges.reserve(ranges.size() + 1);  // may fail, before anything has changed
    Range& range = ranges[place.index];
    if (range.use == Use::kKept) kept_bytes_ -= bytes;
    if (range.use == Use::kEmpty && keepers_ == 0) EndInSmallPages(range.begin, bytes);
    std::byte* memory = range.begin;
    if (range.bytes > bytes) {
      const Range rest = {range.begin + bytes, range.bytes - bytes, range.use};
      range.bytes = bytes;
      range.use = Use::kUsed;
      ranges.insert(ranges.begin() + static_cast<ptrdiff_t>(place.index) + 1, rest);
    } else {
      range.use = Use::kUsed;
    }
    return memory;
  }

  bool Give(void* memory) {
    Lock lock(mutex_);
    for (size_t a = 0; a < areas_.size(); ++a) {
      Area& area = areas_[a];
      if (!area.Holds(memory)) continue;
      const size_t at = IndexOf(area, memory);
      Range& range = area.ranges[at];
      range.use = Use::kKept;
      kept_bytes_ += range.bytes;
      if (keepers_ == 0 && kept_bytes_ > kKeptBytesMax) Empty(range);
      Join(area, at);
      if (keepers_ == 0) DropIfFree(a);
      return true;
    }
    return false;
  }

  void AddKeeper() {
    Lock lock(mutex_);
    ++keepers_;
  }
  void RemoveKeeper() {
    Lock lock(mutex_);
    if (--keepers_ > 0) return;
    for (size_t a = areas_.size(); a-- > 0;) {
      std::vector<Range>& ranges = areas_[a].ranges;
      for (Range& range : ranges) {
        if (range.use == Use::kKept) Empty(range);
      }
      size_t to = 0;
      for (size_t from = 1; from < ranges.size(); ++from) {
        if (ranges[to].use == Use::kEmpty && ranges[from].use == Use::kEmpty) {
          ranges[to].bytes += ranges[from].bytes;
        } else {
          ranges[++to] = ranges[from];
        }
      }
      ranges.resize(to + 1);
      // The rest of a huge page behind the last block came with it.
      if (ranges.back().use == Use::kEmpty) GiveBackPages(ranges.back());
      MakeFirstLarge(areas_[a]);
      DropIfFree(a);
    }
  }

 private:
  struct Place {
    Area* area = nullptr;
    size_t index = 0;
  };

  /// The smallest range that is large enough, with pages if there is one.
  Place Find(size_t bytes) {
    Place best;
    const Range* found = nullptr;
    for (Area& area : areas_) {
      for (size_t i = 0; i < area.ranges.size(); ++i) {
        const Range& range = area.ranges[i];
        if (range.use == Use::kUsed || range.bytes < bytes) continue;
        if (found && (range.use != found->use ? range.use == Use::kEmpty : range.bytes >= found->bytes)) continue;
        best = {&area, i};
        found = &range;
      }
    }
    return best;
  }

  bool AddArea(size_t bytes) {
    const size_t size = std::max(kAreaBytes, RoundTo(bytes, kHugePage));
    if (size < bytes) return false;
    areas_.reserve(areas_.size() + 1);
    std::vector<Range> ranges(1);
    const size_t mapped = size + kHugePage;
    void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    auto* from = static_cast<std::byte*>(memory);
    auto* begin = reinterpret_cast<std::byte*>(RoundTo(reinterpret_cast<uintptr_t>(memory), kHugePage));
    if (begin > from) munmap(from, static_cast<size_t>(begin - from));
    if (from + mapped > begin + size) munmap(begin + size, static_cast<size_t>(from + mapped - begin - size));
    const size_t small = areas_.empty() ? kHugePage : 0;
#if defined(MADV_HUGEPAGE)
    // A small model is not to pay for a page that it does not fill.
    if (size > small) madvise(begin + small, size - small, MADV_HUGEPAGE);
#endif
    ranges[0] = {begin, size, Use::kEmpty};
    areas_.push_back({begin, size, std::move(ranges), small == 0});
    return true;
  }

  /// A block that fills less than half of the huge page it ends in has it as small ones: while no model is opened, blocks are few, and
  /// nothing soon fills the rest.
  static void EndInSmallPages(std::byte* begin, size_t bytes) {
#if defined(MADV_NOHUGEPAGE)
    const uintptr_t first = reinterpret_cast<uintptr_t>(begin), end = first + bytes, page = end / kHugePage * kHugePage;
    if (page >= first && end > page && end - page < kHugePage / 2) madvise(begin + (page - first), kHugePage, MADV_NOHUGEPAGE);
#endif
  }

  /// What lies before an area's huge pages becomes one too, where blocks fill it: a walk through the tables of a virtual machine's
  /// pages takes as long as reading some hundred bytes.
  static void MakeFirstLarge(Area& area) {
#if defined(__linux__)
    constexpr int kCollapse = 25;   // MADV_COLLAPSE, which not all headers have and not all kernels know
    if (area.first_is_large) return;
    size_t used = 0;
    for (const Range& range : area.ranges) {
      const size_t at = static_cast<size_t>(range.begin - area.begin);
      if (range.use == Use::kUsed && at < kHugePage) used += std::min(range.bytes, kHugePage - at);
    }
    if (used < kHugePage / 8 * 7) return;
    area.first_is_large = true;
    madvise(area.begin, kHugePage, kCollapse);
#endif
  }

  static size_t IndexOf(const Area& area, const void* memory) {
    auto at = std::lower_bound(area.ranges.begin(), area.ranges.end(), memory,
                               [](const Range& range, const void* wanted) { return range.begin < wanted; });
    return static_cast<size_t>(at - area.ranges.begin());
  }

  void Empty(Range& range) {
    kept_bytes_ -= range.bytes;
    range.use = Use::kEmpty;
    GiveBackPages(range);
  }

  static void GiveBackPages(const Range& range) {
    static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t from = RoundTo(reinterpret_cast<uintptr_t>(range.begin), page);
    const uintptr_t to = reinterpret_cast<uintptr_t>(range.begin + range.bytes) / page * page;
    if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  }

  static void Join(Area& area, size_t at) {
    std::vector<Range>& ranges = area.ranges;
    if (at + 1 < ranges.size() && ranges[at + 1].use == ranges[at].use) {
      ranges[at].bytes += ranges[at + 1].bytes;
      ranges.erase(ranges.begin() + static_cast<ptrdiff_t>(at) + 1);
    }
    if (at > 0 && ranges[at - 1].use == ranges[at].use) {
      ranges[at - 1].bytes += ranges[at].bytes;
      ranges.erase(ranges.begin() + static_cast<ptrdiff_t>(at));
    }
  }

  void DropIfFree(size_t a) {
    for (const Range& range : areas_[a].ranges) {
      if (range.use != Use::kEmpty) return;
    }
    munmap(areas_[a].begin, areas_[a].bytes);
    areas_.erase(areas_.begin() + static_cast<ptrdiff_t>(a));
  }

  Mutex mutex_;
  std::vector<Area> areas_;
  size_t kept_bytes_ = 0;
  int keepers_ = 0;
};

}  // namespace

void* TakePooled(size_t bytes) { return Pool::Shared().Take(bytes); }
bool GivePooled(void* memory) { return Pool::Shared().Give(memory); }
KeepFreedPages::KeepFreedPages() { Pool::Shared().AddKeeper(); }
KeepFreedPages::~KeepFreedPages() { Pool::Shared().RemoveKeeper(); }

}  // namespace linnet
#endif
