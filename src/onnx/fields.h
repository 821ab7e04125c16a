// The field numbers and enumerations of onnx.proto that Linnet reads and writes.
#pragma once

#include <stdint.h>

namespace linnet::onnx {

/// Newest versions understood, and what messages tell about them.
inline constexpr int64_t kIrVersionMax = 13;
inline constexpr int64_t kOpsetVersionMax = 28;

namespace model {
enum : uint32_t {
  kIrVersion = 1, kProducerName = 2, kProducerVersion = 3, kDomain = 4, kModelVersion = 5, kDocString = 6,
  kGraph = 7, kOpsetImport = 8, kMetadata = 14, kFunctions = 25,
};
}
namespace opset {
enum : uint32_t { kDomain = 1, kVersion = 2 };
}
namespace entry {  // StringStringEntryProto
enum : uint32_t { kKey = 1, kValue = 2 };
}
namespace graph {
enum : uint32_t {
  kNode = 1, kName = 2, kInitializer = 5, kDocString = 10, kInput = 11, kOutput = 12, kValueInfo = 13,
  kSparseInitializer = 15,
};
}
namespace node {
enum : uint32_t { kInput = 1, kOutput = 2, kName = 3, kOpType = 4, kAttribute = 5, kDomain = 7, kOverload = 8 };
}
namespace attribute {
enum : uint32_t {
  kName = 1, kFloat = 2, kInt = 3, kString = 4, kTensor = 5, kGraph = 6, kFloats = 7, kInts = 8, kStrings = 9,
  kTensors = 10, kGraphs = 11, kTypeProto = 14, kTypeProtos = 15, kType = 20, kRefAttrName = 21, kSparseTensor = 22,
  kSparseTensors = 23,
};
}
namespace function {
enum : uint32_t {
  kName = 1, kInput = 4, kOutput = 5, kAttribute = 6, kNode = 7, kOpsetImport = 9, kDomain = 10, kAttributeProto = 11,
  kOverload = 13,
};
}
namespace value_info {
enum : uint32_t { kName = 1, kType = 2 };
}
namespace type {
enum : uint32_t { kTensor = 1, kSequence = 4, kMap = 5, kOpaque = 7, kSparseTensor = 8, kOptional = 9 };
}
namespace tensor_type {
enum : uint32_t { kElementType = 1, kShape = 2 };
}
namespace map_type {
enum : uint32_t { kKey = 1, kValue = 2 };
}
namespace shape {
enum : uint32_t { kDim = 1, kDimValue = 1, kDimParam = 2 };
}
namespace tensor {
enum : uint32_t {
  kDims = 1, kDataType = 2, kSegment = 3, kFloatData = 4, kInt32Data = 5, kStringData = 6, kInt64Data = 7, kName = 8,
  kRawData = 9, kDoubleData = 10, kUint64Data = 11, kExternalData = 13, kDataLocation = 14,
};
}
namespace sparse_tensor {
enum : uint32_t { kValues = 1, kIndices = 2, kDims = 3 };
}
namespace sequence {
enum : uint32_t {
  kName = 1, kElementType = 2, kTensors = 3, kSparseTensors = 4, kSequences = 5, kMaps = 6, kOptionals = 7,
};
}
namespace map {
enum : uint32_t { kName = 1, kKeyType = 2, kKeys = 3, kStringKeys = 4, kValues = 5 };
}
namespace optional {
enum : uint32_t {
  kName = 1, kElementType = 2, kTensor = 3, kSparseTensor = 4, kSequence = 5, kMap = 6, kOptional = 7,
};
}

/// AttributeProto.AttributeType.
enum class AttributeType : uint8_t {
  kUndefined = 0, kFloat = 1, kInt = 2, kString = 3, kTensor = 4, kGraph = 5, kFloats = 6, kInts = 7, kStrings = 8,
  kTensors = 9, kGraphs = 10, kSparseTensor = 11, kSparseTensors = 12, kTypeProto = 13, kTypeProtos = 14,
};

/// SequenceProto.DataType and OptionalProto.DataType.
enum class ElementKind : uint8_t { kUndefined = 0, kTensor = 1, kSparseTensor = 2, kSequence = 3, kMap = 4, kOptional = 5 };

}  // namespace linnet::onnx
