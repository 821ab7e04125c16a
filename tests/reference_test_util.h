// Differential tests: random small models, run by the optimised operators at every CPU level, by the reference provider and,
// where LINNET_PEER names its library, by ONNX Runtime, must agree. LINNET_SEED makes other models; tools/check-differential
// runs many.
#pragma once

#include <gtest/gtest.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "api/session.h"
#include "base/float_types.h"
#include "cli/peer.h"
#include "graph/text.h"
#include "guarded.h"
#include "onnx/writer.h"

namespace linnet {

/// Random choices; the same for the same seed everywhere (distributions of the standard library are not).
class Choices {
 public:
  explicit Choices(uint32_t seed) : bits_(seed) {}
  /// In [low, high].
  int64_t Int(int64_t low, int64_t high) { return low + static_cast<int64_t>(bits_() % static_cast<uint64_t>(high - low + 1)); }
  bool Coin() { return bits_() >> 31; }
  /// In [low, high).
  double Real(double low, double high) { return low + (high - low) * static_cast<double>(bits_()) / 4294967296.0; }
  template <class T>
  T Of(std::initializer_list<T> list) { return list.begin()[Int(0, static_cast<int64_t>(list.size()) - 1)]; }
  Shape Dims(int rank, int64_t low, int64_t high) {
    Shape shape = Shape::OfRank(rank);
    for (int d = 0; d < rank; ++d) shape[d] = Int(low, high);
    return shape;
  }
  std::vector<int64_t> Ints(int count, int64_t low, int64_t high) {
    std::vector<int64_t> out;
    for (int i = 0; i < count; ++i) out.push_back(Int(low, high));
    return out;
  }
  /// `shape` with some dimensions 1 and some leading ones left out: broadcasts to it.
  Shape Broadcastable(const Shape& shape) {
    Shape out = Shape::OfRank(0);
    const int skipped = Coin() ? 0 : static_cast<int>(Int(0, shape.rank()));
    for (int d = skipped; d < shape.rank(); ++d) out.Append(Int(0, 3) == 0 ? 1 : shape[d]);
    return out;
  }

 private:
  std::mt19937 bits_;
};

/// Mostly float.
inline DType AnyFloat(Choices& c) {
  return c.Int(0, 2) ? DType::kFloat : c.Of({DType::kDouble, DType::kFloat16, DType::kBfloat16});
}

/// How far an output may be from the reference's.
struct Agreement {
  double of_max = 1e-5;   ///< real numbers: this part of the output's largest finite magnitude
  double steps = 0;       ///< integers: this many
  double largest = 0;     ///< real numbers: at least this counts as the largest magnitude (of sums that may cancel)
};

/// ONNX Runtime, and how many models of each operator it has run too.
class PeerRuns {
 public:
  /// Null without LINNET_PEER.
  static PeerRuns* Get() {
    static PeerRuns runs;
    return runs.peer_ ? &runs : nullptr;
  }
  /// The outputs, or nothing where the peer does not run the model.
  std::vector<Tensor> Run(const std::string& bytes, const Graph& graph, const std::vector<Tensor>& feeds) {
    Result<std::unique_ptr<PeerSession>> session = peer_->OpenBytes(bytes);
    if (!session.ok() || feeds.size() != (*session)->inputs().size()) return {};
    std::vector<PeerTensor> inputs;
    for (size_t i = 0; i < feeds.size(); ++i) {
      const Tensor& tensor = feeds[i];
      PeerTensor made;
      made.name = (*session)->inputs()[i].name;
      made.type = static_cast<int>(tensor.dtype());
      for (int64_t d : tensor.shape().dims()) made.dims.push_back(d);
      if (tensor.bytes() > 0) made.bytes.assign(static_cast<const char*>(tensor.data()), static_cast<size_t>(tensor.bytes()));
      inputs.push_back(std::move(made));
    }
    Result<std::vector<PeerTensor>> outputs = (*session)->Run(std::move(inputs));
    if (!outputs.ok()) return {};
    std::vector<Tensor> made;
    for (const PeerTensor& output : *outputs) {
      Result<Tensor> tensor = Tensor::Allocate(static_cast<DType>(output.type), Shape(output.dims));
      if (!tensor.ok() || tensor->bytes() != static_cast<int64_t>(output.bytes.size())) return {};
      if (!output.bytes.empty()) memcpy(tensor->mutable_data(), output.bytes.data(), output.bytes.size());
      made.push_back(std::move(*tensor));
    }
    for (NodeId id = 0; id < graph.node_count(); ++id) ++counts_[std::string(graph.node(id).op)];
    return made;
  }

