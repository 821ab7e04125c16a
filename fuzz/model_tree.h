// .linnet files as trees of objects: changing what they say where offsets stay right.
#pragma once

#include <string>
#include <string_view>

#include "fuzz/model_runs.h"

namespace linnet::fuzz {

/// A file of format 2 as format 3 has it.
std::string WithSums(std::string_view file);

/// A file (with sums) of which one to three things were changed: numbers, ids, names, lists that lose, double or exchange an element.
/// Its offsets, size and sums are right, but where a change is one of those.
std::string ChangeTree(std::string_view file, Choices& choices);

}  // namespace linnet::fuzz
