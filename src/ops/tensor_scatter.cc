// TensorScatter: writes an update into a cache at a position of its own for each batch entry (key and value caches).
//
// Mode linear needs room behind the position; circular continues at the start. The cache is updated in place when
// nobody else reads it, or when the caller has given the same memory for both.
#include "ops/movement.h"

namespace linnet {
namespace {

struct TensorScatter {
  int64_t axis = -2;
  bool circular = false;

  struct Params {
    int64_t batch, outer;        ///< batch entries; lines in each
    int64_t length, update;      ///< of the axis in cache and update
    int64_t inner;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", -2));
    LINNET_ASSIGN(std::string mode, node.String("mode", "linear"));
    if (mode != "linear" && mode != "circular") return InvalidModel("attribute 'mode' is ", Quote(mode), "; known: linear, circular");
    circular = mode == "circular";
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    if (c.dtype(0) != DType::kUndefined) LINNET_TRY(c.CheckType(1, Mask(c.dtype(0))));
    LINNET_TRY(c.CheckType(2, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckRank(2, 1));
    const Shape &cache = c.shape(0), &update = c.shape(1);
    if (cache.has_rank()) {
      LINNET_ASSIGN(int at, NormalizeAxis(axis, cache.rank()));
      if (at == 0) return InvalidModel("attribute 'axis' is the batch axis");
      LINNET_TRY(c.CheckRank(1, cache.rank()));
      for (int i = 0; i < cache.rank() && update.has_rank(); ++i) {
        if (!IsKnownDim(cache[i]) || !IsKnownDim(update[i])) continue;
        if (i == at ? update[i] > cache[i] : update[i] != cache[i]) {
          return InvalidArgument("update of shape ", ToString(update), " does not fit the cache of shape ", ToString(cache));
        }
      }
      if (c.has_input(2) && c.shape(2).has_rank() && IsKnownDim(c.shape(2)[0]) && IsKnownDim(cache[0]) && c.shape(2)[0] != cache[0]) {
        return InvalidArgument(c.shape(2)[0], " write indices for a batch of ", cache[0]);
      }
    }
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    const Shape &cache = c.shape(0), &update = c.shape(1);
    int at = static_cast<int>(axis < 0 ? axis + cache.rank() : axis);
    auto* p = c.Params<Params>();
    *p = {cache[0], cache.Product(1, at), cache[at], update[at], cache.Product(at + 1, cache.rank())};
    c.GrowInPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const auto& p = c.params<Params>();
    const int64_t* positions = c.has_input(2) ? c.in<int64_t>(2) : nullptr;
    for (int64_t b = 0; positions && b < p.batch; ++b) {
      if (positions[b] < 0 || (!circular && positions[b] > p.length - p.update)) {
        return InvalidArgument("write index ", positions[b], " of batch entry ", b, " with ", p.update,
                               " updates is outside the axis of size ", p.length);
      }
    }
    if (c.output(0) != c.input(0)) CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
    if (p.length == 0) return Status();
    return ForWidth(c.input_dtype(0), [&]<class T>() {
      for (int64_t line = 0; line < p.batch * p.outer; ++line) {
        int64_t at = positions ? positions[line / p.outer] % p.length : 0;
        int64_t first = std::min(p.update, p.length - at);
        T* to = c.out<T>(0) + line * p.length * p.inner;
        const T* from = c.in<T>(1) + line * p.update * p.inner;
        CopyRun(to + at * p.inner, from, first * p.inner);
        CopyRun(to, from + first * p.inner, (p.update - first) * p.inner);
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(TensorScatter, 24, TensorScatter);

}  // namespace linnet
