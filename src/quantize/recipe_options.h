// Options of a recipe by name and as text, for programs that pass them on.
#pragma once

#include <string_view>

#include "quantize/recipe.h"

namespace linnet::quantize {

/// Sets an option by the name that `linnet quantize` gives it, without dashes. Flags take 1 and 0; include and exclude add. Fails naming
/// the option and what it takes.
Status SetOption(Recipe* recipe, std::string_view name, std::string_view value);
/// Fails naming an option among those given that has no use in the recipe's mode, or without samples. Part of QuantizeModel.
Status CheckGiven(const Recipe& recipe, bool has_samples);
/// What the result must reach: as asked for, or what its mode usually does; nothing with `as_is`.
Floor FloorOf(const Recipe& recipe);
inline bool IsHalf(Mode mode) { return mode == Mode::kFloat16 || mode == Mode::kBfloat16; }
HalfOptions HalfOptionsOf(const Recipe& recipe);
/// The oldest opset that has what is asked for,
int NeededOpset(const Recipe& recipe);
/// and a failure where an older one is asked for. Part of OpenFloatModel.
Status CheckOpset(const Recipe& recipe);
/// Whether weights would have a scale for each channel, were the opset asked for not too old.
bool LosesScales(const Recipe& recipe);
/// type, range ("low high"), symmetric, per_channel, exclude.
Status SetOverride(Override* override, std::string_view name, std::string_view value);

}  // namespace linnet::quantize
