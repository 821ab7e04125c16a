// What the process has used so far.
#pragma once

#include <stdint.h>
#include <sys/resource.h>

namespace linnet::cli {

/// Most resident memory of this process, ever.
inline int64_t PeakRssBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace linnet::cli
