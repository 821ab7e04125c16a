// Parsing patterns by recursive descent; code is emitted as it is read.
#include "ops/regex_parser.h"

#include <algorithm>

#include "ops/text_case.h"

namespace linnet {
namespace {

constexpr int32_t kLast = 0x10ffff;
constexpr int64_t kFoldWorkMax = 200'000;

}  // namespace

Result<Regex> RegexParser::Run() {
  LINNET_TRY(Alternatives(0));
  if (more()) return Bad("a ) without a (");
  LINNET_TRY(Add(Op::kMatch));
  return std::move(regex_);
}

Status RegexParser::Bad(std::string_view what) const {
  return InvalidModel("regular expression ", Quote(text_), " has ", what, " at byte ", at_);
}

Status RegexParser::Add(Op op, int32_t x, int32_t y) {
  if (program().size() >= Regex::kInstructionsMax) return LimitReached("the regular expression needs more than ", Regex::kInstructionsMax, " instructions");
  program().push_back({op, x, y});
  return Status();
}

Status RegexParser::AddSet(Ranges ranges, bool negated) {
  if (flags_.fold) {
    // Both cases of each character; large ranges (which hold both) are left as they are.
    const Ranges given = ranges;
    for (const Range& range : given) {
      if (range.last - range.first > 0x3000) continue;
      fold_work_ += range.last - range.first + 1;
      if (fold_work_ > kFoldWorkMax) return LimitReached("the regular expression folds the case of too many characters");
      for (int32_t c = range.first; c <= range.last; ++c) {
        for (int32_t other : {ToLower(c), ToUpper(c), ToLower(ToUpper(c)), ToUpper(ToLower(c))}) {
          if (other != c) ranges.push_back({other, other});
        }
      }
    }
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  Ranges merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  if (negated) {
    Ranges rest;
    int32_t next = -1;   // a byte that is not UTF-8 belongs here too
    for (const Range& range : merged) {
      if (range.first > next) rest.push_back({next, range.first - 1});
      next = range.last + 1;
    }
    if (next <= kLast) rest.push_back({next, kLast});
    merged.swap(rest);
  }
  const int32_t begin = static_cast<int32_t>(regex_.ranges_.size());
  regex_.ranges_.insert(regex_.ranges_.end(), merged.begin(), merged.end());
  if (regex_.ranges_.size() > (size_t{1} << 20)) return LimitReached("the regular expression has too many character classes");
  regex_.sets_.push_back({begin, static_cast<int32_t>(regex_.ranges_.size())});
  return Add(Op::kSet, static_cast<int32_t>(regex_.sets_.size()) - 1);
}

Status RegexParser::Character(int32_t* c) {
  *c = NextCodePoint(text_, &at_);
  return *c < 0 ? Bad("a byte that is not UTF-8") : Status();
}

// a | b | c      split L1, L2;  L1: a; jump end;  L2: split L3, L4;  L3: b; jump end;  L4: c;  end:
// Only the bar tells that a split is needed, so it is put before code that is there already.
Status RegexParser::Alternatives(int depth) {
  if (depth > Regex::kDepthMax) return LimitReached("the regular expression nests more than ", Regex::kDepthMax, " groups");
  size_t begin = program().size();
  std::vector<size_t> exits;
  LINNET_TRY(Branch(depth));
  while (more() && !quoted_ && Take("|")) {
    LINNET_TRY(Add(Op::kJump));
    LINNET_TRY(Insert(begin));
    exits.push_back(program().size() - 1);
    program()[begin] = {Op::kSplit, static_cast<int32_t>(begin) + 1, static_cast<int32_t>(program().size())};
    begin = program().size();
    LINNET_TRY(Branch(depth));
  }
  for (size_t exit : exits) program()[exit].x = static_cast<int32_t>(program().size());
  return Status();
}

/// Makes room for one instruction at `begin`; what stands there moves on.
Status RegexParser::Insert(size_t begin) {
  LINNET_TRY(Add(Op::kMatch));
  for (size_t i = program().size() - 1; i > begin; --i) {
    Regex::Instruction in = program()[i - 1];
    // Code only ever jumps within its own branch.
    if (in.op == Op::kSplit || in.op == Op::kJump) ++in.x;
    if (in.op == Op::kSplit) ++in.y;
    program()[i] = in;
  }
  return Status();
}

Status RegexParser::Branch(int depth) {
  while (more()) {
    if (!quoted_ && (peek() == '|' || peek() == ')')) break;
    LINNET_TRY(Piece(depth));
  }
  return Status();
}

Status RegexParser::Piece(int depth) {
  const size_t begin = program().size();
  LINNET_TRY(Atom(depth));
  while (more() && !quoted_) {
    int least, most;   // most < 0: no end
    const size_t start = at_;
    if (Take("*")) {
      least = 0, most = -1;
    } else if (Take("+")) {
      least = 1, most = -1;
    } else if (Take("?")) {
      least = 0, most = 1;
    } else if (!Counts(&least, &most)) {
      break;
    }
    if (least > Regex::kRepeatMax || most > Regex::kRepeatMax || (most >= 0 && most < least)) {
      at_ = start;
      return Bad("a bad repetition");
    }
    Take("?");   // lazy: the same set of texts
    if (more() && !quoted_ && (peek() == '*' || peek() == '+' || peek() == '?')) return Bad("a repetition of a repetition");
    LINNET_TRY(Repeat(begin, least, most));
  }
  return Status();
}

bool RegexParser::Counts(int* least, int* most) {
  if (peek() != '{') return false;
  const size_t start = at_;
  auto number = [&](int* value) {
    const size_t first = ++at_;
    *value = 0;
    while (more() && peek() >= '0' && peek() <= '9') {
      *value = std::min(*value * 10 + (peek() - '0'), 1'000'000);
      ++at_;
    }
    return at_ > first;
  };
  bool fine = number(least);
  *most = *least;
  if (fine && more() && peek() == ',') {
    if (!number(most)) *most = -1;
  }
  fine = fine && more() && peek() == '}';
  if (!fine) {
    at_ = start;
    return false;
  }
  ++at_;
  return true;
}

// x{2,4} = x x (x (x)?)?      x{2,} = x x*      The code of x stands in [begin, end).
Status RegexParser::Repeat(size_t begin, int least, int most) {
  const std::vector<Regex::Instruction> body(program().begin() + static_cast<std::ptrdiff_t>(begin), program().end());
  program().resize(begin);
  auto copy = [&]() -> Status {
    const int32_t shift = static_cast<int32_t>(program().size()) - static_cast<int32_t>(begin);
    if (program().size() + body.size() > Regex::kInstructionsMax) {
      return LimitReached("the regular expression needs more than ", Regex::kInstructionsMax, " instructions");
    }
    for (Regex::Instruction in : body) {
      if (in.op == Op::kSplit || in.op == Op::kJump) in.x += shift;
      if (in.op == Op::kSplit) in.y += shift;
      program().push_back(in);
    }
    return Status();
  };
  for (int i = 0; i < least; ++i) LINNET_TRY(copy());
  if (most < 0) {
    const int32_t split = static_cast<int32_t>(program().size());
    LINNET_TRY(Add(Op::kSplit, split + 1));
    LINNET_TRY(copy());
    LINNET_TRY(Add(Op::kJump, split));
    program()[static_cast<size_t>(split)].y = static_cast<int32_t>(program().size());
    return Status();
  }
  std::vector<size_t> splits;
  for (int i = least; i < most; ++i) {
    splits.push_back(program().size());
    LINNET_TRY(Add(Op::kSplit, static_cast<int32_t>(program().size()) + 1));
    LINNET_TRY(copy());
  }
  for (size_t split : splits) program()[split].y = static_cast<int32_t>(program().size());
  return Status();
}

Status RegexParser::Atom(int depth) {
  if (quoted_) {
    if (Take("\\E")) {
      quoted_ = false;
      return Status();
    }
    int32_t c;
    LINNET_TRY(Character(&c));
    if (Take("\\E")) quoted_ = false;   // what follows may repeat this character
    return AddCharacter(c);
  }
  switch (peek()) {
    case '(': return Group(depth);
    case '[': return Bracket();
    case '\\': return Escape();
    case '*':
    case '+':
    case '?': return Bad("nothing to repeat");
    case '^': ++at_; return Add(Op::kAssert, static_cast<int32_t>(flags_.lines ? Regex::Assert::kLineBegin : Regex::Assert::kTextBegin));
    case '$': ++at_; return Add(Op::kAssert, static_cast<int32_t>(flags_.lines ? Regex::Assert::kLineEnd : Regex::Assert::kTextEnd));
    case '.': ++at_; return flags_.dot_all ? AddSet({}, true) : AddSet({{'\n', '\n'}}, true);
    default: break;
  }
  int32_t c;
  LINNET_TRY(Character(&c));
  return AddCharacter(c);
}

Status RegexParser::Group(int depth) {
  const Flags outer = flags_;
  Take("(");
  if (Take("?P<") || Take("?<")) {
    while (more() && peek() != '>') ++at_;
    if (!Take(">")) return Bad("a group name without >");
  } else if (Take("?")) {
    LINNET_TRY(ReadFlags(&flags_));
    if (Take(")")) return Status();   // (?i): flags for the rest of the surrounding group
    if (!Take(":")) return Bad("an unknown group");
  }
  LINNET_TRY(Alternatives(depth + 1));
  if (!Take(")")) return Bad("a ( without a )");
  flags_ = outer;
  return Status();
}

Status RegexParser::ReadFlags(Flags* flags) {
  bool on = true;
  for (; more() && peek() != ':' && peek() != ')'; ++at_) {
    switch (peek()) {
      case '-': on = false; break;
      case 'i': flags->fold = on; break;
      case 'm': flags->lines = on; break;
      case 's': flags->dot_all = on; break;
      case 'U': break;   // greed makes no difference here
      default: return Bad("an unknown flag");
    }
  }
  return Status();
}

bool RegexParser::PerlClass(char name, Ranges& set) const {
  switch (name) {
    case 'd': set.insert(set.end(), {{'0', '9'}}); return true;
    case 's': set.insert(set.end(), {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}); return true;
    case 'w': set.insert(set.end(), {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}); return true;
    case 'D': set.insert(set.end(), {{-1, '0' - 1}, {'9' + 1, kLast}}); return true;
    case 'S': set.insert(set.end(), {{-1, '\t' - 1}, {'\v', '\v'}, {'\r' + 1, ' ' - 1}, {' ' + 1, kLast}}); return true;
    case 'W': set.insert(set.end(), {{-1, '0' - 1}, {'9' + 1, 'A' - 1}, {'Z' + 1, '_' - 1}, {'`', '`'}, {'z' + 1, kLast}}); return true;
    default: return false;
  }
}

Status RegexParser::Escape() {
  if (at_ + 1 >= text_.size()) return Bad("a \\ at its end");
  const char name = text_[at_ + 1];
  Ranges set;
  if (PerlClass(name, set)) {
    at_ += 2;
    return AddSet(std::move(set), false);
  }
  if (Take("\\A")) return Add(Op::kAssert, static_cast<int32_t>(Regex::Assert::kTextBegin));
  if (Take("\\z")) return Add(Op::kAssert, static_cast<int32_t>(Regex::Assert::kTextEnd));
  if (Take("\\b")) return Add(Op::kAssert, static_cast<int32_t>(Regex::Assert::kWord));
  if (Take("\\B")) return Add(Op::kAssert, static_cast<int32_t>(Regex::Assert::kNotWord));
  if (Take("\\Q")) {
    quoted_ = true;
    return Status();
  }
  int32_t c;
  ++at_;
  LINNET_TRY(EscapedCharacter(&c));
  return AddCharacter(c);
}

Status RegexParser::EscapedCharacter(int32_t* c) {
  if (!more()) return Bad("a \\ at its end");
  const char name = peek();
  const std::string_view controls = "afnrtv", values = "\a\f\n\r\t\v";
  const size_t control = controls.find(name);
  if (control != std::string_view::npos) {
    ++at_;
    *c = values[control];
    return Status();
  }
  auto digit = [](char d) { return d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : 99; };
  if (name == 'x') {
    ++at_;
    const bool braced = Take("{");
    int digits = 0;
    for (*c = 0; more() && digit(peek()) < 16 && (braced || digits < 2); ++digits) *c = std::min(*c * 16 + digit(text_[at_++]), kLast + 1);
    if (digits == 0 || (!braced && digits != 2) || *c > kLast || (braced && !Take("}"))) return Bad("a bad \\x");
    return Status();
  }
  if (name >= '0' && name <= '7') {
    int digits = 0;
    for (*c = 0; more() && digit(peek()) < 8 && digits < 3; ++digits) *c = *c * 8 + digit(text_[at_++]);
    if (name != '0' && digits == 1) return Bad("a back-reference");   // RE2 has none
    return Status();
  }
  const bool letter = ((name | 32) >= 'a' && (name | 32) <= 'z') || (name >= '8' && name <= '9');
  if (name == 'p' || name == 'P' || name == 'C') return Unsupported("regular expressions with \\", name, " are not supported");
  if (letter) return Bad("an unknown \\ sequence");
  return Character(c);
}

Status RegexParser::Bracket() {
  Take("[");
  const bool negated = Take("^");
  Ranges set;
  bool first = true;
  while (more() && (peek() != ']' || first)) {
    first = false;
    int32_t low = -1, high = -1;
    LINNET_TRY(BracketItem(set, &low));
    if (low < 0) continue;
    high = low;
    if (at_ + 1 < text_.size() && peek() == '-' && text_[at_ + 1] != ']') {
      ++at_;
      LINNET_TRY(BracketItem(set, &high));
      if (high < low) return Bad("a bad range");
    }
    set.push_back({low, high});
  }
  if (!Take("]")) return Bad("a [ without a ]");
  return AddSet(std::move(set), negated);
}

/// One character into `*single`, or a class into `set` (then *single stays -1).
Status RegexParser::BracketItem(Ranges& set, int32_t* single) {
  if (Take("[:")) return NamedClass(set);
  if (!Take("\\")) return Character(single);
  if (more() && PerlClass(peek(), set)) {
    ++at_;
    return Status();
  }
  return EscapedCharacter(single);
}

Status RegexParser::NamedClass(Ranges& set) {
  struct Class {
    std::string_view name;
    Ranges ranges;
  };
  static const Class classes[] = {
      {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}}, {"alpha", {{'A', 'Z'}, {'a', 'z'}}}, {"ascii", {{0, 127}}},
      {"blank", {{'\t', '\t'}, {' ', ' '}}}, {"cntrl", {{0, 31}, {127, 127}}}, {"digit", {{'0', '9'}}},
      {"graph", {{'!', '~'}}}, {"lower", {{'a', 'z'}}}, {"print", {{' ', '~'}}},
      {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}}, {"space", {{'\t', '\r'}, {' ', ' '}}},
      {"upper", {{'A', 'Z'}}}, {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
      {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}}};
  const bool negated = Take("^");
  for (const Class& known : classes) {
    const size_t start = at_;
    if (!Take(known.name) || !Take(":]")) {
      at_ = start;
      continue;
    }
    if (!negated) {
      set.insert(set.end(), known.ranges.begin(), known.ranges.end());
      return Status();
    }
    int32_t next = -1;
    for (const Range& range : known.ranges) {
      if (range.first > next) set.push_back({next, range.first - 1});
      next = range.last + 1;
    }
    set.push_back({next, kLast});
    return Status();
  }
  return Bad("an unknown character class");
}

}  // namespace linnet
