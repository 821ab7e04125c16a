// linnet.hpp: Linnet for C++17, header only, over linnet.h. docs/api.md shows it at work.
//
//     linnet::Session session("digits.onnx");
//     std::vector<float> image(28 * 28), probabilities(10);
//     session.Run({{"image", image, {1, 1, 28, 28}}}, {{"probabilities", probabilities}});
//
// With exceptions, failures are thrown as linnet::Error, and Or<T> is T. Without (-fno-exceptions, or LINNET_EXCEPTIONS
// defined as 0) Or<T> is Result<T>, which holds a value or an error: `auto session = linnet::Session::Open("digits.onnx");
// if (!session) puts(session.error().what());`. Objects own what they name and move; they are safe to share between threads
// as linnet.h says of their handles.
#ifndef LINNET_LINNET_HPP_
#define LINNET_LINNET_HPP_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet.h"

#ifndef LINNET_EXCEPTIONS
#ifdef __cpp_exceptions
#define LINNET_EXCEPTIONS 1
#else
#define LINNET_EXCEPTIONS 0
#endif
#endif
#if LINNET_EXCEPTIONS
#include <exception>
#define LINNET_CPP_NAMESPACE throwing1
#else
#define LINNET_CPP_NAMESPACE returning1
#endif

namespace linnet {
inline namespace LINNET_CPP_NAMESPACE {

enum class Code : int32_t {
  kOk = LINNET_OK, kInvalidModel = LINNET_INVALID_MODEL, kInvalidArgument = LINNET_INVALID_ARGUMENT,
  kUnsupported = LINNET_UNSUPPORTED, kNotInBuild = LINNET_NOT_IN_BUILD, kOutOfMemory = LINNET_OUT_OF_MEMORY,
  kLimitReached = LINNET_LIMIT_REACHED, kIo = LINNET_IO, kCancelled = LINNET_CANCELLED, kInternal = LINNET_INTERNAL
};

/// A code and its sentence.
class Error
#if LINNET_EXCEPTIONS
    : public std::exception
#endif
{
 public:
  Error() = default;
  Error(LinnetCode code, std::string sentence) : code_(static_cast<Code>(code)), sentence_(std::move(sentence)) {}
  Code code() const { return code_; }
#if LINNET_EXCEPTIONS
  const char* what() const noexcept override { return sentence_.c_str(); }
#else
  const char* what() const noexcept { return sentence_.c_str(); }
#endif

 private:
  Code code_ = Code::kOk;
  std::string sentence_;
};

#if LINNET_EXCEPTIONS

template <class T>
using Or = T;
namespace detail {
inline void Ok() {}
inline void Check(LinnetCode code) {
  if (code != LINNET_OK) throw Error(code, LinnetLastError());
}
}  // namespace detail
#define LINNET_CPP_TRY(call) ::linnet::detail::Check(call)
#define LINNET_CPP_FAIL(code, sentence) throw ::linnet::Error(code, sentence)

#else

/// A value, or the error that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const { return error_.code() == Code::kOk; }
  const Error& error() const { return error_; }
  T& operator*() { return value_; }
  T* operator->() { return &value_; }

 private:
  T value_{};
  Error error_;
};
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const { return error_.code() == Code::kOk; }
  const Error& error() const { return error_; }

 private:
  Error error_;
};
template <class T>
using Or = Result<T>;
namespace detail {
inline Result<void> Ok() { return {}; }
}  // namespace detail
#define LINNET_CPP_TRY(call)                                                                        \
  do {                                                                                              \
    if (LinnetCode linnet_code = (call)) return ::linnet::Error(linnet_code, ::LinnetLastError()); \
  } while (0)
#define LINNET_CPP_FAIL(code, sentence) return ::linnet::Error(code, sentence)

#endif

namespace detail {

template <class T, LinnetCode (*Close)(T*)>
struct Closer {
  void operator()(T* handle) const { Close(handle); }
};
template <class T, LinnetCode (*Close)(T*) noexcept>
using Handle = std::unique_ptr<T, Closer<T, Close>>;

template <class T>
constexpr LinnetElementType ElementOf() {
  if constexpr (std::is_same_v<T, float>) return LINNET_FLOAT;
  else if constexpr (std::is_same_v<T, double>) return LINNET_DOUBLE;
  else if constexpr (std::is_same_v<T, bool>) return LINNET_BOOL;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) return std::is_signed_v<T> ? LINNET_INT8 : LINNET_UINT8;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 2) return std::is_signed_v<T> ? LINNET_INT16 : LINNET_UINT16;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 4) return std::is_signed_v<T> ? LINNET_INT32 : LINNET_UINT32;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 8) return std::is_signed_v<T> ? LINNET_INT64 : LINNET_UINT64;
  else return LINNET_UNDEFINED;
}
template <class T>
inline constexpr bool kIsText = std::is_convertible_v<const T&, std::string_view>;
template <class Container>
using ElementIn = std::remove_cv_t<std::remove_reference_t<decltype(*std::data(std::declval<Container&>()))>>;

