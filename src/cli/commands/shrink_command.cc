// linnet shrink: from models to what a phone gets: the models prepared, and a library with what they need and nothing else.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "api/full_build.h"
#include "api/precision.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/data/model_file.h"
#include "cli/json.h"
#include "cli/process.h"
#include "cli/shrink/check.h"
#include "cli/shrink/output_folder.h"
#include "cli/units.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;

/// Every result has it; a folder without it is not replaced.
constexpr const char* kReport = "report.txt";

struct ShrinkOptions {
  std::vector<std::string> models, configurations, check_cpus;
  std::string target = "host", names = "keep", output, source, build;
  double budget_kib = 0, of_max = -1;   ///< of_max below 0: by the models' precision
  int jobs = 0;
  bool json = false, plans_only = false;
  CommonOptions common;
  ShapeOptions shapes;
};

/// Whether one model says the same on one processor.
struct Verdict {
  std::string model, cpu;
  std::string said;          ///< "" when all is well
  bool ran = false;
  Difference difference;
};

struct ShrunkModel {
  std::string path, name;    ///< as given, and that of its file in the result
  int64_t bytes = 0;
};

class Shrinker {
 public:
  explicit Shrinker(const ShrinkOptions& options) : options_(options) {}
  ~Shrinker() {
    std::error_code error;
    if (!work_.empty()) fs::remove_all(work_, error);
  }

  Status Run();
  bool failed() const { return over_budget_ || wrong_ > 0; }
  void Print() const;

 private:
  Status CheckArguments();
  Status Convert();
  Status Build();
  Status Collect();
  void CheckAnswers();
  void WriteLedger();
  Status WriteReport();
  /// Fails with what the program printed last.
  Status Do(const char* what, const std::vector<std::string>& command);
  void Say(std::string_view what) const { fmt::print(stderr, "{} ...\n", what); }
  std::string Out(std::string_view name) const { return Cat(output_.folder(), "/", name); }

  const ShrinkOptions& options_;
  SessionOptions session_;
  const ShrinkTarget* target_ = nullptr;
  std::string source_, work_, build_;
  OutputFolder output_;
  std::vector<ShrunkModel> models_;
  std::vector<Verdict> verdicts_;
  std::set<std::string> precisions_;   ///< of the models
  bool over_budget_ = false;
  int wrong_ = 0;
  int64_t library_bytes_ = 0, archive_bytes_ = 0;
  std::string report_, ledger_;
  Json ledger_json_;
};

Result<std::string> ReadWhole(const std::string& path) {
  FileOptions access;
  access.access = FileAccess::kRead;
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, access));
  return std::string(file->bytes());
}

int64_t BytesOf(const std::string& path) {
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

Status Copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  fs::copy(from, to, fs::copy_options::recursive, error);
  return error ? IoError("cannot copy ", Quote(from.string()), ": ", ErrnoText(error.value())) : Status();
}

/// The last lines of a log, indented.
std::string Tail(const std::string& log, int lines) {
  Result<std::string> text = ReadWhole(log);
  if (!text.ok()) return "";
  size_t at = text->size();
  while (at > 0 && lines >= 0) {
    --at;
    if ((*text)[at] == '\n') --lines;
  }
  return text->substr(at);
}

Status Shrinker::CheckArguments() {
  LINNET_ASSIGN(session_, options_.common.ToSession());
  session_.names = options_.names == "keep";
  LINNET_ASSIGN(target_, FindShrinkTarget(options_.target));
  if (session_.precision == "half") session_.precision = *target_->emulator ? "fp16" : kHalfHere;   // every target but this machine is Arm
  std::set<std::string> names;
  for (const std::string& path : options_.models) {
    LINNET_ASSIGN(ModelFile file, OpenModelFile(path, session_));
    precisions_.insert(file.precision);
    ShrunkModel model{path, fs::path(path).stem().string() + ".linnet"};
    if (!names.insert(model.name).second) return InvalidArgument("two models would be ", Quote(model.name));
    models_.push_back(model);
  }
  precisions_.insert(session_.precision);
  LINNET_TRY(output_.Check(options_.output, kReport));
  LINNET_ASSIGN(source_, FindSources(options_.source));
  return CheckBuildTools(*target_);
}

