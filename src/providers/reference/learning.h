// What classical machine-learning operators share: rows of features, transforms of scores, labels.
#pragma once

#include "providers/reference/call.h"

namespace linnet::reference {

/// Input 0 as [rows, features]; a vector is one row.
Reals Features(const Call& c);
/// Attribute post_transform applied to each row of scores.
void Transform(const std::string& name, Reals* scores);
/// Writes output 0: for each row the label that `index` picks from attributes `ints` or `strings`; a number itself where
/// there are no labels; "" or 0 for a negative index.
Status PutLabels(const Call& c, const std::vector<int64_t>& index, std::string_view ints, std::string_view strings);

}  // namespace linnet::reference
