// What surrounds the runtime: forks, small stacks, floating-point modes, locales, signals, and memory while opening.
#include <gtest/gtest.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/denormals.h"
#include "hostile_util.h"

namespace linnet::hostile {
namespace {

namespace fs = std::filesystem;

const std::string kDigits = std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx";

std::unique_ptr<Session> OpenDigits(int threads) {
  SessionOptions options;
  options.threads = threads;
  auto session = Session::Open(kDigits, options);
  EXPECT_TRUE(session.ok()) << session.status().message();
  return session.ok() ? std::move(*session) : nullptr;
}
Tensor Image(const Session& session) {
  Shape shape = session.inputs()[0].type.shape;
  for (int d = 0; d < shape.rank(); ++d) shape[d] = std::max<int64_t>(shape[d], 1);
  Tensor image = Filled<float>(shape, 0);
  for (int64_t i = 0; i < image.elements(); ++i) image.mutable_as<float>()[i] = static_cast<float>(i % 11) / 11;
  return image;
}
std::string Answer(Session& session) {
  std::vector<Datum> results;
  Status status = RunSession(session, {Image(session)}, &results);
  return status.ok() ? PrintTensor(results[0].tensor) : std::string(status.message());
}

// Row 43 ------------------------------------------------------------------------------------------------------------

int ExitCodeOf(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

TEST(HostileEnvironment, ForkedChildrenRunFreeAndExit) {
  if (kThreadSanitizer) GTEST_SKIP() << "threads cannot be started after fork under this sanitizer";
  std::unique_ptr<Session> session = OpenDigits(2);
  ASSERT_TRUE(session);
  const std::string expected = Answer(*session);
  for (int round = 0; round < 3; ++round) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      bool same = Answer(*session) == expected;
      session.reset();
      auto fresh = OpenDigits(2);
      same = same && fresh && Answer(*fresh) == expected;
      _exit(same ? 0 : 1);
    }
    EXPECT_EQ(ExitCodeOf(child), 0);
    EXPECT_EQ(Answer(*session), expected);
  }
  // Forked while other threads run the session: the child frees it, and runs one of its own.
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] {
      while (!stop) EXPECT_EQ(Answer(*session), expected);
    });
  }
  for (int round = 0; round < 10; ++round) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      session.reset();
      auto fresh = OpenDigits(2);
      _exit(fresh && Answer(*fresh) == expected ? 0 : 1);
    }
    EXPECT_EQ(ExitCodeOf(child), 0);
  }
  stop = true;
  for (std::thread& thread : busy) thread.join();
  EXPECT_EQ(Answer(*session), expected);
}

/// The child runs and frees the very session that other threads were planning and running.
TEST(HostileEnvironment, ForkedChildrenRunSessionsInUse) {
  if (kThreadSanitizer) GTEST_SKIP() << "threads cannot be started after fork under this sanitizer";
  if (kAddressSanitizer) GTEST_SKIP() << "this sanitizer's allocator may be locked in a forked child";
  auto opened = OpenText(R"(graph (x: float[N,4]) -> (y) {
    a = Neg-13(x)
    b = Concat-13(a, x) {axis=0}
    y = Softmax-13(b) {axis=1}
  })");
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  std::unique_ptr<Session> session = std::move(*opened);
  auto answers = [&](int64_t rows) {
    std::vector<Datum> results;
    Status status = RunSession(*session, {Filled<float>(Shape{rows, 4}, 1)}, &results);
    return status.ok() && results[0].tensor.shape() == Shape{2 * rows, 4} && results[0].tensor.as<float>()[0] == 0.25f;
  };
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    // More shapes than the session keeps plans: every run makes one.
    busy.emplace_back([&, i] {
      for (int64_t rows = 1; !stop; rows = rows % 200 + 1) EXPECT_TRUE(answers(rows + i));
    });
  }
  for (int round = 0; round < 100; ++round) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      bool same = true;
      for (int64_t rows = 1; rows < 4; ++rows) same = same && answers(rows) && answers(rows + 100);
      session.reset();
      _exit(same ? 0 : 1);
    }
    EXPECT_EQ(ExitCodeOf(child), 0);
  }
  stop = true;
  for (std::thread& thread : busy) thread.join();
  EXPECT_TRUE(answers(7));
}

// Row 46 ------------------------------------------------------------------------------------------------------------

TEST(HostileEnvironment, SmallStacks) {
  std::string expected;
  {
    std::unique_ptr<Session> session = OpenDigits(2);
    ASSERT_TRUE(session);
    expected = Answer(*session);
  }
  OnSmallStack(128, [&] {
    std::unique_ptr<Session> session = OpenDigits(2);
    ASSERT_TRUE(session);
    EXPECT_EQ(Answer(*session), expected);
    SessionOptions options = Budgeted();
    auto loop = OpenText(R"(graph (n: int64[], x: float[2]) -> (y) {
      y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) captures (n: int64[] = n) -> (c, w) {
        w = Loop-16(n, _, v) {body=graph (j: int64[], d: bool[], u: float[2]) -> (d, t) {
          t = Add-14(u, u)
        }}
      }}
    })", options);
    ASSERT_TRUE(loop.ok()) << loop.status().message();
    Status status = RunSession(**loop, {Of<int64_t>(Shape::OfRank(0), {3}), Filled<float>(Shape{2}, 1)});
    EXPECT_TRUE(status.ok()) << status.message();
  });
}

