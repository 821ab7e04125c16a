// Cast, CastLike, BitCast: the same elements in another type; the same bits under another type.
//
// Numbers follow ops/convert.h. Strings hold decimal numbers (base/number_text.h): one that is not a number is an error.
// Cast-1 names its target type in a string. CastLike takes it from its second input.
#include <string>

#include "base/number_text.h"
#include "ops/convert.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

constexpr uint32_t kCastable = kAnyType & ~(Mask(DType::kComplex64) | Mask(DType::kComplex128));

Stage StageBetween(DType from, DType to) {
  if (IsFloating(from)) return from == DType::kDouble || to == DType::kDouble ? Stage::kDouble : Stage::kFloat;
  if (to == DType::kFloat) return Stage::kFloat;
  return IsFloating(to) ? Stage::kDouble : Stage::kInt64;
}

struct CastParams {
  LoadFn* load;    ///< null: the input is the stage
  StoreFn* store;  ///< null: the output is the stage
  Stage stage;
  StoreOptions options;
  int64_t elements, from_bytes, stage_bytes;
};

void Convert(const CastParams& p, const std::byte* x, std::byte* y, int64_t begin, int64_t end) {
  alignas(64) std::byte buffer[kConvertChunk * 8];
  for (int64_t at = begin; at < end; at += kConvertChunk) {
    const int64_t n = end - at < kConvertChunk ? end - at : kConvertChunk;
    const void* stage = p.load ? buffer : x + at * p.from_bytes;
    if (p.load) p.load(x, at, n, p.store ? buffer : y + at * p.stage_bytes);
    if (p.store) p.store(stage, n, y, at, p.options);
  }
}

/// A whole number, exactly; false when the text is anything else.
bool ParseInteger(std::string_view text, int64_t* out) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty()) return false;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || __builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value)) {
      return false;
    }
  }
  *out = static_cast<int64_t>(negative ? 0 - value : value);
  return true;
}

Status FromStrings(const RunContext& c, const StoreOptions& options) {
  const std::string* x = c.in<std::string>(0);
  const int64_t elements = c.output_shape(0).elements();
  const bool real = IsFloating(options.dtype);
  StoreFn* store_real = FindStore(options.dtype == DType::kFloat ? Stage::kFloat : Stage::kDouble, options.dtype);
  StoreFn* store_integer = FindStore(Stage::kInt64, options.dtype);
  for (int64_t begin = 0; begin < elements; begin += kConvertChunk) {
    double stage[kConvertChunk];
    float* floats = reinterpret_cast<float*>(stage);
    int64_t integers[kConvertChunk];
    const int64_t n = elements - begin < kConvertChunk ? elements - begin : kConvertChunk;
    for (int64_t i = 0; i < n; ++i) {
      const std::string& text = x[begin + i];
      if (options.dtype == DType::kFloat) {
        auto value = ParseFloat(text);
        if (!value.ok()) return value.TakeStatus().At(Cat("element ", begin + i));
        floats[i] = *value;
      } else if (real || !ParseInteger(text, &integers[i])) {
        auto value = ParseNumber(text);
        if (!value.ok()) return value.TakeStatus().At(Cat("element ", begin + i));
        stage[i] = *value;
        if (!real) FindStore(Stage::kDouble, DType::kInt64)(&stage[i], 1, &integers[i], 0, options);
      }
    }
    if (real) {
      store_real(stage, n, c.output(0), begin, options);
    } else {
      store_integer(integers, n, c.output(0), begin, options);
    }
  }
  return Status();
}

void ToStrings(const RunContext& c) {
  const DType from = c.input_dtype(0);
  const Stage stage = from == DType::kDouble ? Stage::kDouble : IsFloating(from) ? Stage::kFloat : Stage::kInt64;
  LoadFn* load = FindLoad(from, stage);
  std::string* y = c.out<std::string>(0);
  const int64_t elements = c.output_shape(0).elements();
  for (int64_t i = 0; i < elements; ++i) {
    alignas(8) std::byte value[8];
    load(c.input(0), i, 1, value);
    if (stage == Stage::kFloat) {
      y[i] = FormatNumber(*reinterpret_cast<const float*>(value));
    } else if (stage == Stage::kDouble) {
      y[i] = FormatNumber(*reinterpret_cast<const double*>(value));
    } else if (from == DType::kUint64) {
      y[i] = Cat(*reinterpret_cast<const uint64_t*>(value));
    } else {
      y[i] = Cat(*reinterpret_cast<const int64_t*>(value));
    }
  }
}

