// Files: mapping or reading whole regular files, opening beneath a folder without being led out of it, atomic writing.
#pragma once

#include <stdint.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/memory.h"
#include "base/status.h"

namespace linnet {

/// "no such file or folder", "permission denied", ...; "system error 71" for the rare ones.
std::string ErrnoText(int error);

enum class FileAccess : uint8_t {
  kMap,   ///< pages are shared with the system's cache; a file that shrinks while mapped kills the process (SIGBUS)
  kRead,  ///< a private copy, 64-byte aligned and padded, that no later change of the file reaches
};

struct FileOptions {
  FileAccess access = FileAccess::kMap;
  int64_t bytes_max = INT64_MAX;
  MemoryBudget* budget = nullptr;  ///< of kRead; must outlive the file
};

/// The contents of a regular file, immutable and shared.
class MappedFile {
 public:
  using Ref = std::shared_ptr<const MappedFile>;

  /// Anything but a regular file (folders, FIFOs, devices) is refused without blocking.
  static Result<Ref> Open(const std::string& path, const FileOptions& options = {});

  /// Opens `relative`, a path taken from a model, beneath `folder` ("" is the current one). Refused: absolute paths,
  /// drive letters, backslashes, "." and "..", empty components, NUL; symbolic links anywhere below `folder`, and files
  /// with other hard links. Components are opened one by one and judged by their handles, so a swap cannot win a race.
  static Result<Ref> OpenBeneath(const std::string& folder, std::string_view relative, const FileOptions& options = {});

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }  ///< null when size() is 0
  int64_t size() const { return size_; }
  std::string_view bytes() const { return {reinterpret_cast<const char*>(data_), static_cast<size_t>(size_)}; }
  bool mapped() const { return mapped_; }

  /// Takes the whole pages of [offset, offset + bytes) out of resident memory; reading them later brings them back from
  /// the file. No effect on files that were read.
  void ReleasePages(int64_t offset, int64_t bytes) const;

 private:
  MappedFile() = default;
  static Result<Ref> FromHandle(int fd, std::string_view name, const FileOptions& options, bool sole_link);

  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
  bool mapped_ = false;
  Block block_;
};

/// Where writers append bytes.
class Sink {
 public:
  virtual ~Sink() = default;
  /// `data` may be null when `bytes` is 0. After a failure nothing more may be appended.
  Status Append(const void* data, int64_t bytes) {
    bytes_ += bytes;
    return DoAppend(data, bytes);
  }
  Status Append(std::string_view text) { return Append(text.data(), static_cast<int64_t>(text.size())); }
  /// Appends zeros up to a multiple of `alignment`.
  Status Align(int64_t alignment);
  int64_t bytes() const { return bytes_; }

 private:
  virtual Status DoAppend(const void* data, int64_t bytes) = 0;
  int64_t bytes_ = 0;
};

/// A sink in memory that refuses to grow beyond `bytes_max`.
class MemorySink : public Sink {
 public:
  explicit MemorySink(int64_t bytes_max = INT64_MAX) : bytes_max_(bytes_max) {}
  std::string& contents() { return contents_; }

 private:
  Status DoAppend(const void* data, int64_t bytes) override;
  std::string contents_;
  int64_t bytes_max_;
};

/// Replaces `path` by what `writer` appends, or leaves it as it was: writes a temporary file in the same folder, brings
/// it to the disk and renames it. A symbolic link is followed, an existing file's permissions are kept, and anything but
/// a regular file is refused. On failure, the writer's included, the temporary file is gone.
Status WriteFileAtomically(const std::string& path, FunctionRef<Status(Sink&)> writer);

}  // namespace linnet
