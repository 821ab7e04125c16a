// Product of bfloat16 operands on AMX tiles: up to 32 x 32 sums at a time, 32 k of them an instruction.
//
// Sums begin as their columns' biases. A block's are stored while the next block begins: storing a tile that is still being
// computed would wait for it, and so vectors finish one block while tiles multiply the next.
//
// A long K is cut into pieces of which B's part stays in the first-level cache while some rows pass by; their sums wait in
// memory meanwhile, which changes no bit. Reading both A and B from the second level is more than it gives.
#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/half/half_gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half/half_gemm_bf16_tiles.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/half/half-inl.h"
#include "kernels/half/bf16_tiles-inl.h"
#include "kernels/dispatch.h"

#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

namespace {

/// Up to 32 floats, the rest of 32 zeros.
template <class Tiles>
HWY_INLINE void RoundSome(const float* a, int64_t n, uint16_t* out) {
  const F32 d;
  const int64_t upper = std::max<int64_t>(n - 16, 0);
  const VF32 low = LoadSome(d, a, static_cast<size_t>(n));
  Tiles::Round(low, upper > 0 ? LoadSome(d, a + 16, static_cast<size_t>(upper)) : hn::Zero(d), out);
}

template <class Tiles>
void LoadTiles(const float* a, int64_t n, void* out) {
  const F32 d;
  uint16_t* to = static_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + kStepHalf <= n; i += kStepHalf) Tiles::Round(hn::LoadU(d, a + i), hn::LoadU(d, a + i + 16), to + i);
  if (i == n) return;
  alignas(64) uint16_t rest[kStepHalf];
  RoundSome<Tiles>(a + i, n - i, rest);
  memcpy(to + i, rest, static_cast<size_t>(n - i) * 2);
}

template <class Tiles>
void LoadRowsTiles(const float* a, int64_t a_row_stride, int64_t rows, int64_t k, void* out, int64_t out_row_bytes) {
  const F32 d;
  char* to = static_cast<char*>(out);
  for (int64_t r = 0; r < rows; ++r, a += a_row_stride, to += out_row_bytes) {
    uint16_t* row = reinterpret_cast<uint16_t*>(to);
    int64_t i = 0;
    for (; i + kStepHalf <= k; i += kStepHalf) Tiles::Round(hn::LoadU(d, a + i), hn::LoadU(d, a + i + 16), row + i);
    if (i < k || k == 0) RoundSome<Tiles>(a + i, k - i, row + i);
  }
}

/// A block of sums: up to two tiles of rows of A, panels, and a piece of K.
struct TileBlock {
  const char* a[2];
  int64_t panel;
  int panels, tiles;
  int64_t step0, step1;
  float* partial;             // where sums wait; begun there unless step0 is 0, left there unless step1 is the last
  int64_t row[2];             // of the view: that of the first sum that is stored
  int first[2], count[2];     // which rows of the tile are stored
};

template <class Tiles>
class TileProduct {
 public:
  TileProduct(const ProductHalf& product, const RowsHalf& rows, int64_t row0, int64_t row1, int64_t panel1)
      : p_(product), rows_(rows), finisher_(product, rows), row0_(row0), row1_(row1), panel1_(panel1) {
    height_ = DivUp(row1 - row0, DivUp(row1 - row0, kTileRows));   // tiles of about the same height take less time
    a_stride_ = rows.row_stride * 2;
    step_bytes_ = rows.step * kPanelColumns * 2;
  }

  void Run(int64_t panel0) {
    const int64_t count = row1_ - row0_;
    Tiles::Configure(TileConfig(height_, rows_.step * 2, count > height_));
    const int64_t group = count > height_ ? 2 : 4;
    // B is read once where it is larger than a cache, or is cut; A is not.
    constexpr int64_t kCache = 512 << 10;
    const bool cut = rows_.steps > kPiece + kPiece / 2 && count > 2 * height_;
    if (cut || (panel1_ - panel0) * p_.panel_bytes > kCache || count <= 2 * height_) {
      for (int64_t p = panel0; p < panel1_; p += group) {
        const int64_t end = std::min(panel1_, p + group);
        if (cut) {
          for (int64_t row = row0_; row < row1_; row += kWaiting * 2 * height_) Pieces(row, p, end);
        } else {
          Rows(row0_, row1_, p, end, 0, rows_.steps);
        }
      }
    } else {
      for (int64_t row = row0_; row < row1_; row += 2 * height_) {
        const int64_t end = std::min(row1_, row + 2 * height_);
        for (int64_t p = panel0; p < panel1_; p += group) Rows(row, end, p, std::min(panel1_, p + group), 0, rows_.steps);
      }
    }
    StorePending();
    Finish();
    Tiles::Release();
  }

 private:
  static constexpr int64_t kPiece = 16;     // steps of K: 32 KiB of two panels
  static constexpr int64_t kWaiting = 8;    // blocks of rows whose sums wait
  static constexpr int64_t kAsking = 8;

