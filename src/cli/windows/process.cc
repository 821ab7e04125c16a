// Starting programs on Windows.
#include "cli/process.h"

#include <windows.h>

#include "base/file.h"
#include "base/windows/names.h"

namespace linnet::cli {
namespace {

/// One argument as the C library's start-up code takes it apart again: in quotes, with backslashes before a quote doubled.
std::string QuoteArgument(const std::string& word) {
  std::string out = "\"";
  size_t slashes = 0;
  for (char c : word) {
    if (c == '"') out.append(slashes + 1, '\\');
    slashes = c == '\\' ? slashes + 1 : 0;
    out += c;
  }
  return out.append(slashes, '\\') + "\"";
}

}  // namespace

Result<int> RunProcess(const std::vector<std::string>& command, const std::string& log) {
  std::string line;
  for (const std::string& word : command) line += (line.empty() ? "" : " ") + QuoteArgument(word);
  SECURITY_ATTRIBUTES inherited = {sizeof inherited, nullptr, TRUE};
  HANDLE out = CreateFileW(log.empty() ? L"NUL" : WideName(log).c_str(), FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited,
                           log.empty() ? OPEN_EXISTING : OPEN_ALWAYS, 0, nullptr);
  if (out == INVALID_HANDLE_VALUE) return IoError("cannot open ", Quote(log), ": ", ErrnoText(LastErrno()));
  STARTUPINFOW start = {};
  start.cb = sizeof start;
  start.dwFlags = STARTF_USESTDHANDLES;
  start.hStdOutput = start.hStdError = out;
  PROCESS_INFORMATION process = {};
  std::wstring wide = WideName(line);
  const bool started = CreateProcessW(nullptr, wide.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &start, &process);
  const int error = started ? 0 : LastErrno();
  CloseHandle(out);
  if (!started) return IoError("cannot start ", Quote(command[0]), ": ", ErrnoText(error));
  DWORD code = 1;
  WaitForSingleObject(process.hProcess, INFINITE);
  GetExitCodeProcess(process.hProcess, &code);
  CloseHandle(process.hThread);
  CloseHandle(process.hProcess);
  return static_cast<int>(code);
}

bool HaveProgram(const std::string& program) {
  Result<int> code = RunProcess({program, "--version"});
  return code.ok() && *code == 0;
}

std::string ExecutablePath() {
  wchar_t wide[4096];
  const DWORD length = GetModuleFileNameW(nullptr, wide, 4096);
  char path[4096 * 3];
  const int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, static_cast<int>(length), path, sizeof path, nullptr, nullptr);
  return std::string(path, static_cast<size_t>(bytes));
}

}  // namespace linnet::cli
