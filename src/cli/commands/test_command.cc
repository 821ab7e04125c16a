// linnet test: runs conformance cases and compares.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "api/full_build.h"
#include "base/file.h"
#include "cli/data/cases.h"
#include "base/system.h"
#include "cli/commands/commands.h"
#include "cli/data/compare.h"
#include "cli/json.h"
#include "onnx/proto_values.h"
#include "ort/reader.h"

namespace linnet::cli {
namespace {

struct TestOptions {
  std::vector<std::string> paths;
  CommonOptions common;
  std::string filter;
  double rtol = -1, atol = -1, of_max = 0;
  bool prepared = false, verbose = false, json = false;
};

bool IsRandom(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    if (node.op.starts_with("Random") || node.op == "Bernoulli" || node.op == "Multinomial") return true;
    if (node.op == "Dropout" && node.inputs.size() > 2) {
      // Training mode with a ratio above 0 drops at random.
      ValueId mode = node.inputs[2], ratio = node.inputs[1];
      bool training = !graph.is_constant(mode) || (graph.value(mode).constant.has_data() && *graph.value(mode).constant.as<bool>());
      bool zero = graph.is_constant(ratio) &&
                  ElementAsDouble(graph.value(ratio).type.dtype, graph.value(ratio).constant.data(), 0) == 0;
      if (training && !zero) return true;
    }
    for (Graph* body : Graph::Subgraphs(node)) {
      if (IsRandom(*body)) return true;
    }
  }
  return false;
}

bool IsQuantized(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (node.alive && (node.op.find("Quantize") != std::string::npos || node.op.starts_with("QLinear"))) return true;
  }
  return false;
}

Result<Datum> ReadDatum(const std::string& path, const Type& expected) {
  LINNET_ASSIGN(NamedDatum named, ReadValueFile(path, expected));
  return std::move(named.value);
}

/// Input `index` of a light case: arange(size) / size.
Result<Datum> LightInput(const PortInfo& port) {
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(DType::kFloat, port.type.shape));
  int64_t size = tensor.elements();
  for (int64_t i = 0; i < size; ++i) {
    tensor.mutable_as<float>()[i] = static_cast<float>(static_cast<double>(i) / static_cast<double>(size));
  }
  return Datum::Of(std::move(tensor));
}

class Runner {
 public:
  explicit Runner(const TestOptions& options) : options_(options) {}

  /// "" when every data set passes, else why not.
  std::string RunCase(const Case& c, bool* skipped) {
    if (c.data_sets.empty()) {
      *skipped = true;
      return "";
    }
    Result<SessionOptions> session_options = options_.common.ToSession();
    if (!session_options.ok()) return std::string(session_options.status().message());
    Result<std::unique_ptr<Session>> session =
        options_.prepared ? OpenPrepared(c.model, *session_options) : Session::Open(c.model, *session_options);
    if (!session.ok()) return Sentence(session.status());
    Tolerance tolerance = ToleranceOf(c);
    // What the model is, is asked of the file: passes may have folded operators away.
    ReadOptions read;
    Result<OnnxModel> plain = ReadModelFile(c.model, read);
    bool random = plain.ok() && IsRandom(plain->graph);
    if (plain.ok() && IsQuantized(plain->graph)) tolerance.integer_steps = 1;
    for (const std::string& set : c.data_sets) {
      std::string why = RunSet(**session, c, set, tolerance, random);
      if (!why.empty()) return c.data_sets.size() > 1 ? fmt::format("{}: {}", set.substr(set.rfind('/') + 1), why) : why;
    }
    return "";
  }

 private:
  /// The model as a phone gets it: converted to a .linnet file, which is opened and, being mapped, unlinked at once.
  static Result<std::unique_ptr<Session>> OpenPrepared(const std::string& model, const SessionOptions& options) {
    std::string path = (std::filesystem::temp_directory_path() / fmt::format("linnet-test-{}.linnet", ProcessId())).string();
    LINNET_TRY(ConvertModel(model, path, options));
    Result<std::unique_ptr<Session>> session = Session::Open(path, options);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return session;
  }

  static std::string Sentence(const Status& status) {
    return fmt::format("{}: {}", CodeName(status.code()), status.message());
  }

  Tolerance ToleranceOf(const Case& c) const {
    Tolerance tolerance;
    std::ifstream file(c.model.substr(0, c.model.rfind('/') + 1) + "tolerance");
    std::string word;
    double value;
    while (file >> word >> value) {
      if (word == "of_max") tolerance.of_max = value;
      if (word == "rtol") tolerance.rtol = value;
      if (word == "atol") tolerance.atol = value;
    }
    if (options_.rtol >= 0) tolerance.rtol = options_.rtol;
    if (options_.atol >= 0) tolerance.atol = options_.atol;
    if (options_.of_max > 0) tolerance.of_max = options_.of_max;
    return tolerance;
  }

