// Quantizing a model file from end to end: opened, calibrated, decided, written, read again and compared.
#pragma once

#include <optional>
#include <string>

#include "quantize/contract/search.h"
#include "quantize/dynamic.h"

namespace linnet::quantize {

enum class Mode : uint8_t { kStatic, kDynamic, kWeights, kFloat16, kBfloat16 };

/// Everything that can be asked for; the defaults are those of `linnet quantize`.
struct Recipe {
  Mode mode = Mode::kStatic;
  /// Of static quantization; format, weights, per_channel, include and exclude count for the other modes too.
  StaticOptions options;
  Calibrator calibrator = Calibrator::kLikely;
  double percentile = 99.999;
  int block_size = 32;
  BlockRounding rounding = BlockRounding::kSquares;
  bool equalize = false, correct_bias = false;
  bool as_is = false;                  ///< 8 bits everywhere (or half precision): no layer gets more; without a contract whatever the error
  std::optional<double> min_sqnr_db, min_agreement, min_accuracy;   ///< a contract: met, or nothing is written
  int64_t samples = 0;                 ///< at most so many; 0: all
  int opset = 0;                       ///< of the output; 0: the model's own, raised to what the rest needs
  int threads = 0;                     ///< 0: all processors
  std::string table;                   ///< calibration table: written with samples, read without
  bool resume = false;                 ///< go on from what the table, or the run that was cut beside it (.partial), has seen

  std::vector<std::string> given;      ///< names of options that were given, as on the command line without dashes

  bool asks() const { return min_sqnr_db || min_agreement || min_accuracy; }
};

/// "static", "dynamic", "weights", "fp16", "bf16"; "u8", "s8", "u16", "s16", "u4", "s4". False for other names.
bool ModeFromName(std::string_view name, Mode* out);
const char* ModeName(Mode mode);
bool TypeFromName(std::string_view name, DType* out);

/// A float model, prepared.
struct FloatModel {
  OnnxModel model;
  ConstantBytes before;   ///< as the file had them
};
Result<FloatModel> OpenFloatModel(const std::string& path, const Recipe& recipe);

/// What was done, and what came of it.
struct Outcome {
  std::string calibrator;
  int64_t nodes = 0, quantized_nodes = 0;
  ConstantBytes before, after;
  int64_t calibrated = 0, resumed = 0, compared = 0;   ///< samples
  std::vector<int64_t> held;              ///< those compared, by their numbers
  bool held_out = false;                  ///< those compared were not used to calibrate
  bool refused = false;                   ///< the work was done, and nothing meets the floor
  std::vector<std::string> output_names;
  std::vector<Agreement> agreements;      ///< one an output; empty without samples
  std::vector<std::string> notes;         ///< sentences
  std::vector<std::string> by_weights, in_float;   ///< layers that do not compute on integers, as Decision has them
  Score score;                            ///< on what was held out, or what is compared
  double reference_accuracy = -1;         ///< the float model's there; -1: no labels
};

/// `samples` may be null where the mode needs none, or a table is given; every fourth is held out. `labels`: empty, or one class a sample.
/// `output` is replaced when all went well, and is then read again and run beside the float model. Of a contract that is not
/// met nothing is left, and `outcome->refused` says so beside the failure.
Status QuantizeModel(FloatModel model, const std::string& output, const Recipe& recipe, Samples* samples,
                     std::span<const int64_t> labels, Watch watch, Outcome* outcome);

}  // namespace linnet::quantize
