// Decoding by the table of well-formed sequences: Unicode 15, table 3-7.
#include "cli/utf8.h"

namespace linnet {
namespace {

constexpr uint32_t kInvalid = UINT32_MAX;

/// Takes one code point off the front of a non-empty text; on an invalid byte takes that byte and gives kInvalid.
uint32_t TakeCode(std::string_view& text) {
  unsigned char first = static_cast<unsigned char>(text[0]);
  size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  uint32_t code = length == 1 ? first : first & (0x7Fu >> length);
  bool valid = length > 0 && length <= text.size();
  for (size_t i = 1; valid && i < length; ++i) {
    unsigned char next = static_cast<unsigned char>(text[i]);
    valid = (next & 0xC0) == 0x80;
    code = code << 6 | (next & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  valid = valid && code >= kSmallest[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  text.remove_prefix(valid ? length : 1);
  return valid ? code : kInvalid;
}

}  // namespace

bool AppendUtf8(std::string& out, uint32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
  return true;
}

bool DecodeUtf8(std::string_view text, std::u32string* codes) {
  codes->clear();
  while (!text.empty()) {
    uint32_t code = TakeCode(text);
    if (code == kInvalid) return false;
    codes->push_back(code);
  }
  return true;
}

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (; !text.empty(); ++width) TakeCode(text);
  return width;
}

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::string_view before = text;
    uint32_t code = TakeCode(text);
    bool control = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == kInvalid;
    bool reorders = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
    out += control || reorders ? std::string_view("?") : before.substr(0, before.size() - text.size());
  }
  return out;
}

}  // namespace linnet
