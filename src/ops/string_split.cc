// StringSplit: each string cut at a delimiter, or at runs of white space when there is none.
//
// The pieces stand in a new last axis, filled up with empty strings; the second output says how many there are. After
// `maxsplit` cuts the rest stays in one piece (without white space before it, when that separates).
#include "ops/movement.h"

namespace linnet {
namespace {

struct StringSplit {
  std::string delimiter;
  int64_t most = INT64_MAX;   ///< cuts

  Status Parse(const Node& node) {
    LINNET_ASSIGN(delimiter, node.String("delimiter", ""));
    LINNET_ASSIGN(most, node.Int("maxsplit", INT64_MAX));
    if (most < 0) most = INT64_MAX;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kString)));
    Shape out = c.shape(0);
    if (out.rank() == kMaxRank) return Unsupported("rank ", kMaxRank + 1, " is above the limit of ", kMaxRank);
    if (out.has_rank()) out.Append(kUnknownDim);
    LINNET_TRY(c.SetOutput(0, DType::kString, out));
    return c.SetOutput(1, DType::kInt64, c.shape(0));
  }

  static bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

  /// Calls piece(text) for every piece.
  template <class F>
  void Cut(std::string_view text, F&& piece) const {
    int64_t cuts = 0;
    if (!delimiter.empty()) {
      for (;;) {
        const size_t at = cuts < most ? text.find(delimiter) : std::string_view::npos;
        if (at == std::string_view::npos) return piece(text);
        piece(text.substr(0, at));
        text.remove_prefix(at + delimiter.size());
        ++cuts;
      }
    }
    for (;;) {
      while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
      if (text.empty()) return;
      if (cuts == most) return piece(text);
      size_t end = 0;
      while (end < text.size() && !IsSpace(text[end])) ++end;
      piece(text.substr(0, end));
      text.remove_prefix(end);
      ++cuts;
    }
  }

  Status Run(RunContext& c) const {
    const Shape& in = c.input_shape(0);
    const int64_t count = in.elements();
    const auto* texts = c.in<std::string>(0);
    LINNET_ASSIGN(void* counts_memory, Counts(c, in));
    auto* counts = static_cast<int64_t*>(counts_memory);
    int64_t longest = 0;
    for (int64_t i = 0; i < count; ++i) {
      int64_t pieces = 0;
      Cut(texts[i], [&](std::string_view) { ++pieces; });
      longest = std::max(longest, pieces);
      if (counts) counts[i] = pieces;
    }
    if (!c.has_output(0)) return Status();
    Shape out = in;
    out.Append(longest);
    LINNET_ASSIGN(void* memory, c.AllocateOutput(0, DType::kString, out));
    auto* to = static_cast<std::string*>(memory);
    for (int64_t i = 0; i < count; ++i, to += longest) {
      int64_t k = 0;
      Cut(texts[i], [&](std::string_view piece) { to[k++] = std::string(piece); });
    }
    return Status();
  }
  static Result<void*> Counts(RunContext& c, const Shape& in) {
    if (!c.has_output(1)) return static_cast<void*>(nullptr);
    return c.AllocateOutput(1, DType::kInt64, in);
  }
};

}  // namespace

LINNET_OP(StringSplit, 20, StringSplit);

}  // namespace linnet
