// The ways of Windows.
#include "cli/system.h"

#include <io.h>
#include <windows.h>

#include <psapi.h>

#include "base/windows/names.h"

namespace linnet::cli {

int64_t PeakRssBytes() {
  PROCESS_MEMORY_COUNTERS counters = {};
  counters.cb = sizeof counters;
  return GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters) ? static_cast<int64_t>(counters.PeakWorkingSetSize) : 0;
}

int TerminalColumns(FILE* stream) {
  CONSOLE_SCREEN_BUFFER_INFO info;
  HANDLE handle = reinterpret_cast<HANDLE>(_get_osfhandle(_fileno(stream)));
  return GetConsoleScreenBufferInfo(handle, &info) ? info.srWindow.Right - info.srWindow.Left + 1 : 80;
}

bool CanWriteInto(const std::string& folder) {
  return (GetFileAttributesW(WideName(folder).c_str()) & FILE_ATTRIBUTE_READONLY) == 0;
}

Result<void*> LoadFunction(const std::string& library, const char* function) {
  HMODULE handle = LoadLibraryW(WideName(library).c_str());
  if (!handle) return IoError("system error ", static_cast<uint64_t>(GetLastError()));
  return reinterpret_cast<void*>(GetProcAddress(handle, function));
}

bool ExchangeFolders(const std::string&, const std::string&) { return false; }

}  // namespace linnet::cli
