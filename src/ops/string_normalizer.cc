// StringNormalizer: stop words removed, then upper or lower case.
//
// The input is [C] or [1, C]; when nothing is left, one empty string stands for it. The locale attribute has no effect:
// letters are mapped as Unicode says, the same everywhere.
#include <unordered_set>

#include "ops/movement.h"
#include "ops/text_case.h"

namespace linnet {
namespace {

struct StringNormalizer {
  enum { kNone, kLower, kUpper } action = kNone;
  bool case_sensitive = false;
  std::unordered_set<std::string> stopwords;   ///< in small letters unless case_sensitive

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string name, node.String("case_change_action", "NONE"));
    if (name == "LOWER") {
      action = kLower;
    } else if (name == "UPPER") {
      action = kUpper;
    } else if (name != "NONE") {
      return InvalidModel("attribute 'case_change_action' is ", Quote(name), "; known: NONE, LOWER, UPPER");
    }
    LINNET_ASSIGN(int64_t sensitive, node.Int("is_case_sensitive", 0));
    case_sensitive = sensitive != 0;
    LINNET_ASSIGN(std::vector<std::string> words, node.Strings("stopwords"));
    for (const std::string& word : words) stopwords.insert(case_sensitive ? word : ChangeCase(word, false));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kString)));
    const Shape& in = c.shape(0);
    const bool fits = !in.has_rank() || in.rank() == 1 || (in.rank() == 2 && (in[0] == 1 || !IsKnownDim(in[0])));
    if (!fits) return InvalidArgument("input has shape ", ToString(in), " where [C] or [1,C] is expected");
    Shape out = in;
    if (out.rank() == 1) out = {kUnknownDim};
    if (out.rank() == 2) out = {1, kUnknownDim};
    return c.SetOutput(0, DType::kString, out);
  }
  bool Kept(const std::string& text) const {
    if (stopwords.empty()) return true;
    return stopwords.count(case_sensitive ? text : ChangeCase(text, false)) == 0;
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(0).elements();
    const auto* in = c.in<std::string>(0);
    int64_t kept = 0;
    for (int64_t i = 0; i < count; ++i) kept += Kept(in[i]);
    Shape shape{std::max<int64_t>(1, kept)};
    if (c.input_shape(0).rank() == 2) shape = {1, shape[0]};
    LINNET_ASSIGN(void* memory, c.AllocateOutput(0, DType::kString, shape));
    auto* out = static_cast<std::string*>(memory);
    for (int64_t i = 0; i < count; ++i) {
      if (Kept(in[i])) *out++ = action == kNone ? in[i] : ChangeCase(in[i], action == kUpper);
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(StringNormalizer, 10, StringNormalizer);

}  // namespace linnet
