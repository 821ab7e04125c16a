// Reading the configuration of a reduced build: lines, then the types in braces, each failure with its line and a hint.
#include <algorithm>

#include "base/configuration_names.h"
#include "format/requirements.h"

namespace linnet {
namespace {

constexpr int kOpsetMax = 1'000'000;
constexpr int kPortMax = 1'000'000;
constexpr int kNestingMax = 32;
constexpr std::string_view kDirectives[] = {"globally_allowed_types", "no_ops_specified_means_all_ops_are_required"};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

/// Where the comment of a line begins, or its end: a '#' within a JSON string is none.
size_t CommentStart(std::string_view line) {
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == '#' && !quoted) {
      return i;
    }
  }
  return line.size();
}

/// A number of 1 to `most`, or -1.
int Number(std::string_view text, int least, int most) {
  int64_t value = 0;
  if (text.empty() || text.size() > 9) return -1;
  for (char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value < least || value > most ? -1 : static_cast<int>(value);
}

int Edits(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i) + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      int changed = diagonal + (Lower(a[i]) != Lower(b[j]));
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

std::string Hint(std::string_view word, std::span<const std::string_view> names) {
  std::string_view near = NearestName(word, names);
  return near.empty() ? std::string() : Cat("; did you mean ", Quote(near), "?");
}

std::string_view DomainName(std::string_view domain) { return domain.empty() ? std::string_view("ai.onnx") : domain; }

/// One line's text, read from the left.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size();
  }
  bool Take(char c) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  char Peek() {
    SkipSpace();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  /// Up to one of `ends`, without the space around.
  std::string_view Word(std::string_view ends) {
    SkipSpace();
    size_t begin = at_;
    while (at_ < text_.size() && ends.find(text_[at_]) == std::string_view::npos) ++at_;
    return Trim(text_.substr(begin, at_ - begin));
  }
  std::string_view Rest() { return Trim(text_.substr(at_)); }

  Status Expect(char c, std::string_view where) {
    if (Take(c)) return Status();
    std::string_view found = Rest().substr(0, 20);
    return InvalidArgument("expected '", c, "' ", where, found.empty() ? Cat(" where the line ends") : Cat(", found ", Quote(found)));
  }
  Result<std::string> String(std::string_view where) {
    LINNET_TRY(Expect('"', where));
    size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return InvalidArgument("a string ", where, " does not end");
    return std::string(text_.substr(begin, at_++ - begin));
  }
  /// Any JSON value, as it stands but without space between its parts.
  Status Value(std::string* out, int depth = 0) {
    if (depth > kNestingMax) return InvalidArgument("values nest deeper than ", kNestingMax);
    char open = Peek();
    if (open == '"') {
      LINNET_ASSIGN(std::string text, String("in \"custom\""));
      *out += Cat("\"", text, "\"");
      return Status();
    }
    if (open == '[' || open == '{') {
      char close = open == '[' ? ']' : '}';
      Take(open);
      *out += open;
      for (bool first = true; !Take(close); first = false) {
        if (!first) {
          LINNET_TRY(Expect(',', "in \"custom\""));
          *out += ',';
        }
        if (open == '{') {
          LINNET_ASSIGN(std::string key, String("in \"custom\""));
          LINNET_TRY(Expect(':', "in \"custom\""));
          *out += Cat("\"", key, "\":");
        }
        LINNET_TRY(Value(out, depth + 1));
      }
      *out += close;
      return Status();
    }
    std::string_view word = Word(",]} \t");
    if (word.empty()) return InvalidArgument("a value is missing in \"custom\"");
    *out += word;
    return Status();
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

Result<uint32_t> TypeBit(std::string_view name) {
  DType dtype = FromConfigurationName(name);
  if (dtype != DType::kUndefined) return Mask(dtype);
  std::vector<std::string_view> names;
  for (int i = 1; i < kDTypeCount; ++i) names.push_back(ConfigurationName(static_cast<DType>(i)));
  return InvalidArgument("there is no element type ", Quote(name), Hint(name, names));
}

/// {"0":["float","double"],"1":[...]}
Status ReadPorts(Cursor& cursor, std::string_view member, std::map<int, uint32_t>* ports) {
  std::string where = Cat("in \"", member, "\"");
  LINNET_TRY(cursor.Expect('{', where));
  for (bool first = true; !cursor.Take('}'); first = false) {
    if (!first) LINNET_TRY(cursor.Expect(',', where));
    LINNET_ASSIGN(std::string key, cursor.String(where));
    int port = Number(key, 0, kPortMax);
    if (port < 0) return InvalidArgument(Quote(key), " ", where, " is not the number of one");
    LINNET_TRY(cursor.Expect(':', where));
    LINNET_TRY(cursor.Expect('[', where));
    uint32_t& types = (*ports)[port];
    for (bool first_type = true; !cursor.Take(']'); first_type = false) {
      if (!first_type) LINNET_TRY(cursor.Expect(',', where));
      LINNET_ASSIGN(std::string name, cursor.String(where));
      LINNET_ASSIGN(uint32_t bit, TypeBit(name));
      types |= bit;
    }
  }
  return Status();
}

Status ReadBraces(Cursor& cursor, RequiredTypes* types) {
  constexpr std::string_view kMembers[] = {"inputs", "outputs", "custom"};
  if (!cursor.Take('{')) return Status();
  types->any = false;
  for (bool first = true; !cursor.Take('}'); first = false) {
    if (!first) LINNET_TRY(cursor.Expect(',', "between the members in braces"));
    LINNET_ASSIGN(std::string member, cursor.String("in braces"));
    LINNET_TRY(cursor.Expect(':', Cat("behind \"", member, "\"")));
    if (member == "inputs" || member == "outputs") {
      LINNET_TRY(ReadPorts(cursor, member, member == "inputs" ? &types->inputs : &types->outputs));
    } else if (member == "custom") {
      LINNET_TRY(cursor.Expect('[', "behind \"custom\""));
      for (bool first_value = true; !cursor.Take(']'); first_value = false) {
        if (!first_value) LINNET_TRY(cursor.Expect(',', "in \"custom\""));
        LINNET_TRY(cursor.Value(&types->custom.emplace_back()));
      }
    } else {
      return InvalidArgument("types know no ", Quote(member), Hint(member, kMembers), "; known: inputs, outputs, custom");
    }
  }
  // Braces that say nothing restrict nothing.
  types->any = types->inputs.empty() && types->outputs.empty() && types->custom.empty();
  return Status();
}

Status CheckOperator(const RequirementsLine& line, std::string_view name, std::span<const KnownOperator> known) {
  std::vector<std::string_view> domains, names;
  std::vector<int> versions;
  for (const KnownOperator& op : known) {
    domains.push_back(DomainName(op.domain));
    if (op.domain != line.domain) continue;
    names.push_back(op.name);
    if (op.name == name) versions.push_back(op.since);
  }
  if (names.empty()) {
    return InvalidArgument("there are no operators of domain ", Quote(DomainName(line.domain)), Hint(DomainName(line.domain), domains));
  }
  if (versions.empty()) return InvalidArgument("there is no operator ", Quote(name), " in ", DomainName(line.domain), Hint(name, names));
  int first = *std::min_element(versions.begin(), versions.end());
  if (line.opsets.back() < first) {
    return InvalidArgument("operator ", Quote(name), " exists from version ", first, " of ", DomainName(line.domain),
                           " on, not in ", line.opsets.back(), "; did you mean ", first, "?");
  }
  return Status();
}

Status ReadDirective(std::string_view text, RequirementsLine* line) {
  Cursor cursor(text);
  line->directive = cursor.Word(";");
  if (std::find(std::begin(kDirectives), std::end(kDirectives), line->directive) == std::end(kDirectives)) {
    return InvalidArgument("there is no directive ", Quote(line->directive), Hint(line->directive, kDirectives));
  }
  if (line->directive == kDirectives[1]) {
    return cursor.AtEnd() ? Status() : InvalidArgument("!", line->directive, " has no values");
  }
  LINNET_TRY(cursor.Expect(';', "before the types"));
  do {
    LINNET_ASSIGN(uint32_t bit, TypeBit(cursor.Word(",")));
    line->types |= bit;
  } while (cursor.Take(','));
  return Status();
}

Status ReadOperators(std::string_view text, std::span<const KnownOperator> known, RequirementsLine* line) {
  Cursor cursor(text);
  line->domain = cursor.Word(";");
  if (line->domain == "ai.onnx") line->domain.clear();
  constexpr std::string_view kForm = "a line has the form domain;version,version;Operator,Operator, such as ai.onnx;13;Add,Relu";
  if (!cursor.Take(';')) return InvalidArgument(kForm, "; there is no ';' in ", Quote(text));
  std::string_view opsets = cursor.Word(";");
  if (!cursor.Take(';')) return InvalidArgument(kForm, "; there is no second ';'");
  Cursor numbers(opsets);
  do {
    std::string_view word = numbers.Word(",");
    int opset = Number(word, 1, kOpsetMax);
    if (opset < 0) return InvalidArgument("version ", Quote(word), " is not a number from 1 on");
    line->opsets.push_back(opset);
  } while (numbers.Take(','));
  std::sort(line->opsets.begin(), line->opsets.end());
  line->opsets.erase(std::unique(line->opsets.begin(), line->opsets.end()), line->opsets.end());
  do {
    RequiredOperator op;
    op.name = cursor.Word(",{");
    if (op.name.empty()) return InvalidArgument("a name of an operator is missing; ", kForm);
    LINNET_TRY(CheckOperator(*line, op.name, known));
    LINNET_TRY(ReadBraces(cursor, &op.types).At(op.name));
    line->operators.push_back(std::move(op));
  } while (cursor.Take(','));
  if (!cursor.AtEnd()) return InvalidArgument("expected ',' between operators, found ", Quote(cursor.Rest().substr(0, 20)));
  return Status();
}

}  // namespace

std::string_view NearestName(std::string_view word, std::span<const std::string_view> names) {
  std::string_view best;
  int least = static_cast<int>(std::min<size_t>(word.size(), 100)) / 3 + (word.size() > 3 ? 2 : 1);
  for (std::string_view name : names) {
    if (word.size() > 100 || name.size() > 100) continue;
    int edits = Edits(word, name);
    if (edits < least) best = name, least = edits;
  }
  return best;
}

Result<Requirements> Requirements::Parse(std::string_view text, std::span<const KnownOperator> known) {
  Requirements out;
  std::vector<std::string> comments;
  int number = 0;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  while (!text.empty()) {
    ++number;
    size_t end = text.find('\n');
    std::string_view whole = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    size_t comment = CommentStart(whole);
    std::string_view said = Trim(whole.substr(0, comment));
    if (said.empty()) {
      comments.emplace_back(whole);
      continue;
    }
    RequirementsLine line;
    line.comment = whole.substr(comment);
    Status status = said[0] == '!' ? ReadDirective(Trim(said.substr(1)), &line) : ReadOperators(said, known, &line);
    if (!status.ok()) return std::move(status).At(Cat("line ", number));
    line.comments.swap(comments);
    // A line that is there twice, or an operator twice in one, says the same once.
    RequirementsLine head = line;
    head.operators.clear();
    if (line.operators.empty()) out.AddLine(head);
    for (RequiredOperator& op : line.operators) {
      head.operators.assign(1, op);
      out.AddLine(head);
    }
  }
  out.end_comments_ = std::move(comments);
  return out;
}

bool IsRequirementsText(std::string_view bytes) {
  for (char c : bytes.substr(0, 4096)) {
    if (static_cast<unsigned char>(c) < ' ' && !IsSpace(c) && c != '\n') return false;
  }
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    std::string_view line = Trim(bytes.substr(0, end));
    if (!line.empty()) return line[0] == '#' || line[0] == '!' || line.find(';') != std::string_view::npos;
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
  return true;
}

}  // namespace linnet
