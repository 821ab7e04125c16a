// Opening, reading, mapping and replacing files, with everything a hostile folder can hold.
#include "base/file.h"
#include "temp_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace linnet {
namespace {

namespace fs = std::filesystem;

/// A fresh folder, removed with the test.
class FileTest : public testing::Test {
 protected:
  FileTest() {
    root_ = NewTempFolder("linnet_file");
  }
  ~FileTest() override { fs::remove_all(root_); }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  std::string Make(const std::string& name, std::string_view contents) const {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << contents;
    return Path(name);
  }
  static std::string Contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  int Entries() const {
    return static_cast<int>(std::distance(fs::directory_iterator(root_), fs::directory_iterator()));
  }
  /// The failure's sentence; empty when there was none.
  static std::string Why(const Result<MappedFile::Ref>& result) { return std::string(result.status().message()); }

  std::string root_;
};

constexpr FileOptions kRead{FileAccess::kRead};

TEST_F(FileTest, MapsAndReadsTheSameBytes) {
  std::string contents;
  for (int i = 0; i < 100000; ++i) contents += static_cast<char>(i * 7);
  std::string path = Make("data", contents);
  for (FileAccess access : {FileAccess::kMap, FileAccess::kRead}) {
    Result<MappedFile::Ref> file = MappedFile::Open(path, {access});
    ASSERT_TRUE(file.ok()) << Why(file);
    EXPECT_EQ((*file)->bytes(), contents);
    EXPECT_EQ((*file)->mapped(), access == FileAccess::kMap);
    (*file)->ReleasePages(0, (*file)->size());
    (*file)->ReleasePages(5000, 20000);
    (*file)->ReleasePages(-1, 10);
    (*file)->ReleasePages(10, INT64_MAX);
    EXPECT_EQ((*file)->bytes(), contents);
  }
}

TEST_F(FileTest, AReadFileOutlivesChangesAndCountsAgainstTheBudget) {
  std::string path = Make("data", std::string(1000, 'a'));
  MemoryBudget budget(1500);
  {
    Result<MappedFile::Ref> file = MappedFile::Open(path, {FileAccess::kRead, INT64_MAX, &budget});
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(truncate(path.c_str(), 0), 0);
    EXPECT_EQ((*file)->bytes(), std::string(1000, 'a'));
    EXPECT_EQ(budget.used_bytes(), 1000);
    Make("data", std::string(1000, 'a'));
    Result<MappedFile::Ref> second = MappedFile::Open(path, {FileAccess::kRead, INT64_MAX, &budget});
    EXPECT_EQ(second.status().code(), Code::kLimitReached);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST_F(FileTest, ReleasedPagesLeaveResidentMemory) {
  constexpr int64_t kBytes = 8 << 20;
  MappedFile::Ref file = *MappedFile::Open(Make("big", std::string(kBytes, 'x')));
  auto resident = [] {
    int64_t total, pages = 0;
    std::ifstream("/proc/self/statm") >> total >> pages;
    return pages * sysconf(_SC_PAGESIZE);
  };
  auto touch = [&] {
    int64_t sum = 0;
    for (int64_t i = 0; i < kBytes; i += 4096) sum += static_cast<int>(file->data()[i]);
    return sum;
  };
  EXPECT_EQ(touch(), 'x' * (kBytes / 4096));
  int64_t before = resident();
  file->ReleasePages(0, kBytes);
  EXPECT_LT(resident(), before - kBytes / 2);
  EXPECT_EQ(touch(), 'x' * (kBytes / 4096));
}

TEST_F(FileTest, EmptyFile) {
  Make("empty", "");
  for (const FileOptions& options : {FileOptions{}, kRead}) {
    Result<MappedFile::Ref> file = MappedFile::Open(Path("empty"), options);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ((*file)->size(), 0);
    (*file)->ReleasePages(0, 100);
  }
}

TEST_F(FileTest, RefusesWhatIsNotARegularFileWithoutBlocking) {
  alarm(20);
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_NE(Why(MappedFile::Open(Path("missing"))).find("no such file"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open(root_)).find("it is a folder"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open(Path("fifo"))).find("it is a FIFO"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open("/dev/zero")).find("it is a device"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open(Make("f", "x") + "/below")).find("not a folder"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open(Path(std::string(300, 'n')))).find("too long"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open(std::string("/dev\0/x", 7))).find("NUL"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open("")).find("empty"), std::string::npos);
  EXPECT_NE(Why(MappedFile::Open(Make("f", "12345"), {FileAccess::kMap, 4})).find("5 bytes"), std::string::npos);
  if (geteuid() != 0) {
    chmod(Make("secret", "x").c_str(), 0);
    EXPECT_NE(Why(MappedFile::Open(Path("secret"))).find("permission"), std::string::npos);
  }
  alarm(0);
}

TEST_F(FileTest, OpensBeneathAFolder) {
  Make("model/weights.bin", "w");
  Make("model/deep/er/onnx::MatMul_1", "d");
  for (const std::string& folder : {Path("model"), Path("model/"), Path("model/deep/..")}) {
    Result<MappedFile::Ref> file = MappedFile::OpenBeneath(folder, "weights.bin");
    ASSERT_TRUE(file.ok()) << Why(file);
    EXPECT_EQ((*file)->bytes(), "w");
    EXPECT_EQ((*MappedFile::OpenBeneath(folder, "deep/er/onnx::MatMul_1", kRead))->bytes(), "d");
  }
  fs::create_directory_symlink(Path("model"), Path("link"));
  EXPECT_TRUE(MappedFile::OpenBeneath(Path("link"), "weights.bin").ok()) << "the folder itself is the user's choice";
}

TEST_F(FileTest, BeneathRefusesPathsThatLeadElsewhere) {
  Make("secret", "s");
  Make("model/a/b", "x");
  using namespace std::string_view_literals;
  for (std::string_view path :
       {""sv, "."sv, ".."sv, "../secret"sv, "a/../../secret"sv, "a/.."sv, "./a/b"sv, "a/./b"sv, "/etc/passwd"sv,
        "//etc/passwd"sv, "a//b"sv, "a/b/"sv, "/"sv, "C:/b"sv, "c:b"sv, "C:\\b"sv, "a\\b"sv, "\\\\host\\share\\b"sv,
        "..\\secret"sv, "a/b\0"sv, "\0"sv, "a\0/../../secret"sv}) {
    Result<MappedFile::Ref> file = MappedFile::OpenBeneath(Path("model"), path);
    EXPECT_EQ(file.status().code(), Code::kInvalidModel) << Quote(path);
  }
  EXPECT_FALSE(MappedFile::OpenBeneath(Path("model"), std::string(100000, 'a')).ok());
}

TEST_F(FileTest, BeneathRefusesLinksAndOddFiles) {
  alarm(20);
  Make("secret", "s");
  Make("outside/file", "o");
  Make("model/real/file", "f");
  fs::create_symlink(Path("secret"), Path("model/link"));
  fs::create_symlink("real/file", Path("model/inner_link"));
  fs::create_directory_symlink(Path("outside"), Path("model/folder_link"));
  fs::create_hard_link(Path("secret"), Path("model/hard"));
  ASSERT_EQ(mkfifo(Path("model/fifo").c_str(), 0600), 0);
  for (const char* path : {"link", "inner_link", "folder_link/file", "hard", "fifo", "real", "missing", "real/missing",
                           "missing/file", "real/file/below"}) {
    Result<MappedFile::Ref> file = MappedFile::OpenBeneath(Path("model"), path);
    EXPECT_FALSE(file.ok()) << path;
    EXPECT_NE(Why(file).find(Quote(path)), std::string::npos) << Why(file);
  }
  EXPECT_NE(Why(MappedFile::OpenBeneath(Path("model"), "hard")).find("2 hard links"), std::string::npos);
  EXPECT_TRUE(MappedFile::OpenBeneath(Path("model"), "real/file").ok());
  EXPECT_FALSE(MappedFile::OpenBeneath(Path("nowhere"), "file").ok());
  alarm(0);
}

Status WriteText(const std::string& path, std::string_view text) {
  return WriteFileAtomically(path, [&](Sink& sink) { return sink.Append(text); });
}

TEST_F(FileTest, WritesNewFilesAndReplacesOldOnes) {
  std::string big(1 << 20, 'b');
  for (const std::string& text : {std::string("first"), big, std::string()}) {
    Status status = WriteText(Path("out"), text);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(Contents(Path("out")), text);
    EXPECT_EQ(Entries(), 1);
  }
}

TEST_F(FileTest, ManyAppendsKeepOrderAndAlign) {
  std::string expected;
  Status status = WriteFileAtomically(Path("out"), [&](Sink& sink) {
    for (int i = 0; i < 3000; ++i) {
      std::string piece(static_cast<size_t>(i % 97), static_cast<char>('a' + i % 26));
      expected += piece;
      LINNET_TRY(sink.Append(piece));
    }
    LINNET_TRY(sink.Align(4096));
    expected.resize((expected.size() + 4095) / 4096 * 4096);
    EXPECT_EQ(sink.bytes(), static_cast<int64_t>(expected.size()));
    LINNET_TRY(sink.Align(64));
    return sink.Append(nullptr, 0);
  });
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Contents(Path("out")), expected);
}

TEST_F(FileTest, AFailedWriteLeavesTheOldFileAndNothingElse) {
  Make("out", "old");
  Status status = WriteFileAtomically(Path("out"), [](Sink& sink) {
    LINNET_TRY(sink.Append(std::string(200000, 'n')));
    return InvalidArgument("no weights");
  });
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("out"), std::string_view::npos);
  EXPECT_EQ(Contents(Path("out")), "old");
  EXPECT_EQ(Entries(), 1);
}

TEST_F(FileTest, AFullDiskLeavesTheOldFile) {
  Make("out", "old");
  void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
  rlimit limit, small;
  getrlimit(RLIMIT_FSIZE, &limit);
  small = {100000, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  Status status = WriteText(Path("out"), std::string(300000, 'n'));
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, before);
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("after 100000 bytes"), std::string_view::npos) << status.message();
  EXPECT_EQ(Contents(Path("out")), "old");
  EXPECT_EQ(Entries(), 1);
}

