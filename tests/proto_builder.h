// Builds protobuf messages byte by byte, and ONNX models of them, for tests of reading.
#pragma once

#include <stdint.h>
#include <string.h>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace linnet {

/// A message under construction. Independent of the library the reader and writer use.
class Proto {
 public:
  Proto& Raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Proto& Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  Proto& Tag(uint32_t field, uint32_t wire_type) { return Varint(uint64_t{field} << 3 | wire_type); }
  Proto& Int(uint32_t field, int64_t value) { return Tag(field, 0).Varint(static_cast<uint64_t>(value)); }
  Proto& Float(uint32_t field, float value) {
    Tag(field, 5);
    return Bytes(&value, sizeof value);
  }
  Proto& Str(uint32_t field, std::string_view text) { return Tag(field, 2).Varint(text.size()).Raw(text); }
  Proto& Msg(uint32_t field, const Proto& message) { return Str(field, message.bytes_); }
  template <class T>
  Proto& Fixed(uint32_t field, std::span<const T> values) {
    return Str(field, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  Proto& Packed(uint32_t field, std::initializer_list<int64_t> values) {
    Proto packed;
    for (int64_t value : values) packed.Varint(static_cast<uint64_t>(value));
    return Msg(field, packed);
  }
  Proto& Bytes(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }
  std::span<const std::byte> span() const { return {reinterpret_cast<const std::byte*>(bytes_.data()), bytes_.size()}; }

 private:
  std::string bytes_;
};

// Pieces of onnx.proto, by the numbers of its fields.

/// TensorProto without contents.
inline Proto TensorHeader(std::string_view name, int type, std::initializer_list<int64_t> dims) {
  Proto tensor;
  for (int64_t dim : dims) tensor.Int(1, dim);
  return tensor.Int(2, type).Str(8, name);
}
inline Proto FloatTensor(std::string_view name, std::initializer_list<int64_t> dims, std::vector<float> values) {
  return TensorHeader(name, 1, dims).Fixed<float>(9, values);
}
inline Proto Int64Tensor(std::string_view name, std::initializer_list<int64_t> dims, std::vector<int64_t> values) {
  return TensorHeader(name, 7, dims).Fixed<int64_t>(9, values);
}

/// ValueInfoProto of a tensor; a dimension that is not a number is a symbol, "" unknown.
inline Proto TensorValue(std::string_view name, int type, std::initializer_list<std::string_view> dims) {
  Proto shape;
  for (std::string_view dim : dims) {
    Proto one;
    if (!dim.empty() && dim.find_first_not_of("0123456789") == std::string_view::npos) {
      one.Int(1, std::stoll(std::string(dim)));
    } else if (!dim.empty()) {
      one.Str(2, dim);
    }
    shape.Msg(1, one);
  }
  return Proto().Str(1, name).Msg(2, Proto().Msg(1, Proto().Int(1, type).Msg(2, shape)));
}
inline Proto UntypedValue(std::string_view name) { return Proto().Str(1, name); }

inline Proto NodeProto(std::string_view op, std::initializer_list<std::string_view> inputs,
                       std::initializer_list<std::string_view> outputs, std::initializer_list<Proto> attributes = {},
                       std::string_view name = {}, std::string_view domain = {}) {
  Proto node;
  for (std::string_view input : inputs) node.Str(1, input);
  for (std::string_view output : outputs) node.Str(2, output);
  if (!name.empty()) node.Str(3, name);
  node.Str(4, op);
  for (const Proto& attribute : attributes) node.Msg(5, attribute);
  if (!domain.empty()) node.Str(7, domain);
  return node;
}
inline Proto IntAttribute(std::string_view name, int64_t value) { return Proto().Str(1, name).Int(3, value).Int(20, 2); }
inline Proto FloatAttribute(std::string_view name, float value) {
  return Proto().Str(1, name).Float(2, value).Int(20, 1);
}
inline Proto TensorAttribute(std::string_view name, const Proto& tensor) {
  return Proto().Str(1, name).Msg(5, tensor).Int(20, 4);
}
inline Proto GraphAttribute(std::string_view name, const Proto& graph) {
  return Proto().Str(1, name).Msg(6, graph).Int(20, 5);
}
inline Proto ReferenceAttribute(std::string_view name, int type, std::string_view to) {
  return Proto().Str(1, name).Int(20, type).Str(21, to);
}
inline Proto OpsetProto(std::string_view domain, int64_t version) { return Proto().Str(1, domain).Int(2, version); }

/// A ModelProto of IR version 8 that imports opset 17.
inline Proto ModelOf(const Proto& graph) { return Proto().Int(1, 8).Msg(8, OpsetProto("", 17)).Msg(7, graph); }

/// y = Relu(x), both float[2].
inline Proto SmallGraph() {
  return Proto()
      .Msg(1, NodeProto("Relu", {"x"}, {"y"}))
      .Str(2, "g")
      .Msg(11, TensorValue("x", 1, {"2"}))
      .Msg(12, TensorValue("y", 1, {"2"}));
}

}  // namespace linnet
