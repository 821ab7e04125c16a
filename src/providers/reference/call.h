// Call: one run of one node as a reference function sees it: attributes, widened inputs, outputs rounded once.
//
// The ordinary operator's Parse has validated the attributes and its Infer the inputs' number, types and shapes; what
// depends on contents (indices, divisors) is the function's to check.
#pragma once

#include <string>

#include "providers/reference/array.h"
#include "providers/reference/element.h"
#include "run/context.h"

namespace linnet::reference {

/// The elements of an input or output as they are stored, for operators that only move them.
struct Cells {
  DType dtype = DType::kUndefined;
  Shape shape;
  void* data = nullptr;
  void Copy(int64_t to, const Cells& from, int64_t at) const { CopyElement(dtype, from.data, at, data, to); }
};

class Call {
 public:
  Call(const Node& node, RunContext& context) : node_(node), context_(context) {}

  // Attributes
  const Node& node() const { return node_; }
  int version() const { return node_.version; }
  bool HasAttribute(std::string_view name) const { return node_.Has(name); }
  int64_t Int(std::string_view name, int64_t fallback) const { return Or(node_.Int(name, fallback), fallback); }
  bool Flag(std::string_view name, bool fallback = false) const { return Int(name, fallback) != 0; }
  double Float(std::string_view name, float fallback) const {
    return static_cast<double>(Or(node_.Float(name, fallback), fallback));
  }
  std::string Text(std::string_view name, std::string_view fallback) const {
    return Or(node_.String(name, fallback), std::string(fallback));
  }
  std::vector<int64_t> Ints(std::string_view name) const { return Or(node_.Ints(name), {}); }
  std::vector<float> Floats(std::string_view name) const { return Or(node_.Floats(name), {}); }
  std::vector<std::string> Texts(std::string_view name) const { return Or(node_.Strings(name), {}); }
  Tensor TensorOf(std::string_view name) const { return Or(node_.TensorOf(name), {}); }

  // Inputs
  int inputs() const { return context_.input_count(); }
  bool Has(int i) const { return context_.has_input(i); }
  const Shape& shape(int i) const { return context_.input_shape(i); }
  DType dtype(int i) const { return context_.input_dtype(i); }
  int rank(int i = 0) const { return shape(i).rank(); }
  int Axis(int64_t fallback, int i = 0) const { return AxisOf(Int("axis", fallback), rank(i)); }
  template <class T = double>
  Array<T> In(int i) const {
    Array<T> x(shape(i));
    for (int64_t k = 0; k < x.size(); ++k) x[k] = Load<T>(dtype(i), context_.input(i), k);
    return x;
  }
  /// An omitted optional input has `fallback` for each element of `of`.
  Reals InOr(int i, double fallback, const Shape& of) const { return Has(i) ? In(i) : Reals(of, fallback); }
  /// The first element of an input, or `fallback` when it is omitted (or empty).
  template <class T = double>
  T First(int i, T fallback = T{}) const {
    return Has(i) && shape(i).elements() > 0 ? Load<T>(dtype(i), context_.input(i), 0) : fallback;
  }
  /// The numbers of an integer input; those of attribute `name` where the input is omitted.
  std::vector<int64_t> List(int i, std::string_view name = "") const { return Has(i) ? In<int64_t>(i).data : Ints(name); }
  Cells Raw(int i) const { return {dtype(i), shape(i), const_cast<void*>(context_.input(i))}; }

  // Outputs
  int outputs() const { return context_.output_count(); }
  bool Wants(int o) const { return context_.has_output(o); }
  DType out_dtype(int o = 0) const { return context_.output_dtype(o); }
  /// The shape Infer found; dimensions that depend on contents may be missing.
  const Shape& out_shape(int o = 0) const { return context_.output_shape(o); }
  /// Memory for output `o`, which must be wanted. Fails when Infer expected another shape.
  Result<Cells> Make(int o, const Shape& shape) const {
    const DType dtype = out_dtype(o);
    LINNET_ASSIGN(void* data, context_.AllocateOutput(o, dtype, shape));
    return Cells{dtype, shape, data};
  }
  /// Writes an output (ignored when nobody wants it).
  template <class T>
  Status Out(int o, const Array<T>& y, const Rounding& rounding = {}) const {
    if (!Wants(o)) return Status();
    LINNET_ASSIGN(Cells cells, Make(o, y.shape));
    for (int64_t k = 0; k < y.size(); ++k) Store(cells.dtype, cells.data, k, y[k], rounding);
    return Status();
  }
  /// Output `o` of `shape`: at each index the element of input `i` at offset source(index); zero (an empty string) where
  /// that is negative.
  template <class F>
  Status Move(int i, int o, const Shape& shape, F source) const {
    if (!Wants(o)) return Status();
    const Cells from = Raw(i);
    LINNET_ASSIGN(Cells to, Make(o, shape));
    if (to.dtype != DType::kString) memset(to.data, 0, static_cast<size_t>(ByteSize(to.dtype, shape.elements()).value()));
    ForEachIndex(shape, [&](const Index& index, int64_t at) {
      if (const int64_t offset = source(index); offset >= 0) to.Copy(at, from, offset);
    });
    return Status();
  }

 private:
  template <class T>
  static T Or(Result<T> result, T fallback) { return result.ok() ? std::move(*result) : std::move(fallback); }

  const Node& node_;
  RunContext& context_;
};

/// One row of the table: an operator and the function that computes it.
struct Row {
  const char* op;
  Status (*run)(Call&);
  const char* domain = "";
};

}  // namespace linnet::reference
