// Tests on machines that are much slower than others, such as emulated ones: tools/check-cross sets LINNET_TEST_SLOWER.
#pragma once

#include <stdlib.h>

namespace linnet_test {

/// How much slower, by what the variable says; 1 without.
inline double Slower() {
  const char* factor = getenv("LINNET_TEST_SLOWER");
  return factor ? atof(factor) : 1;
}
/// So many repetitions, or a part of them there.
inline int Repetitions(int count) {
  const double fewer = count / Slower();
  return fewer < 1 ? 1 : static_cast<int>(fewer);
}

}  // namespace linnet_test
