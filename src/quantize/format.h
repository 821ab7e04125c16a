// How quantization is written down.
#pragma once

#include <stdint.h>

namespace linnet::quantize {

enum class Format : uint8_t {
  kQdq,        ///< ONNX's float operators between QuantizeLinear and DequantizeLinear
  kQOperator,  ///< operators that take integers: QLinearConv, QLinearMatMul, MatMulNBits ... of ONNX and com.microsoft
};

}  // namespace linnet::quantize
