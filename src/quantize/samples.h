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

}  // namespace linnet::quantize
