// The C API: opening sessions, options, what a session says of its model, hostile arguments.
#include <string.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "api_test_util.h"
#include "base/system.h"

namespace linnet_test {
namespace {

const char* const kRelu = "graph relu (x: float[2,N]) -> (y: float[2,N]) { y: float[2,N] = Relu-14(x) @layer }";

TEST(ApiSession, VersionsAndNames) {
  EXPECT_EQ(LinnetApiVersion(), static_cast<uint32_t>(LINNET_API_VERSION));
  EXPECT_GE(strlen(LinnetVersion()), 5u);
  EXPECT_STREQ(LinnetCodeName(LINNET_LIMIT_REACHED), "limit reached");
  EXPECT_STREQ(LinnetCodeName(77), "unknown code");
  EXPECT_STREQ(LinnetElementTypeName(LINNET_BFLOAT16), "bfloat16");
  EXPECT_STREQ(LinnetElementTypeName(-4), "unknown");
  EXPECT_EQ(LinnetTensorBytes(LINNET_DOUBLE, 3), 24);
  EXPECT_EQ(LinnetTensorBytes(LINNET_INT4, 3), 2);
  EXPECT_EQ(LinnetTensorBytes(LINNET_STRING, 2), static_cast<int64_t>(2 * sizeof(LinnetString)));
  EXPECT_EQ(LinnetTensorBytes(99, 3), -1);
  EXPECT_EQ(LinnetTensorBytes(LINNET_DOUBLE, INT64_MAX), -1);
  EXPECT_EQ(LinnetTensorBytes(LINNET_STRING, INT64_MAX / 2), -1);
}

TEST(ApiSession, SaysWhatTheModelIs) {
  LinnetSession* session = OpenText(kRelu);
  size_t inputs = 0, outputs = 0;
  ASSERT_OK(LinnetSessionPortCounts(session, &inputs, &outputs));
  EXPECT_EQ(inputs, 1u);
  EXPECT_EQ(outputs, 1u);
  LinnetPort port = {};
  port.struct_size = sizeof port;
  ASSERT_OK(LinnetSessionInput(session, 0, &port));
  EXPECT_STREQ(port.name, "x");
  EXPECT_EQ(port.name_size, 1u);
  EXPECT_EQ(port.type.kind, LINNET_KIND_TENSOR);
  EXPECT_EQ(port.type.element, LINNET_FLOAT);
  EXPECT_EQ(port.type.rank, 2);
  EXPECT_EQ(port.type.shape[0], 2);
  EXPECT_LT(port.type.shape[1], -1);
  EXPECT_EQ(port.symbols[0], nullptr);
  EXPECT_STREQ(port.symbols[1], "N");
  EXPECT_EQ(port.has_default, 0);
  int64_t symbol = port.type.shape[1];
  ASSERT_OK(LinnetSessionOutput(session, 0, &port));
  EXPECT_STREQ(port.name, "y");
  EXPECT_EQ(port.type.shape[1], symbol);

  LinnetModelInfo info = {};
  info.struct_size = sizeof info;
  ASSERT_OK(LinnetSessionInfo(session, &info));
  EXPECT_EQ(info.ir_version, 8);
  EXPECT_EQ(info.model_version, 3);
  EXPECT_STREQ(info.producer_name, "a test");
  EXPECT_STREQ(info.producer_version, "7");
  EXPECT_STREQ(info.domain, "test.example");
  EXPECT_STREQ(info.graph_name, "relu");
  EXPECT_STREQ(info.doc_string, "made from text");
  ASSERT_EQ(info.opset_count, 1u);
  ASSERT_EQ(info.metadata_count, 2u);
  const char *domain = nullptr, *key = nullptr, *value = nullptr;
  int64_t version = 0;
  ASSERT_OK(LinnetSessionOpset(session, 0, &domain, &version));
  EXPECT_STREQ(domain, "");
  EXPECT_EQ(version, 14);
  ASSERT_OK(LinnetSessionMetadata(session, 1, &key, &value));
  EXPECT_STREQ(key, "size");
  EXPECT_STREQ(value, "2");
  EXPECT_FAILS(LinnetSessionMetadata(session, 2, &key, &value), LINNET_INVALID_ARGUMENT, "2 of 2");
  EXPECT_FAILS(LinnetSessionOpset(session, 1, &domain, &version), LINNET_INVALID_ARGUMENT, "1 of 1");
  EXPECT_FAILS(LinnetSessionInput(session, 1, &port), LINNET_INVALID_ARGUMENT, "1 of 1");
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiSession, OlderAndShorterStructsAreServed) {
  LinnetSession* session = OpenText(kRelu);
  LinnetModelInfo info;
  memset(&info, 0x5A, sizeof info);
  info.struct_size = offsetof(LinnetModelInfo, model_version);
  ASSERT_OK(LinnetSessionInfo(session, &info));
  EXPECT_EQ(info.ir_version, 8);
  EXPECT_EQ(info.model_version, 0x5A5A5A5A5A5A5A5A) << "beyond the caller's struct";
  info.struct_size = 0;
  EXPECT_FAILS(LinnetSessionInfo(session, &info), LINNET_INVALID_ARGUMENT, "struct_size");
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiSession, HandlesAreChecked) {
  LinnetSession* session = OpenText(kRelu);
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  size_t count;
  // Of another kind, invented, NULL, closed, closed twice.
  EXPECT_FAILS(LinnetSessionPortCounts(reinterpret_cast<LinnetSession*>(options), &count, nullptr), LINNET_INVALID_ARGUMENT,
               "no open session handle");
  EXPECT_FAILS(LinnetOptionsSetThreads(reinterpret_cast<LinnetOptions*>(session), 1), LINNET_INVALID_ARGUMENT,
               "no open options handle");
  for (uintptr_t invented : {uintptr_t{1}, uintptr_t{0xFFFFFFFF}, ~uintptr_t{0}, reinterpret_cast<uintptr_t>(&count)}) {
    EXPECT_FAILS(LinnetSessionPortCounts(reinterpret_cast<LinnetSession*>(invented), &count, nullptr),
                 LINNET_INVALID_ARGUMENT, "no open session handle");
    EXPECT_EQ(LinnetSessionClose(reinterpret_cast<LinnetSession*>(invented)), LINNET_INVALID_ARGUMENT);
  }
  EXPECT_FAILS(LinnetSessionPortCounts(nullptr, &count, nullptr), LINNET_INVALID_ARGUMENT, "no open session handle");
  EXPECT_OK(LinnetSessionClose(nullptr));
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_FAILS(LinnetSessionPortCounts(session, &count, nullptr), LINNET_INVALID_ARGUMENT, "no open session handle");
  EXPECT_FAILS(LinnetSessionClose(session), LINNET_INVALID_ARGUMENT, "no open session handle");
  // The slot is used again; the old handle is not the new one.
  LinnetSession* next = OpenText(kRelu);
  EXPECT_EQ(LinnetSessionClose(session), LINNET_INVALID_ARGUMENT);
  EXPECT_OK(LinnetSessionPortCounts(next, &count, nullptr));
  EXPECT_OK(LinnetSessionClose(next));
  EXPECT_OK(LinnetOptionsClose(options));
  LinnetSession* other = next;
  EXPECT_EQ(LinnetSessionOpen("x.onnx", options, &other), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(other, nullptr);
}

TEST(ApiSession, OpeningFailsWithASentence) {
  LinnetSession* session = nullptr;
  EXPECT_FAILS(LinnetSessionOpen("/nonexistent/model.onnx", nullptr, &session), LINNET_IO, "no such file");
  EXPECT_FAILS(LinnetSessionOpen("/", nullptr, &session), LINNET_IO, "'/'");
  EXPECT_FAILS(LinnetSessionOpen(nullptr, nullptr, &session), LINNET_INVALID_ARGUMENT, "'path' is NULL");
  EXPECT_FAILS(LinnetSessionOpen("x", nullptr, nullptr), LINNET_INVALID_ARGUMENT, "'session' is NULL");
  EXPECT_FAILS(LinnetSessionFromMemory("hello", 5, nullptr, &session), LINNET_INVALID_MODEL, "");
  EXPECT_FAILS(LinnetSessionFromMemory(nullptr, 5, nullptr, &session), LINNET_INVALID_ARGUMENT, "'bytes' is NULL");
  EXPECT_FAILS(LinnetSessionFromMemory("x", SIZE_MAX, nullptr, &session), LINNET_INVALID_ARGUMENT, "cannot be");
  std::string unknown = ModelBytes("graph (x: float[2]) -> (y: float[2]) { y = Wobble-14(x) @here }");
  EXPECT_FAILS(LinnetSessionFromMemory(unknown.data(), unknown.size(), nullptr, &session), LINNET_UNSUPPORTED, "'Wobble'");
  EXPECT_EQ(session, nullptr);
}

TEST(ApiSession, BorrowedBytesAreReleasedOnce) {
  std::string bytes = ModelBytes(kRelu);
  int released = 0;
  auto release = [](void* user) { ++*static_cast<int*>(user); };
  LinnetSession* session = nullptr;
  ASSERT_OK(LinnetSessionFromBorrowed(bytes.data(), bytes.size(), release, &released, nullptr, &session));
  EXPECT_LE(released, 1);
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_EQ(released, 1);
  EXPECT_EQ(LinnetSessionFromBorrowed("bad", 3, release, &released, nullptr, &session), LINNET_INVALID_MODEL);
  EXPECT_EQ(released, 2);
  EXPECT_EQ(LinnetSessionFromBorrowed(nullptr, 3, release, &released, nullptr, &session), LINNET_INVALID_ARGUMENT);
  EXPECT_EQ(released, 3);
}

TEST(ApiSession, WrongOptionsAreRefused) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  EXPECT_FAILS(LinnetOptionsSetThreads(options, -1), LINNET_INVALID_ARGUMENT, "-1");
  EXPECT_FAILS(LinnetOptionsSetMemoryLimit(options, -5), LINNET_INVALID_ARGUMENT, "-5");
  EXPECT_FAILS(LinnetOptionsSetTimeLimit(options, -5), LINNET_INVALID_ARGUMENT, "-5");
  EXPECT_FAILS(LinnetOptionsSetStepLimit(options, INT64_MIN), LINNET_INVALID_ARGUMENT, "step limit");
  EXPECT_FAILS(LinnetOptionsSetOptimization(options, 3), LINNET_INVALID_ARGUMENT, "level 3");
  EXPECT_FAILS(LinnetOptionsDisablePass(options, nullptr), LINNET_INVALID_ARGUMENT, "'name' is NULL");
  EXPECT_FAILS(LinnetOptionsSetLog(options, 9, nullptr, nullptr), LINNET_INVALID_ARGUMENT, "level 9");
  LinnetThreadPool* pool = nullptr;
  EXPECT_FAILS(LinnetThreadPoolCreate(0, &pool), LINNET_INVALID_ARGUMENT, "0 threads");
  EXPECT_FAILS(LinnetThreadPoolCreate(1000, &pool), LINNET_INVALID_ARGUMENT, "1000 threads");
  EXPECT_FAILS(LinnetOptionsSetThreadPool(options, reinterpret_cast<LinnetThreadPool*>(options)), LINNET_INVALID_ARGUMENT,
               "no open thread pool");

  std::string bytes = ModelBytes(kRelu);
  LinnetSession* session = nullptr;
  auto open = [&] { return LinnetSessionFromMemory(bytes.data(), bytes.size(), options, &session); };
  EXPECT_OK(LinnetOptionsDisablePass(options, "no_such_pass"));
  EXPECT_FAILS(open(), LINNET_INVALID_ARGUMENT, "no_such_pass");
  EXPECT_OK(LinnetOptionsClose(options));
  ASSERT_OK(LinnetOptionsCreate(&options));
  EXPECT_OK(LinnetOptionsSetCpu(options, "z80"));
  EXPECT_FAILS(open(), LINNET_INVALID_ARGUMENT, "z80");
  EXPECT_OK(LinnetOptionsSetCpu(options, nullptr));
  EXPECT_OK(LinnetOptionsSetProvider(options, "abacus"));
  EXPECT_FAILS(open(), LINNET_INVALID_ARGUMENT, "abacus");
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiSession, PrecisionIsAnOptionAndASentence) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  for (const char* precision : {"f32", "bf16"}) {
    EXPECT_OK(LinnetOptionsSetPrecision(options, precision));
    LinnetSession* session = OpenText(kRelu, options);
    LinnetModelInfo info = {};
    info.struct_size = sizeof info;
    ASSERT_OK(LinnetSessionInfo(session, &info));
    EXPECT_STREQ(info.precision, precision);
    EXPECT_OK(LinnetSessionClose(session));
  }
  std::string bytes = ModelBytes(kRelu);
  LinnetSession* session = nullptr;
  EXPECT_OK(LinnetOptionsSetProvider(options, "reference"));
  EXPECT_FAILS(LinnetSessionFromMemory(bytes.data(), bytes.size(), options, &session), LINNET_INVALID_ARGUMENT, "f32 only");
  EXPECT_OK(LinnetOptionsSetProvider(options, nullptr));
  EXPECT_OK(LinnetOptionsSetPrecision(options, "f31"));
  EXPECT_FAILS(LinnetSessionFromMemory(bytes.data(), bytes.size(), options, &session), LINNET_INVALID_ARGUMENT, "f31");
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiSession, OptionsReachTheSession) {
  LinnetOptions* options = nullptr;
  LinnetThreadPool* pool = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetThreadPoolCreate(2, &pool));
  EXPECT_OK(LinnetOptionsSetThreadPool(options, pool));
  EXPECT_OK(LinnetThreadPoolClose(pool));  // the options hold it
  EXPECT_OK(LinnetOptionsSetCpu(options, LowestCpu()));
  EXPECT_OK(LinnetOptionsSetProvider(options, "cpu"));
  EXPECT_OK(LinnetOptionsSetOptimization(options, 1));
  EXPECT_OK(LinnetOptionsDisablePass(options, "simplify"));
  EXPECT_OK(LinnetOptionsSetUntrusted(options, 1));
  std::vector<std::string> messages;
  auto log = [](void* user, LinnetLogLevel level, const char* message) {
    EXPECT_LE(level, LINNET_LOG_INFO);
    static_cast<std::vector<std::string>*>(user)->push_back(message);
  };
  EXPECT_OK(LinnetOptionsSetLog(options, LINNET_LOG_INFO, log, &messages));
  LinnetSession *one = nullptr, *two = nullptr;
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &one));
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &two));
  EXPECT_OK(LinnetOptionsClose(options));
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_NE(messages[0].find("for 2 threads"), std::string::npos) << messages[0];
  int64_t used = 0, peak = 0;
  EXPECT_OK(LinnetSessionMemory(one, &used, &peak));
  EXPECT_GT(used, 0);
  EXPECT_GE(peak, used);
  EXPECT_OK(LinnetSessionClose(one));
  EXPECT_OK(LinnetSessionClose(two));
}

