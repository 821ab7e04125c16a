// Damaged .linnet files, as many as are asked for: the same seed always makes the same. Every one must be refused with a sentence, or
// open and run without harm; what a checksum covers must be refused when it was changed and the sum was not.
//
//     mutants --count 1000000 --seed 1 FILE...          all prefixes of every file first
//     mutants --seed 1 --from 4711 --write bad.linnet FILE...     one of them
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "fixed/fields.h"
#include "format/checksum.h"
#include "format/linnet_file.h"
#include "fuzz/model_runs.h"
#include "fuzz/model_tree.h"
#include "fuzz/sign.h"
#if defined(LINNET_SANITIZED)
#include <sanitizer/common_interface_defs.h>
#endif

namespace linnet::fuzz {
namespace {

struct Seed {
  std::string name, bytes;
  bool summed = false;
};

struct Mutant {
  std::string bytes;
  bool found = false;   ///< by the checksum of its head: it may not open
};

int64_t current = 0;
const Seed* current_seed = nullptr;
clock_t current_began = 0;

void SayWhich() {
  fprintf(stderr, "\nmutant %lld of %s\n", static_cast<long long>(current), current_seed ? current_seed->name.c_str() : "?");
}

size_t HeadOf(const Seed& seed) {
  FileSums sums;
  return FindSums(seed.bytes, &sums) ? static_cast<size_t>(sums.head_bytes) : seed.bytes.size();
}

uint8_t* Raw(std::string& bytes) { return reinterpret_cast<uint8_t*>(bytes.data()); }

void FlipBits(std::string& bytes, size_t end, Choices& choices) {
  for (int64_t n = 1 + choices.Below(4); n > 0; --n) {
    char& at = bytes[static_cast<size_t>(choices.Below(static_cast<int64_t>(end)))];
    at = static_cast<char>(at ^ 1 << choices.Below(8));
  }
}

/// A stretch taken out, doubled, or filled with one byte.
void CutOut(std::string& bytes, Choices& choices) {
  const size_t begin = static_cast<size_t>(choices.Below(static_cast<int64_t>(bytes.size())));
  const size_t count = 1 + static_cast<size_t>(choices.Below(static_cast<int64_t>(bytes.size() - begin)));
  switch (choices.Below(3)) {
    case 0: bytes.erase(begin, count); break;
    case 1: bytes.insert(begin, bytes.substr(begin, count)); break;
    default: bytes.replace(begin, count, count, static_cast<char>(choices.Below(256)));
  }
}

/// Words of the head replaced: by another of them, by numbers that offsets and counts had better not be.
void ChangeWords(std::string& bytes, size_t head, Choices& choices) {
  for (int64_t n = 1 + choices.Below(3); n > 0; --n) {
    const uint32_t odd[] = {0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, static_cast<uint32_t>(choices.Below(static_cast<int64_t>(head)))};
    auto place = [&] { return static_cast<size_t>(choices.Below(static_cast<int64_t>(head / 2 - 1))) * 2; };
    const size_t to = place(), from = place();
    uint32_t word;
    memcpy(&word, &bytes[from], sizeof word);
    if (choices.OneIn(2)) word = odd[choices.Below(static_cast<int64_t>(std::size(odd)))];
    if (choices.OneIn(3)) word += static_cast<uint32_t>(choices.Below(5) * 4 - 8);
    memcpy(&bytes[to], &word, choices.OneIn(2) ? 4 : 2);
  }
}

Mutant Make(const Seed& seed, Choices& choices) {
  Mutant mutant{seed.bytes};
  std::string& bytes = mutant.bytes;
  const int64_t kind = choices.Below(16);
  const bool honest = kind < 4;   // sums are not put right
  if (kind < 2) {
    FlipBits(bytes, bytes.size(), choices);
  } else if (kind == 2) {
    CutOut(bytes, choices);
  } else if (kind == 3) {   // in the body alone
    const size_t head = HeadOf(seed);
    std::string body = bytes.substr(head);
    if (!body.empty()) FlipBits(body, body.size(), choices);
    bytes.replace(head, body.size(), body);
  } else if (kind < 6) {    // a file that was written shorter or longer
    const size_t sums = seed.summed ? sizeof(FileSums) : 0;
    std::string front = bytes.substr(0, bytes.size() - sums);
    CutOut(front, choices);
    bytes = front + bytes.substr(bytes.size() - sums);
    if (!bytes.empty()) Sign(Raw(bytes), bytes.size());
  } else if (kind < 10 || !seed.summed) {
    ChangeWords(bytes, HeadOf(seed), choices);
    Sign(Raw(bytes), bytes.size(), choices.OneIn(2));
  } else {
    bytes = ChangeTree(seed.bytes, choices);
  }
  if (honest && seed.summed) {
    // Sums that went with the damage would be a file without any, whose format says that it must have them.
    const size_t head = HeadOf(seed), sums = seed.bytes.size() - sizeof(FileSums), body_sum = seed.bytes.size() - 8;
    auto differs = [&](size_t begin, size_t end) { return bytes.compare(begin, end - begin, seed.bytes, begin, end - begin) != 0; };
    mutant.found = bytes.size() != seed.bytes.size() || differs(0, head) || differs(sums, body_sum);
    Require(bytes == seed.bytes || !CheckBody(bytes).ok() || mutant.found, "a changed body is found");
  }
  return mutant;
}

/// A build for plans alone believes what passes its checksum, and does not look at the body: all that must hold there is that what was
/// changed in a head does not pass.
void TrustHead(const std::string& bytes) {
  Require(!Good(fixed::TrustedHead(bytes).status()), "a damaged head is found by a build for plans alone");
}

Result<std::vector<Seed>> Read(const std::vector<std::string>& paths) {
  std::vector<Seed> seeds;
  for (const std::string& path : paths) {
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, {.access = FileAccess::kRead}));
    Seed seed{path, std::string(file->bytes())};
    FileSums sums;
    seed.summed = FindSums(seed.bytes, &sums);
    if (!seed.summed) {
      // Of a format before checksums: as it is, and as it would be written now.
      seeds.push_back({path + " (with checksums)", WithSums(seed.bytes), true});
    }
    seeds.push_back(std::move(seed));
  }
  if (seeds.empty()) return InvalidArgument("no files");
  for (const Seed& seed : seeds) {
    Choices choices({reinterpret_cast<const uint8_t*>(seed.bytes.data()), seed.bytes.size()});
    if (OpenAndRun(seed.bytes, choices)) continue;
    return Session::FromMemory(seed.bytes.data(), seed.bytes.size(), nullptr, SessionOptions()).TakeStatus().At(seed.name);
  }
  return seeds;
}

