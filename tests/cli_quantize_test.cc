// linnet quantize and linnet compare from end to end on the digits model, and what they say to bad input.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/data/npy.h"
#include "cli/data/samples.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "passes_test_util.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;
const std::string kDigits = std::string(LINNET_SOURCE_DIR) + "/models/digits";

struct Ran {
  int code = -1;
  std::string out, err;
};

/// The command in this process.
Ran Linnet(std::vector<std::string> arguments) {
  Ran ran;
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), "linnet");
  for (std::string& argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  ran.code = RunCommandLine(static_cast<int>(argv.size()), argv.data(), "linnet", "", "", "", [](Arguments& root) {
    AddQuantizeCommand(root);
    AddCompareCommand(root);
  });
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

class CliQuantize : public testing::Test {
 protected:
  CliQuantize() {
    std::string name = testing::TempDir() + "linnet_quantize_XXXXXX";
    folder_ = mkdtemp(name.data());
    model_ = kDigits + "/digits.onnx";
    data_ = kDigits + "/images";
    out_ = folder_ + "/out.onnx";
  }
  ~CliQuantize() override { fs::remove_all(folder_); }

  /// A .npy file of pictures for the digits model.
  std::string Pictures(const std::string& name, int64_t count, float value, bool noise) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(0, value);
    Tensor tensor = Tensor::Allocate(DType::kFloat, {count, 1, 28, 28}).value();
    for (int64_t i = 0; i < tensor.elements(); ++i) tensor.mutable_as<float>()[i] = noise ? uniform(random) : value;
    const std::string path = folder_ + "/" + name;
    EXPECT_TRUE(SaveNpy(path, tensor).ok());
    return path;
  }
  void ExpectFails(std::vector<std::string> arguments, const std::string& part) {
    Ran ran = Linnet(std::move(arguments));
    EXPECT_NE(ran.code, kSuccess) << part;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(out_)) << part;
  }

  std::string folder_, model_, data_, out_;
};

