// Putting right what a damaged .linnet file says of itself, so that damage reaches the checks behind its checksums.
#pragma once

#include <string.h>

#include "format/checksum.h"
#include "linnet_generated.h"

namespace linnet::fuzz {

/// Makes the sums at the end of a file right again, where there are any, and its size in the head, where that can be found.
inline void Sign(uint8_t* data, size_t size, bool with_size = true) {
  FileSums sums;
  const bool summed = FindSums({reinterpret_cast<const char*>(data), size}, &sums);
  const size_t end = summed ? size - sizeof sums : size;
  const size_t head = summed && sums.head_bytes < end ? static_cast<size_t>(sums.head_bytes) : end;
  flatbuffers::Verifier verifier(data, head);
  if (with_size && head > 8 && fbs::VerifyModelBuffer(verifier)) {
    flatbuffers::GetMutableRoot<flatbuffers::Table>(data)->SetField<uint64_t>(fbs::Model::VT_FILE_BYTES, size, 0);
  }
  if (!summed) return;
  sums.head = Checksum(data, head);
  sums.body = Checksum(data + head, end - head);
  memcpy(data + end, &sums, sizeof sums);
}

}  // namespace linnet::fuzz