Result<DType> TargetType(const Node& node) {
  if (node.version < 6) {
    LINNET_ASSIGN(std::string name, node.String("to", ""));
    for (char& letter : name) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    const DType dtype = DTypeFromName(name);
    if (dtype == DType::kUndefined) return InvalidModel("attribute 'to' is ", Quote(name), ", not the name of a type");
    return dtype;
  }
  LINNET_ASSIGN(int64_t number, node.Int("to", 0));
  if (!IsKnown(number)) return InvalidModel("attribute 'to' is ", number, ", not the number of a type");
  return static_cast<DType>(number);
}

template <bool like>
struct Cast {
  StoreOptions options;  ///< dtype: undefined for CastLike

  Status Parse(const Node& node) {
    if (!like) {
      LINNET_ASSIGN(options.dtype, TargetType(node));
      if (!(Mask(options.dtype) & kCastable)) return Unsupported("casting to ", DTypeName(options.dtype));
    }
    LINNET_ASSIGN(int64_t saturate, node.Int("saturate", 1));
    options.saturate = saturate != 0;
    LINNET_ASSIGN(std::string mode, node.String("round_mode", "up"));
    if (mode == "up") {
      options.e8m0 = E8m0Rounding::kUp;
    } else if (mode == "down") {
      options.e8m0 = E8m0Rounding::kDown;
    } else if (mode == "nearest") {
      options.e8m0 = E8m0Rounding::kNearest;
    } else {
      return InvalidModel("attribute 'round_mode' is ", Quote(mode), "; known are 'up', 'down' and 'nearest'");
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(like ? 2 : 1, like ? 2 : 1));
    LINNET_TRY(c.CheckType(0, kCastable));
    if (like) LINNET_TRY(c.CheckType(1, kCastable));
    return c.SetOutput(0, like ? c.dtype(1) : options.dtype, c.shape(0));
  }

  Status Bind(BindContext& c) const {
    const DType from = c.dtype(0), to = c.output(0).dtype;
    if (from == to) {
      c.Alias(0, 0);
      return Status();
    }
    CastParams& p = *c.Params<CastParams>();
    p.options = options;
    p.options.dtype = to;
    p.elements = c.output_shape(0).elements();
    if (from == DType::kString || to == DType::kString) return Status();
    p.stage = StageBetween(from, to);
    // uint64 as an int64 stage is its bits, which is what narrower integers need.
    p.load = IsStage(from, p.stage) || (from == DType::kUint64 && p.stage == Stage::kInt64) ? nullptr : FindLoad(from, p.stage);
    p.store = IsStage(to, p.stage) ? nullptr : FindStore(p.stage, to);
    p.from_bytes = static_cast<int64_t>(DTypeBytes(from));
    p.stage_bytes = StageBytes(p.stage);
    if (!p.load && !p.store) {
      c.Alias(0, 0);
    } else if (DTypeBytes(from) == DTypeBytes(to) && DTypeBytes(to) > 0) {
      c.InPlace(0, 0);
    }
    return Status();
  }

  Status Run(RunContext& c) const {
    const CastParams& p = c.params<CastParams>();
    if (c.input_dtype(0) == DType::kString) return FromStrings(c, p.options);
    if (p.options.dtype == DType::kString) {
      ToStrings(c);
      return Status();
    }
    const std::byte* x = c.in<std::byte>(0);
    std::byte* y = c.out<std::byte>(0);
    return c.ParallelFor((p.elements + kConvertChunk - 1) / kConvertChunk, 16, 200, [&](int64_t begin, int64_t end, int) {
      Convert(p, x, y, begin * kConvertChunk, end * kConvertChunk < p.elements ? end * kConvertChunk : p.elements);
    });
  }
};

/// A view: same bits, another type of the same width. Bools are kept 0 or 1.
struct BitCast {
  DType to = DType::kUndefined;
  Status Parse(const Node& node) {
    LINNET_ASSIGN(to, TargetType(node));
    if (to == DType::kString) return InvalidModel("attribute 'to' is string, which has no bits to cast to");
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyType & ~Mask(DType::kString)));
    const DType from = c.dtype(0);
    if (from != DType::kUndefined && DTypeBits(from) != DTypeBits(to)) {
      return InvalidModel(DTypeName(from), " has ", DTypeBits(from), " bits and ", DTypeName(to), " has ", DTypeBits(to));
    }
    return c.SetOutput(0, to, c.shape(0));
  }
  Status Bind(BindContext& c) const {
    if (to != DType::kBool) c.Alias(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const int64_t elements = c.output_shape(0).elements();
    for (int64_t i = 0; i < elements; ++i) c.out<bool>(0)[i] = c.in<uint8_t>(0)[i] != 0;
    return Status();
  }
};

}  // namespace

LINNET_OP(Cast, 1, Cast<false>);
LINNET_OP(CastLike, 15, Cast<true>);
LINNET_OP(BitCast, 26, BitCast);

}  // namespace linnet
