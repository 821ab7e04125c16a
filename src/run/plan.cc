// Bump memory of plans; which outputs may lie over inputs.
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

namespace {

const Place& RootPlace(const Plan& plan, ValueId id) {
  const Place& place = plan.places[static_cast<size_t>(id)];
  return place.kind == Place::kAlias ? plan.places[static_cast<size_t>(place.root)] : place;
}

}  // namespace

void NoteSharing(Plan& plan, size_t input_count, const std::vector<int32_t>& needed_until) {
  plan.read_until.assign(input_count, -1);
  plan.written_from.assign(plan.outputs.size(), INT32_MAX);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const NodeIo& io = *plan.steps[i].io;
    for (ValueId id : io.inputs) {
      if (id == kNoValue) continue;
      const Place& place = RootPlace(plan, id);
      if (place.kind == Place::kInput) plan.read_until[static_cast<size_t>(place.offset)] = static_cast<int32_t>(i);
    }
    for (ValueId id : io.outputs) {
      if (id == kNoValue) continue;
      const Place& place = plan.places[static_cast<size_t>(id)];
      if (place.kind != Place::kOutput) continue;
      int32_t& from = plan.written_from[static_cast<size_t>(place.offset)];
      from = std::min(from, static_cast<int32_t>(i));
    }
  }
  for (const Copy& copy : plan.copies) {
    plan.written_from[static_cast<size_t>(copy.output)] = static_cast<int32_t>(plan.steps.size());
    const Place& place = RootPlace(plan, copy.from);
    if (place.kind == Place::kInput) plan.read_until[static_cast<size_t>(place.offset)] = INT32_MAX;
  }
  for (size_t v = 0; plan.boundary && v < plan.places.size(); ++v) {
    const Place& place = plan.places[v];
    if (place.kind == Place::kInput && needed_until[v] >= static_cast<int32_t>(plan.next_node)) {
      plan.read_until[static_cast<size_t>(place.offset)] = INT32_MAX;
    }
  }
}

bool MayLieOver(const Plan& plan, int32_t output, int32_t input) {
  if (plan.written_from.empty()) return false;   // nobody noted
  const int32_t written = plan.written_from[static_cast<size_t>(output)], read = plan.read_until[static_cast<size_t>(input)];
  if (written == INT32_MAX || read < written) return true;
  if (read > written) return false;
  for (const Over& over : plan.overs) {
    const Place &in = plan.places[static_cast<size_t>(over.in)], &root = RootPlace(plan, over.in);
    const Place& out = plan.places[static_cast<size_t>(over.out)];
    if (over.step != read || root.kind != Place::kInput || root.offset != input) continue;
    if (out.kind == Place::kOutput && out.offset == output && (in.kind != Place::kAlias || in.offset == 0)) return true;
  }
  return false;
}

}  // namespace linnet
