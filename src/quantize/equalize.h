// Making float models quantize better without changing what they compute, and biases that take back what rounding shifts.
#pragma once

#include "quantize/plan.h"
#include "quantize/quantize.h"

namespace linnet::quantize {

/// Cross-layer equalisation (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019):
/// where one convolution or Gemm follows another with nothing but Relu, LeakyRelu, Identity or pools between them, channel i of
/// the first is divided by a factor and of the second multiplied by it, so that the channel's largest weights are equal in both. Chains
/// are gone through until they settle. A Clip with an upper bound cannot be scaled channel by channel: its pair is left alone, as
/// are weights and values that others read too. `graph` has been prepared. Gives the number of pairs.
Result<int> EqualizeLayers(Graph* graph);

/// Empirical bias correction (the same paper): over the samples `which` the mean of each channel of a quantized convolution or
/// Gemm is compared with the float model's, and the difference added to its bias, layer by layer, each in the model that
/// has been corrected so far: what is wrong behind a layer is mostly what is wrong before it. That takes one run of both models a
/// sample, as the quantized one is computed in parts from layer to layer. Changes the biases of `prepared`, a float model, which is then to be quantized with the same
/// nodes, ranges and options. Gives the number of layers corrected; MatMul has no bias and is left out.
Result<int> CorrectBiases(OnnxModel* prepared, const NodePrecisions& nodes, const RangeTable& ranges, const StaticOptions& options,
                          Samples* samples, const std::vector<int64_t>& which, int threads, Watch watch);

}  // namespace linnet::quantize