  std::string RunSet(Session& session, const Case& c, const std::string& set, const Tolerance& tolerance, bool random) {
    std::string prefix = c.light ? set : set + "/";
    const std::vector<PortInfo>& ports = session.inputs();
    std::vector<std::string> files = NumberedFiles(prefix, "input");
    // Files belong to the inputs in order; where there are fewer files than inputs, those with defaults are left out.
    std::vector<size_t> fed;
    for (size_t i = 0; i < ports.size(); ++i) {
      if (c.light || files.size() == ports.size() || !ports[i].has_default) fed.push_back(i);
    }
    if (c.light) std::erase_if(fed, [&](size_t i) { return ports[i].has_default; });
    if (!c.light && fed.size() != files.size()) {
      return fmt::format("has {} input files for {} inputs", files.size(), fed.size());
    }
    std::vector<Datum> data(ports.size());
    std::vector<Fact> inputs(ports.size());
    for (size_t k = 0; k < fed.size(); ++k) {
      size_t i = fed[k];
      Result<Datum> datum = c.light ? LightInput(ports[i]) : ReadDatum(files[k], ports[i].type);
      if (!datum.ok()) return Sentence(datum.status());
      data[i] = std::move(*datum);
      inputs[i].type = data[i].type;
      inputs[i].data = data[i].type.is_tensor() ? data[i].tensor.data() : static_cast<const void*>(&data[i]);
    }
    std::vector<RunOutput> outputs(session.outputs().size());
    Status status = session.Run(inputs.data(), outputs.data());
    if (!status.ok()) return Sentence(status);
    std::vector<std::string> expected = NumberedFiles(prefix, "output");
    if (expected.size() > outputs.size()) return fmt::format("has {} output files for {} outputs", expected.size(), outputs.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      Result<Datum> want = ReadDatum(expected[i], session.outputs()[i].type);
      if (!want.ok()) return Sentence(want.status());
      std::string why = random ? CompareStatistics(outputs[i].datum, *want) : Compare(outputs[i].datum, *want, tolerance);
      if (!why.empty()) return fmt::format("output {} ({}): {}", i, Quote(session.outputs()[i].name), why);
    }
    return "";
  }

  const TestOptions& options_;
};

int RunTests(const TestOptions& options) {
  int passed = 0, failed = 0, skipped = 0;
  Json results = Json::array();
  Runner runner(options);
  for (const std::string& path : options.paths) {
    Result<std::vector<Case>> cases = FindCases(path);
    if (!cases.ok()) return Report(cases.status());
    for (const Case& c : *cases) {
      if (!options.filter.empty() && c.name.find(options.filter) == std::string::npos) continue;
      bool skip = false;
      std::string why = runner.RunCase(c, &skip);
      if (skip) why = "no data set";
      const char* result = skip ? "skipped" : why.empty() ? "passed" : "failed";
      ++(skip ? skipped : why.empty() ? passed : failed);
      if (options.json) {
        results.push_back({{"name", c.name}, {"result", result}});
        if (!why.empty()) results.back()["why"] = why;
      } else if (skip || why.empty()) {
        if (options.verbose) fmt::print("{} {}{}{}\n", skip ? "SKIP" : "PASS", c.name, skip ? ": " : "", why);
      } else {
        fmt::print("FAIL {}: {}\n", c.name, why);
      }
      fflush(stdout);
    }
  }
  if (options.json) {
    fmt::print("{}", FormatJson({{"passed", passed}, {"failed", failed}, {"skipped", skipped}, {"cases", results}}));
  } else {
    fmt::print("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
  }
  return failed ? kFailure : kSuccess;
}

}  // namespace

void AddTestCommand(Arguments& root) {
  auto options = std::make_shared<TestOptions>();
  Arguments test = root.Command("test", "Run ONNX backend-test cases and compare their outputs");
  test.Add("paths", options->paths, "Folders (searched recursively) or model files").Required();
  test.Add("--filter", options->filter, "Only cases whose name contains this");
  test.Add("--rtol", options->rtol, "Relative tolerance (1e-3)");
  test.Add("--atol", options->atol, "Absolute tolerance (1e-7)");
  test.Add("--of-max", options->of_max, "Instead: an error up to this part of the output's largest magnitude");
  test.Flag("--prepared", options->prepared, "Convert each model to a .linnet file first and run that");
  test.Flag("-v,--verbose", options->verbose, "Print passing and skipped cases too");
  test.Flag("--json", options->json, "Print one JSON object: counts, and every case with its result and why");
  options->common.AddTo(test);
  test.OnRun([options] { return RunTests(*options); });
}

}  // namespace linnet::cli
