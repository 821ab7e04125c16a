// linnet info: what a model is and what running it takes.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/data/model_file.h"
#include "cli/data/model_inputs.h"
#include "cli/statistics.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/utf8.h"
#include "passes/passes.h"

namespace linnet::cli {
namespace {

struct InfoOptions {
  std::string model;
  CommonOptions common;
  ShapeOptions shapes;
  bool json = false;
};

/// A plan in the file.
struct PlanCost {
  std::string shapes;                   ///< of the inputs
  int64_t value_bytes = 0;
  int64_t scratch_bytes = 0;            ///< here: it depends on the machine and the number of threads
};

/// What follows from the shapes; each part may fail on its own without hiding the rest.
struct Cost {
  Status why_no_shapes, why_no_macs, why_no_memory;
  std::vector<Type> types;              ///< of the inputs, all dimensions known
  std::vector<std::string> unbound;     ///< symbols that were set to 1
  MacCounts macs;
  int64_t activation_bytes = 0;
  bool partial = false;                 ///< some activations are known only in the run
  std::vector<PlanCost> plans;
};

/// Multiply-accumulates of `graph` with inputs of `types`. Constants are folded, so that shapes computed by the graph
/// become known; in a prepared file that has happened.
Result<MacCounts> MacsFor(Graph graph, const std::vector<PortInfo>& ports, const std::vector<Type>& types, bool prepared,
                          int64_t memory_limit_bytes) {
  MemoryBudget budget;
  budget.set_limit_bytes(memory_limit_bytes);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  context.budget = &budget;
  std::vector<ValueId> fed;
  size_t port = 0;
  for (ValueId id : graph.inputs) {
    // Ports of a prepared file leave inputs with a default out, as its graph does.
    if (port < ports.size() && !ports[port].has_default) {
      graph.SetType(id, types[port]);
      fed.push_back(id);
    }
    ++port;
  }
  if (prepared) {
    LINNET_TRY(InferTypes(graph, context));
    return CountMacs(graph);
  }
  graph.inputs = std::move(fed);
  // A shape that folds makes the next one known: as many turns as shapes depend on each other, bounded.
  constexpr int kTurnsMax = 200;
  int64_t nodes = INT64_MAX;
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    LINNET_TRY(InferTypes(graph, context));
    MacCounts macs = CountMacs(graph);
    int64_t left = Count(graph).nodes;
    if (macs.unknown == 0 || left == nodes) return macs;
    nodes = left;
    LINNET_TRY(FoldConstants(graph, context));
  }
  return CountMacs(graph);
}

Cost CostOf(const ModelFile& file, const InfoOptions& options, const SessionOptions& session_options) {
  Cost cost;
  Result<std::vector<Type>> types =
      BindInputTypes(file.inputs, file.model.graph.symbols(), options.shapes, nullptr, &cost.unbound);
  if (!types.ok()) {
    cost.why_no_shapes = types.TakeStatus();
    return cost;
  }
  cost.types = std::move(*types);
  Result<MacCounts> macs =
      MacsFor(file.model.graph.Clone(), file.inputs, cost.types, file.prepared, session_options.memory_limit_bytes);
  if (macs.ok()) {
    cost.macs = std::move(*macs);
  } else {
    cost.why_no_macs = macs.TakeStatus();
  }
  for (size_t i = 0; i < file.inputs.size(); ++i) {
    if (!file.inputs[i].has_default && !cost.types[i].is_tensor()) {
      cost.why_no_memory = Unsupported("input ", Quote(file.inputs[i].name), " is no tensor, so memory is not known ahead");
      return cost;
    }
  }
  Result<std::unique_ptr<Session>> session = Session::Open(options.model, session_options);
  if (!session.ok()) {
    cost.why_no_memory = session.TakeStatus();
    return cost;
  }
  for (const StoredPlan& plan : file.plans) {
    PlanCost one;
    std::vector<Type> types;
    for (ValueId id : file.model.graph.inputs) {
      types.push_back(plan.facts[static_cast<size_t>(id)].type);
      one.shapes += Cat(one.shapes.empty() ? "" : ", ", file.inputs[types.size() - 1].name, " ", ToString(types.back()));
    }
    Result<int64_t> total = (*session)->PlanArenaBytes(types);
    if (!total.ok()) continue;
    one.value_bytes = plan.arena_bytes;
    one.scratch_bytes = std::max<int64_t>(0, *total - plan.arena_bytes);
    cost.plans.push_back(std::move(one));
  }
  Result<int64_t> bytes = (*session)->PlanArenaBytes(cost.types, &cost.partial);
  if (bytes.ok()) {
    cost.activation_bytes = *bytes;
  } else {
    cost.why_no_memory = bytes.TakeStatus();
  }
  return cost;
}

/// What the products of a session with these options are computed on.
std::string PrecisionOf(const InfoOptions& options, const ModelFile& file) {
  if (file.prepared) return file.precision;
  return options.common.precision.empty() ? "f32" : options.common.precision;
}

std::string OpsetName(const std::string& domain) { return domain.empty() ? "ai.onnx" : domain; }

void PrintJson(const InfoOptions& options, const ModelFile& file, const GraphCounts& counts, const Cost& cost) {
  const ModelInfo& info = file.model.info;
  const SymbolTable& symbols = file.model.graph.symbols();
  auto ports = [&](const std::vector<PortInfo>& list) {
    Json out = Json::array();
    for (const PortInfo& port : list) {
      Json one = {{"name", port.name}, {"type", ToString(port.type, &symbols)}};
      if (port.type.is_tensor()) {
        one["dtype"] = DTypeName(port.type.dtype);
        if (port.type.shape.has_rank()) {
          one["shape"] = Json::array();
          for (int64_t dim : port.type.shape) {
            one["shape"].push_back(IsKnownDim(dim) ? Json(dim) : IsSymbolDim(dim) ? Json(symbols.name(dim)) : Json(nullptr));
          }
        }
      }
      if (port.has_default) one["has_default"] = true;
      out.push_back(std::move(one));
    }
    return out;
  };
  Json json;
  json["model"] = options.model;
  json["format"] = file.prepared ? "linnet" : "onnx";
  json["file_bytes"] = file.file_bytes;
  if (options.common.verify) json["verified"] = true;
  json["ir_version"] = info.ir_version;
  json["producer"] = {{"name", info.producer_name}, {"version", info.producer_version}};
  json["domain"] = info.domain;
  json["model_version"] = info.model_version;
  json["graph"] = info.graph_name;
  json["doc"] = info.doc_string;
  json["opsets"] = Json::object();
  for (const auto& [domain, version] : info.opsets) json["opsets"][OpsetName(domain)] = version;
  json["metadata"] = Json::object();
  for (const auto& [key, value] : info.metadata) json["metadata"][key] = value;
  json["inputs"] = ports(file.inputs);
  json["outputs"] = ports(file.outputs);
  json["precision"] = PrecisionOf(options, file);
  json["nodes"] = counts.nodes;
  json["operators"] = Json::object();
  for (const auto& [op, count] : counts.operators) json["operators"][op] = count;
  json["parameters"] = counts.parameters;
  json["weight_bytes"] = counts.constant_bytes + file.packed_bytes;
  if (file.prepared) json["packed_bytes"] = file.packed_bytes;
  for (const PlanCost& plan : cost.plans) {
    json["plans"].push_back({{"inputs", plan.shapes}, {"value_bytes", plan.value_bytes}, {"scratch_bytes", plan.scratch_bytes}});
  }
  Json& bound = json["bound"] = Json::object();
  if (!cost.why_no_shapes.ok()) {
    bound["error"] = std::string(cost.why_no_shapes.message());
  } else {
    bound["inputs"] = Json::object();
    for (size_t i = 0; i < cost.types.size(); ++i) bound["inputs"][file.inputs[i].name] = ToString(cost.types[i], &symbols);
    bound["dimensions_set_to_1"] = cost.unbound;
    if (cost.why_no_macs.ok()) {
      bound["macs"] = cost.macs.total;
      bound["macs_by_operator"] = cost.macs.by_op;
      bound["nodes_of_unknown_shape"] = cost.macs.unknown;
    } else {
      bound["macs_error"] = std::string(cost.why_no_macs.message());
    }
    if (cost.why_no_memory.ok()) {
      bound["activation_bytes_peak"] = cost.activation_bytes;
      bound["activations_depend_on_contents"] = cost.partial;
    } else {
      bound["memory_error"] = std::string(cost.why_no_memory.message());
    }
  }
  fmt::print("{}", FormatJson(json));
}

std::string MacsText(const MacCounts& macs) {
  std::vector<std::pair<double, std::string>> parts;
  for (const auto& [op, count] : macs.by_op) parts.emplace_back(count, op);
  std::sort(parts.rbegin(), parts.rend());
  std::string text = FormatShort(macs.total);
  for (size_t i = 0; i < parts.size() && parts.size() > 1; ++i) {
    text += Cat(i == 0 ? "  (" : ", ", parts[i].second, " ", FormatShort(parts[i].first), i + 1 == parts.size() ? ")" : "");
  }
  if (macs.unknown > 0) text += Cat("  and ", macs.unknown, macs.unknown == 1 ? " node" : " nodes", " of unknown shape");
  if (macs.in_body) text += "  (subgraphs counted as if run once)";
  return text;
}

void PrintText(const InfoOptions& options, const ModelFile& file, const GraphCounts& counts, const Cost& cost) {
  const ModelInfo& info = file.model.info;
  const SymbolTable& symbols = file.model.graph.symbols();
  Terminal terminal(stdout);
  fmt::print("{}  {}  {}\n", terminal.Paint(Color::kBold, Printable(options.model)), FormatBytes(file.file_bytes),
             file.prepared ? "prepared by linnet convert" : fmt::format("ONNX, IR version {}", info.ir_version));
  Table facts({{""}, {""}});
  auto fact = [&](const char* name, const std::string& text) {
    if (!text.empty()) facts.Row({{name, Color::kDim}, text});
  };
  fact("graph", info.graph_name);
  fact("producer", Cat(info.producer_name, info.producer_version.empty() ? "" : " ", info.producer_version));
  std::string opsets;
  for (const auto& [domain, version] : info.opsets) opsets += Cat(opsets.empty() ? "" : ", ", OpsetName(domain), " ", version);
  fact("opsets", opsets);
  constexpr size_t kValueBytesShown = 200;
  fact("about", info.doc_string.substr(0, kValueBytesShown));
  for (const auto& [key, value] : info.metadata) {
    fact("metadata", Cat(key, " = ", std::string_view(value).substr(0, kValueBytesShown),
                         value.size() > kValueBytesShown ? "..." : ""));
  }
  for (const PortInfo& port : file.inputs) {
    fact("input", Cat(port.name, "  ", ToString(port.type, &symbols), port.has_default ? "  (has a default)" : ""));
  }
  for (const PortInfo& port : file.outputs) fact("output", Cat(port.name, "  ", ToString(port.type, &symbols)));
  fact("precision", PrecisionOf(options, file));
  fact("checksums", options.common.verify ? "verified" : "");
  fact("parameters", FormatCount(counts.parameters));
  fact("weights", Cat(FormatBytes(counts.constant_bytes + file.packed_bytes),
                      file.prepared ? Cat(", of them ", FormatBytes(file.packed_bytes), " packed for kernels") : ""));
  if (!cost.why_no_shapes.ok()) {
    fact("cost", Cat("unknown: ", cost.why_no_shapes.message()));
  } else {
    std::string shapes;
    for (size_t i = 0; i < cost.types.size(); ++i) {
      if (file.inputs[i].has_default) continue;
      shapes += Cat(shapes.empty() ? "" : ", ", file.inputs[i].name, " ", ToString(cost.types[i], &symbols));
    }
    fact("for", shapes);
    for (const std::string& name : cost.unbound) fact("", Cat("dimension ", Quote(name), " is 1; set it with --dim NAME=N"));
    fact("MACs", cost.why_no_macs.ok() ? MacsText(cost.macs) : Cat("unknown: ", cost.why_no_macs.message()));
    fact("activations", cost.why_no_memory.ok() ? Cat(FormatBytes(cost.activation_bytes), " at the peak",
                                                      cost.partial ? ", and what depends on contents" : "")
                                                : Cat("unknown: ", cost.why_no_memory.message()));
  }
  for (const PlanCost& plan : cost.plans) {
    fact("plan", Cat(plan.shapes, ": ", FormatBytes(plan.value_bytes), " of values and ", FormatBytes(plan.scratch_bytes), " of scratch"));
  }
  fmt::print("{}\n", facts.ToString(terminal));

  std::vector<std::pair<std::string, int64_t>> rows(counts.operators.begin(), counts.operators.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  Table operators({{"operator"}, {"nodes", Table::Align::kRight}});
  for (const auto& [op, count] : rows) operators.Row({op, fmt::format("{}", count)});
  if (rows.size() > 1) operators.Row({{"all", Color::kDim}, {fmt::format("{}", counts.nodes), Color::kDim}});
  if (!rows.empty()) fmt::print("{}", operators.ToString(terminal));
}

int Info(const InfoOptions& options) {
  Result<SessionOptions> session = options.common.ToSession();
  if (!session.ok()) return Report(session.status());
  Result<ModelFile> file = OpenModelFile(options.model, *session);
  if (!file.ok()) return Report(file.status());
  GraphCounts counts = Count(file->model.graph);
  Cost cost = CostOf(*file, options, *session);
  // A wrong --shape or --dim is the caller's mistake, not a property of the model.
  bool asked = !options.shapes.shapes.empty() || !options.shapes.dims.empty();
  if (asked && !cost.why_no_shapes.ok()) return Report(cost.why_no_shapes);
  if (options.json) {
    PrintJson(options, *file, counts, cost);
  } else {
    PrintText(options, *file, counts, cost);
  }
  return kSuccess;
}

}  // namespace

void AddInfoCommand(Arguments& root) {
  auto options = std::make_shared<InfoOptions>();
  Arguments info = root.Command("info", "Say what a model is: inputs, outputs, operators, weights, work and memory");
  info.Add("model", options->model, "Model file (.onnx, .ort or .linnet)").Required();
  info.Add("--shape", options->shapes.shapes, "Shape of an input, e.g. image=1x3x224x224 (repeatable)");
  info.Add("--dim", options->shapes.dims, "Value of a symbolic dimension, e.g. seq=128 (repeatable)");
  info.Flag("--json", options->json, "Print one JSON object");
  options->common.AddTo(info);
  info.OnRun([options] { return Info(*options); });
}

}  // namespace linnet::cli
