// The calibration table as a file: ranges for people and for later runs, and what was seen, to go on from.
#pragma once

#include <string>

#include "quantize/calibration/calibration.h"

namespace linnet::quantize {

/// The file beside a table that has what was seen while a calibration is not through: the table stays as it was until then.
inline std::string PartialOf(const std::string& table) { return table + ".partial"; }

/// Replaces the file: the table's lines (WriteTable), and behind them, as comments to ReadTable, the samples that are in and a
/// histogram a value.
Status WriteCalibration(const std::string& path, const RangeTable& ranges, const Calibration* calibration);

/// The ranges of a file. `into`, when not null, gets what was seen; then there need not be a file. Fails naming the line that is wrong, and when
/// the values seen are not those that `into` observes.
Result<RangeTable> ReadCalibration(const std::string& path, Calibration* into);

}  // namespace linnet::quantize
