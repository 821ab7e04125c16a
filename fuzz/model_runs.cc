// Running hostile models.
#include "fuzz/model_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "base/float_types.h"

namespace linnet::fuzz {
namespace {

constexpr int64_t kMemoryLimit = 64 << 20;
constexpr int64_t kStepLimit = 2000;
constexpr int64_t kTimeLimitNs = 300'000'000;
/// Elements of one input at most; models that declare more are only loaded.
constexpr int64_t kInputElementsMax = 1 << 16;

/// Mostly small numbers, sometimes the ones that break things.
int64_t OddInteger(Choices& choices) {
  constexpr int64_t kOdd[] = {0, -1, INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, 127, -128, 255, 1 << 20, int64_t{1} << 40};
  return choices.OneIn(8) ? kOdd[choices.Below(std::size(kOdd))] : choices.Below(7) - 1;
}
double OddFloat(Choices& choices) {
  constexpr double kOdd[] = {NAN, INFINITY, -INFINITY, 1e38, -1e38, 1e-42, -0.0, 0.0, 65504, 2147483648.0, 9.3e18, -9.3e18};
  return choices.OneIn(8) ? kOdd[choices.Below(std::size(kOdd))] : static_cast<double>(choices.Below(2001) - 1000) / 250;
}

void FillTensor(Tensor& tensor, Choices& choices) {
  const int64_t count = tensor.elements();
  if (tensor.dtype() == DType::kString) {
    constexpr const char* kTexts[] = {"", "a", "Word", "1.5", "\xC3\x89t\xC3\xA9", "\xFF\xFE", "a b,c", "-7"};
    for (int64_t i = 0; i < count; ++i) tensor.mutable_as<std::string>()[i] = kTexts[choices.Below(std::size(kTexts))];
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    switch (tensor.dtype()) {
      case DType::kFloat: tensor.mutable_as<float>()[i] = static_cast<float>(OddFloat(choices)); break;
      case DType::kDouble: tensor.mutable_as<double>()[i] = OddFloat(choices); break;
      case DType::kFloat16: tensor.mutable_as<Float16>()[i] = ToFloat16(static_cast<float>(OddFloat(choices))); break;
      case DType::kBfloat16: tensor.mutable_as<Bfloat16>()[i] = ToBfloat16(static_cast<float>(OddFloat(choices))); break;
      case DType::kBool: tensor.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(choices.Below(2)); break;
      default: {
        size_t bytes = DTypeBytes(tensor.dtype());
        if (bytes == 0) {  // packed: any bits are numbers
          memset(tensor.mutable_data(), static_cast<int>(choices.Below(256)), static_cast<size_t>(tensor.bytes()));
          return;
        }
        int64_t value[2] = {OddInteger(choices), OddInteger(choices)};
        memcpy(tensor.mutable_as<char>() + static_cast<size_t>(i) * bytes, value, std::min(bytes, sizeof value));
      }
    }
  }
}

}  // namespace

void Require(bool holds, const char* what, std::string_view detail) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s: %.*s\n", what, static_cast<int>(std::min<size_t>(detail.size(), 4000)), detail.data());
  abort();
}

bool Good(const Status& status) {
  if (status.ok()) return true;
  Require(!status.message().empty(), "a failure has a sentence");
  Require(status.code() != Code::kInternal, "a failure is not internal", status.message());
  Require(status.message().find('\0') == std::string_view::npos, "a sentence has no NUL", status.message());
  return false;
}

InputMaker::InputMaker(const SymbolTable& symbols, Choices& choices) : choices_(choices) {
  for (int i = 0; i < symbols.size(); ++i) symbols_.push_back(choices.OneIn(12) ? 0 : 1 + choices.Below(5));
}

