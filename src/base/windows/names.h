// Names and errors of Windows: UTF-8 to what the system calls, its errors to errno's.
#pragma once

#include <string>
#include <string_view>

namespace linnet {

/// `path` (UTF-8) as the system's functions take it; bytes that are not UTF-8 become U+FFFD.
std::wstring WideName(std::string_view path);
/// The last error of this thread as an errno.
int LastErrno();

}  // namespace linnet
