// Best-fit gaps.
#include "compile/arena.h"

#include <algorithm>

#include "base/memory.h"

namespace linnet {
namespace {
int64_t Unit(int64_t bytes) {
  return RoundUp(std::max<int64_t>(bytes, 1), static_cast<int64_t>(kAlignment));
}
}  // namespace

void ArenaLayout::Clear() {
  gaps_.clear();
  end_ = peak_ = 0;
}

int64_t ArenaLayout::Take(int64_t bytes) {
  bytes = Unit(bytes);
  size_t best = gaps_.size();
  for (size_t i = 0; i < gaps_.size(); ++i) {
    if (gaps_[i].bytes >= bytes && (best == gaps_.size() || gaps_[i].bytes < gaps_[best].bytes)) best = i;
  }
  int64_t offset;
  if (best < gaps_.size()) {
    offset = gaps_[best].offset;
    gaps_[best].offset += bytes;
    gaps_[best].bytes -= bytes;
    if (gaps_[best].bytes == 0) gaps_.erase(gaps_.begin() + static_cast<std::ptrdiff_t>(best));
  } else {
    // Grow from a gap at the end rather than beyond it.
    bool tail = !gaps_.empty() && gaps_.back().offset + gaps_.back().bytes == end_;
    offset = tail ? gaps_.back().offset : end_;
    if (tail) gaps_.pop_back();
    end_ = offset + bytes;
  }
  peak_ = std::max(peak_, end_);
  return offset;
}

void ArenaLayout::Give(int64_t offset, int64_t bytes) {
  bytes = Unit(bytes);
  auto after = std::lower_bound(gaps_.begin(), gaps_.end(), offset,
                                [](const Gap& gap, int64_t value) { return gap.offset < value; });
  bool joins_after = after != gaps_.end() && offset + bytes == after->offset;
  bool joins_before = after != gaps_.begin() && (after - 1)->offset + (after - 1)->bytes == offset;
  if (joins_before && joins_after) {
    (after - 1)->bytes += bytes + after->bytes;
    gaps_.erase(after);
  } else if (joins_before) {
    (after - 1)->bytes += bytes;
  } else if (joins_after) {
    after->offset = offset;
    after->bytes += bytes;
  } else {
    gaps_.insert(after, {offset, bytes});
  }
}

}  // namespace linnet