 private:
  PeerRuns() {
    const char* path = getenv("LINNET_PEER");
    if (!path) return;
    Result<std::shared_ptr<Peer>> peer = Peer::Load(path);
    EXPECT_TRUE(peer.ok()) << peer.status().message();
    if (peer.ok()) peer_ = std::move(*peer);
  }
  ~PeerRuns() {
    for (const auto& [op, count] : counts_) fprintf(stderr, "peer ran %s %d\n", op.c_str(), count);
  }
  std::shared_ptr<Peer> peer_;
  std::map<std::string, int> counts_;
};

/// A model under construction and the values its inputs will have.
class RandomModel {
 public:
  RandomModel(Choices& choices, int opset) : choices_(choices), opset_(opset) {}

  /// An input, or (by choice, unless `fed`) a constant.
  ValueId Input(Tensor contents, bool fed = false) {
    const std::string name = "v" + std::to_string(graph_.value_count());
    if (!fed && choices_.Coin()) return graph_.AddConstant(name, std::move(contents));
    Type type = contents.type();
    if (unknown_dims_) type.shape = Shape::OfRank(type.shape.rank());
    feeds_.push_back(contents);
    return graph_.AddInput(name, type);
  }
  ValueId Constant(Tensor contents) {
    return graph_.AddConstant("v" + std::to_string(graph_.value_count()), std::move(contents));
  }
  ValueId Constant(const std::vector<int64_t>& list) { return Constant(Tensor::Ints(list)); }
  ValueId Constant(int64_t value) { return Constant(Tensor::Scalar<int64_t>(value)); }
  ValueId Constant(float value) { return Constant(Tensor::Scalar<float>(value)); }

  /// Numbers of any type: real ones in [low, high), integers among them.
  Tensor Numbers(DType dtype, const Shape& shape, double low = -1, double high = 1) {
    Tensor tensor = *Tensor::Allocate(dtype, shape);
    for (int64_t i = 0; i < shape.elements(); ++i) Put(tensor, i, choices_.Real(low, high));
    return tensor;
  }
  Tensor Floats(const Shape& shape, double low = -1, double high = 1) { return Numbers(DType::kFloat, shape, low, high); }
  /// Any bits the integer type has.
  Tensor Bits(DType dtype, const Shape& shape) {
    Tensor tensor = *Tensor::Allocate(dtype, shape);
    auto* bytes = tensor.mutable_as<uint8_t>();
    for (int64_t i = 0; i < tensor.bytes(); ++i)
      bytes[i] = static_cast<uint8_t>(dtype == DType::kBool ? choices_.Int(0, 1) : choices_.Int(0, 255));
    return tensor;
  }
  /// The same for weights of products of bytes. Half of the range where a peer runs them too, on a processor without instructions that
  /// add four products at once: there it adds pairs of them in 16 bits, which saturate.
  Tensor WeightBits(DType dtype, const Shape& shape) {
    Tensor tensor = Bits(dtype, shape);
    const bool adds_four = Supports(DetectedCpuLevel(), CpuLevel::kAvxVnni) || Supports(DetectedCpuLevel(), CpuLevel::kAvx512Vnni) ||
                           Supports(DetectedCpuLevel(), CpuLevel::kDotprod);
    if (!PeerRuns::Get() || adds_four) return tensor;
    auto* bytes = tensor.mutable_as<uint8_t>();
    const int middle = dtype == DType::kUint8 ? 128 : 0;
    for (int64_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<uint8_t>(middle + bytes[i] % 128 - 64);
    return tensor;
  }

  using Attributes = std::vector<Attribute>;
  std::vector<ValueId> Add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}, int outputs = 1,
                           const std::string& domain = "") {
    Node node;
    node.op = op;
    node.domain = domain;
    node.version = domain.empty() ? opset_ : domain == "ai.onnx.ml" ? 3 : 1;
    node.inputs = std::move(inputs);
    node.attributes = std::move(attributes);
    for (int i = 0; i < outputs; ++i) node.outputs.push_back(graph_.AddValue("v" + std::to_string(graph_.value_count())));
    std::vector<ValueId> made = node.outputs;
    Result<NodeId> added = graph_.AddNode(std::move(node));
    EXPECT_TRUE(added.ok()) << added.status().message();
    return made;
  }
  ValueId AddOne(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return Add(op, std::move(inputs), std::move(attributes))[0];
  }
  void Output(ValueId id) { graph_.AddOutput(id); }
  /// ONNX Runtime is not asked: why is to be said where this is called.
  void NoPeer() { peer_ = false; }
  /// Input types are declared without sizes from now on.
  void HideDims() { unknown_dims_ = true; }

