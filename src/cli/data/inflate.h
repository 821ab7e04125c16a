// DEFLATE (RFC 1951): decompressing a stream of known size.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet::cli {

/// The `bytes` bytes that `packed` holds. Fails when the stream is damaged, or gives more or fewer; memory does not grow beyond what the
/// stream really gives.
Result<std::string> Inflate(std::string_view packed, uint64_t bytes);

/// The checksum of zip files.
uint32_t Crc32(std::string_view bytes);

}  // namespace linnet::cli
