// TfIdfVectorizer: how often the n-grams of a pool occur in each row, with gaps of up to max_skip_count between words.
//
// The pool is a tree: a step from a node over a word leads to the node of the longer n-gram. Words of the input become
// numbers first, so that a step is one lookup of (node, word).
#include <unordered_map>

#include "ops/movement.h"

namespace linnet {
namespace {

struct TfIdfVectorizer {
  enum { kTf, kIdf, kTfIdf } mode = kTf;
  int64_t shortest = 1, longest = 1, skips = 0, columns = 0;
  bool strings = false;
  std::vector<float> weights;
  std::unordered_map<int64_t, int32_t> int_words;
  std::unordered_map<std::string, int32_t> string_words;
  std::unordered_map<uint64_t, int32_t> steps;   ///< node << 32 | word → node; node 0 is the root
  std::vector<int64_t> column_of;                ///< of each node; -1: no n-gram of the pool ends there

  int32_t Step(int32_t node, int32_t word) const {
    auto it = steps.find(static_cast<uint64_t>(node) << 32 | static_cast<uint32_t>(word));
    return it == steps.end() ? -1 : it->second;
  }

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string name, node.String("mode", ""));
    if (name == "TF") {
      mode = kTf;
    } else if (name == "IDF") {
      mode = kIdf;
    } else if (name == "TFIDF") {
      mode = kTfIdf;
    } else {
      return InvalidModel("attribute 'mode' is ", Quote(name), "; known: TF, IDF, TFIDF");
    }
    LINNET_ASSIGN(shortest, node.Int("min_gram_length", 0));
    LINNET_ASSIGN(longest, node.Int("max_gram_length", 0));
    LINNET_ASSIGN(skips, node.Int("max_skip_count", 0));
    if (shortest < 1 || longest < shortest || skips < 0) {
      return InvalidModel("min_gram_length ", shortest, ", max_gram_length ", longest, " and max_skip_count ", skips, " do not go together");
    }
    LINNET_ASSIGN(std::vector<int64_t> indexes, node.Ints("ngram_indexes"));
    if (indexes.empty()) return InvalidModel("attribute 'ngram_indexes' is missing");
    for (int64_t index : indexes) {
      if (index < 0 || index >= kDimMax) return InvalidModel("attribute 'ngram_indexes' has ", index);
      columns = std::max(columns, index + 1);
    }
    LINNET_ASSIGN(weights, node.Floats("weights"));
    if (!weights.empty() && static_cast<int64_t>(weights.size()) < columns) {
      return InvalidModel("attribute 'weights' has ", weights.size(), " numbers for ", columns, " columns");
    }
    LINNET_ASSIGN(std::vector<int64_t> counts, node.Ints("ngram_counts"));
    LINNET_ASSIGN(std::vector<int64_t> int_pool, node.Ints("pool_int64s"));
    LINNET_ASSIGN(std::vector<std::string> string_pool, node.Strings("pool_strings"));
    if (int_pool.empty() == string_pool.empty()) return InvalidModel("exactly one of 'pool_int64s' and 'pool_strings' must list n-grams");
    strings = int_pool.empty();
    std::vector<int32_t> pool;
    for (int64_t word : int_pool) pool.push_back(int_words.emplace(word, static_cast<int32_t>(int_words.size())).first->second);
    for (const std::string& word : string_pool) {
      pool.push_back(string_words.emplace(word, static_cast<int32_t>(string_words.size())).first->second);
    }
    return AddPool(pool, counts, indexes);
  }

