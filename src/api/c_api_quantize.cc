// The C boundary: quantization. Part of liblinnet_quantize alone.
#include <math.h>

#include "api/c_api.h"
#include "linnet/linnet_quantize.h"
#include "quantize/recipe_options.h"

namespace linnet::api {
namespace {

struct QuantizerObject : Object {
  static constexpr HandleKind kKind = HandleKind::kQuantizer;
  static constexpr const char* kName = "quantizer";
  Mutex mutex;
  quantize::Recipe recipe;
  LinnetQuantizerProgress progress = nullptr;
  void* progress_user = nullptr;
  std::string notes;
};

/// The caller's samples.
class CalledSamples : public quantize::Samples {
 public:
  CalledSamples(const LinnetSamples& samples, size_t inputs) : samples_(samples), inputs_(inputs) {}
  int64_t size() const override { return samples_.count; }
  Result<std::vector<Datum>> Load(int64_t index) override {
    std::vector<LinnetValue*> handles(inputs_, nullptr);
    Status status = CallBack([&] { return samples_.load(samples_.user, index, handles.data(), handles.size()); });
    std::vector<Datum> sample;
    for (size_t i = 0; i < handles.size(); ++i) {
      {
        Use<ValueObject> value(handles[i]);
        if (value) {
          sample.push_back(*value->datum);
        } else if (status.ok()) {
          status = InvalidArgument("value ", i, " is no open value handle");
        }
      }
      if (!samples_.done && handles[i]) CloseHandle(handles[i], HandleKind::kValue);
    }
    if (samples_.done) samples_.done(samples_.user, handles.data(), handles.size());
    if (!status.ok()) return std::move(status).At(Name(index));
    return sample;
  }

 private:
  const LinnetSamples& samples_;
  size_t inputs_;
};

void Fill(const quantize::Outcome& outcome, LinnetQuantizeReport* report) {
  report->nodes = outcome.nodes;
  report->quantized_nodes = outcome.quantized_nodes;
  report->weight_bytes_before = outcome.before.all;
  report->weight_bytes_after = outcome.after.all;
  report->quantized_weight_bytes = outcome.after.integers.bytes;
  report->quantized_weight_float_bytes = outcome.after.integers.floats;
  report->float_weight_bytes = outcome.after.reals.bytes;
  report->calibrated = outcome.calibrated;
  report->compared = outcome.compared;
  report->held_out = outcome.held_out;
  report->refused = outcome.refused;
  report->sqnr_db = report->top1_agreement = report->accuracy = NAN;
  for (const quantize::Agreement& one : outcome.agreements) {
    if (one.count > 0 || one.not_finite > 0) report->sqnr_db = fmin(report->sqnr_db, one.SqnrDb());
  }
  if (!outcome.agreements.empty() && outcome.agreements[0].rows > 0) {
    report->top1_agreement = static_cast<double>(outcome.agreements[0].same_top) / static_cast<double>(outcome.agreements[0].rows);
  }
  if (outcome.score.accuracy >= 0) report->accuracy = outcome.score.accuracy;
}

Status Run(QuantizerObject& quantizer, const char* model, const char* output, const LinnetSamples* given, quantize::Outcome* outcome) {
  LinnetSamples samples = {};
  if (given) {
    LINNET_TRY(ReadStruct(given, &samples));
    if (samples.count < 0 || !samples.load) return InvalidArgument("samples have a count and a function that loads them");
  }
  LINNET_ASSIGN(quantize::FloatModel opened, quantize::OpenFloatModel(model, quantizer.recipe));
  CalledSamples called(samples, opened.model.graph.inputs.size());
  std::span<const int64_t> labels;
  if (samples.labels) labels = {samples.labels, static_cast<size_t>(samples.count)};
  auto watch = [&](const char* what, int64_t done, int64_t total) {
    if (quantizer.progress) quantizer.progress(quantizer.progress_user, what, done, total);
  };
  return quantize::QuantizeModel(std::move(opened), output, quantizer.recipe, given ? &called : nullptr, labels, watch, outcome);
}

/// Calls edit(quantizer) for an open handle, alone.
template <class Edit>
LinnetCode With(const LinnetQuantizer* handle, Edit&& edit) {
  return Guard([&]() -> Status {
    LINNET_USE(QuantizerObject, quantizer, handle);
    Lock lock(quantizer->mutex);
    return edit(*quantizer);
  });
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetQuantizerCreate(LinnetQuantizer** quantizer) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(quantizer);
    *quantizer = nullptr;
    return GiveHandle(std::make_unique<QuantizerObject>(), quantizer);
  });
}
LinnetCode LinnetQuantizerClose(LinnetQuantizer* quantizer) LINNET_NOEXCEPT { return Close<QuantizerObject>(quantizer); }

LinnetCode LinnetQuantizerSet(LinnetQuantizer* handle, const char* option, const char* value) LINNET_NOEXCEPT {
  return With(handle, [&](QuantizerObject& quantizer) -> Status {
    LINNET_NOT_NULL(option);
    LINNET_NOT_NULL(value);
    return quantize::SetOption(&quantizer.recipe, option, value);
  });
}
LinnetCode LinnetQuantizerOverride(LinnetQuantizer* handle, const char* name, const char* option, const char* value) LINNET_NOEXCEPT {
  return With(handle, [&](QuantizerObject& quantizer) -> Status {
    LINNET_NOT_NULL(name);
    LINNET_NOT_NULL(option);
    LINNET_NOT_NULL(value);
    quantize::Override override;
    const auto found = quantizer.recipe.options.overrides.find(name);
    if (found != quantizer.recipe.options.overrides.end()) override = found->second;
    LINNET_TRY(quantize::SetOverride(&override, option, value));
    quantizer.recipe.options.overrides[name] = override;
    quantizer.recipe.given.emplace_back("overrides");
    return Status();
  });
}
LinnetCode LinnetQuantizerSetProgress(LinnetQuantizer* handle, LinnetQuantizerProgress progress, void* user) LINNET_NOEXCEPT {
  return With(handle, [&](QuantizerObject& quantizer) -> Status {
    quantizer.progress = progress;
    quantizer.progress_user = user;
    return Status();
  });
}

LinnetCode LinnetQuantizerRun(LinnetQuantizer* handle, const char* model, const char* output, const LinnetSamples* samples,
                              LinnetQuantizeReport* report) LINNET_NOEXCEPT {
  return With(handle, [&](QuantizerObject& quantizer) -> Status {
    LINNET_NOT_NULL(model);
    LINNET_NOT_NULL(output);
    if (report && report->struct_size < sizeof(size_t)) return InvalidArgument("struct_size is ", report->struct_size, "; set it to sizeof the struct");
    quantizer.notes.clear();
    quantize::Outcome outcome;
    Status status = Run(quantizer, model, output, samples, &outcome);
    for (const std::string& note : outcome.notes) quantizer.notes += note + "\n";
    if (report && (status.ok() || outcome.refused)) {
      LinnetQuantizeReport filled = {};
      Fill(outcome, &filled);
      LINNET_TRY(FillStruct(report, filled));
    }
    return status;
  });
}
LinnetCode LinnetQuantizerNotes(LinnetQuantizer* handle, const char** notes) LINNET_NOEXCEPT {
  return With(handle, [&](QuantizerObject& quantizer) -> Status {
    LINNET_NOT_NULL(notes);
    *notes = quantizer.notes.c_str();
    return Status();
  });
}
