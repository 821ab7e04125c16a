// What attention's definitions share: heads put back together, and caches in front of what is new.
#pragma once

#include "providers/reference/families.h"

namespace linnet::reference {

/// [B, heads, S, size] as [B, S, heads * size].
inline Reals Merged(const Reals& x) {
  Reals y(Shape{x.shape[0], x.shape[2], x.shape[1] * x.shape[3]});
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) { y[at] = x[Index{i[0], i[2] / x.shape[3], i[1], i[2] % x.shape[3]}]; });
  return y;
}
/// past ++ now along the positions.
inline Reals Joined(const Reals& past, const Reals& now) {
  Reals y(WithDim(now.shape, 2, past.shape[2] + now.shape[2]));
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) {
    y[at] = i[2] < past.shape[2] ? past[i] : now[Index{i[0], i[1], i[2] - past.shape[2], i[3]}];
  });
  return y;
}

}  // namespace linnet::reference