TEST(ApiSession, CachesWhatItPrepares) {
  namespace fs = std::filesystem;
  const std::string folder = TemporaryPath("cache"), nowhere = TemporaryPath("missing") + "/a/b";
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28), expected = LastFloats(DigitsOutputPath(), 10);
  auto files = [&] {
    std::vector<fs::path> found;
    if (fs::exists(folder)) {
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() != ".name") found.push_back(entry.path());
      }
    }
    return found;
  };
  auto check = [&](const std::string& cache, int level) {
    LinnetOptions* options = nullptr;
    ASSERT_OK(LinnetOptionsCreate(&options));
    ASSERT_OK(LinnetOptionsSetCacheFolder(options, cache.c_str()));
    ASSERT_OK(LinnetOptionsSetOptimization(options, level));
    LinnetSession* session = nullptr;
    ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &session));
    float probabilities[10];
    int64_t shape[] = {1, 1, 28, 28};
    LinnetInput input = FloatInput("image", image.data(), shape, 4);
    LinnetOutput output = Into("probabilities", probabilities, sizeof probabilities);
    ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
    for (int i = 0; i < 10; ++i) EXPECT_NEAR(probabilities[i], expected[static_cast<size_t>(i)], 1e-5);
    EXPECT_OK(LinnetSessionClose(session));
    EXPECT_OK(LinnetOptionsClose(options));
  };
  check(folder, 2);
  ASSERT_EQ(files().size(), 1u);
  const fs::path kept = files()[0];
  EXPECT_EQ(kept.extension(), ".linnet");
  const auto made = fs::last_write_time(kept);
  const auto size = fs::file_size(kept);
  check(folder, 2);
  EXPECT_EQ(fs::last_write_time(kept), made);   // used as it is
  check(folder, 1);
  EXPECT_EQ(files().size(), 2u);                // other passes, another file
  fs::resize_file(kept, size / 2);              // damaged: made again
  check(folder, 2);
  EXPECT_EQ(fs::file_size(kept), size);
  fs::remove_all(folder);                       // deleted: made again
  check(folder, 2);
  EXPECT_EQ(files().size(), 1u);
  check(nowhere, 2);                            // cannot be written: opened as without it
}