int Main(int argc, char** argv) {
  int64_t count = 1, from = 0, number = 1;
  std::string write;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool option = argument.starts_with("--") && i + 1 < argc;
    if (option && argument == "--count") count = atoll(argv[++i]);
    else if (option && argument == "--seed") number = atoll(argv[++i]);
    else if (option && argument == "--from") from = atoll(argv[++i]);
    else if (option && argument == "--write") write = argv[++i];
    else paths.emplace_back(argument);
  }
  Result<std::vector<Seed>> seeds = Read(paths);
  if (!seeds.ok()) {
    fprintf(stderr, "usage: mutants [--count N] [--seed N] [--from N] [--write FILE] FILE...: %.*s\n",
            static_cast<int>(seeds.status().message().size()), seeds.status().message().data());
    return 2;
  }
  int64_t prefixes = 0;
  for (const Seed& seed : *seeds) prefixes += static_cast<int64_t>(seed.bytes.size());
  int64_t opened = 0, cut = 0;
  for (current = from; current < from + count; ++current) {
    alarm(20);
    current_began = clock();
    const int64_t key[2] = {number, current};
    Choices choices({reinterpret_cast<const uint8_t*>(key), sizeof key});
    Mutant mutant;
    if (current < prefixes) {
      int64_t at = current;
      current_seed = seeds->data();
      for (; at >= static_cast<int64_t>(current_seed->bytes.size()); ++current_seed) at -= static_cast<int64_t>(current_seed->bytes.size());
      mutant = {current_seed->bytes.substr(0, static_cast<size_t>(at)), true};
      ++cut;
    } else {
      current_seed = &(*seeds)[static_cast<size_t>(choices.Below(static_cast<int64_t>(seeds->size())))];
      mutant = Make(*current_seed, choices);
    }
    if (!write.empty()) {
      Status status = WriteFileAtomically(write, [&](Sink& sink) { return sink.Append(mutant.bytes); });
      if (!status.ok()) return 2;
    }
    const bool opens = OpenAndRun(mutant.bytes, choices);
    Require(!opens || !mutant.found, "a damaged head is found");
    opened += opens;
    if (mutant.found) TrustHead(mutant.bytes);
  }
  alarm(0);
  printf("%lld mutants of %zu files (seed %lld): %lld of them prefixes; %lld opened, %lld were refused\n", static_cast<long long>(count), paths.size(),
         static_cast<long long>(number), static_cast<long long>(cut), static_cast<long long>(opened), static_cast<long long>(count - opened));
  return 0;
}

void Stop(int signal_number) {
  if (signal_number == SIGALRM) {
    const double took = static_cast<double>(clock() - current_began) / CLOCKS_PER_SEC;
    fprintf(stderr, "\nit takes longer than 20 seconds, in which this process has worked for %.1f\n", took);
#if defined(LINNET_SANITIZED)
    __sanitizer_print_stack_trace();
#endif
  }
  SayWhich();
  _exit(99);
}

}  // namespace
}  // namespace linnet::fuzz

int main(int argc, char** argv) {
  signal(SIGABRT, linnet::fuzz::Stop);
  signal(SIGALRM, linnet::fuzz::Stop);
#if defined(LINNET_SANITIZED)
  __sanitizer_set_death_callback(linnet::fuzz::SayWhich);
#endif
  return linnet::fuzz::Main(argc, argv);
}
