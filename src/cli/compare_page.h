// The page of `linnet compare --html`: tables and plots in one file that needs nothing else.
#pragma once

#include <string>
#include <vector>

#include "quantize/compare.h"

namespace linnet::cli {

/// Plots are inline SVG: SQNR by value, time by value in both models, and for each value its histogram in both models with the range that the codes
/// express. Names from the models are escaped.
std::string ComparePage(const std::string& first, const std::string& second, const quantize::Comparison& comparison);

}  // namespace linnet::cli
