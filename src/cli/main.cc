// linnet: the command.
#include "cli/commands/commands.h"

namespace {

void AddCommands(linnet::cli::Arguments& root) {
  linnet::cli::AddRunCommand(root);
  linnet::cli::AddClassifyCommand(root);
  linnet::cli::AddInfoCommand(root);
  linnet::cli::AddConvertCommand(root);
  linnet::cli::AddQuantizeCommand(root);
  linnet::cli::AddCompareCommand(root);
  linnet::cli::AddRequirementsCommand(root);
  linnet::cli::AddShrinkCommand(root);
  linnet::cli::AddInspectCommand(root);
  linnet::cli::AddTestCommand(root);
  linnet::cli::AddBenchCommand(root);
  linnet::cli::AddKernelsCommand(root);
  linnet::cli::AddKnobsCommand(root);
  linnet::cli::AddVersionCommand(root);
}

}  // namespace

int main(int argc, char** argv) {
  return linnet::cli::RunCommandLine(
      argc, argv, "linnet", "Linnet runs ONNX models: fast, small, on phones, boards and ordinary processors.",
      "'linnet COMMAND --help' explains a command. Exit codes: 0 done, 1 done and the answer is no, 2 bad arguments,\n"
      "3 a model or file could not be used.",
      LINNET_VERSION, AddCommands);
}
