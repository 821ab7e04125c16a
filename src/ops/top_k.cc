// TopK: the k largest (or smallest) elements along an axis and where they are.
//
// Of equal elements the one with the lower index comes first; NaN counts as larger than everything. For a small k one
// pass keeps the best k in a heap and nearly always only compares; otherwise a selection is sorted.
// Version 1 has k as an attribute, 10 as an input; 11 adds largest and sorted.
#include <algorithm>

#include "ops/movement.h"
#include "ops/sort_keys.h"

namespace linnet {
namespace {

constexpr uint32_t kTopKTypes = kAnyNumber;

template <class K>
struct Candidate {
  K key;
  int32_t index;
};

struct TopK {
  int64_t axis = -1, k_attribute = 0;
  bool from_attribute = false, largest = true, sorted = true;

  struct Params {
    int64_t outer, size, inner, k;
  };

  Status Parse(const Node& node) {
    from_attribute = node.version < 10;
    LINNET_ASSIGN(axis, node.Int("axis", -1));
    if (from_attribute) {
      LINNET_ASSIGN(k_attribute, node.Int("k", -1));
      if (k_attribute < 0) return InvalidModel("attribute 'k' is ", k_attribute);
    }
    if (node.version >= 11) {
      LINNET_ASSIGN(int64_t large, node.Int("largest", 1));
      LINNET_ASSIGN(int64_t sort, node.Int("sorted", 1));
      largest = large != 0;
      sorted = sort != 0;
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(from_attribute ? 1 : 2, from_attribute ? 1 : 2));
    LINNET_TRY(c.CheckType(0, kTopKTypes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    Shape out = c.shape(0);
    if (out.has_rank()) {
      LINNET_ASSIGN(int at, NormalizeAxis(axis, out.rank()));
      int64_t k = from_attribute ? k_attribute : kUnknownDim;
      if (!from_attribute && c.KnowsInts(1)) {
        LINNET_ASSIGN(IntList list, IntList::OfInput(c, 1));
        if (list.size() != 1) return InvalidArgument("k has ", list.size(), " elements where one is expected");
        k = list[0];
        if (k < 0) return InvalidArgument("k is ", k);
      }
      if (IsKnownDim(out[at]) && k > out[at]) return InvalidArgument("k ", k, " is above the size ", out[at], " of axis ", at);
      out[at] = k;
    }
    LINNET_TRY(c.SetOutput(0, c.dtype(0), out));
    return c.SetOutput(1, DType::kInt64, out);
  }
  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    const int at = static_cast<int>(axis < 0 ? axis + in.rank() : axis);
    // The last output nobody asked for has no shape; the other one does.
    const Shape& out = c.output_shape(c.has_output(0) ? 0 : 1);
    auto* p = c.Params<Params>();
    *p = {in.Product(0, at), in[at], in.Product(at + 1, in.rank()), out[at]};
    c.Scratch(p->size * static_cast<int64_t>(sizeof(Candidate<double>)), c.threads());
    return Status();
  }
  Status Run(RunContext& c) const {
    return ForType<kTopKTypes>(c.input_dtype(0), [&]<class T>() {
      return largest ? Lines<T, true>(c) : Lines<T, false>(c);
    });
  }

  template <class T, bool kLargest>
  Status Lines(RunContext& c) const {
    const auto& p = c.params<Params>();
    using K = std::decay_t<decltype(SortKey(std::declval<T>()))>;
    if (p.k == 0) return Status();
    const T* in = c.in<T>(0);
    T* values = c.has_output(0) ? c.out<T>(0) : nullptr;
    int64_t* indices = c.has_output(1) ? c.out<int64_t>(1) : nullptr;
    return c.ParallelFor(p.outer * p.inner, 1, 3.0 * static_cast<double>(p.size), [&](int64_t begin, int64_t end, int worker) {
      auto* best = reinterpret_cast<Candidate<K>*>(c.scratch(worker));
      for (int64_t line = begin; line < end; ++line) {
        const T* from = in + line / p.inner * p.size * p.inner + line % p.inner;
        Select<T, K, kLargest>(from, p, best);
        int64_t to = line / p.inner * p.k * p.inner + line % p.inner;
        for (int64_t i = 0; i < p.k; ++i, to += p.inner) {
          if (values) values[to] = from[best[i].index * p.inner];
          if (indices) indices[to] = best[i].index;
        }
      }
    });
  }

  /// Puts the k first candidates in front, in order when `sorted`.
  template <class T, class K, bool kLargest>
  void Select(const T* from, const Params& p, Candidate<K>* best) const {
    auto first = [](const Candidate<K>& a, const Candidate<K>& b) {
      if (kLargest ? Before(b.key, a.key) : Before(a.key, b.key)) return true;
      if (kLargest ? Before(a.key, b.key) : Before(b.key, a.key)) return false;
      return a.index < b.index;
    };
    const bool streaming = p.k <= 64 || p.k <= p.size / 16;
    const int64_t taken = streaming ? p.k : p.size;
    for (int64_t i = 0; i < taken; ++i) best[i] = {SortKey(from[i * p.inner]), static_cast<int32_t>(i)};
    if (!streaming) {
      if (p.k < p.size) std::nth_element(best, best + p.k, best + p.size, first);
      if (sorted) std::sort(best, best + p.k, first);
      return;
    }
    std::make_heap(best, best + p.k, first);   // the worst of the best on top
    for (int64_t i = taken; i < p.size; ++i) {
      const K key = SortKey(from[i * p.inner]);
      // A later equal element never wins.
      if (!(kLargest ? Before(best->key, key) : Before(key, best->key))) continue;
      std::pop_heap(best, best + p.k, first);
      best[p.k - 1] = {key, static_cast<int32_t>(i)};
      std::push_heap(best, best + p.k, first);
    }
    if (sorted) std::sort_heap(best, best + p.k, first);
  }
};

}  // namespace

LINNET_OP(TopK, 1, TopK);

}  // namespace linnet
