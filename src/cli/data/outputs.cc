// Summaries, file names and traces.
#include "cli/data/outputs.h"

#include <algorithm>
#include <cmath>

#include "cli/data/compare.h"

namespace linnet::cli {
namespace {

constexpr int64_t kElementsListed = 8;

struct Numbers {
  double min = INFINITY, max = -INFINITY, sum = 0;
  int64_t count = 0, not_finite = 0;
  double mean() const { return count > 0 ? sum / static_cast<double>(count) : 0; }
};

Numbers Measure(const Tensor& tensor) {
  Numbers out;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    double value = ElementAsDouble(tensor.dtype(), tensor.data(), i);
    if (!std::isfinite(value)) {
      ++out.not_finite;
      continue;
    }
    out.min = std::min(out.min, value);
    out.max = std::max(out.max, value);
    out.sum += value;
    ++out.count;
  }
  return out;
}

bool IsComplex(DType dtype) { return dtype == DType::kComplex64 || dtype == DType::kComplex128; }

std::string SummarizeTensor(const Tensor& tensor) {
  int64_t count = tensor.elements();
  if (count == 0) return "empty";
  if (!tensor.has_data()) return "no contents";
  if (tensor.dtype() == DType::kString || count <= kElementsListed) {
    std::string out;
    int64_t numbers = IsComplex(tensor.dtype()) ? 2 * count : count;
    for (int64_t i = 0; i < std::min(numbers, kElementsListed); ++i) {
      out += i > 0 ? ", " : "";
      out += tensor.dtype() == DType::kString ? Quote(tensor.as<std::string>()[i])
                                              : Cat(ElementAsDouble(tensor.dtype(), tensor.data(), i));
    }
    return numbers > kElementsListed ? out + ", ..." : out;
  }
  Numbers numbers = Measure(tensor);
  std::string out = numbers.count > 0 ? Cat("min ", numbers.min, "  max ", numbers.max, "  mean ", numbers.mean()) : "";
  if (numbers.not_finite > 0) out += Cat(out.empty() ? "" : "  ", numbers.not_finite, " not finite");
  return out;
}

}  // namespace

std::string Summarize(const Datum& datum) {
  switch (datum.type.kind) {
    case Kind::kTensor: return SummarizeTensor(datum.tensor);
    case Kind::kOptional: return datum.present ? SummarizeTensor(datum.tensor) : "absent";
    case Kind::kOptionalSequence:
      if (!datum.present) return "absent";
      [[fallthrough]];
    case Kind::kSequence:
    case Kind::kSequenceOfMaps: return Cat(datum.items.size(), datum.items.size() == 1 ? " item" : " items");
    case Kind::kMap: return Cat("map of ", datum.keys.elements());
    case Kind::kUnknown: break;
  }
  return "nothing";
}

Json SummarizeJson(const Datum& datum) {
  Json json = Json::object();
  bool one = datum.type.is_tensor() || (datum.type.kind == Kind::kOptional && datum.present);
  if (!one) {
    json["present"] = datum.present;
    json["items"] = datum.type.kind == Kind::kMap ? datum.keys.elements() : static_cast<int64_t>(datum.items.size());
    return json;
  }
  json["shape"] = std::vector<int64_t>(datum.tensor.shape().begin(), datum.tensor.shape().end());
  if (datum.tensor.dtype() == DType::kString || !datum.tensor.has_data()) return json;
  Numbers numbers = Measure(datum.tensor);
  json["min"] = numbers.min;
  json["max"] = numbers.max;
  json["mean"] = numbers.mean();
  json["not_finite"] = numbers.not_finite;
  return json;
}

std::string FileNameFor(std::string_view name, std::string_view ending, std::vector<std::string>& taken) {
  constexpr size_t kNameBytesMax = 100;
  std::string stem;
  for (char c : name.substr(0, kNameBytesMax)) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                 (c == '.' && !stem.empty());
    stem += plain ? c : '_';
  }
  if (stem.empty()) stem = "output";
  std::string file = Cat(stem, ending);
  for (int i = 2; std::find(taken.begin(), taken.end(), file) != taken.end(); ++i) file = Cat(stem, "_", i, ending);
  taken.push_back(file);
  return file;
}

Json TraceJson(const Profiler& profiler) {
  int64_t origin = INT64_MAX;
  for (const Profiler::Span& span : profiler.spans) origin = std::min(origin, span.begin_ns);
  Json events = Json::array();
  events.push_back({{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"args", {{"name", "linnet"}}}});
  for (const Profiler::Span& span : profiler.spans) {
    Json event;
    event["name"] = span.io->label;
    event["cat"] = span.io->op;
    event["ph"] = "X";
    event["ts"] = static_cast<double>(span.begin_ns - origin) / 1e3;
    event["dur"] = static_cast<double>(span.end_ns - span.begin_ns) / 1e3;
    event["pid"] = 1;
    event["tid"] = 1;
    event["args"] = {{"op", span.io->op}, {"depth", span.depth}};
    events.push_back(std::move(event));
  }
  Json trace;
  trace["displayTimeUnit"] = "ms";
  trace["traceEvents"] = std::move(events);
  return trace;
}

}  // namespace linnet::cli
