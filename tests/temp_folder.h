// A fresh folder for a test's files.
#pragma once

#include <filesystem>
#include <random>
#include <string>

namespace linnet {

inline std::string NewTempFolder(const std::string& name) {
  std::random_device random;
  for (;;) {
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / (name + "_" + std::to_string(random()));
    if (std::filesystem::create_directory(folder)) return folder.string();
  }
}

}  // namespace linnet
