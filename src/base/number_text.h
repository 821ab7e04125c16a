// Numbers as text, the same whatever the process's locale is: ParseNumber("1e-5"), FormatNumber(0.1f) = "0.1".
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet {

/// The nearest double of a decimal number: [+-] digits [. digits] [e [+-] digits], "inf", "infinity" or "nan" in any case.
/// Spaces around it are skipped; anything else fails.
Result<double> ParseNumber(std::string_view text);
/// The same rounded once to float.
Result<float> ParseFloat(std::string_view text);

/// The shortest decimal that reads back as the same number: plain up to 16 integer digits, "1e+20" above; "NaN", "INF",
/// "-INF".
std::string FormatNumber(double value);
std::string FormatNumber(float value);

}  // namespace linnet
