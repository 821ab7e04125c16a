// libFuzzer target: the reader of .ort files.
#include "fuzz/mutators.h"
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  linnet::fuzz::ReadOrtModel({data, size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return linnet::fuzz::MutateTables(data, size, max_size, seed);
}