TEST_F(CliQuantize, DigitsStayAndShrink) {
  Ran ran = Linnet({"quantize", model_, out_, "--data", data_, "--table", folder_ + "/table.txt", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  Json json = *ParseJson(ran.out, "report");
  EXPECT_TRUE(json["held_out"].get<bool>());
  EXPECT_GE(json["outputs"][0]["sqnr_db"].get<double>(), 20);
  EXPECT_EQ(json["outputs"][0]["top1_agreement"].get<double>(), 1);
  EXPECT_LT(json["weight_bytes_after"].get<double>(), 0.33 * json["weight_bytes_before"].get<double>());
  EXPECT_LT(json["output_bytes"].get<double>(), 0.46 * json["input_bytes"].get<double>());
  // The table alone gives the same file, bit for bit, when nothing was decided by data.
  ASSERT_EQ(Linnet({"quantize", model_, folder_ + "/a.onnx", "--data", data_, "--table", folder_ + "/t.txt", "--as-is"}).code, kSuccess);
  ASSERT_EQ(Linnet({"quantize", model_, folder_ + "/b.onnx", "--table", folder_ + "/t.txt"}).code, kSuccess);
  auto read = [](const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_TRUE(read(folder_ + "/a.onnx") == read(folder_ + "/b.onnx"));

  Ran compared = Linnet({"compare", model_, out_, "--data", data_, "--json", "--html", folder_ + "/page.html"});
  ASSERT_EQ(compared.code, kSuccess) << compared.err;
  Json rows = *ParseJson(compared.out, "rows");
  ASSERT_GE(rows["values"].size(), 6u);
  EXPECT_EQ(rows["values"].back()["name"], "probabilities");
  EXPECT_TRUE(rows["values"].back()["output"].get<bool>());
  const std::string page = read(folder_ + "/page.html");
  EXPECT_NE(page.find("<svg id=\"sqnr\""), std::string::npos);
  EXPECT_NE(page.find("class=\"histogram\""), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);   // needs nothing else
  Ran equal = Linnet({"compare", model_, model_, "--data", data_, "--json"});
  ASSERT_EQ(equal.code, kSuccess) << equal.err;
  Result<Json> equal_rows = ParseJson(equal.out, "rows");
  ASSERT_TRUE(equal_rows.ok()) << equal_rows.status().message();
  for (const Json& row : (*equal_rows)["values"]) EXPECT_TRUE(row["equal"].get<bool>()) << row["name"];
}

TEST_F(CliQuantize, ContractsAreKeptOrRefused) {
  const std::string labels = folder_ + "/labels.txt";
  {
    std::ofstream file(labels);
    int count = 0;
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(data_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) file << name[0] << "\n", ++count;   // the pictures are called by their digit
    ASSERT_GT(count, 4);
  }
  Ran ran = Linnet({"quantize", model_, out_, "--data", data_, "--min-sqnr", "30", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_GE((*ParseJson(ran.out, "report"))["outputs"][0]["sqnr_db"].get<double>(), 30);
  ran = Linnet({"quantize", model_, out_, "--data", data_, "--labels", labels, "--min-accuracy", "1", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_EQ((*ParseJson(ran.out, "report"))["accuracy"].get<double>(), 1);
  fs::remove(out_);
  ExpectFails({"quantize", model_, out_, "--data", data_, "--min-sqnr", "190"}, "the layers that cost most");
  EXPECT_EQ(Linnet({"quantize", model_, out_, "--data", data_, "--min-sqnr", "190"}).code, kFailure);
  ExpectFails({"quantize", model_, out_, "--data", data_, "--min-accuracy", "0.9"}, "needs --labels");
  std::ofstream(labels) << "1\n2\n";
  ExpectFails({"quantize", model_, out_, "--data", data_, "--labels", labels, "--min-accuracy", "0.9"}, "has 2 labels");
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_EQ(entry.path().string().find("trial"), std::string::npos);
}

TEST_F(CliQuantize, OtherModes) {
  for (const char* mode : {"dynamic", "weights", "fp16"}) {
    Ran ran = Linnet({"quantize", model_, out_, "--mode", mode, "--data", data_, "--weights", "s8", "--json"});
    ASSERT_EQ(ran.code, kSuccess) << mode << ": " << ran.err;
    EXPECT_GE((*ParseJson(ran.out, "report"))["outputs"][0]["sqnr_db"].get<double>(), 25) << mode;
  }
}

TEST_F(CliQuantize, OddDataGivesAModelThatLoadsOrASentence) {
  // Constant pictures, a lone huge number: defined, and the file that comes out was read and run again.
  for (const std::string& data : {Pictures("constant.npy", 4, 0.5f, false), Pictures("huge.npy", 4, 1e30f, false),
                                  Pictures("zero.npy", 4, 0, false)}) {
    Ran ran = Linnet({"quantize", model_, out_, "--data", data, "--as-is", "--json"});
    EXPECT_EQ(ran.code, kSuccess) << data << ": " << ran.err;
    EXPECT_TRUE(ReadOnnxFile(out_).ok());
    fs::remove(out_);
  }
  ExpectFails({"quantize", model_, out_, "--data", Pictures("nan.npy", 4, NAN, false)}, "no finite number");
  Tensor odd = Tensor::Allocate(DType::kFloat, {1, 1, 27, 28}).value();
  std::fill_n(odd.mutable_as<float>(), odd.elements(), 1.0f);
  ASSERT_TRUE(SaveNpy(folder_ + "/odd.npy", odd).ok());
  ExpectFails({"quantize", model_, out_, "--data", folder_ + "/odd.npy"}, "'image'");
  fs::create_directory(folder_ + "/empty");
  ExpectFails({"quantize", model_, out_, "--data", folder_ + "/empty"}, "holds no picture");
  ExpectFails({"quantize", model_, out_, "--data", folder_ + "/absent"}, "no file or folder");
  ExpectFails({"quantize", model_, out_}, "needs --data");
  std::ofstream(folder_ + "/table.txt") << "hello\n";
  ExpectFails({"quantize", model_, out_, "--table", folder_ + "/table.txt"}, "no calibration table");
}

TEST_F(CliQuantize, OutputsThatCannotBe) {
  ExpectFails({"quantize", model_, folder_ + "/no/out.onnx", "--data", data_}, "there is no folder");
  ExpectFails({"quantize", model_, folder_ + "/out.txt", "--data", data_}, "must end in .onnx");
  fs::create_directory(folder_ + "/dir.onnx");
  ExpectFails({"quantize", model_, folder_ + "/dir.onnx", "--data", data_}, "is a folder");
  const std::string quantized = folder_ + "/q.onnx";
  ASSERT_EQ(Linnet({"quantize", model_, quantized, "--data", data_, "--as-is"}).code, kSuccess);
  ExpectFails({"quantize", quantized, out_, "--data", data_}, "quantized already");
  // A file that is there stays as it was when the work fails.
  std::ofstream(out_) << "precious";
  EXPECT_NE(Linnet({"quantize", model_, out_, "--data", Pictures("nan.npy", 4, NAN, false)}).code, kSuccess);
  EXPECT_EQ(fs::file_size(out_), 8u);
}

TEST(CliSamples, NpzByName) {
  // What numpy.savez(file, a=numpy.float32([1, 2])) writes: one stored entry "a.npy", a directory, an end record.
  MemorySink npy;
  const float values[] = {1, 2};
  ASSERT_TRUE(WriteNpy(Tensor::Of<float>(Shape{2}, values), npy).ok());
  const std::string& body = npy.contents();
  auto little = [](uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
  };
  auto zip = [&](uint16_t method) {
    const std::string common = little(20, 2) + little(0, 2) + little(method, 2) + little(0, 4) + little(0, 4) + little(body.size(), 4) +
                               little(body.size(), 4) + little(5, 2) + little(0, 2);
    const std::string local = little(0x04034b50, 4) + common + "a.npy" + body;
    const std::string central = little(0x02014b50, 4) + little(20, 2) + common + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(0, 4) + "a.npy";
    return local + central + little(0x06054b50, 4) + little(0, 4) + little(1, 2) + little(1, 2) + little(central.size(), 4) + little(local.size(), 4) + little(0, 2);
  };
  Result<std::vector<std::pair<std::string, Tensor>>> arrays = ReadNpz(zip(0));
  ASSERT_TRUE(arrays.ok()) << arrays.status().message();
  ASSERT_EQ(arrays->size(), 1u);
  EXPECT_EQ((*arrays)[0].first, "a");
  EXPECT_EQ((*arrays)[0].second.as<float>()[1], 2);
  Result<std::vector<std::pair<std::string, Tensor>>> compressed = ReadNpz(zip(8));
  ASSERT_FALSE(compressed.ok());
  EXPECT_NE(compressed.status().message().find("numpy.savez"), std::string_view::npos);
  const std::string whole = zip(0);
  for (size_t cut = 0; cut < whole.size(); ++cut) EXPECT_FALSE(ReadNpz(std::string_view(whole).substr(0, cut)).ok()) << cut;
}

}  // namespace
}  // namespace linnet::cli
