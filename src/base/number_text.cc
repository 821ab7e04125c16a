// Decimal text by way of strtod and snprintf, which alone round right everywhere, kept away from decimal separators.
#include "base/number_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

namespace linnet {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return Lower(a) == b; });
}

/// A number's text without a decimal separator: "-" "31415" "e-4".
struct Digits {
  static constexpr size_t kMax = 800;  ///< beyond, digits cannot change how a double rounds, except in a tie
  char text[kMax + 32];
  bool is_name = false;
  double named = 0;
};

bool Scan(std::string_view text, Digits* out) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  size_t size = 0;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    if (text[0] == '-') out->text[size++] = '-';
    text.remove_prefix(1);
  }
  const bool is_infinity = EqualsIgnoringCase(text, "inf") || EqualsIgnoringCase(text, "infinity");
  if (is_infinity || EqualsIgnoringCase(text, "nan")) {
    out->is_name = true;
    out->named = is_infinity ? (size > 0 ? -INFINITY : INFINITY) : NAN;
    return true;
  }
  int64_t exponent = 0;
  size_t digits = 0, i = 0, kept = 0;
  bool point = false;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && !point) {
      point = true;
      continue;
    }
    if (!IsDigit(text[i])) break;
    ++digits;
    const bool keep = kept < Digits::kMax && (kept > 0 || text[i] != '0');
    if (keep) out->text[size++] = text[i], ++kept;
    if (keep && point) --exponent;
    if (!keep && !point && kept > 0) ++exponent;
    if (!keep && point && kept == 0) --exponent;
  }
  if (digits == 0) return false;
  if (kept == 0) out->text[size++] = '0';
  if (i < text.size() && Lower(text[i]) == 'e') {
    ++i;
    const bool negative = i < text.size() && text[i] == '-';
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (i == text.size()) return false;
    int64_t written = 0;
    for (; i < text.size() && IsDigit(text[i]); ++i) written = std::min<int64_t>(written * 10 + (text[i] - '0'), 100000);
    exponent += negative ? -written : written;
  }
  if (i != text.size()) return false;
  exponent = std::clamp<int64_t>(exponent, -200000, 200000);
  snprintf(out->text + size, sizeof out->text - size, "e%d", static_cast<int>(exponent));
  return true;
}

Status NotANumber(std::string_view text) { return InvalidArgument(Quote(text), " is not a number"); }

template <class T>
std::string Format(T value, int precision_max) {
  if (isnan(value)) return "NaN";
  if (isinf(value)) return value > 0 ? "INF" : "-INF";
  // Scientific form with as few digits as read back exactly.
  char text[48], digits[24];
  int count = 0, exponent = 0;
  for (int precision = 1; precision <= precision_max; ++precision) {
    snprintf(text, sizeof text, "%.*e", precision - 1, static_cast<double>(value));
    count = 0;
    const char* p = text;
    for (; *p && *p != 'e'; ++p) {
      if (IsDigit(*p)) digits[count++] = *p;
    }
    exponent = atoi(p + 1);
    char plain[48];
    snprintf(plain, sizeof plain, "%s%.*se%d", value < 0 ? "-" : "", count, digits, exponent - count + 1);
    const T back = sizeof(T) == sizeof(float) ? static_cast<T>(strtof(plain, nullptr)) : static_cast<T>(strtod(plain, nullptr));
    if (back == value) break;
  }
  while (count > 1 && digits[count - 1] == '0') --count;

  std::string out = signbit(value) ? "-" : "";
  if (exponent < -5 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out.append(1, '.').append(digits + 1, static_cast<size_t>(count - 1));
    snprintf(text, sizeof text, "e%+03d", exponent);
    return out + text;
  }
  if (exponent < 0) {
    out += "0.";
    out.append(static_cast<size_t>(-exponent - 1), '0');
    return out.append(digits, static_cast<size_t>(count));
  }
  for (int i = 0; i < std::max(count, exponent + 1); ++i) {
    if (i == exponent + 1) out += '.';
    out += i < count ? digits[i] : '0';
  }
  return out;
}

}  // namespace

Result<double> ParseNumber(std::string_view text) {
  Digits digits;
  if (!Scan(text, &digits)) return NotANumber(text);
  return digits.is_name ? digits.named : strtod(digits.text, nullptr);
}

Result<float> ParseFloat(std::string_view text) {
  Digits digits;
  if (!Scan(text, &digits)) return NotANumber(text);
  return digits.is_name ? static_cast<float>(digits.named) : strtof(digits.text, nullptr);
}

std::string FormatNumber(double value) { return Format(value, 17); }
std::string FormatNumber(float value) { return Format(value, 9); }

}  // namespace linnet
