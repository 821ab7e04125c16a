// Files: what no system does in a way of its own.
#include "base/file.h"

#include <errno.h>

#include <algorithm>

#include "base/file_parts.h"
#include "base/system.h"

namespace linnet {
namespace {

constexpr size_t kPathBytesMax = 4096;

}  // namespace

std::string ErrnoText(int error) {
  switch (error) {
    case ENOENT: return "no such file or folder";
    case EACCES:
    case EPERM: return "permission denied";
    case EISDIR: return "it is a folder";
    case ENOTDIR: return "a component of the path is not a folder";
    case ELOOP: return "a component of the path is a symbolic link that must not be followed";
    case ENAMETOOLONG: return "the name is too long";
    case ENOSPC: return "no space left on the device";
#if defined(EDQUOT)
    case EDQUOT: return "the disk quota is used up";
#endif
    case EFBIG: return "the file is larger than the system allows";
    case EROFS: return "the file system is read-only";
    case EMFILE:
    case ENFILE: return "too many open files";
    case ENOMEM: return "the system is out of memory";
    case EIO: return "input/output error";
    case ENXIO:
    case ENODEV: return "no such device";
    default: return Cat("system error ", error);
  }
}

Status CannotOpen(std::string_view name, int error) {
  return IoError("cannot open ", Quote(name), ": ", ErrnoText(error));
}

/// The rules for a path that a model names, before any of it is looked up.
Status CheckRelativePath(std::string_view path) {
  auto refuse = [&](const char* why) { return InvalidModel("path ", Quote(path), " ", why); };
  if (path.empty()) return refuse("is empty");
  if (path.size() > kPathBytesMax) return refuse("is longer than 4096 bytes");
  if (path.find('\0') != path.npos) return refuse("contains a NUL byte");
  if (path.find('\\') != path.npos) return refuse("contains a backslash");
  if (path[0] == '/') return refuse("is absolute");
  bool letter = (path[0] | 32) >= 'a' && (path[0] | 32) <= 'z';
  if (letter && path.size() > 1 && path[1] == ':') return refuse("starts with a drive letter");
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view component = path.substr(begin, end - begin);
    if (component.empty()) return refuse("has an empty component");
    if (component == "." || component == "..") return refuse("has a '.' or '..' component");
    begin = end + 1;
  }
  return Status();
}

Status Sink::Align(int64_t alignment) {
  static constexpr char kZeros[256] = {};
  for (int64_t missing = RoundUp(bytes_, alignment) - bytes_; missing > 0;) {
    int64_t now = std::min<int64_t>(missing, sizeof(kZeros));
    LINNET_TRY(Append(kZeros, now));
    missing -= now;
  }
  return Status();
}

Status MemorySink::DoAppend(const void* data, int64_t bytes) {
  int64_t have = static_cast<int64_t>(contents_.size());
  if (bytes > bytes_max_ - have) return LimitReached("needs more than the limit of ", bytes_max_, " bytes");
  if (bytes > 0) contents_.append(static_cast<const char*>(data), static_cast<size_t>(bytes));
  return Status();
}

Status WriteFileAtomically(const std::string& path, FunctionRef<Status(Sink&)> writer) {
  return ReplaceContents(path, writer).At(Cat("cannot write ", Quote(path)));
}

Status BufferedSink::Flush() {
  LINNET_TRY(Write(buffer_.data(), static_cast<int64_t>(buffer_.size())));
  buffer_.clear();
  return Status();
}

Status BufferedSink::DoAppend(const void* data, int64_t bytes) {
  constexpr int64_t kBufferBytes = 64 << 10;
  if (bytes == 0) return Status();
  if (static_cast<int64_t>(buffer_.size()) + bytes > kBufferBytes) LINNET_TRY(Flush());
  if (bytes >= kBufferBytes) return Write(static_cast<const char*>(data), bytes);
  buffer_.append(static_cast<const char*>(data), static_cast<size_t>(bytes));
  return Status();
}

void MappedFile::ReleasePages(int64_t offset, int64_t bytes) const {
  int64_t end;
  if (!mapped_ || offset < 0 || bytes < 0 || !CheckedAdd(offset, bytes, &end)) return;
  const int64_t page = PageBytes();
  const int64_t first = DivUp(std::min(offset, size_), page) * page;
  const int64_t last = end >= size_ ? RoundUp(size_, page) : end / page * page;   // a mapping's last page is all its own
  if (first < last) DropPages(const_cast<std::byte*>(data_) + first, static_cast<size_t>(last - first));
}

}  // namespace linnet
