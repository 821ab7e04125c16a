// What every system's way of opening and replacing files shares.
#pragma once

#include "base/file.h"

namespace linnet {

/// "cannot open 'x': no such file or folder"; `error` is an errno.
Status CannotOpen(std::string_view name, int error);

/// The rules for a path that a model names, before any of it is looked up.
Status CheckRelativePath(std::string_view path);

/// WriteFileAtomically without the path in its sentences.
Status ReplaceContents(std::string path, FunctionRef<Status(Sink&)> writer);

/// A sink that collects small pieces.
class BufferedSink : public Sink {
 public:
  /// To be called behind the last piece.
  Status Flush();

 private:
  Status DoAppend(const void* data, int64_t bytes) override;
  /// Writes all of them; a failure says after how many bytes of the file.
  virtual Status Write(const char* data, int64_t bytes) = 0;

  std::string buffer_;
};

}  // namespace linnet
