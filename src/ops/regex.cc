// Matching: one pass over the text with the set of instructions that may come next.
#include "ops/regex.h"

#include <algorithm>

#include "ops/regex_parser.h"
#include "ops/text_case.h"

namespace linnet {
namespace {

constexpr int32_t kNone = -2;   ///< before the first and after the last character

bool IsWord(int32_t c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z'); }

}  // namespace

Result<Regex> Regex::Compile(std::string_view pattern) { return RegexParser(pattern).Run(); }

bool Regex::Holds(Assert assertion, int32_t before, int32_t after) const {
  switch (assertion) {
    case Assert::kTextBegin: return before == kNone;
    case Assert::kTextEnd: return after == kNone;
    case Assert::kLineBegin: return before == kNone || before == '\n';
    case Assert::kLineEnd: return after == kNone || after == '\n';
    case Assert::kWord: return IsWord(before) != IsWord(after);
    case Assert::kNotWord: return IsWord(before) == IsWord(after);
  }
  return false;
}

bool Regex::Contains(const Set& set, int32_t c) const {
  auto begin = ranges_.begin() + set.begin, end = ranges_.begin() + set.end;
  auto it = std::upper_bound(begin, end, c, [](int32_t value, const Range& range) { return value < range.first; });
  return it != begin && c <= (it - 1)->last;
}

/// Adds to `threads` what is reached from `at` without a character.
void Regex::Follow(int32_t at, int32_t before, int32_t after, std::vector<int32_t>& threads, Scratch& s) const {
  s.stack.assign(1, at);
  while (!s.stack.empty()) {
    const int32_t pc = s.stack.back();
    s.stack.pop_back();
    if (s.seen[static_cast<size_t>(pc)] == s.generation) continue;
    s.seen[static_cast<size_t>(pc)] = s.generation;
    const Instruction& in = program_[static_cast<size_t>(pc)];
    switch (in.op) {
      case Op::kSplit:
        s.stack.push_back(in.y);
        s.stack.push_back(in.x);
        break;
      case Op::kJump: s.stack.push_back(in.x); break;
      case Op::kAssert:
        if (Holds(static_cast<Assert>(in.x), before, after)) s.stack.push_back(pc + 1);
        break;
      default: threads.push_back(pc); break;
    }
  }
}

Result<bool> Regex::FullMatch(std::string_view text, Scratch& s, FunctionRef<Status()> stop) const {
  if (s.seen.size() < program_.size()) s.seen.assign(program_.size(), 0), s.generation = 0;
  s.now.clear();
  size_t at = 0;
  int32_t before = kNone, c = text.empty() ? kNone : NextCodePoint(text, &at);
  ++s.generation;
  Follow(0, before, c, s.now, s);
  int64_t work = 0;
  while (c != kNone && !s.now.empty()) {
    if ((work += static_cast<int64_t>(s.now.size()) + 16) > (1 << 20)) {
      LINNET_TRY(stop());
      work = 0;
    }
    const int32_t after = at < text.size() ? NextCodePoint(text, &at) : kNone;
    s.next.clear();
    ++s.generation;
    for (int32_t pc : s.now) {
      const Instruction& in = program_[static_cast<size_t>(pc)];
      if (in.op == Op::kSet && Contains(sets_[static_cast<size_t>(in.x)], c)) Follow(pc + 1, c, after, s.next, s);
    }
    s.now.swap(s.next);
    before = c;
    c = after;
  }
  if (c != kNone) return false;
  return std::any_of(s.now.begin(), s.now.end(), [this](int32_t pc) { return program_[static_cast<size_t>(pc)].op == Op::kMatch; });
}

}  // namespace linnet
