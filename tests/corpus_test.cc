// Replays fuzz/corpus, and the digits model, through the functions of the fuzz targets: none of them may crash or hang.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/targets.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> FilesOf(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<uint8_t> Contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
}

const fs::path kCorpus = fs::path(LINNET_SOURCE_DIR) / "fuzz" / "corpus";

TEST(Corpus, EveryFilePassesItsTarget) {
  for (const fuzz::Target& target : fuzz::Targets()) {
    std::vector<fs::path> files = FilesOf(kCorpus / target.name);
    EXPECT_FALSE(files.empty()) << "no corpus of target " << target.name;
    for (const fs::path& path : files) {
      SCOPED_TRACE(path.string());  // named by whatever dies in there
      target.run(Contents(path));
    }
  }
}

// A target may be given anything: its neighbours' files are good anythings.
TEST(Corpus, EveryFilePassesTheOtherTargets) {
  for (const fuzz::Target& target : fuzz::Targets()) {
    for (const fs::path& path : FilesOf(kCorpus)) {
      if (path.parent_path().filename() == target.name) continue;
      SCOPED_TRACE(path.string());
      target.run(Contents(path));
    }
  }
}

TEST(Corpus, DigitsPassesEveryTarget) {
  const fs::path digits = fs::path(LINNET_SOURCE_DIR) / "models" / "digits" / "digits.onnx";
  for (const fuzz::Target& target : fuzz::Targets()) target.run(Contents(digits));
}

}  // namespace
}  // namespace linnet
