// Filling a folder beside the one it replaces, and exchanging the two.
#include "cli/shrink/output_folder.h"

#include <filesystem>

#include "base/file.h"
#include "base/system.h"
#include "cli/system.h"

namespace linnet::cli {

namespace fs = std::filesystem;

OutputFolder::~OutputFolder() {
  std::error_code error;
  if (!staged_.empty()) fs::remove_all(staged_, error);
}

Status OutputFolder::Check(const std::string& path, const std::string& mark) {
  std::error_code error;
  fs::path whole = fs::absolute(path, error).lexically_normal();
  if (whole.filename().empty()) whole = whole.parent_path();
  path_ = whole.string();
  const fs::file_status found = fs::symlink_status(whole, error);
  if (!fs::exists(found)) return Status();
  if (!fs::is_directory(found)) return InvalidArgument("output ", Quote(path), " exists and is no folder");
  if (fs::is_empty(whole, error) || fs::exists(whole / mark, error)) return Status();
  return InvalidArgument("output folder ", Quote(path), " holds other things: there is no ", mark, " in it");
}

Status OutputFolder::Create() {
  std::error_code error;
  fs::path whole(path_);
  fs::create_directories(whole.parent_path(), error);
  std::string staged = (whole.parent_path() / Cat(".", whole.filename().string(), "-", ProcessId())).string();
  fs::remove_all(staged, error);  // left by a killed process with this number
  if (!fs::create_directory(staged, error)) return IoError("cannot make a folder beside ", Quote(path_), ": ", ErrnoText(error.value()));
  staged_ = staged;
  return Status();
}

Status OutputFolder::Commit() {
  std::error_code error;
  if (ExchangeFolders(staged_, path_)) {
    fs::remove_all(staged_, error);
    staged_.clear();
    return Status();
  }
  const std::string earlier = Cat(staged_, "-earlier");
  const bool exists = fs::exists(path_, error);
  if (exists) fs::rename(path_, earlier, error);
  if (!error) fs::rename(staged_, path_, error);
  if (error) {
    const int reason = error.value();
    if (exists && !fs::exists(path_, error)) fs::rename(earlier, path_, error);
    return IoError("cannot put the result at ", Quote(path_), ": ", ErrnoText(reason));
  }
  staged_.clear();
  fs::remove_all(earlier, error);
  return Status();
}

}  // namespace linnet::cli
