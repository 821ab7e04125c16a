// Operators that write some channels of a picture which several write, one after the other: what a Concat would have made.
#pragma once

#include "ops/op.h"
#include "ops/window_helpers.h"

namespace linnet {

/// The attributes `slice_channels`, the channels of the whole picture (0: the output is the operator's own), and `slice_first`.
struct OutputSlice {
  int64_t channels = 0, first = 0;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(channels, node.Int("slice_channels", 0));
    LINNET_ASSIGN(first, node.Int("slice_first", 0));
    return Status();
  }

  /// `y` as the operator alone would make it: float32, channels last, 4-D. Input `into`, which may be missing, is the picture as others
  /// left it; it must be as large as the output, whose memory it becomes.
  Status Infer(InferContext& c, Shape y, int into) const {
    if (channels == 0) return c.has_input(into) ? InvalidModel("an output that is no slice has nothing to go into") : Status();
    LINNET_TRY(c.CheckRank(0, 4));
    if (c.dtype(0) != DType::kFloat || y.rank() != 4 || !IsKnownDim(y[3])) return InvalidModel("only float32 pictures have slices");
    if (channels >= kWindowMax || first < 0 || first > channels - y[3]) {
      return InvalidModel(y[3], " channels from ", first, " on are no slice of ", channels);
    }
    y[3] = channels;
    if (c.has_input(into) && c.shape(into).is_static() && y.is_static() && !(c.shape(into) == y)) {
      return InvalidModel("a slice of ", ToString(y), " does not go into ", ToString(c.shape(into)));
    }
    return c.SetOutput(0, DType::kFloat, y);
  }

  /// Where the planner could not give the output the memory of `into`, its contents come first.
  void Begin(const RunContext& c, int into) const {
    if (c.has_input(into) && c.input(into) != c.output(0)) CopyElements(c.output_type(0), c.input(into), c.output(0));
  }
};

}  // namespace linnet
