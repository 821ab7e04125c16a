// ZipMap, DictVectorizer, CastMap: between tensors and maps. A map is two tensors of the same length, keys and values.
#include <algorithm>

#include "base/number_text.h"
#include "ops/ml_helpers.h"

namespace linnet {
namespace {

/// Rows of scores become a sequence of maps from labels to scores.
struct ZipMap {
  Tensor keys;

  Status Parse(const Node& node) {
    ClassLabels labels;
    LINNET_TRY(labels.Parse(node, "classlabels_int64s", "classlabels_strings"));
    keys = labels.strings.empty() ? Tensor::Ints(labels.ints) : Tensor::Of<std::string>({labels.size()}, labels.strings);
    return Status();
  }
  Type MapType(Kind kind) const { return {kind, DType::kFloat, keys.dtype(), Shape()}; }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kFloat)));
    LINNET_TRY(InferRows(c.shape(0)).TakeStatus());
    const int64_t columns = c.shape(0).has_rank() ? ColumnsOf(c.shape(0)) : kUnknownDim;
    if (IsKnownDim(columns) && columns != keys.elements()) return InvalidArgument(columns, " columns for ", keys.elements(), " labels");
    return c.SetOutput(0, MapType(Kind::kSequenceOfMaps));
  }
  Status Run(RunContext& c) const {
    const int64_t rows = RowsOf(c.input_shape(0)), columns = keys.elements();
    Datum sequence;
    sequence.type = MapType(Kind::kSequenceOfMaps);
    for (int64_t r = 0; r < rows; ++r) {
      Datum map;
      map.type = MapType(Kind::kMap);
      map.keys = keys;
      LINNET_ASSIGN(map.tensor, Tensor::Allocate(DType::kFloat, {columns}, c.budget()));
      CopyRun(map.tensor.mutable_as<float>(), c.in<float>(0) + r * columns, columns);
      sequence.items.push_back(std::move(map));
    }
    return c.SetOutput(0, std::move(sequence));
  }
};

Status CheckMap(const InferContext& c) {
  LINNET_TRY(c.CheckInputs(1, 1));
  if (c.type(0).kind == Kind::kUnknown || c.type(0).kind == Kind::kMap) return Status();
  return InvalidModel("input 0 is ", ToString(c.type(0)), " where a map is expected");
}

/// A map's values in the order of a vocabulary; 0 (or "") where it has none.
struct DictVectorizer {
  Tensor vocabulary;

  Status Parse(const Node& node) {
    ClassLabels words;
    LINNET_TRY(words.Parse(node, "int64_vocabulary", "string_vocabulary"));
    vocabulary = words.strings.empty() ? Tensor::Ints(words.ints) : Tensor::Of<std::string>({words.size()}, words.strings);
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(CheckMap(c));
    if (c.type(0).key != DType::kUndefined && c.type(0).key != vocabulary.dtype()) {
      return InvalidModel("the map's keys are ", DTypeName(c.type(0).key), " and the vocabulary ", DTypeName(vocabulary.dtype()));
    }
    return c.SetOutput(0, c.dtype(0), {1, vocabulary.elements()});
  }
  Status Run(RunContext& c) const {
    const Datum& map = c.input_datum(0);
    if (vocabulary.dtype() == DType::kString) return Place<std::string>(c, map);
    return Place<int64_t>(c, map);
  }
  template <class K>
  Status Place(RunContext& c, const Datum& map) const {
    const int64_t count = map.keys.elements(), words = vocabulary.elements();
    std::vector<std::pair<K, int64_t>> order;
    for (int64_t i = 0; i < words; ++i) order.emplace_back(vocabulary.as<K>()[i], i);
    std::sort(order.begin(), order.end());
    return ForWidth(map.tensor.dtype(), [&]<class T>() -> Status {
      T* out = c.out<T>(0);
      std::fill_n(out, words, T{});
      for (int64_t i = 0; i < count; ++i) {
        const K& key = map.keys.as<K>()[i];
        auto it = std::lower_bound(order.begin(), order.end(), key, [](const auto& entry, const K& k) { return entry.first < k; });
        if (it == order.end() || it->first != key) return InvalidArgument("key ", i, " of the map is not in the vocabulary");
        out[it->second] = map.tensor.as<T>()[i];
      }
      return Status();
    });
  }
};

