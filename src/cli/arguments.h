// A subcommand's options and arguments: a small face of CLI11, which only arguments.cc has to compile.
#pragma once

#include <stdint.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace linnet::cli {

/// What is asked of one argument's value; a value that does not fit ends the command with exit code 2 and says why.
class Argument {
 public:
  explicit Argument(CLI::Option* option) : option_(option) {}
  Argument& Required();
  Argument& Range(int least, int most);
  Argument& Range(double least, double most);
  Argument& Positive();
  Argument& NotNegative();
  Argument& OneOf(std::initializer_list<const char*> values);
  /// An option of a list takes all values up to the next option, not one each time it is given.
  Argument& Many();

 private:
  CLI::Option* option_;
};

/// A command whose variables are filled when the command line is read. Variables outlive the reading.
class Arguments {
 public:
  Arguments(CLI::App* app, int* exit_code) : app_(app), exit_code_(exit_code) {}
  /// "--name" and "-n,--name" are options, "name" is a positional argument.
  Argument Add(const char* name, std::string& variable, const char* sentence = "");
  Argument Add(const char* name, std::vector<std::string>& variable, const char* sentence = "");
  Argument Add(const char* name, int& variable, const char* sentence = "");
  Argument Add(const char* name, int64_t& variable, const char* sentence = "");
  Argument Add(const char* name, uint32_t& variable, const char* sentence = "");
  Argument Add(const char* name, uint64_t& variable, const char* sentence = "");
  Argument Add(const char* name, float& variable, const char* sentence = "");
  Argument Add(const char* name, double& variable, const char* sentence = "");
  /// True when given; "!--no-name" makes it false.
  void Flag(const char* name, bool& variable, const char* sentence);
  /// A subcommand of this one.
  Arguments Command(const char* name, const char* sentence);
  /// Names, without dashes, of the options that the command line gave.
  std::vector<std::string> Given() const;
  /// One of the subcommands must be given.
  void RequireCommand();
  /// What the command does; gives its exit code.
  void OnRun(std::function<int()> run);

 private:
  CLI::App* app_;
  int* exit_code_;
};

/// Reads a command line with what `add` puts into the command, and runs it. Returns the exit code.
int RunCommandLine(int argc, char** argv, const char* name, const char* sentence, const char* footer, const char* version,
                   void (*add)(Arguments& root));

}  // namespace linnet::cli