  /// Runs the model on the reference and on the CPU at every level with 1 and 4 threads: outputs agree with the reference,
  /// are bit-equal for both thread counts, and a failure is a failure everywhere. False when the model does not run.
  bool Check(const Agreement& agreement) {
    OnnxModel model;
    model.graph = std::move(graph_);
    model.info.ir_version = 10;
    model.info.opsets = {{"", opset_}, {"com.microsoft", 1}, {"ai.onnx.ml", 3}};
    std::string bytes;
    Status status = WriteOnnx(model, bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    PrintOptions print;
    print.elements_max = 8;
    SCOPED_TRACE(PrintGraph(model.graph, print) + Fed());
    std::vector<Tensor> expected, first;
    const std::string failure = Run(bytes, "reference", "", 1, &expected);
    for (CpuLevel level : Levels(model.graph)) {
      for (int threads : {1, 4}) {
        std::vector<Tensor> outputs;
        const std::string cpu_failure = Run(bytes, "cpu", CpuLevelName(level), threads, &outputs);
        EXPECT_EQ(cpu_failure.empty(), failure.empty())
            << CpuLevelName(level) << ": " << cpu_failure << "\nreference: " << failure;
        if (!cpu_failure.empty() || !failure.empty()) return false;
        for (size_t i = 0; i < outputs.size(); ++i) {
          std::string where = std::string("output ") + std::to_string(i) + " at " + CpuLevelName(level);
          if (threads == 1) Compare(outputs[i], expected[i], agreement, where);
          EXPECT_TRUE(threads == 1 || SameBits(outputs[i], first[i])) << where << " differs with 4 threads";
        }
        if (threads == 1) first = std::move(outputs);
      }
    }
    if (PeerRuns* peer = peer_ ? PeerRuns::Get() : nullptr) {
      Agreement loose = agreement;
      loose.of_max = fmax(loose.of_max, 1e-4);
      loose.steps = fmax(loose.steps, 1);
      const std::vector<Tensor> outputs = peer->Run(bytes, model.graph, feeds_);
      for (size_t i = 0; i < outputs.size(); ++i) Compare(outputs[i], expected[i], loose, "the peer's output " + std::to_string(i));
    }
    return true;
  }

 private:
  /// Those whose kernels differ for such a graph.
  static std::vector<CpuLevel> Levels(const Graph& graph) {
    std::vector<CpuLevel> levels = FloatLevels();
    bool integers = false;
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      const std::string op(graph.node(id).op);
      integers = integers || op.find("Integer") != std::string::npos || op.find("Quantize") != std::string::npos || op.starts_with("Q");
    }
    for (CpuLevel level : {CpuLevel::kAvxVnni, CpuLevel::kAvx512Vnni, CpuLevel::kAmx, CpuLevel::kDotprod, CpuLevel::kI8mm}) {
      if (integers && Supports(DetectedCpuLevel(), level)) levels.push_back(level);
    }
    return levels;
  }

  void Put(Tensor& tensor, int64_t i, double value) {
    switch (tensor.dtype()) {
      case DType::kFloat: tensor.mutable_as<float>()[i] = static_cast<float>(value); break;
      case DType::kDouble: tensor.mutable_as<double>()[i] = value; break;
      case DType::kFloat16: tensor.mutable_as<Float16>()[i] = ToFloat16(static_cast<float>(value)); break;
      case DType::kBfloat16: tensor.mutable_as<Bfloat16>()[i] = ToBfloat16(static_cast<float>(value)); break;
      case DType::kInt8: tensor.mutable_as<int8_t>()[i] = static_cast<int8_t>(static_cast<int64_t>(value)); break;
      case DType::kUint8: tensor.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(static_cast<int64_t>(value)); break;
      case DType::kInt16: tensor.mutable_as<int16_t>()[i] = static_cast<int16_t>(static_cast<int64_t>(value)); break;
      case DType::kUint16: tensor.mutable_as<uint16_t>()[i] = static_cast<uint16_t>(static_cast<int64_t>(value)); break;
      case DType::kInt32: tensor.mutable_as<int32_t>()[i] = static_cast<int32_t>(static_cast<int64_t>(value)); break;
      case DType::kUint32: tensor.mutable_as<uint32_t>()[i] = static_cast<uint32_t>(static_cast<int64_t>(value)); break;
      case DType::kInt64: tensor.mutable_as<int64_t>()[i] = static_cast<int64_t>(value); break;
      case DType::kUint64: tensor.mutable_as<uint64_t>()[i] = static_cast<uint64_t>(static_cast<int64_t>(value)); break;
      case DType::kBool: tensor.mutable_as<bool>()[i] = value >= 0; break;
      default: FAIL() << DTypeName(tensor.dtype());
    }
  }
  static double At(const Tensor& tensor, int64_t i) {
    switch (tensor.dtype()) {
      case DType::kFloat: return static_cast<double>(tensor.as<float>()[i]);
      case DType::kDouble: return tensor.as<double>()[i];
      case DType::kFloat16: return static_cast<double>(ToFloat(tensor.as<Float16>()[i]));
      case DType::kBfloat16: return static_cast<double>(ToFloat(tensor.as<Bfloat16>()[i]));
      case DType::kInt8: return tensor.as<int8_t>()[i];
      case DType::kUint8: return tensor.as<uint8_t>()[i];
      case DType::kInt16: return tensor.as<int16_t>()[i];
      case DType::kUint16: return tensor.as<uint16_t>()[i];
      case DType::kInt32: return tensor.as<int32_t>()[i];
      default: return 0;
    }
  }
  static bool SameBits(const Tensor& a, const Tensor& b) {
    return a.type() == b.type() && (a.bytes() == 0 || memcmp(a.data(), b.data(), static_cast<size_t>(a.bytes())) == 0);
  }
  std::string Fed() const {
    std::string text = "fed:";
    for (const Tensor& tensor : feeds_) text += " " + ToString(tensor.type());
    return text;
  }

