// linnet bench: how long a model takes, by itself and beside the peer.
#include <fmt/format.h>
#include <stdio.h>
#include <time.h>

#include <algorithm>
#include <optional>

#include "api/precision.h"
#include "cli/allocations.h"
#include "cli/commands/commands.h"
#include "cli/data/compare.h"
#include "cli/growth.h"
#include "cli/json.h"
#include "cli/data/model_inputs.h"
#include "cli/peer.h"
#include "cli/step_times.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/system.h"

namespace linnet::cli {
namespace {

struct BenchOptions {
  std::string model, peer, grow;
  std::vector<std::string> inputs;
  CommonOptions common;
  ShapeOptions shapes;
  double seconds = 2;
  int runs = 0;
  bool json = false, table = true, steps = false;
  int top = 15;
};

struct Times {
  std::vector<double> ns;
  double Quantile(double q) const {
    if (ns.empty()) return 0;
    std::vector<double> sorted = ns;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5)];
  }
  double median() const { return Quantile(0.5); }
};

double TimeNs(FunctionRef<Status()> work, Status* status) {
  int64_t begin = MonotonicNs();
  *status = work();
  return static_cast<double>(MonotonicNs() - begin);
}

/// `runs` runs of each, for whoever counts something else than time.
Status RunTimes(int runs, FunctionRef<Status()> work, Times* times) {
  Status status;
  for (int i = 0; i < runs; ++i) {
    times->ns.push_back(TimeNs(work, &status));
    LINNET_TRY(std::move(status));
  }
  return Status();
}

/// Runs in blocks long enough to time, alternating between us and the peer so that both meet the same machine.
class Race {
 public:
  explicit Race(double seconds) : deadline_(MonotonicNs() + static_cast<int64_t>(seconds * 1e9)) {}

  /// `theirs` may do nothing and be left out by `with_peer`.
  Status Run(FunctionRef<Status()> ours, Times* our_times, bool with_peer, bool peer_spins, FunctionRef<Status()> theirs,
             Times* their_times) {
    constexpr double kBlockNs = 30e6;
    constexpr int kRoundsMin = 3;
    for (int round = 0; round < kRoundsMin || MonotonicNs() < deadline_; ++round) {
      if (with_peer && peer_spins) WaitUntilIdle();
      LINNET_TRY(Block(ours, our_times, kBlockNs));
      if (with_peer) LINNET_TRY(Block(theirs, their_times, kBlockNs));
    }
    return Status();
  }

 private:
  /// The peer's workers spin for a while after a run; ours must not be timed against them. Waits until the whole process
  /// computes no more, a second at most.
  static void WaitUntilIdle() {
    constexpr long kStepNs = 5'000'000;
    auto computed_ns = [] {
      timespec now;
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
      return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    };
    for (int step = 0; step < 200; ++step) {
      const int64_t before = computed_ns();
      timespec wait{0, kStepNs};
      nanosleep(&wait, nullptr);
      if (computed_ns() - before < kStepNs / 10) return;
    }
  }

  static Status Block(FunctionRef<Status()> work, Times* times, double block_ns) {
    Status status;
    // One run to warm up caches and wake workers, then timed ones.
    double once = TimeNs(work, &status);
    LINNET_TRY(std::move(status));
    int runs = static_cast<int>(std::clamp(block_ns / std::max(once, 1.0), 1.0, 2000.0));
    for (int i = 0; i < runs; ++i) {
      times->ns.push_back(TimeNs(work, &status));
      LINNET_TRY(std::move(status));
    }
    return Status();
  }

  int64_t deadline_;
};

