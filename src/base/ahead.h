// Memory that will be read soon: who computes from near caches meanwhile asks for it.
#pragma once

#include <stdint.h>

#include <algorithm>

namespace linnet {

/// A few pieces of memory, one after the other.
struct Ahead {
  static constexpr int kPieces = 4;
  struct Piece {
    const char* data;
    int64_t bytes;
  };
  Piece pieces[kPieces] = {};
  int count = 0;
  int64_t bytes = 0;   ///< of all

  void Add(const char* data, int64_t size) {
    pieces[count++] = {data, size};
    bytes += size;
  }
};

/// A part of it, which is handed out from its front.
class AheadPart {
 public:
  AheadPart() = default;
  /// The part for item [begin, end) of `items`: of as many as one thread does, which may do them again and again.
  AheadPart(const Ahead& ahead, int64_t begin, int64_t end, int64_t items) : ahead_(&ahead) {
    if (ahead.count == 0 || items <= 0) return;
    const int64_t from = begin % items, to = std::min(items, from + end - begin);
    Start(ahead.bytes / items * from);
    left_ = ahead.bytes / items * (to - from);
  }
  /// A part of a part.
  AheadPart(const AheadPart& whole, int64_t begin, int64_t end, int64_t items) : ahead_(whole.ahead_) {
    if (whole.left_ == 0 || items <= 0) return;
    piece_ = whole.piece_, offset_ = whole.offset_;
    Skip(whole.left_ / items * begin);
    left_ = whole.left_ / items * (end - begin);
  }

  /// So many bytes in one piece, or null: where a piece has fewer left they are passed over.
  const char* Take(int64_t bytes) {
    if (left_ < bytes) return nullptr;
    for (; piece_ < ahead_->count; ++piece_, offset_ = 0) {
      const Ahead::Piece& piece = ahead_->pieces[piece_];
      const int64_t rest = piece.bytes - offset_;
      if (rest >= bytes) {
        const char* data = piece.data + offset_;
        offset_ += bytes, left_ -= bytes;
        return data;
      }
      left_ -= rest;
      if (left_ < bytes) break;
    }
    left_ = 0;
    return nullptr;
  }

 private:
  void Start(int64_t at) {
    piece_ = 0, offset_ = 0;
    Skip(at);
  }
  void Skip(int64_t bytes) {
    offset_ += bytes;
    for (; piece_ < ahead_->count && offset_ >= ahead_->pieces[piece_].bytes; ++piece_) offset_ -= ahead_->pieces[piece_].bytes;
  }

  const Ahead* ahead_ = nullptr;
  int piece_ = 0;
  int64_t offset_ = 0, left_ = 0;
};

}  // namespace linnet
