// Options by name.
#include "quantize/recipe_options.h"

#include <math.h>

#include "base/number_text.h"

namespace linnet::quantize {
namespace {

Result<bool> FlagOf(std::string_view value) {
  if (value == "1") return true;
  if (value == "0") return false;
  return InvalidArgument(Quote(value), " is neither 1 nor 0");
}

Result<double> NumberIn(std::string_view value, double low, double high) {
  Result<double> number = ParseNumber(value);
  if (number.ok() && *number >= low && *number <= high) return number;
  return InvalidArgument(Quote(value), " is no number from ", low, " to ", high);
}

Result<int64_t> WholeIn(std::string_view value, int64_t low, int64_t high) {
  Result<double> number = ParseNumber(value);
  if (number.ok() && *number == floor(*number) && *number >= static_cast<double>(low) && *number <= static_cast<double>(high)) {
    return static_cast<int64_t>(*number);
  }
  return InvalidArgument(Quote(value), " is no whole number from ", low, " to ", high);
}

Status Set(Recipe* recipe, std::string_view name, std::string_view value) {
  StaticOptions& options = recipe->options;
  const struct {
    const char* name;
    bool* flag;
  } flags[] = {{"symmetric", &options.symmetric_activations}, {"reduce-range", &options.reduced_weights},
               {"equalize", &recipe->equalize}, {"correct-bias", &recipe->correct_bias},
               {"as-is", &recipe->as_is},                     {"resume", &recipe->resume}};
  for (const auto& flag : flags) {
    if (name != flag.name) continue;
    LINNET_ASSIGN(*flag.flag, FlagOf(value));
    return Status();
  }
  if (name == "per-tensor" || name == "asymmetric-weights") {
    LINNET_ASSIGN(bool on, FlagOf(value));
    (name == "per-tensor" ? options.per_channel : options.symmetric_weights) = !on;
    return Status();
  }
  if (name == "plain") {
    LINNET_ASSIGN(bool on, FlagOf(value));
    recipe->rounding = on ? BlockRounding::kExtremes : BlockRounding::kSquares;
    return Status();
  }
  if (name == "mode") return ModeFromName(value, &recipe->mode) ? Status() : InvalidArgument(Quote(value), " is none of static, dynamic, weights, fp16, bf16");
  if (name == "calibrate") {
    return CalibratorFromName(value, &recipe->calibrator) ? Status() : InvalidArgument(Quote(value), " is none of minmax, likely, average, percentile, entropy, mse");
  }
  if (name == "weights" || name == "activations") {
    DType type;
    const bool known = TypeFromName(value, &type) && DTypeBits(type) != (name == "weights" ? 16 : 4);
    if (!known) return InvalidArgument(Quote(value), name == "weights" ? " is none of s8, u8, s4, u4" : " is none of u8, s8, u16, s16");
    (name == "weights" ? options.weights : options.activations) = type;
    return Status();
  }
  if (name == "format") {
    if (value != "qdq" && value != "qoperator") return InvalidArgument(Quote(value), " is neither qdq nor qoperator");
    options.format = value == "qdq" ? Format::kQdq : Format::kQOperator;
    return Status();
  }
  if (name == "rounding") {
    constexpr std::pair<const char*, BlockRounding> kRoundings[] = {
        {"squares", BlockRounding::kSquares}, {"extremes", BlockRounding::kExtremes}, {"half-quadratic", BlockRounding::kHalfQuadratic}};
    for (const auto& [known, rounding] : kRoundings) {
      if (value == known) return recipe->rounding = rounding, Status();
    }
    return InvalidArgument(Quote(value), " is none of squares, extremes, half-quadratic");
  }
  if (name == "include" || name == "exclude") {
    (name == "include" ? options.include : options.exclude).emplace_back(value);
    return Status();
  }
  if (name == "table") return recipe->table = value, Status();
  if (name == "percentile") {
    LINNET_ASSIGN(recipe->percentile, NumberIn(value, 50, 100));
    return Status();
  }
  if (name == "min-sqnr" || name == "min-agreement" || name == "min-accuracy") {
    LINNET_ASSIGN(double least, NumberIn(value, 0, name == "min-sqnr" ? 200 : 1));
    (name == "min-sqnr" ? recipe->min_sqnr_db : name == "min-agreement" ? recipe->min_agreement : recipe->min_accuracy) = least;
    return Status();
  }
  if (name == "block") {
    LINNET_ASSIGN(int64_t rows, WholeIn(value, 16, 1024));
    recipe->block_size = static_cast<int>(rows);
    return Status();
  }
  if (name == "opset") {
    LINNET_ASSIGN(int64_t opset, WholeIn(value, 13, 25));
    recipe->opset = static_cast<int>(opset);
    return Status();
  }
  if (name == "threads") {
    LINNET_ASSIGN(int64_t threads, WholeIn(value, 1, 64));
    recipe->threads = static_cast<int>(threads);
    return Status();
  }
  if (name == "samples") {
    LINNET_ASSIGN(recipe->samples, WholeIn(value, 1, 1000000000));
    return Status();
  }
  return InvalidArgument("there is no such option");
}

}  // namespace

Status SetOption(Recipe* recipe, std::string_view name, std::string_view value) {
  return Set(recipe, name, value).At(Cat("option ", Quote(name)));
}

Status SetOverride(Override* override, std::string_view name, std::string_view value) {
  if (name == "type") {
    DType type;
    if (!TypeFromName(value, &type)) return InvalidArgument(Quote(value), " is none of u8, s8, u16, s16");
    override->type = type;
    return Status();
  }
  if (name == "range") {
    const size_t space = value.find(' ');
    Result<double> low = ParseNumber(value.substr(0, space));
    Result<double> high = ParseNumber(space == std::string_view::npos ? std::string_view() : value.substr(space + 1));
    if (!low.ok() || !high.ok()) return InvalidArgument(Quote(value), " is not two numbers");
    override->range = Range{*low, *high};
    return Status();
  }
  if (name != "symmetric" && name != "per_channel" && name != "exclude") {
    return InvalidArgument("there is no override ", Quote(name), "; there are type, range, symmetric, per_channel and exclude");
  }
  LINNET_ASSIGN(bool on, FlagOf(value));
  if (name == "symmetric") override->symmetric = on;
  if (name == "per_channel") override->per_channel = on;
  if (name == "exclude") override->exclude = on;
  return Status();
}

}  // namespace linnet::quantize
