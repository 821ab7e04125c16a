// Fork-join thread pool: a short spin, then sleep; one pool a process by default.
#pragma once

#include <stdint.h>

#include <string_view>

#include "base/function_ref.h"

namespace linnet {

/// Splits loops over worker threads. The caller takes part. Calls from inside a body run inline; concurrent callers
/// share the workers, and one that finds none free runs inline. Thread-safe. Threads start at the first parallel call,
/// spin at most 50 us after their last one and then sleep; a forked child starts its own. When the system refuses
/// threads, those that exist do the work.
class ThreadPool {
 public:
  /// At most `threads` workers, the caller included (bounded by kThreadsMax).
  explicit ThreadPool(int threads);
  /// No call may be in flight.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// The process's pool; grows to the largest `threads` asked of ParallelFor (bounded by kThreadsMax).
  static ThreadPool& Shared();
  /// Processors this process may use now: affinity and cgroup quota respected; at least 1. Reads files: not for loops.
  static int HardwareThreads();
  static constexpr int kThreadsMax = 64;

  /// Calls body(begin, end, worker) over disjoint ranges that cover [0, n) and returns when all are done. `begin` is a
  /// multiple of `grain`, and so is `end` unless it is n. worker is in [0, threads), and no two calls in flight share
  /// one; a call that runs inline is body(0, n, 0). Every worker begins with a share of its own, the same part of [0, n)
  /// in every call, so that what one call leaves in a worker's cache is there for the next; who has finished takes from
  /// the others. Results must not depend on the split. `cost_ns`: a rough cost of it all; workers that sleep are woken for
  /// long calls, and when many short ones have gone without them.
  /// Workers run in the caller's floating-point mode. Allocates nothing once the threads exist. When a body throws
  /// (a failed small allocation), the rest is skipped and the call throws std::bad_alloc after all workers left it.
  void ParallelFor(int64_t n, int64_t grain, int threads, FunctionRef<void(int64_t, int64_t, int)> body,
                   double cost_ns = 1e9);

 private:
  struct Impl;
  Impl* impl_;
};

/// Least work worth a chunk, in nanoseconds: below it the hand-over costs more than it gains.
inline constexpr double kChunkNs = 5000;

/// The `grain` that makes chunks of kChunkNs when one item costs `ns_per_item`.
inline int64_t GrainFor(double ns_per_item) {
  return ns_per_item >= kChunkNs ? 1 : ns_per_item < 1e-3 ? int64_t{5000000} : static_cast<int64_t>(kChunkNs / ns_per_item);
}

/// Whole processors that the CPU quotas of a process's control groups leave it, or 0 when none is set. `root` is the
/// mount point ("/sys/fs/cgroup"), `membership` the contents of /proc/self/cgroup.
int CgroupQuotaThreads(std::string_view root, std::string_view membership);

}  // namespace linnet
