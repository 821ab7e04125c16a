// Writing .npy: types numpy lacks are widened first.
#include <string.h>

#include <algorithm>

#include "base/float_types.h"
#include "cli/data/npy.h"
#include "cli/utf8.h"

namespace linnet {
namespace {

/// numpy's name of the type, or null when it has none of its own.
const char* TypeCode(DType dtype) {
  switch (dtype) {
    case DType::kBool: return "|b1";
    case DType::kInt8: return "|i1";
    case DType::kUint8: return "|u1";
    case DType::kInt16: return "<i2";
    case DType::kUint16: return "<u2";
    case DType::kInt32: return "<i4";
    case DType::kUint32: return "<u4";
    case DType::kInt64: return "<i8";
    case DType::kUint64: return "<u8";
    case DType::kFloat16: return "<f2";
    case DType::kFloat: return "<f4";
    case DType::kDouble: return "<f8";
    case DType::kComplex64: return "<c8";
    case DType::kComplex128: return "<c16";
    default: return nullptr;
  }
}

Status WriteHeader(std::string_view descr, const Shape& shape, Sink& sink) {
  std::string sizes;  // Python writes (), (3,) and (3, 4)
  for (int i = 0; i < shape.rank(); ++i) sizes += Cat(i > 0 ? ", " : "", shape[i]);
  if (shape.rank() == 1) sizes += ",";
  std::string header = Cat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (", sizes, "), }");
  constexpr size_t kFixed = 10, kAlign = 64;  // numpy aligns the elements to 64 bytes
  size_t total = (kFixed + header.size() + 1 + kAlign - 1) / kAlign * kAlign;
  header.resize(total - kFixed - 1, ' ');
  header += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 255);
  start += static_cast<char>(header.size() >> 8);
  LINNET_TRY(sink.Append(start));
  return sink.Append(header);
}

/// Code i of a tensor of 2-, 4- or 8-bit elements, packed low bits first.
uint8_t CodeAt(const Tensor& tensor, int64_t i) {
  int bits = DTypeBits(tensor.dtype());
  uint8_t byte = tensor.as<uint8_t>()[i * bits / 8];
  return static_cast<uint8_t>(byte >> (i * bits % 8)) & static_cast<uint8_t>((1 << bits) - 1);
}

Status WriteAsFloat(const Tensor& tensor, Sink& sink) {
  LINNET_TRY(WriteHeader("<f4", tensor.shape(), sink));
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    float value = tensor.dtype() == DType::kBfloat16 ? ToFloat(tensor.as<Bfloat16>()[i])
                                                     : SmallFloatToFloat(tensor.dtype(), CodeAt(tensor, i));
    LINNET_TRY(sink.Append(&value, sizeof value));
  }
  return Status();
}

Status WriteAsBytes(const Tensor& tensor, Sink& sink) {
  bool is_signed = IsSigned(tensor.dtype());
  LINNET_TRY(WriteHeader(is_signed ? "|i1" : "|u1", tensor.shape(), sink));
  int unused = 8 - DTypeBits(tensor.dtype());
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    uint8_t code = static_cast<uint8_t>(CodeAt(tensor, i) << unused);
    uint8_t value = is_signed ? static_cast<uint8_t>(static_cast<int8_t>(code) >> unused)
                              : static_cast<uint8_t>(code >> unused);
    LINNET_TRY(sink.Append(&value, 1));
  }
  return Status();
}

/// Every string takes the width of the longest.
Status WriteText(const Tensor& tensor, Sink& sink) {
  const std::string* strings = tensor.as<std::string>();
  int64_t elements = tensor.elements();
  bool utf8 = true;
  size_t codes_most = 1, bytes_most = 1;
  std::u32string codes;
  for (int64_t i = 0; i < elements; ++i) {
    utf8 = utf8 && DecodeUtf8(strings[i], &codes);
    codes_most = std::max(codes_most, codes.size());
    bytes_most = std::max(bytes_most, strings[i].size());
  }
  LINNET_TRY(WriteHeader(utf8 ? Cat("<U", codes_most) : Cat("|S", bytes_most), tensor.shape(), sink));
  for (int64_t i = 0; i < elements; ++i) {
    if (utf8) {
      DecodeUtf8(strings[i], &codes);
      codes.resize(codes_most);
      LINNET_TRY(sink.Append(codes.data(), static_cast<int64_t>(4 * codes_most)));
    } else {
      std::string padded = strings[i];
      padded.resize(bytes_most);
      LINNET_TRY(sink.Append(padded));
    }
  }
  return Status();
}

}  // namespace

Status WriteNpy(const Tensor& tensor, Sink& sink) {
  if (!tensor.shape().is_static()) return InvalidArgument("a tensor of unknown shape cannot be written as .npy");
  if (!tensor.has_data() && tensor.elements() > 0) return InvalidArgument("a tensor without contents cannot be written");
  if (const char* code = TypeCode(tensor.dtype())) {
    LINNET_TRY(WriteHeader(code, tensor.shape(), sink));
    return sink.Append(tensor.data(), tensor.bytes());
  }
  if (tensor.dtype() == DType::kString) return WriteText(tensor, sink);
  if (IsFloating(tensor.dtype())) return WriteAsFloat(tensor, sink);
  if (IsInteger(tensor.dtype())) return WriteAsBytes(tensor, sink);
  return Unsupported("a tensor of type ", DTypeName(tensor.dtype()), " cannot be written as .npy");
}

Status SaveNpy(const std::string& path, const Tensor& tensor) {
  return WriteFileAtomically(path, [&](Sink& sink) { return WriteNpy(tensor, sink); });
}

}  // namespace linnet
