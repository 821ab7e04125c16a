// linnet requirements: which operators, versions and types models need, as the configuration of a reduced build.
#include <fmt/format.h>
#include <stdio.h>

#include "api/full_build.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/utf8.h"

namespace linnet::cli {
namespace {

struct RequirementsOptions {
  std::vector<std::string> inputs;
  std::string output;
  bool onnx = false;
  CommonOptions common;
};

/// A configuration is told from a model by its name or by looking like one.
Status Add(const std::string& path, const SessionOptions& options, bool onnx, Requirements* requirements) {
  bool configuration = path.ends_with(".config");
  if (!configuration && !path.ends_with(".onnx")) {
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
    configuration = IsRequirementsText(file->bytes());
  }
  return configuration ? AddConfiguration(path, requirements) : CollectRequirements(path, options, onnx, requirements);
}

int Collect(const RequirementsOptions& options) {
  Result<SessionOptions> session = options.common.ToSession();
  if (!session.ok()) return Report(session.status());
  Requirements requirements;
  for (const std::string& input : options.inputs) {
    Status status = Add(input, *session, options.onnx, &requirements);
    if (!status.ok()) return Report(status);
  }
  std::string text = requirements.Write();
  if (options.output.empty() || options.output == "-") {
    fwrite(text.data(), 1, text.size(), stdout);
    return kSuccess;
  }
  Status status = WriteFileAtomically(options.output, [&](Sink& sink) { return sink.Append(text); });
  return status.ok() ? kSuccess : Report(status);
}

}  // namespace

Status AddConfiguration(const std::string& path, Requirements* requirements) {
  FileOptions access;
  access.access = FileAccess::kRead;
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, access));
  Result<Requirements> read = Requirements::Parse(file->bytes(), KnownOperators());
  if (!read.ok()) return read.TakeStatus().At(Quote(path));
  requirements->Merge(*read);
  return Status();
}

void AddRequirementsCommand(Arguments& root) {
  auto options = std::make_shared<RequirementsOptions>();
  Arguments requirements = root.Command(
      "requirements", "List the operators, versions and types that models need, as the configuration of a reduced build");
  requirements.Add("input", options->inputs, "Model files (.linnet, .onnx, .ort) and configurations, to be merged").Required();
  requirements.Add("-o,--output", options->output, "File to write; without it, the list is printed");
  requirements.Flag("--onnx", options->onnx,
                         "The build is to read .onnx or .ort files itself: list what that needs too, not only the prepared graph");
  options->common.AddTo(requirements);
  requirements.OnRun([options] { return Collect(*options); });
}

}  // namespace linnet::cli
