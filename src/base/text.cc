// Message building and the escaping of untrusted text.
#include "base/text.h"

#include <stdio.h>

namespace linnet {

void AppendPart(std::string& out, std::string_view part) { out.append(part); }

void AppendPart(std::string& out, int64_t value) {
  char text[24];
  out.append(text, static_cast<size_t>(snprintf(text, sizeof text, "%lld", static_cast<long long>(value))));
}

void AppendPart(std::string& out, uint64_t value) {
  char text[24];
  out.append(text, static_cast<size_t>(snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(value))));
}

std::string CatPartsOf(uint64_t kinds, va_list parts) {
  std::string out;
  for (; kinds != 0; kinds >>= kPartKindBits) {
    switch (static_cast<PartKind>(kinds & ((1 << kPartKindBits) - 1))) {
      case PartKind::kEnd: break;
      case PartKind::kText: out += va_arg(parts, const char*); break;
      case PartKind::kString: out += *va_arg(parts, const std::string*); break;
      case PartKind::kView: out += *va_arg(parts, const std::string_view*); break;
      case PartKind::kChar: out += static_cast<char>(va_arg(parts, int)); break;
      case PartKind::kSigned: AppendPart(out, va_arg(parts, int64_t)); break;
      case PartKind::kUnsigned: AppendPart(out, va_arg(parts, uint64_t)); break;
      case PartKind::kDouble: {
        char text[40];
        snprintf(text, sizeof text, "%g", va_arg(parts, double));
        out += text;
        break;
      }
    }
  }
  return out;
}

std::string CatParts(uint64_t kinds, ...) {
  va_list parts;
  va_start(parts, kinds);
  std::string out = CatPartsOf(kinds, parts);
  va_end(parts);
  return out;
}

namespace {

/// Length of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none.
[[maybe_unused]] size_t Utf8Length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  size_t length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3
                  : first >= 0xF0 && first < 0xF5                  ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

#if !defined(LINNET_NO_SENTENCES)
std::string Quote(std::string_view text) {
  static const char kHex[] = "0123456789abcdef";
  std::string out = "'";
  size_t i = 0;
  while (i < text.size() && out.size() < kQuotedBytesMax) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    size_t length = Utf8Length(text.substr(i));
    if (length > 1) {
      out.append(text.substr(i, length));
      i += length;
      continue;
    }
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\'' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7F) {
      out += "\\x";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += static_cast<char>(c);
    }
    ++i;
  }
  out += '\'';
  if (i < text.size()) {
    out += "... (";
    AppendPart(out, static_cast<uint64_t>(text.size()));
    out += " bytes)";
  }
  return out;
}
#endif

}  // namespace linnet
