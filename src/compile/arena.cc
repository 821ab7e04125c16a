// Best-fit gaps in order of time, or of size.
#include "compile/arena.h"

#include <algorithm>

#include "base/memory.h"

namespace linnet {
namespace {

/// Less than this is not worth another layout, nor are many small pieces, whose number counts squared.
constexpr int64_t kWorthBytes = 256 << 10;
constexpr size_t kPiecesMax = 2000;

int64_t Unit(int64_t bytes) {
  return RoundUp(std::max<int64_t>(bytes, 1), static_cast<int64_t>(kAlignment));
}

}  // namespace

void ArenaLayout::Clear() {
  pieces_.clear();
  gaps_.clear();
  tick_ = 0;
  end_ = peak_ = live_ = live_peak_ = 0;
}

int64_t ArenaLayout::Take(int64_t bytes) {
  bytes = Unit(bytes);
  live_ += bytes;
  live_peak_ = std::max(live_peak_, live_);
  pieces_.push_back({BestFit(bytes), bytes, tick_++, INT32_MAX});
  return static_cast<int64_t>(pieces_.size()) - 1;
}

int64_t ArenaLayout::BestFit(int64_t bytes) {
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

void ArenaLayout::Give(int64_t piece) {
  Piece& given = pieces_[static_cast<size_t>(piece)];
  given.end = tick_++;
  const int64_t offset = given.offset, bytes = given.bytes;
  live_ -= bytes;
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

void ArenaLayout::Lay() {
  if (peak_ - live_peak_ < std::max(kWorthBytes, live_peak_ / 32) || pieces_.size() > kPiecesMax) return;
  LayBySize();
}

void ArenaLayout::LayBySize() {
  by_size_.resize(pieces_.size());
  for (size_t i = 0; i < by_size_.size(); ++i) by_size_[i] = static_cast<int32_t>(i);
  std::sort(by_size_.begin(), by_size_.end(), [&](int32_t a, int32_t b) {
    const int64_t left = pieces_[static_cast<size_t>(a)].bytes, right = pieces_[static_cast<size_t>(b)].bytes;
    return left != right ? left > right : a < b;
  });
  offsets_.resize(pieces_.size());
  placed_.clear();   // by offset
  int64_t peak = 0;
  for (int32_t piece : by_size_) {
    const Piece& one = pieces_[static_cast<size_t>(piece)];
    int64_t free_from = 0, best = -1, best_bytes = INT64_MAX;
    for (int32_t other : placed_) {
      const Piece& there = pieces_[static_cast<size_t>(other)];
      if (there.end < one.begin || one.end < there.begin) continue;
      const int64_t offset = offsets_[static_cast<size_t>(other)], gap = offset - free_from;
      if (gap >= one.bytes && gap < best_bytes) best = free_from, best_bytes = gap;
      free_from = std::max(free_from, offset + there.bytes);
    }
    const int64_t offset = best >= 0 ? best : free_from;
    offsets_[static_cast<size_t>(piece)] = offset;
    peak = std::max(peak, offset + one.bytes);
    if (peak >= peak_) return;   // no better than in order
    placed_.insert(std::upper_bound(placed_.begin(), placed_.end(), offset,
                                    [&](int64_t value, int32_t other) { return value < offsets_[static_cast<size_t>(other)]; }),
                   piece);
  }
  for (size_t i = 0; i < pieces_.size(); ++i) pieces_[i].offset = offsets_[i];
  peak_ = peak;
}

}  // namespace linnet
