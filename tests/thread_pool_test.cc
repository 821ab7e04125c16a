// The fork-join pool: every index once, whatever the number of threads, callers, forks and failures.
#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <fstream>
#include <new>
#include <thread>
#include <vector>

#include "base/denormals.h"

namespace linnet {
namespace {

/// What a computation leaves in the register of the modes.
#if defined(__arm__)
constexpr uint64_t kFloatFlags = 0xF800009F;   // comparisons, saturation, exceptions
#else
constexpr uint64_t kFloatFlags = 0x3F;
#endif

/// Runs one ParallelFor and checks its whole contract on the ranges seen.
void CheckCover(ThreadPool& pool, int64_t n, int64_t grain, int threads, double cost_ns = 1e9) {
  std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
  std::vector<std::atomic<int>> in_use(static_cast<size_t>(std::max(threads, 1)));
  pool.ParallelFor(n, grain, threads, [&](int64_t begin, int64_t end, int worker) {
    ASSERT_GE(worker, 0);
    ASSERT_LT(worker, std::max(threads, 1));
    EXPECT_EQ(in_use[static_cast<size_t>(worker)].fetch_add(1), 0) << "two ranges at once share a worker number";
    EXPECT_LT(begin, end);
    EXPECT_EQ(begin % std::max<int64_t>(grain, 1), 0);
    EXPECT_TRUE(end == n || end % std::max<int64_t>(grain, 1) == 0);
    for (int64_t i = begin; i < end; ++i) hits[static_cast<size_t>(i)].fetch_add(1);
    in_use[static_cast<size_t>(worker)].fetch_sub(1);
  }, cost_ns);
  for (auto& hit : hits) ASSERT_EQ(hit.load(), 1);
}

double ProcessSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Calls until a second thread took part (it may be slow to be scheduled), or gives up after 10 s.
bool EverParallel(ThreadPool& pool, int threads) {
  timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += 10;
  for (timespec now = {}; now.tv_sec < until.tv_sec; clock_gettime(CLOCK_MONOTONIC, &now)) {
    std::atomic<int> others{0};
    pool.ParallelFor(64, 1, threads, [&](int64_t, int64_t, int worker) {
      if (worker > 0) others.fetch_add(1);
      usleep(50);
    });
    if (others.load() > 0) return true;
  }
  return false;
}

TEST(ThreadPool, CoversEveryIndexOnce) {
  ThreadPool pool(4);
  for (int64_t n : {0, 1, 2, 3, 7, 8, 64, 1000, 4099}) {
    for (int64_t grain : {-1, 0, 1, 3, 16, 5000}) {
      for (int threads : {-1, 0, 1, 2, 4, 9}) {
        CheckCover(pool, n, grain, threads);
        CheckCover(pool, n, grain, threads, 20000);
      }
    }
  }
}

TEST(ThreadPool, HugeRangesDoNotOverflow) {
  ThreadPool pool(3);
  std::atomic<int64_t> total{0};
  pool.ParallelFor(INT64_MAX, int64_t{1} << 58, 3, [&](int64_t begin, int64_t end, int) { total += end - begin; });
  EXPECT_EQ(total.load(), INT64_MAX);
  // More grains than a share can count.
  total = 0;
  pool.ParallelFor(INT64_MAX, 3, 3, [&](int64_t begin, int64_t end, int) {
    EXPECT_EQ(begin % 3, 0);
    total += end - begin;
  });
  EXPECT_EQ(total.load(), INT64_MAX);
}

TEST(ThreadPool, UsesSeveralThreads) {
  ThreadPool pool(2);
  EXPECT_TRUE(EverParallel(pool, 2));
}

TEST(ThreadPool, EveryWorkerBeginsWithItsShare) {
  ThreadPool pool(2);
  ASSERT_TRUE(EverParallel(pool, 2));
  for (int round = 0; round < 20; ++round) {
    std::atomic<int64_t> first[2] = {-1, -1};
    pool.ParallelFor(64, 1, 2, [&](int64_t begin, int64_t, int worker) {
      int64_t none = -1;
      first[worker].compare_exchange_strong(none, begin);
      // Nobody takes from the other before both have begun.
      for (int i = 0; i < 100000 && first[1 - worker].load() < 0; ++i) usleep(50);
    });
    EXPECT_EQ(first[0].load(), 0);
    EXPECT_EQ(first[1].load(), 32);
  }
}

#if defined(__linux__)
TEST(ThreadPool, WorkersMayUseTheProcessorsTheyMightUse) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  ThreadPool pool(2);
  std::atomic<int> seen{0}, wrong{0};
  for (int round = 0; round < 300; ++round) {
    if (round % 3 == 0) usleep(200);   // the worker sleeps, and may wake on this processor, which it leaves
    pool.ParallelFor(2, 1, 2, [&](int64_t, int64_t, int worker) {
      usleep(20);
      if (worker == 0) return;
      cpu_set_t mine;
      ++seen;
      wrong += sched_getaffinity(0, sizeof(mine), &mine) != 0 || !CPU_EQUAL(&mine, &allowed);
    });
  }
  EXPECT_GT(seen.load(), 0);
  EXPECT_EQ(wrong.load(), 0);
}
#endif

TEST(ThreadPool, ShortCallsLetWorkersSleepButNotForEver) {
  ThreadPool pool(2);
  ASSERT_TRUE(EverParallel(pool, 2));
  usleep(20000);   // workers sleep
  int calls = 0;
  pool.ParallelFor(64, 1, 2, [&](int64_t begin, int64_t end, int worker) {
    ++calls;
    EXPECT_EQ(end - begin, 64);
    EXPECT_EQ(worker, 0);
  }, 5000);
  EXPECT_EQ(calls, 1);
  std::atomic<int> others{0};
  for (int i = 0; i < 10000 && others.load() == 0; ++i) {
    pool.ParallelFor(64, 1, 2, [&](int64_t, int64_t, int worker) {
      others.fetch_add(worker);
      usleep(10);
    }, 5000);
  }
  EXPECT_GT(others.load(), 0);
}

TEST(ThreadPool, SmallWorkAndOneThreadRunInlineInOnePiece) {
  ThreadPool pool(4);
  pthread_t self = pthread_self();
  for (int threads : {1, 4}) {
    int calls = 0;
    pool.ParallelFor(100, threads == 1 ? 1 : 100, threads, [&](int64_t begin, int64_t end, int worker) {
      ++calls;
      EXPECT_TRUE(pthread_equal(self, pthread_self()));
      EXPECT_EQ(begin, 0);
      EXPECT_EQ(end, 100);
      EXPECT_EQ(worker, 0);
    });
    EXPECT_EQ(calls, 1);
  }
}

TEST(ThreadPool, NestedCallsRunInline) {
  ThreadPool pool(4);
  std::atomic<int64_t> total{0};
  pool.ParallelFor(32, 1, 4, [&](int64_t begin, int64_t end, int) {
    pthread_t outer = pthread_self();
    for (int64_t i = begin; i < end; ++i) {
      pool.ParallelFor(100, 1, 4, [&](int64_t b, int64_t e, int worker) {
        EXPECT_TRUE(pthread_equal(outer, pthread_self()));
        EXPECT_EQ(worker, 0);
        total += e - b;
      });
    }
  });
  EXPECT_EQ(total.load(), 3200);
}

TEST(ThreadPool, ManyCallersAtOnce) {
  ThreadPool pool(4);
  std::vector<std::thread> callers;
  std::atomic<int64_t> wrong{0};
  for (int c = 0; c < 8; ++c) {
    callers.emplace_back([&, c] {
      std::vector<int64_t> out(997);
      for (int round = 0; round < 150; ++round) {
        pool.ParallelFor(997, 1 + c, 4, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) out[static_cast<size_t>(i)] = i * c + round;
        });
        for (int64_t i = 0; i < 997; ++i) wrong += out[static_cast<size_t>(i)] != i * c + round;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(ThreadPool, WakesAfterSleepingAndWithdrawsLateOffers) {
  ThreadPool pool(3);
  for (int round = 0; round < 60; ++round) {
    if (round % 3 == 0) usleep(200);  // long enough to park
    CheckCover(pool, 50, 1, 3);
  }
}

TEST(ThreadPool, CallerSleepsWhileAWorkerIsSlow) {
  ThreadPool pool(2);
  ASSERT_TRUE(EverParallel(pool, 2));
  double before = ProcessSeconds();
  for (int round = 0; round < 5; ++round) {
    pool.ParallelFor(2, 1, 2, [](int64_t, int64_t, int worker) { usleep(worker == 0 ? 10 : 20000); });
  }
  EXPECT_LT(ProcessSeconds() - before, 0.05);
}

TEST(ThreadPool, IdleCostsNothing) {
  ThreadPool pool(4);
  CheckCover(pool, 1000, 1, 4);
  usleep(20000);
  double before = ProcessSeconds();
  usleep(100000);
  EXPECT_LT(ProcessSeconds() - before, 0.002);
}

TEST(ThreadPool, WorkersRunInTheCallersFloatingPointMode) {
  ThreadPool pool(4);
  auto modes_agree = [&] {
    uint64_t control = ReadFloatMode() & ~kFloatFlags;
    pool.ParallelFor(64, 1, 4, [&](int64_t, int64_t, int) {
      EXPECT_EQ(ReadFloatMode() & ~kFloatFlags, control);
      usleep(20);
    });
  };
  modes_agree();
  FlushDenormals flush;
  modes_agree();
}

TEST(ThreadPool, AThrowingBodyBecomesBadAllocOnceAllAreDone) {
  ThreadPool pool(4);
  for (int64_t bad : {0, 31, 63}) {
    std::atomic<int> inside{0};
    EXPECT_THROW(pool.ParallelFor(64, 1, 4,
                                  [&](int64_t begin, int64_t end, int) {
                                    inside.fetch_add(1);
                                    usleep(10);
                                    inside.fetch_sub(1);
                                    if (begin <= bad && bad < end) throw std::bad_alloc();
                                  }),
                 std::bad_alloc);
    EXPECT_EQ(inside.load(), 0);
  }
  CheckCover(pool, 100, 1, 4);
}

TEST(ThreadPool, SharedPoolGrows) {
  EXPECT_EQ(&ThreadPool::Shared(), &ThreadPool::Shared());
  CheckCover(ThreadPool::Shared(), 1000, 1, 2);
  CheckCover(ThreadPool::Shared(), 1000, 1, 5);
}

TEST(ThreadPool, CreatedAndDestroyedManyTimes) {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(1 + round % 5);
    if (round % 2) CheckCover(pool, 20, 1, 4);
  }
}

#if !defined(__SANITIZE_THREAD__)  // that sanitizer cannot start threads after fork
TEST(ThreadPool, AForkedChildStartsItsOwnThreads) {
  ThreadPool pool(3);
  CheckCover(pool, 100, 1, 3);
  std::atomic<bool> stop{false};
  std::thread busy([&] {  // the fork meets a pool in use
    while (!stop) pool.ParallelFor(100, 1, 3, [](int64_t, int64_t, int) {});
  });
  for (int round = 0; round < 5; ++round) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      std::atomic<int64_t> total{0};
      pool.ParallelFor(100, 1, 3, [&](int64_t begin, int64_t end, int) { total += end - begin; });
      bool parallel = round > 0 || EverParallel(pool, 2);
      _exit(total.load() == 100 && parallel ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  stop = true;
  busy.join();
}
#if !defined(__SANITIZE_ADDRESS__)
TEST(ThreadPool, ThreadsTheSystemRefusesAreDoneWithout) {
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    ThreadPool pool(8);
    rlimit none = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_AS, &none);
    std::atomic<int64_t> total{0};
    for (int round = 0; round < 3; ++round) {
      pool.ParallelFor(100, 1, 8, [&](int64_t begin, int64_t end, int) { total += end - begin; });
    }
    _exit(total.load() == 300 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}
#endif
#endif

TEST(ThreadPool, GrainForCost) {
  EXPECT_EQ(GrainFor(1), 5000);
  EXPECT_EQ(GrainFor(1e9), 1);
  EXPECT_EQ(GrainFor(0), 5000000);
}

TEST(Cgroups, QuotaIsTheTightestOfAllAncestors) {
  std::string root = testing::TempDir() + "linnet_cgroup_" + std::to_string(getpid());
  for (const char* folder : {"", "/a", "/a/b", "/cpu,cpuacct", "/cpu,cpuacct/x"}) mkdir((root + folder).c_str(), 0700);
  std::ofstream(root + "/a/cpu.max") << "350000 100000\n";
  std::ofstream(root + "/a/b/cpu.max") << "max 100000\n";
  EXPECT_EQ(CgroupQuotaThreads(root, "0::/a/b\n"), 3);
  EXPECT_EQ(CgroupQuotaThreads(root, "0::/\n"), 0);
  EXPECT_EQ(CgroupQuotaThreads(root, "0::/no/such/place\n"), 0);
  std::ofstream(root + "/cpu.max") << "50000 100000\n";
  EXPECT_EQ(CgroupQuotaThreads(root, "0::/no/such/place\n"), 1) << "less than one processor still runs";
  std::ofstream(root + "/cpu,cpuacct/x/cpu.cfs_quota_us") << "200000\n";
  std::ofstream(root + "/cpu,cpuacct/x/cpu.cfs_period_us") << "100000\n";
  EXPECT_EQ(CgroupQuotaThreads(root, "5:memory:/x\n4:cpu,cpuacct:/x\n"), 2);
  std::ofstream(root + "/cpu,cpuacct/x/cpu.cfs_quota_us") << "-1\n";
  EXPECT_EQ(CgroupQuotaThreads(root, "4:cpu,cpuacct:/x"), 0);
  for (const char* junk : {"", ":", "::", "no colon\n\n:::", "0::"}) EXPECT_GE(CgroupQuotaThreads(root, junk), 0);
  EXPECT_GE(ThreadPool::HardwareThreads(), 1);
}

TEST(FlushDenormals, FlushesRoundsToNearestAndRestores) {
  volatile float tiny = 1e-39f, half = 0.5f, one = 1.0f, little = 1e-20f;
  std::fesetround(FE_UPWARD);
  EXPECT_GT(one + little, 1.0f);
  uint64_t before = ReadFloatMode();
  {
    FlushDenormals flush;
#if defined(__SSE__) || defined(__aarch64__) || defined(__arm__)
    EXPECT_EQ(one + little, 1.0f);
    EXPECT_EQ(tiny * half, 0.0f);
    EXPECT_EQ(tiny + tiny, 0.0f);
#endif
  }
  EXPECT_EQ(ReadFloatMode(), before);
  EXPECT_GT(one + little, 1.0f);
  std::fesetround(FE_TONEAREST);
  EXPECT_NE(tiny * half, 0.0f);
}

}  // namespace
}  // namespace linnet
