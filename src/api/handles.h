// Handles of the C API: numbers dressed as pointers, so that a closed, foreign or invented one is noticed, not followed.
//
//     handle = generation · index of a slot          slot = { word, object, kind }
//     word   = generation:32 | closed:1 | uses:31    one use belongs to the owner until the handle is closed
//
// A call takes a use for its duration, so an object that is closed meanwhile ends with the last call. A slot that is used
// again has the next generation. Looking a handle up takes no lock.
#pragma once

#include <stdint.h>

#include <memory>
#include <utility>

#include "base/status.h"

namespace linnet::api {

enum class HandleKind : uint8_t { kThreadPool, kOptions, kSession, kValue, kCancel, kBinding, kQuantizer };

/// What handles name. Each class has its `static constexpr HandleKind kKind`.
class Object {
 public:
  virtual ~Object() = default;
};

/// Null when the 2^24 slots ran out.
void* NewHandle(HandleKind kind, std::unique_ptr<Object> object);
/// The object with one more use; null when `handle` is no open handle of this kind.
Object* TakeUse(const void* handle, HandleKind kind);
void GiveUse(const void* handle);
/// Ends the owner's use; false when `handle` is no open handle of this kind.
bool CloseHandle(const void* handle, HandleKind kind);

/// The use of an object for the length of a call.
template <class T>
class Use {
 public:
  explicit Use(const void* handle) : handle_(handle), object_(static_cast<T*>(TakeUse(handle, T::kKind))) {}
  ~Use() {
    if (object_) GiveUse(handle_);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  explicit operator bool() const { return object_ != nullptr; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  const void* handle_;
  T* object_;
};

/// Puts the handle of a new object into `*out`.
template <class Handle, class T>
Status GiveHandle(std::unique_ptr<T> object, Handle** out) {
  *out = static_cast<Handle*>(NewHandle(T::kKind, std::move(object)));
  return *out ? Status() : OutOfMemory("there are too many open handles");
}

}  // namespace linnet::api
