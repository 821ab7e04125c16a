// The fork-join pool: one slot a worker, and in each slot one word that says everything.
//
//              offer                    worker takes it              worker is done
//     idle ──────────────▶ offered(job) ──────────────▶ running(job) ──────────────▶ idle
//      ▲ │ 40 us without work   │ the caller finished        │ caller sleeps           ▲
//      │ ▼                      │ first and withdraws        ▼                         │
//     parked ◀─ ─ ─ ─ ─ ─ ─     └────▶ idle             awaited(job) ──────────────────┘
//
// A caller offers its job to as many idle or parked workers as it wants, works until nothing is left, then withdraws the
// offers nobody took up and waits for the others. Each worker has a share of the job: it takes from the share's front, and
// who has nothing left takes from the back of others'. Shares are the same parts of a loop in every job, so a worker finds
// in its cache what it wrote a job before; fetching it from another core's is slower than from the third level. So a sleeping worker that wakes late costs nothing but
// the wake-up, the job can live on the caller's stack, and several callers simply find different workers idle. Every
// transition is an atomic read-modify-write, so each one publishes what happened before it. A slot's mutex and condition
// serve only to sleep: at any time at most one thread sleeps on a slot, the worker (parked) or a caller (awaited).
#include "base/thread_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <new>

#include "base/denormals.h"
#include "base/system.h"

namespace linnet {
namespace {

using Body = FunctionRef<void(int64_t, int64_t, int)>;

constexpr int64_t kSpinNs = 150000;
constexpr int64_t kBites = 8;            // at least so many go into a share that has so many grains,
constexpr double kWholeNs = 50000;       // but where the call is this short, a share is one bite
// Waking a sleeping worker costs the caller ten microseconds, and thirty pass before it works: a worker's share should be
// this long. Where calls are shorter, so many nanoseconds of them go by before workers are woken for those to come.
constexpr double kWorthWakingNs = 12000;
constexpr int64_t kPatienceNs = 300000;
constexpr size_t kStackBytes = 1 << 20;  // of address space; only what is touched is memory

/// What is left of a worker's part of a job: grains [front, back), in one word.
struct alignas(64) Share {
  std::atomic<uint64_t> left;

  static uint64_t Pack(int64_t front, int64_t back) { return static_cast<uint64_t>(front) << 32 | static_cast<uint64_t>(back); }
  Share(int64_t front, int64_t back) : left(Pack(front, back)) {}
  /// Half of what is left, but not less than `least`, from the front or the back; false when nothing is.
  bool Take(int64_t least, bool from_front, int64_t* begin, int64_t* end) {
    for (uint64_t now = left.load(std::memory_order_relaxed);;) {
      const int64_t front = static_cast<int64_t>(now >> 32), back = static_cast<int64_t>(now & 0xffffffffu);
      if (front >= back) return false;
      const int64_t bite = std::min(back - front, std::max(least, (back - front + 1) / 2));
      *begin = from_front ? front : back - bite;
      *end = *begin + bite;
      const uint64_t rest = from_front ? Pack(*end, back) : Pack(front, *begin);
      if (left.compare_exchange_weak(now, rest, std::memory_order_relaxed)) return true;
    }
  }
};

/// A call in flight. Aligned so that the low bits of its address are free for the slot's state.
struct alignas(64) Job {
  explicit Job(Body body) : body(body) {}
  Body body;
  int64_t n = 0, grain = 1, grains = 0;
  int64_t least = 1;   ///< grains of a bite
  int workers = 1;
  uint64_t float_mode = 0;
  std::atomic<bool> failed{false};
  uint8_t worker_of[ThreadPool::kThreadsMax];   ///< by slot, of those it is offered to
  alignas(64) unsigned char memory[ThreadPool::kThreadsMax * sizeof(Share)];   ///< of which `workers` are made

  Share& share(int worker) { return reinterpret_cast<Share*>(memory)[worker]; }
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

/// Does what is left of `job`: the worker's own share first, then the others'.
void Work(Job& job, int worker) {
  auto work = [&] {
    for (int i = 0; i < job.workers; ++i) {
      Share& share = job.share((worker + i) % job.workers);
      for (int64_t begin, end; share.Take(job.least, i == 0, &begin, &end);) {
        job.body(begin * job.grain, end == job.grains ? job.n : end * job.grain, worker);
      }
    }
  };
#if defined(__cpp_exceptions)
  try {
    work();
  } catch (...) {
    job.failed.store(true, std::memory_order_relaxed);
    for (int i = 0; i < job.workers; ++i) job.share(i).left.store(0, std::memory_order_relaxed);
  }
#else
  work();
#endif
}

struct alignas(64) Slot {
  Slot(int index, const std::atomic<int64_t>& spin_ns) : index(index), spin_ns(spin_ns) {}

  std::atomic<uintptr_t> word{kIdle};
  const int index;
  const std::atomic<int64_t>& spin_ns;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_t thread{};
  std::atomic<int> waker_cpu{-1};

