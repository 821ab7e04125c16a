// The fork-join pool: one slot a worker, and in each slot one word that says everything.
//
//              offer                    worker takes it              worker is done
//     idle ──────────────▶ offered(job) ──────────────▶ running(job) ──────────────▶ idle
//      ▲ │ 40 us without work   │ the caller finished        │ caller sleeps           ▲
//      │ ▼                      │ first and withdraws        ▼                         │
//     parked ◀─ ─ ─ ─ ─ ─ ─     └────▶ idle             awaited(job) ──────────────────┘
//
// A caller offers its job to as many idle or parked workers as it wants, deals chunks to itself until none is left, then
// withdraws the offers nobody took up and waits for the others. So a sleeping worker that wakes late costs nothing but
// the wake-up, the job can live on the caller's stack, and several callers simply find different workers idle. Every
// transition is an atomic read-modify-write, so each one publishes what happened before it. A slot's mutex and condition
// serve only to sleep: at any time at most one thread sleeps on a slot, the worker (parked) or a caller (awaited).
#include "base/thread_pool.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <new>

#include "base/denormals.h"

namespace linnet {
namespace {

using Body = FunctionRef<void(int64_t, int64_t, int)>;

constexpr int64_t kSpinNs = 40000;
constexpr int kChunksPerWorker = 4;
constexpr size_t kStackBytes = 1 << 20;  // of address space; only what is touched is memory

/// A call in flight. Aligned so that the low bits of its address are free for the slot's state.
struct alignas(64) Job {
  Body body;
  int64_t n, chunk, chunks;
  uint64_t float_mode;
  std::atomic<int64_t> next{0};
  std::atomic<int> next_worker{1};
  std::atomic<bool> failed{false};
};

// A slot's word: one of the first three, or a job's address plus a tag.
constexpr uintptr_t kIdle = 0, kParked = 2, kStopped = 4;
constexpr uintptr_t kOffered = 0, kRunning = 1, kAwaited = 3;
uintptr_t Word(const Job& job, uintptr_t tag) { return reinterpret_cast<uintptr_t>(&job) + tag; }
bool HoldsJob(uintptr_t word) { return word > kStopped; }
Job& JobOf(uintptr_t word) { return *reinterpret_cast<Job*>(word & ~uintptr_t{3}); }

/// True in workers, and in callers while they deal chunks: calls from there run inline.
thread_local bool inside_body = false;

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

/// The processor this thread runs on, -1 when the system does not say.
int CurrentCpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

/// Waits for `done` at most `spin_ns`; false when it gave up.
template <class Done>
bool SpinUntil(int64_t spin_ns, Done done) {
  if (spin_ns == 0) return done();
  for (int64_t deadline = NowNs() + spin_ns;;) {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      Pause();
    }
    if (NowNs() >= deadline) return false;
  }
}

/// Deals chunks of `job` to this thread until none is left.
void Work(Job& job, int worker) {
  auto deal = [&] {
    for (;;) {
      int64_t i = job.next.fetch_add(1, std::memory_order_relaxed);
      if (i >= job.chunks) return;
      int64_t begin = i * job.chunk;
      job.body(begin, begin + std::min(job.chunk, job.n - begin), worker);
    }
  };
#if defined(__cpp_exceptions)
  try {
    deal();
  } catch (...) {
    job.failed.store(true, std::memory_order_relaxed);
    job.next.store(job.chunks, std::memory_order_relaxed);
  }
#else
  deal();
#endif
}

struct alignas(64) Slot {
  explicit Slot(const std::atomic<int64_t>& spin_ns) : spin_ns(spin_ns) {}

  std::atomic<uintptr_t> word{kIdle};
  const std::atomic<int64_t>& spin_ns;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_t thread{};
  std::atomic<int> waker_cpu{-1};

