// What both ways of reading a .linnet file share: its head, and the types, tensors and attributes in it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "linnet_generated.h"

namespace linnet {

/// The head of a .linnet file after its structure was verified: format and size are right, and it has a graph.
Result<const fbs::Model*> VerifyHead(std::string_view file, int64_t depth_max);

/// Where a block lies and how long it is; null and 0 where there is none. Fails unless it lies inside `file` with its padding.
Result<const void*> LocateBlob(std::string_view file, const fbs::Blob* blob, int64_t* bytes);

/// Number `i` of a vector: the verifier lets 8-byte numbers lie at multiples of 4.
int64_t IntAt(const flatbuffers::Vector<int64_t>& numbers, uint32_t i);

std::string Text(const flatbuffers::String* text);
/// Fails where a number is none of `count` values; kNoValue passes when `optional`.
Status CheckIds(const flatbuffers::Vector<int32_t>* ids, int count, bool optional);
std::vector<ValueId> Ids(const flatbuffers::Vector<int32_t>* ids);

/// Reads and checks what the head says of values. Contents point into the file, which `owner` keeps.
class FileValues {
 public:
  FileValues(std::string_view file, std::shared_ptr<const void> owner) : file_(file), owner_(std::move(owner)) {}
  /// How many symbols there are for dimensions to name.
  void set_symbols(int count) { symbols_ = count; }

  Result<Shape> ReadShape(const flatbuffers::Vector<int64_t>* dims) const;
  Result<Type> ReadType(const fbs::Type* from) const;
  Status ReadTensor(const fbs::Tensor* from, Tensor* to) const;
  /// All but subgraphs.
  Status ReadAttribute(const fbs::Attribute& from, Attribute* to) const;

 private:
  std::string_view file_;
  std::shared_ptr<const void> owner_;
  int symbols_ = 0;
};

}  // namespace linnet
