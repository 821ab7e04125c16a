// The bodies of the fuzz targets. A broken promise (an internal error, a model that does not read back) aborts.
#include "fuzz/targets.h"

#include <string.h>

#include <map>
#include <string>

#include "format/linnet_file.h"
#include "fuzz/model_runs.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "onnx/writer.h"
#include "ort/reader.h"

namespace linnet::fuzz {
namespace {

std::string_view TextOf(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
std::span<const std::byte> Raw(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

void CollectVersions(const Graph& graph, std::map<std::string, int>& versions) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    int& version = versions[node.domain];
    version = std::max(version, node.version);
    for (const Graph* inner : Graph::Subgraphs(node)) {
      if (inner) CollectVersions(*inner, versions);
    }
  }
}
void RaiseVersions(Graph& graph, const std::map<std::string, int>& versions) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    Node& node = graph.mutable_node(id);
    node.version = versions.at(node.domain);
    for (Graph* inner : Graph::Subgraphs(node)) {
      if (inner) RaiseVersions(*inner, versions);
    }
  }
}

}  // namespace

void ReadOnnxModel(Bytes bytes) {
  ReadOptions options;
  options.untrusted = true;
  Result<OnnxModel> model = ReadOnnxBytes(Raw(TextOf(bytes)), nullptr, options);
  if (!Good(model.status())) return;
  Status verified = Verify(model->graph);
  Require(verified.ok(), "what the reader makes verifies", verified.message());
  PrintOptions print;
  print.elements_max = 64;
  // Writing gives a body's values names that the graph around it does not have: the first writing may change some, no other.
  std::string printed[3] = {PrintGraph(model->graph, print)};
  for (int turn = 1; turn < 3; ++turn) {
    std::string written;
    if (!Good(WriteOnnx(*model, written))) return;
    Result<OnnxModel> again = ReadOnnxBytes(Raw(written), nullptr, options);
    // What subgraphs share is written once a graph, so only a later reading may pass a limit.
    if (again.status().code() == Code::kLimitReached) return;
    Require(again.ok(), "what is written can be read", again.status().message());
    printed[turn] = PrintGraph(again->graph, print);
    if (printed[turn] == printed[turn - 1]) return;
    model = std::move(again);
  }
  Require(false, "what is read again prints the same", printed[1] + "\n---\n" + printed[2]);
}

void ReadPreparedModel(Bytes bytes) {
  Choices choices(bytes);
  Result<Block> block = Block::Allocate(static_cast<int64_t>(bytes.size()));
  if (!block.ok()) return;
  if (!bytes.empty()) memcpy(block->data(), bytes.data(), bytes.size());
  std::string_view text(reinterpret_cast<const char*>(block->data()), bytes.size());
  {
    Result<PreparedFile> file = ReadLinnet(text, nullptr, GraphLimits::Hostile());
    if (!Good(file.status())) return;
    Status verified = Verify(file->graph);
    Require(verified.ok(), "what the reader makes verifies", verified.message());
  }
  OpenAndRun(text, choices);
}

void ReadOrtModel(Bytes bytes) {
  Choices choices(bytes);
  Result<Block> block = Block::Allocate(static_cast<int64_t>(bytes.size()));
  if (!block.ok()) return;
  if (!bytes.empty()) memcpy(block->data(), bytes.data(), bytes.size());
  std::string_view text(reinterpret_cast<const char*>(block->data()), bytes.size());
  {
    ReadOptions options;
    options.untrusted = true;
    Result<OnnxModel> model = ReadOrtBytes(Raw(text), nullptr, options);
    if (!Good(model.status())) return;
    Status verified = Verify(model->graph);
    Require(verified.ok(), "what the reader makes verifies", verified.message());
  }
  OpenAndRun(text, choices);
}

void LoadAndRun(Bytes bytes) {
  Choices choices(bytes);
  std::string_view text = TextOf(bytes);
  Result<std::string> written = std::string();
  if (text.starts_with("graph")) {
    written = OnnxOfText(text);
    if (!Good(written.status())) return;
    text = *written;
  }
  OpenAndRun(text, choices);
}

Result<std::string> OnnxOfText(std::string_view text) {
  OnnxModel model;
  LINNET_ASSIGN(model.graph, ParseGraph(text));
  std::map<std::string, int> versions;
  CollectVersions(model.graph, versions);
  RaiseVersions(model.graph, versions);
  std::string bytes;
  LINNET_TRY(WriteOnnx(model, bytes));
  return bytes;
}

void ParseGraphText(Bytes bytes) {
  Result<Graph> graph = ParseGraph(TextOf(bytes));
  if (!Good(graph.status())) return;
  if (!Good(Verify(*graph))) return;
  std::string printed = PrintGraph(*graph);
  Result<Graph> again = ParseGraph(printed);
  Require(again.ok(), "what is printed can be parsed", again.status().message());
  Require(PrintGraph(*again) == printed, "what is parsed again prints the same", printed);
}

std::span<const Target> Targets() {
  static constexpr Target kTargets[] = {
      {"onnx", ReadOnnxModel}, {"ort", ReadOrtModel}, {"linnet", ReadPreparedModel}, {"run", LoadAndRun}, {"text", ParseGraphText}};
  return kTargets;
}

}  // namespace linnet::fuzz
