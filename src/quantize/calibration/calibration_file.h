// The calibration table as a file: ranges for people and for later runs, and what was seen, to go on from.
#pragma once

#include <string>

#include "quantize/calibration/calibration.h"

namespace linnet::quantize {

/// Replaces the file: the table's lines (WriteTable), and behind them, as comments to ReadTable, the samples that are in and a
/// histogram a value.
Status WriteCalibration(const std::string& path, const RangeTable& ranges, const Calibration* calibration);

/// The ranges of a file. `into`, when not null, gets what was seen; then there need not be a file. Fails naming the line that is wrong, and when
/// the values seen are not those that `into` observes.
Result<RangeTable> ReadCalibration(const std::string& path, Calibration* into);

}  // namespace linnet::quantize