TEST(ApiSession, CacheKnowsUnchangedFilesAndNoticesEveryChange) {
  namespace fs = std::filesystem;
  const std::string folder = TemporaryPath("cache"), path = TemporaryPath("changing.onnx");
  auto write = [&](const char* w) {
    std::fstream file(path, fs::exists(path) ? std::ios::in | std::ios::out | std::ios::binary : std::ios::out | std::ios::binary);
    file << ModelBytes(std::string("graph (x: float[2]) -> (y: float[2]) { w = const float[2]{") + w + "} y: float[2] = Add-14(x, w) }");
  };
  auto first_sum = [&] {
    LinnetOptions* options = nullptr;
    LinnetSession* session = nullptr;
    EXPECT_OK(LinnetOptionsCreate(&options));
    EXPECT_OK(LinnetOptionsSetCacheFolder(options, folder.c_str()));
    EXPECT_OK(LinnetSessionOpen(path.c_str(), options, &session));
    float x[] = {1, 2}, y[] = {0, 0};
    int64_t shape[] = {2};
    LinnetInput input = FloatInput("x", x, shape, 1);
    LinnetOutput output = Into("y", y, sizeof y);
    EXPECT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
    EXPECT_OK(LinnetSessionClose(session));
    EXPECT_OK(LinnetOptionsClose(options));
    return y[0];
  };
  auto notes = [&] {
    int count = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) count += entry.path().extension() == ".name";
    return count;
  };
  write("10, 20");
  EXPECT_EQ(first_sum(), 11);
  EXPECT_EQ(notes(), 0);   // another change within its clock's step would not be seen
  std::this_thread::sleep_for(std::chrono::milliseconds(3100));
  EXPECT_EQ(first_sum(), 11);
  EXPECT_EQ(notes(), linnet::FileIdentity(path).empty() ? 0 : 1);   // there is none on some systems
  EXPECT_EQ(first_sum(), 11);
  // Other contents in place, and the time of before.
  const auto written = fs::last_write_time(path);
  const auto size = fs::file_size(path);
  write("30, 40");
  fs::last_write_time(path, written);
  EXPECT_EQ(fs::file_size(path), size);
  EXPECT_EQ(first_sum(), 31);
  // A note that leads nowhere, or is none.
  for (const char* text : {"0123456789abcdef0123456789abcdef", "../../../../../../etc/passwd12345", ""}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".name") std::ofstream(entry.path()) << text;
    }
    EXPECT_EQ(first_sum(), 31);
  }
}