bool InputMaker::Make(Type type, Datum* datum) {
  if (type.kind == Kind::kUnknown) type = Type::Tensor(DType::kFloat, Shape{2, 3});
  if (type.dtype == DType::kUndefined) type.dtype = DType::kFloat;
  switch (type.kind) {
    case Kind::kTensor: {
      Tensor tensor;
      if (!MakeTensor(type, &tensor)) return false;
      *datum = Datum::Of(std::move(tensor));
      return true;
    }
    case Kind::kOptional:
      datum->type = type;
      datum->present = !choices_.OneIn(2);
      return !datum->present || MakeTensor(type, &datum->tensor);
    case Kind::kSequence:
    case Kind::kOptionalSequence:
      datum->type = type;
      datum->present = type.kind == Kind::kSequence || !choices_.OneIn(2);
      for (int64_t n = datum->present ? choices_.Below(4) : 0; n > 0; --n) {
        Tensor item;
        if (!MakeTensor(type, &item)) return false;
        datum->items.push_back(Datum::Of(std::move(item)));
      }
      return true;
    default: return false;
  }
}

bool InputMaker::MakeTensor(const Type& type, Tensor* tensor) {
  Shape shape = type.shape;
  if (!shape.has_rank()) shape = Shape::OfRank(static_cast<int>(choices_.Below(4)));
  int64_t elements = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (IsSymbolDim(shape[i])) shape[i] = symbols_[static_cast<size_t>(SymbolIndex(shape[i]))];
    if (shape[i] < 0) shape[i] = choices_.OneIn(12) ? 0 : 1 + choices_.Below(5);
    if (!CheckedMul(elements, shape[i], &elements) || elements > kInputElementsMax) return false;
  }
  Result<Tensor> made = Tensor::Allocate(type.dtype, shape);
  if (!made.ok()) return false;
  *tensor = std::move(*made);
  FillTensor(*tensor, choices_);
  return true;
}

uint64_t Digest(const Datum& datum) {
  uint64_t sum = 0;
  for (const Tensor* tensor : {&datum.tensor, &datum.keys}) {
    if (!tensor->has_data()) continue;
    if (tensor->dtype() == DType::kString) {
      for (int64_t i = 0; i < tensor->elements(); ++i) sum += tensor->as<std::string>()[i].size();
    } else {
      const int64_t bytes = tensor->bytes();
      for (int64_t i = 0; i < bytes; ++i) sum = sum * 31 + tensor->as<uint8_t>()[i];
    }
  }
  for (const Datum& item : datum.items) sum = sum * 31 + Digest(item);
  return sum;
}

namespace {

void RunTwice(Session& session, Choices& choices) {
  for (int turn = 0; turn < 2; ++turn) {
    InputMaker maker(session.symbols(), choices);
    std::vector<Datum> data(session.inputs().size());
    std::vector<Fact> facts(data.size());
    for (size_t i = 0; i < data.size(); ++i) {
      const PortInfo& port = session.inputs()[i];
      if (port.has_default && choices.OneIn(2)) continue;
      if (!maker.Make(port.type, &data[i])) return;
      facts[i].type = data[i].type;
      facts[i].data = data[i].type.is_tensor() ? data[i].tensor.data() : static_cast<const void*>(&data[i]);
    }
    std::vector<RunOutput> outputs(session.outputs().size());
    if (!Good(session.Run(facts.data(), outputs.data()))) continue;
    volatile uint64_t sum = 0;
    for (const RunOutput& output : outputs) sum = sum + Digest(output.datum);
    Require(session.budget().peak_bytes() <= kMemoryLimit, "the memory limit is obeyed");
  }
}

SessionOptions OptionsFor(Choices& choices) {
  SessionOptions options;
  options.untrusted = true;
  options.memory_limit_bytes = kMemoryLimit;
  options.step_limit = kStepLimit;
  options.time_limit_ns = kTimeLimitNs;
  options.threads = choices.OneIn(4) ? 2 : 1;
  options.pipeline.level = static_cast<int>(2 - choices.Below(16) / 7);
  if (choices.OneIn(3)) options.cpu = "sse4";
  return options;
}

}  // namespace

bool OpenAndRun(std::string_view bytes, Choices& choices) {
  auto session = Session::FromMemory(bytes.data(), bytes.size(), nullptr, OptionsFor(choices));
  if (!Good(session.status())) return false;
  RunTwice(**session, choices);
  return true;
}

}  // namespace linnet::fuzz
