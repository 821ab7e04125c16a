// One example through every side: what the differential fuzzer asks, and the tests that replay what it has found.
#pragma once

#include <string>

#include "fuzz/random_model.h"

namespace linnet {

struct Verdict {
  bool ran = false;            ///< the reference and Linnet gave outputs; false: both refuse the model
  bool exact = false;          ///< no real numbers between integers, so that all levels must have the same bits
  bool peer_ran = false;
  std::string differs;         ///< what is wrong, with the side's name; empty: nothing
  std::string peer_differs;    ///< the same of the peer alone
};

/// Runs the example on the reference provider, on every CPU level with 1 and 2 threads, without optimisation, if `prepared` through a
/// .linnet file, and on the peer where it is loaded. Outputs are within ErrorBounds of the reference's; those of one level are
/// bit-equal for all threads and through a file, and integers are so at all levels where they are exact.
Verdict CheckOnAllSides(const Example& example, bool prepared);

/// The example in the text form of graphs, what is fed as defaults of its inputs; and back.
std::string TextOf(const Example& example);
Result<Example> ExampleOf(std::string_view text);

}  // namespace linnet
