// AMX's eight tiles as products of packed panels use them, and the same in C++ for tests where the instructions are missing:
//
//     tmm0..3   sums of up to 16 rows x 16 columns      tmm4 5   rows of A      tmm5 6 7   B: 64 bytes of a panel's rows
//
// A product adds its own Multiply to Amx or EmulatedTiles.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_AMX_INL_H_
#undef LINNET_KERNELS_TILES_AMX_INL_H_
#else
#define LINNET_KERNELS_TILES_AMX_INL_H_
#endif

#include <stdint.h>
#include <string.h>

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kTileRows = 16;

/// The tile of panel p of a group of `panels` (1, 2 or 4).
constexpr int TileOfB(int panels, int p) { return panels == 4 ? 5 + p % 3 : 6 + p; }

/// Rows and bytes a row of the eight tiles, as ldtilecfg reads them.
struct TileConfig {
  /// Tiles of `rows` sums, and steps of `step_bytes` (a multiple of 4, at most 64) of a row of A. tmm5 is a second tile of A,
  /// or of B.
  TileConfig(int64_t rows, int64_t step_bytes, bool two_of_a) {
    for (int i = 0; i < 8; ++i) {
      const bool sums = i < 4, b = two_of_a ? i > 5 : i > 4;
      height[i] = static_cast<uint8_t>(b ? step_bytes / 4 : rows);
      width[i] = static_cast<uint16_t>(sums || b ? 64 : step_bytes);
    }
  }
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t width[16] = {};
  uint8_t height[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

/// The instructions.
struct AmxTiles {
  static HWY_INLINE void Configure(const TileConfig& config) { __asm__ volatile("ldtilecfg %0" ::"m"(config)); }
  static HWY_INLINE void Release() { __asm__ volatile("tilerelease"); }
  template <int kTile>
  static HWY_INLINE void Load(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  /// Rows of 64 bytes.
  template <int kTile>
  static HWY_INLINE void Store(void* to) {
    StoreRows<kTile>(to, 64);
  }
  template <int kTile>
  static HWY_INLINE void StoreRows(void* to, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
  }
};

/// The same in memory.
struct EmulatedTiles {
  static void Configure(const TileConfig& config) { Get().config = config; }
  static void Release() {}
  template <int kTile>
  static void Load(const void* from, int64_t stride) {
    State& s = Get();
    memset(s.tiles[kTile], 0, sizeof(s.tiles[kTile]));
    for (int i = 0; i < s.config.height[kTile]; ++i) {
      memcpy(s.tiles[kTile][i], static_cast<const char*>(from) + i * stride, s.config.width[kTile]);
    }
  }
  template <int kTile>
  static void Store(void* to) {
    StoreRows<kTile>(to, 64);
  }
  template <int kTile>
  static void StoreRows(void* to, int64_t stride) {
    State& s = Get();
    for (int i = 0; i < s.config.height[kTile]; ++i) memcpy(static_cast<char*>(to) + i * stride, s.tiles[kTile][i], 64);
  }

 protected:
  struct State {
    TileConfig config{1, 4, false};
    uint8_t tiles[8][kTileRows][64];
  };
  static State& Get() {
    static thread_local State state;
    return state;
  }
  /// sum(x, a, b, groups) is x plus the products of so many groups of 4 bytes of a row of A and of a column of B, whose groups
  /// are 64 bytes apart.
  template <class Number, int kSum, int kA, int kB, class Sum>
  static void MultiplyWith(Sum sum) {
    State& s = Get();
    for (int i = 0; i < s.config.height[kSum]; ++i) {
      for (int j = 0; j < kTileRows; ++j) {
        Number x;
        memcpy(&x, &s.tiles[kSum][i][j * 4], 4);
        x = sum(x, s.tiles[kA][i], &s.tiles[kB][0][j * 4], s.config.height[kB]);
        memcpy(&s.tiles[kSum][i][j * 4], &x, 4);
      }
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles
#endif  // per-target guard
