// Fields of a .linnet file's tables (schema/linnet.fbs), read where they lie.
//
// The accessors that flatc writes are inlined, about ten instructions for each field; a build for size calls these instead. They trust
// the file: whoever opened it has compared its checksum.
#pragma once

#include <stdint.h>
#include <string.h>

#include <bit>
#include <span>
#include <string_view>

#include "graph/type.h"
#include "linnet_generated.h"

namespace linnet::fixed {

static_assert(std::endian::native == std::endian::little, "fields are read as they lie");

/// The table Model of a file whose checksum is right and which is as long as it was written, of a format that ends with checksums.
Result<const void*> TrustedHead(std::string_view file);

using Field = flatbuffers::voffset_t;   ///< VT_... of the generated tables

/// Where a field of a table lies; null where it is absent.
const std::byte* Find(const void* table, Field field);
/// What a field points at: a table, a string or a vector; null where it is absent.
const void* Follow(const void* table, Field field);
/// A scalar, or 0 where it is absent.
uint8_t Byte(const void* table, Field field);
int32_t Int(const void* table, Field field);
int64_t Long(const void* table, Field field);

/// Text, followed by a NUL; empty where it is absent.
std::string_view Text(const void* table, Field field);

/// How many elements a vector has, a null one none.
inline uint32_t Count(const void* vector) { return vector ? *static_cast<const uint32_t*>(vector) : 0; }
/// Elements of a vector of numbers or structs. 8-byte numbers may lie at multiples of 4.
template <class T>
T Element(const void* vector, uint32_t i) {
  T one;
  memcpy(&one, static_cast<const std::byte*>(vector) + 4 + i * sizeof one, sizeof one);
  return one;
}
/// A vector of numbers of 4 bytes.
std::span<const int32_t> Ints(const void* table, Field field);
/// Table or string `i` of a vector of them.
const void* Item(const void* vector, uint32_t i);
std::string_view ItemText(const void* vector, uint32_t i);

/// What a table of the schema's Type, or a vector of dimensions, says.
Type ReadType(const void* type);
Shape ReadShape(const void* dims);

}  // namespace linnet::fixed
