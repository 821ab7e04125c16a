// The configuration of reduced builds: its grammar, merging, what models add, and how its mistakes are told.
#include "format/requirements.h"

#include <gtest/gtest.h>

#include "api/full_build.h"
#include "graph/text.h"
#include "passes/passes.h"

namespace linnet {
namespace {

constexpr KnownOperator kKnown[] = {{"", "Add", 7},        {"", "Add", 14},      {"", "Relu", 6},     {"", "Cast", 9},
                                    {"", "Softmax", 1},    {"", "Softmax", 13},  {"", "Einsum", 12},  {"linnet", "Conv", 1},
                                    {"ai.onnx.ml", "Scaler", 1}, {"com.microsoft", "Gelu", 1}};

Requirements Read(std::string_view text) {
  Result<Requirements> read = Requirements::Parse(text, kKnown);
  EXPECT_TRUE(read.ok()) << read.status().message();
  return std::move(*read);
}

std::string Rewritten(std::string_view text) { return Read(text).Write(); }

std::string Failure(std::string_view text) {
  Result<Requirements> read = Requirements::Parse(text, kKnown);
  EXPECT_FALSE(read.ok()) << text;
  return std::string(read.status().message());
}

TEST(Requirements, AFileWrittenAgainIsTheSame) {
  const char* const kText =
      "# What the phone needs.\n"
      "\n"
      "!globally_allowed_types;float,int8_t\n"
      "!no_ops_specified_means_all_ops_are_required\n"
      "# Scores.\n"
      "ai.onnx;12,13;Add,Softmax{\"inputs\":{\"0\":[\"float\",\"double\"]}},Relu  # by hand\n"
      "ai.onnx;14;Cast{\"inputs\":{\"0\":[\"float\"]},\"outputs\":{\"0\":[\"int64_t\",\"std::string\"]}}\n"
      "ai.onnx.ml;1;Scaler{\"custom\":[[\"float\",\"int64_t\"],\"x # y\"]}\n"
      "linnet;1;Conv\n"
      "# The end.\n";
  EXPECT_EQ(Rewritten(kText), kText);
}

TEST(Requirements, SpaceAndSpellingDoNotMatter) {
  EXPECT_EQ(Rewritten("\xEF\xBB\xBF ai.onnx ; 13 , 12 ; Add { \"inputs\" : { \"0\" : [ \"int64\" , \"float16\" ] } } , Relu\r\n"),
            "ai.onnx;12,13;Add{\"inputs\":{\"0\":[\"int64_t\",\"MLFloat16\"]}},Relu\n");
  EXPECT_EQ(Rewritten(";13;Add"), "ai.onnx;13;Add\n");
  EXPECT_EQ(Rewritten("ai.onnx;13;Add{}"), "ai.onnx;13;Add\n");
  // The same said twice is said once.
  EXPECT_EQ(Rewritten("ai.onnx;13;Add,Relu,Add\nai.onnx;13;Cast,Relu\n"), "ai.onnx;13;Add,Relu,Cast\n");
}

TEST(Requirements, MergingKeepsWhatBothSay) {
  Requirements merged = Read("# one\nai.onnx;13;Add{\"inputs\":{\"0\":[\"float\"]}},Relu\nlinnet;1;Conv\n");
  merged.Merge(Read("# two\nai.onnx;13;Add{\"inputs\":{\"0\":[\"double\"],\"1\":[\"float\"]}},Cast\nai.onnx;14;Add\n# last\n"));
  EXPECT_EQ(merged.Write(),
            "# one\n# two\nai.onnx;13;Add{\"inputs\":{\"0\":[\"float\",\"double\"],\"1\":[\"float\"]}},Relu,Cast\n"
            "linnet;1;Conv\nai.onnx;14;Add\n# last\n");
  std::string once = merged.Write();
  merged.Merge(Read(once));
  EXPECT_EQ(merged.Write(), once);
}

TEST(Requirements, AnOperatorForEveryTypeStaysSo) {
  Requirements merged = Read("ai.onnx;13;Add{\"inputs\":{\"0\":[\"float\"]}}\n");
  merged.Merge(Read("ai.onnx;13;Add\n"));
  EXPECT_EQ(merged.Write(), "ai.onnx;13;Add\n");
}

TEST(Requirements, TypesAllowedEverywhereGrowByWhatIsMerged) {
  Requirements both = Read("!globally_allowed_types;float\nai.onnx;13;Add\n");
  both.Merge(Read("!globally_allowed_types;int8_t\nai.onnx;13;Relu\n"));
  EXPECT_EQ(both.Write(), "!globally_allowed_types;float,int8_t\nai.onnx;13;Add,Relu\n");

  Requirements typed = Read("!globally_allowed_types;float\nai.onnx;13;Add\n");
  typed.Merge(Read("ai.onnx;13;Relu{\"inputs\":{\"0\":[\"double\"]}}\n"));
  EXPECT_EQ(typed.Write(), "!globally_allowed_types;float,double\nai.onnx;13;Add,Relu{\"inputs\":{\"0\":[\"double\"]}}\n");

  Requirements other_way = Read("ai.onnx;13;Relu{\"inputs\":{\"0\":[\"double\"]}}\n");
  other_way.Merge(Read("!globally_allowed_types;float\nai.onnx;13;Add\n"));
  EXPECT_NE(other_way.Write().find("!globally_allowed_types;float,double\n"), std::string::npos) << other_way.Write();

  // What is needed for every type cannot be restricted any more.
  Requirements dropped = Read("!globally_allowed_types;float\nai.onnx;13;Add\n");
  dropped.Merge(Read("ai.onnx;13;Relu\n"));
  EXPECT_EQ(dropped.Write(),
            "# no longer, as some operators are needed for every type: !globally_allowed_types;float\nai.onnx;13;Add,Relu\n");
}

TEST(Requirements, MistakesNameTheLineAndWhatMayHaveBeenMeant) {
  struct Case {
    const char *text, *line, *said;
  };
  const Case kCases[] = {
      {"# a\n\nai.onnx;13;Add,Sotfmax\n", "line 3: ", "did you mean 'Softmax'?"},
      {"ai.onnx;13;relu\n", "line 1: ", "did you mean 'Relu'?"},
      {"com.microsft;1;Gelu\n", "line 1: ", "did you mean 'com.microsoft'?"},
      {"ai.onnx;11;Einsum\n", "line 1: ", "from version 12"},
      {"ai.onnx;13;Add\nai.onnx;x;Add\n", "line 2: ", "version 'x'"},
      {"ai.onnx;0;Add\n", "line 1: ", "version '0'"},
      {"ai.onnx;13,;Add\n", "line 1: ", "version ''"},
      {"ai.onnx;99999999999999999999;Add\n", "line 1: ", "is not a number"},
      {"Add\n", "line 1: ", "such as ai.onnx;13;Add,Relu"},
      {"ai.onnx;13\n", "line 1: ", "no second ';'"},
      {"ai.onnx;13;\n", "line 1: ", "name of an operator is missing"},
      {"ai.onnx;13;Add,,Relu\n", "line 1: ", "name of an operator is missing"},
      {"ai.onnx;13;Add{\"inputs\":{\"0\":[\"flaot\"]}}\n", "line 1: Add: ", "did you mean 'float'?"},
      {"ai.onnx;13;Add{\"inputs\":{\"x\":[\"float\"]}}\n", "line 1: Add: ", "'x'"},
      {"ai.onnx;13;Add{\"input\":{\"0\":[\"float\"]}}\n", "line 1: Add: ", "did you mean 'inputs'?"},
      {"ai.onnx;13;Add{\"inputs\":{\"0\":[\"float\"]}\n", "line 1: Add: ", "expected ','"},
      {"ai.onnx;13;Add{\"inputs\n", "line 1: Add: ", "does not end"},
      {"ai.onnx;13;Add{\"custom\":[[[\n", "line 1: Add: ", "missing"},
      {"ai.onnx;13;Add{} Relu\n", "line 1: ", "expected ',' between operators"},
      {"!globaly_allowed_types;float\n", "line 1: ", "did you mean 'globally_allowed_types'?"},
      {"!globally_allowed_types;flot\n", "line 1: ", "did you mean 'float'?"},
      {"!globally_allowed_types\n", "line 1: ", "expected ';'"},
  };
  for (const Case& each : kCases) {
    std::string message = Failure(each.text);
    EXPECT_TRUE(message.starts_with(each.line)) << message;
    EXPECT_NE(message.find(each.said), std::string::npos) << each.text << message;
  }
  EXPECT_TRUE(Failure("ai.onnx;13;Add{\"custom\":[" + std::string(100000, '[')).starts_with("line 1: "));
}

/// Whatever a text is cut or changed to, reading it ends, and what is accepted is written so that it reads the same.
TEST(Requirements, DamagedTextIsReadOrRefused) {
  const std::string kText =
      "# c\n!globally_allowed_types;float,int8_t\nai.onnx;12,13;Add,Cast{\"inputs\":{\"0\":[\"float\"]},\"custom\":[[\"a\"],1]}\nlinnet;1;Conv # e";
  int accepted = 0;
  for (size_t i = 0; i < kText.size(); ++i) {
    for (char c : {'\0', '\n', '"', '{', '}', '[', ';', ',', '#', '\\', 'x'}) {
      std::string changed = kText;
      changed[i] = c;
      for (const std::string& text : {changed, kText.substr(0, i)}) {
        Result<Requirements> read = Requirements::Parse(text, kKnown);
        if (!read.ok()) continue;
        ++accepted;
        std::string written = read->Write();
        Result<Requirements> again = Requirements::Parse(written, kKnown);
        ASSERT_TRUE(again.ok()) << text << "\n->\n" << written << again.status().message();
        EXPECT_EQ(again->Write(), written) << text;
      }
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(Requirements, AGraphAddsItsOperatorsVersionsAndTypes) {
  Result<Graph> graph = ParseGraph(R"(graph g (x: float[2], i: int64[2], c: bool[]) -> (d, y) {
    a: float[2] = Relu-14(x)
    b: int64[2] = Cast-13(a) {to=7}
    d: int64[2] = Add-14(b, i)
    y: float[2] = If-16(c) {then_branch=graph then () captures (u: float[2] = a) -> (v) {
      v: float[2] = linnet:Clip-1(u, _, u)
    }}
  })");
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  Requirements requirements;
  requirements.Add(*graph);
  EXPECT_EQ(requirements.Write(),
            "ai.onnx;14;Relu{\"inputs\":{\"0\":[\"float\"]}},Add{\"inputs\":{\"0\":[\"int64_t\"],\"1\":[\"int64_t\"]}}\n"
            "ai.onnx;13;Cast{\"inputs\":{\"0\":[\"float\"]},\"outputs\":{\"0\":[\"int64_t\"]}}\n"
            "ai.onnx;16;If{\"inputs\":{\"0\":[\"bool\"]},\"outputs\":{\"0\":[\"float\"]}}\n"
            "linnet;1;Clip{\"inputs\":{\"0\":[\"float\"],\"2\":[\"float\"]}}\n");
}

TEST(Requirements, TheConfigurationIsToldFromAModel) {
  EXPECT_TRUE(IsRequirementsText("# x\nfoo"));
  EXPECT_TRUE(IsRequirementsText("\n\nai.onnx;13;Add\n"));
  EXPECT_TRUE(IsRequirementsText("!globally_allowed_types;float"));
  EXPECT_FALSE(IsRequirementsText("hello"));
  EXPECT_FALSE(IsRequirementsText(std::string_view("\x08\x07\x12\x04test", 8)));
}

std::string Digits() { return std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx"; }

/// What Linnet's own operators say of themselves: every line that is collected is one that may be read.
TEST(Requirements, WhatAModelNeedsMayBeReadAndHasBothSidesOfPreparing) {
  Requirements prepared, onnx;
  Status status = CollectRequirements(Digits(), SessionOptions(), false, &prepared);
  ASSERT_TRUE(status.ok()) << status.message();
  status = CollectRequirements(Digits(), SessionOptions(), true, &onnx);
  ASSERT_TRUE(status.ok()) << status.message();
  Result<Requirements> again = Requirements::Parse(onnx.Write(), KnownOperators());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->Write(), onnx.Write());
  auto has = [](const Requirements& requirements, std::string_view domain, std::string_view name) {
    for (const RequirementsLine& line : requirements.lines()) {
      for (const RequiredOperator& op : line.operators) {
        if (line.domain == domain && op.name == name) return true;
      }
    }
    return false;
  };
  EXPECT_TRUE(has(prepared, "linnet", "Conv"));
  EXPECT_FALSE(has(prepared, "", "Conv"));
  EXPECT_TRUE(has(onnx, "linnet", "Conv"));
  EXPECT_TRUE(has(onnx, "", "Conv"));
  // Parts of kernels: the digits model's convolutions end with Relu, and their pictures are too small for Winograd's products.
  EXPECT_NE(prepared.Write().find("\"custom\":[\"FusedRelu\",\"PackedWeights\",\"Depthwise3\",\"Depthwise0\"]"), std::string::npos) << prepared.Write();
  EXPECT_EQ(prepared.Write().find("Winograd"), std::string::npos) << prepared.Write();
  // Everything the prepared graph needs is in the longer list, so adding it changes nothing.
  std::string before = onnx.Write();
  onnx.Merge(prepared);
  EXPECT_EQ(onnx.Write(), before);
}

TEST(Requirements, OperatorsThatAreNowhereAreListedAtOnce) {
  Result<Graph> graph = ParseGraph(R"(graph (x: float[2], c: bool[]) -> (a, b, y) {
    a = Nonesuch-13(x)
    b = my.domain:Other-2(x)
    y: float[2] = If-16(c) {then_branch=graph then () captures (u: float[2] = x) -> (v) {
      v: float[2] = Third-16(u)
    }}
  })");
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  PassContext context;
  context.table = &OpTable::BuiltIn();
  Status status = RunPipeline(*graph, context, PipelineOptions());
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_EQ(status.message(), "unsupported operators: Nonesuch-13, Third-16, my.domain:Other-2");
}

TEST(Requirements, NearestNameIsNear) {
  const std::string_view kNames[] = {"Conv", "ConvTranspose", "Softmax", "LogSoftmax"};
  EXPECT_EQ(NearestName("SoftMax", kNames), "Softmax");
  EXPECT_EQ(NearestName("Convtransposed", kNames), "ConvTranspose");
  EXPECT_EQ(NearestName("Attention", kNames), "");
  EXPECT_EQ(NearestName("", kNames), "");
}

}  // namespace
}  // namespace linnet
