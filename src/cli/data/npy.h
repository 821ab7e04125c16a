// numpy's .npy files: reading and writing tensors.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "graph/tensor.h"

namespace linnet {

/// The tensor in a whole .npy file (format 1.0, 2.0 or 3.0): bool, integers, float16/32/64, complex, and text ('U' and
/// 'S' become strings), of either byte order and either array order. Object arrays, which are pickled code, and
/// structures are refused. Memory is bounded by the file's size.
Result<Tensor> ReadNpy(std::string_view file);
/// Its shape alone; the file is held to it.
Result<Shape> ReadNpyShape(std::string_view file);
/// Row `row` of its first axis, as a tensor with 1 there. Only that is read and takes memory.
Result<Tensor> ReadNpyRow(std::string_view file, int64_t row);
Result<Tensor> LoadNpy(const std::string& path);

/// Appends a version 1.0 file. Types numpy does not have are widened: bfloat16, float8 and float4 to float32, 2- and
/// 4-bit integers to int8 and uint8. Strings become 'U', or 'S' when one is not UTF-8; numpy drops their trailing NULs.
Status WriteNpy(const Tensor& tensor, Sink& sink);
Status SaveNpy(const std::string& path, const Tensor& tensor);

}  // namespace linnet