TEST(HostileEnvironment, TheHostsFloatingPointModeChangesNothingAndComesBack) {
  // 1/3 + 2/3 folds when the model is opened, x / 3 is computed when it runs; both round to nearest.
  const char* text = R"(graph (x: float[2]) -> (y, z) {
    a = const float[2]{1, 2}
    b = const float[2]{3, 7}
    c = Div-14(a, b)
    y = Div-14(x, b)
    z = Add-14(c, x)
  })";
  auto run = [&] {
    std::string out;
    auto session = OpenText(text);
    if (!session.ok()) return std::string(session.status().message());
    std::vector<Datum> results;
    Status status = RunSession(**session, {List<float>({1e-20f, 10})}, &results);
    if (!status.ok()) return std::string(status.message());
    return std::string(results[0].tensor.as<char>(), 8) + std::string(results[1].tensor.as<char>(), 8);
  };
  const std::string expected = run();
  const uint64_t plain = ReadFloatMode();
  for (int rounding : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(rounding);
    uint64_t before = ReadFloatMode();
    std::string got = run();
    EXPECT_EQ(ReadFloatMode() & ~uint64_t{0x3F}, before & ~uint64_t{0x3F});  // but for the sticky flags
    EXPECT_EQ(std::fegetround(), rounding);
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(got, expected);
  }
#if defined(__SSE__) && defined(__GLIBC__)
  // A host that lets divisions by zero trap: 0 / 0 in a model is a number, when folded and when run.
  pid_t child = fork();
  if (child == 0) {
    feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    uint64_t before = ReadFloatMode();
    auto session = OpenText(R"(graph (x: float[2]) -> (y, z) {
      a = const float[2]{0, 1}
      b = const float[2]{0, 0}
      y = Div-14(a, b)
      z = Div-14(x, b)
    })");
    bool good = session.ok() && RunSession(**session, {List<float>({0, 1})}).ok();
    _exit(good && (ReadFloatMode() & 0x1F80) == (before & 0x1F80) ? 0 : 1);
  }
  EXPECT_EQ(ExitCodeOf(child), 0);
#endif
  WriteFloatMode(plain);
}

TEST(HostileEnvironment, ALocaleWithDecimalCommas) {
  const char* name = nullptr;
  for (const char* candidate : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8"}) {
    if (setlocale(LC_ALL, candidate)) name = candidate;
    if (name) break;
  }
  fs::path folder = fs::temp_directory_path() / ("linnet_locale_" + std::to_string(getpid()));
  if (!name) {  // made for this test where the system has the means
    fs::create_directories(folder);
    std::string command = "localedef -i de_DE -f UTF-8 --no-archive '" + (folder / "de_DE.UTF-8").string() + "' > /dev/null 2>&1";
    int ignored = system(command.c_str());
    (void)ignored;
    setenv("LOCPATH", folder.c_str(), 1);
    if (setlocale(LC_ALL, "de_DE.UTF-8")) name = "de_DE.UTF-8";
    unsetenv("LOCPATH");
    fs::remove_all(folder);
  }
  if (!name) GTEST_SKIP() << "no locale with decimal commas can be had";
  ASSERT_STREQ(localeconv()->decimal_point, ",");
  Result<Graph> graph = ParseGraph("graph () -> (y) {\n  y = const float[2]{1.5, -0.25}\n}\n");
  std::string printed = graph.ok() ? PrintGraph(*graph) : std::string(graph.status().message());
  std::string why = Why(OpenAndRun("graph (x: float[1]) -> (y) {\n y = LeakyRelu-16(x) {alpha=0.5}\n}", {Filled<float>(Shape{1}, 1)}));
  std::string cast;
  auto session = OpenText("graph (x: float[1]) -> (y) {\n y = Cast-13(x) {to=8}\n}");
  std::vector<Datum> results;
  if (session.ok() && RunSession(**session, {Filled<float>(Shape{1}, 1.5f)}, &results).ok()) cast = results[0].tensor.as<std::string>()[0];
  setlocale(LC_ALL, "C");
  EXPECT_NE(printed.find("1.5, -0.25"), std::string::npos) << printed;
  EXPECT_EQ(why, "");
  EXPECT_EQ(cast, "1.5");
}

