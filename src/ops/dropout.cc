// Dropout: the identity, unless training_mode (an input since version 12) asks for dropping at random.
//
// The mask is all true in inference; it has the type of the data before version 10. In training each element is kept with
// probability 1 - ratio and scaled by 1 / (1 - ratio); with attribute `seed` the same elements every time.
#include <string.h>

#include <algorithm>
#include <atomic>

#include "ops/arithmetic.h"
#include "ops/convert.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

constexpr uint32_t kTypes = kAnyFloat | Mask(DType::kFloat8e4m3fn) | Mask(DType::kFloat8e4m3fnuz) |
                            Mask(DType::kFloat8e5m2) | Mask(DType::kFloat8e5m2fnuz);

/// SplitMix64 (Steele, Lea, Flood 2014) at a counter: element i's number does not depend on how work is cut.
uint64_t RandomAt(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

struct Dropout {
  static constexpr bool kRandom = true;
  bool by_inputs = false, mask_of_data_type = false, seeded = false;
  uint64_t seed = 0;

  Status Parse(const Node& node) {
    by_inputs = node.version >= 12;
    mask_of_data_type = node.version < 10;
    seeded = node.Has("seed");
    LINNET_ASSIGN(int64_t number, node.Int("seed", 0));
    seed = static_cast<uint64_t>(number);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, by_inputs ? 3 : 1));
    LINNET_TRY(c.CheckType(0, kTypes));
    LINNET_TRY(c.CheckType(1, kTypes));
    LINNET_TRY(c.CheckType(2, Mask(DType::kBool)));
    for (int i = 1; i < 3; ++i) {
      if (c.has_input(i) && c.shape(i).is_static() && c.shape(i).elements() != 1) {
        return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where a scalar is expected");
      }
    }
    LINNET_TRY(c.SetOutput(0, c.type(0)));
    return c.SetOutput(1, mask_of_data_type ? c.dtype(0) : DType::kBool, c.shape(0));
  }

  Status Bind(BindContext& c) const {
    const bool trains = c.has_input(2) && !(c.data(2) && !*c.data<bool>(2));
    if (!trains) c.Alias(0, 0);
    if (trains) c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const int64_t n = c.input_shape(0).elements();
    const DType dtype = c.input_dtype(0);
    double ratio = 0.5;
    if (c.has_input(1)) FindLoad(c.input_dtype(1), Stage::kDouble)(c.input(1), 0, 1, &ratio);
    const bool trains = c.has_input(2) && *c.in<bool>(2) && ratio != 0;
    if (!trains) {
      const size_t bytes = static_cast<size_t>(n) * DTypeBytes(dtype);
      if (bytes > 0 && c.has_output(0) && c.output(0) != c.input(0)) CopyLong(c.output(0), c.input(0), bytes);
      if (!c.has_output(1)) return Status();
      if (!mask_of_data_type) {
        std::fill(c.out<bool>(1), c.out<bool>(1) + n, true);
        return Status();
      }
      return ForType<kAnyFloat>(c.output_dtype(1), [&]<class T>() {
        std::fill(c.out<T>(1), c.out<T>(1) + n, Narrow<T>(1.0f));
        return Status();
      });
    }
    if (!(ratio > 0 && ratio < 1)) return InvalidArgument("ratio is ", ratio, "; it must be in [0, 1)");
    static std::atomic<uint64_t> calls{0};
    const uint64_t from = seeded ? seed : RandomAt(static_cast<uint64_t>(MonotonicNs()), calls.fetch_add(1));
    const double scale = 1 / (1 - ratio);
    const uint64_t dropped = static_cast<uint64_t>(ratio * 0x1p53);
    bool* mask = c.has_output(1) ? c.out<bool>(1) : nullptr;
    LoadFn* load = FindLoad(dtype, Stage::kDouble);
    StoreFn* store = FindStore(Stage::kDouble, dtype);
    StoreOptions options;
    options.dtype = dtype;
    for (int64_t at = 0; at < n; at += kConvertChunk) {
      double chunk[kConvertChunk];
      const int64_t count = std::min(kConvertChunk, n - at);
      load(c.input(0), at, count, chunk);
      for (int64_t i = 0; i < count; ++i) {
        const bool keep = (RandomAt(from, static_cast<uint64_t>(at + i)) >> 11) >= dropped;
        chunk[i] = keep ? chunk[i] * scale : 0;
        if (mask) mask[at + i] = keep;
      }
      if (c.has_output(0)) store(chunk, count, c.output(0), at, options);
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(Dropout, 1, Dropout);

}  // namespace linnet
