// Summing words, and comparing with the sums that a file ends with.
#include "format/checksum.h"

#include <string.h>

#include <bit>

namespace linnet {
namespace {

static_assert(std::endian::native == std::endian::little, "sums are of words as they lie");

Status Differs() { return InvalidModel("the .linnet file is damaged: its checksum differs"); }

}  // namespace

uint64_t AddToChecksum(uint64_t sum, const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  uint64_t word;
  auto step = [&] {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15u;   // odd
    sum ^= sum >> 32;
  };
  for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
    memcpy(&word, at, sizeof word);
    step();
  }
  word = 0;
  if (size > 0) {
    memcpy(&word, at, size);
    step();
  }
  return sum;
}

bool FindSums(std::string_view file, FileSums* sums) {
  if (file.size() < sizeof *sums) return false;
  memcpy(sums, file.data() + file.size() - sizeof *sums, sizeof *sums);
  return sums->magic == FileSums::kMagic;
}

Status CheckHead(std::string_view file, size_t* head_bytes) {
  FileSums sums;
  if (!FindSums(file, &sums)) return InvalidModel("the .linnet file is cut, or older than format 3: it does not end with checksums");
  const size_t bytes = static_cast<size_t>(sums.head_bytes);
  if (sums.head_bytes > file.size() - sizeof sums || Checksum(file.data(), bytes) != sums.head) return Differs();
  *head_bytes = bytes;
  return Status();
}

Status CheckBody(std::string_view file) {
  FileSums sums;
  if (!FindSums(file, &sums)) {
    return Unsupported("the .linnet file has no checksums, which there are from format 3 on; convert the model again");
  }
  const size_t end = file.size() - sizeof sums, begin = static_cast<size_t>(sums.head_bytes);
  if (sums.head_bytes > end) return Differs();
  const std::string_view body = file.substr(begin, end - begin);
  return Checksum(body.data(), body.size()) == sums.body ? Status() : Differs();
}

}  // namespace linnet
