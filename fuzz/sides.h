// The sides that a differential test asks: Linnet in its different ways, and ONNX Runtime.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "cli/peer.h"
#include "fuzz/random_model.h"

namespace linnet {

/// One way to run a model.
struct Side {
  std::string provider = "cpu";
  std::string cpu;            ///< a CPU level's name; empty: the best here
  int threads = 1;
  int optimize = 2;           ///< PipelineOptions::level
  bool prepared = false;      ///< through a .linnet file
  std::string Name() const;   ///< "avx2, 2 threads"
};

/// The failure's sentence, or "" and the outputs. `exact`, when not null, is set to whether the outputs follow from integers alone, for
/// which every CPU level has the same bits: no step reads real numbers but those that are fed and quantized.
std::string RunOn(const Side& side, const std::string& bytes, const std::vector<Tensor>& feeds, std::vector<Tensor>* outputs,
                  bool* exact = nullptr);

/// The levels this machine has whose kernels differ for such a graph.
std::vector<CpuLevel> LevelsFor(const Graph& graph);

/// How far numbers may be from what is expected.
struct Agreement {
  double of_max = 1e-5;   ///< real numbers: this part of the output's largest finite magnitude
  double steps = 0;       ///< integers: this many
  double largest = 0;     ///< real numbers: at least this counts as the largest magnitude (of sums that may cancel)
  double absolute = 0;    ///< real numbers: this much besides
};
bool SameBits(const Tensor& a, const Tensor& b);
/// "" or a sentence on the first element that is further away.
std::string Difference(const Tensor& actual, const Tensor& expected, const Agreement& agreement);

/// ONNX Runtime, and how many models of each operator it has run too.
class PeerRuns {
 public:
  /// Loads the library; before the first Get.
  static Status Load(const std::string& path);
  /// Null when it was not loaded.
  static PeerRuns* Get();
  /// True where its products of bytes are wrong for wide weights (RandomModel::NarrowWeights).
  static bool Saturates();
  /// The outputs, or nothing where the peer does not run the model.
  std::vector<Tensor> Run(const std::string& bytes, const Example& example);
  const std::map<std::string, int>& counts() const { return counts_; }

 private:
  std::shared_ptr<Peer> peer_;
  std::map<std::string, int> counts_;
};

}  // namespace linnet
