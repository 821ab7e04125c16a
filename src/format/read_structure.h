// Whether bytes are a well-formed flatbuffer of schema/linnet.fbs: what flatbuffers' own verifier checks, from a table of the schema
// instead of a function for each of its types.
#pragma once

#include <stddef.h>

#include <string_view>

namespace linnet {

/// Tables nest at most `depth_max` deep. True: every offset, vector, string and number reached from the root by the accessors that
/// flatc makes lies inside `file`.
bool VerifyStructure(std::string_view file, size_t depth_max);

}  // namespace linnet