  bool Change(uintptr_t from, uintptr_t to) { return word.compare_exchange_strong(from, to); }
  void Sleep(uintptr_t from, uintptr_t asleep);
  void Wake();
  bool Replace(uintptr_t with);
  int64_t IdleSpinNs() const;
  bool Offer(Job& job) { return Replace(Word(job, kOffered)); }
  void Join(Job& job);
  void Loop();
};

/// Unless the word is no longer `from`: makes it `asleep` and sleeps until another thread changes it.
void Slot::Sleep(uintptr_t from, uintptr_t asleep) {
  pthread_mutex_lock(&mutex);
  if (Change(from, asleep)) {
    while (word.load() == asleep) pthread_cond_wait(&cond, &mutex);
  }
  pthread_mutex_unlock(&mutex);
}

/// Call after changing a sleeper's word. The empty critical section waits for it to be really asleep.
void Slot::Wake() {
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  pthread_cond_signal(&cond);
}

/// Hands an idle or parked worker a new word, or returns false when it is neither.
bool Slot::Replace(uintptr_t with) {
  for (uintptr_t now = word.load(std::memory_order_relaxed); now == kIdle || now == kParked;) {
    if (!word.compare_exchange_weak(now, with)) continue;
    if (now == kParked) {
      waker_cpu.store(CurrentCpu(), std::memory_order_relaxed);
      Wake();
    }
    return true;
  }
  return false;
}

/// Takes an offer back, or waits until the worker that took it up has left the job.
void Slot::Join(Job& job) {
  if (Change(Word(job, kOffered), kIdle)) return;
  uintptr_t running = Word(job, kRunning);
  if (SpinUntil(spin_ns.load(std::memory_order_relaxed), [&] { return word.load() != running; })) return;
  Sleep(running, Word(job, kAwaited));
}

/// On a busy machine the system may run a worker on the very processor of the caller that woke it: there a spinning
/// worker would only keep its caller from working.
int64_t Slot::IdleSpinNs() const {
  int cpu = CurrentCpu();
  bool takes_callers_cpu = cpu >= 0 && cpu == waker_cpu.load(std::memory_order_relaxed);
  return takes_callers_cpu ? 0 : spin_ns.load(std::memory_order_relaxed);
}

void Slot::Loop() {
  inside_body = true;
  for (;;) {
    uintptr_t now = kIdle;
    auto something = [&] { return (now = word.load()) != kIdle; };
    if (!SpinUntil(IdleSpinNs(), something)) Sleep(kIdle, kParked);
    if (now == kStopped) return;
    if (!HoldsJob(now) || !Change(now, now + kRunning)) continue;
    Job& job = JobOf(now);
    WriteFloatMode(job.float_mode);
    Work(job, job.next_worker.fetch_add(1, std::memory_order_relaxed));
    if ((word.exchange(kIdle) & kAwaited) == kAwaited) Wake();
  }
}

void* RunSlot(void* slot) {
  static_cast<Slot*>(slot)->Loop();
  return nullptr;
}

/// Starts the slot's thread: small stack, and no signals but those that report its own faults (and profiling).
bool StartThread(Slot& slot) {
  pthread_attr_t attr;
  if (pthread_attr_init(&attr) != 0) return false;
  pthread_attr_setstacksize(&attr, std::max<size_t>(kStackBytes, static_cast<size_t>(PTHREAD_STACK_MIN)));
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  bool started = pthread_create(&slot.thread, &attr, RunSlot, &slot) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attr);
#if defined(__linux__)
  if (started) pthread_setname_np(slot.thread, "linnet");
#endif
  return started;
}

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int threads);

  int workers_max;                        ///< beside the caller
  std::atomic<int> workers_allowed;       ///< workers_max until the system refuses a thread; -1 once stopped
  std::atomic<int> started{0};            ///< slots[0, started) have a thread
  std::atomic<int> callers{0};            ///< calls in flight that want workers
  std::atomic<int64_t> spin_ns{kSpinNs};  ///< 0 when there are more threads than processors
  Slot* slots[kThreadsMax] = {};
  Impl *previous = nullptr, *next = nullptr;

  void Grow(int workers);
  void Stop();
  void Unlist();

  // Every pool of the process. The mutex also guards thread creation and is held across fork, so that a child finds
  // both whole.
  static pthread_mutex_t mutex;
  static Impl* all;
  static void BeforeFork() { pthread_mutex_lock(&mutex); }
  static void InParent() { pthread_mutex_unlock(&mutex); }
  static void InChild();
};

pthread_mutex_t ThreadPool::Impl::mutex = PTHREAD_MUTEX_INITIALIZER;
ThreadPool::Impl* ThreadPool::Impl::all = nullptr;

ThreadPool::Impl::Impl(int threads)
    : workers_max(std::clamp(threads, 1, kThreadsMax) - 1), workers_allowed(workers_max) {
  static const int handlers = pthread_atfork(BeforeFork, InParent, InChild);
  (void)handlers;
  pthread_mutex_lock(&mutex);
  next = all;
  if (next) next->previous = this;
  all = this;
  pthread_mutex_unlock(&mutex);
}

void ThreadPool::Impl::Unlist() {
  pthread_mutex_lock(&mutex);
  if (next) next->previous = previous;
  (previous ? previous->next : all) = next;
  pthread_mutex_unlock(&mutex);
}