TEST_F(FileTest, KeepsPermissionsFollowsLinksRefusesOddTargets) {
  Make("real", "old");
  chmod(Path("real").c_str(), 0640);
  fs::create_symlink("real", Path("link"));
  EXPECT_TRUE(WriteText(Path("link"), "new").ok());
  EXPECT_EQ(Contents(Path("real")), "new");
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  struct stat info;
  stat(Path("real").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0640u);

  EXPECT_FALSE(WriteText(root_, "x").ok());
  EXPECT_FALSE(WriteText("/dev/null", "x").ok());
  EXPECT_FALSE(WriteText(Path("no/such/folder"), "x").ok());
  EXPECT_FALSE(WriteText("", "x").ok());
  fs::create_symlink("nowhere", Path("dangling"));
  EXPECT_FALSE(WriteText(Path("dangling"), "x").ok());
}

TEST(MemorySink, GrowsUpToItsLimit) {
  MemorySink sink(10);
  EXPECT_TRUE(sink.Append("12345").ok());
  EXPECT_TRUE(sink.Align(8).ok());
  EXPECT_EQ(sink.contents(), std::string("12345\0\0\0", 8));
  EXPECT_EQ(sink.Append("678").code(), Code::kLimitReached);
}

}  // namespace
}  // namespace linnet
