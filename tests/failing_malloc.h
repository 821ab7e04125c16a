// Makes the n-th allocation of this process fail, whoever asks for it: operator new, Block, the C library.
#pragma once

#include <stdint.h>

namespace linnet {

/// False under sanitizers, which bring an allocator of their own.
bool CanFailAllocations();
/// From now on the allocation number `n` (0 is the next one) fails, and `more` after it.
void FailAllocation(int64_t n, int64_t more = 0);
/// Ends that. True when an allocation has failed.
bool StopFailingAllocations();

}  // namespace linnet
