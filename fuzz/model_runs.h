// What running hostile models has in common: sentences for failures, small inputs of declared types, budgets.
#pragma once

#include <stdint.h>

#include <string_view>

#include "api/session.h"
#include "fuzz/targets.h"

namespace linnet::fuzz {

/// A broken promise aborts.
void Require(bool holds, const char* what, std::string_view detail = "");

/// Failures are sentences, and none of them says that Linnet itself is broken.
bool Good(const Status& status);

/// Reproducible choices: the same bytes, or number, always give the same inputs.
class Choices {
 public:
  explicit Choices(Bytes bytes) {
    for (uint8_t byte : bytes) state_ = (state_ ^ byte) * 0x100000001B3ull;
  }
  explicit Choices(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t n) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(n)); }
  bool OneIn(int64_t n) { return Below(n) == 0; }

 private:
  uint64_t state_ = 0xCBF29CE484222325ull;
};

/// Small tensors, sequences and optionals of declared types, with complete shapes.
class InputMaker {
 public:
  InputMaker(const SymbolTable& symbols, Choices& choices);
  /// False when the model wants more than a run is worth.
  bool Make(Type type, Datum* datum);

 private:
  bool MakeTensor(const Type& type, Tensor* tensor);

  Choices& choices_;
  std::vector<int64_t> symbols_;
};

/// Reads every byte of what came out, so that a sanitizer sees what was never written or is gone.
uint64_t Digest(const Datum& datum);

/// Opens a model in memory under budgets of memory, steps and time, and runs it with small inputs, twice. Whether it opened.
bool OpenAndRun(std::string_view bytes, Choices& choices);

}  // namespace linnet::fuzz
