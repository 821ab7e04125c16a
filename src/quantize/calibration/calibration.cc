// Observing values and choosing their ranges; the table of ranges as text.
#include "quantize/calibration/calibration.h"

#include <math.h>

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
  for (size_t i = 0; i < names_.size(); ++i) {
    const Tensor& value = results[first_ + i].tensor;
    seen_[names_[i]].Add(value.as<float>(), value.has_data() ? value.elements() : 0);
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
