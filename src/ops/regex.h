// Regular expressions in RE2's syntax, matched in time linear in the text.
//
// A pattern becomes a program of instructions; matching runs all threads of it at once over the text (Thompson 1968; Cox,
// "Regular Expression Matching Can Be Simple And Fast"): a set of instructions before each character, no going back.
// Whether a text matches as a whole is all that is asked, so groups are only brackets and greed makes no difference.
//
// Known: literals, . [] [^] [[:class:]], \d \s \w \D \S \W, \t \n \f \r \v \a, \123 \x7F \x{10FFFF}, \Q...\E, | * + ? {n,m}
// (also lazy), groups ( ) (?: ) (?P<name> ) (?<name> ) (?flags) (?flags: ) with i, m, s, U, and ^ $ \A \z \b \B.
// Not known: \p{...}, \C. Bounds: see kInstructionsMax, kDepthMax, kRepeatMax.
#pragma once

#include <stdint.h>

#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/status.h"

namespace linnet {

class Regex {
 public:
  static constexpr int kInstructionsMax = 100'000;
  static constexpr int kDepthMax = 200;      ///< nested groups
  static constexpr int kRepeatMax = 1000;    ///< in {n,m}, as in RE2

  /// Fails with what is wrong in the pattern.
  static Result<Regex> Compile(std::string_view pattern);

  /// Memory that matching needs, reused between texts.
  struct Scratch {
    std::vector<int32_t> now, next, stack;
    std::vector<uint64_t> seen;
    uint64_t generation = 0;
  };
  /// Whether all of `text` matches; bytes that are not UTF-8 match nothing but negated classes. Calls `stop` now and then
  /// and gives up with its failure.
  Result<bool> FullMatch(std::string_view text, Scratch& scratch, FunctionRef<Status()> stop) const;

 private:
  friend class RegexParser;
  enum class Op : uint8_t { kSet, kSplit, kJump, kAssert, kMatch };
  enum class Assert : uint8_t { kTextBegin, kTextEnd, kLineBegin, kLineEnd, kWord, kNotWord };
  /// kSet: one character of set `x`. kSplit: on at `x` and at `y`. kJump: on at `x`. kAssert: on at the next when Assert(x).
  struct Instruction {
    Op op = Op::kMatch;
    int32_t x = 0, y = 0;
  };
  struct Range {
    int32_t first, last;
  };
  struct Set {
    int32_t begin, end;   ///< into ranges_, ascending
  };
  bool Holds(Assert assertion, int32_t before, int32_t after) const;
  bool Contains(const Set& set, int32_t c) const;
  void Follow(int32_t at, int32_t before, int32_t after, std::vector<int32_t>& threads, Scratch& scratch) const;

  std::vector<Instruction> program_;
  std::vector<Set> sets_;
  std::vector<Range> ranges_;
};

}  // namespace linnet
