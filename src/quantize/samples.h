// Where calibration and comparison get their data from.
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

#include "graph/tensor.h"

namespace linnet::quantize {

/// A caller's data: samples that are loaded one at a time and not kept.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual int64_t size() const = 0;
  /// Sample `index`: a datum for each input of the model that has no default, in the model's order. Fails with a sentence
  /// that names the file or whatever it came from.
  virtual Result<std::vector<Datum>> Load(int64_t index) = 0;
  /// What sample `index` is called, no two alike: by it a calibration that goes on knows what it has seen.
  virtual std::string Name(int64_t index) const { return Cat("sample ", index); }
};

/// `most` samples of `from` at most, spread evenly.
inline std::vector<int64_t> Spread(const std::vector<int64_t>& from, size_t most) {
  std::vector<int64_t> out;
  const size_t step = std::max<size_t>(from.size() / most, 1);
  for (size_t i = 0; i < from.size() && out.size() < most; i += step) out.push_back(from[i]);
  return out;
}

}  // namespace linnet::quantize