TEST(ApiSession, ConvertsAndRunsWhatItWrote) {
  std::string prepared = TemporaryPath("digits.linnet"), optimized = TemporaryPath("digits.onnx");
  ASSERT_OK(LinnetConvert(DigitsPath().c_str(), prepared.c_str(), nullptr));
  ASSERT_OK(LinnetConvert(DigitsPath().c_str(), optimized.c_str(), nullptr));
  EXPECT_FAILS(LinnetConvert(DigitsPath().c_str(), "x.tflite", nullptr), LINNET_INVALID_ARGUMENT, "'x.tflite'");
  EXPECT_FAILS(LinnetConvert("/nonexistent", prepared.c_str(), nullptr), LINNET_IO, "no such file");
  EXPECT_FAILS(LinnetConvert(nullptr, prepared.c_str(), nullptr), LINNET_INVALID_ARGUMENT, "'model' is NULL");
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28), expected = LastFloats(DigitsOutputPath(), 10);
  std::ifstream file(prepared, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  LinnetSession* sessions[5] = {};
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), nullptr, &sessions[0]));
  ASSERT_OK(LinnetSessionOpen(prepared.c_str(), nullptr, &sessions[1]));
  ASSERT_OK(LinnetSessionOpen(optimized.c_str(), nullptr, &sessions[2]));
  // One byte further, so that the file is not aligned.
  std::string shifted = "x" + bytes;
  ASSERT_OK(LinnetSessionFromBorrowed(shifted.data() + 1, bytes.size(), nullptr, nullptr, nullptr, &sessions[3]));
  // Read and verified; other formats have nothing to verify.
  LinnetOptions* careful = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&careful));
  EXPECT_OK(LinnetOptionsSetRead(careful, 1));
  EXPECT_OK(LinnetOptionsSetVerify(careful, 1));
  ASSERT_OK(LinnetSessionOpen(prepared.c_str(), careful, &sessions[4]));
  LinnetSession* refused = nullptr;
  EXPECT_FAILS(LinnetSessionOpen(optimized.c_str(), careful, &refused), LINNET_INVALID_ARGUMENT, "only .linnet files have checksums");
  std::string damaged = bytes;
  damaged[bytes.size() - 200] = static_cast<char>(damaged[bytes.size() - 200] ^ 1);
  EXPECT_FAILS(LinnetSessionFromMemory(damaged.data(), damaged.size(), careful, &refused), LINNET_INVALID_MODEL, "its checksum differs");
  EXPECT_OK(LinnetOptionsClose(careful));
  for (LinnetSession* session : sessions) {
    float probabilities[10];
    int64_t shape[] = {1, 1, 28, 28};
    LinnetInput input = FloatInput("image", image.data(), shape, 4);
    LinnetOutput output = Into("probabilities", probabilities, sizeof probabilities);
    ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
    EXPECT_EQ(output.type.rank, 2);
    EXPECT_EQ(output.type.shape[1], 10);
    for (int i = 0; i < 10; ++i) EXPECT_NEAR(probabilities[i], expected[static_cast<size_t>(i)], 1e-5);
    EXPECT_OK(LinnetSessionClose(session));
  }
}