inline std::vector<LinnetString> TextsOf(const std::string_view* texts, size_t count) {
  std::vector<LinnetString> out;
  for (size_t i = 0; i < count; ++i) out.push_back({texts[i].data(), texts[i].size()});
  return out;
}
template <class T>
std::vector<LinnetString> TextsOf(const T* texts, size_t count) {
  std::vector<std::string_view> views(texts, texts + count);
  return TextsOf(views.data(), count);
}

}  // namespace detail

/// Dimensions. More than LINNET_RANK_MAX are kept as a rank that no tensor has.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(dims.begin(), dims.size()) {}
  Shape(const std::vector<int64_t>& dims) : Shape(dims.data(), dims.size()) {}
  Shape(const int64_t* dims, size_t rank) : rank_(static_cast<int32_t>(rank < 100 ? rank : 100)) {
    for (size_t d = 0; d < rank && d < dims_.size(); ++d) dims_[d] = dims[d];
  }
  const int64_t* data() const { return dims_.data(); }
  int32_t rank() const { return rank_; }

 private:
  std::array<int64_t, LINNET_RANK_MAX> dims_{};
  int32_t rank_ = 0;
};

/// Any value: a tensor, sequence, map or optional. Copies share the contents.
class Value {
 public:
  Value() = default;
  /// Takes over a handle.
  explicit Value(LinnetValue* handle) : handle_(handle, [](LinnetValue* value) { LinnetValueClose(value); }) {}

  /// A copy of `data`, numbers or texts in row-major order.
  template <class Container>
  static Or<Value> Tensor(const Container& data, const Shape& shape);
  static Or<Value> Sequence(const std::vector<Value>& items, LinnetElementType element = LINNET_UNDEFINED) {
    std::vector<LinnetValue*> handles;
    for (const Value& item : items) handles.push_back(item.handle());
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetSequenceCreate(element, handles.data(), handles.size(), &value));
    return Value(value);
  }
  static Or<Value> Map(const Value& keys, const Value& values) {
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetMapCreate(keys.handle(), values.handle(), &value));
    return Value(value);
  }
  static Or<Value> Optional(const Value& item) {
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetOptionalCreate(item.handle(), &value));
    return Value(value);
  }
  static Or<Value> None(LinnetKind kind, LinnetElementType element) {
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetOptionalEmpty(kind, element, &value));
    return Value(value);
  }

  LinnetValue* handle() const { return handle_.get(); }
  explicit operator bool() const { return handle_ != nullptr; }
  LinnetTypeInfo type() const {
    LinnetTypeInfo info = {};
    if (handle_) LinnetValueType(handle(), &info);
    return info;
  }
  std::vector<int64_t> shape() const {
    LinnetTypeInfo info = type();
    return std::vector<int64_t>(info.shape, info.shape + (info.rank > 0 ? info.rank : 0));
  }
  /// Elements of a tensor, items of a sequence, entries of a map, 0 or 1 for an optional.
  size_t size() const {
    size_t count = 0;
    if (handle_) LinnetValueCount(handle(), &count);
    return count;
  }
  /// The elements of a tensor of T, which live as long as the value.
  template <class T>
  Or<const T*> data() const {
    const void* data = nullptr;
    LINNET_CPP_TRY(LinnetValueData(handle(), &data, nullptr));
    if (type().element != detail::ElementOf<T>()) {
      LINNET_CPP_FAIL(LINNET_INVALID_ARGUMENT, std::string("the tensor holds ") + LinnetElementTypeName(type().element));
    }
    return static_cast<const T*>(data);
  }
  Or<std::vector<std::string>> texts() const {
    std::vector<std::string> out;
    for (size_t i = 0; i < size(); ++i) {
      LinnetString text;
      LINNET_CPP_TRY(LinnetValueString(handle(), i, &text));
      out.emplace_back(text.data, text.size);
    }
    return out;
  }
  /// Item of a sequence; item 0 of an optional is what it holds.
  Or<Value> item(size_t index) const {
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetValueItem(handle(), index, &value));
    return Value(value);
  }
  Or<Value> keys() const {
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetMapKeys(handle(), &value));
    return Value(value);
  }
  Or<Value> values() const {
    LinnetValue* value = nullptr;
    LINNET_CPP_TRY(LinnetMapValues(handle(), &value));
    return Value(value);
  }

 private:
  std::shared_ptr<LinnetValue> handle_;
};

