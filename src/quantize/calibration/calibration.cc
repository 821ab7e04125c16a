// Observing values and choosing their ranges; the table of ranges as text.
#include "quantize/calibration/calibration.h"

#include <math.h>
#include <stdio.h>

#include <algorithm>

#include "base/number_text.h"

namespace linnet::quantize {
namespace {

constexpr std::string_view kTableHead = "# linnet calibration 1: low, high, name\n";

}  // namespace

Result<std::unique_ptr<Calibration>> Calibration::Make(const Graph& graph, const std::vector<ValueId>& values, int threads) {
  auto made = std::make_unique<Calibration>();
  made->first_ = graph.outputs().size();
  for (ValueId id : values) made->names_.push_back(graph.value(id).name);
  LINNET_ASSIGN(made->runner_, GraphRunner::Make(graph, values, threads));
  return made;
}

Status Calibration::Restore(std::vector<std::string> sample_names, std::map<std::string, Histogram> seen) {
  if (!sample_names.empty()) {
    for (const std::string& name : names_) {
      if (!seen.contains(name)) return InvalidArgument("nothing was seen of ", Quote(name), "; the table is of another model or choice of nodes");
    }
    if (seen.size() != names_.size()) return InvalidArgument("values were seen that are not observed; the table is of another model or choice of nodes");
  }
  sample_names_ = std::move(sample_names);
  seen_ = std::move(seen);
  return Status();
}

Status Calibration::Add(std::span<const Datum> inputs, std::string name) {
  LINNET_ASSIGN(std::vector<Datum> results, runner_->Run(inputs));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& input = inputs[i].tensor;
    if (input.dtype() != DType::kFloat || !input.has_data()) continue;
    NotFinite& seen = not_finite_[input_names()[i]];
    const int64_t count = input.elements() - std::count_if(input.as<float>(), input.as<float>() + input.elements(), [](float x) { return isfinite(x); });
    if (seen.count == 0 && count > 0) seen.sample = name;
    seen.count += count, seen.of += input.elements();
  }
  for (size_t i = 0; i < names_.size(); ++i) {
    const Tensor& value = results[first_ + i].tensor;
    Histogram& seen = seen_[names_[i]];
    seen.Add(value.as<float>(), value.has_data() ? value.elements() : 0);
    const double most = std::max(-seen.low(), seen.high());
    auto [largest, is_new] = largest_.try_emplace(names_[i], most, name);
    if (most > largest->second.first) largest->second = {most, name};
  }
  sample_names_.push_back(std::move(name));
  return Status();
}

Result<RangeTable> Calibration::Choose(const CalibrationChoice& choice) const {
  if (sample_names_.empty()) return InvalidArgument("there is no sample to calibrate with");
  RangeTable table;
  for (const std::string& name : names_) {
    const Histogram& histogram = seen_.at(name);
    if (histogram.count() == 0 && histogram.not_finite() == 0) {  // always empty
      table[name] = Range();
      continue;
    }
    Result<Range> range = ChooseRange(histogram, choice);
    if (!range.ok()) return range.TakeStatus().At(Cat("value ", Quote(name)));
    table[name] = *range;
  }
  return table;
}

std::string Calibration::Outlier() const {
  std::vector<std::string> names = input_names();
  names.insert(names.end(), names_.begin(), names_.end());
  for (const std::string& name : names) {
    std::string found = OutlierOf(name);
    if (!found.empty()) return found;
  }
  return "";
}

std::vector<std::string> Calibration::Doubts(bool alike) const {
  std::vector<std::string> out;
  if (alike) out.push_back(Cat("warning: all samples are alike, ", samples(), " times the same numbers: ranges fit no others"));
  for (const std::string& name : input_names()) {
    const auto found = not_finite_.find(name);
    if (found != not_finite_.end() && found->second.count > 0) {
      const NotFinite& seen = found->second;
      out.push_back(Cat("warning: ", seen.count, " of ", seen.of, " numbers of ", Quote(name), " are not finite, the first in ", Quote(seen.sample), ": ranges are of the others"));
    }
    std::string outlier = OutlierOf(name);
    if (!outlier.empty()) out.push_back("warning: " + std::move(outlier));
  }
  return out;
}

std::string Calibration::OutlierOf(const std::string& name) const {
  /// The largest number is as much of all others, and at most such a share of the numbers lies between.
  constexpr int kTimes = 64;
  constexpr double kShare = 1e-3;
  const auto found = seen_.find(name);
  if (found == seen_.end() || found->second.width() == 0) return "";
  const Histogram& seen = found->second;
  const double most = std::max(-seen.low(), seen.high());
  int64_t all = 0, beyond = 0;
  for (int i = 0; i < 2 * Histogram::kBinsASide; ++i) {
    const int64_t n = seen.bins()[static_cast<size_t>(i)];
    all += n;
    if (fabs(seen.Centre(i)) > most / kTimes) beyond += n;
  }
  if (static_cast<double>(beyond) > kShare * static_cast<double>(all)) return "";
  const auto largest = largest_.find(name);
  const bool known = largest != largest_.end() && largest->second.first == most && !largest->second.second.empty();
  char largest_text[32];
  snprintf(largest_text, sizeof largest_text, "%.6g", most);
  return Cat("of the values of ", Quote(name), " ", beyond, " of ", seen.count(), " lie far beyond the others, up to ", largest_text,
             known ? Cat(" in ", Quote(largest->second.second)) : std::string(),
             ": leave them out, give the range by --overrides, or choose a calibrator that cuts (--calibrate percentile --percentile 99.9)");
}

std::string EscapedName(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c == '\\' || c == '\n') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out;
}

std::string UnescapedName(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      out += text[i] == 'n' ? '\n' : text[i];
    } else {
      out += text[i];
    }
  }
  return out;
}

Status WriteTable(const RangeTable& table, Sink& sink) {
  LINNET_TRY(sink.Append(kTableHead));
  for (const auto& [name, range] : table) {
    LINNET_TRY(sink.Append(FormatNumber(range.low) + "\t" + FormatNumber(range.high) + "\t" + EscapedName(name) + "\n"));
  }
  return Status();
}

Result<RangeTable> ReadTable(std::string_view text) {
  if (!text.starts_with(kTableHead)) return InvalidArgument("this is no calibration table");
  RangeTable table;
  int64_t number = 1;
  for (text.remove_prefix(kTableHead.size()); !text.empty();) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('#')) continue;
    const size_t first = line.find('\t'), second = first == std::string_view::npos ? first : line.find('\t', first + 1);
    if (second == std::string_view::npos) return InvalidArgument("line ", number, " is not low, high and a name");
    Result<double> low = ParseNumber(line.substr(0, first)), high = ParseNumber(line.substr(first + 1, second - first - 1));
    const Range range{low.ok() ? *low : NAN, high.ok() ? *high : NAN};
    if (!isfinite(range.low) || !isfinite(range.high) || range.low > range.high) {
      return InvalidArgument("line ", number, " does not give two numbers, the lower first");
    }
    table[UnescapedName(line.substr(second + 1))] = range;
  }
  return table;
}

}  // namespace linnet::quantize
