// Builds model files from graph text, with the library's own writer.
#include "api_test_util.h"

#include <stdio.h>

#include <filesystem>
#include <fstream>

#include "graph/text.h"
#include "onnx/writer.h"
#include "temp_folder.h"

namespace linnet_test {

namespace {

/// Tests write the types of a graph's outputs beside its inputs'; the text form wants them where the outputs are made.
std::string MoveOutputTypes(std::string text) {
  size_t begin = text.find("-> (") + 4, end = begin;
  std::vector<std::string> outputs(1);
  for (int depth = 0; end < text.size() && !(depth == 0 && text[end] == ')'); ++end) {
    if (text[end] == '(' || text[end] == '[') ++depth;
    if (text[end] == ')' || text[end] == ']') --depth;
    if (depth == 0 && text[end] == ',') {
      outputs.emplace_back();
    } else {
      outputs.back() += text[end];
    }
  }
  std::string names;
  std::string rest = text.substr(end);
  for (std::string& output : outputs) {
    output.erase(0, output.find_first_not_of(' '));
    std::string name = output.substr(0, output.find(':'));
    names += (names.empty() ? "" : ", ") + name;
    size_t made = rest.find(" " + name + " = ");
    if (made != std::string::npos && name != output) rest.replace(made + 1, name.size(), output);
  }
  return text.substr(0, begin) + names + rest;
}

}  // namespace

std::string ModelBytes(const std::string& text) {
  linnet::Result<linnet::Graph> graph = linnet::ParseGraph(MoveOutputTypes(text));
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  linnet::OnnxModel model;
  model.graph = std::move(*graph);
  model.info.ir_version = 8;
  model.info.producer_name = "a test";
  model.info.producer_version = "7";
  model.info.domain = "test.example";
  model.info.graph_name = model.graph.name;
  model.info.doc_string = "made from text";
  model.info.model_version = 3;
  model.info.metadata = {{"colour", "blue"}, {"size", "2"}};
  std::string bytes;
  linnet::Status status = WriteOnnx(model, bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  return bytes;
}

std::string DigitsPath() { return std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx"; }
std::string DigitsInputPath() { return std::string(LINNET_SOURCE_DIR) + "/models/digits/test_data_set_0/input_0.pb"; }
std::string DigitsOutputPath() { return std::string(LINNET_SOURCE_DIR) + "/models/digits/test_data_set_0/output_0.pb"; }

std::vector<float> LastFloats(const std::string& path, size_t count) {
  std::vector<float> out(count);
  std::ifstream file(path, std::ios::binary);
  auto bytes = static_cast<std::streamoff>(count * sizeof(float));
  file.seekg(-bytes, std::ios::end);
  EXPECT_TRUE(file.read(reinterpret_cast<char*>(out.data()), bytes)) << path;
  return out;
}

std::string TemporaryPath(const std::string& name) {
  return linnet::NewTempFolder("linnet_api") + "/" + name;
}

LinnetSession* OpenText(const std::string& text, const LinnetOptions* options) {
  std::string bytes = ModelBytes(text);
  LinnetSession* session = nullptr;
  EXPECT_OK(LinnetSessionFromMemory(bytes.data(), bytes.size(), options, &session));
  return session;
}

}  // namespace linnet_test