template <class Container>
Or<Value> Value::Tensor(const Container& data, const Shape& shape) {
  using T = detail::ElementIn<const Container>;
  int64_t elements = 1;
  for (int32_t d = 0; d < shape.rank() && d < LINNET_RANK_MAX; ++d) elements *= shape.data()[d];
  if (elements != static_cast<int64_t>(std::size(data))) {
    LINNET_CPP_FAIL(LINNET_INVALID_ARGUMENT, "the shape is not one of " + std::to_string(std::size(data)) + " elements");
  }
  LinnetValue* value = nullptr;
  if constexpr (detail::kIsText<T>) {
    std::vector<LinnetString> texts = detail::TextsOf(std::data(data), std::size(data));
    LINNET_CPP_TRY(LinnetTensorCreate(LINNET_STRING, shape.data(), shape.rank(), texts.data(), &value));
  } else {
    static_assert(detail::ElementOf<T>() != LINNET_UNDEFINED, "no tensor has elements of this type");
    LINNET_CPP_TRY(LinnetTensorCreate(detail::ElementOf<T>(), shape.data(), shape.rank(), std::data(data), &value));
  }
  return Value(value);
}

/// An input of a run: a container of numbers (read where it is) or texts with a shape, or a value. Lives no longer than
/// what it was made of.
class Input {
 public:
  template <class Container>
  Input(std::string name, const Container& data, const Shape& shape) : name_(std::move(name)), shape_(shape) {
    using T = detail::ElementIn<const Container>;
    if constexpr (detail::kIsText<T>) {
      texts_ = detail::TextsOf(std::data(data), std::size(data));
      Set(LINNET_STRING, nullptr, texts_.size() * sizeof(LinnetString));
    } else {
      static_assert(detail::ElementOf<T>() != LINNET_UNDEFINED, "give the element type: Input(name, type, data, bytes, shape)");
      Set(detail::ElementOf<T>(), std::data(data), std::size(data) * sizeof(T));
    }
  }
  /// Elements of any type, float16 and packed ones too.
  Input(std::string name, LinnetElementType type, const void* data, size_t bytes, const Shape& shape)
      : name_(std::move(name)), shape_(shape) {
    Set(type, data, bytes);
  }
  Input(std::string name, const Value& value) : name_(std::move(name)), value_(value) {}

  /// Points into this object.
  LinnetInput raw() const {
    LinnetInput raw = raw_;
    raw.name = name_.c_str();
    raw.value = value_.handle();
    raw.shape = shape_.data();
    raw.rank = shape_.rank();
    if (raw.type == LINNET_STRING) raw.data = texts_.data();
    return raw;
  }

 private:
  void Set(LinnetElementType type, const void* data, size_t bytes) {
    raw_.type = type;
    raw_.data = data;
    raw_.bytes = bytes;
  }
  std::string name_;
  Shape shape_;
  Value value_;
  std::vector<LinnetString> texts_;
  LinnetInput raw_ = {};
};

/// An output of a run: a container that the run writes into, or a value that it makes.
class Output {
 public:
  /// `shape`, when not null, receives what came out; the container must be large enough.
  template <class Container>
  Output(std::string name, Container& data, std::vector<int64_t>* shape = nullptr)
      : name_(std::move(name)), data_(std::data(data)), bytes_(std::size(data) * sizeof(*std::data(data))), shape_(shape) {
    using T = detail::ElementIn<Container>;
    static_assert(detail::ElementOf<T>() != LINNET_UNDEFINED, "give a Value* or Output(name, data, bytes)");
    element_ = detail::ElementOf<T>();
  }
  Output(std::string name, void* data, size_t bytes) : name_(std::move(name)), data_(data), bytes_(bytes) {}
  Output(std::string name, Value* value) : name_(std::move(name)), value_(value) {}

  LinnetOutput raw() const {
    LinnetOutput raw = {};
    raw.name = name_.c_str();
    raw.data = data_;
    raw.bytes = bytes_;
    return raw;
  }
  /// The element type of the container; LINNET_UNDEFINED when any will do.
  LinnetElementType element() const { return element_; }
  void Take(const LinnetOutput& made) const {
    if (value_) *value_ = Value(made.value);
    if (shape_) shape_->assign(made.type.shape, made.type.shape + (made.type.rank > 0 ? made.type.rank : 0));
  }

 private:
  std::string name_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Value* value_ = nullptr;
  std::vector<int64_t>* shape_ = nullptr;
  LinnetElementType element_ = LINNET_UNDEFINED;
};

}  // namespace LINNET_CPP_NAMESPACE
}  // namespace linnet

#include "linnet_session.hpp"

#endif  // LINNET_LINNET_HPP_
