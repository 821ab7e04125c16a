// The cache on disk of prepared models: what opening a .onnx file makes, kept as a .linnet file for the next time.
//
// A file is named by what it follows from: the model's bytes, the passes that run, and the library itself. Whoever finds it
// opens it as any prepared file, with the same checks; it appears under its name when it is whole, so many processes may
// share a folder, and it may be deleted at any time. The name is a hash against accidents, not against forgery: keep the
// folder as private as the program. Beside it lies a note, named by the model file's place and last change, that holds this
// name: a model that has not changed since is not read for it.
#pragma once

#include <memory>
#include <string>

#include "api/session.h"

namespace linnet {

/// The session of the model at `path`, whose contents are `model`, from options.cache_folder, where it is put first if it is
/// not there. Null when the model is to be opened without the cache: no folder is given, or what comes out follows from
/// more than the model (custom operators and passes, another provider, external data), or may be fed otherwise (inputs with
/// a default), or comes from a stranger, or the folder cannot be written (which is logged).
Result<std::unique_ptr<Session>> OpenThroughCache(const std::string& path, std::string_view model, const SessionOptions& options);

}  // namespace linnet
