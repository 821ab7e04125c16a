// Replacing a file in one step, on Windows: a hidden file of the same folder, which takes the name when it is complete.
#include <errno.h>
#include <windows.h>

#include <algorithm>
#include <atomic>

#include "base/file_parts.h"
#include "base/system.h"
#include "base/windows/names.h"

namespace linnet {
namespace {

/// The temporary file: closed and, unless it was renamed, removed with this object.
class Temporary : public BufferedSink {
 public:
  ~Temporary() override {
    Close();
    if (!name_.empty()) DeleteFileW(name_.c_str());
  }

  Status Create(const std::string& folder) {
    static std::atomic<int> counter{0};
    std::wstring name = WideName(Cat(folder, ".linnet-", ProcessId(), "-", counter.fetch_add(1), ".tmp"));
    handle_ = CreateFileW(name.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_ATTRIBUTE_HIDDEN, nullptr);
    if (handle_ == INVALID_HANDLE_VALUE) return IoError(ErrnoText(LastErrno()));
    name_ = std::move(name);
    return Status();
  }

  Status RenameTo(const std::wstring& path) {
    LINNET_TRY(Flush());
    if (!FlushFileBuffers(handle_)) return IoError(ErrnoText(LastErrno()));
    Close();
    SetFileAttributesW(name_.c_str(), FILE_ATTRIBUTE_NORMAL);
    if (!MoveFileExW(name_.c_str(), path.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) return IoError(ErrnoText(LastErrno()));
    name_.clear();
    return Status();
  }

 private:
  void Close() {
    if (handle_ != INVALID_HANDLE_VALUE) CloseHandle(handle_);
    handle_ = INVALID_HANDLE_VALUE;
  }
  Status Write(const char* data, int64_t bytes) override {
    while (bytes > 0) {
      DWORD wrote = 0;
      if (!WriteFile(handle_, data, static_cast<DWORD>(std::min<int64_t>(bytes, 1 << 30)), &wrote, nullptr)) {
        return IoError(ErrnoText(LastErrno()), " after ", written_, " bytes");
      }
      data += wrote, bytes -= wrote, written_ += wrote;
    }
    return Status();
  }

  HANDLE handle_ = INVALID_HANDLE_VALUE;
  std::wstring name_;
  int64_t written_ = 0;
};

}  // namespace

Status ReplaceContents(std::string path, FunctionRef<Status(Sink&)> writer) {
  if (path.empty() || path.find('\0') != path.npos) return InvalidArgument("not a path");
  const std::wstring wide = WideName(path);
  const DWORD attributes = GetFileAttributesW(wide.c_str());
  if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DEVICE))) {
    return IoError("it exists and is not a regular file");
  }
  const size_t name = NameBegin(path);
  Temporary temporary;
  LINNET_TRY(temporary.Create(name == 0 ? "./" : path.substr(0, name)));
  LINNET_TRY(writer(temporary));
  return temporary.RenameTo(wide);
}

}  // namespace linnet
