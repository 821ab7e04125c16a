// What GatherND and ScatterND share: tuples of indices that name slices of a tensor.
#pragma once

#include "ops/movement.h"

namespace linnet {

/// Tuples of `width` indices into axes [first, first + width) of a tensor; what follows those axes is a slice.
struct IndexTuples {
  int32_t width = 0, first = 0;
  int64_t count = 0;               ///< tuples in all
  int64_t slice = 1;               ///< elements of a slice
  int64_t size[kMaxRank], step[kMaxRank];

  /// `indices` is [..., width]; data has the axes `first` + width + slice.
  void Set(const Shape& data, const Shape& indices, int first_axis) {
    width = static_cast<int32_t>(indices[indices.rank() - 1]);
    first = first_axis;
    count = indices.Product(0, indices.rank() - 1);
    Strides strides(data);
    for (int i = 0; i < width; ++i) {
      size[i] = data[first + i];
      step[i] = strides[first + i];
    }
    slice = data.Product(first + width, data.rank());
  }
  /// Offset of the slice that `tuple` names, or -1 when an index is outside.
  int64_t Offset(const int64_t* tuple) const {
    int64_t offset = 0;
    for (int i = 0; i < width; ++i) {
      int64_t index = tuple[i] < 0 ? tuple[i] + size[i] : tuple[i];
      if (index < 0 || index >= size[i]) return -1;
      offset += index * step[i];
    }
    return offset;
  }
  Status Check(const int64_t* tuple) const {
    for (int i = 0; i < width; ++i) LINNET_TRY(CheckIndices(tuple + i, 1, size[i], first + i));
    return Status();
  }
};

}  // namespace linnet
