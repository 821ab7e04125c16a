// What quantization writes runs in the peer too, with the same numbers; skipped unless LINNET_PEER names its library.
#include <string.h>

#include "base/cpu.h"
#include "base/knobs.h"
#include "cli/peer.h"
#include "onnx/writer.h"
#include "quantize/dynamic.h"
#include "quantize_test_util.h"

namespace linnet::quantize {
namespace {

class QuantizePeer : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path(KnobText(Knob::kPeer));
    if (path.empty()) GTEST_SKIP() << "LINNET_PEER is not set";
    Result<std::shared_ptr<Peer>> peer = Peer::Load(path);
    ASSERT_TRUE(peer.ok()) << peer.status().message();
    peer_ = *peer;
  }

  /// SQNR in dB of the peer's first output beside ours, for a model with one input of floats.
  double Beside(const OnnxModel& model, RandomSamples* samples) {
    auto run = [&]() -> Result<double> {
      std::string bytes;
      LINNET_TRY(WriteOnnx(model, bytes));
      LINNET_ASSIGN(std::unique_ptr<PeerSession> session, peer_->OpenBytes(bytes));
      LINNET_ASSIGN(std::unique_ptr<GraphRunner> ours, GraphRunner::Make(model.graph, {}, 1));
      Agreement agreement;
      for (int64_t i = 0; i < 4; ++i) {
        LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(i));
        LINNET_ASSIGN(std::vector<Datum> got, ours->Run(sample));
        const Tensor& x = sample[0].tensor;
        PeerTensor fed{session->inputs()[0].name, static_cast<int>(x.dtype()), {}, std::string(static_cast<const char*>(x.data()), static_cast<size_t>(x.bytes())), {}};
        for (int d = 0; d < x.shape().rank(); ++d) fed.dims.push_back(x.shape()[d]);
        LINNET_ASSIGN(std::vector<PeerTensor> theirs, session->Run({fed}));
        Tensor expected = Tensor::Allocate(got[0].tensor.dtype(), got[0].tensor.shape()).value();
        if (static_cast<int64_t>(theirs[0].bytes.size()) != expected.bytes()) return Internal("the outputs differ in size");
        memcpy(expected.mutable_data(), theirs[0].bytes.data(), theirs[0].bytes.size());
        agreement.Add(Datum::Of(expected), got[0]);
      }
      return agreement.SqnrDb();
    };
    Result<double> db = run();
    EXPECT_TRUE(db.ok()) << db.status().message();
    return db.ok() ? *db : -INFINITY;
  }

  std::shared_ptr<Peer> peer_;
};

TEST_F(QuantizePeer, BlockWiseWeights) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  for (DType weights : {DType::kInt4, DType::kUint4, DType::kInt8, DType::kUint8}) {
    for (BlockRounding rounding : {BlockRounding::kExtremes, BlockRounding::kSquares, BlockRounding::kHalfQuadratic}) {
      for (int block : {16, 32, 128}) {
        for (Format format : {Format::kQdq, Format::kQOperator}) {
          OnnxModel model = Network();
          const bool small = DTypeBits(weights) == 4 && format == Format::kQdq;
          ASSERT_TRUE(Prepare(&model, small ? kOpsetSmallAndWide : kOpsetPerChannel).ok());
          Result<int> changed = QuantizeWeightsOnly(&model, {weights, block, rounding, true, true, format, {}});
          ASSERT_TRUE(changed.ok()) << changed.status().message();
          // Behind DequantizeLinear the peer makes products with 8-bit activations of its own accord.
          EXPECT_GE(Beside(model, &samples), format == Format::kQdq ? 25 : 90) << DTypeName(weights) << " " << block << " " << static_cast<int>(rounding) << static_cast<int>(format);
        }
      }
    }
  }
}

