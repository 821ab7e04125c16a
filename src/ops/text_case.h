// Unicode text: reading UTF-8, and upper and lower case.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>

namespace linnet {

/// The character's small or capital letter; itself when it has none (of one character).
int32_t ToLower(int32_t code);
int32_t ToUpper(int32_t code);

/// The code point at `*at` (below text.size()), which moves behind it; -1 for one byte that is not UTF-8.
int32_t NextCodePoint(std::string_view text, size_t* at);
void AppendCodePoint(std::string& text, int32_t code);

/// The text in capital or small letters; bytes that are not UTF-8 stay.
std::string ChangeCase(std::string_view text, bool upper);

}  // namespace linnet