  const char* Panel(int64_t p) const { return static_cast<const char*>(p_.panels) + p * p_.panel_bytes; }

  /// The tile of rows from `row` on: rows before it, where too few are left, are computed again and not stored.
  void SetTile(int64_t row, int at, TileBlock* b) const {
    const int64_t start = std::min(row, row1_ - height_);
    b->a[at] = static_cast<const char*>(rows_.a) + start * a_stride_;
    b->row[at] = row;
    b->first[at] = static_cast<int>(row - start);
    b->count[at] = static_cast<int>(start + height_ - row);
  }

  /// Some rows from `row` on in a group of two panels, piece by piece.
  void Pieces(int64_t row, int64_t panel, int64_t group_end) {
    const int64_t end = std::min(row1_, row + kWaiting * 2 * height_);
    // Pieces of about the same length. Rows that are alone find nothing in the first-level cache.
    const int64_t pieces = end - row > 2 * height_ ? DivUp(rows_.steps, kPiece) : 1;
    for (int64_t i = 0; i < pieces; ++i) Rows(row, end, panel, group_end, rows_.steps * i / pieces, rows_.steps * (i + 1) / pieces);
  }

  void Rows(int64_t row, int64_t end, int64_t panel, int64_t group_end, int64_t step0, int64_t step1) {
    TileBlock b;
    b.step0 = step0, b.step1 = step1;
    b.partial = partial_;
    const int64_t blocks = DivUp(end - row, 2 * height_), first_row = row;
    for (int64_t i = 0; row < end; row += 2 * height_, ++i, b.partial += 4 * kTileRows * kPanelColumns) {
      b.tiles = end - row > height_ ? 2 : 1;
      SetTile(row, 0, &b);
      if (b.tiles == 2) SetTile(row + height_, 1, &b);
      // What the next group of panels reads in these steps is asked for by all blocks of rows, each a share of the lines.
      const bool ask = first_row == row0_ && group_end < panel1_ && i < kAsking;
      const int64_t asking = std::min<int64_t>(blocks, kAsking), lines = step_bytes_ / 64;
      ask_from_ = lines * i / asking * 64, ask_to_ = lines * (i + 1) / asking * 64;
      const char* next = ask ? Panel(group_end) : nullptr;
      for (b.panel = panel; b.panel < group_end; b.panel += b.panels) {
        const int64_t panels = group_end - b.panel;
        if (b.tiles == 2) {
          b.panels = panels >= 2 ? 2 : 1;
          b.panels == 2 ? Block<2, 2>(b, next) : Block<2, 1>(b, next);
        } else {
          b.panels = panels >= 4 ? 4 : panels >= 2 ? 2 : 1;
          b.panels == 4 ? Block<1, 4>(b, next) : b.panels == 2 ? Block<1, 2>(b, next) : Block<1, 1>(b, next);
        }
      }
    }
  }

  template <int kTiles, int kPanels>
  void Block(const TileBlock& b, const char* next) {
    for (int p = 0; p < kPanels; ++p) bias_[p] = PanelBiasHalf(p_, b.panel + p, tail_);
    const char* panel = Panel(b.panel) + b.step0 * step_bytes_;
    begin_ = b.step0 > 0 ? b.partial : nullptr;
    auto at = [&](int64_t s) { return (rows_.offsets ? rows_.offsets[s] : s * rows_.step) * 2; };
    if (pending_ && last_.tiles == kTiles && last_.panels == kPanels) {
      Step<kTiles, kPanels, true, true>(b, at(b.step0), panel);
    } else {
      StorePending();
      Step<kTiles, kPanels, true, false>(b, at(b.step0), panel);
    }
    Ask<kPanels>(next, b.step0);
    for (int64_t s = b.step0 + 1; s < b.step1; ++s) {
      panel += step_bytes_;
      Step<kTiles, kPanels, false, false>(b, at(s), panel);
      Ask<kPanels>(next, s);
    }
    Finish();
    last_ = b;
    last_to_ = b.step1 < rows_.steps ? b.partial : nullptr;
    pending_ = true;
  }

  /// Asks for what the next group of panels reads at step s, while this group's is used.
  template <int kPanels>
  HWY_INLINE void Ask(const char* next, int64_t s) const {
    if (!next) return;
    for (int p = 0; p < kPanels; ++p) {
      const char* line = next + p * p_.panel_bytes + s * step_bytes_;
      for (int64_t i = ask_from_; i < ask_to_; i += 64) __builtin_prefetch(line + i, 0, 2);
    }
  }

  /// Sums of a panel: two tiles.
  static constexpr int64_t kPanelStride = 2 * kTileRows * kPanelColumns;
  float* SumsOf(int tile, int p) { return sums_ + p * kPanelStride + tile * kTileRows * kPanelColumns; }
  /// Where the pending block's tile goes.
  float* StoreTo(int index, int tile, int p) { return last_to_ ? last_to_ + index * kTileRows * kPanelColumns : SumsOf(tile, p); }