TEST_F(QuantizePeer, StaticOperatorsOnIntegers) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  struct {
    DType activations, weights;
    bool per_channel, symmetric;
  } const cases[] = {{DType::kUint8, DType::kInt8, true, false}, {DType::kInt8, DType::kInt8, true, false},
                     {DType::kInt8, DType::kInt8, false, true},  {DType::kUint8, DType::kUint8, false, false}};
  for (const auto& c : cases) {
    for (Format format : {Format::kQdq, Format::kQOperator}) {
      StaticOptions options;
      options.activations = c.activations, options.weights = c.weights;
      options.per_channel = c.per_channel, options.symmetric_activations = c.symmetric;
      options.format = format;
      Built built = Quantized(Network(), options, &samples);
      // With one scale a tensor a byte of the peer's is a step off the reference provider's, and ours, which are equal.
      const auto floor = [&](int opset) { return format == Format::kQdq && (opset < kOpsetPerChannel || !c.per_channel) ? 33 : 35; };
      EXPECT_GE(Beside(built.quantized, &samples), floor(kOpsetPerChannel)) << DTypeName(c.activations) << " " << DTypeName(c.weights) << static_cast<int>(format);
      for (int opset : {10, 11, 12, 17}) {
        EXPECT_GE(Beside(Quantized(Network(), options, &samples, opset).quantized, &samples), floor(opset))
            << DTypeName(c.activations) << " " << DTypeName(c.weights) << static_cast<int>(format) << " opset " << opset;
      }
    }
  }
}

TEST_F(QuantizePeer, RecurrentOperatorsInStaticModels) {
  RandomSamples samples({6, 2, 20}, 12);
  for (DType weights : {DType::kInt8, DType::kUint8}) {
    StaticOptions options;
    options.weights = weights;
    options.exclude = {"conv"};   // whose sums saturate there
    EXPECT_GE(Beside(Quantized(Recurrent(), options, &samples).quantized, &samples), 90) << DTypeName(weights);
    EXPECT_GE(Beside(Quantized(Lstm(), {}, &samples).quantized, &samples), 90) << DTypeName(weights);
  }
}

TEST_F(QuantizePeer, WideActivations) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  for (DType activations : {DType::kUint16, DType::kInt16}) {
    for (bool per_channel : {true, false}) {
      StaticOptions options;
      options.activations = activations, options.per_channel = per_channel;
      Built built = Quantized(Network(), options, &samples);
      EXPECT_GE(Beside(built.quantized, &samples), 35) << DTypeName(activations) << per_channel;
    }
  }
}

TEST_F(QuantizePeer, HalfPrecision) {
  RandomSamples samples({1, 3, 8, 8}, 12), sequences({6, 2, 20}, 12);
  OnnxModel model = Network();
  ASSERT_TRUE(Prepare(&model, kOpsetPerChannel).ok());
  ASSERT_TRUE(ConvertToHalf(&model, {}).ok());
  EXPECT_GE(Beside(model, &samples), 45);
  OnnxModel lstm = Lstm();
  ASSERT_TRUE(ConvertToHalf(&lstm, {}).ok());
  EXPECT_GE(Beside(lstm, &sequences), 45);
}

TEST_F(QuantizePeer, Dynamic) {
  RandomSamples samples({1, 3, 8, 8}, 12), sequences({6, 2, 20}, 12);
  for (DType weights : {DType::kInt8, DType::kUint8}) {
    for (bool per_channel : {true, false}) {
      for (Format format : {Format::kQdq, Format::kQOperator}) {
        DynamicOptions options;
        options.weights = weights, options.per_channel = per_channel, options.format = format;
        // Without such instructions the peer multiplies signed weights with sums of 16 bits that saturate.
        options.reduced_weights = !Supports(DetectedCpuLevel(), CpuLevel::kAvx512Vnni) && weights == DType::kInt8;
        OnnxModel model = Network();
        ASSERT_TRUE(Prepare(&model, kOpsetPerChannel).ok());
        ASSERT_TRUE(QuantizeDynamic(&model, options).ok());
        EXPECT_GE(Beside(model, &samples), 35) << DTypeName(weights) << per_channel << static_cast<int>(format);
        OnnxModel lstm = Lstm();
        ASSERT_TRUE(QuantizeDynamic(&lstm, options).ok());
        EXPECT_GE(Beside(lstm, &sequences), 35) << DTypeName(weights) << per_channel << static_cast<int>(format);
      }
    }
  }
}

}  // namespace
}  // namespace linnet::quantize
