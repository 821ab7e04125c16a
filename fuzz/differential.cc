// The differential fuzzer of quantized models: random ones through every CPU level, the reference provider and, where its library is
// given, ONNX Runtime. What disagrees is reduced, shown, and written as a file that tests/differential_test.cc replays from
// fuzz/corpus/differential. `differential --help` has the options.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "fuzz/check.h"
#include "fuzz/reduce.h"
#include "fuzz/sides.h"

namespace linnet {
namespace {

constexpr char kHelp[] =
    "usage: differential [options] [FILE...]\n"
    "Random quantized models, compared on all sides; with files, the models in them.\n"
    "  --cases N      cases of each kind (100) in which both sides give outputs: Linnet and the peer, or without one the reference; of\n"
    "                 four times as many, at most, are there so many\n"
    "  --seed S       the first case's number; case S + i is the same in every run (0)\n"
    "  --only KIND    of one kind: \"QLinearConv\", \"QDQ Conv\", or \"QDQ\" for all that begin so\n"
    "  --peer LIBRARY ONNX Runtime's library\n"
    "  --write FOLDER where reduced disagreements are written\n"
    "  --keep N       disagreements of a kind that are reduced (3)\n"
    "  --show-peer    shows those of the peer alone, too\n";

struct Options {
  int64_t cases = 100, seed = 0, keep = 3;
  std::string only, folder;
  std::vector<std::string> files;
  bool show_peer = false;
};

struct Counts {
  int64_t cases = 0, ran = 0, exact = 0, peer = 0, differ = 0, peer_differs = 0;
};

/// A case is made by its kind and number alone.
uint32_t SeedOf(const QuantizedKind& kind, int64_t number) {
  uint32_t seed = 2166136261u;
  for (char letter : kind.name) seed = (seed ^ static_cast<uint8_t>(letter)) * 16777619u;
  return seed + static_cast<uint32_t>(number) * 2654435761u;
}

void Show(const char* title, const QuantizedKind& kind, int64_t number, const Example& example, const std::string& what) {
  printf("\n%s: %.*s, case %lld: %s\n%s\n", title, static_cast<int>(kind.name.size()), kind.name.data(), static_cast<long long>(number), what.c_str(),
         TextOf(example).c_str());
}

void Write(const Options& options, const QuantizedKind& kind, int64_t number, const Example& example, const std::string& what) {
  if (options.folder.empty()) return;
  std::string name(kind.name);
  for (char& letter : name) letter = letter == ' ' ? '_' : letter;
  const std::string path = options.folder + "/" + name + "_" + std::to_string(number) + ".graph";
  Status status = WriteFileAtomically(path, [&](Sink& sink) { return sink.Append("# " + what + "\n" + TextOf(example)); });
  if (!status.ok()) fprintf(stderr, "%.*s\n", static_cast<int>(status.message().size()), status.message().data());
}

Counts RunKind(const QuantizedKind& kind, const Options& options) {
  Counts counts;
  for (int64_t number = options.seed; number < options.seed + 4 * options.cases; ++number) {
    if ((PeerRuns::Get() ? counts.peer : counts.ran) == options.cases) break;
    Choices choices(SeedOf(kind, number));
    choices.Record();
    const bool prepared = number % 8 == 0;
    const Example example = MakeExample(kind, choices);
    const Verdict verdict = CheckOnAllSides(example, prepared);
    ++counts.cases, counts.ran += verdict.ran, counts.exact += verdict.exact, counts.peer += verdict.peer_ran;
    const bool ours = !verdict.differs.empty(), peers = !verdict.peer_differs.empty();
    counts.differ += ours, counts.peer_differs += peers;
    if (!(ours && counts.differ <= options.keep) && !(peers && options.show_peer && counts.peer_differs <= options.keep)) continue;
    auto what = [&](const Example& of) {
      const Verdict each = CheckOnAllSides(of, prepared);
      return ours ? each.differs : each.peer_differs;
    };
    // Still the same failure, as far as words tell: a refusal stays one, and bits stay bits.
    const std::string first = ours ? verdict.differs : verdict.peer_differs;
    auto sort = [](const std::string& text) {
      for (const char* word : {"refuses", "runs where", "bits", "element", " is expected"}) {
        if (text.find(word) != std::string::npos) return word;
      }
      return "";
    };
    const Example least = Reduce(kind, choices.draws(), [&](const Example& of) {
      const std::string now = what(of);
      return !now.empty() && strcmp(sort(now), sort(first)) == 0;
    }, 1500);
    Show(ours ? "disagreement" : "the peer differs", kind, number, least, what(least));
    if (ours) Write(options, kind, number, least, what(least));
    fflush(stdout);
  }
  return counts;
}

int RunFiles(const Options& options) {
  int failed = 0;
  for (const std::string& path : options.files) {
    Result<MappedFile::Ref> text = MappedFile::Open(path);
    Result<Example> example = text.ok() ? ExampleOf((*text)->bytes()) : Result<Example>(std::move(text).TakeStatus());
    if (!example.ok()) return fprintf(stderr, "%s: %s\n", path.c_str(), std::string(example.status().message()).c_str()), 2;
    const Verdict verdict = CheckOnAllSides(*example, true);
    failed += !verdict.differs.empty();
    printf("%s: %s%s%s\n", path.c_str(), verdict.differs.empty() ? verdict.ran ? "agrees" : "is refused" : verdict.differs.c_str(),
           verdict.peer_differs.empty() ? "" : "; the peer: ", verdict.peer_differs.c_str());
  }
  return failed != 0;
}

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const char* value = argument.starts_with("--") && i + 1 < argc ? argv[i + 1] : nullptr;
    if (argument == "--show-peer") options.show_peer = true;
    else if (!argument.starts_with("--")) options.files.emplace_back(argument);
    else if (!value) return fputs(kHelp, argument == "--help" ? stdout : stderr), argument == "--help" ? 0 : 2;
    else if (argument == "--cases") options.cases = atoll(argv[++i]);
    else if (argument == "--seed") options.seed = atoll(argv[++i]);
    else if (argument == "--keep") options.keep = atoll(argv[++i]);
    else if (argument == "--only") options.only = argv[++i];
    else if (argument == "--write") options.folder = argv[++i];
    else if (argument == "--peer") {
      Status status = PeerRuns::Load(argv[++i]);
      if (!status.ok()) return fprintf(stderr, "%s\n", std::string(status.message()).c_str()), 2;
    } else return fputs(kHelp, stderr), 2;
  }
  if (!options.files.empty()) return RunFiles(options);
  std::vector<std::pair<QuantizedKind, Counts>> table;
  int64_t differ = 0;
  for (std::span<const QuantizedKind> kinds : {QuantizedOperators(), QuantizedPatterns()}) {
    for (const QuantizedKind& kind : kinds) {
      const bool asked = options.only.empty() || kind.name == options.only || (options.only == "QDQ" && kind.name.starts_with("QDQ"));
      if (!asked) continue;
      table.emplace_back(kind, RunKind(kind, options));
      differ += table.back().second.differ;
    }
  }
  if (table.empty()) return fprintf(stderr, "there is no kind \"%s\"\n", options.only.c_str()), 2;
  printf("\nseed %lld\n| kind | cases | outputs here and on the reference | integers throughout | outputs on the peer too | disagreements | the peer's alone |\n|---|---|---|---|---|---|---|\n",
         static_cast<long long>(options.seed));
  for (const auto& [kind, counts] : table) {
    printf("| %.*s | %lld | %lld | %lld | %lld | %lld | %lld |\n", static_cast<int>(kind.name.size()), kind.name.data(), static_cast<long long>(counts.cases),
           static_cast<long long>(counts.ran), static_cast<long long>(counts.exact), static_cast<long long>(counts.peer),
           static_cast<long long>(counts.differ), static_cast<long long>(counts.peer_differs));
  }
  return differ != 0;
}

}  // namespace
}  // namespace linnet

int main(int argc, char** argv) { return linnet::Main(argc, argv); }
