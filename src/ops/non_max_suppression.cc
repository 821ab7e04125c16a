// NonMaxSuppression: of boxes that overlap too much, the best-scored one stays; for each batch entry and class.
//
// Boxes are taken in order of score (a higher index later among equals; NaN never) until the limit of boxes is reached;
// one is kept when its overlap (intersection over union) with every kept one is at most the threshold. A heap gives the
// order, so that scores below the last box taken are never sorted.
#include <algorithm>

#include "ops/movement.h"

namespace linnet {
namespace {

struct Box {
  float left, top, right, bottom, area;
};

bool Overlaps(const Box& a, const Box& b, float threshold) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (!(width > 0 && height > 0 && a.area > 0 && b.area > 0)) return false;
  const float both = width * height, either = a.area + b.area - both;
  return either > 0 && both / either > threshold;
}

struct NonMaxSuppression {
  bool centered = false;

  struct Candidate {
    float score;
    int32_t index;
  };
  struct Selected {
    int64_t batch, category, box;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t center, node.Int("center_point_box", 0));
    if (center != 0 && center != 1) return InvalidModel("attribute 'center_point_box' is ", center);
    centered = center == 1;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 5));
    for (int i : {0, 1, 3, 4}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    LINNET_TRY(c.CheckType(2, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckRank(0, 3));
    LINNET_TRY(c.CheckRank(1, 3));
    const Shape &boxes = c.shape(0), &scores = c.shape(1);
    if (boxes.has_rank() && IsKnownDim(boxes[2]) && boxes[2] != 4) return InvalidArgument("boxes have ", boxes[2], " numbers where 4 are expected");
    if (boxes.has_rank() && scores.has_rank()) {
      auto differ = [](int64_t a, int64_t b) { return IsKnownDim(a) && IsKnownDim(b) && a != b; };
      if (differ(boxes[0], scores[0]) || differ(boxes[1], scores[2])) {
        return InvalidArgument("boxes of shape ", ToString(boxes), " do not match scores of shape ", ToString(scores));
      }
    }
    for (int i = 2; i < c.input_count(); ++i) {
      if (c.has_input(i) && c.shape(i).is_static() && c.shape(i).elements() > 1) {
        return InvalidArgument("input ", i, " has shape ", ToString(c.shape(i)), " where a scalar is expected");
      }
    }
    return c.SetOutput(0, DType::kInt64, {kUnknownDim, 3});
  }

  Box Normalized(const float* b) const {
    Box box;
    if (centered) {
      box = {b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2, 0};
    } else {
      box = {std::min(b[1], b[3]), std::min(b[0], b[2]), std::max(b[1], b[3]), std::max(b[0], b[2]), 0};
    }
    box.area = (box.right - box.left) * (box.bottom - box.top);
    return box;
  }
  static bool Given(const RunContext& c, int i) { return c.has_input(i) && c.input_shape(i).elements() > 0; }

  Status Run(RunContext& c) const {
    const int64_t batches = c.input_shape(0)[0], boxes = c.input_shape(0)[1], classes = c.input_shape(1)[1];
    const int64_t most = std::clamp<int64_t>(Given(c, 2) ? *c.in<int64_t>(2) : 0, 0, boxes);
    const float threshold = Given(c, 3) ? *c.in<float>(3) : 0;
    const bool scored = Given(c, 4);
    const float lowest = scored ? *c.in<float>(4) : 0;

    LINNET_ASSIGN(Block heap_memory, Block::Allocate(boxes * static_cast<int64_t>(sizeof(Candidate)), c.budget()));
    LINNET_ASSIGN(Block kept_memory, Block::Allocate(most * static_cast<int64_t>(sizeof(Box)), c.budget()));
    auto* heap = reinterpret_cast<Candidate*>(heap_memory.data());
    auto* kept = reinterpret_cast<Box*>(kept_memory.data());
    Block found_memory;
    int64_t found = 0, room = 0;
    auto behind = [](const Candidate& a, const Candidate& b) {
      return a.score < b.score || (a.score == b.score && a.index > b.index);
    };
    for (int64_t line = 0; line < batches * classes && most > 0; ++line) {
      const float* scores = c.in<float>(1) + line * boxes;
      const float* corners = c.in<float>(0) + line / classes * boxes * 4;
      int64_t candidates = 0, selected = 0;
      for (int64_t i = 0; i < boxes; ++i) {
        bool taken = scored ? scores[i] > lowest : scores[i] == scores[i];
        if (taken) heap[candidates++] = {scores[i], static_cast<int32_t>(i)};
      }
      std::make_heap(heap, heap + candidates, behind);
      while (candidates > 0 && selected < most) {
        std::pop_heap(heap, heap + candidates, behind);
        const int64_t index = heap[--candidates].index;
        const Box box = Normalized(corners + index * 4);
        bool suppressed = false;
        for (int64_t k = 0; k < selected && !suppressed; ++k) suppressed = Overlaps(box, kept[k], threshold);
        if (suppressed) continue;
        kept[selected++] = box;
        if (selected % 256 == 0) LINNET_TRY(c.CheckStop());
        if (found == room) {
          room = std::max<int64_t>(256, room * 2);
          LINNET_ASSIGN(Block grown, Block::Allocate(room * static_cast<int64_t>(sizeof(Selected)), c.budget()));
          if (found) memcpy(grown.data(), found_memory.data(), static_cast<size_t>(found) * sizeof(Selected));
          found_memory = std::move(grown);
        }
        reinterpret_cast<Selected*>(found_memory.data())[found++] = {line / classes, line % classes, index};
      }
      LINNET_TRY(c.CheckStop());
    }
    LINNET_ASSIGN(void* out, c.AllocateOutput(0, DType::kInt64, {found, 3}));
    if (found) memcpy(out, found_memory.data(), static_cast<size_t>(found) * sizeof(Selected));
    return Status();
  }
};

}  // namespace

LINNET_OP(NonMaxSuppression, 10, NonMaxSuppression);

}  // namespace linnet
