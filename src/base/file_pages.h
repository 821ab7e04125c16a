// Bringing mapped pages in at once.
#pragma once

#include <stdint.h>

namespace linnet {

/// Maps the pages of [data, data + bytes), which are about to be read: one call instead of a fault for every few pages. A hint.
void PopulatePages(const void* data, int64_t bytes);

}  // namespace linnet
