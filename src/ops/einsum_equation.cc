// Parsing Einsum equations.
#include "ops/einsum_equation.h"

namespace linnet {
namespace {

int8_t IndexOf(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<int8_t>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<int8_t>(c - 'a' + 26);
  return -1;
}

Status Append(EinsumTerm* term, int8_t item) {
  const int letters = term->count - (term->has_ellipsis ? 1 : 0);
  if (item == kEinsumEllipsis) {
    if (term->has_ellipsis) return InvalidModel("a term of the equation has two ellipses");
    term->has_ellipsis = true;
  } else if (letters == kMaxRank) {
    return Unsupported("a term of the equation has more than ", kMaxRank, " letters");
  }
  term->items[term->count++] = item;
  return Status();
}

/// One term; `text` holds letters, dots and spaces.
Result<EinsumTerm> ParseTerm(std::string_view text) {
  EinsumTerm term;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text.substr(i, 3) == "...") {
      LINNET_TRY(Append(&term, kEinsumEllipsis));
      i += 2;
      continue;
    }
    const int8_t index = IndexOf(text[i]);
    if (index < 0) return InvalidModel("the equation has ", Quote(text.substr(i, 1)), " where a letter is expected");
    LINNET_TRY(Append(&term, index));
  }
  return term;
}

}  // namespace

Result<EinsumEquation> ParseEinsum(std::string_view text) {
  constexpr size_t kLengthMax = 1000;
  if (text.size() > kLengthMax) return LimitReached("an equation of ", text.size(), " characters; the limit is ", kLengthMax);
  EinsumEquation equation;
  const size_t arrow = text.find("->");
  std::string_view left = text.substr(0, arrow);
  for (;;) {
    const size_t comma = left.find(',');
    LINNET_ASSIGN(EinsumTerm term, ParseTerm(left.substr(0, comma)));
    equation.inputs.push_back(term);
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  int uses[kEinsumIndices] = {};
  bool any_ellipsis = false;
  for (const EinsumTerm& term : equation.inputs) {
    any_ellipsis = any_ellipsis || term.has_ellipsis;
    for (int i = 0; i < term.count; ++i) {
      if (term.items[i] >= 0) ++uses[term.items[i]];
    }
  }
  if (arrow == std::string_view::npos) {
    if (any_ellipsis) LINNET_TRY(Append(&equation.output, kEinsumEllipsis));
    for (int8_t index = 0; index < 52; ++index) {
      if (uses[index] == 1) LINNET_TRY(Append(&equation.output, index));
    }
    return equation;
  }
  LINNET_ASSIGN(equation.output, ParseTerm(text.substr(arrow + 2)));
  int seen[kEinsumIndices] = {};
  for (int i = 0; i < equation.output.count; ++i) {
    const int8_t index = equation.output.items[i];
    if (index < 0) continue;
    const char letter = static_cast<char>(index < 26 ? 'A' + index : 'a' + index - 26);
    if (uses[index] == 0) return InvalidModel("output index '", letter, "' is in no input term");
    if (++seen[index] > 1) return InvalidModel("output index '", letter, "' is repeated");
  }
  return equation;
}

Result<EinsumIndices> ExpandTerm(const EinsumTerm& term, int rank) {
  const int letters = term.count - (term.has_ellipsis ? 1 : 0);
  if (term.has_ellipsis ? rank < letters : rank != letters) {
    return InvalidModel("a term of ", letters, " indices", term.has_ellipsis ? " and an ellipsis" : "", " for a tensor of rank ", rank);
  }
  EinsumIndices out;
  for (int i = 0; i < term.count; ++i) {
    if (term.items[i] != kEinsumEllipsis) {
      out.list[out.count++] = term.items[i];
      continue;
    }
    for (int d = rank - letters; d > 0; --d) out.list[out.count++] = static_cast<int8_t>(kEinsumIndices - d);
  }
  return out;
}

}  // namespace linnet
