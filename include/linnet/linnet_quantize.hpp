// linnet_quantize.hpp: quantization for C++17, over linnet_quantize.h.
//
//     linnet::Quantizer quantizer;
//     quantizer.Set("min-sqnr", "30");
//     quantizer.Run("model.onnx", "int8.onnx", {count, [&](int64_t i) { return std::vector<linnet::Value>{Picture(i)}; }});
#ifndef LINNET_LINNET_QUANTIZE_HPP_
#define LINNET_LINNET_QUANTIZE_HPP_

#include <functional>
#include <string>
#include <vector>

#include "linnet.hpp"
#include "linnet_quantize.h"

namespace linnet {
inline namespace LINNET_CPP_NAMESPACE {

/// Data to calibrate with: how many samples there are, and a function that makes one, a value for each input.
struct Samples {
  int64_t count = 0;
  std::function<std::vector<Value>(int64_t index)> load;
  std::vector<int64_t> labels;   ///< empty, or a class a sample
};

/// What is asked for; see linnet_quantize.h. Without exceptions a wrong option is reported by Run.
class Quantizer {
 public:
  Quantizer() {
    LinnetQuantizer* handle = nullptr;
    Note(LinnetQuantizerCreate(&handle));
    handle_.reset(handle);
  }
  Quantizer& Set(const std::string& option, const std::string& value) {
    return Note(LinnetQuantizerSet(handle(), option.c_str(), value.c_str()));
  }
  Quantizer& Override(const std::string& name, const std::string& option, const std::string& value) {
    return Note(LinnetQuantizerOverride(handle(), name.c_str(), option.c_str(), value.c_str()));
  }
  Or<LinnetQuantizeReport> Run(const std::string& model, const std::string& output, const Samples& samples = {}) {
    if (error_.code() != Code::kOk) LINNET_CPP_FAIL(static_cast<LinnetCode>(error_.code()), error_.what());
    struct Loading {
      const Samples* samples;
      std::vector<Value> values;
    } loading{&samples, {}};
    LinnetSamples given = {};
    given.struct_size = sizeof given;
    given.user = &loading;
    given.count = samples.count;
    given.load = [](void* user, int64_t index, LinnetValue** values, size_t count) -> LinnetCode {
#if LINNET_EXCEPTIONS
      try {
#endif
        Loading& now = *static_cast<Loading*>(user);
        now.values = now.samples->load(index);
        if (now.values.size() != count) return LinnetFail(LINNET_INVALID_ARGUMENT, "a sample has another number of values than the model has inputs");
        for (size_t i = 0; i < count; ++i) values[i] = now.values[i].handle();
        return LINNET_OK;
#if LINNET_EXCEPTIONS
      } catch (const std::exception& error) {
        return LinnetFail(LINNET_INVALID_ARGUMENT, error.what());
      } catch (...) {
        return LinnetFail(LINNET_INVALID_ARGUMENT, "the function that loads samples threw something");
      }
#endif
    };
    given.done = [](void* user, LinnetValue**, size_t) { static_cast<Loading*>(user)->values.clear(); };
    if (!samples.labels.empty() && static_cast<int64_t>(samples.labels.size()) != samples.count) {
      LINNET_CPP_FAIL(LINNET_INVALID_ARGUMENT, "there is another number of labels than of samples");
    }
    given.labels = samples.labels.empty() ? nullptr : samples.labels.data();
    LinnetQuantizeReport report = {};
    report.struct_size = sizeof report;
    LINNET_CPP_TRY(LinnetQuantizerRun(handle(), model.c_str(), output.c_str(), samples.load ? &given : nullptr, &report));
    return report;
  }
  std::string notes() const {
    const char* text = nullptr;
    return LinnetQuantizerNotes(handle(), &text) == LINNET_OK ? text : "";
  }
  LinnetQuantizer* handle() const { return handle_.get(); }

 private:
  Quantizer& Note(LinnetCode code) {
    if (code == LINNET_OK) return *this;
    Error error(code, LinnetLastError());
#if LINNET_EXCEPTIONS
    throw error;
#else
    if (error_.code() == Code::kOk) error_ = error;
    return *this;
#endif
  }
  detail::Handle<LinnetQuantizer, LinnetQuantizerClose> handle_;
  Error error_;
};

}  // namespace LINNET_CPP_NAMESPACE
}  // namespace linnet

#endif  // LINNET_LINNET_QUANTIZE_HPP_
