// Calibration: observing a graph's values sample by sample, and the table of ranges that comes of it.
#pragma once

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "quantize/calibration/calibrate.h"
#include "quantize/plan.h"
#include "quantize/runner.h"

namespace linnet::quantize {

/// Keeps a histogram a value; no sample is kept.
class Calibration {
 public:
  /// Will observe `values` (of float type) of `graph`, which has been prepared.
  static Result<std::unique_ptr<Calibration>> Make(const Graph& graph, const std::vector<ValueId>& values, int threads);

  /// Runs one sample: a datum for each input. Fails as GraphRunner::Run does. `name`: what it is called, for going on later.
  Status Add(std::span<const Datum> inputs, std::string name = "");
  int64_t samples() const { return static_cast<int64_t>(sample_names_.size()); }
  const std::vector<std::string>& sample_names() const { return sample_names_; }
  bool HasSeen(const std::string& name) const { return std::find(sample_names_.begin(), sample_names_.end(), name) != sample_names_.end(); }
  /// Goes on from what another run of the same model saw. Fails when that observed other values.
  Status Restore(std::vector<std::string> sample_names, std::map<std::string, Histogram> seen);

  /// A range for every value. Fails when no sample was added, and naming a value that never was a finite number.
  Result<RangeTable> Choose(const CalibrationChoice& choice) const;

  /// A sentence about a value of which a few numbers lie so far beyond all others that they leave those few codes; inputs first.
  /// Empty when there is none.
  std::string Outlier() const;
  /// What a user should know of the samples, whatever comes of them: that they are all `alike`, numbers that are not finite, and outliers.
  std::vector<std::string> Doubts(bool alike) const;

  const std::vector<std::string>& input_names() const { return runner_->input_names(); }
  /// What was seen, by value name.
  const std::map<std::string, Histogram>& seen() const { return seen_; }

 private:
  std::string OutlierOf(const std::string& name) const;

  struct NotFinite {
    int64_t count = 0, of = 0;
    std::string sample;   ///< the first with such a number
  };

  std::unique_ptr<GraphRunner> runner_;
  std::vector<std::string> names_;
  size_t first_ = 0;   ///< where the observed values begin among the runner's results
  std::map<std::string, Histogram> seen_;
  std::vector<std::string> sample_names_;
  std::map<std::string, std::pair<double, std::string>> largest_;   ///< by value name, its largest magnitude and the sample that has it
  std::map<std::string, NotFinite> not_finite_;   ///< by input name
};

/// A name in one line: as in C strings.
std::string EscapedName(std::string_view name);
std::string UnescapedName(std::string_view text);

/// The table as text: a line for people, then "low<TAB>high<TAB>name" a value; names as in C strings.
Status WriteTable(const RangeTable& table, Sink& sink);
/// Fails naming the line that is not such. Lines that begin with # are comments.
Result<RangeTable> ReadTable(std::string_view text);

}  // namespace linnet::quantize