/// A map with int64 keys becomes one row: its values in the order of the keys (DENSE), or each at its key (SPARSE).
struct CastMap {
  DType to = DType::kFloat;
  bool sparse = false;
  int64_t length = 1;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string cast, node.String("cast_to", "TO_FLOAT"));
    if (cast != "TO_FLOAT" && cast != "TO_STRING" && cast != "TO_INT64") {
      return InvalidModel("attribute 'cast_to' is ", Quote(cast), "; known: TO_FLOAT, TO_STRING, TO_INT64");
    }
    to = cast == "TO_FLOAT" ? DType::kFloat : cast == "TO_STRING" ? DType::kString : DType::kInt64;
    LINNET_ASSIGN(std::string form, node.String("map_form", "DENSE"));
    if (form != "DENSE" && form != "SPARSE") return InvalidModel("attribute 'map_form' is ", Quote(form), "; known: DENSE, SPARSE");
    sparse = form == "SPARSE";
    LINNET_ASSIGN(length, node.Int("max_map", 1));
    if (sparse && (length < 1 || length > kDimMax)) return InvalidModel("attribute 'max_map' is ", length);
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(CheckMap(c));
    return c.SetOutput(0, to, {1, sparse ? length : kUnknownDim});
  }
  Status Run(RunContext& c) const {
    const Datum& map = c.input_datum(0);
    const DType from = map.tensor.dtype();
    if (map.keys.dtype() != DType::kInt64 || (from != DType::kFloat && from != DType::kString)) {
      return InvalidArgument("the map is ", ToString(map.type), " where int64 to float or string is expected");
    }
    const int64_t count = map.keys.elements(), places = sparse ? length : count;
    LINNET_ASSIGN(void* memory, c.AllocateOutput(0, to, {1, places}));
    std::vector<int64_t> order(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    const int64_t* keys = map.keys.as<int64_t>();
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return keys[a] < keys[b]; });
    if (sparse) ForWidth(to, [&]<class T>() { std::fill_n(static_cast<T*>(memory), places, T{}); });
    for (int64_t k = 0; k < count; ++k) {
      const int64_t i = order[static_cast<size_t>(k)], at = sparse ? keys[i] : k;
      if (at < 0 || at >= places) return InvalidArgument("key ", keys[i], " of the map is outside 0 to ", places - 1);
      LINNET_TRY(Convert(map.tensor, i, memory, at));
    }
    return Status();
  }
  Status Convert(const Tensor& values, int64_t i, void* memory, int64_t at) const {
    if (to == DType::kString) {
      static_cast<std::string*>(memory)[at] =
          values.dtype() == DType::kString ? values.as<std::string>()[i] : FormatNumber(values.as<float>()[i]);
      return Status();
    }
    double number;
    if (values.dtype() == DType::kString) {
      LINNET_ASSIGN(number, ParseNumber(values.as<std::string>()[i]));
    } else {
      number = static_cast<double>(values.as<float>()[i]);
    }
    if (to == DType::kFloat) {
      static_cast<float*>(memory)[at] = static_cast<float>(number);
    } else {
      LINNET_ASSIGN(static_cast<int64_t*>(memory)[at], IntegerAt(DType::kDouble, &number, 0));
    }
    return Status();
  }
};

}  // namespace

LINNET_ML_OP(ZipMap, 1, ZipMap);
LINNET_ML_OP(DictVectorizer, 1, DictVectorizer);
LINNET_ML_OP(CastMap, 1, CastMap);

}  // namespace linnet