/// Only the forking thread lives on: every slot is without a thread again, whatever its mutex went through.
void ThreadPool::Impl::InChild() {
  for (Impl* pool = all; pool; pool = pool->next) {
    for (Slot* slot : pool->slots) {
      if (slot) new (slot) Slot(pool->spin_ns);
    }
    pool->started.store(0);
    pool->callers.store(0);
    if (pool->workers_allowed.load() >= 0) pool->workers_allowed.store(pool->workers_max);
  }
  pthread_mutex_unlock(&mutex);
}

/// Starts threads until there are `workers`, or until the system refuses one.
void ThreadPool::Impl::Grow(int workers) {
  if (started.load(std::memory_order_acquire) >= std::min(workers, workers_allowed.load())) return;
  int64_t processors = HardwareThreads();
  pthread_mutex_lock(&mutex);
  while (started.load() < std::min(workers, workers_allowed.load())) {
    int index = started.load();
    void* memory = slots[index];
    bool ok = memory || posix_memalign(&memory, alignof(Slot), sizeof(Slot)) == 0;
    if (ok) {
      slots[index] = new (memory) Slot(spin_ns);
      ok = StartThread(*slots[index]);
    }
    if (!ok) {
      workers_allowed.store(index);
      break;
    }
    started.store(index + 1, std::memory_order_release);
    if (index + 2 > processors) spin_ns.store(0);
  }
  pthread_mutex_unlock(&mutex);
}

/// Ends the threads that have no work; a busy one (the process exits in the middle of a call) is left alone.
void ThreadPool::Impl::Stop() {
  pthread_mutex_lock(&mutex);
  workers_allowed.store(-1);
  int count = started.load();
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < count; ++i) {
    if (slots[i]->Replace(kStopped)) pthread_join(slots[i]->thread, nullptr);
  }
}

ThreadPool::ThreadPool(int threads) : impl_(new Impl(threads)) {}

ThreadPool::~ThreadPool() {
  impl_->Unlist();
  impl_->Stop();
  for (Slot* slot : impl_->slots) free(slot);
  delete impl_;
}

/// Never destroyed, so that code which runs during exit may still call it (inline); but its sleeping threads must be gone
/// before a library that holds this code is unloaded, which is when a library's atexit functions run.
ThreadPool& ThreadPool::Shared() {
  alignas(ThreadPool) static unsigned char memory[sizeof(ThreadPool)];
  static ThreadPool* pool = [] {
    ThreadPool* made = new (memory) ThreadPool(kThreadsMax);
    atexit([] { reinterpret_cast<ThreadPool*>(memory)->impl_->Stop(); });
    return made;
  }();
  return *pool;
}

void ThreadPool::ParallelFor(int64_t n, int64_t grain, int threads, Body body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  int64_t grains = n / grain + (n % grain != 0);
  int wanted = static_cast<int>(std::min<int64_t>({grains, threads, impl_->workers_max + 1})) - 1;
  if (wanted <= 0 || inside_body) return body(0, n, 0);

  // Callers are busy threads too: each one in flight leaves a worker fewer to the others.
  struct Caller {
    explicit Caller(std::atomic<int>& count) : count(count), others(count.fetch_add(1)) {}
    ~Caller() { count.fetch_sub(1); }
    std::atomic<int>& count;
    int others;
  };
  impl_->Grow(wanted);
  Caller caller(impl_->callers);
  int started = impl_->started.load(std::memory_order_acquire);
  wanted = std::min(wanted, started - caller.others);
  if (wanted <= 0) return body(0, n, 0);

  int64_t grains_per_chunk = std::max<int64_t>(1, grains / (kChunksPerWorker * (wanted + 1)));
  Job job{body, n, grain * grains_per_chunk, 0, ReadFloatMode()};
  job.chunks = n / job.chunk + (n % job.chunk != 0);
  uint64_t offered = 0;
  for (int i = 0, taken = 0; i < started && taken < wanted; ++i) {
    if (!impl_->slots[i]->Offer(job)) continue;
    offered |= uint64_t{1} << i;
    ++taken;
  }
  inside_body = true;
  Work(job, 0);
  inside_body = false;
  for (; offered; offered &= offered - 1) impl_->slots[__builtin_ctzll(offered)]->Join(job);
#if defined(__cpp_exceptions)
  if (job.failed.load(std::memory_order_relaxed)) throw std::bad_alloc();
#endif
}

}  // namespace linnet
