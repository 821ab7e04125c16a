// The report of a quantization, for people and for programs.
#include "cli/quantize_report.h"

#include <fmt/format.h>
#include <stdio.h>

#include <cmath>
#include <filesystem>

#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/utf8.h"

namespace linnet::cli {
namespace {

int64_t FileBytes(const std::string& path) {
  std::error_code error;
  auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

/// "3 samples that were not used to calibrate".
std::string ComparedText(const quantize::Outcome& outcome) {
  return fmt::format("{} sample{}{}", outcome.compared, outcome.compared == 1 ? "" : "s",
                     outcome.calibrated == 0 ? "" : Cat(outcome.compared == 1 ? " that was " : " that were ", outcome.held_out ? "not used to calibrate" : "used to calibrate, for want of others"));
}

/// "105 KiB of floats -> 27.4 KiB of integers with scales and zero points (26.1 %), 1.00 KiB stay real".
std::string WeightsText(const quantize::ConstantBytes& after) {
  const quantize::WeightSize &integers = after.integers, &reals = after.reals;
  std::string text;
  if (integers.floats > 0) {
    text = fmt::format("{} of floats -> {} of integers with scales and zero points ({:.1f} %)", FormatBytes(integers.floats), FormatBytes(integers.bytes),
                       100.0 * static_cast<double>(integers.bytes) / static_cast<double>(integers.floats));
  }
  if (reals.bytes == 0 && !text.empty()) return text;
  const bool halves = reals.bytes < reals.floats;
  return Cat(text, text.empty() ? "" : ", ", halves ? Cat(FormatBytes(reals.floats), " of floats -> ") : "", FormatBytes(reals.bytes), halves ? " with half precision" : " of floats");
}

/// "98.3 %", or nothing where there are no classes.
std::string SameTopText(const quantize::Agreement& agreement) {
  return agreement.rows ? fmt::format("{:.1f} %", 100.0 * static_cast<double>(agreement.same_top) / static_cast<double>(agreement.rows)) : "";
}

/// "accuracy 98.7 %, float model 98.9 %".
std::string AccuracyText(const quantize::Outcome& outcome) {
  return fmt::format("accuracy {:.2f} %, float model {:.2f} %", 100 * outcome.score.accuracy, 100 * outcome.reference_accuracy);
}

}  // namespace

std::string SqnrText(const quantize::Agreement& agreement) {
  if (agreement.count == 0 && agreement.not_finite == 0) return "no floats";
  const double db = agreement.SqnrDb();
  if (std::isinf(db)) return db > 0 ? "equal" : "not finite";
  return fmt::format("{:.1f} dB", db);
}

Json QuantizeReport::ToJson() const {
  Json json;
  json["input"] = input;
  json["output"] = output;
  json["mode"] = mode;
  json["calibrator"] = calibrator;
  json["nodes"] = nodes;
  json["quantized_nodes"] = quantized_nodes;
  json["input_bytes"] = FileBytes(input);
  json["output_bytes"] = FileBytes(output);
  json["weight_bytes_before"] = before.all;
  json["weight_bytes_after"] = after.all;
  json["quantized_weight_bytes"] = after.integers.bytes;
  json["quantized_weight_float_bytes"] = after.integers.floats;
  json["float_weight_bytes"] = after.reals.bytes;
  json["calibrated_samples"] = calibrated;
  json["resumed_samples"] = resumed;
  json["compared_samples"] = compared;
  json["held_out"] = held_out;
  json["outputs"] = Json::array();
  for (size_t i = 0; i < agreements.size(); ++i) {
    const quantize::Agreement& one = agreements[i];
    json["outputs"].push_back({{"name", output_names[i]},
                               {"sqnr_db", one.SqnrDb()},
                               {"cosine", one.Cosine()},
                               {"max_error", one.max_error},
                               {"max_value", one.max_value},
                               {"top1_agreement", one.rows ? static_cast<double>(one.same_top) / static_cast<double>(one.rows) : 0.0}});
  }
  json["notes"] = notes;
  json["layers_8_bit_weights"] = by_weights;
  json["layers_float"] = in_float;
  if (score.accuracy >= 0) json["accuracy"] = score.accuracy;
  if (reference_accuracy >= 0) json["float_accuracy"] = reference_accuracy;
  json["seconds"] = seconds;
  return json;
}

std::vector<std::string> QuantizeReport::Facts(const quantize::Recipe& recipe) const {
  std::vector<std::string> facts;
  auto asked = [&](const char* what, const std::optional<double>& least, double got, double unit, const char* of) {
    if (!least) return;
    facts.push_back(fmt::format("Asked: {} of at least {:g}{}{}", what, *least * unit, of, refused ? "" : fmt::format("; on samples held out: {:.1f}{}", got * unit, of)));
  };
  asked("SQNR", recipe.min_sqnr_db, score.sqnr_db, 1, " dB");
  asked("agreement of the top-1 class", recipe.min_agreement, score.top1_agreement, 100, " %");
  asked("accuracy", recipe.min_accuracy, score.accuracy, 100, " %");
  if (!refused) {
    facts.push_back(fmt::format("File: {} before, {} after", FormatBytes(FileBytes(input)), FormatBytes(FileBytes(output))));
    facts.push_back(fmt::format("Constants: {} before, {} after", FormatBytes(before.all), FormatBytes(after.all)));
    facts.push_back(Cat("Weights: ", WeightsText(after)));
    facts.push_back(fmt::format("{} of {} nodes are quantized ({}{}{})", quantized_nodes, nodes, mode, calibrator.empty() ? "" : ", ranges: ", calibrator));
  }
  if (compared > 0) facts.push_back(Cat("Compared on ", ComparedText(*this)));
  for (size_t i = 0; i < agreements.size(); ++i) {
    const quantize::Agreement& one = agreements[i];
    facts.push_back(fmt::format("Output {}: {}, largest error {:.3g} of values up to {:.3g}{}", output_names[i], SqnrText(one), one.max_error, one.max_value,
                                one.rows ? Cat(", the same top-1 in ", SameTopText(one)) : ""));
  }
  if (reference_accuracy >= 0) facts.push_back(AccuracyText(*this));
  for (const std::string& layer : by_weights) facts.push_back(Cat("Float, but for 8-bit weights: ", layer));
  for (const std::string& layer : in_float) facts.push_back(Cat("Float: ", layer));
  for (const std::string& note : notes) facts.push_back(note);
  return facts;
}

void QuantizeReport::Print() const {
  const int64_t file_before = FileBytes(input), file_after = FileBytes(output);
  fmt::print("{}  {}  ->  {}  {}  ({:.1f} %)  in {:.1f} s\n", Printable(input), FormatBytes(file_before), Printable(output),
             FormatBytes(file_after), 100.0 * static_cast<double>(file_after) / static_cast<double>(std::max<int64_t>(file_before, 1)),
             seconds);
  fmt::print("constants {} -> {}   {} of {} nodes quantized\n", FormatBytes(before.all), FormatBytes(after.all), quantized_nodes, nodes);
  fmt::print("weights   {}\n", WeightsText(after));
  if (resumed > 0) fmt::print("{} of {} samples had been seen before\n", resumed, calibrated);
  for (const std::string& note : notes) fmt::print("{}\n", Printable(note));
  if (agreements.empty()) return;
  fmt::print("\nbeside the float model, on {}:\n", ComparedText(*this));
  Terminal terminal(stdout);
  using Align = Table::Align;
  Table table({{"output"}, {"SQNR", Align::kRight}, {"largest error", Align::kRight}, {"of values up to", Align::kRight},
               {"same top-1", Align::kRight}});
  for (size_t i = 0; i < agreements.size(); ++i) {
    const quantize::Agreement& one = agreements[i];
    const double db = one.SqnrDb();
    table.Row({output_names[i], {SqnrText(one), db >= 20 ? Color::kGreen : db >= 10 ? Color::kYellow : Color::kRed},
               fmt::format("{:.3g}", one.max_error), fmt::format("{:.3g}", one.max_value),
               SameTopText(one)});
  }
  fmt::print("{}", table.ToString(terminal));
  if (reference_accuracy >= 0) fmt::print("{}\n", AccuracyText(*this));
}

}  // namespace linnet::cli
