// The checksums at the end of a .linnet file: of its head, which is checked whenever the file is opened, and of all behind it.
//
// They find accidents, not forgery.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string_view>

#include "base/status.h"

namespace linnet {

/// The format of files that are written. 1: 8-bit weights whose K was padded otherwise; 2: no checksums.
inline constexpr uint32_t kLinnetFormat = 3;
/// The first whose files end with checksums.
inline constexpr uint32_t kSummedFormat = 3;

/// Goes on with a sum over `size` more bytes, in words of 8; the last is filled up with zeros. Every step is one to one in the sum and
/// in the word, so that a change within one word is always found.
uint64_t AddToChecksum(uint64_t sum, const void* bytes, size_t size);

/// Of bytes alone: two strings of them that differ in length begin differently.
inline uint64_t Checksum(const void* bytes, size_t size) { return AddToChecksum(size, bytes, size); }

/// The last bytes of a file, at a place that no other field of it decides.
struct FileSums {
  static constexpr uint64_t kMagic = 0x534D5553544E4E4C;   ///< "LNNTSUMS"

  uint64_t magic = kMagic;
  uint64_t head_bytes = 0;   ///< from the start of the file: the flatbuffer, and blocks from which sizes may follow
  uint64_t head = 0;
  uint64_t body = 0;         ///< of everything between the head and this
};

/// The checksums of a file; false where it ends otherwise.
bool FindSums(std::string_view file, FileSums* sums);

/// Fails unless `file` ends with checksums of which the head's is right. Nothing else of the file is believed for that. `head_bytes`:
/// how many they are, less than the file has.
Status CheckHead(std::string_view file, size_t* head_bytes);

/// The same for what is behind a head that CheckHead has passed: it reads the whole file.
Status CheckBody(std::string_view file);

}  // namespace linnet
