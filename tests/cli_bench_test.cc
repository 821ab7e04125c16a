// linnet bench: what it says of floors, and the inputs it is given.
#include <gtest/gtest.h>
#include <stdio.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "cli/json.h"
#include "cli/machine.h"
#include "command_util.h"
#include "graph/graph.h"
#include "graph/text.h"
#include "proto_builder.h"
#include "temp_folder.h"

namespace linnet::cli {
namespace {

const std::string kDigits = std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx";

linnet_test::Ran Bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"bench", "--threads", "1", "--runs", "1"});
  return linnet_test::RunCommand(std::move(arguments), AddBenchCommand);
}

Json BenchJson(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const linnet_test::Ran ran = Bench(std::move(arguments));
  EXPECT_EQ(ran.code, kSuccess) << ran.err;
  Result<Json> json = ParseJson(ran.out, "the output");
  EXPECT_TRUE(json.ok()) << ran.out;
  return json.ok() ? *json : Json();
}

/// The cost of the node that makes y; w, r and b are constants.
StepCost CostIn(const std::string& text) {
  Result<Graph> graph = ParseGraph("graph g " + text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  for (NodeId id = 0; graph.ok() && id < graph->node_count(); ++id) {
    const Node& node = graph->node(id);
    auto values = [&](const std::vector<ValueId>& ids) {
      std::vector<StepValue> list;
      for (ValueId value : ids) {
        const Value& v = graph->value(value);
        list.push_back({&v.type, v.name == "w" || v.name == "r" || v.name == "b"});
      }
      return list;
    };
    return CostOf(node, values(node.inputs), values(node.outputs));
  }
  return {};
}

TEST(StepCosts, AttentionMultipliesEveryQueryWithEveryKeyTwice) {
  // 4 heads, 5 queries, 7 keys of 16 numbers, values of 8: 4 x 5 x 7 x (16 + 8), wherever positions are.
  EXPECT_EQ(CostIn("(q: float[1,4,5,16], k: float[1,4,7,16], v: float[1,4,7,8]) -> (y) {\n"
                   "  y: float[1,4,5,8] = linnet:Attention-1(q, k, v)\n}\n").macs, 4 * 5 * 7 * (16 + 8));
  EXPECT_EQ(CostIn("(q: float[1,5,4,16], k: float[1,7,4,16], v: float[1,4,7,8]) -> (y) {\n"
                   "  y: float[1,4,5,8] = linnet:Attention-1(q, k, v) {q_axis=1, k_axis=1}\n}\n").macs, 4 * 5 * 7 * (16 + 8));
}

TEST(StepCosts, WinogradsTilesMultiplyLess) {
  // 64 channels to 64, 56 x 56: 14 x 14 tiles of 4 x 4, or 28 x 28 of 2 x 2.
  const StepCost tiles = CostIn("(x: float[1,56,56,64], w: float[64,64,3,3]) -> (y) {\n"
                                "  y: float[1,56,56,64] = linnet:Conv-11(x, w) {pads=[1,1,1,1]}\n}\n");
  const double direct = 56.0 * 56 * 64 * 64 * 9;
  EXPECT_LT(tiles.macs, direct / 2);
  EXPECT_GT(tiles.macs, direct / 4) << "four times fewer multiplications, and the transforms";
  // Taken apart into four pictures of 28 x 28, of 7 x 7 tiles each.
  const StepCost dilated = CostIn("(x: float[1,56,56,64], w: float[64,64,3,3]) -> (y) {\n"
                                  "  y: float[1,56,56,64] = linnet:Conv-11(x, w) {dilations=[2,2], pads=[2,2,2,2]}\n}\n");
  EXPECT_EQ(dilated.macs, tiles.macs);
  const StepCost strided = CostIn("(x: float[1,56,56,64], w: float[64,64,3,3]) -> (y) {\n"
                                  "  y: float[1,28,28,64] = linnet:Conv-11(x, w) {strides=[2,2], pads=[1,1,1,1]}\n}\n");
  EXPECT_EQ(strided.macs, direct / 4);
}

TEST(StepCosts, TapsOutsideOfTheImageCostNothing) {
  // 14 pixels and taps 12 apart: along each axis 14 in the middle and 2 on either side.
  EXPECT_DOUBLE_EQ(CostIn("(x: float[1,14,14,96], w: float[64,96,3,3]) -> (y) {\n"
                          "  y: float[1,14,14,64] = linnet:Conv-11(x, w) {dilations=[12,12], pads=[12,12,12,12]}\n}\n").macs,
                   18.0 * 18 * 96 * 64);
}

TEST(StepCosts, RecurrentWeightsAreReadAtEveryStep) {
  const StepCost cost = CostIn("(x: float[6,1,32], w: float[1,64,32], r: float[1,64,16]) -> (y) {\n"
                               "  y: float[6,1,1,16] = LSTM-14(x, w, r) {hidden_size=16}\n}\n");
  EXPECT_EQ(cost.macs, 6 * 64 * (32 + 16));
  EXPECT_EQ(cost.weight_bytes, 4 * 64 * (32 + 16));
  EXPECT_EQ(cost.walked_bytes, 4 * 64 * 16);
  EXPECT_EQ(cost.walks, 5);
}

TEST(MachinePeaks, TheFloorIsArithmeticOrBytes) {
  MachinePeaks peaks;
  peaks.threads = 2;
  peaks.flops_per_ns = 100, peaks.byte_ops_per_ns = 400;
  peaks.reading = {{1000, 50}, {2000, 20}, {4000, 25}, {8000, 10}};
  EXPECT_EQ(peaks.BytesPerNs(10), 50);
  EXPECT_EQ(peaks.BytesPerNs(1999), 50) << "the largest size that is no larger";
  EXPECT_EQ(peaks.BytesPerNs(2000), 25) << "4000 bytes were read faster than 2000: that was noise";
  EXPECT_EQ(peaks.BytesPerNs(1e9), 10);
  StepCost cost;
  cost.macs = 1000;
  EXPECT_EQ(peaks.FloorNs(cost, 0), 10) << "2000 operations, 100 a nanosecond and thread";
  cost.of_bytes = true;
  EXPECT_EQ(peaks.FloorNs(cost, 0), 2.5);
  cost.bytes = 900, cost.weight_bytes = 400;
  EXPECT_EQ(peaks.FloorNs(cost, 8000), 500 / 50.0 + 400 / 10.0) << "weights from where all of the model's lie";
  cost.walks = 3, cost.walked_bytes = 200;
  EXPECT_EQ(peaks.FloorNs(cost, 8000), 500 / 50.0 + 400 / 10.0 + 3 * 200 / 50.0);
}

TEST(MachinePeaks, Measured) {
  MachinePeaks peaks;
  peaks.threads = 2;
  MeasurePeaks(DetectedCpuLevel(), &peaks);
  EXPECT_GT(peaks.flops_per_ns, 0.1);
  EXPECT_GT(peaks.byte_ops_per_ns, 0.1);
  ASSERT_GE(peaks.reading.size(), 2u);
  EXPECT_TRUE(std::is_sorted(peaks.reading.begin(), peaks.reading.end(),
                             [](const auto& a, const auto& b) { return a.bytes < b.bytes; }));
  for (const MachinePeaks::Reading& each : peaks.reading) EXPECT_GT(each.bytes_per_ns, 0.01);
  const size_t sizes = peaks.reading.size();
  peaks.flops_per_ns = 1e12, peaks.reading[0].bytes_per_ns = 1e12;
  MeasurePeaks(DetectedCpuLevel(), &peaks);
  EXPECT_EQ(peaks.flops_per_ns, 1e12) << "what was higher stays";
  EXPECT_EQ(peaks.reading[0].bytes_per_ns, 1e12);
  EXPECT_EQ(peaks.reading.size(), sizes);
  const double large = 80e6;
  MeasurePeaks(DetectedCpuLevel(), &peaks, large);
  ASSERT_EQ(peaks.reading.size(), sizes + 1) << "memory is read at the size of a large model too";
  EXPECT_LE(peaks.reading.back().bytes, large);
  EXPECT_GT(peaks.reading.back().bytes, peaks.reading[sizes - 1].bytes);
}

TEST(CliBench, FloorsAreInTheJson) {
  const Json json = BenchJson({kDigits, "--steps"});
  double ms = 0, floor = 0;
  ASSERT_GT(json["steps"].size(), 1u);
  for (const Json& step : json["steps"]) {
    ms += step["ms"].get<double>();
    floor += step["floor_ms"].get<double>();
    EXPECT_FALSE(step["name"].get<std::string>().empty());
  }
  EXPECT_NEAR(json["steps_ms"].get<double>(), ms, 1e-9);
  EXPECT_NEAR(json["floor_ms"].get<double>(), floor, 1e-9);
  EXPECT_GT(floor, 0);
  EXPECT_TRUE(json["floor_complete"].get<bool>());
  EXPECT_EQ(json["peaks"]["threads"], 1);
  EXPECT_GT(json["peaks"]["gflops_per_thread"].get<double>(), 0);
  EXPECT_GT(json["peaks"]["byte_gops_per_thread"].get<double>(), 0);
  EXPECT_GT(json["peaks"]["reading"][0]["gb_per_s"].get<double>(), 0);
  EXPECT_FALSE(BenchJson({kDigits}).contains("steps"));
  EXPECT_FALSE(BenchJson({kDigits, "--no-table"}).contains("floor_ms"));
}

TEST(CliBench, GivenInputsSayTheShapes) {
  const std::string folder = NewTempFolder("linnet_bench");
  const std::string model = folder + "/model.onnx", input = folder + "/input.pb";
  // y = x + x, x float[n, 2].
  Proto shape, node, graph, value, tensor;
  shape.Msg(1, Proto().Str(2, "n")).Msg(1, Proto().Int(1, 2));
  value.Str(1, "x").Msg(2, Proto().Msg(1, Proto().Int(1, 1).Msg(2, shape)));
  Proto result = Proto().Str(1, "y").Msg(2, Proto().Msg(1, Proto().Int(1, 1).Msg(2, shape)));
  node.Str(1, "x").Str(1, "x").Str(2, "y").Str(4, "Add");
  graph.Msg(1, node).Str(2, "g").Msg(11, value).Msg(12, result);
  auto save = [](const std::string& path, const Proto& proto) {
    FILE* file = fopen(path.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    fwrite(proto.bytes().data(), 1, proto.bytes().size(), file);
    fclose(file);
  };
  save(model, Proto().Int(1, 8).Msg(7, graph).Msg(8, Proto().Int(2, 17)));
  tensor.Int(1, 3).Int(1, 2).Int(2, 1).Str(8, "x").Str(9, std::string(24, '\0'));
  save(input, tensor);
  EXPECT_NE(BenchJson({model, "--steps"})["steps"][0]["types"].get<std::string>().find("float[1,2]"), std::string::npos);
  EXPECT_NE(BenchJson({model, "--steps", "--input", "x=" + input})["steps"][0]["types"].get<std::string>().find("float[3,2]"),
            std::string::npos);
  const linnet_test::Ran wrong = Bench({model, "--input", "z=" + input});
  EXPECT_NE(wrong.code, kSuccess);
  EXPECT_NE(wrong.err.find("'x'"), std::string::npos) << wrong.err;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace linnet::cli
