// linnet: the command.
#include "cli/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Linnet runs ONNX models: fast, small, on phones, boards and ordinary processors.", "linnet"};
  app.footer("'linnet COMMAND --help' explains a command. Exit codes: 0 done, 1 done and the answer is no, 2 bad arguments,\n"
             "3 a model or file could not be used.");
  app.set_version_flag("--version", LINNET_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  linnet::cli::AddRunCommand(app, &exit_code);
  linnet::cli::AddClassifyCommand(app, &exit_code);
  linnet::cli::AddInfoCommand(app, &exit_code);
  linnet::cli::AddConvertCommand(app, &exit_code);
  linnet::cli::AddQuantizeCommand(app, &exit_code);
  linnet::cli::AddCompareCommand(app, &exit_code);
  linnet::cli::AddRequirementsCommand(app, &exit_code);
  linnet::cli::AddInspectCommand(app, &exit_code);
  linnet::cli::AddTestCommand(app, &exit_code);
  linnet::cli::AddBenchCommand(app, &exit_code);
  linnet::cli::AddKernelsCommand(app, &exit_code);
  linnet::cli::AddKnobsCommand(app, &exit_code);
  linnet::cli::AddVersionCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    int code = app.exit(error);
    return code == 0 ? 0 : linnet::cli::kUsage;
  } catch (const std::exception& error) {
    fprintf(stderr, "linnet: internal error: %s\n", error.what());
    return linnet::cli::kError;
  }
  return exit_code;
}
