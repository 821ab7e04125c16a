// Environment variables: the table is whole, values are checked, messages name the variable.
#include "base/knobs.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/thread_pool.h"

namespace linnet {
namespace {

#if defined(_WIN32)
int setenv(const char* name, const char* value, int) { return _putenv_s(name, value); }
int unsetenv(const char* name) { return _putenv_s(name, ""); }
#endif

/// Sets a variable for the test's scope.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = getenv(name)) before_ = before, was_set_ = true;
    value ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Variable() { was_set_ ? setenv(name_, before_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::string before_;
  bool was_set_ = false;
};

TEST(Knobs, TableIsInEnumOrderAndFallbacksAreValid) {
  for (size_t i = 0; i < Knobs().size(); ++i) {
    const KnobRow& row = Knobs()[i];
    EXPECT_EQ(static_cast<size_t>(row.knob), i);
    Variable unset(row.name, nullptr);
    EXPECT_EQ(KnobText(row.knob), row.fallback);
    std::string_view type = row.type;
    if (type.starts_with("integer")) {
      EXPECT_TRUE(KnobInt(row.knob).ok()) << row.name;
    } else if (type.starts_with("one of: ")) {
      EXPECT_TRUE(KnobChoice(row.knob).ok()) << row.name;
    } else {
      EXPECT_TRUE(type == "text" || type == "flag") << type;
    }
  }
}

TEST(Knobs, Threads) {
  for (const char* bad : {"x", "-1", "65", "3x", " ", "99999999999999999999"}) {
    Variable threads("LINNET_THREADS", bad);
    Result<int> chosen = ChosenThreads();
    ASSERT_FALSE(chosen.ok()) << bad;
    EXPECT_NE(chosen.status().message().find("LINNET_THREADS"), std::string_view::npos);
    EXPECT_NE(chosen.status().message().find(Quote(bad)), std::string_view::npos);
  }
  Variable three("LINNET_THREADS", "3");
  EXPECT_EQ(*ChosenThreads(), 3);
  Variable empty("LINNET_THREADS", "");
  EXPECT_EQ(*ChosenThreads(), ThreadPool::HardwareThreads());
}

TEST(Knobs, Cpu) {
  Variable none("LINNET_CPU", nullptr);
  EXPECT_EQ(*ChosenCpuLevel(), DetectedCpuLevel());
  Variable named("LINNET_CPU", CpuLevelName(DetectedCpuLevel()));
  EXPECT_EQ(*ChosenCpuLevel(), DetectedCpuLevel());
  Variable wrong("LINNET_CPU", "pentium");
  EXPECT_NE(ChosenCpuLevel().status().message().find("LINNET_CPU"), std::string_view::npos);
}

TEST(Knobs, ChoiceAndFlag) {
  Variable log("LINNET_LOG", "info");
  EXPECT_EQ(*KnobChoice(Knob::kLog), static_cast<int>(LogLevel::kInfo));
  for (const char* bad : {"inf", "info debug", "INFO", ":"}) {
    Variable wrong("LINNET_LOG", bad);
    EXPECT_FALSE(KnobChoice(Knob::kLog).ok()) << bad;
  }
  Variable color("NO_COLOR", "0");
  EXPECT_TRUE(KnobFlag(Knob::kNoColor));
  Variable empty("NO_COLOR", "");
  EXPECT_FALSE(KnobFlag(Knob::kNoColor));
}

std::string logged;

TEST(Log, LevelAndSink) {
  SetLogSink([](LogLevel, std::string_view message) { logged += message; });
  SetLogLevel(LogLevel::kInfo);
  Log(LogLevel::kDebug, "not wanted");
  Log(LogLevel::kInfo, "plan of ", 3, " steps");
  SetLogSink(nullptr);
  SetLogLevel(LogLevel::kWarning);
  EXPECT_EQ(logged, "plan of 3 steps");
}

}  // namespace
}  // namespace linnet
