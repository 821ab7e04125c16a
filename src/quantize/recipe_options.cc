// Options by name.
#include "quantize/recipe_options.h"

#include <math.h>

#include "base/number_text.h"
#include "quantize/prepare.h"

namespace linnet::quantize {
namespace {

/// Without a wish: about what 8 bits (and bfloat16) give a model that takes to them, and what float16 does where nothing overflows.
constexpr double kUsualDb = 20.5, kUsualFloat16Db = 30;
constexpr const char* kModes[] = {"static", "dynamic", "weights", "fp16", "bf16"};

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
    LINNET_ASSIGN(int64_t opset, WholeIn(value, 10, 25));
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

bool ModeFromName(std::string_view name, Mode* out) {
  for (size_t i = 0; i < std::size(kModes); ++i) {
    if (name != kModes[i]) continue;
    *out = static_cast<Mode>(i);
    return true;
  }
  return false;
}
const char* ModeName(Mode mode) { return kModes[static_cast<size_t>(mode)]; }

bool TypeFromName(std::string_view name, DType* out) {
  constexpr std::pair<const char*, DType> kTypes[] = {{"u8", DType::kUint8},   {"s8", DType::kInt8},  {"u16", DType::kUint16},
                                                      {"s16", DType::kInt16}, {"u4", DType::kUint4}, {"s4", DType::kInt4}};
  for (const auto& [known, dtype] : kTypes) {
    if (name != known) continue;
    *out = dtype;
    return true;
  }
  return false;
}

Status SetOption(Recipe* recipe, std::string_view name, std::string_view value) {
  LINNET_TRY(Set(recipe, name, value).At(Cat("option ", Quote(name))));
  std::erase(recipe->given, name);
  if (value != "0") recipe->given.emplace_back(name);   // a flag that is off is not given
  return Status();
}

Status CheckGiven(const Recipe& recipe, bool has_samples) {
  enum : uint8_t { kStatic = 1, kDynamic = 2, kWeights = 4, kBlocks = 8, kHalf = 16, kAll = 31 };
  constexpr const char* kColumns[] = {"mode static", "mode dynamic", "mode weights with 8 bits and format qdq", "mode weights with 4 bits or format qoperator",
                                      "modes fp16 and bf16"};
  static constexpr struct {
    const char* name;
    uint8_t columns;
    bool needs_samples;
  } kRows[] = {
      {"format", kAll & ~kHalf, false},      {"block", kBlocks, false},      {"rounding", kBlocks, false},
      {"plain", kBlocks, false},             {"calibrate", kStatic, true},   {"percentile", kStatic, true},
      {"activations", kStatic, false},       {"symmetric", kStatic, false},  {"overrides", kStatic, false},
      {"weights", kAll & ~kHalf, false},     {"reduce-range", kStatic | kDynamic, false},
      {"per-tensor", kStatic | kDynamic | kWeights, false},
      {"asymmetric-weights", kStatic | kWeights, false},
      {"equalize", kStatic, false},          {"correct-bias", kStatic, true}, {"table", kStatic, false},
      {"resume", kStatic, true},             {"as-is", kStatic | kHalf, false},
      {"min-sqnr", kAll, true},              {"min-agreement", kAll, true},  {"min-accuracy", kAll, true},
      {"labels", kAll, true},                {"report", kAll, true},         {"samples", kAll, true},
      {"size", kAll, true},                  {"resize", kAll, true},         {"scale", kAll, true},
      {"mean", kAll, true},                  {"std", kAll, true},            {"layout", kAll, true},
      {"bgr", kAll, true},                   {"invert", kAll, true},
  };
  const bool blocks = DTypeBits(recipe.options.weights) == 4 || recipe.options.format == Format::kQOperator;
  const uint8_t column = recipe.mode == Mode::kStatic    ? kStatic
                         : recipe.mode == Mode::kDynamic ? kDynamic
                         : recipe.mode != Mode::kWeights ? kHalf
                         : blocks                        ? kBlocks
                                                         : kWeights;
  for (const std::string& given : recipe.given) {
    for (const auto& row : kRows) {
      if (given != row.name) continue;
      std::string wanted;
      for (int i = 0; i < 5; ++i) {
        if (row.columns >> i & 1) wanted += (wanted.empty() ? "" : ", ") + std::string(kColumns[i]);
      }
      if (!(row.columns & column)) return InvalidArgument("option ", Quote(given), " has no use with mode ", ModeName(recipe.mode), " as asked; it goes with ", wanted);
      if (row.needs_samples && !has_samples) return InvalidArgument("option ", Quote(given), " needs samples (--data)");
    }
    if (given == "percentile" && recipe.calibrator != Calibrator::kPercentile && !recipe.asks()) {
      return InvalidArgument("option 'percentile' has no use with the calibrator ", CalibratorName(recipe.calibrator), "; it goes with percentile (--calibrate percentile)");
    }
  }
  const StaticOptions& options = recipe.options;
  if (recipe.mode == Mode::kStatic && options.format == Format::kQOperator && IsSigned(options.activations) && DTypeBits(options.activations) == 8 &&
      !IsSigned(options.weights)) {
    return InvalidArgument("there are no operators on integers for activations s8 with weights u8; take weights s8, activations u8 or format qdq");
  }
  return Status();
}

int NeededOpset(const Recipe& recipe) {
  const StaticOptions& options = recipe.options;
  if (recipe.mode == Mode::kBfloat16) return kOpsetBfloat16;
  if (recipe.mode == Mode::kDynamic) return kOpsetDynamic;
  if (recipe.mode == Mode::kWeights && DTypeBits(options.weights) == 4 && options.format == Format::kQdq) return kOpsetSmallAndWide;
  bool wide = recipe.mode == Mode::kStatic && DTypeBits(options.activations) == 16, channels = false;
  for (const auto& [name, override] : options.overrides) {
    wide = wide || (override.type && DTypeBits(*override.type) == 16);
    channels = channels || override.per_channel.value_or(false);
  }
  return wide ? kOpsetSmallAndWide : channels && options.format == Format::kQdq ? kOpsetPerChannel : kOpsetLeast;
}

Status CheckOpset(const Recipe& recipe) {
  const int needed = NeededOpset(recipe);
  if (recipe.opset == 0 || recipe.opset >= needed) return Status();
  const char* what = needed == kOpsetBfloat16       ? "bfloat16 convolutions and pools"
                     : needed == kOpsetDynamic      ? "DynamicQuantizeLinear"
                     : needed == kOpsetPerChannel   ? "DequantizeLinear with a scale for each channel (per_channel in the overrides)"
                     : recipe.mode == Mode::kStatic ? "16-bit activations"
                                                    : "4-bit weights in blocks";
  return InvalidArgument("opset ", recipe.opset, " has no ", what, ": that came with ", needed);
}

bool LosesScales(const Recipe& recipe) {
  const bool operators = recipe.options.format == Format::kQOperator || (recipe.mode == Mode::kWeights && DTypeBits(recipe.options.weights) == 4);
  const bool half = recipe.mode == Mode::kFloat16 || recipe.mode == Mode::kBfloat16;
  return recipe.opset > 0 && recipe.opset < kOpsetPerChannel && recipe.options.per_channel && !half && !operators;
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

HalfOptions HalfOptionsOf(const Recipe& recipe) {
  return {recipe.mode == Mode::kFloat16 ? DType::kFloat16 : DType::kBfloat16, {recipe.options.include, recipe.options.exclude}};
}

Floor FloorOf(const Recipe& recipe) {
  Floor floor;
  if (recipe.min_sqnr_db) floor.sqnr_db = *recipe.min_sqnr_db;
  if (recipe.min_agreement) floor.top1_agreement = *recipe.min_agreement;
  if (recipe.min_accuracy) floor.accuracy = *recipe.min_accuracy;
  if (!recipe.asks() && !recipe.as_is) floor.sqnr_db = recipe.mode == Mode::kFloat16 ? kUsualFloat16Db : kUsualDb;
  return floor;
}

}  // namespace linnet::quantize
