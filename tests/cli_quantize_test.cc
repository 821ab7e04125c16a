// linnet quantize and linnet compare from end to end on the digits model, and what they say to bad input.
#include <cmath>
#include <random>

#include "cli/data/inflate.h"
#include "cli/data/samples.h"
#include "cli_quantize_util.h"
#include "onnx/reader.h"
#include "pictures_util.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;

class CliQuantize : public QuantizeFiles {
 protected:
  CliQuantize() : QuantizeFiles(LINNET_SOURCE_DIR) {}
};

TEST_F(CliQuantize, DigitsStayAndShrink) {
  LINNET_NEEDS_PICTURES;
  Ran ran = Linnet({"quantize", model_, out_, "--data", data_, "--table", folder_ + "/table.txt", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  Json json = *ParseJson(ran.out, "report");
  EXPECT_TRUE(json["held_out"].get<bool>());
  EXPECT_GE(json["outputs"][0]["sqnr_db"].get<double>(), 20);
  EXPECT_EQ(json["outputs"][0]["top1_agreement"].get<double>(), 1);
  EXPECT_LT(json["weight_bytes_after"].get<double>(), 0.33 * json["weight_bytes_before"].get<double>());
  EXPECT_LE(json["quantized_weight_bytes"].get<double>(), 0.28 * json["quantized_weight_float_bytes"].get<double>());
  EXPECT_EQ(json["float_weight_bytes"], 0);
  EXPECT_LT(json["output_bytes"].get<double>(), 0.46 * json["input_bytes"].get<double>());
  // The table alone gives the same file, bit for bit, when nothing was decided by data.
  ASSERT_EQ(Linnet({"quantize", model_, folder_ + "/a.onnx", "--data", data_, "--table", folder_ + "/t.txt", "--as-is"}).code, kSuccess);
  ASSERT_EQ(Linnet({"quantize", model_, folder_ + "/b.onnx", "--table", folder_ + "/t.txt"}).code, kSuccess);
  EXPECT_TRUE(Read(folder_ + "/a.onnx") == Read(folder_ + "/b.onnx"));

  Ran compared = Linnet({"compare", model_, out_, "--data", data_, "--json", "--html", folder_ + "/page.html"});
  ASSERT_EQ(compared.code, kSuccess) << compared.err;
  Json rows = *ParseJson(compared.out, "rows");
  ASSERT_GE(rows["values"].size(), 6u);
  EXPECT_EQ(rows["values"].back()["name"], "probabilities");
  // Layers whose Relu is done by rounding are compared behind it.
  for (const Json& row : rows["values"]) EXPECT_GE(row["sqnr_db"].get<double>(), 20) << row["name"];
  EXPECT_TRUE(rows["values"].back()["output"].get<bool>());
  const std::string page = Read(folder_ + "/page.html");
  EXPECT_NE(page.find("<svg id=\"sqnr\""), std::string::npos);
  EXPECT_NE(page.find("class=\"histogram\""), std::string::npos);
  EXPECT_NE(page.find("weights of relu11, 48.5 KiB &rarr; "), std::string::npos);   // those of the convolution that has the Relu
  EXPECT_EQ(page.find("http"), std::string::npos);   // needs nothing else
  Ran equal = Linnet({"compare", model_, model_, "--data", data_, "--json"});
  ASSERT_EQ(equal.code, kSuccess) << equal.err;
  Result<Json> equal_rows = ParseJson(equal.out, "rows");
  ASSERT_TRUE(equal_rows.ok()) << equal_rows.status().message();
  for (const Json& row : (*equal_rows)["values"]) EXPECT_TRUE(row["equal"].get<bool>()) << row["name"];
}

TEST_F(CliQuantize, ContractsAreKeptOrRefused) {
  LINNET_NEEDS_PICTURES;
  const std::string labels = folder_ + "/labels.txt";
  {
    std::ofstream file(labels);
    int count = 0;
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(data_)) names.push_back(entry.path().filename().string());
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
  ExpectFails({"quantize", model_, out_, "--data", data_, "--min-accuracy", "0.9"}, "needs labels (--labels)");
  std::ofstream(labels) << "1\n2\n";
  ExpectFails({"quantize", model_, out_, "--data", data_, "--labels", labels, "--min-accuracy", "0.9"}, "has 2 labels");
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_EQ(entry.path().string().find("trial"), std::string::npos);
}

TEST_F(CliQuantize, OtherModes) {
  LINNET_NEEDS_PICTURES;
  for (const char* mode : {"dynamic", "weights", "fp16"}) {
    Ran ran = Linnet({"quantize", model_, out_, "--mode", mode, "--data", data_, "--json"});
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
  ExpectFails({"quantize", model_, out_}, "needs samples (--data)");
  std::ofstream(folder_ + "/table.txt") << "hello\n";
  ExpectFails({"quantize", model_, out_, "--table", folder_ + "/table.txt"}, "no calibration table");
}

TEST_F(CliQuantize, ReportsOnAPage) {
  const std::string good = Pictures("a.npy", 8, 1, true), page = folder_ + "/page.html";
  Ran ran = Linnet({"quantize", model_, out_, "--data", good, "--min-sqnr", "10", "--report", page});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  std::string text = Read(page);
  for (const char* part : {"Asked: SQNR of at least 10 dB; on samples held out: ", "Output probabilities: ", "Compared on 2 samples that were not used to calibrate",
                           "<svg id=\"sqnr\"", "class=\"histogram\""}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(text.find("http"), std::string::npos);   // needs nothing else
  // A contract that is not met leaves the reason.
  fs::remove(out_);
  std::ofstream(folder_ + "/labels.txt") << "0\n1\n2\n3\n4\n5\n6\n7\n";
  ran = Linnet({"quantize", model_, out_, "--data", good, "--labels", folder_ + "/labels.txt", "--min-accuracy", "1", "--report", page});
  EXPECT_EQ(ran.code, kFailure) << ran.err;
  EXPECT_FALSE(fs::exists(out_));
  text = Read(page);
  EXPECT_NE(text.find("<li>Refused: "), std::string::npos);
  EXPECT_NE(text.find("<li>Asked: accuracy of at least 100 %</li>"), std::string::npos) << text;
  EXPECT_EQ(text.find("<svg"), std::string::npos);
  ExpectFails({"quantize", model_, folder_ + "/b.onnx", "--mode", "dynamic", "--report", page}, "option 'report' needs samples (--data)");
  ExpectFails({"quantize", model_, folder_ + "/b.onnx", "--data", good, "--report", folder_ + "/page.txt"}, "must end in .html");
}

TEST_F(CliQuantize, CalibrationGoesOn) {
  const std::string whole = folder_ + "/whole.txt", table = folder_ + "/table.txt", good = Pictures("a.npy", 10, 1, true);
  ASSERT_EQ(Linnet({"quantize", model_, out_, "--data", good, "--table", whole, "--as-is"}).code, kSuccess);
  EXPECT_NE(Read(whole).find("a.npy row 2\n"), std::string::npos);
  // Fewer first, then all: the same as all at once, in every count.
  ASSERT_EQ(Linnet({"quantize", model_, out_, "--data", good, "--table", table, "--as-is", "--samples", "6", "--resume"}).code, kSuccess);
  EXPECT_NE(Read(whole), Read(table));
  Ran ran = Linnet({"quantize", model_, out_, "--data", good, "--table", table, "--as-is", "--resume", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_EQ((*ParseJson(ran.out, "report"))["resumed_samples"].get<int>(), 5);   // one of six was held out
  EXPECT_EQ(Read(whole), Read(table));
  fs::remove(out_);
  // Cut short by a sample that does not fit: what was seen stays beside the table, which is as it was.
  const std::string before = Read(table);
  Tensor odd = Tensor::Allocate(DType::kFloat, {1, 1, 27, 28}).value();
  std::fill_n(odd.mutable_as<float>(), odd.elements(), 1.0f);
  ASSERT_TRUE(SaveNpy(folder_ + "/odd.npy", odd).ok());
  ExpectFails({"quantize", model_, out_, "--data", good, folder_ + "/odd.npy", "--table", table, "--as-is"}, "'image'");
  EXPECT_EQ(Read(table), before);
  ASSERT_TRUE(fs::exists(table + ".partial"));
  ran = Linnet({"quantize", model_, out_, "--data", good, "--table", table, "--as-is", "--resume", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_EQ((*ParseJson(ran.out, "report"))["resumed_samples"].get<int>(), 8);
  EXPECT_EQ(Read(table), before);
  EXPECT_FALSE(fs::exists(table + ".partial"));
  fs::remove(out_);
  // Another choice of samples or of nodes is no continuation.
  ExpectFails({"quantize", model_, out_, "--data", data_, "--table", table, "--resume"}, "which is not among the samples");
  ExpectFails({"quantize", model_, out_, "--data", good, "--table", table, "--resume", "--include", "Gemm"}, "another model or choice of nodes");
  ExpectFails({"quantize", model_, out_, "--data", good, "--resume"}, "needs its table");
  std::ofstream(table, std::ios::app) << "# seen 1 2 hello\tx\n";
  ExpectFails({"quantize", model_, out_, "--data", good, "--table", table, "--resume"}, "is not what was seen");
}

TEST_F(CliQuantize, Overrides) {
  LINNET_NEEDS_PICTURES;
  const std::string overrides = folder_ + "/overrides.json";
  auto with = [&](const std::string& json) {
    std::ofstream(overrides) << json;
    return std::vector<std::string>{"quantize", model_, out_, "--data", data_, "--as-is", "--overrides", overrides, "--json"};
  };
  Ran ran = Linnet(with(R"({"image": {"range": [0, 2], "type": "u16"}})"));
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  Result<OnnxModel> model = ReadOnnxFile(out_);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Graph& graph = model->graph;
  bool found = false;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.Is("QuantizeLinear") || graph.value(node.inputs[0]).name != "image") continue;
    found = true;
    EXPECT_EQ(graph.value(node.inputs[2]).constant.dtype(), DType::kUint16);
    EXPECT_FLOAT_EQ(*graph.value(node.inputs[1]).constant.as<float>(), 2.0f / 65535);
  }
  EXPECT_TRUE(found);
  fs::remove(out_);
  ExpectFails(with(R"({"nobody": {"exclude": true}})"), "'nobody'");
  ExpectFails(with(R"({"image": {"colour": 1}})"), "'colour'");
  ExpectFails(with(R"({"image": {"range": [2, 1]}})"), "the lower first");
  ExpectFails(with(R"({"image": {"range": "wide"}})"), "not two numbers");
  ExpectFails(with(R"({"image": {"type": "s4"}})"), "8 or 16 bits");
  ExpectFails(with(R"({"image": {"type": "q8"}})"), "none of u8");
  ExpectFails(with(R"([1])"), "not a JSON object");
  ExpectFails(with("{"), "not valid JSON");
}

TEST_F(CliQuantize, EqualisedAndCorrected) {
  LINNET_NEEDS_PICTURES;
  Ran ran = Linnet({"quantize", model_, out_, "--data", data_, "--as-is", "--per-tensor", "--equalize", "--correct-bias", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  Json json = *ParseJson(ran.out, "report");
  EXPECT_GE(json["outputs"][0]["sqnr_db"].get<double>(), 20);
  ASSERT_EQ(json["notes"].size(), 2u);
  EXPECT_NE(json["notes"][0].get<std::string>().find("equalised"), std::string::npos);
  EXPECT_NE(json["notes"][1].get<std::string>().find("corrected"), std::string::npos);
  fs::remove(out_);
  ExpectFails({"quantize", model_, out_, "--mode", "dynamic", "--equalize"}, "option 'equalize' has no use with mode dynamic");
  ExpectFails({"quantize", model_, out_, "--mode", "weights", "--reduce-range"}, "it goes with mode static, mode dynamic");
}

TEST_F(CliQuantize, OutputsThatCannotBe) {
  LINNET_NEEDS_PICTURES;
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
  EXPECT_FALSE(ReadNpz(zip(8)).ok());   // it says that it is compressed, and is not
  EXPECT_NE(ReadNpz(zip(12)).status().message().find("numpy does not write"), std::string_view::npos);
  const std::string whole = zip(0);
  for (size_t cut = 0; cut < whole.size(); ++cut) EXPECT_FALSE(ReadNpz(std::string_view(whole).substr(0, cut)).ok()) << cut;
}

std::string FromHex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

TEST(CliSamples, CompressedNpz) {
  // numpy.savez_compressed(file, a=float32([1, 2, 3]), image=tile(arange(16, dtype=uint8), 30).reshape(1, 480)) of numpy 1.24.
  const std::string file = FromHex(
      "504b03041400000008000000210077a640d14f0000008c00000005001400612e6e7079010010008c000000000000004f000000000000009bec17ea1b10c9c850c650ad9e"
      "925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91ac63a9a3a0ab50a14002e0686067b0606060720720000504b"
      "0304140000000800000021007444f6c65d0000006002000009001400696d6167652e6e70790100100060020000000000005d000000000000009bec17ea1b10c9c850c650"
      "ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a863a0a2616069a3a0ab50a64022e06462666165636760e"
      "4e2e6e1e5e3efe51fef0e20300504b010214031400000008000000210077a640d14f0000008c000000050000000000000000000000800100000000612e6e7079504b0102"
      "1403140000000800000021007444f6c65d00000060020000090000000000000000000000800186000000696d6167652e6e7079504b050600000000020002006a0000001e"
      "0100000000");
  Result<std::vector<std::pair<std::string, Tensor>>> arrays = ReadNpz(file);
  ASSERT_TRUE(arrays.ok()) << arrays.status().message();
  ASSERT_EQ(arrays->size(), 2u);
  EXPECT_EQ((*arrays)[0].second.as<float>()[2], 3);
  EXPECT_EQ((*arrays)[1].first, "image");
  for (int64_t i = 0; i < 480; ++i) ASSERT_EQ((*arrays)[1].second.as<uint8_t>()[i], i % 16);
  for (size_t cut = 0; cut < file.size(); ++cut) EXPECT_FALSE(ReadNpz(std::string_view(file).substr(0, cut)).ok()) << cut;
  // Rows of what has them are samples, beside what has none.
  const std::string folder = NewTempFolder("linnet_npz"), path = folder + "/rows.npz";
  std::ofstream(path, std::ios::binary) << file;
  std::vector<PortInfo> ports(2);
  ports[0].name = "a", ports[0].type = Type::Tensor(DType::kFloat, Shape{1});
  ports[1].name = "image", ports[1].type = Type::Tensor(DType::kUint8, Shape{1, 480});
  Result<std::unique_ptr<FileSamples>> samples = FileSamples::Find({path}, ports, {}, {});
  ASSERT_TRUE(samples.ok()) << samples.status().message();
  ASSERT_EQ((*samples)->size(), 3);
  Result<std::vector<Datum>> second = (*samples)->Load(1);
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_EQ((*second)[0].tensor.shape(), (Shape{1}));
  EXPECT_EQ((*second)[0].tensor.as<float>()[0], 2);
  EXPECT_EQ((*second)[1].tensor.elements(), 480);
  EXPECT_EQ((*samples)->Name(2), path + " row 2");
  fs::remove_all(folder);
  // A damaged bit is noticed, or lies where nothing is read.
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = file;
    damaged[40 + random() % 75] ^= static_cast<char>(1 << random() % 8);   // within the first array
    Result<std::vector<std::pair<std::string, Tensor>>> read = ReadNpz(damaged);
    if (!read.ok()) continue;
    EXPECT_EQ((*read)[0].second.as<float>()[2], 3);
  }
}

TEST(CliSamples, InflatesCodesOfTheirOwn) {
  // "".join(str(i * i) for i in range(100)), compressed by zlib 1.2.13 at level 9.
  const std::string packed = FromHex(
      "1d90c911043108c452e26837907f62ab9d97cb1c4210a94bd76bebaccd8cc8ca94d297e7aa57cfb5d7a5762a828c56afee8de9f378ea6689e5459c219432f6329f93fe2c82"
      "0d4db43ed866849934562ed3af5d515fa62aae3a54c2e245947987ff12c7b3a96b60d85ca3dc1837bc9eca5ea9cf2724c45cf5b3b4279734b8a3f7020586bec69f20abbd37"
      "bcd01dfb2f4db32489642f79f7265812de009fe79b017795cba9b6161a77e37abb2c891fa94f0220c1c81f");
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += std::to_string(i * i);
  Result<std::string> whole = Inflate(packed, expected.size());
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(*whole, expected);
  EXPECT_EQ(Crc32(expected), 0xde1f5c93u);
  EXPECT_FALSE(Inflate(packed, expected.size() + 1).ok());
  EXPECT_FALSE(Inflate(packed, expected.size() - 1).ok());
  for (size_t cut = 0; cut < packed.size(); ++cut) EXPECT_FALSE(Inflate(std::string_view(packed).substr(0, cut), expected.size()).ok()) << cut;
  // Stored, and what no block begins with.
  EXPECT_EQ(Inflate(std::string("\x01\x03\x00\xfc\xff" "abc", 8), 3).value(), "abc");
  EXPECT_FALSE(Inflate(std::string("\x01\x03\x00\xfc\xfe" "abc", 8), 3).ok());
  EXPECT_FALSE(Inflate("\x07", 3).ok());
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string noise;
    for (int k = 0; k < 40; ++k) noise += static_cast<char>(random());
    Result<std::string> any = Inflate(noise, 1000);   // whatever it is, it ends
    if (!any.ok()) continue;
    EXPECT_EQ(any->size(), 1000u);
  }
}

}  // namespace
}  // namespace linnet::cli
