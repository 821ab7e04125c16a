// Status and Result<T>: how every layer reports failure. A code for programs, a sentence for people.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace linnet {

enum class Code : uint8_t {
  kOk = 0,
  kInvalidModel,     ///< the model breaks ONNX's rules or its file is damaged
  kInvalidArgument,  ///< the caller passed something that cannot be used
  kUnsupported,      ///< valid, but Linnet does not implement it
  kNotInBuild,       ///< implemented, but left out of this reduced build
  kOutOfMemory,      ///< an allocation failed
  kLimitReached,     ///< a memory, time or step limit, or a structural limit, was reached
  kIo,               ///< the operating system refused a file operation
  kCancelled,        ///< the caller cancelled the run
  kInternal,         ///< a broken invariant: a bug in Linnet
};

/// "invalid model", "limit reached", ...
const char* CodeName(Code code);

/// Success, or a code with a sentence that says what, where and which value. One pointer wide; success
/// allocates nothing. The sentence is written where the knowledge is; outer layers prepend where it happened.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message);
  Status(Status&& other) noexcept : detail_(std::exchange(other.detail_, nullptr)) {}
  Status& operator=(Status&& other) noexcept {
    Status old(std::move(*this));
    detail_ = std::exchange(other.detail_, nullptr);
    return *this;
  }
  ~Status() {
    if (detail_) Forget();
  }

  bool ok() const { return detail_ == nullptr; }
  Code code() const { return detail_ ? detail_->code : Code::kOk; }
  std::string_view message() const { return detail_ ? std::string_view(detail_->message) : std::string_view(); }

  /// The same failure with `where` and ": " put before its sentence. Success stays success.
  Status At(std::string_view where) &&;
  Status Clone() const;

 private:
  struct Detail {
    Code code;
    std::string message;
  };
  void Forget();   ///< out of line: failures are everywhere, and rare
  Detail* detail_ = nullptr;
};

#if defined(LINNET_NO_SENTENCES)
/// A build without sentences: codes alone.
Status FailAlone(Code code);
#else
/// As CatParts.
Status FailParts(Code code, uint64_t kinds, ...);
#endif

template <class... Parts>
[[gnu::always_inline]] inline Status Fail(Code code, [[maybe_unused]] const Parts&... parts) {
#if defined(LINNET_NO_SENTENCES)
  Status failure = FailAlone(code);
#else
  Status failure = FailParts(code, PartKinds<decltype(PassPart(parts))...>(), PassPart(parts)...);
#endif
  if (failure.ok()) __builtin_unreachable();   // what follows a failure is known to see one
  return failure;
}
template <class... Parts>
[[gnu::always_inline]] inline Status InvalidModel(const Parts&... parts) {
  return Fail(Code::kInvalidModel, parts...);
}
template <class... Parts>
[[gnu::always_inline]] inline Status InvalidArgument(const Parts&... parts) {
  return Fail(Code::kInvalidArgument, parts...);
}
template <class... Parts>
[[gnu::always_inline]] inline Status Unsupported(const Parts&... parts) {
  return Fail(Code::kUnsupported, parts...);
}
template <class... Parts>
[[gnu::always_inline]] inline Status LimitReached(const Parts&... parts) {
  return Fail(Code::kLimitReached, parts...);
}
template <class... Parts>
[[gnu::always_inline]] inline Status OutOfMemory(const Parts&... parts) {
  return Fail(Code::kOutOfMemory, parts...);
}
template <class... Parts>
[[gnu::always_inline]] inline Status IoError(const Parts&... parts) {
  return Fail(Code::kIo, parts...);
}
template <class... Parts>
[[gnu::always_inline]] inline Status Internal(const Parts&... parts) {
  return Fail(Code::kInternal, parts...);
}

/// A value or the Status that says why there is none. `T` needs a default constructor.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}               // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {}       // NOLINT: implicit by design

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  Status TakeStatus() { return std::move(status_); }
  T& value() { return value_; }
  const T& value() const { return value_; }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }

 private:
  Status status_;
  T value_{};
};

#define LINNET_CONCAT_(a, b) a##b
#define LINNET_CONCAT(a, b) LINNET_CONCAT_(a, b)

/// Returns from the enclosing function when `expr` (a Status) is a failure.
#define LINNET_TRY(expr)                                   \
  do {                                                     \
    ::linnet::Status linnet_status_ = (expr);              \
    if (!linnet_status_.ok()) return linnet_status_;       \
  } while (0)

/// LINNET_ASSIGN(auto x, F()): x = the value of Result F(), or return its Status.
#define LINNET_ASSIGN(lhs, expr) LINNET_ASSIGN_(LINNET_CONCAT(linnet_result_, __LINE__), lhs, expr)
#define LINNET_ASSIGN_(result, lhs, expr)          \
  auto result = (expr);                            \
  if (!result.ok()) return result.TakeStatus();    \
  lhs = std::move(result.value())

}  // namespace linnet
