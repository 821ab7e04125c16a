// From the text of a pattern to a program (see regex.h).
#pragma once

#include <string>

#include "ops/regex.h"

namespace linnet {

class RegexParser {
 public:
  explicit RegexParser(std::string_view pattern) : text_(pattern) {}
  Result<Regex> Run();

 private:
  using Op = Regex::Op;
  using Range = Regex::Range;
  using Ranges = std::vector<Range>;
  struct Flags {
    bool fold = false, lines = false, dot_all = false;
  };

  // pattern  := branch { '|' branch }        branch := { piece }        piece := atom { repeat }
  Status Alternatives(int depth);
  Status Branch(int depth);
  Status Piece(int depth);
  Status Atom(int depth);
  Status Group(int depth);
  Status Escape();
  Status Bracket();
  Status BracketItem(Ranges& set, int32_t* single);
  Status NamedClass(Ranges& set);
  /// What follows a backslash when it is one character.
  Status EscapedCharacter(int32_t* c);
  bool PerlClass(char name, Ranges& set) const;
  /// {n}, {n,} or {n,m} at the cursor; false when it is only text.
  bool Counts(int* least, int* most);
  Status Repeat(size_t begin, int least, int most);
  Status ReadFlags(Flags* flags);

  Status Insert(size_t begin);
  Status Add(Op op, int32_t x = 0, int32_t y = 0);
  Status AddSet(Ranges ranges, bool negated);
  Status AddCharacter(int32_t c) { return AddSet({{c, c}}, false); }
  Status Bad(std::string_view what) const;

  bool more() const { return at_ < text_.size(); }
  char peek() const { return text_[at_]; }
  bool Take(std::string_view prefix) {
    if (text_.substr(at_).substr(0, prefix.size()) != prefix) return false;
    at_ += prefix.size();
    return true;
  }
  Status Character(int32_t* c);
  std::vector<Regex::Instruction>& program() { return regex_.program_; }

  std::string_view text_;
  size_t at_ = 0;
  bool quoted_ = false;   ///< between \Q and \E
  Flags flags_;
  int64_t fold_work_ = 0;
  Regex regex_;
};

}  // namespace linnet
