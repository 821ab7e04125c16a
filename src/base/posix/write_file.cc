// Replacing a file in one step, the POSIX way.
//
// Where the system can (Linux, O_TMPFILE) the temporary file has no name until it is complete, so that not even a killed
// process leaves one behind; elsewhere it is a hidden file of the same folder, removed on every failure.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/file_parts.h"
#include "base/system.h"

namespace linnet {
namespace {

constexpr int64_t kWriteBytesMax = int64_t{1} << 30;

class FileSink : public BufferedSink {
 public:
  explicit FileSink(int fd) : fd_(fd) {}

 private:
  Status Write(const char* data, int64_t bytes) override {
    while (bytes > 0) {
      ssize_t wrote = write(fd_, data, static_cast<size_t>(std::min(bytes, kWriteBytesMax)));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return IoError(ErrnoText(errno), " after ", written_, " bytes");
      data += wrote;
      bytes -= wrote;
      written_ += wrote;
    }
    return Status();
  }

  int fd_;
  int64_t written_ = 0;
};

/// The temporary file: closed and, unless it was renamed, removed with this object.
class Temporary {
 public:
  ~Temporary() {
    if (fd_ >= 0) close(fd_);
    if (named_) unlink(name_.c_str());
  }
  int fd() const { return fd_; }

  Status Create(const std::string& folder) {
    static std::atomic<int> counter{0};
    name_ = Cat(folder, ".linnet-", int64_t{getpid()}, "-", counter.fetch_add(1), ".tmp");
#if defined(O_TMPFILE)
    fd_ = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (fd_ >= 0 && access(Link().c_str(), F_OK) == 0) return Status();
    if (fd_ >= 0) close(fd_);
#endif
    fd_ = open(name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0 && errno == EEXIST && unlink(name_.c_str()) == 0) {  // left by a killed process with this number
      fd_ = open(name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
    }
    if (fd_ < 0) return IoError(ErrnoText(errno));
    named_ = true;
    return Status();
  }

  Status RenameTo(const std::string& path) {
    if (!named_) {
      unlink(name_.c_str());
      if (linkat(AT_FDCWD, Link().c_str(), AT_FDCWD, name_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return IoError(ErrnoText(errno));
      }
      named_ = true;
    }
    if (rename(name_.c_str(), path.c_str()) != 0) return IoError(ErrnoText(errno));
    named_ = false;
    return Status();
  }

 private:
  std::string Link() const { return Cat("/proc/self/fd/", fd_); }

  std::string name_;
  int fd_ = -1;
  bool named_ = false;
};

/// fsync; file systems that cannot are not a failure.
Status Settle(int fd) {
  int result;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EINVAL && errno != ENOTSUP) return IoError(ErrnoText(errno));
  return Status();
}

}  // namespace

Status ReplaceContents(std::string path, FunctionRef<Status(Sink&)> writer) {
  if (path.empty() || path.find('\0') != path.npos) return InvalidArgument("not a path");
  struct stat old;
  bool exists = lstat(path.c_str(), &old) == 0;
  if (exists && S_ISLNK(old.st_mode)) {
    char* target = realpath(path.c_str(), nullptr);
    if (!target) return IoError("it is a symbolic link to nowhere");
    path = target;
    free(target);
    exists = stat(path.c_str(), &old) == 0;
  }
  if (exists && !S_ISREG(old.st_mode)) return IoError("it exists and is not a regular file");

  const size_t name = NameBegin(path);
  Temporary temporary;
  const std::string folder = name == 0 ? "./" : path.substr(0, name);
  LINNET_TRY(temporary.Create(folder));
  if (exists && fchmod(temporary.fd(), old.st_mode & 0777) != 0) return IoError(ErrnoText(errno));
  FileSink sink(temporary.fd());
  LINNET_TRY(writer(sink));
  LINNET_TRY(sink.Flush());
  LINNET_TRY(Settle(temporary.fd()));
  LINNET_TRY(temporary.RenameTo(path));

  // The new name reaches the disk with its folder; the contents are there already, so a refusal changes nothing.
  int folder_fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    fsync(folder_fd);
    close(folder_fd);
  }
  return Status();
}

}  // namespace linnet
