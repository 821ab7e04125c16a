// The structure of .linnet files beside flatbuffers' own verifier, on the corpus and on what thousands of small damages make of it.
#include "format/read_structure.h"

#include <gtest/gtest.h>
#include <string.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "linnet_generated.h"

namespace linnet {
namespace {

bool FlatbuffersSays(std::string_view file, uint32_t depth_max) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(file.data()), file.size(), depth_max, 1u << 30);
  return verifier.VerifyBuffer<fbs::Model>(nullptr);
}

std::vector<std::string> Corpus() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(LINNET_SOURCE_DIR) + "/fuzz/corpus/linnet")) {
    std::stringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    files.push_back(text.str());
  }
  return files;
}

TEST(ReadStructure, AgreesWithFlatbuffersOnDamagedFiles) {
  std::mt19937 random(7);
  int accepted = 0, refused = 0, stricter = 0;
  for (const std::string& whole : Corpus()) {
    const uint32_t depth = 64;
    ASSERT_EQ(VerifyStructure(whole, depth), FlatbuffersSays(whole, depth));
    if (whole.size() < 16) continue;
    const size_t head = std::min<size_t>(whole.size(), 8192);
    for (int round = 0; round < 600; ++round) {
      std::string damaged = whole;
      for (int i = 0; i <= round % 3; ++i) {
        const size_t at = random() % (head - 8);
        // A byte, or a whole offset or count: small, huge, or one that points anywhere.
        const uint32_t words[] = {0, 1, 4, 0x7fffffff, 0x80000000, 0xffffffff, static_cast<uint32_t>(random() % whole.size())};
        if (round % 2 == 0) {
          damaged[at] = static_cast<char>(random());
        } else {
          memcpy(&damaged[at / 4 * 4], &words[random() % 7], 4);
        }
      }
      if (round % 50 == 0) damaged.resize(random() % damaged.size() + 1);
      const bool ours = VerifyStructure(damaged, depth), theirs = FlatbuffersSays(damaged, depth);
      ASSERT_TRUE(theirs || !ours) << "round " << round;
      // Offsets in vectors may not be 0 or negative here.
      stricter += theirs && !ours;
      (ours ? accepted : refused) += 1;
    }
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 1000);
  EXPECT_LT(stricter * 50, refused);
}

TEST(ReadStructure, DepthIsCountedAsFlatbuffersDoes) {
  for (const std::string& whole : Corpus()) {
    for (uint32_t depth = 0; depth < 12; ++depth) ASSERT_EQ(VerifyStructure(whole, depth), FlatbuffersSays(whole, depth)) << depth;
  }
}

TEST(ReadStructure, NothingIsNoFile) {
  for (size_t size = 0; size < 12; ++size) EXPECT_FALSE(VerifyStructure(std::string(size, '\0'), 64)) << size;
}

}  // namespace
}  // namespace linnet
