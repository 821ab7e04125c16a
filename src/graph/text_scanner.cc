// Scanning text of graphs.
#include "graph/text_scanner.h"

#include <string.h>

#include "graph/element_text.h"

namespace linnet {
namespace {

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '/';
}

}  // namespace

// Characters ----------------------------------------------------------------------------------------------------

Status TextScanner::ErrorAt(size_t at, const std::string& what) const {
  int64_t line = 1, column = 1;
  for (char c : text_.substr(0, at)) {
    ++column;
    if (c == '\n') ++line, column = 1;
  }
  return InvalidArgument(line, ":", column, ": ", what);
}

char TextScanner::Peek() {
  while (at_ < text_.size()) {
    char c = text_[at_];
    if (c == '#') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++at_;
    } else {
      return c;
    }
  }
  return '\0';
}
bool TextScanner::Take(std::string_view token) {
  Peek();
  if (text_.substr(at_, token.size()) != token) return false;
  at_ += token.size();
  return true;
}
bool TextScanner::TakeWord(std::string_view word) {
  Peek();
  if (Word() != word) return false;
  at_ += word.size();
  return true;
}
Status TextScanner::Expect(std::string_view token) {
  if (Take(token)) return Status();
  return Error(Cat("expected ", Quote(token), Peek() ? Cat(" before ", Quote(text_.substr(at_, 20))) : " before the end"));
}
std::string_view TextScanner::Word() {
  Peek();
  size_t end = at_;
  while (end < text_.size() && IsNameChar(text_[end])) ++end;
  return text_.substr(at_, end - at_);
}
std::string_view TextScanner::TakeWord() {
  std::string_view word = Word();
  at_ += word.size();
  return word;
}
std::string_view TextScanner::TakeNumber() {
  Peek();
  size_t start = at_;
  while (at_ < text_.size() && (IsNameChar(text_[at_]) || text_[at_] == '-' || text_[at_] == '+')) ++at_;
  return text_.substr(start, at_ - start);
}

Result<std::string> TextScanner::ParseQuoted() {
  size_t start = at_;
  LINNET_TRY(Expect("\""));
  std::string out;
  auto hex = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  while (at_ < text_.size() && text_[at_] != '"') {
    char c = text_[at_++];
    if (c != '\\') {
      out += c;
      continue;
    }
    char escape = at_ < text_.size() ? text_[at_++] : '\0';
    if (escape == 'n') {
      out += '\n';
    } else if (escape == 't') {
      out += '\t';
    } else if (escape == '"' || escape == '\\') {
      out += escape;
    } else if (escape == 'x' && at_ + 1 < text_.size() && hex(text_[at_]) >= 0 && hex(text_[at_ + 1]) >= 0) {
      out += static_cast<char>(hex(text_[at_]) * 16 + hex(text_[at_ + 1]));
      at_ += 2;
    } else {
      return Error("an escape that does not exist");
    }
  }
  if (!Take("\"")) return ErrorAt(start, "text in quotes that does not end");
  return out;
}
Result<TextScanner::Name> TextScanner::ParseName() {
  Name name;
  if (Peek() == '"') {
    name.quoted = true;
    LINNET_ASSIGN(name.text, ParseQuoted());
    return name;
  }
  name.text = TakeWord();
  if (name.text.empty()) return Error("expected a name");
  return name;
}
Result<int64_t> TextScanner::ParseInt() {
  size_t start = at_;
  int64_t value;
  if (!ParseInteger(TakeNumber(), &value)) return ErrorAt(start, "expected an integer");
  return value;
}

// Types and tensors -----------------------------------------------------------------------------------------------

Result<DType> TextScanner::ParseDType() {
  size_t start = at_;
  std::string_view word = TakeWord();
  DType dtype = DTypeFromName(word);
  if (dtype == DType::kUndefined && word != "undefined") return ErrorAt(start, Cat("no element type ", Quote(word)));
  return dtype;
}

Result<Shape> TextScanner::ParseShape(SymbolTable* symbols) {
  LINNET_TRY(Expect("["));
  if (Take("...")) {
    LINNET_TRY(Expect("]"));
    return Shape();
  }
  Shape shape = Shape::OfRank(0);
  LINNET_TRY(List("]", [&]() -> Status {
    if (shape.rank() == kMaxRank) return Error(Cat("more than ", kMaxRank, " dimensions"));
    if (Take("?")) {
      shape.Append(kUnknownDim);
      return Status();
    }
    size_t start = at_;
    LINNET_ASSIGN(Name name, ParseName());
    int64_t number;
    if (!name.quoted && name.text.find_first_not_of("0123456789") == std::string::npos) {
      if (!ParseInteger(name.text, &number) || number > kDimMax) return ErrorAt(start, "a dimension that is too large");
      shape.Append(number);
    } else if (symbols) {
      shape.Append(symbols->Intern(name.text));
    } else {
      return ErrorAt(start, "expected a number");
    }
    return Status();
  }));
  Status status = CheckShape(shape);
  if (!status.ok()) return Error(std::string(status.message()));
  return shape;
}

