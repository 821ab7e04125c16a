// Arena layout: offsets for values by liveness, decided in one pass over the steps.
#pragma once

#include <stdint.h>

#include <vector>

namespace linnet {

/// Best-fit allocation of offsets. `Take` and `Give` are called in the order values come to life and die; the peak is
/// the arena's size.
class ArenaLayout {
 public:
  void Clear();
  /// Offset of `bytes` (rounded up to the alignment); zero bytes take one unit so that offsets stay distinct.
  int64_t Take(int64_t bytes);
  void Give(int64_t offset, int64_t bytes);
  int64_t peak_bytes() const { return peak_; }

 private:
  struct Gap {
    int64_t offset, bytes;
  };
  std::vector<Gap> gaps_;  ///< sorted by offset, never touching
  int64_t end_ = 0;
  int64_t peak_ = 0;
};

}  // namespace linnet
