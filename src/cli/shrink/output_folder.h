// A folder that is written whole: what an earlier run left stays until the new one is complete.
#pragma once

#include <string>

#include "base/status.h"

namespace linnet::cli {

class OutputFolder {
 public:
  OutputFolder() = default;
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  /// Removes what was not committed.
  ~OutputFolder();

  /// Fails when something lies at `path` that is no empty folder and has no `mark` in it, a file that every folder of this kind has:
  /// it is somebody's. Writes nothing.
  Status Check(const std::string& path, const std::string& mark);
  /// Makes the folder that is filled, beside the one it will be.
  Status Create();
  /// Puts it in place of `path`, in one step where the system can (Linux), and removes what was there.
  Status Commit();

  const std::string& folder() const { return staged_; }   ///< being filled
  const std::string& path() const { return path_; }

 private:
  std::string path_, staged_;
};

}  // namespace linnet::cli
