// The schema as a table, and the walk over a file that it directs.
#include "format/read_structure.h"

#include <string.h>

#include <bit>

#include "format/read_values.h"

namespace linnet {
namespace {

static_assert(std::endian::native == std::endian::little, "fields are read as they lie");

// What a field is, a byte each; kTable and kTables are followed by which.
enum Field : uint8_t {
  kEnd,       ///< of the table
  kByte,
  kFour,      ///< bytes
  kEight,
  kBlob,      ///< a struct of 16
  kString,
  kBytes,     ///< vectors of so many bytes an element
  kFours,
  kEights,
  kStructs,   ///< of 24 bytes: PlannedValue, KnownContents
  kStrings,
  kTable,
  kTables,
};

enum Kind : uint8_t { kModel, kPort, kType, kTensor, kValue, kAttribute, kNode, kGraph, kWeights, kPlan, kEntry, kOpset, kKinds };

static_assert(sizeof(fbs::Blob) == 16 && sizeof(fbs::PlannedValue) == 24 && sizeof(fbs::KnownContents) == 24);

// Fields by table, in the order of their numbers.
constexpr uint8_t kFields[] = {
    // Model
    kFour, kString, kString, kEight, kEight, kString, kTables, kOpset, kTables, kEntry, kStrings, kTables, kPort, kTables, kPort, kTable,
    kGraph, kTables, kWeights, kEight, kString, kTables, kPlan, kString, kString, kEnd,
    // Port
    kString, kTable, kType, kEnd,
    // Type
    kByte, kByte, kByte, kByte, kEights, kEnd,
    // Tensor
    kByte, kEights, kBlob, kStrings, kEnd,
    // Value
    kString, kTable, kType, kTable, kTensor, kByte, kEnd,
    // Attribute
    kString, kByte, kEight, kFour, kBytes, kEights, kFours, kStrings, kTables, kTensor, kTables, kGraph, kTable, kType, kEnd,
    // Node
    kString, kString, kString, kFour, kFours, kFours, kFours, kTables, kAttribute, kEnd,
    // Graph
    kString, kTables, kValue, kTables, kNode, kFours, kFours, kFours, kEnd,
    // Weights
    kEight, kString, kBlob, kEnd,
    // Plan
    kStructs, kEights, kStructs, kEight, kEnd,
    // Entry
    kString, kString, kEnd,
    // Opset
    kString, kEight, kEnd,
};

/// Where the fields of a table begin.
constexpr auto kBegins = [] {
  struct {
    uint8_t at[kKinds + 1] = {};
  } begins;
  size_t at = 0;
  for (int kind = 0; kind < kKinds; ++kind) {
    begins.at[kind] = static_cast<uint8_t>(at);
    while (kFields[at] != kEnd) at += kFields[at] >= kTable ? 2 : 1;
    ++at;
  }
  begins.at[kKinds] = static_cast<uint8_t>(at);
  return begins;
}();
static_assert(kBegins.at[kKinds] == sizeof(kFields));

class Walk {
 public:
  Walk(std::string_view file, size_t depth_max) : data_(file.data()), size_(file.size()), depth_max_(depth_max) {}

  /// From the offset at the start of the file.
  bool Root() {
    size_t table = 0;
    return Follow(&table) && Table(table, kModel);
  }

 private:
  static constexpr size_t kTablesMax = size_t{1} << 30;

  template <class T>
  T Read(size_t at) const {
    T number;
    memcpy(&number, data_ + at, sizeof number);
    return number;
  }
  bool Inside(size_t at, size_t bytes) const { return bytes < size_ && at <= size_ - bytes; }
  /// Numbers lie at multiples of their size.
  bool Aligned(size_t at, size_t align, size_t bytes) const { return (at & (align - 1)) == 0 && Inside(at, bytes); }

  /// Replaces the place of an offset by what it points at.
  bool Follow(size_t* at) const {
    if (!Aligned(*at, 4, 4)) return false;
    const uint32_t offset = Read<uint32_t>(*at);
    *at += offset;
    return offset != 0 && offset <= INT32_MAX && Inside(*at, 1);
  }
  /// A count and so many elements; `at` becomes the first, `count` how many.
  bool Vector(size_t* at, size_t element, size_t* count) const {
    if (!Aligned(*at, 4, 4)) return false;
    *count = Read<uint32_t>(*at);
    if (*count >= INT32_MAX / element || !Inside(*at, 4 + *count * element)) return false;
    *at += 4;
    return true;
  }
  bool String(size_t at) const {
    size_t count;
    return Vector(&at, 1, &count) && Inside(at + count, 1) && data_[at + count] == 0;
  }

  bool Table(size_t at, uint8_t kind) {
    if (!Aligned(at, 4, 4)) return false;
    const size_t fields = at - static_cast<size_t>(static_cast<ptrdiff_t>(Read<int32_t>(at)));
    if (++depth_ > depth_max_ || ++tables_ > kTablesMax || !Aligned(fields, 2, 2)) return false;
    const size_t bytes = Read<uint16_t>(fields);
    if ((bytes & 1) != 0 || !Inside(fields, bytes)) return false;
    size_t place = fields + 4;
    for (const uint8_t* field = kFields + kBegins.at[kind]; *field != kEnd; ++field, place += 2) {
      const uint8_t what = *field, which = what >= kTable ? *++field : 0;
      // Of tables that an older version wrote the last fields are not there.
      const size_t offset = place - fields < bytes ? Read<uint16_t>(place) : 0;
      if (offset != 0 && !One(at + offset, what, which)) return false;
    }
    --depth_;
    return true;
  }

  bool One(size_t at, uint8_t what, uint8_t which) {
    switch (what) {
      case kByte: return Inside(at, 1);
      case kFour: return Aligned(at, 4, 4);
      case kEight: return Aligned(at, 8, 8);
      case kBlob: return Aligned(at, 8, 16);
    }
    if (!Follow(&at)) return false;
    if (what == kString) return String(at);
    if (what == kTable) return Table(at, which);
    size_t count;
    const size_t element = what == kBytes ? 1 : what == kEights ? 8 : what == kStructs ? 24 : 4;
    if (!Vector(&at, element, &count)) return false;
    if (what < kStrings) return true;
    for (; count > 0; --count, at += 4) {
      size_t each = at;
      if (!Follow(&each) || !(what == kStrings ? String(each) : Table(each, which))) return false;
    }
    return true;
  }

  const char* data_;
  size_t size_, depth_max_, depth_ = 0, tables_ = 0;
};

}  // namespace

bool VerifyStructure(std::string_view file, size_t depth_max) { return Walk(file, depth_max).Root(); }

}  // namespace linnet