Status Shrinker::Do(const char* what, const std::vector<std::string>& command) {
  const std::string log = work_ + "/log";
  std::error_code error;
  fs::remove(log, error);
  LINNET_ASSIGN(int code, RunProcess(command, log));
  if (code == 0) return Status();
  fmt::print(stderr, "{}\n", Tail(log, 40));
  return IoError(what, " failed with exit code ", code, "; its last lines are above");
}

Status Shrinker::Convert() {
  Requirements requirements;
  for (const std::string& path : options_.configurations) LINNET_TRY(AddConfiguration(path, &requirements));
  for (ShrunkModel& model : models_) {
    Say(Cat("preparing ", model.path));
    const std::string to = Out(model.name);
    if (fs::path(model.path).extension() == ".linnet") {
      LINNET_TRY(Copy(model.path, to));
    } else if (options_.plans_only) {
      LINNET_TRY(ConvertModel(model.path, to, session_, [&](const Session& session) { return BindInputTypeSets(session, options_.shapes); }));
    } else {
      LINNET_TRY(ConvertModel(model.path, to, session_));
    }
    LINNET_TRY(CollectRequirements(to, session_, false, &requirements));
    model.bytes = BytesOf(to);
  }
  const std::string text = requirements.Write();
  return WriteFileAtomically(Out("required.config"), [&](Sink& sink) { return sink.Append(text); });
}

Status Shrinker::Build() {
  Say(Cat("building the library for ", target_->name));
  std::vector<std::string> configure = {"cmake", "-S", source_, "-B", build_, "--preset", target_->preset,
                                        Cat("-DLINNET_OPS_CONFIG=", Out("required.config")),
                                        Cat("-DLINNET_STATIC_PLANS=", options_.plans_only ? "ON" : "OFF"),
                                        Cat("-DLINNET_BF16=", precisions_.count("bf16") ? "ON" : "OFF"),
                                        Cat("-DLINNET_FP16=", precisions_.count("fp16") ? "ON" : "OFF")};
  LINNET_TRY(Do("cmake", configure));
  std::vector<std::string> build = {"ninja", "-C", build_, "run_files", "run_files_static"};
  if (options_.jobs > 0) build.insert(build.end(), {"-j", Cat(options_.jobs)});
  return Do("the build", build);
}

Status Shrinker::Collect() {
  LINNET_TRY(Copy(fs::path(build_) / "liblinnet.so", Out("lib/liblinnet.so")));
  LINNET_TRY(Copy(fs::path(build_) / "whole/liblinnet.a", Out("lib/liblinnet.a")));
  LINNET_TRY(Copy(fs::path(source_) / "include/linnet", Out("include/linnet")));
  library_bytes_ = BytesOf(Out("lib/liblinnet.so"));
  archive_bytes_ = BytesOf(Out("lib/liblinnet.a"));
  over_budget_ = options_.budget_kib > 0 && static_cast<double>(library_bytes_) > options_.budget_kib * 1024;
  return Status();
}

void Shrinker::CheckAnswers() {
  const std::vector<Runner> runners = RunnersOf(*target_, options_.check_cpus);
  Tolerance tolerance;
  // Operands of 16 bits are added in other orders, and some in 16 bits, on other processors.
  const bool exact = precisions_.count("bf16") + precisions_.count("fp16") == 0;
  tolerance.of_max = options_.of_max >= 0 ? options_.of_max : exact ? 1e-4 : 2e-2;
  for (const ShrunkModel& model : models_) {
    Say(Cat("checking ", model.name));
    const std::string folder = Cat(work_, "/", model.name, "-case");
    std::error_code error;
    fs::create_directory(folder, error);
    Result<CheckCase> check = MakeCheckCase(model.path, session_, options_.shapes, folder);
    if (!check.ok() || runners.empty()) {
      verdicts_.push_back({model.name, "", check.ok() ? Cat("there is no ", target_->emulator, " here to run it") : std::string(check.status().message())});
      continue;
    }
    for (const Runner& runner : runners) {
      for (const char* program : {"run_files", "run_files_static"}) {
        // One processor is enough to see that the archive holds the same.
        const bool archive = program != std::string_view("run_files");
        if (archive && &runner != &runners.front()) continue;
        Verdict verdict{model.name, Cat(runner.cpu, archive ? (runner.cpu.empty() ? "liblinnet.a" : ", liblinnet.a") : "")};
        verdict.ran = true;
        verdict.said = RunCheckCase(*check, runner, Cat(build_, "/", program), Out(model.name), tolerance, &verdict.difference);
        wrong_ += !verdict.said.empty();
        verdicts_.push_back(verdict);
      }
    }
  }
}

