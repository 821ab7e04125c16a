// Inflating: blocks that are stored, or coded with fixed or their own Huffman codes.
#include "cli/data/inflate.h"

#include <algorithm>
#include <array>
#include <vector>

namespace linnet::cli {
namespace {

constexpr int kLengthMax = 15;

/// A canonical Huffman code: how many codes of each length there are, and the symbols in order of their codes.
class Huffman {
 public:
  /// False when the lengths give more codes than there can be.
  bool Make(const uint8_t* lengths, int count) {
    counts_.fill(0);
    symbols_.assign(static_cast<size_t>(count), 0);
    for (int i = 0; i < count; ++i) ++counts_[lengths[i]];
    counts_[0] = 0;
    int left = 1;
    std::array<int, kLengthMax + 2> first{};
    for (int length = 1; length <= kLengthMax; ++length) {
      left = left * 2 - counts_[static_cast<size_t>(length)];
      if (left < 0) return false;
      first[static_cast<size_t>(length) + 1] = first[static_cast<size_t>(length)] + counts_[static_cast<size_t>(length)];
    }
    for (int i = 0; i < count; ++i) {
      if (lengths[i]) symbols_[static_cast<size_t>(first[lengths[i]]++)] = static_cast<uint16_t>(i);
    }
    return true;
  }
  /// Reads a symbol bit by bit; -1 where there is none.
  template <class Bit>
  int Read(Bit&& bit) const {
    int code = 0, first = 0, place = 0;
    for (size_t length = 1; length <= kLengthMax; ++length) {
      const int next = bit();
      if (next < 0) return -1;
      code |= next;
      const int count = counts_[length];
      if (code - first < count) return symbols_[static_cast<size_t>(place + code - first)];
      place += count;
      first = (first + count) * 2;
      code *= 2;
    }
    return -1;
  }

 private:
  std::array<int, kLengthMax + 1> counts_{};
  std::vector<uint16_t> symbols_;
};

class Inflater {
 public:
  Inflater(std::string_view packed, uint64_t bytes) : packed_(packed), bytes_(bytes) {}

  Result<std::string> Run() {
    for (bool last = false; !last;) {
      last = Bits(1) == 1;
      const int64_t kind = Bits(2);
      const bool good = kind == 0 ? Stored() : kind == 1 ? Fixed() : kind == 2 ? Dynamic() : false;
      if (!good || cut_) return InvalidArgument("the compressed data is damaged");
    }
    if (out_.size() != bytes_) return InvalidArgument("the compressed data gives ", out_.size(), " bytes instead of ", bytes_);
    return std::move(out_);
  }

 private:
  int Bit() {
    if (held_ == 0) {
      if (at_ >= packed_.size()) return cut_ = true, -1;
      bits_ = static_cast<uint8_t>(packed_[at_++]);
      held_ = 8;
    }
    const int bit = bits_ & 1;
    bits_ >>= 1;
    --held_;
    return bit;
  }
  int64_t Bits(int count) {
    int64_t value = 0;
    for (int i = 0; i < count && !cut_; ++i) value |= static_cast<int64_t>(Bit() & 1) << i;
    return value;
  }
  bool Put(char byte) {
    if (out_.size() >= bytes_) return false;
    out_ += byte;
    return true;
  }

  bool Stored() {
    held_ = 0;
    const int64_t length = Bits(16), inverse = Bits(16);
    if (cut_ || (length ^ inverse) != 0xffff || packed_.size() - at_ < static_cast<size_t>(length) || bytes_ - out_.size() < static_cast<uint64_t>(length)) return false;
    out_ += packed_.substr(at_, static_cast<size_t>(length));
    at_ += static_cast<size_t>(length);
    return true;
  }
  bool Fixed() {
    std::array<uint8_t, 288> lengths;
    for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    std::array<uint8_t, 30> distances;
    distances.fill(5);
    Huffman literal, distance;
    return literal.Make(lengths.data(), 288) && distance.Make(distances.data(), 30) && Coded(literal, distance);
  }
  bool Dynamic() {
    constexpr uint8_t kOrder[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const int literals = static_cast<int>(Bits(5)) + 257, distances = static_cast<int>(Bits(5)) + 1, codes = static_cast<int>(Bits(4)) + 4;
    if (literals > 286 || distances > 30) return false;
    std::array<uint8_t, 320> lengths{};
    for (int i = 0; i < codes; ++i) lengths[kOrder[i]] = static_cast<uint8_t>(Bits(3));
    Huffman code;
    if (cut_ || !code.Make(lengths.data(), 19)) return false;
    lengths.fill(0);
    for (int i = 0; i < literals + distances;) {
      const int symbol = code.Read([&] { return Bit(); });
      if (symbol < 0) return false;
      if (symbol < 16) {
        lengths[static_cast<size_t>(i++)] = static_cast<uint8_t>(symbol);
        continue;
      }
      if (symbol == 16 && i == 0) return false;
      const uint8_t repeated = symbol == 16 ? lengths[static_cast<size_t>(i - 1)] : 0;
      int64_t count = symbol == 16 ? 3 + Bits(2) : symbol == 17 ? 3 + Bits(3) : 11 + Bits(7);
      if (i + count > literals + distances) return false;
      while (count-- > 0) lengths[static_cast<size_t>(i++)] = repeated;
    }
    Huffman literal, distance;
    return literal.Make(lengths.data(), literals) && distance.Make(lengths.data() + literals, distances) && Coded(literal, distance);
  }

  bool Coded(const Huffman& literal, const Huffman& distance) {
    constexpr uint16_t kLengths[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    constexpr uint8_t kLengthBits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    for (;;) {
      const int symbol = literal.Read([&] { return Bit(); });
      if (symbol < 0) return false;
      if (symbol == 256) return true;
      if (symbol < 256) {
        if (!Put(static_cast<char>(symbol))) return false;
        continue;
      }
      if (symbol > 285) return false;
      int64_t length = kLengths[symbol - 257] + Bits(kLengthBits[symbol - 257]);
      const int far = distance.Read([&] { return Bit(); });
      if (far < 0 || far > 29) return false;
      const int extra = far < 4 ? 0 : far / 2 - 1;
      const int64_t base = far < 4 ? far + 1 : ((int64_t{2} + far % 2) << extra) + 1;
      const size_t back = static_cast<size_t>(base + Bits(extra));
      if (cut_ || back > out_.size()) return false;
      while (length-- > 0) {
        if (!Put(out_[out_.size() - back])) return false;
      }
    }
  }

  std::string_view packed_;
  uint64_t bytes_;
  std::string out_;
  size_t at_ = 0;
  unsigned bits_ = 0;
  int held_ = 0;
  bool cut_ = false;
};

}  // namespace

Result<std::string> Inflate(std::string_view packed, uint64_t bytes) { return Inflater(packed, bytes).Run(); }

uint32_t Crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  return ~crc;
}

}  // namespace linnet::cli
