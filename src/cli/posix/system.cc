// The POSIX ways, and Linux's exchange of names.
#include "cli/system.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace linnet::cli {

int64_t PeakRssBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

int TerminalColumns(FILE* stream) {
  winsize size = {};
  return isatty(fileno(stream)) && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool CanWriteInto(const std::string& folder) { return access(folder.c_str(), W_OK) == 0; }

Result<void*> LoadFunction(const std::string& library, const char* function) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) return IoError(dlerror());
  return dlsym(handle, function);
}

bool ExchangeFolders([[maybe_unused]] const std::string& a, [[maybe_unused]] const std::string& b) {
#if defined(RENAME_EXCHANGE)
  return renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
  return false;
#endif
}

}  // namespace linnet::cli
