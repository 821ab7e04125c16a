// LabelEncoder, CategoryMapper, OneHotEncoder: elements looked up in a list of keys.
//
// Keys are integers, floating-point numbers or strings. Of repeated keys the last counts. A NaN key matches every NaN.
#include <unordered_map>

#include "ops/ml_helpers.h"

namespace linnet {
namespace {

/// Where an element stands in a list of keys.
class KeyIndex {
 public:
  /// Keys of `dtype`: integers and strings as they are, floats and doubles as numbers.
  Status Set(const Tensor& keys) {
    dtype_ = keys.dtype();
    const int64_t count = keys.elements();
    for (int64_t i = 0; i < count; ++i) {
      const int32_t index = static_cast<int32_t>(i);
      if (dtype_ == DType::kString) {
        strings_[keys.as<std::string>()[i]] = index;
      } else if (IsFloating(dtype_)) {
        LINNET_ASSIGN(double value, Number(keys.dtype(), keys.data(), i));
        numbers_[Bits(value)] = index;
      } else {
        LINNET_ASSIGN(int64_t value, IntegerAt(keys.dtype(), keys.data(), i));
        integers_[value] = index;
      }
    }
    return Status();
  }
  DType dtype() const { return dtype_; }
  /// The index of element i of `data`, or -1. Numbers of other types than the keys' are cast to them.
  int32_t Find(DType dtype, const void* data, int64_t i) const {
    if (dtype_ == DType::kString) return Found(strings_, static_cast<const std::string*>(data)[i]);
    if (IsFloating(dtype_)) return Found(numbers_, Bits(Number(dtype, data, i).value()));
    return Found(integers_, IntegerAt(dtype, data, i).value());
  }

 private:
  static Result<double> Number(DType dtype, const void* data, int64_t i) {
    if (dtype == DType::kFloat) return static_cast<double>(static_cast<const float*>(data)[i]);
    if (dtype == DType::kDouble) return static_cast<const double*>(data)[i];
    return Unsupported("keys of ", DTypeName(dtype));
  }
  /// One number of a class of equal ones: both zeros, all NaN.
  static uint64_t Bits(double value) {
    if (value == 0) return 0;
    if (value != value) return ~uint64_t{0};
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
  }
  template <class Map, class Key>
  static int32_t Found(const Map& map, const Key& key) {
    auto it = map.find(key);
    return it == map.end() ? -1 : it->second;
  }

  DType dtype_ = DType::kUndefined;
  std::unordered_map<int64_t, int32_t> integers_;
  std::unordered_map<uint64_t, int32_t> numbers_;
  std::unordered_map<std::string, int32_t> strings_;
};

/// A list given as attribute `stem`_floats, _int64s, _strings or _tensor; a null tensor when there is none.
Status ParseList(const Node& node, const std::string& stem, Tensor* list) {
  int given = 0;
  if (node.Has(stem + "_floats")) {
    LINNET_ASSIGN(std::vector<float> values, node.Floats(stem + "_floats"));
    *list = Tensor::Of<float>({static_cast<int64_t>(values.size())}, values);
    ++given;
  }
  if (node.Has(stem + "_int64s")) {
    LINNET_ASSIGN(std::vector<int64_t> values, node.Ints(stem + "_int64s"));
    *list = Tensor::Ints(values);
    ++given;
  }
  if (node.Has(stem + "_strings")) {
    LINNET_ASSIGN(std::vector<std::string> values, node.Strings(stem + "_strings"));
    *list = Tensor::Of<std::string>({static_cast<int64_t>(values.size())}, values);
    ++given;
  }
  if (node.Has(stem + "_tensor")) {
    LINNET_ASSIGN(*list, node.TensorOf(stem + "_tensor"));
    if (!list->shape().is_static() || (list->elements() > 0 && !list->has_data())) {
      return InvalidModel("attribute '", stem, "_tensor' has no contents");
    }
    ++given;
  }
  if (given != 1) return InvalidModel("exactly one of the attributes '", stem, "_*' must be given");
  return Status();
}

constexpr uint32_t kLabelTypes = Mask(DType::kString) | Mask(DType::kInt64) | Mask(DType::kFloat) | Mask(DType::kInt32) |
                                 Mask(DType::kInt16) | Mask(DType::kDouble);

/// The element that stands for what no key matches.
Result<Tensor> ParseDefault(const Node& node, DType dtype) {
  if (node.Has("default_tensor")) {
    LINNET_ASSIGN(Tensor value, node.TensorOf("default_tensor"));
    if (value.dtype() != dtype || !value.shape().is_static() || value.elements() != 1) {
      return InvalidModel("attribute 'default_tensor' is ", ToString(value.type()), " where one ", DTypeName(dtype), " is expected");
    }
    return value;
  }
  LINNET_ASSIGN(Tensor value, Tensor::Allocate(dtype, {1}));
  if (dtype == DType::kString) {
    LINNET_ASSIGN(*value.mutable_as<std::string>(), node.String("default_string", "_Unused"));
  } else if (IsFloating(dtype)) {
    LINNET_ASSIGN(float number, node.Float("default_float", -0.0f));
    LINNET_TRY(StoreNumber(dtype, static_cast<double>(number), value.mutable_data()));
  } else {
    LINNET_ASSIGN(int64_t number, node.Int("default_int64", -1));
    if (dtype == DType::kInt64) {
      *value.mutable_as<int64_t>() = number;
    } else {
      LINNET_TRY(StoreNumber(dtype, static_cast<double>(number), value.mutable_data()));
    }
  }
  return value;
}

/// out[i] = values[index of x[i]], or the default.
struct Lookup {
  KeyIndex keys;
  Tensor values, fallback;

