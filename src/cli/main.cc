// linnet: the command.
#include "cli/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Linnet runs ONNX models."};
  app.require_subcommand(1);
  int exit_code = 0;
  linnet::cli::AddTestCommand(app, &exit_code);
  linnet::cli::AddBenchCommand(app, &exit_code);
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
