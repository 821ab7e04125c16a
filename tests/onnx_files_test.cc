// Reads every model and value file that lies beside the sources, when they are there.
#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>

#include "graph/text.h"
#include "graph/verify.h"
#include "onnx/proto_values.h"
#include "onnx/reader.h"
#include "onnx/writer.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Models() {
  std::vector<fs::path> found;
  for (const char* folder : {"onnx-tests", "models"}) {
    const char* shared = getenv("LINNET_SHARED");
    fs::path root = (shared ? fs::path(shared) : fs::path(LINNET_SOURCE_DIR) / ".." / "shared") / folder;
    if (!fs::exists(root)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() == ".onnx") found.push_back(entry.path());
    }
  }
  return found;
}

TEST(OnnxFiles, EveryModelReadsAndVerifies) {
  std::vector<fs::path> models = Models();
  if (models.empty()) GTEST_SKIP() << "no models beside the sources";
  for (const fs::path& path : models) {
    for (bool untrusted : {false, true}) {
      ReadOptions options;
      options.untrusted = untrusted;
      Result<OnnxModel> model = ReadOnnxFile(path.string(), options);
      ASSERT_TRUE(model.ok()) << model.status().message();
      Status status = Verify(model->graph);
      EXPECT_TRUE(status.ok()) << path << ": " << status.message();
      EXPECT_FALSE(model->graph.outputs().empty()) << path;
      if (untrusted) continue;
      // Written and read again it prints the same.
      std::string bytes;
      status = WriteOnnx(*model, bytes);
      ASSERT_TRUE(status.ok()) << path << ": " << status.message();
      Result<OnnxModel> again = ReadOnnxBytes(std::as_bytes(std::span<const char>(bytes)));
      ASSERT_TRUE(again.ok()) << path << ": " << again.status().message();
      PrintOptions print;
      print.elements_max = 64;
      EXPECT_EQ(PrintGraph(again->graph, print), PrintGraph(model->graph, print)) << path;
      // Where nothing is cut the text parses.
      std::string text = PrintGraph(model->graph, print);
      if (text.find("{...}") != std::string::npos) continue;
      Result<Graph> parsed = ParseGraph(text);
      ASSERT_TRUE(parsed.ok()) << path << ": " << parsed.status().message();
      EXPECT_EQ(PrintGraph(*parsed), text) << path;
    }
  }
}

TEST(OnnxFiles, EveryValueReadsAsItsPortSays) {
  int read = 0;
  for (const fs::path& path : Models()) {
    fs::path set = path.parent_path() / "test_data_set_0";
    if (!fs::exists(set)) continue;
    Result<OnnxModel> model = ReadOnnxFile(path.string());
    ASSERT_TRUE(model.ok());
    const Graph& graph = model->graph;
    auto check = [&](const char* prefix, const std::vector<ValueId>& ids) {
      for (size_t i = 0; i < ids.size(); ++i) {
        fs::path file = set / (prefix + std::to_string(i) + ".pb");
        if (!fs::exists(file)) continue;
        const Type& type = graph.value(ids[i]).type;
        Result<NamedDatum> value = ReadValueFile(file.string(), type);
        ASSERT_TRUE(value.ok()) << value.status().message();
        EXPECT_EQ(value->value.type.kind, type.kind) << file;
        if (value->value.present) {
          EXPECT_EQ(value->value.type.dtype, type.dtype) << file;
        }
        ++read;
        Result<std::string> bytes = WriteValue(value->name, value->value);
        ASSERT_TRUE(bytes.ok()) << bytes.status().message();
        Result<NamedDatum> again = ReadValue(std::as_bytes(std::span<const char>(*bytes)), value->value.type);
        ASSERT_TRUE(again.ok()) << again.status().message();
        EXPECT_EQ(again->name, value->name);
        EXPECT_EQ(WriteValue(again->name, again->value).value(), *bytes);
      }
    };
    check("input_", graph.inputs);
    check("output_", graph.outputs());
  }
  if (read == 0) GTEST_SKIP() << "no values beside the sources";
}

}  // namespace
}  // namespace linnet
