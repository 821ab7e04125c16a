// Opening, checking, mapping and reading files, the POSIX way.
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file_parts.h"
#include "base/system.h"

namespace linnet {
namespace {

constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
#if defined(O_PATH)
constexpr int kFolderFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
#else
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
#endif
/// One read call's share; Linux transfers at most 2 GiB.
constexpr int64_t kReadBytesMax = int64_t{1} << 30;

/// Closes a descriptor.
class Handle {
 public:
  explicit Handle(int fd) : fd_(fd) {}
  Handle(Handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Handle() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

int OpenAt(int folder, const char* name, int flags) {
  int fd;
  do {
    fd = openat(folder, name, flags);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

Status CheckRegular(const struct stat& info, std::string_view name) {
  if (S_ISREG(info.st_mode)) return Status();
  const char* kind = S_ISDIR(info.st_mode)    ? "a folder"
                     : S_ISFIFO(info.st_mode) ? "a FIFO"
                     : S_ISLNK(info.st_mode)  ? "a symbolic link"
                     : S_ISSOCK(info.st_mode) ? "a socket"
                                              : "a device";
  return IoError("cannot open ", Quote(name), ": it is ", kind, ", not a regular file");
}

/// Fills `out` from the file's start; a file that ends early has changed since its size was taken.
Status ReadWhole(int fd, std::byte* out, int64_t size, std::string_view name) {
  for (int64_t done = 0; done < size;) {
    ssize_t got = pread(fd, out + done, static_cast<size_t>(std::min(size - done, kReadBytesMax)), done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return IoError("cannot read ", Quote(name), " at byte ", done, ": ", ErrnoText(errno));
    if (got == 0) return IoError(Quote(name), " ended at byte ", done, " of ", size, " while being read");
    done += got;
  }
  return Status();
}

}  // namespace

Result<MappedFile::Ref> MappedFile::Open(const std::string& path, const FileOptions& options) {
  if (path.empty()) return InvalidArgument("the path of the file to open is empty");
  if (path.find('\0') != path.npos) return InvalidArgument("path ", Quote(path), " contains a NUL byte");
  // Looked at before it is opened: opening a device can have effects.
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return CannotOpen(path, errno);
  LINNET_TRY(CheckRegular(info, path));
  Handle file(OpenAt(AT_FDCWD, path.c_str(), kReadFlags));
  if (file.get() < 0) return CannotOpen(path, errno);
  return FromHandle(file.get(), path, options, false);
}

Result<MappedFile::Ref> MappedFile::OpenBeneath(const std::string& folder, std::string_view relative,
                                                const FileOptions& options) {
  LINNET_TRY(CheckRelativePath(relative));
  if (folder.find('\0') != folder.npos) return InvalidArgument("path ", Quote(folder), " contains a NUL byte");
  Handle at(OpenAt(AT_FDCWD, folder.empty() ? "." : folder.c_str(), kFolderFlags));
  if (at.get() < 0) return CannotOpen(folder, errno);
  std::string_view rest = relative;
  for (size_t slash; (slash = rest.find('/')) != rest.npos; rest.remove_prefix(slash + 1)) {
    std::string component(rest.substr(0, slash));
    Handle next(OpenAt(at.get(), component.c_str(), kFolderFlags | O_NOFOLLOW));
    if (next.get() < 0) {
      int error = errno;
      if (error == ENOTDIR || error == ELOOP) {
        return InvalidModel("cannot open ", Quote(relative), ": ", Quote(component),
                            " is a symbolic link or not a folder");
      }
      return CannotOpen(relative, error);
    }
    at = std::move(next);
  }
  std::string name(rest);
  struct stat info;
  if (fstatat(at.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return CannotOpen(relative, errno);
  if (S_ISLNK(info.st_mode)) return InvalidModel("cannot open ", Quote(relative), ": it is a symbolic link");
  LINNET_TRY(CheckRegular(info, relative));
  Handle file(OpenAt(at.get(), name.c_str(), kReadFlags | O_NOFOLLOW));
  if (file.get() < 0) return CannotOpen(relative, errno);
  return FromHandle(file.get(), relative, options, true);
}

Result<MappedFile::Ref> MappedFile::FromHandle(int fd, std::string_view name, const FileOptions& options,
                                               bool sole_link) {
  struct stat info;
  if (fstat(fd, &info) != 0) return CannotOpen(name, errno);
  LINNET_TRY(CheckRegular(info, name));
  if (sole_link && info.st_nlink != 1) {
    return InvalidModel("cannot open ", Quote(name), ": it has ", static_cast<uint64_t>(info.st_nlink),
                        " hard links where a model's file must have one");
  }
  if (info.st_size > options.bytes_max) {
    return LimitReached(Quote(name), " has ", int64_t{info.st_size}, " bytes where the limit is ", options.bytes_max);
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->size_ = info.st_size;
  if (file->size_ == 0) return Ref(std::move(file));
  if (options.access == FileAccess::kRead) {
    Result<Block> block = Block::Allocate(file->size_, options.budget);
    if (!block.ok()) return block.TakeStatus().At(Cat("cannot read ", Quote(name)));
    file->block_ = std::move(*block);
    file->data_ = file->block_.data();
    LINNET_TRY(ReadWhole(fd, file->block_.data(), file->size_, name));
    return Ref(std::move(file));
  }
  if (static_cast<uint64_t>(file->size_) > SIZE_MAX / 2) return CannotOpen(name, EFBIG);
  void* data = mmap(nullptr, static_cast<size_t>(file->size_), PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return IoError("cannot map ", Quote(name), ": ", ErrnoText(errno));
  file->data_ = static_cast<const std::byte*>(data);
  file->mapped_ = true;
  return Ref(std::move(file));
}

MappedFile::~MappedFile() {
  if (mapped_) munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_));
}

}  // namespace linnet
