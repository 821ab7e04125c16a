// The list of all mutexes, and what a fork does with them.
#include "base/mutex.h"

#include <new>

#include "base/system.h"

namespace linnet {

/// Every mutex of the process. Its own lock is the last one that anybody takes, and is held across a fork.
struct MutexList {
  static pthread_mutex_t mutex;
  static Mutex* first;

  template <class F>
  static void ForEach(F&& f) {
    for (Mutex* m = first; m; m = m->next_) f(*m);
  }
};
pthread_mutex_t MutexList::mutex = PTHREAD_MUTEX_INITIALIZER;
Mutex* MutexList::first = nullptr;

Mutex::Mutex(Repair repair, void* owner) : repair_(repair), repaired_(owner) {
  static const int handlers = AroundForks(BeforeFork, InParent, InChild);
  (void)handlers;
  pthread_mutex_lock(&MutexList::mutex);
  next_ = MutexList::first;
  if (next_) next_->previous_ = this;
  MutexList::first = this;
  pthread_mutex_unlock(&MutexList::mutex);
}

Mutex::~Mutex() {
  pthread_mutex_lock(&MutexList::mutex);
  if (next_) next_->previous_ = previous_;
  (previous_ ? previous_->next_ : MutexList::first) = next_;
  pthread_mutex_unlock(&MutexList::mutex);
  pthread_mutex_destroy(&mutex_);
}

void Mutex::BeforeFork() {
  pthread_mutex_lock(&MutexList::mutex);
  MutexList::ForEach([](Mutex& m) {
    // One that this very thread holds (a callback forks) stays its own.
    m.taken_for_fork_ = !m.repair_ && !m.HeldHere();
    if (m.taken_for_fork_) pthread_mutex_lock(&m.mutex_);
  });
}

void Mutex::InParent() {
  MutexList::ForEach([](Mutex& m) {
    if (m.taken_for_fork_) pthread_mutex_unlock(&m.mutex_);
  });
  pthread_mutex_unlock(&MutexList::mutex);
}

void Mutex::InChild() {
  MutexList::ForEach([](Mutex& m) {
    if (m.taken_for_fork_) {
      pthread_mutex_unlock(&m.mutex_);
    } else if (m.repair_ && !m.HeldHere()) {
      const bool held = pthread_mutex_trylock(&m.mutex_) != 0;
      const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
      new (&m.mutex_) pthread_mutex_t(fresh);
      m.held_.store(false, std::memory_order_relaxed);
      if (held) m.repair_(m.repaired_);
    }
  });
  pthread_mutex_unlock(&MutexList::mutex);
}

}  // namespace linnet
