// Checksums of .linnet files: what is damaged is found, and what was written before there were any is read.
#include "format/checksum.h"

#include <gtest/gtest.h>
#include <string.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <vector>

#include "api/full_build.h"
#include "base/file.h"
#include "format/linnet_file.h"
#include "hostile_util.h"
#include "linnet_generated.h"
#include "temp_folder.h"

namespace linnet::hostile {
namespace {

/// The sum as it is defined.
uint64_t Slowly(std::vector<uint8_t> bytes) {
  uint64_t sum = bytes.size();
  while (bytes.size() % 8 != 0) bytes.push_back(0);
  for (size_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    for (size_t i = 8; i-- > 0;) word = word * 256 + bytes[at + i];
    sum = (sum ^ word) * 11400714819323198485u;
    sum = sum ^ sum / 4294967296u;
  }
  return sum;
}

TEST(Checksum, IsTheOneThatIsDocumented) {
  std::mt19937 random(3);
  std::vector<uint8_t> bytes;
  for (int size = 0; size < 70; ++size) {
    EXPECT_EQ(Checksum(bytes.data(), bytes.size()), Slowly(bytes)) << size;
    bytes.push_back(static_cast<uint8_t>(random()));
  }
  // Computed with numbers of any length (Python).
  const std::pair<std::string_view, uint64_t> known[] = {
      {"", 0u}, {"a", 6110722307022594671u}, {"12345678", 5695629170081155616u}, {"The .linnet file", 11616041989518824196u}};
  for (const auto& [text, sum] : known) EXPECT_EQ(Checksum(text.data(), text.size()), sum) << text;
}

TEST(Checksum, EveryChangeWithinAWordAndOfTheLengthIsFound) {
  std::mt19937_64 random(4);
  for (size_t size : {8u, 64u, 4096u}) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const uint64_t sum = Checksum(bytes.data(), size);
    for (size_t word = 0; word < size; word += 8) {
      uint64_t before;
      memcpy(&before, &bytes[word], 8);
      for (int bit = 0; bit < 64 + 40; ++bit) {
        const uint64_t change = bit < 64 ? uint64_t{1} << bit : random();
        const uint64_t after = before ^ change;
        memcpy(&bytes[word], &after, 8);
        ASSERT_NE(Checksum(bytes.data(), size), sum) << word << " " << change;
      }
      memcpy(&bytes[word], &before, 8);
    }
  }
  std::set<uint64_t> of_zeros;
  const std::vector<uint8_t> zeros(200);
  for (size_t size = 0; size <= zeros.size(); ++size) of_zeros.insert(Checksum(zeros.data(), size));
  EXPECT_EQ(of_zeros.size(), zeros.size() + 1);
}

TEST(Checksum, GoesOnFromPieces) {
  std::vector<uint8_t> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  const uint64_t half = AddToChecksum(bytes.size(), bytes.data(), 496);
  EXPECT_EQ(AddToChecksum(half, bytes.data() + 496, 504), Checksum(bytes.data(), bytes.size()));
}

/// Prepared files of a small model with weights that stay as they are and packed ones.
class SummedFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "m.onnx", std::ios::binary) << OnnxOf(R"(graph (x: float[2,3]) -> (y) {
      w = const float[3,2]{1, 2, 3, 4, 5, 6}
      b = const float[2]{0.5, -0.5}
      m = MatMul-13(x, w)
      y = Mul-14(m, b)
    })");
    options_.threads = 1;
    Status status = ConvertModel((folder_ / "m.onnx").string(), Path(), options_);
    ASSERT_TRUE(status.ok()) << status.message();
    std::ifstream in(Path(), std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    ASSERT_TRUE(FindSums(bytes_, &sums_));
  }
  ~SummedFiles() override { std::filesystem::remove_all(folder_); }
  std::string Path() const { return (folder_ / "m.linnet").string(); }
  std::string WhyNot() {
    auto session = OpenBytes(bytes_, options_);
    return session.ok() ? "" : Why(session.status());
  }

  std::filesystem::path folder_ = NewTempFolder("linnet_checksum");
  SessionOptions options_;
  std::string bytes_;
  FileSums sums_;
};

TEST_F(SummedFiles, AreWhole) {
  EXPECT_EQ(WhyNot(), "");
  const std::vector<uint8_t> head(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(sums_.head_bytes));
  const std::vector<uint8_t> body(bytes_.begin() + static_cast<ptrdiff_t>(sums_.head_bytes), bytes_.end() - 32);
  EXPECT_EQ(sums_.head, Slowly(head));
  EXPECT_EQ(sums_.body, Slowly(body));
  EXPECT_TRUE(CheckBody(bytes_).ok());
  EXPECT_GT(body.size(), 64u);
}

