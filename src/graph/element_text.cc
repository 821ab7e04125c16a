// Numbers of every element type; bits in hexadecimal where decimals would lose something (payloads of NaN).
#include "graph/element_text.h"

#include <string.h>

#include "base/float_types.h"
#include "base/number_text.h"

namespace linnet {
namespace {

/// The `bits` wide code of number `index`, from its place in whole or packed bytes.
uint64_t LoadBits(const Tensor& tensor, int64_t index, int bits) {
  if (bits < 8) {
    int64_t bit = index * bits;
    return tensor.as<uint8_t>()[bit / 8] >> (bit % 8) & ((1u << bits) - 1);
  }
  uint64_t code = 0;
  memcpy(&code, tensor.as<char>() + index * (bits / 8), static_cast<size_t>(bits / 8));
  return code;
}

void StoreBits(Tensor& tensor, int64_t index, int bits, uint64_t code) {
  if (bits < 8) {
    int64_t bit = index * bits;
    uint8_t& byte = tensor.mutable_as<uint8_t>()[bit / 8];
    unsigned mask = ((1u << bits) - 1) << (bit % 8);
    byte = static_cast<uint8_t>((byte & ~mask) | (static_cast<unsigned>(code) << (bit % 8) & mask));
    return;
  }
  memcpy(tensor.mutable_as<char>() + index * (bits / 8), &code, static_cast<size_t>(bits / 8));
}

int NumberBits(DType dtype) { return DTypeBits(dtype) / NumbersPerElement(dtype); }

bool IsDouble(DType dtype) { return dtype == DType::kDouble || dtype == DType::kComplex128; }
bool IsFloatingNumber(DType dtype) {
  return IsFloating(dtype) || dtype == DType::kComplex64 || dtype == DType::kComplex128;
}

/// The code of a decimal floating-point number.
Result<uint64_t> FloatingCode(std::string_view text, DType dtype) {
  if (IsDouble(dtype)) {
    LINNET_ASSIGN(double value, ParseNumber(text));
    uint64_t code;
    memcpy(&code, &value, sizeof code);
    return code;
  }
  LINNET_ASSIGN(float value, ParseFloat(text));
  switch (dtype) {
    case DType::kFloat:
    case DType::kComplex64: return uint64_t{BitsOf(value)};
    case DType::kFloat16: return uint64_t{ToFloat16(value).bits};
    case DType::kBfloat16: return uint64_t{ToBfloat16(value).bits};
    default: return uint64_t{FloatToSmallFloat(dtype, value, false, E8m0Rounding::kNearest)};
  }
}

std::string FloatingText(uint64_t code, DType dtype) {
  if (IsDouble(dtype)) {
    double value;
    memcpy(&value, &code, sizeof value);
    return FormatNumber(value);
  }
  switch (dtype) {
    case DType::kFloat:
    case DType::kComplex64: return FormatNumber(FloatOfBits(static_cast<uint32_t>(code)));
    case DType::kFloat16: return FormatNumber(ToFloat(Float16{static_cast<uint16_t>(code)}));
    case DType::kBfloat16: return FormatNumber(ToFloat(Bfloat16{static_cast<uint16_t>(code)}));
    default: return FormatNumber(SmallFloatToFloat(dtype, static_cast<uint8_t>(code)));
  }
}

std::string Hex(uint64_t code) {
  std::string digits;
  do {
    digits.insert(digits.begin(), "0123456789abcdef"[code & 15]);
    code >>= 4;
  } while (code);
  return "0x" + digits;
}

bool ParseHex(std::string_view text, uint64_t* value) {
  *value = 0;
  if (text.size() < 3 || text.size() > 18 || text.substr(0, 2) != "0x") return false;
  for (char c : text.substr(2)) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    *value = *value << 4 | static_cast<uint64_t>(digit);
  }
  return true;
}

}  // namespace

int NumbersPerElement(DType dtype) { return dtype == DType::kComplex64 || dtype == DType::kComplex128 ? 2 : 1; }

bool ParseInteger(std::string_view text, int64_t* value) {
  bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty()) return false;
  *value = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || !CheckedMul(*value, 10, value)) return false;
    // Towards the sign, so that the smallest number is reached too.
    if (__builtin_add_overflow(*value, negative ? '0' - c : c - '0', value)) return false;
  }
  return true;
}

void AppendNumber(const Tensor& tensor, int64_t index, std::string& out) {
  const DType dtype = tensor.dtype();
  if (dtype == DType::kString) {
    out += QuotedText(tensor.as<std::string>()[index]);
    return;
  }
  const int bits = NumberBits(dtype);
  const uint64_t code = LoadBits(tensor, index, bits);
  if (dtype == DType::kBool) {
    out += code ? "true" : "false";
  } else if (IsFloatingNumber(dtype)) {
    std::string text = FloatingText(code, dtype);
    Result<uint64_t> back = FloatingCode(text, dtype);
    out += back.ok() && *back == code ? text : Hex(code);
  } else if (IsSigned(dtype)) {
    AppendPart(out, static_cast<int64_t>(code << (64 - bits)) >> (64 - bits));
  } else {
    AppendPart(out, code);
  }
}

bool StoreNumber(std::string_view text, int64_t index, Tensor& tensor) {
  const DType dtype = tensor.dtype();
  const int bits = NumberBits(dtype);
  uint64_t code;
  int64_t number;
  if (dtype == DType::kBool) {
    if (text != "true" && text != "false") return false;
    code = text == "true";
  } else if (IsFloatingNumber(dtype)) {
    if (ParseHex(text, &code)) {
      if (bits < 64 && code >> bits) return false;
    } else {
      Result<uint64_t> parsed = FloatingCode(text, dtype);
      if (!parsed.ok()) return false;
      code = *parsed;
    }
  } else if (dtype == DType::kUint64) {
    code = 0;
    for (char c : text) {
      if (c < '0' || c > '9' || __builtin_mul_overflow(code, uint64_t{10}, &code) ||
          __builtin_add_overflow(code, static_cast<uint64_t>(c - '0'), &code)) {
        return false;
      }
    }
    if (text.empty()) return false;
  } else {
    if (!ParseInteger(text, &number)) return false;
    const int64_t limit = bits < 64 ? int64_t{1} << (IsSigned(dtype) ? bits - 1 : bits) : INT64_MAX;
    if (bits < 64 && (number >= limit || number < (IsSigned(dtype) ? -limit : 0))) return false;
    code = static_cast<uint64_t>(number);
  }
  StoreBits(tensor, index, bits, code);
  return true;
}

std::string QuotedText(std::string_view text) {
  static const char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string FloatText(float value) {
  std::string text = FormatNumber(value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

}  // namespace linnet