/// y = x + w, with w's contents in a file "w.bin": data_location EXTERNAL and its location, by the fields of onnx.proto.
std::string ModelWithExternalData() {
  auto field = [](int number, const std::string& text) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(text.size()) + text;
  };
  auto varint = [](int number, int value) { return std::string({static_cast<char>(number << 3), static_cast<char>(value)}); };
  auto value = [&](const std::string& name) {
    std::string type = field(1, varint(1, 1) + field(2, field(1, varint(1, 2))));
    return field(1, name) + field(2, type);
  };
  std::string entry = field(1, "location") + field(2, "w.bin");
  std::string tensor = varint(1, 2) + varint(2, 1) + field(8, "w") + field(13, entry) + varint(14, 1);
  std::string node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "Add");
  std::string graph = field(1, node) + field(2, "g") + field(5, tensor) + field(11, value("x")) + field(12, value("y"));
  return varint(1, 8) + field(7, graph) + field(8, varint(2, 17));
}

TEST(ApiSession, DoesNotCacheWhatFollowsFromMore) {
  namespace fs = std::filesystem;
  const std::string models = TemporaryPath("models"), folder = TemporaryPath("cache");
  fs::create_directory(models);
  float w[] = {10, 20};
  std::ofstream(models + "/w.bin", std::ios::binary).write(reinterpret_cast<const char*>(w), sizeof w);
  std::ofstream(models + "/external.onnx", std::ios::binary) << ModelWithExternalData();
  // An input with a default may be fed.
  std::ofstream(models + "/default.onnx", std::ios::binary) << ModelBytes(
      "graph (x: float[2], w: float[2] = float[2]{10, 20}) -> (y: float[2]) { y: float[2] = Add-14(x, w) }");
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetCacheFolder(options, folder.c_str()));
  for (const char* name : {"/external.onnx", "/default.onnx"}) {
    LinnetSession* session = nullptr;
    ASSERT_OK(LinnetSessionOpen((models + name).c_str(), options, &session));
    EXPECT_OK(LinnetSessionClose(session));
    EXPECT_FALSE(fs::exists(folder)) << name;
  }
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiSession, ExternalDataOfAModelFromMemoryNeedsAFolder) {
  const std::string model = ModelWithExternalData();
  std::string path = TemporaryPath("w.bin");
  float w[] = {10, 20};
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(w), sizeof w);

  LinnetSession* session = nullptr;
  EXPECT_FAILS(LinnetSessionFromMemory(model.data(), model.size(), nullptr, &session), LINNET_INVALID_ARGUMENT,
               "no folder for external data");
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetExternalDataFolder(options, std::filesystem::path(path).parent_path().string().c_str()));
  ASSERT_OK(LinnetSessionFromMemory(model.data(), model.size(), options, &session));
  float x[] = {1, 2}, y[2];
  int64_t shape[] = {2};
  LinnetInput input = FloatInput("x", x, shape, 1);
  LinnetOutput output = Into("y", y, sizeof y);
  ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
  EXPECT_EQ(y[0], 11);
  EXPECT_EQ(y[1], 22);
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiSession, ProfilingGoesToTheGetterAndTheFile) {
  std::string path = TemporaryPath("trace.json");
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetProfiling(options, 1, path.c_str()));
  LinnetSession* session = OpenText(kRelu, options);
  EXPECT_OK(LinnetOptionsClose(options));
  float x[] = {-1, 2}, y[2];
  int64_t shape[] = {2, 1};
  LinnetInput input = FloatInput("x", x, shape, 2);
  LinnetOutput output = Into("y", y, sizeof y);
  for (int i = 0; i < 3; ++i) ASSERT_OK(LinnetRun(session, &input, 1, &output, 1, nullptr));
  LinnetValue* json = nullptr;
  ASSERT_OK(LinnetSessionTrace(session, &json));
  LinnetString text;
  ASSERT_OK(LinnetValueString(json, 0, &text));
  std::string got(text.data, text.size);
  EXPECT_OK(LinnetValueClose(json));
  EXPECT_OK(LinnetSessionClose(session));
  std::ifstream file(path);
  std::string written((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(got, written);
  size_t runs = 0, steps = 0;
  for (size_t at = 0; (at = got.find("\"cat\":\"run\"", at)) != std::string::npos; ++at) ++runs;
  for (size_t at = 0; (at = got.find("\"node\":\"Relu 'layer'\"", at)) != std::string::npos; ++at) ++steps;
  EXPECT_EQ(runs, 3u) << got;
  EXPECT_EQ(steps, 3u) << got;
  LinnetSession* plain = OpenText(kRelu);
  EXPECT_FAILS(LinnetSessionTrace(plain, &json), LINNET_INVALID_ARGUMENT, "without profiling");
  EXPECT_OK(LinnetSessionClose(plain));
}

TEST(ApiSession, TheProcessLogTakesWhatNoSessionDoes) {
  std::vector<std::string> process, own;
  auto log = [](void* user, LinnetLogLevel, const char* message) {
    static_cast<std::vector<std::string>*>(user)->push_back(message);
  };
  ASSERT_OK(LinnetSetLog(LINNET_LOG_INFO, log, &process));
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetLog(options, LINNET_LOG_INFO, log, &own));
  EXPECT_OK(LinnetSessionClose(OpenText(kRelu)));
  EXPECT_EQ(process.size(), 1u);
  EXPECT_OK(LinnetSessionClose(OpenText(kRelu, options)));
  EXPECT_EQ(process.size(), 1u);
  EXPECT_EQ(own.size(), 1u);
  ASSERT_OK(LinnetOptionsSetLog(options, LINNET_LOG_WARNING, log, &own));
  EXPECT_OK(LinnetSessionClose(OpenText(kRelu, options)));
  EXPECT_EQ(own.size(), 1u);
  ASSERT_OK(LinnetSetLog(LINNET_LOG_WARNING, nullptr, nullptr));
  EXPECT_OK(LinnetSessionClose(OpenText(kRelu)));
  EXPECT_EQ(process.size(), 1u);
  EXPECT_FAILS(LinnetSetLog(-1, nullptr, nullptr), LINNET_INVALID_ARGUMENT, "level -1");
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiSession, SentencesAreEscapedAndCut) {
  std::string name = "bad\n\x1b[31m" + std::string(5000, 'n');
  LinnetSession* session = OpenText(kRelu);
  LinnetInput input = {};
  input.name = name.c_str();
  EXPECT_EQ(LinnetRun(session, &input, 1, nullptr, 0, nullptr), LINNET_INVALID_ARGUMENT);
  std::string sentence = LinnetLastError();
  EXPECT_LT(sentence.size(), 1024u);
  EXPECT_EQ(sentence.find('\n'), std::string::npos);
  EXPECT_EQ(sentence.find('\x1b'), std::string::npos);
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_EQ(LinnetFail(LINNET_IO, std::string(2000, 'x').c_str()), LINNET_IO);
  EXPECT_EQ(strlen(LinnetLastError()), 1023u);
  EXPECT_EQ(LinnetFail(LINNET_IO, nullptr), LINNET_IO);
  EXPECT_STREQ(LinnetLastError(), "");
}

}  // namespace
}  // namespace linnet_test
