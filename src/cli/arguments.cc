// The command line by CLI11.
#include "cli/arguments.h"

#include <CLI/CLI.hpp>

#include "cli/commands/commands.h"

namespace linnet::cli {

Argument& Argument::Required() {
  option_->required();
  return *this;
}
Argument& Argument::Range(int least, int most) {
  option_->check(CLI::Range(static_cast<int64_t>(least), static_cast<int64_t>(most)));
  return *this;
}
Argument& Argument::Range(double least, double most) {
  option_->check(CLI::Range(least, most));
  return *this;
}
Argument& Argument::Positive() {
  option_->check(CLI::PositiveNumber);
  return *this;
}
Argument& Argument::NotNegative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}
Argument& Argument::OneOf(std::initializer_list<const char*> values) {
  option_->check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())));
  return *this;
}
Argument& Argument::Many() {
  option_->allow_extra_args(true);
  return *this;
}

namespace {

template <class T>
Argument AddTo(CLI::App* app, const char* name, T& variable, const char* sentence) {
  return Argument(app->add_option(name, variable, sentence));
}

}  // namespace

Argument Arguments::Add(const char* name, std::string& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }
Argument Arguments::Add(const char* name, std::vector<std::string>& variable, const char* sentence) {
  CLI::Option* option = app_->add_option(name, variable, sentence);
  if (name[0] == '-') option->allow_extra_args(false);
  return Argument(option);
}
Argument Arguments::Add(const char* name, int& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }
Argument Arguments::Add(const char* name, int64_t& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }
Argument Arguments::Add(const char* name, uint32_t& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }
Argument Arguments::Add(const char* name, uint64_t& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }
Argument Arguments::Add(const char* name, float& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }
Argument Arguments::Add(const char* name, double& variable, const char* sentence) { return AddTo(app_, name, variable, sentence); }

void Arguments::Flag(const char* name, bool& variable, const char* sentence) { app_->add_flag(name, variable, sentence); }

Arguments Arguments::Command(const char* name, const char* sentence) { return Arguments(app_->add_subcommand(name, sentence), exit_code_); }

std::vector<std::string> Arguments::Given() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : app_->get_options()) {
    if (option->count() > 0 && !option->get_lnames().empty()) names.push_back(option->get_lnames()[0]);
  }
  return names;
}

void Arguments::RequireCommand() { app_->require_subcommand(1); }

void Arguments::OnRun(std::function<int()> run) {
  app_->callback([run = std::move(run), exit_code = exit_code_] { *exit_code = run(); });
}

int RunCommandLine(int argc, char** argv, const char* name, const char* sentence, const char* footer, const char* version,
                   void (*add)(Arguments& root)) {
  CLI::App app{sentence, name};
  app.allow_windows_style_options(false);   // paths may begin with a slash there too
  app.footer(footer);
  app.set_version_flag("--version", version);
  int exit_code = 0;
  Arguments root(&app, &exit_code);
  root.RequireCommand();
  add(root);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSuccess : kUsage;
  } catch (const std::exception& error) {
    fprintf(stderr, "linnet: internal error: %s\n", error.what());
    return kError;
  }
  return exit_code;
}

}  // namespace linnet::cli