  Status InferFrom(InferContext& c, uint32_t types) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, types));
    return c.SetOutput(0, values.dtype(), c.shape(0));
  }
  Status Run(RunContext& c) const {
    const DType dtype = c.input_dtype(0);
    const int64_t count = c.input_shape(0).elements();
    return ForWidth(values.dtype(), [&]<class T>() {
      T* out = c.out<T>(0);
      return c.ParallelFor(count, 64, 30, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int32_t index = keys.Find(dtype, c.input(0), i);
          out[i] = index < 0 ? *fallback.as<T>() : values.as<T>()[index];
        }
      });
    });
  }
};

/// Versions 2 and 4: two parallel lists of any types.
struct LabelEncoder : Lookup {
  Status Parse(const Node& node) {
    Tensor list;
    LINNET_TRY(ParseList(node, "keys", &list));
    LINNET_TRY(ParseList(node, "values", &values));
    if (!(Mask(list.dtype()) & kLabelTypes) || !(Mask(values.dtype()) & kLabelTypes)) {
      return InvalidModel("keys are ", DTypeName(list.dtype()), " and values ", DTypeName(values.dtype()));
    }
    if (list.elements() != values.elements() || list.elements() > INT32_MAX) {
      return InvalidModel(list.elements(), " keys for ", values.elements(), " values");
    }
    LINNET_TRY(keys.Set(list));
    LINNET_ASSIGN(fallback, ParseDefault(node, values.dtype()));
    return Status();
  }
  Status Infer(InferContext& c) const { return InferFrom(c, Mask(keys.dtype())); }
};

/// Version 1: a list of strings and their positions, in either direction. CategoryMapper: strings and numbers of their
/// own. The type of the input says which way.
template <bool kPositions>
struct StringsAndInts {
  Lookup to_ints, to_strings;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::vector<std::string> strings, node.Strings(kPositions ? "classes_strings" : "cats_strings"));
    std::vector<int64_t> ints;
    if (kPositions) {
      for (size_t i = 0; i < strings.size(); ++i) ints.push_back(static_cast<int64_t>(i));
    } else {
      LINNET_ASSIGN(ints, node.Ints("cats_int64s"));
    }
    if (ints.size() != strings.size()) return InvalidModel(ints.size(), " numbers for ", strings.size(), " strings");
    to_strings.values = Tensor::Of<std::string>({static_cast<int64_t>(strings.size())}, strings);
    to_ints.values = Tensor::Ints(ints);
    LINNET_TRY(to_ints.keys.Set(to_strings.values));
    LINNET_TRY(to_strings.keys.Set(to_ints.values));
    LINNET_ASSIGN(to_ints.fallback, ParseDefault(node, DType::kInt64));
    LINNET_ASSIGN(to_strings.fallback, ParseDefault(node, DType::kString));
    return Status();
  }
  Status Infer(InferContext& c) const {
    const uint32_t types = Mask(DType::kString) | Mask(DType::kInt64);
    LINNET_TRY(c.CheckInputs(1, 1));
    return (c.dtype(0) == DType::kString ? to_ints : to_strings).InferFrom(c, types);
  }
  Status Run(RunContext& c) const { return (c.input_dtype(0) == DType::kString ? to_ints : to_strings).Run(c); }
};

/// A new last axis with a 1 at the category of each element. Numbers are cast to int64 for the lookup.
struct OneHotEncoder {
  KeyIndex keys;
  int64_t categories = 0;
  bool zeros = true;

  Status Parse(const Node& node) {
    Tensor list;
    LINNET_TRY(ParseList(node, "cats", &list));
    categories = list.elements();
    LINNET_ASSIGN(int64_t flag, node.Int("zeros", 1));
    zeros = flag != 0;
    return keys.Set(list);
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, keys.dtype() == DType::kString ? Mask(DType::kString) : kMlNumbers));
    Shape out = c.shape(0);
    if (out.rank() == kMaxRank) return Unsupported("rank ", kMaxRank + 1, " is above the limit of ", kMaxRank);
    if (out.has_rank()) out.Append(categories);
    return c.SetOutput(0, DType::kFloat, out);
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(0).elements();
    float* out = c.out<float>(0);
    std::fill_n(out, count * categories, 0.0f);
    for (int64_t i = 0; i < count; ++i) {
      const int32_t index = keys.Find(c.input_dtype(0), c.input(0), i);
      if (index >= 0) {
        out[i * categories + index] = 1;
      } else if (!zeros) {
        return InvalidArgument("element ", i, " is none of the categories");
      }
    }
    return Status();
  }
};

}  // namespace

LINNET_ML_OP(LabelEncoder, 1, StringsAndInts<true>);
LINNET_ML_OP(LabelEncoder, 2, LabelEncoder);
LINNET_ML_OP(CategoryMapper, 1, StringsAndInts<false>);
LINNET_ML_OP(OneHotEncoder, 1, OneHotEncoder);

}  // namespace linnet
