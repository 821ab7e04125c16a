// What linnet quantize refuses and warns of: data that says nothing, options without a use, floors that are not kept, files of another kind.
#include <cmath>

#include "api/full_build.h"
#include "cli_quantize_util.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "quantize/dynamic.h"
#include "quantize_test_util.h"

namespace linnet::cli {
namespace {

using quantize::Random;

/// The sentences of a report in JSON, one a line.
std::string Notes(const Ran& ran) {
  Result<Json> json = ParseJson(ran.out, "report");
  if (!json.ok()) return "";
  std::string notes;
  for (const Json& note : (*json)["notes"]) notes += note.get<std::string>() + "\n";
  return notes;
}
double WorstDb(const Ran& ran) {
  Result<Json> json = ParseJson(ran.out, "report");
  double worst = INFINITY;
  if (json.ok()) {
    for (const Json& output : (*json)["outputs"]) worst = std::min(worst, output["sqnr_db"].is_number() ? output["sqnr_db"].get<double>() : -INFINITY);
  }
  return worst;
}

class CliQuantizeRefusals : public QuantizeFiles {
 protected:
  CliQuantizeRefusals() : QuantizeFiles(LINNET_SOURCE_DIR) {}
  std::string Save(const OnnxModel& model, const std::string& name) {
    std::string bytes;
    EXPECT_TRUE(WriteOnnx(model, bytes).ok());
    std::ofstream(folder_ + "/" + name, std::ios::binary) << bytes;
    return folder_ + "/" + name;
  }
  std::string SaveArray(const std::string& name, const Tensor& tensor) {
    EXPECT_TRUE(SaveNpy(folder_ + "/" + name, tensor).ok());
    return folder_ + "/" + name;
  }
};

TEST_F(CliQuantizeRefusals, AFloorHoldsWithoutMoreBitsToo) {
  const std::string model = Save(quantize::Network(), "network.onnx"), good = SaveArray("a.npy", Random({8, 3, 8, 8}, 3));
  Ran ran = Linnet({"quantize", model, out_, "--data", good, "--as-is", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  const double db = WorstDb(ran);
  std::filesystem::remove(out_);
  ran = Linnet({"quantize", model, out_, "--data", good, "--as-is", "--min-sqnr", std::to_string(db + 40)});
  EXPECT_EQ(ran.code, kFailure);
  EXPECT_NE(ran.err.find("--as-is"), std::string::npos) << ran.err;
  EXPECT_FALSE(std::filesystem::exists(out_));
  ran = Linnet({"quantize", model, out_, "--data", good, "--as-is", "--min-sqnr", std::to_string(db - 10), "--json"});
  EXPECT_EQ(ran.code, kSuccess) << ran.err;
  // A mode that chooses no layers is held to the floor as well.
  std::filesystem::remove(out_);
  for (const char* mode : {"dynamic", "weights"}) {
    EXPECT_EQ(Linnet({"quantize", model, out_, "--data", good, "--mode", mode, "--min-sqnr", "150"}).code, kFailure) << mode;
    EXPECT_FALSE(std::filesystem::exists(out_));
    EXPECT_EQ(Linnet({"quantize", model, folder_ + "/b.onnx", "--data", good, "--mode", mode, "--min-sqnr", "15"}).code, kSuccess) << mode;
  }
}

TEST_F(CliQuantizeRefusals, DataThatSaysNothing) {
  ExpectFails({"quantize", model_, out_, "--data", SaveArray("empty.npy", Tensor::Allocate(DType::kFloat, {0, 1, 28, 28}).value())}, "there is no sample in it");
  Ran ran = Linnet({"quantize", model_, out_, "--data", Pictures("constant.npy", 8, 0.5f, false), "--as-is", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_NE(Notes(ran).find("all samples are alike, 6 times"), std::string::npos) << ran.out;
  ran = Linnet({"quantize", model_, out_, "--data", Pictures("noise.npy", 8, 1, true), "--as-is", "--json"});
  EXPECT_EQ(Notes(ran).find("warning"), std::string::npos) << ran.out;
  std::filesystem::remove(out_);
  // One number beyond all others.
  for (float huge : {1e5f, 1e20f}) {
    Tensor pictures = LoadNpy(folder_ + "/noise.npy").value();
    pictures.mutable_as<float>()[2 * 784 + 100] = huge;
    const std::string outlier = SaveArray("outlier.npy", pictures);
    ran = Linnet({"quantize", model_, out_, "--data", outlier, "--calibrate", "minmax", "--as-is", "--json"});
    ASSERT_EQ(ran.code, kSuccess) << ran.err;
    ASSERT_LT(WorstDb(ran), 20);
    for (const char* part : {"warning: only", "'image'", "outlier.npy row 2'", "--calibrate percentile"}) EXPECT_NE(Notes(ran).find(part), std::string::npos) << part << Notes(ran);
    std::filesystem::remove(out_);
    ran = Linnet({"quantize", model_, out_, "--data", outlier, "--min-sqnr", "150"});
    EXPECT_EQ(ran.code, kFailure);
    EXPECT_NE(ran.err.find("outlier.npy row 2'"), std::string::npos) << ran.err;
  }
}

TEST_F(CliQuantizeRefusals, DataThatIsPartlyWrong) {
  // Numbers that are none, in one sample that calibrates (row 1) and one that is held out (row 3).
  Pictures("noise.npy", 8, 1, true);
  Tensor pictures = LoadNpy(folder_ + "/noise.npy").value();
  pictures.mutable_as<float>()[784 + 5] = NAN;
  pictures.mutable_as<float>()[784 + 6] = INFINITY;
  pictures.mutable_as<float>()[3 * 784 + 5] = NAN;
  Ran ran = Linnet({"quantize", model_, out_, "--data", SaveArray("nan.npy", pictures), "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_NE(Notes(ran).find("warning: 2 of 4704 numbers of 'image' are not finite, the first in '" + folder_ + "/nan.npy row 1'"), std::string::npos) << Notes(ran);
  EXPECT_NE(Notes(ran).find("warning: 10 numbers of the float model's own outputs are not finite"), std::string::npos) << Notes(ran);
  std::filesystem::remove(out_);
  // An outlier is told even where the model comes out well.
  pictures = LoadNpy(folder_ + "/noise.npy").value();
  pictures.mutable_as<float>()[2 * 784 + 100] = 1e5f;
  ran = Linnet({"quantize", model_, out_, "--data", SaveArray("outlier.npy", pictures), "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_GE(WorstDb(ran), 20);
  EXPECT_NE(Notes(ran).find("of the values of 'image' 1 of 4704 lie far beyond the others, up to 100000 in '"), std::string::npos) << Notes(ran);
  std::filesystem::remove(out_);
  // Labels that are no classes, or that the float model does not know either.
  const std::string good = folder_ + "/noise.npy", labels = folder_ + "/labels.txt";
  std::ofstream(labels) << "0\n1\n2\n3\n4\n5\n6\n10\n";
  ExpectFails({"quantize", model_, out_, "--data", good, "--labels", labels}, "there is a label 10, but the model's first output has 10 numbers");
  std::ofstream(labels) << "0\n1\n2\n3\n4\n5\n6\n7\n";
  ExpectFails({"quantize", model_, out_, "--data", good, "--labels", labels, "--min-accuracy", "0.9"}, " (the float model 0.");
  // One sample calibrates and is compared.
  ran = Linnet({"quantize", model_, out_, "--data", Pictures("one.npy", 1, 1, true)});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_NE(ran.out.find("on 1 sample that was used to calibrate, for want of others"), std::string::npos) << ran.out;
}

TEST_F(CliQuantizeRefusals, OptionsWithoutAUse) {
  std::ofstream(folder_ + "/overrides.json") << R"({"nobody": {"exclude": true}})";
  const std::string good = Pictures("a.npy", 8, 1, true), overrides = folder_ + "/overrides.json";
  const std::vector<std::vector<std::string>> cases = {
      {"dynamic", "--activations", "u16"}, {"dynamic", "--calibrate", "mse"}, {"dynamic", "--symmetric"},  {"dynamic", "--overrides", overrides},
      {"dynamic", "--asymmetric-weights"}, {"dynamic", "--block", "64"},      {"weights", "--table", folder_ + "/t.txt"},
      {"weights", "--rounding", "squares"}, {"weights", "--weights", "s4", "--per-tensor"}, {"weights", "--weights", "s4", "--asymmetric-weights"},
      {"fp16", "--weights", "s8"},         {"bf16", "--format", "qdq"},       {"fp16", "--reduce-range"},  {"weights", "--as-is"},
      {"static", "--block", "32"},         {"static", "--percentile", "99"}};
  for (const std::vector<std::string>& c : cases) {
    std::vector<std::string> arguments = {"quantize", model_, out_, "--data", good, "--mode"};
    arguments.insert(arguments.end(), c.begin(), c.end());
    const std::string& option = c.size() > 2 && c[1] == "--weights" && c.size() == 4 ? c[3] : c[1];
    ExpectFails(arguments, "option '" + option.substr(2) + "' has no use");
    EXPECT_EQ(Linnet(arguments).code, kUsage);
  }
  ExpectFails({"quantize", model_, out_, "--mode", "dynamic", "--samples", "3"}, "option 'samples' needs samples (--data)");
  ExpectFails({"quantize", model_, out_, "--data", good, "--activations", "s8", "--weights", "u8", "--format", "qoperator"}, "activations s8 with weights u8");
  std::ofstream(overrides) << R"({"image": {"type": "s8"}})";
  ExpectFails({"quantize", model_, out_, "--data", good, "--weights", "u8", "--format", "qoperator", "--overrides", overrides}, "activations s8 with weights u8");
  // What these modes do use.
  EXPECT_EQ(Linnet({"quantize", model_, out_, "--mode", "weights", "--weights", "u8", "--per-tensor", "--asymmetric-weights"}).code, kSuccess);
  EXPECT_EQ(Linnet({"quantize", model_, out_, "--mode", "weights", "--weights", "u4", "--block", "16", "--plain"}).code, kSuccess);
}

TEST_F(CliQuantizeRefusals, FilesThatAreOthers) {
  const std::string good = Pictures("a.npy", 8, 1, true);
  ExpectFails({"quantize", model_, out_, "--data", good, "--table", folder_ + "/no/t.txt"}, "there is no folder");
  const std::string copy = folder_ + "/copy.onnx";
  std::filesystem::copy_file(model_, copy);
  const std::string before = Read(copy);
  ExpectFails({"quantize", copy, copy, "--data", good}, "the model and the output are the same file");
  ExpectFails({"quantize", copy, folder_ + "/./copy.onnx", "--data", good}, "are the same file");
  EXPECT_TRUE(Read(copy) == before);
  const std::string prepared = folder_ + "/digits.linnet";
  ASSERT_TRUE(ConvertModel(model_, prepared, SessionOptions()).ok());
  ExpectFails({"quantize", prepared, out_, "--data", good}, "is a prepared file (.linnet)");
  ExpectFails({"compare", prepared, model_, "--data", good}, "is a prepared file (.linnet)");
  // Models with nothing for static quantization: what to do instead.
  OnnxModel half = quantize::Network(13);
  ASSERT_TRUE(quantize::Prepare(&half, 13).ok());
  ASSERT_TRUE(quantize::ConvertToHalf(&half, {}).ok());
  ExpectFails({"quantize", Save(half, "half.onnx"), out_, "--data", SaveArray("x.npy", Random({1, 3, 8, 8}, 3))}, "computes in float16");
}

TEST_F(CliQuantizeRefusals, OpsetsThatLackWhatIsAskedFor) {
  const std::string good = Pictures("a.npy", 8, 1, true);
  ExpectFails({"quantize", model_, out_, "--data", good, "--opset", "9"}, "--opset");
  ExpectFails({"quantize", model_, out_, "--mode", "dynamic", "--opset", "10"}, "opset 10 has no DynamicQuantizeLinear: that came with 11");
  ExpectFails({"quantize", model_, out_, "--data", good, "--activations", "u16", "--opset", "17"}, "opset 17 has no 16-bit activations: that came with 21");
  ExpectFails({"quantize", model_, out_, "--mode", "weights", "--weights", "u4", "--opset", "17"}, "opset 17 has no 4-bit weights in blocks");
  ExpectFails({"quantize", model_, out_, "--mode", "bf16", "--opset", "21"}, "came with 22");
  std::ofstream(folder_ + "/o.json") << R"({"relu1": {"per_channel": true}})";
  ExpectFails({"quantize", model_, out_, "--data", good, "--overrides", folder_ + "/o.json", "--opset", "12"}, "opset 12 has no DequantizeLinear with a scale for each channel");
  const std::string later = Save(quantize::Model("graph g (x: float[2,2], w: float[2,2]) -> (y) {\n  a = MatMul-20(x, w)\n  y = Gelu-20(a) @act\n}\n", 20), "gelu.onnx");
  ExpectFails({"quantize", later, out_, "--mode", "weights", "--opset", "19"}, "Gelu 'act': opset 19 has no Gelu");
  // What is lost is said.
  for (const char* opset : {"10", "12", "13"}) {
    Ran ran = Linnet({"quantize", model_, out_, "--data", good, "--opset", opset, "--as-is", "--json"});
    ASSERT_EQ(ran.code, kSuccess) << ran.err;
    EXPECT_EQ(Notes(ran).find("one scale a tensor") != std::string::npos, opset != std::string("13")) << Notes(ran);
    Result<OnnxModel> written = ReadOnnxFile(out_);
    ASSERT_TRUE(written.ok());
    EXPECT_EQ(written->info.opsets[0].second, atoi(opset));
  }
}

TEST_F(CliQuantizeRefusals, CountsAndAccuracy) {
  Ran ran = Linnet({"quantize", Save(quantize::Lstm(), "lstm.onnx"), out_, "--mode", "weights", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_EQ((*ParseJson(ran.out, "report"))["quantized_nodes"].get<int>(), 1);
  EXPECT_EQ((*ParseJson(ran.out, "report"))["nodes"].get<int>(), 1);
  const std::string good = Pictures("a.npy", 8, 1, true);
  std::ofstream(folder_ + "/labels.txt") << "8\n8\n8\n8\n8\n8\n8\n8\n";
  for (const char* mode : {"static", "dynamic", "fp16"}) {
    ran = Linnet({"quantize", model_, out_, "--mode", mode, "--data", good, "--labels", folder_ + "/labels.txt"});
    ASSERT_EQ(ran.code, kSuccess) << ran.err;
    EXPECT_NE(ran.out.find("accuracy "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("float model "), std::string::npos) << ran.out;
  }
}

/// A product whose results go beyond float16's range and come back: 1000 * 1000 times what is there, and a millionth of it.
OnnxModel Overflowing() {
  OnnxModel model = quantize::Model("graph g (x: float[4,64], w: float[64,64], v: float[64,64], k: float[], small: float[]) -> (y) {\n"
                                       "  a = MatMul-13(x, w) @first\n"
                                       "  b = Mul-13(a, k)\n"
                                       "  c = Mul-13(b, k)\n"
                                       "  d = Mul-13(c, small)\n"
                                       "  e = Mul-13(d, small)\n"
                                       "  y = MatMul-13(e, v) @last\n"
                                       "}\n", 13);
  Graph& graph = model.graph;
  graph.SetConstant(graph.inputs[1], Random({64, 64}, 1, 0.3f));
  graph.SetConstant(graph.inputs[2], Random({64, 64}, 2, 0.3f));
  graph.SetConstant(graph.inputs[3], Tensor::Scalar(1000.0f));
  graph.SetConstant(graph.inputs[4], Tensor::Scalar(0.001f));
  return model;
}

TEST_F(CliQuantizeRefusals, HalfPrecisionLeavesInFloatWhatOverflows) {
  const std::string model = Save(Overflowing(), "overflow.onnx"), data = folder_ + "/data";
  std::filesystem::create_directory(data);
  for (int i = 0; i < 8; ++i) SaveArray("data/" + std::to_string(i) + ".npy", Random({4, 64}, 10 + static_cast<uint64_t>(i)));
  Ran ran = Linnet({"quantize", model, out_, "--mode", "fp16", "--data", data, "--as-is", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_LT(WorstDb(ran), 20);
  EXPECT_NE(Notes(ran).find("warning: outputs are not finite"), std::string::npos) << Notes(ran);
  ran = Linnet({"quantize", model, out_, "--mode", "fp16", "--data", data, "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_GE(WorstDb(ran), 30);
  EXPECT_NE(Notes(ran).find("float in 1 of 2 layers: first"), std::string::npos) << Notes(ran);
  ran = Linnet({"quantize", model, out_, "--mode", "fp16", "--data", data, "--min-sqnr", "55", "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_GE(WorstDb(ran), 55);
  std::filesystem::remove(out_);
  EXPECT_EQ(Linnet({"quantize", model, out_, "--mode", "fp16", "--data", data, "--min-sqnr", "150"}).code, kFailure);
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(CliQuantizeRefusals, HalfPrecisionTakesRecurrentWeights) {
  const std::string lstm = Save(quantize::Lstm(), "lstm.onnx");
  Ran ran = Linnet({"quantize", lstm, out_, "--mode", "fp16", "--data", SaveArray("sequence.npy", Random({6, 2, 20}, 3)), "--json"});
  ASSERT_EQ(ran.code, kSuccess) << ran.err;
  EXPECT_GE(WorstDb(ran), 50);
  Json json = *ParseJson(ran.out, "report");
  EXPECT_LE(json["weight_bytes_after"].get<int64_t>() * 2, json["weight_bytes_before"].get<int64_t>());
}

TEST_F(CliQuantizeRefusals, RowsOfArraysAreSamples) {
  // What numpy has as a.reshape(3, 2, 2), in either order.
  const std::string head = "{'descr': '<f4', 'fortran_order': %, 'shape': (3, 2, 2), }\n";
  const float values[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  for (bool fortran : {false, true}) {
    std::string dictionary = head;
    dictionary.replace(dictionary.find('%'), 1, fortran ? "True" : "False");
    std::string file("\x93NUMPY\x01\x00", 8);
    file += static_cast<char>(dictionary.size());
    file += '\0';
    file += dictionary + std::string(reinterpret_cast<const char*>(values), sizeof values);
    const Tensor whole = ReadNpy(file).value();
    for (int64_t row = 0; row < 3; ++row) {
      const Tensor one = ReadNpyRow(file, row).value();
      ASSERT_EQ(one.shape(), (Shape{1, 2, 2}));
      for (int i = 0; i < 4; ++i) EXPECT_EQ(one.as<float>()[i], whole.as<float>()[row * 4 + i]) << fortran << row << i;
    }
    EXPECT_EQ(whole.as<float>()[5], fortran ? 7 : 5);   // [1, 0, 1]
    EXPECT_FALSE(ReadNpyRow(file, 3).ok());
  }
}

}  // namespace
}  // namespace linnet::cli