TEST_F(SummedFiles, EveryDamagedBitOfTheHeadIsFound) {
  for (size_t at = 0; at < sums_.head_bytes; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes_[at] = static_cast<char>(bytes_[at] ^ 1 << bit);
      const std::string why = WhyNot();
      ASSERT_NE(why, "") << at;
      // In the name of the format it is another file.
      if (at < 4 || at >= 8) {
        ASSERT_NE(why.find("the .linnet file is damaged: its checksum differs"), std::string::npos) << at << ": " << why;
      }
      bytes_[at] = static_cast<char>(bytes_[at] ^ 1 << bit);
    }
  }
}

TEST_F(SummedFiles, EveryDamagedBitOfTheBodyIsFoundByWhoAsks) {
  const std::string whole = bytes_;
  for (size_t at = sums_.head_bytes; at < bytes_.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes_[at] = static_cast<char>(bytes_[at] ^ 1 << bit);
      size_t head = 0;   // the sum of the head, which lies there too, is for who checks that
      ASSERT_FALSE(CheckBody(bytes_).ok() && CheckHead(bytes_, &head).ok()) << at;
      // Of the sums themselves only that of the body is not needed to open a file.
      if (at >= bytes_.size() - 32 && at < bytes_.size() - 8) {
        ASSERT_NE(WhyNot(), "") << at;
      }
      bytes_[at] = whole[at];
    }
  }
}

/// A build for plans alone asks nothing again that is under the head's checksum: with damaged contents a step would write other sizes
/// than its plan has memory for.
TEST_F(SummedFiles, ContentsThatMayDecideSizesAreUnderTheHeadsSum) {
  std::string flags, numbers;
  for (int i = 0; i < 300; ++i) {
    flags += Cat(i ? ", " : "", i % 2 ? "true" : "false");
    numbers += Cat(i ? ", " : "", i);
  }
  std::ofstream(folder_ / "m.onnx", std::ios::binary) << OnnxOf(Cat(R"(graph (x: float[1,1,8,8], k: float[300]) -> (tiled, sized, kept, added) {
    repeats = const int64[4]{1, 2, 1, 3}
    tiled = Tile-13(x, repeats)
    scales = const float[4]{1, 1, 2, 2}
    sized = Resize-19(x, _, scales)
    flags = const bool[300]{)", flags, R"(}
    kept = Compress-11(k, flags)
    numbers = const float[300]{)", numbers, R"(}
    added = Add-14(k, numbers)
  })"));
  Status status = ConvertModel((folder_ / "m.onnx").string(), Path(), options_);
  ASSERT_TRUE(status.ok()) << status.message();
  std::ifstream in(Path(), std::ios::binary);
  bytes_.assign(std::istreambuf_iterator<char>(in), {});
  ASSERT_TRUE(FindSums(bytes_, &sums_));
  std::set<std::pair<DType, bool>> seen;   // and whether under the sum
  for (const fbs::Value* value : *fbs::GetModel(bytes_.data())->graph()->values()) {
    const fbs::Tensor* constant = value->constant();
    if (!constant || constant->blob()->bytes() == 0) continue;
    const auto dtype = static_cast<DType>(constant->dtype());
    const uint64_t begin = constant->blob()->offset(), end = begin + constant->blob()->bytes();
    const bool summed = end <= sums_.head_bytes;
    EXPECT_TRUE(summed || begin >= sums_.head_bytes);
    EXPECT_EQ(summed, dtype != DType::kFloat || end - begin <= 256) << begin;
    seen.insert({dtype, summed});
    for (uint64_t at = begin; at < end; ++at) {
      bytes_[at] = static_cast<char>(bytes_[at] ^ 1);
      EXPECT_EQ(WhyNot() != "", summed) << at;
      bytes_[at] = static_cast<char>(bytes_[at] ^ 1);
    }
  }
  const std::set<std::pair<DType, bool>> all = {{DType::kInt64, true}, {DType::kFloat, true}, {DType::kBool, true}, {DType::kFloat, false}};
  EXPECT_EQ(seen, all);
}

TEST_F(SummedFiles, LosingTheSumsIsNoWayAroundThem) {
  bytes_.replace(bytes_.size() - 32, 32, std::string(32, '\0'));
  ExpectParts(WhyNot(), {"the .linnet file is damaged", "checksums"});
}

/// As a file of the format before, which differs in nothing else.
TEST_F(SummedFiles, FilesOfFormat2AreReadWithout) {
  bytes_.replace(bytes_.size() - 32, 32, std::string(32, '\0'));
  auto* table = flatbuffers::GetMutableRoot<flatbuffers::Table>(bytes_.data());
  ASSERT_TRUE(table->SetField<uint32_t>(fbs::Model::VT_FORMAT, 2, 1));
  EXPECT_EQ(WhyNot(), "");
  EXPECT_EQ(CheckBody(bytes_).code(), Code::kUnsupported);
  for (uint32_t format : {0u, 1u, 4u}) {
    table->SetField<uint32_t>(fbs::Model::VT_FORMAT, format, 1);
    ExpectParts(WhyNot(), {Cat("has format ", format), "reads 2 to 3"});
  }
}

}  // namespace
}  // namespace linnet::hostile
