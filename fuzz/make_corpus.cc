// Makes the seeds in fuzz/corpus/onnx, fuzz/corpus/ort and fuzz/corpus/linnet from the graphs in fuzz/corpus/run: make_corpus fuzz/corpus.
#include <stdio.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "api/full_build.h"
#include "base/file.h"
#include "fuzz/ort_writer.h"
#include "fuzz/targets.h"

namespace {

namespace fs = std::filesystem;
using namespace linnet;

Status Convert(const fs::path& graph_file, const fs::path& onnx, const fs::path& ort, const fs::path& prepared) {
  LINNET_ASSIGN(MappedFile::Ref text, MappedFile::Open(graph_file.string()));
  LINNET_ASSIGN(std::string bytes, fuzz::OnnxOfText(text->bytes()));
  LINNET_TRY(WriteFileAtomically(onnx.string(), [&](Sink& sink) { return sink.Append(bytes); }));
  LINNET_ASSIGN(OnnxModel model, ReadOnnxFile(onnx.string()));
  const std::string tables = fuzz::OrtFile(fuzz::OrtTables(model));
  LINNET_TRY(WriteFileAtomically(ort.string(), [&](Sink& sink) { return sink.Append(tables); }));
  SessionOptions options;
  options.threads = 1;
  return ConvertModel(onnx.string(), prepared.string(), options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: make_corpus fuzz/corpus\n"), 2;
  const fs::path corpus = argv[1];
  std::vector<fs::path> graphs;
  for (const fs::directory_entry& entry : fs::directory_iterator(corpus / "run")) {
    if (entry.path().extension() == ".graph") graphs.push_back(entry.path());
  }
  std::sort(graphs.begin(), graphs.end());
  int failures = 0;
  for (const fs::path& graph : graphs) {
    std::string stem = graph.stem().string();
    Status status = Convert(graph, corpus / "onnx" / (stem + ".onnx"), corpus / "ort" / (stem + ".ort"), corpus / "linnet" / (stem + ".linnet"));
    if (status.ok()) continue;
    fprintf(stderr, "%s: %s\n", graph.c_str(), std::string(status.message()).c_str());
    ++failures;
  }
  printf("%zu graphs, %d failures\n", graphs.size(), failures);
  return failures != 0;
}
