// linnet.hpp without exceptions: this file is compiled with -fno-exceptions.
#include <string>
#include <vector>

#include "linnet/linnet.hpp"
#include "linnet/linnet_extend.hpp"
#include "linnet/linnet_quantize.hpp"

#if defined(__cpp_exceptions)
#error "compile this file with -fno-exceptions"
#endif

namespace {

struct Halve {
  explicit Halve(const linnet::Attributes& attributes) : by(attributes.Float("by", 2)) {}
  void Infer(linnet::Infer& c) const { c.Output(0, c.Input(0)); }
  void Compute(linnet::Compute& c) const {
    auto x = c.Input<float>(0);
    if (!c.ok()) return;
    float* y = c.Output<float>(0, x.shape);
    for (size_t i = 0; y && i < x.size; ++i) y[i] = x.data[i] / by;
  }
  float by;
};

}  // namespace

/// "" when all went as it should, else what did not.
std::string RunReturning(const std::string& model, const std::string& halve) {
  auto missing = linnet::Session::Open("/nonexistent.onnx");
  if (missing) return "a missing file opened";
  if (missing.error().code() != linnet::Code::kIo) return missing.error().what();
  linnet::Options wrong;
  wrong.Threads(-1).StepLimit(3);
  auto refused = linnet::Session::FromMemory(model.data(), model.size(), wrong);
  if (refused || refused.error().code() != linnet::Code::kInvalidArgument) return "wrong options were taken";

  auto session = linnet::Session::FromMemory(model.data(), model.size(), linnet::Options().Threads(1));
  if (!session) return session.error().what();
  std::vector<float> x = {-1, 2}, y(2);
  auto status = session->Run({{"x", x, {2}}}, {{"y", y}});
  if (!status) return status.error().what();
  if (y[0] != 0 || y[1] != 2) return "the result is wrong";
  if (session->Run({{"x", x, {3}}}, {{"y", y}})) return "a wrong shape was taken";
  auto values = session->Run({{"x", x, {2}}});
  if (!values) return values.error().what();
  auto data = (*values)[0].data<float>();
  if (!data || (*data)[1] != 2) return "the value is wrong";
  if ((*values)[0].data<int32_t>()) return "floats were given as integers";

  linnet::Options options;
  linnet::AddOperator<Halve>(options, "test", "Halve", 1);
  auto custom = linnet::Session::FromMemory(halve.data(), halve.size(), options);
  if (!custom) return custom.error().what();
  status = custom->Run({{"x", x, {2}}}, {{"y", y}});
  if (!status) return status.error().what();
  if (y[0] != -0.25f || y[1] != 0.5f) return "the operator's result is wrong";
  return "";
}
