// RegexFullMatch: whether each string matches a pattern from its beginning to its end.
#include "ops/movement.h"
#include "ops/regex.h"

namespace linnet {
namespace {

struct RegexFullMatch {
  Regex regex;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string pattern, node.String("pattern", ""));
    LINNET_ASSIGN(regex, Regex::Compile(pattern));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kString)));
    return c.SetOutput(0, DType::kBool, c.shape(0));
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(0).elements();
    Regex::Scratch scratch;
    for (int64_t i = 0; i < count; ++i) {
      LINNET_ASSIGN(c.out<bool>(0)[i], regex.FullMatch(c.in<std::string>(0)[i], scratch, [&] { return c.CheckStop(); }));
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(RegexFullMatch, 20, RegexFullMatch);

}  // namespace linnet
