// Opening, checking, mapping and reading files on Windows. Names are UTF-8.
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <algorithm>
#include <vector>

#include "base/file_parts.h"
#include "base/system.h"
#include "base/windows/names.h"

namespace linnet {
namespace {

/// A handle of the system's, closed with this object.
class Handle {
 public:
  explicit Handle(HANDLE handle) : handle_(handle) {}
  ~Handle() {
    if (ok()) CloseHandle(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  HANDLE get() const { return handle_; }
  bool ok() const { return handle_ != nullptr && handle_ != INVALID_HANDLE_VALUE; }

 private:
  HANDLE handle_;
};

HANDLE OpenToRead(const std::string& path, bool follow) {
  // Others may read, write and replace it, as on other systems. Folders can be opened too, and are told apart afterwards.
  return CreateFileW(WideName(path).c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                     FILE_FLAG_BACKUP_SEMANTICS | (follow ? 0 : FILE_FLAG_OPEN_REPARSE_POINT), nullptr);
}

Status CheckRegular(HANDLE handle, std::string_view name) {
  BY_HANDLE_FILE_INFORMATION info;
  const char* kind = nullptr;
  if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileInformationByHandle(handle, &info)) {
    kind = "a device";
  } else if (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
    kind = "a folder";
  }
  if (kind == nullptr) return Status();
  return IoError("cannot open ", Quote(name), ": it is ", kind, ", not a regular file");
}

bool IsLink(HANDLE handle) {
  BY_HANDLE_FILE_INFORMATION info;
  return GetFileInformationByHandle(handle, &info) && (info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
}

/// Names that mean a device wherever they stand: CON, NUL, COM1.txt ...
bool IsDeviceName(std::string_view component) {
  std::string base;
  for (char c : component.substr(0, component.find('.'))) base += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  while (!base.empty() && base.back() == ' ') base.pop_back();
  for (const char* name : {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) {
    if (base == name) return true;
  }
  return base.size() == 4 && (base.starts_with("COM") || base.starts_with("LPT")) && base[3] >= '0' && base[3] <= '9';
}

}  // namespace

Result<MappedFile::Ref> MappedFile::Open(const std::string& path, const FileOptions& options) {
  if (path.empty()) return InvalidArgument("the path of the file to open is empty");
  if (path.find('\0') != path.npos) return InvalidArgument("path ", Quote(path), " contains a NUL byte");
  HANDLE handle = OpenToRead(path, true);
  if (handle == INVALID_HANDLE_VALUE) return CannotOpen(path, LastErrno());
  if (Status status = CheckRegular(handle, path); !status.ok()) {
    CloseHandle(handle);
    return status;
  }
  const int fd = _open_osfhandle(reinterpret_cast<intptr_t>(handle), _O_RDONLY);
  if (fd < 0) {
    CloseHandle(handle);
    return CannotOpen(path, EMFILE);
  }
  Result<Ref> file = FromHandle(fd, path, options, false);
  _close(fd);
  return file;
}

/// Folders are held open, without sharing their deletion, while what they hold is looked at: nothing can be exchanged meanwhile.
Result<MappedFile::Ref> MappedFile::OpenBeneath(const std::string& folder, std::string_view relative, const FileOptions& options) {
  LINNET_TRY(CheckRelativePath(relative));
  if (folder.find('\0') != folder.npos) return InvalidArgument("path ", Quote(folder), " contains a NUL byte");
  std::string path = folder.empty() ? "." : folder;
  std::vector<std::unique_ptr<Handle>> held;
  std::string_view rest = relative;
  for (;;) {
    held.push_back(std::make_unique<Handle>(CreateFileW(WideName(path).c_str(), FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr,
                                                        OPEN_EXISTING,
                                                        FILE_FLAG_BACKUP_SEMANTICS | (held.empty() ? 0 : FILE_FLAG_OPEN_REPARSE_POINT), nullptr)));
    if (!held.back()->ok()) return CannotOpen(held.size() == 1 ? std::string_view(folder) : relative, LastErrno());
    const size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (held.size() > 1) {
      BY_HANDLE_FILE_INFORMATION info;
      if (IsLink(held.back()->get()) || !GetFileInformationByHandle(held.back()->get(), &info) ||
          !(info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)) {
        return InvalidModel("cannot open ", Quote(relative), ": a component of it is a symbolic link or not a folder");
      }
    }
    // A colon names a stream of a file; a dot or space at the end is dropped by the system.
    if (component.find(':') != component.npos || component.back() == '.' || component.back() == ' ' || IsDeviceName(component)) {
      return InvalidModel("path ", Quote(relative), " has a component that means something else on this system");
    }
    path = Cat(path, "/", component);
    if (slash == rest.npos) break;
    rest.remove_prefix(slash + 1);
  }
  HANDLE handle = OpenToRead(path, false);
  if (handle == INVALID_HANDLE_VALUE) return CannotOpen(relative, LastErrno());
  const int fd = _open_osfhandle(reinterpret_cast<intptr_t>(handle), _O_RDONLY);
  if (fd < 0) {
    CloseHandle(handle);
    return CannotOpen(relative, EMFILE);
  }
  if (IsLink(handle)) {
    _close(fd);
    return InvalidModel("cannot open ", Quote(relative), ": it is a symbolic link");
  }
  Result<Ref> file = FromHandle(fd, relative, options, true);
  _close(fd);
  return file;
}

Result<MappedFile::Ref> MappedFile::FromHandle(int fd, std::string_view name, const FileOptions& options, bool sole_link) {
  HANDLE handle = reinterpret_cast<HANDLE>(_get_osfhandle(fd));
  LINNET_TRY(CheckRegular(handle, name));
  BY_HANDLE_FILE_INFORMATION info;
  if (!GetFileInformationByHandle(handle, &info)) return CannotOpen(name, LastErrno());
  if (sole_link && info.nNumberOfLinks > 1) {
    return InvalidModel("cannot open ", Quote(name), ": it has ", static_cast<uint64_t>(info.nNumberOfLinks),
                        " hard links where a model's file must have one");
  }
  const int64_t size = static_cast<int64_t>(info.nFileSizeHigh) << 32 | info.nFileSizeLow;
  if (size > options.bytes_max) return LimitReached(Quote(name), " has ", size, " bytes where the limit is ", options.bytes_max);
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->size_ = size;
  if (size == 0) return Ref(std::move(file));
  if (options.access == FileAccess::kRead) {
    Result<Block> block = Block::Allocate(size, options.budget);
    if (!block.ok()) return block.TakeStatus().At(Cat("cannot read ", Quote(name)));
    file->block_ = std::move(*block);
    file->data_ = file->block_.data();
    for (int64_t done = 0; done < size;) {
      DWORD got = 0;
      if (!ReadFile(handle, file->block_.data() + done, static_cast<DWORD>(std::min<int64_t>(size - done, 1 << 30)), &got, nullptr)) {
        return IoError("cannot read ", Quote(name), " at byte ", done, ": ", ErrnoText(LastErrno()));
      }
      if (got == 0) return IoError(Quote(name), " ended at byte ", done, " of ", size, " while being read");
      done += got;
    }
    return Ref(std::move(file));
  }
  if (static_cast<uint64_t>(size) > SIZE_MAX / 2) return CannotOpen(name, EFBIG);
  Handle mapping(CreateFileMappingW(handle, nullptr, PAGE_READONLY, 0, 0, nullptr));
  if (!mapping.ok()) return IoError("cannot map ", Quote(name), ": ", ErrnoText(LastErrno()));
  void* data = MapViewOfFile(mapping.get(), FILE_MAP_READ, 0, 0, static_cast<SIZE_T>(size));
  if (!data) return IoError("cannot map ", Quote(name), ": ", ErrnoText(LastErrno()));
  file->data_ = static_cast<const std::byte*>(data);
  file->mapped_ = true;
  return Ref(std::move(file));
}

MappedFile::~MappedFile() {
  if (mapped_) UnmapViewOfFile(data_);
}

}  // namespace linnet
