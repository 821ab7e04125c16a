// Arena layout: offsets for values by liveness.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace linnet {

/// Pieces of memory that are taken and given back in the order values come to life and die, and where each lies.
///
/// Every piece first takes the best-fitting gap there is when it is taken. Where that leaves clearly more memory than the pieces that
/// live at the same time fill, all are laid out again, the largest first, each in the best-fitting gap among those that live while it
/// does (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020: greedy by size).
class ArenaLayout {
 public:
  void Clear();
  /// A piece of `bytes`, rounded up to the alignment; zero bytes take one unit so that offsets stay distinct.
  int64_t Take(int64_t bytes);
  void Give(int64_t piece);
  /// Decides where pieces lie; none is taken or given afterwards.
  void Lay();
  int64_t OffsetOf(int64_t piece) const { return pieces_[static_cast<size_t>(piece)].offset; }
  int64_t peak_bytes() const { return peak_; }

 private:
  struct Gap {
    int64_t offset, bytes;
  };
  struct Piece {
    int64_t offset, bytes;
    int32_t begin, end;   ///< ticks: every Take and Give is one
  };
  int64_t BestFit(int64_t bytes);
  void LayBySize();

  std::vector<Piece> pieces_;
  std::vector<Gap> gaps_;  ///< sorted by offset, never touching
  std::vector<int32_t> by_size_, placed_;
  std::vector<int64_t> offsets_;
  int32_t tick_ = 0;
  int64_t end_ = 0, peak_ = 0;
  int64_t live_ = 0, live_peak_ = 0;
};

}  // namespace linnet
