// What every build's C boundary has: the guard around entry points, handles, structs that grow.
#pragma once

#include <stdint.h>

#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "api/handles.h"
#include "graph/type.h"
#include "linnet/linnet.h"

namespace linnet::api {

/// Keeps the sentence of a failure for LinnetLastError. Allocates nothing.
LinnetCode KeepError(LinnetCode code, std::string_view sentence) noexcept;

Status NullArgument(const char* name);
Status NotOpen(const char* what);
/// What a function of the boundary returns for `status`, whose sentence is kept.
LinnetCode Returned(Status status) noexcept;

/// Runs the body of an entry point and turns whatever comes out of it into a code.
template <class Body>
LinnetCode Guard(Body&& body) noexcept {
#if defined(__cpp_exceptions)
  try {
    return Returned(body());
  } catch (const std::bad_alloc&) {
    return KeepError(LINNET_OUT_OF_MEMORY, "an allocation failed");
  } catch (...) {
    return KeepError(LINNET_INTERNAL, "an exception reached the C boundary");
  }
#else
  return Returned(body());
#endif
}

/// What a callback returned, with the sentence it left through LinnetFail.
Status CallbackStatus(LinnetCode code);
/// Forgets earlier errors, so that a callback without a sentence does not get theirs.
void ForgetError();
template <class Callback>
Status CallBack(Callback&& callback) {
  ForgetError();
  return CallbackStatus(callback());
}

#define LINNET_NOT_NULL(argument) \
  if (!(argument)) return ::linnet::api::NullArgument(#argument)
/// LINNET_USE(Session, session, handle): `session` is the object of an open handle for the rest of the block.
#define LINNET_USE(Type, name, handle)    \
  ::linnet::api::Use<Type> name(handle);  \
  if (!name) return ::linnet::api::NotOpen(Type::kName)

template <class T>
LinnetCode Close(const void* handle) noexcept {
  return Guard([&]() -> Status {
    if (!handle || CloseHandle(handle, T::kKind)) return Status();
    return NotOpen(T::kName);
  });
}

/// The first `min(size, struct_size)` bytes of `from` go to the caller's struct, which may be older and shorter.
template <class T>
Status FillStruct(T* to, T from) {
  if (!to) return InvalidArgument("a struct argument is NULL");
  size_t size = to->struct_size;
  if (size < sizeof(size_t)) return InvalidArgument("struct_size is ", size, "; set it to sizeof the struct");
  from.struct_size = size;
  __builtin_memcpy(static_cast<void*>(to), &from, size < sizeof(T) ? size : sizeof(T));
  return Status();
}
/// The caller's struct with what it lacks as zeros.
template <class T>
Status ReadStruct(const T* from, T* to) {
  if (!from) return InvalidArgument("a struct argument is NULL");
  size_t size = from->struct_size;
  if (size < sizeof(size_t)) return InvalidArgument("struct_size is ", size, "; set it to sizeof the struct");
  __builtin_memcpy(static_cast<void*>(to), from, size < sizeof(T) ? size : sizeof(T));
  return Status();
}

LinnetTypeInfo ToInfo(const Type& type);
/// What an address of a `dtype` must be a multiple of.
size_t AlignmentOf(DType dtype);
inline bool IsAligned(const void* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) % AlignmentOf(dtype) == 0;
}

}  // namespace linnet::api
