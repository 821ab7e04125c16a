// libFuzzer target: loading and running a model under budgets.
#include <string_view>

#include "fuzz/mutators.h"
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  linnet::fuzz::LoadAndRun({data, size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("graph")) return linnet::fuzz::MutateText(data, size, max_size, seed);
  if (size > 8 && text.substr(4, 4) == "LNNT") return linnet::fuzz::MutatePrepared(data, size, max_size, seed);
  return linnet::fuzz::MutateOnnx(data, size, max_size, seed);
}
