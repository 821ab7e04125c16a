// Mutex: a mutex whose owner may be used in a forked child, whatever other threads were doing at the fork.
//
// Only the forking thread lives on in a child; what the others held would stay held, and what they were changing half
// changed. Two kinds of mutex deal with that:
//
//     for moments        nothing else is locked or waited for under it: a fork waits until it is free, so the child finds
//                        what it guards whole
//     with a repair      held for longer, and over other locks: a fork does not wait. Where another thread held it, the child
//                        gets it free, and `repair` abandons what it guards for something new and empty
#pragma once

#include <pthread.h>

#include <atomic>

namespace linnet {

class Mutex {
 public:
  using Repair = void (*)(void* owner);
  Mutex() : Mutex(nullptr, nullptr) {}
  Mutex(Repair repair, void* owner);
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() {
    pthread_mutex_lock(&mutex_);
    owner_.store(pthread_self(), std::memory_order_relaxed);
    held_.store(true, std::memory_order_relaxed);
  }
  void unlock() {
    held_.store(false, std::memory_order_relaxed);
    pthread_mutex_unlock(&mutex_);
  }

 private:
  static void BeforeFork();
  static void InParent();
  static void InChild();
  bool HeldHere() const {
    return held_.load(std::memory_order_relaxed) && pthread_equal(owner_.load(std::memory_order_relaxed), pthread_self());
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::atomic<pthread_t> owner_{};
  std::atomic<bool> held_{false};
  bool taken_for_fork_ = false;
  Repair repair_;
  void* repaired_;
  Mutex *previous_ = nullptr, *next_ = nullptr;

  friend struct MutexList;
};

/// Holds a mutex for a scope.
class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace linnet
