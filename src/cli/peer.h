// The peer, ONNX Runtime, through its C API: loaded at run time, for comparing results and times.
#pragma once

#include <stdint.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace linnet {

/// A tensor as both sides understand it. `type` is ONNX's element type number. Elements lie row-major in `bytes`, or in
/// `strings` when type is 8.
struct PeerTensor {
  std::string name;
  int type = 0;
  std::vector<int64_t> dims;
  std::string bytes;
  std::vector<std::string> strings;
};

/// An input or output a model declares. Unknown dimensions are -1. `type` is 0 for what is not a tensor.
struct PeerValueInfo {
  std::string name;
  int type = 0;
  std::vector<int64_t> dims;
};

struct PeerOptions {
  int threads = 1;  ///< within operators; operators run one after another
};

/// One loaded model. Not thread-safe.
class PeerSession {
 public:
  PeerSession(const PeerSession&) = delete;
  PeerSession& operator=(const PeerSession&) = delete;
  ~PeerSession();

  const std::vector<PeerValueInfo>& inputs() const { return inputs_; }
  const std::vector<PeerValueInfo>& outputs() const { return outputs_; }

  /// Takes the inputs of the next runs.
  Status SetInputs(std::vector<PeerTensor> inputs);
  /// Runs on them: what a timing loop calls. The second run on writes into the first's output tensors.
  Status Run();
  /// Copies of the last run's outputs. Fails when one is not a tensor, or nothing ran.
  Result<std::vector<PeerTensor>> Outputs() const;
  /// All three.
  Result<std::vector<PeerTensor>> Run(std::vector<PeerTensor> inputs);

 private:
  friend class Peer;
  struct Handles;
  PeerSession();

  std::unique_ptr<Handles> handles_;
  std::vector<PeerValueInfo> inputs_, outputs_;
  std::vector<PeerTensor> fed_;
};

/// The loaded library. It stays loaded until the process ends.
class Peer {
 public:
  /// `path` names libonnxruntime (1.0 or later), as dlopen takes it.
  static Result<std::shared_ptr<Peer>> Load(const std::string& path);
  ~Peer();

  const std::string& version() const { return version_; }  ///< "1.30.0"
  /// All optimisations, the given threads, everything else as the library has it by default. Sessions may outlive this
  /// object.
  Result<std::unique_ptr<PeerSession>> OpenModel(const std::string& path, const PeerOptions& options = {}) const;
  Result<std::unique_ptr<PeerSession>> OpenBytes(std::string_view model, const PeerOptions& options = {}) const;

 private:
  struct Library;
  friend class PeerSession;
  Peer() = default;
  Result<std::unique_ptr<PeerSession>> Create(const std::string* path, std::string_view model,
                                              const PeerOptions& options) const;

  std::shared_ptr<Library> library_;
  std::string version_;
};

}  // namespace linnet
