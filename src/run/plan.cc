// Bump memory of plans.
#include "run/plan.h"

#include <algorithm>

namespace linnet {

void* Bump::Take(size_t bytes) {
  constexpr size_t kChunk = 16 << 10;
  bytes = static_cast<size_t>(RoundUp(static_cast<int64_t>(bytes), static_cast<int64_t>(kAlignment)));
  while (chunk_ < chunks_.size()) {
    Block& block = chunks_[chunk_];
    if (used_ + bytes <= static_cast<size_t>(block.size())) {
      void* memory = block.data() + used_;
      used_ += bytes;
      return memory;
    }
    ++chunk_;
    used_ = 0;
  }
  Result<Block> block = Block::Allocate(static_cast<int64_t>(std::max(bytes, kChunk)));
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