Result<Type> TextScanner::ParseType(SymbolTable& symbols) {
  if (Take("?")) return Type();
  if (TakeWord("seq")) return ParseWrapped(Kind::kSequence, Kind::kSequenceOfMaps, "map", symbols);
  if (TakeWord("optional")) return ParseWrapped(Kind::kOptional, Kind::kOptionalSequence, "seq", symbols);
  if (TakeWord("map")) return ParseMapType();
  return ParseTensorType(symbols);
}
Result<Type> TextScanner::ParseWrapped(Kind plain, Kind nested, std::string_view inner, SymbolTable& symbols) {
  LINNET_TRY(Expect("("));
  Type type;
  bool is_nested = false;
  if (inner == "seq" && TakeWord("seq")) {
    is_nested = true;
    LINNET_TRY(Expect("("));
    LINNET_ASSIGN(type, ParseTensorType(symbols));
    LINNET_TRY(Expect(")"));
  } else if (inner == "map" && TakeWord("map")) {
    is_nested = true;
    LINNET_ASSIGN(type, ParseMapType());
  } else {
    LINNET_ASSIGN(type, ParseTensorType(symbols));
  }
  type.kind = is_nested ? nested : plain;
  LINNET_TRY(Expect(")"));
  return type;
}

Result<Type> TextScanner::ParseTensorType(SymbolTable& symbols) {
  Type type;
  type.kind = Kind::kTensor;
  LINNET_ASSIGN(type.dtype, ParseDType());
  LINNET_ASSIGN(type.shape, ParseShape(&symbols));
  return type;
}
Result<Type> TextScanner::ParseMapType() {
  Type type;
  type.kind = Kind::kMap;
  LINNET_TRY(Expect("("));
  LINNET_ASSIGN(type.key, ParseDType());
  LINNET_TRY(Expect(","));
  LINNET_ASSIGN(type.dtype, ParseDType());
  LINNET_TRY(Expect(")"));
  return type;
}

Result<Tensor> TextScanner::ParseTensor() {
  Peek();
  size_t start = at_;
  LINNET_ASSIGN(DType dtype, ParseDType());
  LINNET_ASSIGN(Shape shape, ParseShape(nullptr));
  LINNET_TRY(Expect("{"));
  if (Take("?")) {
    LINNET_TRY(Expect("}"));
    return Tensor::View(dtype, shape, nullptr);
  }
  if (Take("...")) return ErrorAt(start, "contents that were cut when printed");
  if (dtype == DType::kUndefined || !shape.is_static()) return ErrorAt(start, "contents of a type that is not known");
  // Numbers first, memory once they are there.
  std::vector<std::string_view> numbers;
  std::vector<std::string> strings;
  LINNET_TRY(List("}", [&]() -> Status {
    if (dtype == DType::kString) {
      Peek();
      LINNET_ASSIGN(std::string text, ParseQuoted());
      strings.push_back(std::move(text));
    } else {
      numbers.push_back(TakeNumber());
    }
    return Status();
  }));
  const int64_t needed = shape.elements() * NumbersPerElement(dtype);
  const int64_t given = static_cast<int64_t>(numbers.size() + strings.size());
  if (given != needed) return ErrorAt(start, Cat(given, " values where ", needed, " are needed"));
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(dtype, shape));
  if (dtype == DType::kString) {
    for (size_t i = 0; i < strings.size(); ++i) tensor.mutable_as<std::string>()[i] = std::move(strings[i]);
    return tensor;
  }
  if (tensor.bytes() > 0) memset(tensor.mutable_data(), 0, static_cast<size_t>(tensor.bytes()));
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (!StoreNumber(numbers[i], static_cast<int64_t>(i), tensor)) {
      size_t at = numbers[i].empty() ? start : static_cast<size_t>(numbers[i].data() - text_.data());
      return ErrorAt(at, Cat(Quote(numbers[i]), " is no ", DTypeName(dtype)));
    }
  }
  return tensor;
}

}  // namespace linnet
