// What every system's way of opening and replacing files shares.
#pragma once

#include "base/file.h"

namespace linnet {

/// "cannot open 'x': no such file or folder"; `error` is an errno.
Status CannotOpen(std::string_view name, int error);

/// The rules for a path that a model names, before any of it is looked up.
Status CheckRelativePath(std::string_view path);

/// WriteFileAtomically without the path in its sentences.
Status ReplaceFile(std::string path, FunctionRef<Status(Sink&)> writer);

}  // namespace linnet
