// What people type and read: sizes, times, tables, bars, JSON.
#include <gtest/gtest.h>
#include <limits>

#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/units.h"

namespace linnet {
namespace {

TEST(Units, ParsesBytes) {
  struct {
    const char* text;
    int64_t bytes;
  } cases[] = {{"0", 0},           {"4096", 4096},          {"64K", 65536},      {"64k", 65536},
               {"256M", 256 << 20}, {"256MiB", 256 << 20},  {"256 MB", 256 << 20}, {"1.5G", int64_t{3} << 29},
               {"2T", int64_t{2} << 40}, {"10b", 10},       {".5K", 512},        {"1.K", 1024}};
  for (const auto& c : cases) {
    Result<int64_t> bytes = ParseBytes(c.text);
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    EXPECT_EQ(*bytes, c.bytes) << c.text;
  }
  for (const char* bad : {"", "M", "-1", "+1", "1e9", "0x10", "inf", "nan", "1,5G", "1.2.3", "5X", "5 M x", " 5", "."}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
  EXPECT_NE(ParseBytes("99999999T").status().message().find("too large"), std::string_view::npos);
  EXPECT_FALSE(ParseBytes(std::string(1000, '9')).ok());
}

TEST(Units, ParsesDurations) {
  EXPECT_EQ(*ParseDurationNs("2s"), 2000000000);
  EXPECT_EQ(*ParseDurationNs("2"), 2000000000);
  EXPECT_EQ(*ParseDurationNs("500ms"), 500000000);
  EXPECT_EQ(*ParseDurationNs("0.1 ms"), 100000);
  EXPECT_EQ(*ParseDurationNs("20us"), 20000);
  EXPECT_EQ(*ParseDurationNs("20µs"), 20000);
  EXPECT_EQ(*ParseDurationNs("5m"), 300000000000);
  EXPECT_EQ(*ParseDurationNs("7ns"), 7);
  for (const char* bad : {"", "s", "-2s", "2 parsecs", "2s3"}) EXPECT_FALSE(ParseDurationNs(bad).ok()) << bad;
}

TEST(Units, Formats) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.50 KiB");
  EXPECT_EQ(FormatBytes(12897485), "12.3 MiB");
  EXPECT_EQ(FormatBytes((1 << 20) - 1), "1.00 MiB");
  EXPECT_EQ(FormatBytes(INT64_MAX), "8388608 TiB");
  EXPECT_EQ(FormatBytes(INT64_MIN), "-8388608 TiB");
  EXPECT_EQ(FormatDurationNs(0), "0.00 ns");
  EXPECT_EQ(FormatDurationNs(850), "850 ns");
  EXPECT_EQ(FormatDurationNs(999.6), "1.00 us");
  EXPECT_EQ(FormatDurationNs(12345), "12.3 us");
  EXPECT_EQ(FormatDurationNs(1.5e6), "1.50 ms");
  EXPECT_EQ(FormatDurationNs(125e9), "125 s");
  EXPECT_EQ(FormatDurationNs(std::numeric_limits<double>::quiet_NaN()), "?");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
  EXPECT_EQ(FormatCount(123456), "123,456");
}

const Terminal kPlain(stdout, false, false, false, 80);
const Terminal kRich(stdout, true, true, true, 80);

TEST(Terminal, PaintsOnlyWhereWanted) {
  EXPECT_EQ(kPlain.Paint(Color::kRed, "x"), "x");
  EXPECT_EQ(kRich.Paint(Color::kRed, "x"), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(kRich.Paint(Color::kPlain, "x"), "x");
  FILE* file = tmpfile();
  Terminal terminal(file);
  EXPECT_FALSE(terminal.interactive());
  EXPECT_FALSE(terminal.colors());
  EXPECT_EQ(terminal.columns(), 80);
  Progress(terminal, "loading", 10).Update(5);
  EXPECT_EQ(ftell(file), 0) << "progress is for people";
  fclose(file);
}

TEST(Terminal, Bars) {
  EXPECT_EQ(kPlain.Bar(0.5, 10), "#####     ");
  EXPECT_EQ(kRich.Bar(0.5, 3), "█▌ ");
  EXPECT_EQ(kRich.Bar(1, 3), "███");
  EXPECT_EQ(kRich.Bar(7, 3), "███");
  EXPECT_EQ(kRich.Bar(0, 3), "   ");
  EXPECT_EQ(kRich.Bar(-1, 3), "   ");
  EXPECT_EQ(kRich.Bar(std::numeric_limits<double>::quiet_NaN(), 3), "   ");
  EXPECT_EQ(kRich.Bar(0.5, 0), "");
}

TEST(Table, AlignsByCharactersAndCleansCells) {
  Table table({{"name"}, {"ms", Table::Align::kRight}, {"note"}});
  table.Row({"größe", "1.5", "a"});
  table.Row({"x\x1b[2J", "12.25"});
  EXPECT_EQ(table.ToString(kPlain),
            "name      ms  note\n"
            "größe    1.5  a\n"
            "x?[2J  12.25\n");
  Table untitled({{""}, {""}});
  untitled.Row({"a", Table::Cell("b", Color::kGreen)});
  EXPECT_EQ(untitled.ToString(kRich), "a  \x1b[32mb\x1b[0m\n");
}

TEST(Json, FormatsAndParsesWithoutExceptions) {
  Json value;
  value["z"] = 1;
  value["a"] = "\xff";
  value["n"] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(FormatJson(value), "{\n  \"z\": 1,\n  \"a\": \"\uFFFD\",\n  \"n\": null\n}\n");
  EXPECT_EQ((*ParseJson("[1, 2]", "x"))[1], 2);
  EXPECT_NE(ParseJson("[1, ", "results.json").status().message().find("results.json"), std::string_view::npos);
}

}  // namespace
}  // namespace linnet
