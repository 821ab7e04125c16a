// How many heap allocations this process has made: operator new and large blocks.
#pragma once

#include <stdint.h>

namespace linnet::cli {
int64_t HeapAllocations();
}
