// The pages of `linnet compare --html` and `linnet quantize --report`: tables and plots in one file that needs nothing else.
#pragma once

#include <string>
#include <vector>

#include "quantize/compare.h"

namespace linnet::cli {

/// Plots are inline SVG: SQNR by value, time by value in both models, and for each value its histogram in both models with the range that the codes
/// express. Names from the models are escaped. `facts`: sentences that come first.
std::string ComparePage(const std::string& first, const std::string& second, const quantize::Comparison& comparison,
                        const std::vector<std::string>& facts = {});
/// Of what came to nothing: sentences alone.
std::string FactsPage(const std::string& title, const std::vector<std::string>& facts);

}  // namespace linnet::cli