/// Where the bytes are. Without Python, and where the linker's map is no GNU map, the report goes without.
void Shrinker::WriteLedger() {
  const std::string text = work_ + "/ledger.txt", json = work_ + "/ledger.json", tool = source_ + "/tools/size.py";
  Result<int> code = RunProcess({"python3", tool, build_, "--top", "30"}, text);
  if (!code.ok() || *code != 0) {
    ledger_ = "where the bytes are: not known, since " + (code.ok() ? Tail(text, 2) : std::string(code.status().message())) + "\n";
    return;
  }
  Result<std::string> read = ReadWhole(text);
  if (read.ok()) ledger_ = read->substr(std::min(read->size(), read->find("by group")));
  if (Result<int> again = RunProcess({"python3", tool, build_, "--json"}, json); !again.ok() || *again != 0) return;
  read = ReadWhole(json);
  if (!read.ok()) return;
  Result<Json> parsed = ParseJson(*read, "ledger");
  if (!parsed.ok()) return;
  ledger_json_ = std::move(*parsed);
  ledger_json_["file"] = "liblinnet.so";
}

Status Shrinker::WriteReport() {
  report_ = fmt::format("linnet shrink, for {}\n\n", target_->name);
  report_ += fmt::format("  {:<32} {:>12} bytes", "lib/liblinnet.so", FormatCount(library_bytes_));
  if (ledger_json_.contains("xz_bytes")) report_ += fmt::format(", {} in xz", FormatCount(ledger_json_["xz_bytes"].get<int64_t>()));
  report_ += fmt::format("\n  {:<32} {:>12} bytes\n", "lib/liblinnet.a", FormatCount(archive_bytes_));
  for (const ShrunkModel& model : models_) {
    report_ += fmt::format("  {:<32} {:>12} bytes, from {} of {}\n", model.name, FormatCount(model.bytes), FormatCount(BytesOf(model.path)),
                           fs::path(model.path).filename().string());
  }
  if (options_.budget_kib > 0) {
    report_ += fmt::format("  the budget for liblinnet.so is {} KiB: {}\n", options_.budget_kib,
                           over_budget_ ? fmt::format("{} bytes too many", FormatCount(library_bytes_ - static_cast<int64_t>(options_.budget_kib * 1024)))
                                        : std::string("kept"));
  }
  report_ += "\nbeside the full build's answers\n";
  for (const Verdict& verdict : verdicts_) {
    const std::string on = verdict.cpu.empty() ? "" : Cat(" (", verdict.cpu, ")");
    if (!verdict.ran) {
      report_ += fmt::format("  {}: not run: {}\n", verdict.model, verdict.said);
    } else if (!verdict.said.empty()) {
      report_ += fmt::format("  {}{}: WRONG: {}\n", verdict.model, on, verdict.said);
    } else {
      report_ += fmt::format("  {}{}: the same; largest difference {:.3g} of the output's maximum\n", verdict.model, on,
                             verdict.difference.max_rel);
    }
  }
  report_ += "\n" + ledger_;
  if (!ledger_json_.is_null()) {
    const std::string json = FormatJson(ledger_json_);
    LINNET_TRY(WriteFileAtomically(Out("ledger.json"), [&](Sink& sink) { return sink.Append(json); }));
  }
  return WriteFileAtomically(Out(kReport), [&](Sink& sink) { return sink.Append(report_); });
}

