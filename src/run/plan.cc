// Bump memory of plans.
#include "run/plan.h"

#include <algorithm>

namespace linnet {

void* Bump::Take(int64_t bytes) {
  constexpr int64_t kChunk = 16 << 10;
  bytes = RoundUp(bytes, static_cast<int64_t>(kAlignment));
  while (chunk_ < chunks_.size()) {
    Block& block = chunks_[chunk_];
    if (used_ + bytes <= block.size()) {
      void* memory = block.data() + used_;
      used_ += bytes;
      return memory;
    }
    ++chunk_;
    used_ = 0;
  }
  Result<Block> block = Block::Allocate(std::max(bytes, kChunk));
  if (!block.ok()) return nullptr;
  chunks_.push_back(std::move(*block));
  used_ = bytes;
  return chunks_.back().data();
}

void Bump::Clear() {
  chunk_ = 0;
  used_ = 0;
}

}  // namespace linnet
