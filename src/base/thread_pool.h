// Fork-join thread pool: a short spin, then sleep; one pool a process by default.
#pragma once

#include <stdint.h>

#include "base/function_ref.h"

namespace linnet {

/// Splits loops over worker threads. The caller is always worker 0. Calls from inside a body run inline; a caller that
/// finds the pool busy runs inline too. Thread-safe.
class ThreadPool {
 public:
  /// At most `threads` workers, the caller included; threads start at the first parallel call.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// The process's pool; grows to the largest `threads` asked of ParallelFor (bounded by kThreadsMax).
  static ThreadPool& Shared();
  /// Processors this process may use: affinity and cgroup quota respected; at least 1.
  static int HardwareThreads();
  static constexpr int kThreadsMax = 64;

  /// Calls body(begin, end, worker) over disjoint ranges that cover [0, n), each at least `grain` long but the last,
  /// on up to `threads` workers; returns when all are done. Allocates nothing.
  void ParallelFor(int64_t n, int64_t grain, int threads, FunctionRef<void(int64_t, int64_t, int)> body);

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace linnet