  /// The failure's sentence, or "" and the outputs.
  std::string Run(const std::string& bytes, const char* provider, const char* cpu, int threads,
                  std::vector<Tensor>* outputs) const {
    SessionOptions options;
    options.provider = provider;
    options.cpu = cpu;
    options.threads = threads;
    Result<std::unique_ptr<Session>> session = Session::FromMemory(bytes.data(), bytes.size(), nullptr, options);
    if (!session.ok()) return "opening: " + std::string(session.status().message());
    std::vector<Fact> inputs;
    for (const Tensor& tensor : feeds_) inputs.push_back({tensor.type(), tensor.data()});
    std::vector<RunOutput> results((*session)->outputs().size());
    Status status = (*session)->Run(inputs.data(), results.data());
    if (!status.ok()) return std::string(status.message());
    // Outputs count against the session's budget and must not outlive it.
    for (RunOutput& result : results) {
      outputs->push_back(*Tensor::Allocate(result.datum.type.dtype, result.datum.type.shape));
      CopyElements(result.datum.type, result.datum.tensor.data(), outputs->back().mutable_data());
    }
    return "";
  }

  static void Compare(const Tensor& actual, const Tensor& expected, const Agreement& agreement, const std::string& where) {
    ASSERT_TRUE(actual.type() == expected.type())
        << where << " is " << ToString(actual.type()) << " where " << ToString(expected.type()) << " is expected";
    if (SameBits(actual, expected)) return;
    const bool real = IsFloating(expected.dtype());
    ASSERT_TRUE(real || agreement.steps > 0) << where << " is not bit-equal";
    double most = agreement.largest;
    for (int64_t i = 0; real && i < expected.elements(); ++i) {
      if (isfinite(At(expected, i))) most = fmax(most, fabs(At(expected, i)));
    }
    // One rounding of the type itself is allowed besides; float16's smallest numbers are far apart.
    const bool half = expected.dtype() == DType::kFloat16;
    const double own = half ? 0x1p-10 : expected.dtype() == DType::kBfloat16 ? 0x1p-7 : 0, least = half ? 0x1p-24 : 0;
    for (int64_t i = 0; i < expected.elements(); ++i) {
      const double a = At(actual, i), e = At(expected, i);
      const double allowed = real ? agreement.of_max * most + own * fabs(e) + least : agreement.steps;
      const bool same = a == e || (isnan(a) && isnan(e)) || fabs(a - e) <= allowed;
      ASSERT_TRUE(same) << where << ": element " << i << " is " << a << " where " << e << " is expected (largest " << most << ")";
    }
  }

  Choices& choices_;
  int opset_;
  bool unknown_dims_ = false, peer_ = true;
  Graph graph_;
  std::vector<Tensor> feeds_;
};

/// The environment variable LINNET_SEED, a number, makes other models than those every run checks.
inline uint32_t SeedShift() {
  const char* text = getenv("LINNET_SEED");
  return text ? static_cast<uint32_t>(strtoul(text, nullptr, 10)) * 1000 : 0;
}

/// Calls make(choices, model) `count` times with a fresh model of `opset` and checks each. Some models may fail to run (the
/// attributes do not fit); at least half must run.
template <class Make>
void CheckRandomModels(uint32_t seed, int count, int opset, const Agreement& agreement, Make make) {
  Choices choices(seed + SeedShift());
  int ran = 0;
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("model " + std::to_string(i));
    RandomModel model(choices, opset);
    if (choices.Int(0, 3) == 0) model.HideDims();
    model.Output(make(choices, model));
    ran += model.Check(agreement);
  }
  EXPECT_TRUE(ran * 2 >= count || testing::Test::HasFailure()) << "only " << ran << " of " << count << " models ran";
}

}  // namespace linnet
