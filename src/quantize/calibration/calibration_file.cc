// Reading and writing calibration tables with what was seen.
//
//     # linnet calibration 1: low, high, name
//     0<TAB>6<TAB>conv_1
//     # sample images/0.png
//     # seen 2 1000 12 0 0 6 ... 4096:17 4097:3<TAB>conv_1
#include "quantize/calibration/calibration_file.h"

#include <algorithm>

namespace linnet::quantize {
namespace {

constexpr std::string_view kSample = "# sample ", kSeen = "# seen ";

bool Exists(const std::string& path) {
  Result<MappedFile::Ref> file = MappedFile::Open(path);
  return file.ok();
}

}  // namespace

Status WriteCalibration(const std::string& path, const RangeTable& ranges, const Calibration* calibration) {
  return WriteFileAtomically(path, [&](Sink& sink) -> Status {
    LINNET_TRY(WriteTable(ranges, sink));
    if (!calibration) return Status();
    LINNET_TRY(sink.Append("# What was seen, to go on from: the samples that are in, and for each value counts, extremes, sums and bins.\n"));
    for (const std::string& name : calibration->sample_names()) LINNET_TRY(sink.Append(Cat(kSample, EscapedName(name), "\n")));
    for (const auto& [name, histogram] : calibration->seen()) {
      LINNET_TRY(sink.Append(Cat(kSeen, histogram.ToText(), "\t", EscapedName(name), "\n")));
    }
    return Status();
  });
}

Result<RangeTable> ReadCalibration(const std::string& path, Calibration* into) {
  if (into && !Exists(path)) return RangeTable();
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  const std::string_view text = file->bytes();
  Result<RangeTable> table = ReadTable(text);
  if (!table.ok()) return table.TakeStatus().At(Quote(path));
  if (!into) return table;
  std::vector<std::string> samples;
  std::map<std::string, Histogram> seen;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.starts_with(kSample)) samples.push_back(UnescapedName(line.substr(kSample.size())));
    if (!line.starts_with(kSeen)) continue;
    const size_t tab = line.find('\t');
    Result<Histogram> histogram = Histogram::FromText(line.substr(kSeen.size(), std::min(tab, line.size()) - kSeen.size()));
    if (tab == std::string_view::npos || !histogram.ok()) {
      return InvalidArgument("line ", number, " is not what was seen of a value").At(Quote(path));
    }
    seen[UnescapedName(line.substr(tab + 1))] = std::move(*histogram);
  }
  Status restored = into->Restore(std::move(samples), std::move(seen));
  if (!restored.ok()) return std::move(restored).At(Quote(path));
  return table;
}

}  // namespace linnet::quantize
