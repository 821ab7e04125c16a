// The mutators. Each falls back to plain bytes now and then, and where the input has not the form it knows.
#include "fuzz/mutators.h"

#include <ctype.h>
#include <string.h>

#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/message_tree.h"
#include "fuzz/sign.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace linnet::fuzz {
namespace {

size_t Put(std::string_view bytes, uint8_t* out, size_t size_before, size_t max_size) {
  if (bytes.size() > max_size) return size_before;
  memcpy(out, bytes.data(), bytes.size());
  return bytes.size();
}

/// A stretch of text: a number, a word, or a line.
struct Piece {
  size_t begin, end;
};
template <class InPiece>
std::vector<Piece> Pieces(std::string_view text, InPiece in_piece) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < text.size();) {
    if (!in_piece(text[i])) {
      ++i;
      continue;
    }
    size_t begin = i;
    while (i < text.size() && in_piece(text[i])) ++i;
    pieces.push_back({begin, i});
  }
  return pieces;
}

}  // namespace

size_t MutateOnnx(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<Field> fields;
  bool is_message = ParseMessage({reinterpret_cast<const char*>(data), size}, 0, &fields);
  if (!is_message || fields.empty() || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (size_t turns = 1 + random() % 3; turns > 0; --turns) MutateMessage(fields, {}, random);
  return Put(WriteMessage(fields), data, size, max_size);
}

size_t CrossOnnx(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size, uint8_t* out, size_t max_size,
                 unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<Field> first, second;
  ParseMessage({reinterpret_cast<const char*>(a), a_size}, 0, &first);
  ParseMessage({reinterpret_cast<const char*>(b), b_size}, 0, &second);
  for (int turn = 0; turn < 2; ++turn) MutateMessage(first, second, random);
  return Put(WriteMessage(first), out, 0, max_size);
}

size_t MutateText(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  constexpr const char* kNumbers[] = {"0", "1", "-1", "2", "3", "7", "8", "9", "16", "255", "65536", "2147483647", "-2147483648",
                                      "2147483648", "4294967296", "1099511627776", "4611686018427387904",
                                      "9223372036854775807", "-9223372036854775808", "0.0", "-0.5", "1e30", "NaN", "INF"};
  std::minstd_rand random(seed);
  std::string text(reinterpret_cast<const char*>(data), size);
  auto is_number = [](char c) { return isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '.'; };
  auto is_word = [](char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  auto is_line = [](char c) { return c != '\n'; };
  unsigned choice = random() % 8;
  std::vector<Piece> pieces = choice < 3 ? Pieces(text, is_number) : choice < 5 ? Pieces(text, is_word) : Pieces(text, is_line);
  if (choice > 6 || pieces.empty()) return LLVMFuzzerMutate(data, size, max_size);
  Piece at = pieces[random() % pieces.size()], from = pieces[random() % pieces.size()];
  std::string source = text.substr(from.begin, from.end - from.begin);
  if (choice < 2) {
    source = kNumbers[random() % std::size(kNumbers)];
  } else if (choice == 5) {
    source += "\n" + text.substr(at.begin, at.end - at.begin);
  } else if (choice == 6) {
    source.clear();
  }
  text.replace(at.begin, at.end - at.begin, source);
  return Put(text, data, size, max_size);
}

size_t MutateTables(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (size < 16 || random() % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const size_t begin = random() % (size - 8);
  if (random() % 2) {
    LLVMFuzzerMutate(data + begin, 1 + random() % 8, 8);
    return size;
  }
  // Another word of the file in place of this one: an offset that leads elsewhere, a number that is one somewhere.
  const size_t to = begin / 4 * 4, from = random() % (size - 4) / 4 * 4;
  memmove(data + to, data + from, 4);
  if (random() % 2) data[to] = static_cast<uint8_t>(data[to] + 4 * (static_cast<int>(random() % 5) - 2));
  return size;
}

size_t MutatePrepared(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (random() % 4 == 0) {
    size = LLVMFuzzerMutate(data, size, max_size);
  } else {  // in place, in the head more often than in the weights
    size_t head = random() % 4 ? size < 4096 ? size : 4096 : size;
    if (head > 8) {
      size_t begin = random() % (head - 1), count = 1 + random() % 8;
      if (count > size - begin) count = size - begin;
      LLVMFuzzerMutate(data + begin, count, count);
    }
  }
  // The file says its own size and sums; wrong ones would be all that is ever found.
  if (random() % 16 != 0) Sign(data, size);
  return size;
}

}  // namespace linnet::fuzz