  bool Change(uintptr_t from, uintptr_t to) { return word.compare_exchange_strong(from, to); }
  void Sleep(uintptr_t from, uintptr_t asleep);
  void Wake();
  bool Replace(uintptr_t with);
  bool TakesCallersCpu() const;
  bool Offer(Job& job) { return Replace(Word(job, kOffered)); }
  /// 0: busy; 1: it sleeps; 2: it spins.
  int Readiness() const {
    const uintptr_t now = word.load(std::memory_order_relaxed);
    return now == kIdle ? 2 : now == kParked ? 1 : 0;
  }
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

/// On a busy machine the system may run a worker on the very processor of the caller that woke it, and again the next time:
/// there a spinning worker would only keep its caller from working. True when it does and the worker could not move.
bool Slot::TakesCallersCpu() const {
  const int cpu = CurrentCpu();
  return cpu >= 0 && cpu == waker_cpu.load(std::memory_order_relaxed) && !LeaveCpu(cpu);
}

void Slot::Loop() {
  inside_body = true;
  for (;;) {
    uintptr_t now = kIdle;
    auto something = [&] { return (now = word.load()) != kIdle; };
    const int64_t spin = something() || TakesCallersCpu() ? 0 : spin_ns.load(std::memory_order_relaxed);
    if (!SpinUntil(spin, something)) Sleep(kIdle, kParked);
    if (now == kStopped) return;
    if (!HoldsJob(now) || !Change(now, now + kRunning)) continue;
    Job& job = JobOf(now);
    WriteFloatMode(job.float_mode);
    Work(job, job.worker_of[index]);
    if ((word.exchange(kIdle) & kAwaited) == kAwaited) Wake();
  }
}

void* RunSlot(void* slot) {
  static_cast<Slot*>(slot)->Loop();
  return nullptr;
}

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int threads);

  int workers_max;                        ///< beside the caller
  std::atomic<int> workers_allowed;       ///< workers_max until the system refuses a thread; -1 once stopped
  std::atomic<int> started{0};            ///< slots[0, started) have a thread
  std::atomic<int> callers{0};            ///< calls in flight that want workers
  std::atomic<int64_t> alone_ns{0};       ///< of calls since workers were last woken that went without one because it slept
  std::atomic<int64_t> spin_ns{kSpinNs};  ///< 0 when there are more threads than processors
  Slot* slots[kThreadsMax] = {};
  Impl *previous = nullptr, *next = nullptr;

  void Grow(int workers);
  int WorkersToWake(double cost_ns, int wanted);
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
  static const int handlers = AroundForks(BeforeFork, InParent, InChild);
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
    for (int i = 0; i < kThreadsMax; ++i) {
      if (pool->slots[i]) new (pool->slots[i]) Slot(i, pool->spin_ns);
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
    void* memory = slots[index] ? slots[index] : AllocateAligned(alignof(Slot), sizeof(Slot));
    bool ok = memory != nullptr;
    if (ok) {
      slots[index] = new (memory) Slot(index, spin_ns);
      ok = StartThread(&slots[index]->thread, RunSlot, slots[index], kStackBytes);
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

/// How many of the workers that a call wants may be woken if they sleep.
int ThreadPool::Impl::WorkersToWake(double cost_ns, int wanted) {
  const int worth = static_cast<int>(std::min(cost_ns / kWorthWakingNs, static_cast<double>(wanted + 1))) - 1;
  return alone_ns.load(std::memory_order_relaxed) > kPatienceNs ? wanted : std::max(worth, 0);
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
  for (Slot* slot : impl_->slots) FreeAligned(slot);
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

void ThreadPool::ParallelFor(int64_t n, int64_t grain, int threads, Body body, double cost_ns) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  // Shares count grains in 32 bits.
  if (n / grain >= int64_t{1} << 31) grain *= n / grain / (int64_t{1} << 31) + 1;
  const int64_t grains = n / grain + (n % grain != 0);
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
  const int started = impl_->started.load(std::memory_order_acquire);
  wanted = std::min(wanted, started - caller.others);
  if (wanted <= 0) return body(0, n, 0);

  Job job(body);
  uint64_t asked = 0;
  int workers = 1, asleep = 0, wake = impl_->WorkersToWake(cost_ns, wanted);
  for (int i = 0; i < started && workers <= wanted; ++i) {
    const int ready = impl_->slots[i]->Readiness();
    if (ready == 0 || (ready == 1 && asleep++ >= wake)) continue;
    job.worker_of[i] = static_cast<uint8_t>(workers++);
    asked |= uint64_t{1} << i;
  }
  if (asleep > wake) {
    impl_->alone_ns.fetch_add(static_cast<int64_t>(std::min(cost_ns, 1e9)), std::memory_order_relaxed);
  } else if (asleep > 0) {
    impl_->alone_ns.store(0, std::memory_order_relaxed);
  }
  if (workers == 1) return body(0, n, 0);
  job.n = n, job.grain = grain, job.grains = grains, job.workers = workers;
  job.least = cost_ns < kWholeNs ? (grains + workers - 1) / workers : std::max<int64_t>(1, grains / (kBites * workers));
  job.float_mode = ReadFloatMode();
  for (int i = 0; i < workers; ++i) new (&job.share(i)) Share(grains * i / workers, grains * (i + 1) / workers);
  // Whoever is no longer ready leaves its share to the others.
  uint64_t offered = 0;
  for (; asked; asked &= asked - 1) {
    const int i = __builtin_ctzll(asked);
    if (impl_->slots[i]->Offer(job)) offered |= uint64_t{1} << i;
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
