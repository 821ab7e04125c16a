// What text of graphs is made of: words, quoted names, numbers, types, tensors. Internal to the parser.
#pragma once

#include <string>
#include <string_view>

#include "graph/tensor.h"

namespace linnet {

/// Reads forward from the start of `text`; spaces and comments ahead of anything are skipped.
class TextScanner {
 public:
  explicit TextScanner(std::string_view text) : text_(text) {}

 protected:
  struct Name {
    std::string text;
    bool quoted = false;
    bool omitted() const { return !quoted && text == "_"; }
  };

  /// A failure at a position, the current one by default: "line:column: what".
  Status ErrorAt(size_t at, const std::string& what) const;
  Status Error(const std::string& what) const { return ErrorAt(at_, what); }

  /// The next character; '\0' at the end.
  char Peek();
  /// Moves past `token` when it comes next.
  bool Take(std::string_view token);
  /// As Take for a whole word.
  bool TakeWord(std::string_view word);
  Status Expect(std::string_view token);
  /// The name characters that come next, which may be none.
  std::string_view Word();
  std::string_view TakeWord();
  /// What a number is made of.
  std::string_view TakeNumber();
  Result<std::string> ParseQuoted();
  Result<Name> ParseName();
  Result<int64_t> ParseInt();

  /// item {"," item} until `close`, which is taken.
  template <class F>
  Status List(std::string_view close, F&& item) {
    if (Take(close)) return Status();
    do {
      LINNET_TRY(item());
    } while (Take(","));
    return Expect(close);
  }

  Result<Type> ParseType(SymbolTable& symbols);
  Result<Tensor> ParseTensor();

  std::string_view text_;
  size_t at_ = 0;

 private:
  Result<DType> ParseDType();
  Result<Shape> ParseShape(SymbolTable* symbols);  ///< numbers only when there are no symbols
  Result<Type> ParseTensorType(SymbolTable& symbols);
  Result<Type> ParseMapType();
  Result<Type> ParseWrapped(Kind plain, Kind nested, std::string_view inner, SymbolTable& symbols);
};

}  // namespace linnet