Status Shrinker::Run() {
  LINNET_TRY(CheckArguments());
  LINNET_TRY(output_.Create());
  std::error_code error;
  work_ = Cat(output_.folder(), "-work");
  fs::create_directory(work_, error);
  if (error) return IoError("cannot make a folder beside ", Quote(options_.output), ": ", ErrnoText(error.value()));
  build_ = options_.build.empty() ? work_ + "/build" : fs::absolute(options_.build, error).lexically_normal().string();
  LINNET_TRY(Convert());
  LINNET_TRY(Build());
  LINNET_TRY(Collect());
  CheckAnswers();
  WriteLedger();
  LINNET_TRY(WriteReport());
  return failed() ? Status() : output_.Commit();
}

void Shrinker::Print() const {
  if (!options_.json) {
    fmt::print("{}", report_);
  } else {
    Json json;
    json["target"] = target_->name;
    json["library_bytes"] = library_bytes_;
    json["archive_bytes"] = archive_bytes_;
    for (const ShrunkModel& model : models_) json["models"].push_back({{"model", model.path}, {"file", model.name}, {"bytes", model.bytes}});
    for (const Verdict& verdict : verdicts_) {
      json["checks"].push_back({{"model", verdict.model}, {"cpu", verdict.cpu}, {"ran", verdict.ran}, {"same", verdict.ran && verdict.said.empty()},
                                {"said", verdict.said}, {"max_rel_diff", verdict.difference.max_rel}});
    }
    json["over_budget"] = over_budget_;
    json["ledger"] = ledger_json_;
    fmt::print("{}", FormatJson(json));
  }
  if (over_budget_) fmt::print(stderr, "linnet: liblinnet.so has {:.1f} KiB, over the budget of {} KiB; {} was not written\n",
                               static_cast<double>(library_bytes_) / 1024, options_.budget_kib, Quote(options_.output));
  if (wrong_ > 0) fmt::print(stderr, "linnet: the library does not say what the full build says; {} was not written\n", Quote(options_.output));
}

int Shrink(const ShrinkOptions& options) {
  Shrinker shrinker(options);
  if (Status status = shrinker.Run(); !status.ok()) return Report(status);
  shrinker.Print();
  return shrinker.failed() ? kFailure : kSuccess;
}

}  // namespace

void AddShrinkCommand(Arguments& root) {
  auto options = std::make_shared<ShrinkOptions>();
  Arguments shrink = root.Command("shrink", "Build what a phone gets: the models prepared, and a library with only what they need");
  shrink.Add("model", options->models, "Model files (.onnx, .linnet)").Required();
  shrink.Add("-o,--output", options->output, "Folder to write; one that was written earlier is replaced when all went well").Required();
  shrink.Add("--target", options->target, "What to build for: host, aarch64-linux, arm-linux");
  shrink.Add("--budget", options->budget_kib, "Most KiB that liblinnet.so may have; more is a failure").Positive();
  shrink.Add("--config", options->configurations, "A configuration of a reduced build whose operators are wanted as well (repeatable)");
  shrink.Add("--source", options->source, "Linnet's sources, where they are not found by themselves");
  shrink.Add("--build", options->build, "Folder of the build, kept for the next time; without it, a temporary one");
  shrink.Add("--jobs", options->jobs, "Compilers at once (all processors)").NotNegative();
  shrink.Add("--check-cpu", options->check_cpus, "Processor that the emulator is to imitate for the check (repeatable)");
  shrink.Add("--of-max", options->of_max, "How far answers may differ, as a part of the output's largest magnitude (1e-4; 2e-2 with precision bf16 or fp16)").NotNegative();
  shrink.Flag("--plans-only", options->plans_only, "A library for the memory plans in the files alone: half the size, no other shapes");
  shrink.Add("--shape", options->shapes.shapes, "For the check (and the plan): shape of an input, e.g. image=1x3x224x224 (repeatable)");
  shrink.Add("--dim", options->shapes.dims, "For the check (and the plan): value of a symbolic dimension, e.g. seq=128 (repeatable)");
  shrink.Add("--names", options->names, "strip: as of linnet convert").OneOf({"keep", "strip"});
  shrink.Flag("--json", options->json, "Print one JSON object");
  options->common.AddTo(shrink);
  shrink.OnRun([options] { return Shrink(*options); });
}

}  // namespace linnet::cli
