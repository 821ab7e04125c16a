// linnet_extend.hpp: operators and graph passes of your own in C++, over linnet_extend.h. See docs/api.md.
//
//     struct Scale {                                              // an operator is a class
//       float factor;
//       explicit Scale(const linnet::Attributes& a) : factor(a.Float("factor", 1)) {}
//       void Infer(linnet::Infer& c) const { c.Output(0, c.Input(0)); }
//       void Compute(linnet::Compute& c) const {
//         auto x = c.Input<float>(0);
//         float* y = c.Output<float>(0, x.shape);
//         for (size_t i = 0; i < x.size; ++i) y[i] = factor * x.data[i];
//       }
//     };
//     linnet::AddOperator<Scale>(options, "my.domain", "Scale", 1);
//
// The helpers note the first failure; it is what the callback returns. With exceptions they throw it as well.
#ifndef LINNET_LINNET_EXTEND_HPP_
#define LINNET_LINNET_EXTEND_HPP_

#include "linnet.hpp"
#include "linnet_extend.h"

namespace linnet {
inline namespace LINNET_CPP_NAMESPACE {

namespace detail {

/// The first failure of a callback's helpers.
class Noted {
 public:
  LinnetCode code() const { return code_; }
  bool ok() const { return code_ == LINNET_OK; }
  /// A failure of the callback's own.
  void Fail(LinnetCode code, const std::string& sentence) const { Note(LinnetFail(code, sentence.c_str())); }

 protected:
  void Note(LinnetCode code) const {
    if (code == LINNET_OK) return;
    if (code_ == LINNET_OK) {
      code_ = code;
      sentence_ = LinnetLastError();
    }
#if LINNET_EXCEPTIONS
    throw Error(code_, sentence_);
#endif
  }

 private:
  template <class Body>
  friend LinnetCode Enter(const Noted& noted, Body&& body) noexcept;
  mutable LinnetCode code_ = LINNET_OK;
  mutable std::string sentence_;
};

/// Runs a callback's body and returns its failure as a code with a sentence.
template <class Body>
LinnetCode Enter(const Noted& noted, Body&& body) noexcept {
#if LINNET_EXCEPTIONS
  try {
    body();
  } catch (const Error& error) {
    return LinnetFail(static_cast<LinnetCode>(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return LinnetFail(LINNET_OUT_OF_MEMORY, "an allocation failed");
  } catch (const std::exception& error) {
    return LinnetFail(LINNET_INTERNAL, error.what());
  } catch (...) {
    return LinnetFail(LINNET_INTERNAL, "a callback threw");
  }
#else
  body();
#endif
  return noted.ok() ? LINNET_OK : LinnetFail(noted.code_, noted.sentence_.c_str());
}

}  // namespace detail

/// The attributes of a node.
class Attributes : public detail::Noted {
 public:
  explicit Attributes(const LinnetNode* node) : node_(node) {}
  int64_t Int(const char* name, int64_t fallback) const {
    Note(LinnetNodeGetInt(node_, name, fallback, &fallback));
    return fallback;
  }
  float Float(const char* name, float fallback) const {
    Note(LinnetNodeGetFloat(node_, name, fallback, &fallback));
    return fallback;
  }
  std::string String(const char* name, const std::string& fallback) const {
    LinnetString text = {};
    Note(LinnetNodeGetString(node_, name, &text));
    return text.data ? std::string(text.data, text.size) : fallback;
  }
  std::vector<int64_t> Ints(const char* name) const {
    const int64_t* values = nullptr;
    size_t count = 0;
    Note(LinnetNodeGetInts(node_, name, &values, &count));
    return std::vector<int64_t>(values, values + count);
  }
  std::vector<float> Floats(const char* name) const {
    const float* values = nullptr;
    size_t count = 0;
    Note(LinnetNodeGetFloats(node_, name, &values, &count));
    return std::vector<float>(values, values + count);
  }
  /// Empty when absent.
  Value Tensor(const char* name) const {
    LinnetValue* value = nullptr;
    Note(LinnetNodeGetTensor(node_, name, &value));
    return value ? Value(value) : Value();
  }
  const LinnetNode* raw() const { return node_; }

 private:
  const LinnetNode* node_;
};

/// What an operator's Infer sees.
class Infer : public detail::Noted {
 public:
  explicit Infer(LinnetInfer* infer) : infer_(infer) {}
  size_t input_count() const {
    size_t count = 0;
    Note(LinnetInferCounts(infer_, &count, nullptr));
    return count;
  }
  /// Kind LINNET_KIND_UNKNOWN for an input that is left out or not known.
  LinnetTypeInfo Input(size_t index) const {
    LinnetTypeInfo type = {};
    Note(LinnetInferInput(infer_, index, &type));
    return type;
  }
  /// The contents of an input, null when they are not known yet.
  const void* Data(size_t index, size_t* bytes = nullptr) const {
    const void* data = nullptr;
    Note(LinnetInferInputData(infer_, index, &data, bytes));
    return data;
  }
  void Output(size_t index, const LinnetTypeInfo& type) { Note(LinnetInferOutput(infer_, index, &type)); }

 private:
  LinnetInfer* infer_;
};

/// A tensor input under an operator's Compute.
template <class T>
struct TensorView {
  const T* data = nullptr;
  size_t size = 0;
  Shape shape;
};

/// What an operator's Compute sees.
class Compute : public detail::Noted {
 public:
  explicit Compute(LinnetCompute* compute) : compute_(compute) {}
  template <class T>
  TensorView<T> Input(size_t index) const {
    LinnetTensor tensor = {};
    Note(LinnetComputeInput(compute_, index, &tensor));
    TensorView<T> view;
    if (tensor.type != detail::ElementOf<T>()) {
      Fail(LINNET_INVALID_ARGUMENT, "input " + std::to_string(index) + " has elements of type " + LinnetElementTypeName(tensor.type));
      return view;
    }
    view.data = static_cast<const T*>(tensor.data);
    view.size = tensor.bytes / sizeof(T);
    view.shape = Shape(tensor.shape, static_cast<size_t>(tensor.rank));
    return view;
  }
  /// Empty when the input is left out.
  Value InputValue(size_t index) const {
    LinnetValue* value = nullptr;
    Note(LinnetComputeInputValue(compute_, index, &value));
    return value ? Value(value) : Value();
  }
  /// Memory for an output; null when nobody reads it.
  template <class T>
  T* Output(size_t index, const Shape& shape) {
    void* data = nullptr;
    Note(LinnetComputeOutput(compute_, index, detail::ElementOf<T>(), shape.data(), shape.rank(), &data));
    return static_cast<T*>(data);
  }
  void OutputValue(size_t index, const Value& value) { Note(LinnetComputeOutputValue(compute_, index, value.handle())); }
  /// body(begin, end) over [0, n) on several threads. It must not throw.
  template <class Body>
  void Parallel(int64_t n, double ns_per_item, Body body) {
    auto call = [](void* user, int64_t begin, int64_t end) { (*static_cast<Body*>(user))(begin, end); };
    Note(LinnetComputeParallel(compute_, n, ns_per_item, call, &body));
  }
  void Check() const { Note(LinnetComputeCheck(compute_)); }

 private:
  LinnetCompute* compute_;
};

/// Makes operators of class `Op` known to sessions opened with `options`.
template <class Op>
Options& AddOperator(Options& options, const char* domain, const char* name, int32_t since_version, bool is_random = false) {
  LinnetOperator op = {};
  op.struct_size = sizeof op;
  op.domain = domain;
  op.name = name;
  op.since_version = since_version;
  op.is_random = is_random;
  op.create = [](void*, const LinnetNode* node, void** state) -> LinnetCode {
    Attributes attributes(node);
    std::unique_ptr<Op> made;
    LinnetCode code = detail::Enter(attributes, [&] { made = std::make_unique<Op>(attributes); });
    if (code == LINNET_OK) *state = made.release();
    return code;
  };
  op.destroy = [](void*, void* state) { delete static_cast<Op*>(state); };
  op.infer = [](void*, void* state, LinnetInfer* raw) -> LinnetCode {
    Infer infer(raw);
    return detail::Enter(infer, [&] { static_cast<const Op*>(state)->Infer(infer); });
  };
  op.compute = [](void*, void* state, LinnetCompute* raw) -> LinnetCode {
    Compute compute(raw);
    return detail::Enter(compute, [&] { static_cast<const Op*>(state)->Compute(compute); });
  };
  return options.Note(LinnetOptionsAddOperator(options.handle(), &op));
}

/// Makes `run` a pass of sessions opened with `options`. It edits the graph through linnet_extend.h and returns a code;
/// exceptions become codes too.
inline Options& AddPass(Options& options, const char* name, std::function<LinnetCode(LinnetGraph*)> run) {
  auto kept = std::make_shared<std::function<LinnetCode(LinnetGraph*)>>(std::move(run));
  LinnetPass pass = {};
  pass.struct_size = sizeof pass;
  pass.name = name;
  pass.user = kept.get();
  pass.run = [](void* user, LinnetGraph* graph) -> LinnetCode {
    LinnetCode code = LINNET_OK;
    LinnetCode failed = detail::Enter(
        detail::Noted(), [&] { code = (*static_cast<std::function<LinnetCode(LinnetGraph*)>*>(user))(graph); });
    return failed != LINNET_OK ? failed : code;
  };
  options.Keep(std::move(kept));
  return options.Note(LinnetOptionsAddPass(options.handle(), &pass));
}

}  // namespace LINNET_CPP_NAMESPACE
}  // namespace linnet

#endif  // LINNET_LINNET_EXTEND_HPP_
