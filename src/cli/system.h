// What the command asks of the operating system beside what base does. One source a system.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <string>

#include "base/status.h"

namespace linnet::cli {

/// Most resident memory of this process, ever.
int64_t PeakRssBytes();
/// Columns of the terminal behind `stream`; 80 when it is none or does not say.
int TerminalColumns(FILE* stream);
/// Whether files can be made in a folder that exists.
bool CanWriteInto(const std::string& folder);
/// A function of a shared library, which stays loaded until the process ends.
Result<void*> LoadFunction(const std::string& library, const char* function);
/// Exchanges two folders in one step; false where the system cannot.
bool ExchangeFolders(const std::string& a, const std::string& b);

}  // namespace linnet::cli