Result<std::vector<PeerTensor>> PeerInputs(const Session& session, const std::vector<Datum>& data) {
  std::vector<PeerTensor> tensors;
  for (size_t i = 0; i < data.size(); ++i) {
    if (data[i].type.kind == Kind::kUnknown) continue;
    if (!data[i].type.is_tensor()) return Unsupported("input ", Quote(session.inputs()[i].name), ": the peer is given tensors only");
    const Tensor& from = data[i].tensor;
    PeerTensor tensor;
    tensor.name = session.inputs()[i].name;
    tensor.type = static_cast<int>(from.dtype());
    tensor.dims.assign(from.shape().begin(), from.shape().end());
    if (from.dtype() == DType::kString) {
      tensor.strings.assign(from.as<std::string>(), from.as<std::string>() + from.elements());
    } else if (from.bytes() > 0) {
      tensor.bytes.assign(from.as<char>(), static_cast<size_t>(from.bytes()));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

/// Largest differences over all outputs.
Result<Difference> CompareWithPeer(const Session& session, const std::vector<RunOutput>& ours,
                                   const std::vector<PeerTensor>& theirs) {
  Difference worst;
  for (const PeerTensor& tensor : theirs) {
    int index = session.FindOutput(tensor.name);
    if (index < 0) return Internal("the peer has an output ", Quote(tensor.name), " that we lack");
    LINNET_ASSIGN(Shape shape, MakeShape(tensor.dims));
    DType dtype = static_cast<DType>(tensor.type);
    const void* data = dtype == DType::kString ? static_cast<const void*>(tensor.strings.data()) : tensor.bytes.data();
    Tensor expected = Tensor::View(dtype, shape, data);
    Difference difference = Measure(ours[static_cast<size_t>(index)].datum.tensor, expected);
    worst.max_abs = std::max(worst.max_abs, difference.max_abs);
    worst.max_rel = std::max(worst.max_rel, difference.max_rel);
  }
  return worst;
}

/// What a precision costs: its outputs beside those of float32. Nothing for float32 itself, and for prepared files, whose weights have only theirs.
Result<std::optional<Difference>> BesideFloat32(const BenchOptions& options, SessionOptions session_options, const Session& session,
                                                const std::vector<Fact>& inputs, const std::vector<RunOutput>& ours) {
  if (session.precision() == Precision::kFloat32 || options.model.ends_with(".linnet")) return std::optional<Difference>();
  session_options.precision = "f32";
  LINNET_ASSIGN(std::unique_ptr<Session> exact, Session::Open(options.model, session_options));
  std::vector<RunOutput> expected(exact->outputs().size());
  LINNET_TRY(exact->Run(inputs.data(), expected.data()));
  Difference worst;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!expected[i].datum.type.is_tensor() || expected[i].datum.type.dtype == DType::kString) continue;
    const Difference difference = Measure(ours[i].datum.tensor, expected[i].datum.tensor);
    worst.max_abs = std::max(worst.max_abs, difference.max_abs);
    worst.max_rel = std::max(worst.max_rel, difference.max_rel);
  }
  return std::optional<Difference>(worst);
}

/// --grow: instead of one shape, a dimension that grows by one a run.
int BenchGrowth(const BenchOptions& options) {
  Result<SessionOptions> session_options = options.common.ToSession();
  if (!session_options.ok()) return Report(session_options.status());
  Result<GrowthRange> range = ParseGrowth(options.grow);
  if (!range.ok()) return Report(range.status());
  Result<std::unique_ptr<Session>> session = Session::Open(options.model, *session_options);
  if (!session.ok()) return Report(session.status());
  Result<Growth> growth = MeasureGrowth(**session, options.shapes, *range);
  if (!growth.ok()) return Report(growth.status());
  double share = growth->planning_ns / growth->total_ns;
  if (options.json) {
    Json json{{"model", options.model},          {"threads", (*session)->threads()},
              {"symbol", range->symbol},         {"from", range->from},
              {"to", range->to},                 {"runs", growth->runs},
              {"median_ms", growth->median_ns / 1e6}, {"total_ms", growth->total_ns / 1e6},
              {"plans_made", growth->plans_made}, {"planning_share", share},
              {"allocations", growth->allocations}, {"allocations_warm_up", growth->allocations_first},
              {"caches_in_place", growth->in_place}};
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  fmt::print("{}  {} from {} to {}, one a run ({} thread{})\n", options.model, range->symbol, range->from, range->to,
             (*session)->threads(), (*session)->threads() == 1 ? "" : "s");
  fmt::print("latency   median {}   all {}\n", FormatDurationNs(growth->median_ns), FormatDurationNs(growth->total_ns));
  fmt::print("planning  {} plans, {} = {:.2f} % of the time\n", growth->plans_made, FormatDurationNs(growth->planning_ns),
             100 * share);
  fmt::print("memory    {} heap allocations in {} runs ({} while warming up)\n", growth->allocations, growth->runs,
             growth->allocations_first);
  if (growth->in_place > 0) fmt::print("caches    {} grow in place\n", growth->in_place);
  return kSuccess;
}

int Bench(const BenchOptions& options) {
  Result<SessionOptions> session_options = options.common.ToSession();
  if (!session_options.ok()) return Report(session_options.status());

  Status status;
  std::unique_ptr<Session> session;
  double load_ns = TimeNs(
      [&]() -> Status {
        LINNET_ASSIGN(session, Session::Open(options.model, *session_options));
        return Status();
      },
      &status);
  if (!status.ok()) return Report(status);
  Result<ChosenInputs> chosen = ChooseInputs(*session, options.inputs, options.shapes, 1);
  if (!chosen.ok()) return Report(chosen.status());
  const std::vector<Datum>& data = chosen->data;
  std::vector<Fact> inputs = FactsOf(data);
  std::vector<RunOutput> outputs(session->outputs().size());
  double first_ns = TimeNs([&] { return session->Run(inputs.data(), outputs.data()); }, &status);
  if (!status.ok()) return Report(status);
  // From here on outputs go to the memory of the first run's, as a caller who cares about speed does.
  std::vector<RunOutput> first = std::move(outputs);
  auto owned = [&] {
    std::vector<RunOutput> into(first.size());
    for (size_t i = 0; i < first.size(); ++i) {
      if (!first[i].datum.type.is_tensor() || first[i].datum.type.dtype == DType::kString) continue;
      into[i].data = first[i].datum.tensor.mutable_data();
      into[i].capacity = first[i].datum.tensor.bytes();
    }
    return into;
  };
  std::vector<RunOutput> steady = owned();
  auto ours = [&] { return session->Run(inputs.data(), steady.data()); };
  for (int i = 0; i < 2 && status.ok(); ++i) status = ours();
  if (!status.ok()) return Report(status);
  int64_t allocations_before = HeapAllocations();
  status = ours();
  int64_t allocations = HeapAllocations() - allocations_before;
  if (!status.ok()) return Report(status);
  int64_t peak_rss = PeakRssBytes();

  std::shared_ptr<Peer> peer;
  std::unique_ptr<PeerSession> peer_session;
  double peer_load_ns = 0;
  Difference difference;
  if (!options.peer.empty()) {
    Result<std::shared_ptr<Peer>> loaded = Peer::Load(options.peer);
    if (!loaded.ok()) return Report(loaded.status());
    peer = *loaded;
    PeerOptions peer_options;
    peer_options.threads = session->threads();
    peer_load_ns = TimeNs(
        [&]() -> Status {
          LINNET_ASSIGN(peer_session, peer->OpenModel(options.model, peer_options));
          return Status();
        },
        &status);
    if (!status.ok()) return Report(status);
    Result<std::vector<PeerTensor>> peer_inputs = PeerInputs(*session, data);
    if (!peer_inputs.ok()) return Report(peer_inputs.status());
    Result<std::vector<PeerTensor>> theirs = peer_session->Run(std::move(*peer_inputs));
    if (!theirs.ok()) return Report(theirs.status());
    Result<Difference> measured = CompareWithPeer(*session, first, *theirs);
    if (!measured.ok()) return Report(measured.status());
    difference = *measured;
  }
  auto theirs = [&] { return peer_session->Run(); };
  Times our_times, their_times;
  if (options.runs > 0) {
    status = RunTimes(options.runs, ours, &our_times);
    if (status.ok() && peer_session) status = RunTimes(options.runs, theirs, &their_times);
  } else {
    Race race(options.seconds);
    status = race.Run(ours, &our_times, peer_session != nullptr, session->threads() > 1, theirs, &their_times);
  }
  if (!status.ok()) return Report(status);

  Result<std::optional<Difference>> cost = BesideFloat32(options, *session_options, *session, inputs, first);
  if (!cost.ok()) return Report(cost.status());

  std::optional<StepTimes> step_times;
  if (options.table) {
    Result<StepTimes> measured = StepTimes::Measure(*session, chosen->types, [&](const RunOptions& run) {
      return session->Run(inputs.data(), steady.data(), run);
    });
    if (!measured.ok()) return Report(measured.status());
    step_times = std::move(*measured);
  }

  double ratio = our_times.median() > 0 ? their_times.median() / our_times.median() : 0;
  if (options.json) {
    Json json;
    json["model"] = options.model;
    json["threads"] = session->threads();
    json["precision"] = PrecisionName(session->precision());
    json["median_ms"] = our_times.median() / 1e6;
    json["p90_ms"] = our_times.Quantile(0.9) / 1e6;
    json["min_ms"] = our_times.Quantile(0) / 1e6;
    json["runs"] = our_times.ns.size();
    json["load_ms"] = load_ns / 1e6;
    json["first_run_ms"] = first_ns / 1e6;
    json["peak_rss_bytes"] = peak_rss;
    json["arena_bytes"] = session->arena_bytes();
    json["weight_bytes"] = session->model().weight_bytes();
    json["allocations_per_run"] = allocations;
    if (*cost) json["precision_max_abs_diff"] = (*cost)->max_abs, json["precision_max_rel_diff"] = (*cost)->max_rel;
    if (peer_session) {
      json["peer"] = {{"version", peer->version()},
                      {"median_ms", their_times.median() / 1e6},
                      {"p90_ms", their_times.Quantile(0.9) / 1e6},
                      {"load_ms", peer_load_ns / 1e6}};
      json["ratio"] = ratio;
      json["max_abs_diff"] = difference.max_abs;
      json["max_rel_diff"] = difference.max_rel;
    }
    if (step_times) step_times->AddTo(&json, options.steps);
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }

  Terminal terminal(stdout);
  for (const std::string& note : chosen->notes) fmt::print("note: {}\n", note);
  fmt::print("{}  ({} thread{}, {}, {} runs)\n", options.model, session->threads(), session->threads() == 1 ? "" : "s",
             PrecisionName(session->precision()), our_times.ns.size());
  fmt::print("latency   median {}   p90 {}   min {}\n", FormatDurationNs(our_times.median()),
             FormatDurationNs(our_times.Quantile(0.9)), FormatDurationNs(our_times.Quantile(0)));
  fmt::print("load      {}   first run {}\n", FormatDurationNs(load_ns), FormatDurationNs(first_ns));
  fmt::print("memory    peak RSS {}   arena {}   weights {}   allocations per run {}\n", FormatBytes(peak_rss),
             FormatBytes(session->arena_bytes()), FormatBytes(session->model().weight_bytes()), allocations);
  if (*cost) {
    fmt::print("precision beside float32: largest difference {:.3g} absolute, {:.3g} of the output's maximum\n", (*cost)->max_abs, (*cost)->max_rel);
  }
  if (peer_session) {
    fmt::print("peer {}   median {}   p90 {}   load {}\n", peer->version(), FormatDurationNs(their_times.median()),
               FormatDurationNs(their_times.Quantile(0.9)), FormatDurationNs(peer_load_ns));
    Color color = ratio >= 1 ? Color::kGreen : Color::kRed;
    fmt::print("ratio     {} (peer / ours)   largest difference {:.3g} absolute, {:.3g} of the output's maximum\n",
               terminal.Paint(color, fmt::format("{:.2f}", ratio)), difference.max_abs, difference.max_rel);
  }
  if (step_times) fmt::print("\n{}", options.steps ? step_times->BySteps(terminal) : step_times->ByOperator(terminal, options.top));
  return kSuccess;
}

}  // namespace

void AddBenchCommand(Arguments& root) {
  auto options = std::make_shared<BenchOptions>();
  Arguments bench = root.Command("bench", "Measure latency, load time and memory, alone or beside ONNX Runtime");
  bench.Add("model", options->model, "Model file").Required();
  bench.Add("--peer", options->peer, "libonnxruntime.so: same model and inputs, interleaved, with the ratio");
  bench.Add("-i,--input", options->inputs, "NAME=SOURCE (repeatable): a .npy or .pb file, a picture, text:WORDS; inputs not named are random");
  bench.Add("--shape", options->shapes.shapes, "Shape of an input, e.g. image=1x3x224x224 (repeatable)");
  bench.Add("--dim", options->shapes.dims, "Value of a symbolic dimension, e.g. seq=128 (repeatable)");
  bench.Add("--grow", options->grow, "SYMBOL=FROM:TO: a dimension that grows by one a run, e.g. past=0:255");
  bench.Add("--seconds", options->seconds, "How long to measure (2)").Positive();
  bench.Add("--runs", options->runs, "Runs of each instead, however long they take").NotNegative();
  bench.Add("--top", options->top, "Rows of the operator table (15)");
  bench.Flag("--steps", options->steps, "A row for every step, in the order they run, instead of one for every operator");
  bench.Flag("--json", options->json, "Print one JSON object");
  bench.Flag("!--no-table", options->table, "Leave out the operator table, or in JSON the steps and their floor");
  options->common.AddTo(bench);
  bench.OnRun([options] { return options->grow.empty() ? Bench(*options) : BenchGrowth(*options); });
}

}  // namespace linnet::cli