TEST(HostileEnvironment, SignalsArriveWhileItRuns) {
  std::unique_ptr<Session> session = OpenDigits(2);
  ASSERT_TRUE(session);
  const std::string expected = Answer(*session);
  struct sigaction action = {}, before = {};
  static std::atomic<int> arrived;
  arrived = 0;
  action.sa_handler = [](int) { ++arrived; };
  sigaction(SIGALRM, &action, &before);
  itimerval every = {{0, 500}, {0, 500}}, never = {};
  setitimer(ITIMER_REAL, &every, nullptr);
  for (int i = 0; i < 200; ++i) {
    auto again = i % 20 == 0 ? OpenDigits(2) : nullptr;
    EXPECT_EQ(Answer(again ? *again : *session), expected);
  }
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  EXPECT_GT(arrived.load(), 3);
}

// Memory while opening ----------------------------------------------------------------------------------------------

int64_t StatusKilobytes(const char* field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(field)) return std::stoll(line.substr(std::string(field).size() + 1));
  }
  return -1;
}

/// A chain of matrix products of 1024 rows each, whose weights are a hole in the file: made in no time.
int64_t WriteLargeModel(const fs::path& path, int nodes_count, int64_t columns) {
  constexpr int64_t kRows = 1024;
  const int64_t bytes = kRows * columns * 4;
  std::vector<Proto> heads;
  Proto nodes;
  int64_t graph_bytes = 0;
  for (int i = 0; i < nodes_count; ++i) {
    nodes.Msg(1, NodeProto("MatMul", {Cat("v", i), Cat("w", i)}, {Cat("v", i + 1)}));
    Proto tensor = TensorHeader(Cat("w", i), 1, {kRows, columns}).Tag(9, 2).Varint(static_cast<uint64_t>(bytes));
    heads.push_back(Proto().Tag(5, 2).Varint(tensor.bytes().size() + static_cast<uint64_t>(bytes)).Raw(tensor.bytes()));
    graph_bytes += static_cast<int64_t>(heads.back().bytes().size()) + bytes;
  }
  nodes.Str(2, "g").Msg(11, TensorValue("v0", 1, {"N", "1024"})).Msg(12, UntypedValue(Cat("v", nodes_count)));
  graph_bytes += static_cast<int64_t>(nodes.bytes().size());
  std::ofstream file(path, std::ios::binary);
  auto write = [&](const Proto& proto) { file.write(proto.bytes().data(), static_cast<std::streamsize>(proto.bytes().size())); };
  write(Proto().Int(1, 8).Msg(8, OpsetProto("", 17)).Tag(7, 2).Varint(static_cast<uint64_t>(graph_bytes)));
  write(nodes);
  for (const Proto& head : heads) {
    write(head);
    file.seekp(bytes - 1, std::ios::cur);
    file.put('\0');
  }
  return file.tellp();
}

/// The program of its own that the test below starts: prints by how many bytes opening a model raised the mark.
TEST(HostileEnvironment, HighWaterOfAModel) {
  const char* path = getenv("LINNET_TEST_HIGH_WATER");
  if (!path) GTEST_SKIP() << "a part of the tests below";
  int64_t before = StatusKilobytes("VmHWM:");
  SessionOptions options;
  options.threads = 1;
  auto session = Session::Open(path, options);
  ASSERT_TRUE(session.ok()) << session.status().message();
  printf("grown by %lld bytes\n", static_cast<long long>((StatusKilobytes("VmHWM:") - before) * 1024));
}

void ExpectHighWater(int nodes, int64_t columns, double file_share) {
  fs::path path = fs::temp_directory_path() / ("linnet_large_" + std::to_string(getpid()) + ".onnx");
  int64_t file_bytes = WriteLargeModel(path, nodes, columns);
  ASSERT_GT(file_bytes, 100'000'000);
  std::string command = "LINNET_TEST_HIGH_WATER='" + path.string() + "' '" + fs::read_symlink("/proc/self/exe").string() +
                        "' --gtest_filter=HostileEnvironment.HighWaterOfAModel";
  std::string output;
  if (FILE* child = popen(command.c_str(), "r")) {
    for (int c = fgetc(child); c != EOF; c = fgetc(child)) output += static_cast<char>(c);
    EXPECT_EQ(pclose(child), 0) << output;
  }
  fs::remove(path);
  size_t at = output.find("grown by ");
  ASSERT_NE(at, std::string::npos) << output;
  int64_t grown = std::stoll(output.substr(at + 9));
  EXPECT_GT(grown, file_bytes / 2) << "the weights must be somewhere";
  EXPECT_LT(static_cast<double>(grown), file_share * static_cast<double>(file_bytes));
}

TEST(HostileEnvironment, HighWaterWhileOpening100Megabytes) { ExpectHighWater(25, 1024, 1.15); }
TEST(HostileEnvironment, HighWaterOfOneLargeMatrix) { ExpectHighWater(1, 25000, 1.15); }

}  // namespace
}  // namespace linnet::hostile
