// Finding conformance cases.
#include "cli/data/cases.h"

#include <algorithm>
#include <filesystem>

namespace linnet::cli {
namespace fs = std::filesystem;

std::vector<std::string> NumberedFiles(const std::string& prefix, const std::string& what) {
  std::vector<std::string> files;
  for (int i = 0;; ++i) {
    std::string file = prefix + what + "_" + std::to_string(i) + ".pb";
    if (!fs::exists(file)) return files;
    files.push_back(file);
  }
}

namespace {

void AddModel(const fs::path& model, const fs::path& root, std::vector<Case>& cases) {
  Case found;
  found.model = model.generic_string();
  std::error_code ignored;
  std::string stem = model.stem().generic_string();
  std::string prefix = (model.parent_path() / (stem + "_")).generic_string();
  if (fs::exists(prefix + "output_0.pb")) {
    found.light = true;
    found.name = fs::relative(model, root, ignored).generic_string();
    found.data_sets.push_back(prefix);
    cases.push_back(found);
    return;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(model.parent_path(), ignored)) {
    if (entry.is_directory() && entry.path().filename().generic_string().starts_with("test_data_set_")) {
      found.data_sets.push_back(entry.path().generic_string());
    }
  }
  std::sort(found.data_sets.begin(), found.data_sets.end());
  found.name = fs::relative(model.parent_path(), root, ignored).generic_string();
  if (found.name == ".") found.name = model.parent_path().filename().generic_string();
  if (stem != "model") found.name += "/" + model.filename().generic_string();
  cases.push_back(found);
}

}  // namespace

Result<std::vector<Case>> FindCases(const std::string& path) {
  std::vector<Case> cases;
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    AddModel(fs::absolute(path), fs::absolute(path).parent_path(), cases);
    return cases;
  }
  if (!fs::is_directory(path, error)) return IoError("there is no file or folder ", Quote(path));
  for (fs::recursive_directory_iterator it(path, fs::directory_options::skip_permission_denied, error), end; it != end;
       it.increment(error)) {
    if (error) return IoError("reading ", Quote(path), ": ", error.message());
    const bool model = it->path().extension() == ".onnx" || it->path().extension() == ".ort";
    if (model && it->is_regular_file(error)) AddModel(it->path(), path, cases);
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

}  // namespace linnet::cli
