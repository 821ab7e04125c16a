// Winograd convolution strip by strip: which input a tile reads, the products, where its output goes. No vector code here.
#include <string.h>

#include <algorithm>

#include "kernels/conv/winograd.h"

namespace linnet {
namespace {

constexpr int kPositionsMax = 64, kTaps = 9;
constexpr int64_t kFewTiles = 4;

int64_t UpTo(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

/// What follows from the sizes alone.
struct Layout {
  Layout(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& c, WinogradWay way)
      : tile(way.tile), side(tile + 2), positions(side * side), panels(PanelCount(c.out_c)), ahead(way.ahead) {
    phases_h = std::min(c.dilation_h, c.out_h), tiles_h = WinogradPhaseTiles(c.out_h, c.dilation_h, tile);
    phases_w = std::min(c.dilation_w, c.out_w), tiles_w = WinogradPhaseTiles(c.out_w, c.dilation_w, tile);
    tiles = c.batch * phases_h * tiles_h * phases_w * tiles_w;
    // A strip reads all weights once, from beyond the second-level cache when there are many channels: the more
    // channels, the more tiles.
    const int64_t balance = c.in_c * c.out_c / (c.in_c + c.out_c);
    const int64_t most = std::clamp<int64_t>(balance, kStripMin, kStripMax);
    const int64_t parts = std::max<int64_t>(1, (tiles + most - 1) / most);
    // One panel is done by tiles of twice the rows.
    const int64_t rows = panels == 1 ? 2 * gemm.rows : gemm.rows;
    strip = parts == 1 ? tiles : std::max<int64_t>(1, tiles / parts / rows) * rows;
    v_row = UpTo(c.in_c, kPanelColumns);
    const int64_t line = positions * kPanelColumns * 4;   // of a row of M or U, all positions of a panel
    const int64_t pair = std::max<int64_t>(1, gemm.columns / kPanelColumns);
    auto fit = [&](int64_t bytes, int64_t rows) { return std::clamp<int64_t>(bytes / (line * rows) / pair * pair, pair, std::max(pair, panels)); };
    group = panels, part = c.in_c;
    few = WinogradTakesFew(way, tiles) && kernels.few && c.transpose;
    if (few) strip = kFewTiles, v_row += kPanelColumns;
    block = fit(kBlockBytes, strip);
    const bool held = line * c.in_c * panels <= kHeldBytes;
    if (!ahead && !few && !held) {
      group = block = std::min(block, fit(kGroupBytes, std::min(c.in_c, kPartMin)));
      const int64_t count = (line * c.in_c * group + kGroupBytes - 1) / kGroupBytes;
      part = std::min(c.in_c, UpTo((c.in_c + count - 1) / count, kPanelColumns));
    }
    m_row = block * kPanelColumns;
    // Positions a power of two apart would crowd one cache set.
    v_position = strip * v_row + (few ? 0 : kPanelColumns);
    u_position = group * part * kPanelColumns + (ahead ? 0 : kPanelColumns);
    m_position = strip * m_row + kPanelColumns;
  }
  static constexpr int64_t kStripMin = 42, kStripMax = 96, kBlockBytes = 256 << 10;
  static constexpr int64_t kHeldBytes = 640 << 10, kGroupBytes = 512 << 10, kPartMin = 256;

  int64_t zero_floats() const { return v_row; }
  /// Of weights that a run transforms, or of V as `few` reads it.
  int64_t u_floats() const { return ahead ? 0 : few ? positions * kFewTiles * part : positions * u_position; }
  int64_t bytes() const { return kHeader + (zero_floats() + positions * (v_position + m_position) + UpTo(u_floats(), kPanelColumns)) * 4; }

  static constexpr int64_t kHeader = 64;
  int64_t tile, side, positions, panels;
  int64_t phases_h, tiles_h, phases_w, tiles_w, tiles;
  int64_t strip;   ///< tiles
  int64_t block;   ///< panels of M at a time
  int64_t group;   ///< panels of U at a time: a block, where not all channels are
  int64_t part;    ///< channels of U at a time
  int64_t v_row, m_row, v_position, u_position, m_position;
  bool ahead;   ///< U is what is packed
  bool few;     ///< or is never written
};

/// What V and U hold.
struct Held {
  int64_t tile0, tile1, panel0, panel1;
};

class Strip {
 public:
  Strip(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, const Layout& layout,
        void* scratch)
      : kernels_(kernels), gemm_(gemm), c_(conv), s_(layout), held_(static_cast<Held*>(scratch)) {
    zeros_ = reinterpret_cast<float*>(static_cast<char*>(scratch) + Layout::kHeader);
    v_ = zeros_ + s_.zero_floats();
    m_ = v_ + s_.positions * s_.v_position;
    u_ = m_ + s_.positions * s_.m_position;
  }

  void Run(int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1) {
    if (held_->tile0 != tile0 || held_->tile1 != tile1) {
      memset(zeros_, 0, static_cast<size_t>(s_.zero_floats()) * 4);
      if (s_.few) memset(v_, 0, static_cast<size_t>(s_.positions * s_.v_position) * 4);
      for (int64_t t = tile0; t < tile1; ++t) TransformInput(t, v_ + (t - tile0) * s_.v_row);
      if (s_.few) ArrangeFew();
      held_->tile0 = tile0, held_->tile1 = tile1;
    }
    for (int64_t first = panel0; first < panel1; first += s_.group) {
      const int64_t last = std::min(panel1, first + s_.group);
      for (int64_t channel = 0; channel < c_.in_c; channel += s_.part) {
        const Piece piece = {first, last, channel, std::min(s_.part, c_.in_c - channel)};
        const int64_t after = channel + s_.part;
        const Piece next = after < c_.in_c ? Piece{first, last, after, std::min(s_.part, c_.in_c - after)} : Piece{last, panel1, 0, s_.part};
        if (!s_.ahead && !s_.few) TransformWeights(piece);
        for (int64_t panel = first; panel < last; panel += s_.block) {
          const int64_t count = std::min(s_.block, last - panel);
          if (s_.few) {
            MultiplyFew(panel, count);
          } else {
            Multiply(tile1 - tile0, piece, panel, count, next);
          }
          if (after < c_.in_c) continue;
          for (int64_t t = tile0; t < tile1; ++t) TransformOutput(t, m_ + (t - tile0) * s_.m_row, panel, count);
        }
      }
    }
  }

 private:
  struct Place {
    int64_t image, y, x;   // of the tile's first output pixel
  };
  // Tiles of all columns of a row of tiles follow one another.
  Place PlaceOf(int64_t t) const {
    const int64_t x = t % s_.tiles_w * s_.tile * c_.dilation_w, left = t / s_.tiles_w;
    const int64_t row = left / s_.phases_w, top = row / s_.tiles_h;
    return {top / s_.phases_h, row % s_.tiles_h * s_.tile * c_.dilation_h + top % s_.phases_h, x + left % s_.phases_w};
  }

  void TransformInput(int64_t t, float* v) const {
    const Place place = PlaceOf(t);
    const float* pixels[kPositionsMax];
    const float** next = pixels;
    for (int64_t i = 0; i < s_.side; ++i) {
      const int64_t y = place.y + i * c_.dilation_h - c_.pad_top;
      const bool inside = y >= 0 && y < c_.in_h;
      const float* row = inside ? c_.input + place.image * c_.input_batch_stride + y * c_.input_row_stride : zeros_;
      for (int64_t j = 0; j < s_.side; ++j) {
        const int64_t x = place.x + j * c_.dilation_w - c_.pad_left;
        *next++ = inside && x >= 0 && x < c_.in_w ? row + x * c_.input_pixel_stride : zeros_;
      }
    }
    kernels_.input[s_.tile / 2 - 1](pixels, c_.in_c, v, s_.v_position);
  }

  /// Channels of panels: what U holds.
  struct Piece {
    int64_t panel0, panel1, channel, channels;
  };
  const float* Packed(int64_t panel, int64_t tap, int64_t channel) const {
    return c_.packed + ((panel * kTaps + tap) * c_.in_c + channel) * kPanelColumns;
  }

  void TransformWeights(const Piece& p) const {
    if (held_->panel0 == p.panel0 && held_->panel1 == p.panel1) return;
    float* to = u_;
    for (int64_t panel = p.panel0; panel < p.panel1; ++panel, to += p.channels * kPanelColumns) {
      kernels_.weights[s_.tile / 2 - 1](Packed(panel, 0, p.channel), c_.in_c * kPanelColumns, p.channels, to, s_.u_position);
    }
    if (p.channels == c_.in_c) held_->panel0 = p.panel0, held_->panel1 = p.panel1;
  }

  /// V as `few` reads it: a row of positions of four tiles beside each other for every channel.
  void ArrangeFew() const {
    const int64_t numbers = s_.side * kFewTiles;
    for (int64_t i = 0; i < s_.side; ++i) {
      c_.transpose(v_ + i * s_.side * s_.v_position, s_.v_row * 4, u_ + i * numbers * c_.in_c, numbers * 4, c_.in_c, numbers);
    }
  }

  void MultiplyFew(int64_t panel, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      const float* packed = Packed(panel + i, 0, 0);
      kernels_.few(packed, c_.in_c, u_, packed + kTaps * c_.in_c * kPanelColumns, m_ + i * kPanelColumns, s_.m_position, s_.m_row);
    }
  }

  void Multiply(int64_t rows, const Piece& p, int64_t panel, int64_t count, const Piece& next) const {
    GemmF32 product;
    product.m = rows;
    product.k = p.channels;
    // The last panel's columns beyond the channels are not needed, but whole vectors of M are read.
    product.n = std::min(count * kPanelColumns, UpTo(c_.out_c - panel * kPanelColumns, 8));
    product.a_row_stride = s_.v_row;
    product.c_row_stride = s_.m_row;
    // Weights that a second-level cache does not keep are asked for ahead: those of the next product, or, where they are to be transformed,
    // some rows of a tap of what comes next.
    constexpr int64_t kCacheFloats = 1 << 18;
    const int64_t panel_floats = p.channels * kPanelColumns;
    const bool far = s_.ahead && s_.positions * s_.panels * panel_floats > kCacheFloats, late = !s_.ahead && next.panel0 < next.panel1;
    const int64_t share = s_.ahead ? 1 : s_.positions / kTaps, rows_of = (next.channels + share - 1) / share;
    product.next_row_bytes = (kPanelColumns * 4 + share - 1) / share;
    product.next_panel_stride = s_.ahead ? panel_floats : kTaps * c_.in_c * kPanelColumns;
    const float* u = s_.ahead ? c_.packed + panel * panel_floats : u_ + (panel - p.panel0) * panel_floats;
    for (int64_t i = 0; i < s_.positions; ++i) {
      product.a = v_ + i * s_.v_position + p.channel;
      product.c = m_ + i * s_.m_position;
      if (p.channel > 0) product.epilogue.residual = product.c, product.epilogue.residual_row_stride = s_.m_row;
      UsePackedB(&product, u + i * s_.u_position);
      product.b_is_near = late || (far && i > 0);
      product.next_b = far && i + 1 < s_.positions ? product.b + s_.u_position : nullptr;
      if (late && i < share * kTaps) product.next_b = Packed(next.panel0, i / share, next.channel + i % share * rows_of);
      gemm_.run(product, 0, rows, 0, count);
    }
  }

  void TransformOutput(int64_t t, const float* m, int64_t panel, int64_t count) const {
    const Place place = PlaceOf(t);
    const int64_t rows = std::min(s_.tile, (c_.out_h - place.y + c_.dilation_h - 1) / c_.dilation_h);
    const int64_t columns = std::min(s_.tile, (c_.out_w - place.x + c_.dilation_w - 1) / c_.dilation_w);
    if (rows <= 0 || columns <= 0) return;   // of a picture that is smaller than the largest
    const int64_t first = panel * kPanelColumns, channels = std::min(count * kPanelColumns, c_.out_c - first);
    const int64_t row = place.image * c_.out_h + place.y, pixel = row * c_.out_w + place.x;
    const int64_t row_stride = c_.output_row_stride ? c_.output_row_stride : c_.out_w * c_.output_pixel_stride;
    Epilogue epilogue = c_.epilogue;
    if (epilogue.bias) epilogue.bias += first;
    if (epilogue.residual) epilogue.residual += pixel * epilogue.residual_row_stride + first;
    const int64_t residual_line_stride = c_.dilation_h * c_.out_w * epilogue.residual_row_stride;
    epilogue.residual_row_stride *= c_.dilation_w;
    kernels_.output[s_.tile / 2 - 1](m, s_.m_position, channels, rows, columns, epilogue, residual_line_stride,
                                     c_.output + row * row_stride + place.x * c_.output_pixel_stride + first,
                                     c_.dilation_h * row_stride, c_.dilation_w * c_.output_pixel_stride);
  }

  const WinogradF32Kernels& kernels_;
  const GemmF32Kernels& gemm_;
  const ConvF32& c_;
  const Layout& s_;
  Held* held_;
  float *zeros_, *v_, *u_, *m_;
};

}  // namespace

int64_t WinogradScratchBytes(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, WinogradWay way) {
  return Layout(kernels, gemm, conv, way).bytes();
}

void StartWinogradF32(void* scratch) {
  *static_cast<Held*>(scratch) = {};
}

void RunWinogradF32(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, WinogradWay way,
                    int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1, void* scratch) {
  const Layout layout(kernels, gemm, conv, way);
  Strip strip(kernels, gemm, conv, layout, scratch);
  for (int64_t t = tile0; t < tile1; t += layout.strip) {
    strip.Run(t, std::min(tile1, t + layout.strip), panel0, panel1);
  }
}

GemmGrain WinogradGrainF32(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, WinogradWay way, int threads) {
  const Layout layout(kernels, gemm, conv, way);
  GemmGrain grain = {layout.strip, layout.panels};
  const int64_t strips = (layout.tiles + layout.strip - 1) / layout.strip;
  // Few strips are cut by panels too, though threads that share a strip transform its input each; and long ones, so that
  // a run can be stopped.
  constexpr double kLong = 1 << 26;
  int64_t parts = threads > 1 && strips < 3 * threads ? (4 * threads + strips - 1) / strips : 1;
  const double work = static_cast<double>(layout.positions * layout.strip) * static_cast<double>(conv.in_c * conv.out_c);
  parts = std::max(parts, static_cast<int64_t>(std::min(work / kLong, static_cast<double>(layout.panels))));
  if (parts > 1) {
    const int64_t pair = std::max<int64_t>(2, gemm.columns / kPanelColumns);
    grain.panels = std::min(layout.panels, UpTo((layout.panels + parts - 1) / parts, pair));
  }
  return grain;
}

}  // namespace linnet
