// Reading floats at any address: what packs weights takes them where they lie in a file.
#pragma once

#include <string.h>

namespace linnet {

inline float FloatAt(const float* p) {
  float value;
  memcpy(&value, static_cast<const void*>(p), sizeof value);
  return value;
}

}  // namespace linnet