  template <int kTiles, int kPanels, bool kFirst, bool kStore, int kT, int kP>
  HWY_INLINE void Product() {
    constexpr int kSum = kT * kPanels + kP;
    if constexpr (kFirst) {
      if constexpr (kStore) Tiles::template Store<kSum>(StoreTo(kSum, kT, kP));
      begin_ ? Tiles::template Load<kSum>(begin_ + kSum * kTileRows * kPanelColumns, 64) : Tiles::template Load<kSum>(bias_[kP], 0);
    }
    Tiles::template Multiply<kSum, 4 + kT, TileOfB(kPanels, kP)>();
  }

  /// One step of K. kFirst: sums begin; kStore: their tiles hold those of a block of the same form, which are stored first.
  template <int kTiles, int kPanels, bool kFirst, bool kStore>
  HWY_INLINE void Step(const TileBlock& b, int64_t at, const char* panel) {
    Tiles::template Load<TileOfB(kPanels, 0)>(panel, 64);
    Tiles::template Load<4>(b.a[0] + at, a_stride_);
    Product<kTiles, kPanels, kFirst, kStore, 0, 0>();
    if constexpr (kPanels > 1) {
      Tiles::template Load<TileOfB(kPanels, 1)>(panel + p_.panel_bytes, 64);
      Product<kTiles, kPanels, kFirst, kStore, 0, 1>();
    }
    if constexpr (kPanels == 4) {
      Tiles::template Load<TileOfB(4, 2)>(panel + 2 * p_.panel_bytes, 64);
      Product<kTiles, kPanels, kFirst, kStore, 0, 2>();
      Tiles::template Load<TileOfB(4, 3)>(panel + 3 * p_.panel_bytes, 64);
      Product<kTiles, kPanels, kFirst, kStore, 0, 3>();
    }
    if constexpr (kTiles == 2) {
      Tiles::template Load<5>(b.a[1] + at, a_stride_);
      Product<kTiles, kPanels, kFirst, kStore, 1, 0>();
      if constexpr (kPanels > 1) Product<kTiles, kPanels, kFirst, kStore, 1, 1>();
    }
  }

  template <int kIndex>
  void StoreOne() {
    if (kIndex < last_.tiles * last_.panels) Tiles::template Store<kIndex>(StoreTo(kIndex, kIndex / last_.panels, kIndex % last_.panels));
  }
  void StorePending() {
    if (!pending_) return;
    StoreOne<0>();
    StoreOne<1>();
    StoreOne<2>();
    StoreOne<3>();
  }

  /// What follows the sums of the pending block, once they are stored.
  void Finish() {
    if (!pending_) return;
    pending_ = false;
    if (last_to_) return;
    const int64_t column = last_.panel * kPanelColumns, columns = std::min(p_.n - column, last_.panels * kPanelColumns);
    for (int t = 0; t < last_.tiles; ++t) {
      finisher_.Store(SumsOf(t, 0) + last_.first[t] * kPanelColumns, kPanelStride, last_.row[t], last_.count[t], column, columns);
    }
  }

  const ProductHalf& p_;
  const RowsHalf& rows_;
  const FinisherHalf finisher_;
  int64_t row0_, row1_, panel1_, height_, a_stride_, step_bytes_;
  int64_t ask_from_ = 0, ask_to_ = 0;
  const float* bias_[4];
  const float* begin_ = nullptr;   // sums to go on with; null: biases
  TileBlock last_;
  float* last_to_ = nullptr;       // where the pending sums wait; null: they are complete
  bool pending_ = false;
  alignas(64) float tail_[kPanelColumns];
  alignas(64) float sums_[4 * kPanelStride];
  alignas(64) float partial_[kWaiting * 4 * kTileRows * kPanelColumns];
};

template <class Tiles>
void MultiplyTiles(const ProductHalf& product, const RowsHalf& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1) {
  if (row1 > row0 && panel1 > panel0) TileProduct<Tiles>(product, rows, row0, row1, panel1).Run(panel0);
}

}  // namespace

const HalfKernels& TilesBf16(bool emulated, const HalfKernels* one_row);
const HalfKernels& TilesBf16(bool emulated, const HalfKernels* one_row) {
  constexpr int64_t kCacheBytes = 1 << 20;   // half of the second-level cache of the processors that have tiles
  static const HalfKernels amx = {"bf16 tiles, amx", HalfFormat::kBfloat16, 32, 2, 250, kCacheBytes, LoadTiles<AmxBf16>, LoadRowsTiles<AmxBf16>,
                                  MultiplyTiles<AmxBf16>, one_row};
  static const HalfKernels same = {"bf16 tiles, emulated", HalfFormat::kBfloat16, 32, 2, 250, kCacheBytes, LoadTiles<EmulatedBf16>, LoadRowsTiles<EmulatedBf16>,
                                   MultiplyTiles<EmulatedBf16>, one_row};
  return emulated ? same : amx;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles
