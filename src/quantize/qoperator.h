// Writing a quantized graph in operators that take integers, instead of float operators between Q and DQ.
#pragma once

#include "graph/graph.h"

namespace linnet::quantize {

/// Rewrites what QuantizeStatic made:
///     Conv, MatMul           QLinearConv, QLinearMatMul
///     Gemm                   QGemm (com.microsoft, as everything that follows), to floats where its result is not rounded
///     Add, Mul, Concat       QLinearAdd, QLinearMul, QLinearConcat
///     pools, Sigmoid, LeakyRelu, Softmax   their QLinear forms
///     moves of elements      the same operators on integers
/// Whatever has no such form (16-bit activations among it) stays between DequantizeLinear and QuantizeLinear. Gives the number
/// of nodes that stayed so.
Result<int> ToQOperator(OnnxModel* model);

}  // namespace linnet::quantize
