// The equation of Einsum as index numbers: "ij,jk->ik", ellipses, implicit outputs.
#pragma once

#include <stdint.h>

#include <span>
#include <string_view>
#include <vector>

#include "graph/shape.h"

namespace linnet {

/// Indices: 0-25 'A'-'Z', 26-51 'a'-'z' (so in ASCII order), 52-59 the dimensions of an ellipsis, the last one always 59.
inline constexpr int kEinsumIndices = 52 + kMaxRank;
inline constexpr int8_t kEinsumEllipsis = -1;

/// A term: letters, and kEinsumEllipsis at most once.
struct EinsumTerm {
  int8_t items[kMaxRank + 1];
  int8_t count = 0;
  bool has_ellipsis = false;
};

struct EinsumEquation {
  std::vector<EinsumTerm> inputs;
  EinsumTerm output;
};

Result<EinsumEquation> ParseEinsum(std::string_view text);

/// The indices of a term for a tensor of `rank` dimensions, or a failure when they do not fit.
struct EinsumIndices {
  int8_t list[kMaxRank];
  int count = 0;
  std::span<const int8_t> span() const { return {list, static_cast<size_t>(count)}; }
};
Result<EinsumIndices> ExpandTerm(const EinsumTerm& term, int rank);

}  // namespace linnet