  Status AddPool(const std::vector<int32_t>& pool, const std::vector<int64_t>& counts, const std::vector<int64_t>& indexes) {
    column_of.assign(1, -1);
    int64_t gram = 0;   // n-grams so far: an entry of `indexes` each
    for (size_t i = 0; i < counts.size(); ++i) {
      const int64_t length = static_cast<int64_t>(i) + 1, begin = counts[i];
      const int64_t end = i + 1 < counts.size() ? counts[i + 1] : static_cast<int64_t>(pool.size());
      if (begin < 0 || end < begin || end > static_cast<int64_t>(pool.size()) || (end - begin) % length != 0) {
        return InvalidModel("attribute 'ngram_counts' does not divide the pool into n-grams of ", length);
      }
      const int64_t grams = (end - begin) / length;
      if (grams > static_cast<int64_t>(indexes.size()) - gram) return InvalidModel("attribute 'ngram_indexes' has fewer entries than the pool has n-grams");
      if (length >= shortest && length <= longest) {
        for (int64_t g = 0; g < grams; ++g) {
          int32_t at = 0;
          for (int64_t w = 0; w < length; ++w) {
            const uint64_t key = static_cast<uint64_t>(at) << 32 | static_cast<uint32_t>(pool[static_cast<size_t>(begin + g * length + w)]);
            const auto [it, added] = steps.emplace(key, static_cast<int32_t>(column_of.size()));
            if (added) column_of.push_back(-1);
            at = it->second;
          }
          column_of[static_cast<size_t>(at)] = indexes[static_cast<size_t>(gram + g)];
        }
      }
      gram += grams;
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, strings ? Mask(DType::kString) : Mask(DType::kInt32) | Mask(DType::kInt64)));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, DType::kFloat, in);
    if (in.rank() > 2) return InvalidArgument("input has shape ", ToString(in), " where [C] or [N,C] is expected");
    if (in.rank() < 2) return c.SetOutput(0, DType::kFloat, {columns});
    return c.SetOutput(0, DType::kFloat, {in[0], columns});
  }
  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    c.Scratch((in.rank() == 0 ? 1 : in[in.rank() - 1]) * static_cast<int64_t>(sizeof(int32_t)));
    return Status();
  }
  Status Run(RunContext& c) const {
    const Shape& in = c.input_shape(0);
    const int64_t words = in.rank() == 0 ? 1 : in[in.rank() - 1], rows = in.rank() == 2 ? in[0] : 1;
    auto* row = reinterpret_cast<int32_t*>(c.scratch());
    for (int64_t r = 0; r < rows; ++r) {
      LINNET_TRY(c.CheckStop());
      for (int64_t i = 0; i < words; ++i) row[i] = WordOf(c, r * words + i);
      float* out = c.out<float>(0) + r * columns;
      std::fill_n(out, columns, 0.0f);
      LINNET_TRY(Count(c, row, words, out));
      for (int64_t k = 0; k < columns && mode != kTf; ++k) {
        if (mode == kIdf) out[k] = out[k] > 0;
        if (!weights.empty()) out[k] *= weights[static_cast<size_t>(k)];
      }
    }
    return Status();
  }
  int32_t WordOf(RunContext& c, int64_t i) const {
    if (strings) {
      auto it = string_words.find(c.in<std::string>(0)[i]);
      return it == string_words.end() ? -1 : it->second;
    }
    const int64_t word = c.input_dtype(0) == DType::kInt32 ? c.in<int32_t>(0)[i] : c.in<int64_t>(0)[i];
    auto it = int_words.find(word);
    return it == int_words.end() ? -1 : it->second;
  }
  Status Count(RunContext& c, const int32_t* row, int64_t words, float* out) const {
    int64_t from = shortest;   // lengths that count; single words do not depend on the gap and count once
    for (int64_t gap = 1; gap - 1 <= skips && from <= longest; ++gap) {
      if (from > 1 && gap > (words - 1) / (from - 1)) break;   // not even the shortest fits
      LINNET_TRY(c.CheckStop());
      for (int64_t start = 0; start < words; ++start) {
        int32_t at = 0;
        int64_t i = start;
        for (int64_t length = 1; length <= longest && i < words; ++length, i += gap) {
          at = row[i] < 0 ? -1 : Step(at, row[i]);
          if (at < 0) break;
          const int64_t column = column_of[static_cast<size_t>(at)];
          if (length >= from && column >= 0) out[column] += 1;
        }
      }
      if (from == 1) from = 2;
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(TfIdfVectorizer, 9, TfIdfVectorizer);

}  // namespace linnet
