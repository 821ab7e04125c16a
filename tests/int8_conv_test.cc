// 8-bit convolutions at every instruction set against exact sums, with unreadable memory behind each array.
#include "kernels/int8/int8_conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "guarded.h"
#include "int8_test_util.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_narrow.h"

namespace linnet {
namespace {

using To = FinishInt8::To;

struct Case {
  int64_t in_h, in_w, in_c, out_c, groups = 1;
  int64_t kernel_h = 3, kernel_w = 3, stride = 1, dilation = 1, pad = 1;
  bool x_signed = false, w_signed = true;
  To to = To::kUint8;
  int zero = 117;
  bool column_zeros = false;
  int64_t batch = 2;
  bool from_zero = false;   ///< unsigned bytes of all values without a zero point
  int32_t bias = 0;         ///< added to every one
  Activated activated;      ///< kActivated
  bool to_signed = false;
  const NarrowInt8Kernels* narrow = nullptr;   ///< whatever it costs
};

class Convolution {
 public:
  explicit Convolution(const Case& t) : t_(t) {
    auto out = [&](int64_t in, int64_t kernel) { return (in + 2 * t.pad - (kernel - 1) * t.dilation - 1) / t.stride + 1; };
    out_h_ = out(t.in_h, t.kernel_h), out_w_ = out(t.in_w, t.kernel_w);
    Bytes bytes(static_cast<uint64_t>(t.in_h * 1000 + t.in_c * 10 + t.out_c));
    x_.resize(static_cast<size_t>(t.batch * t.in_h * t.in_w * t.in_c));
    w_.resize(static_cast<size_t>(t.out_c * (t.in_c / t.groups) * t.kernel_h * t.kernel_w));
    for (uint8_t& v : x_) v = bytes.Next();
    for (uint8_t& v : w_) v = bytes.Next();
    for (int64_t j = 0; j < t.out_c; ++j) {
      bias_.push_back(bytes.Next() * 50 - 5000 + t.bias);
      scale_.push_back(static_cast<float>(bytes.Next() + 1) * (t.bias ? 1e-8f : 3e-5f));
      zeros_.push_back(t.column_zeros ? static_cast<int8_t>(bytes.Next()) : 0);
    }
  }

  /// The channel of an output pixel, exact.
  int32_t Sum(int64_t pixel, int64_t channel) const {
    const int64_t group_in = t_.in_c / t_.groups, group = channel / (t_.out_c / t_.groups);
    const int64_t image = pixel / (out_h_ * out_w_), y = pixel / out_w_ % out_h_, x = pixel % out_w_;
    int64_t sum = bias_[static_cast<size_t>(channel)];
    for (int64_t i = 0; i < t_.kernel_h; ++i) {
      for (int64_t j = 0; j < t_.kernel_w; ++j) {
        const int64_t in_y = y * t_.stride - t_.pad + i * t_.dilation, in_x = x * t_.stride - t_.pad + j * t_.dilation;
        if (in_y < 0 || in_y >= t_.in_h || in_x < 0 || in_x >= t_.in_w) continue;
        for (int64_t c = 0; c < group_in; ++c) {
          const uint8_t a = x_[static_cast<size_t>(((image * t_.in_h + in_y) * t_.in_w + in_x) * t_.in_c + group * group_in + c)];
          const uint8_t b = w_[static_cast<size_t>(((channel * group_in + c) * t_.kernel_h + i) * t_.kernel_w + j)];
          const int64_t left = (t_.x_signed ? static_cast<int8_t>(a) : a) - t_.zero;
          sum += left * ((t_.w_signed ? static_cast<int8_t>(b) : b - 128) - zeros_[static_cast<size_t>(channel)]);
        }
      }
    }
    return static_cast<int32_t>(sum);
  }

  template <class T>
  void Check(CpuLevel level, bool split) {
    Check<T>(level, PickInt8(level), split);
    // What bytes have been added to in another way.
    if (t_.narrow && Supports(level, CpuLevel::kAvx512)) return Check<T>(level, EmulatedInt8(CpuLevel::kAmx), split);
    if (t_.narrow) return;
    if (testing::Test::HasFatalFailure()) return;
    Check<T>(level, EmulatedInt8(level), split);
    if (level == CpuLevel::kAvx512 && !testing::Test::HasFatalFailure()) Check<T>(level, EmulatedInt8(CpuLevel::kAmx), split);
  }

  template <class T>
  void Check(CpuLevel level, const Int8Kernels& kernels, bool split) {
    const int64_t pixels = t_.batch * out_h_ * out_w_;
    Guarded<uint8_t> x(x_);
    Guarded<T> y(pixels * t_.out_c, T(3));
    const bool depthwise = t_.groups == t_.in_c && t_.out_c == t_.in_c;
    const int64_t columns = depthwise ? RoundUpTo(t_.out_c, 16) : ConvColumns(t_.out_c, t_.groups);
    Guarded<int32_t> zeros(columns), offset(columns);
    Guarded<float> scale(columns), float_bias(columns);
    const std::vector<uint8_t> bytes = TableOfBytes();
    const Guarded<uint8_t> table(bytes);
    const int64_t group_out = depthwise ? t_.out_c : t_.out_c / t_.groups, group_columns = RoundUpTo(group_out, 16);
    for (int64_t j = 0; j < t_.out_c; ++j) {
      const int64_t at = j / group_out * group_columns + j % group_out;
      zeros[at] = zeros_[static_cast<size_t>(j)];
      scale[at] = scale_[static_cast<size_t>(j)];
      float_bias[at] = FloatBias(j);
      if (depthwise) offset[at] = bias_[static_cast<size_t>(j)];
    }
    FinishInt8 finish;
    finish.to = t_.to;
    finish.offset = offset.data();
    finish.scale = scale.data();
    if (t_.column_zeros) finish.column_zero = zeros.data();
    finish.zero = std::is_signed_v<T> ? -1 : 128;
    if (sizeof(T) == 1) finish.low = std::is_signed_v<T> ? -127 : -128, finish.high = std::is_signed_v<T> ? 128 : 127;
    if (t_.from_zero) finish.zero = 0, finish.low = 0, finish.high = 255;
    if (t_.to == To::kActivated) {
      finish.epilogue.bias = float_bias.data(), finish.epilogue.activation = t_.activated.activation, finish.epilogue.alpha = t_.activated.alpha;
      finish.to_signed = t_.to_signed;
      if (t_.to_signed) finish.zero = -1, finish.low = -127, finish.high = 128;
      if (t_.activated.table) finish.table = table.data(), finish.high = static_cast<float>(table.size() - 1);
    }
    finish.c = y.data();
    finish.c_row_stride = t_.out_c;
    if (depthwise && t_.narrow) {
      RunLine(kernels, x, finish, split);
    } else if (depthwise) {
      RunDepthwise(level, level == CpuLevel::kAvx512 && &kernels == &EmulatedInt8(CpuLevel::kAmx), x, finish, split);
    } else {
      const int64_t taps = t_.kernel_h * t_.kernel_w;
      Guarded<std::byte> packed(PackedConvSizeInt8(t_.out_c, t_.in_c, t_.groups, taps));
      Guarded<std::byte> temporary(t_.out_c * t_.in_c / t_.groups / t_.groups * taps);
      PackConvInt8(w_.data(), t_.w_signed, t_.out_c, t_.in_c, t_.groups, taps, temporary.data(), packed.data());
      ConvInt8 c;
      Fill(&c, x);
      c.in_c = t_.in_c, c.out_c = t_.out_c, c.groups = t_.groups, c.narrow = t_.narrow;
      c.packed = packed.data();
      c.input_zero = static_cast<uint8_t>(t_.zero);
      ConvOffsetsInt8(kernels, c, t_.zero, t_.column_zeros ? zeros.data() : nullptr, bias_.data(), offset.data());
      c.finish = finish;
      Guarded<std::byte> scratch(ConvScratchBytes(kernels, c));
      const int64_t step = split ? 7 : pixels, panel_step = split ? 1 : ConvPanels(c);
      for (int64_t p = 0; p < pixels; p += step) {
        for (int64_t n = 0; n < ConvPanels(c); n += panel_step) {
          RunConvInt8(kernels, c, p, std::min(pixels, p + step), n, std::min(ConvPanels(c), n + panel_step), scratch.data());
        }
      }
    }
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t j = 0; j < t_.out_c; ++j) {
        ASSERT_EQ(y[p * t_.out_c + j], (Expected<T>(finish, p, j))) << "pixel " << p << " channel " << j;
      }
    }
    ASSERT_TRUE(y.Intact());
  }

  template <class T>
  T Expected(const FinishInt8& finish, int64_t pixel, int64_t channel) const {
    const int32_t sum = Sum(pixel, channel);
    const float value = static_cast<float>(sum) * scale_[static_cast<size_t>(channel)];
    if (std::is_same_v<T, int32_t>) return static_cast<T>(sum);
    if (std::is_same_v<T, float>) return static_cast<T>(value);
    if (t_.to == To::kActivated) return static_cast<T>(ActivatedByteOf(finish, sum, scale_[static_cast<size_t>(channel)], FloatBias(channel)));
    return static_cast<T>(std::nearbyint(std::min(std::max(value, finish.low), finish.high)) + static_cast<float>(finish.zero));
  }

  static float FloatBias(int64_t channel) { return static_cast<float>(channel % 11) * 7.3f - 20; }

  template <class C>
  void Fill(C* c, const Guarded<uint8_t>& x) const {
    c->input = x.data(), c->input_signed = t_.x_signed;
    c->batch = t_.batch, c->in_h = t_.in_h, c->in_w = t_.in_w, c->out_h = out_h_, c->out_w = out_w_;
    c->kernel_h = t_.kernel_h, c->kernel_w = t_.kernel_w, c->stride_h = c->stride_w = t_.stride;
    c->dilation_h = c->dilation_w = t_.dilation, c->pad_top = c->pad_left = t_.pad;
  }

  void RunDepthwise(CpuLevel level, bool emulated, const Guarded<uint8_t>& x, const FinishInt8& finish, bool split) const {
    const int64_t taps = t_.kernel_h * t_.kernel_w;
    Guarded<int16_t> packed(PackedDepthwiseSizeInt8(t_.out_c, taps));
    std::vector<int32_t> zeros = zeros_;
    for (int32_t& zero : zeros) zero += t_.w_signed ? 0 : 128;
    PackDepthwiseInt8(w_.data(), t_.w_signed, zeros.data(), t_.out_c, taps, packed.data());
    DepthwiseInt8 c;
    Fill(&c, x);
    c.channels = t_.out_c, c.input_zero = t_.zero, c.packed = packed.data(), c.finish = finish;
    Guarded<std::byte> scratch(DepthwiseScratchBytes(c));
    const int64_t rows = t_.batch * out_h_, step = split ? 2 : rows;
    const DepthwiseInt8Kernels& kernels = emulated ? EmulatedDepthwiseInt8() : PickDepthwiseInt8(level, t_.to == To::kActivated);
    Guarded<std::byte> prepared(kernels.prepared_bytes(c));
    kernels.prepare(c, prepared.data());
    for (int64_t r = 0; r < rows; r += step) kernels.rows(c, prepared.data(), r, std::min(rows, r + step), scratch.data());
    ASSERT_TRUE(prepared.Intact());
  }

  /// From one channel to one, with the weights and offsets of depthwise kernels.
  void RunLine(const Int8Kernels& kernels, const Guarded<uint8_t>& x, const FinishInt8& finish, bool split) const {
    const int64_t taps = t_.kernel_h * t_.kernel_w, pixels = t_.batch * out_h_ * out_w_, step = split ? 7 : pixels;
    const int32_t zero = zeros_[0] + (t_.w_signed ? 0 : 128);
    Guarded<int16_t> packed(PackedDepthwiseSizeInt8(1, taps));
    PackDepthwiseInt8(w_.data(), t_.w_signed, &zero, 1, taps, packed.data());
    ConvInt8 c;
    Fill(&c, x);
    c.input_zero = static_cast<uint8_t>(t_.zero), c.narrow = t_.narrow, c.line = packed.data(), c.finish = finish;
    c.finish.column_zero = nullptr;
    Guarded<std::byte> scratch(NarrowScratchBytesInt8(c));
    for (int64_t p = 0; p < pixels; p += step) RunConvInt8(kernels, c, p, std::min(pixels, p + step), 0, 1, scratch.data());
  }

  static int64_t RoundUpTo(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

 private:
  Case t_;
  int64_t out_h_, out_w_;
  std::vector<uint8_t> x_, w_;
  std::vector<int32_t> bias_, zeros_;
  std::vector<float> scale_;
};

/// `level`: of all there are, this alone.
void CheckKind(const Case& t, std::optional<CpuLevel> only = std::nullopt) {
  Convolution convolution(t);
  for (CpuLevel level : only ? std::vector<CpuLevel>{*only} : IntegerLevels()) {
    for (bool split : {false, true}) {
      SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " " << t.in_h << "x" << t.in_w << "x" << t.in_c << " to " << t.out_c
                                      << " groups " << t.groups << " kernel " << t.kernel_h << "x" << t.kernel_w << " stride "
                                      << t.stride << " dilation " << t.dilation << " pad " << t.pad << " split " << split);
      switch (t.to) {
        case To::kInt32: convolution.Check<int32_t>(level, split); break;
        case To::kFloat: convolution.Check<float>(level, split); break;
        case To::kInt8: convolution.Check<int8_t>(level, split); break;
        case To::kUint8:
        case To::kActivated: convolution.Check<uint8_t>(level, split); break;
      }
    }
  }
}

void Check(const Case& t) {
  CheckKind(t);
  // Lanes that are pixels, where a panel would be nearly empty. Weights of one channel are less their zero points.
  const bool line = t.in_c == 1 && t.out_c == 1;
  if (!kNarrow || t.groups != 1 || t.in_c == 0 || t.out_c > kNarrowOutputs || (t.column_zeros && !line)) return;
  for (CpuLevel level : IntegerLevels()) {
    for (bool wide : {false, true}) {
      Case narrow = t;
      narrow.narrow = PickNarrowInt8(level, wide);
      if (wide ? narrow.narrow != PickNarrowInt8(level) || (line && t.column_zeros) : !(line && t.column_zeros)) CheckKind(narrow, level);
    }
  }
}

TEST(ConvInt8, Shapes) {
  Check({9, 7, 16, 24, 1, 1, 1, 1, 1, 0});        // pointwise
  Check({9, 7, 18, 24, 1, 1, 1, 1, 1, 0});
  Check({9, 8, 16, 24, 1, 1, 1, 2, 1, 0});
  for (int64_t in_c : {1, 3, 4, 5, 16}) {
    for (int64_t stride : {1, 2}) {
      for (int64_t pad : {0, 1, 3}) Check({11, 13, in_c, 17, 1, 3, 3, stride, 1, pad});
    }
  }
  Check({23, 21, 3, 20, 1, 7, 7, 2, 1, 3});
  for (int64_t in_c : {3, 16}) {
    for (int64_t out_c : {8, 24, 40}) {   // bytes beyond a row
      Case t{9, 7, in_c, out_c, 1, in_c == 3 ? 3 : 1, in_c == 3 ? 3 : 1, 1, 1, in_c == 3};
      Check(t);
      t.from_zero = true;
      Check(t);
    }
  }
  Check({12, 10, 6, 9, 1, 3, 5, 1, 2, 2});
  Check({1, 30, 5, 9, 1, 1, 3, 1, 1, 0});
}

TEST(ConvInt8, FewOutputs) {
  for (int64_t out_c : {1, 2, 3, 6, 8, 12, 15, 16}) {
    for (int64_t in_c : {1, 2, 3, 6, 17}) {
      for (int64_t stride : {1, 2, 3}) {
        Case t{6, 21, in_c, out_c, 1, 3, 3, stride, 1, 1};
        Check(t);
        t.to = To::kFloat, t.x_signed = true, t.zero = -9, t.dilation = 2, t.pad = 2, t.in_w = 37;
        Check(t);
        t.to = To::kInt32, t.w_signed = false, t.kernel_h = 1, t.kernel_w = 7, t.dilation = 1, t.pad = 3, t.in_h = 3;
        Check(t);
      }
      Case point{5, 30, in_c, out_c, 1, 1, 1, 1, 1, 0};
      point.to = To::kInt8;
      Check(point);
    }
    for (const Activated& activated : AllActivated()) {
      Case t{5, 70, 5, out_c, 1, 3, 5, 1, 1, 2};
      t.to = To::kActivated, t.activated = activated, t.to_signed = out_c % 2 == 0;
      Check(t);
    }
  }
}

// One channel: filters of a signal, whose pieces are some of a row, and small kernels of pictures.
TEST(ConvInt8, OneChannel) {
  for (int64_t stride : {1, 2, 3, 4}) {
    for (bool column_zeros : {false, true}) {
      for (bool x_signed : {false, true}) {
        Case t{1, 700, 1, 1, 1, 1, 61, stride, 1, 0};
        t.x_signed = x_signed, t.zero = x_signed ? -5 : 131, t.column_zeros = column_zeros, t.batch = 1, t.to = To::kFloat;
        Check(t);
        t.in_h = 9, t.in_w = 40, t.kernel_h = t.kernel_w = 3, t.pad = 1, t.batch = 2, t.to = To::kUint8;
        Check(t);
        t.kernel_h = 5, t.kernel_w = 8, t.dilation = 2, t.pad = 9, t.w_signed = false, t.to = To::kInt32;
        Check(t);
      }
    }
  }
  Case wide{4, 900, 24, 2};   // more than a piece has
  wide.batch = 1;
  Check(wide);
}

// What tiles read in place: taps in several steps, planes of strides, strips of large images.
TEST(ConvInt8, Strips) {
  for (int64_t in_c : {8, 64, 96, 100, 160, 260}) {
    for (int64_t stride : {1, 2, 3}) Check({7, 9, in_c, 19, 1, 3, 3, stride, 1, 1});
  }
  for (int64_t in_w : {4, 5, 8, 13, 14, 28, 40}) Check({5, in_w, 32, 20, 1, 3, 3, 1, 1, 1});   // tiles that end with a line
  Check({9, 9, 32, 16, 1, 3, 3, 1, 2, 2});
  Check({9, 9, 32, 16, 1, 3, 3, 2, 3, 2});
  Check({9, 9, 32, 16, 1, 2, 2, 4, 1, 0});
  Check({9, 9, 32, 16, 1, 1, 1, 2, 1, 0});
  Check({5, 6, 32, 40, 1, 5, 5, 1, 1, 4});       // more padding than image
  Case wide{20, 150, 132, 20};                   // more rows than a strip has
  wide.kernel_h = wide.kernel_w = 3, wide.batch = 1, wide.x_signed = true, wide.zero = -128;
  Check(wide);
}

TEST(ConvInt8, ShortKernelsAtEdges) {
  for (int64_t in_c : {0, 1, 2, 3, 5}) {
    for (int64_t kernel_w : {2, 4, 8, 11}) {
      for (int64_t kernel_h : {1, 3, 8, 12}) {
        for (int64_t stride : {1, 2, 3}) {
          for (int64_t in_w : {1, 5, 23}) {
            Case t{7, in_w, in_c, 9, 1, kernel_h, kernel_w, stride, 1, std::min<int64_t>(kernel_w, 7) / 2 + (in_w == 1 ? kernel_w : 0)};
            if (kernel_h > 7 + 2 * t.pad || kernel_w > in_w + 2 * t.pad) continue;
            Check(t);
            t.x_signed = true, t.zero = -9;
            Check(t);
          }
        }
      }
    }
  }
}

TEST(ConvInt8, TypesAndZeroPoints) {
  for (To to : {To::kInt32, To::kFloat, To::kInt8, To::kUint8}) {
    for (bool x_signed : {false, true}) {
      for (bool w_signed : {false, true}) {
        Case t{6, 6, 5, 19};
        t.to = to, t.x_signed = x_signed, t.w_signed = w_signed, t.zero = x_signed ? -128 : 255, t.column_zeros = w_signed;
        Check(t);
        t.in_c = t.out_c = t.groups = 19, t.column_zeros = true;
        Check(t);
      }
    }
  }
}

TEST(ConvInt8, ActivatedBytes) {
  for (const Activated& activated : AllActivated()) {
    for (bool to_signed : {false, true}) {
      for (bool column_zeros : {false, true}) {
        Case t{9, 11, 12, 40};
        t.to = To::kActivated, t.activated = activated, t.to_signed = to_signed, t.column_zeros = column_zeros;
        Check(t);                                                             // pixels in strips
        t.kernel_h = t.kernel_w = 1, t.pad = 0, t.in_c = 36, t.out_c = 23;
        Check(t);
        t.groups = 2, t.out_c = 38;
        Check(t);
        for (int64_t channels : {7, 8, 13, 24, 44}) {                        // depthwise
          for (int64_t kernel : {3, 5, 7, 1, 2}) {
            for (int64_t stride : {1, 2}) {
              Case d{8, 9, channels, channels, channels, kernel, kernel, stride, 1, kernel / 2};
              d.to = To::kActivated, d.activated = activated, d.to_signed = to_signed, d.column_zeros = column_zeros, d.x_signed = to_signed;
              if (to_signed) d.zero = 3;
              Check(d);
            }
          }
        }
      }
    }
  }
}

TEST(ConvInt8, Groups) {
  for (int64_t groups : {2, 3}) {
    Case t{7, 6, 6 * groups, 5 * groups, groups};
    t.column_zeros = true;
    Check(t);
    t.dilation = 2, t.pad = 2, t.stride = 2;
    Check(t);
    t.out_c = 20 * groups, t.kernel_h = t.kernel_w = 1, t.pad = 0;
    Check(t);
  }
  Check({7, 6, 4, 12, 4});   // three outputs to an input channel
  // Channels of a group in fours: their taps are read in place.
  for (int64_t group_in : {4, 8, 12, 40}) {
    for (int64_t group_out : {3, 8, 16, 20}) {
      Case t{9, 11, 3 * group_in, 3 * group_out, 3};
      Check(t);
      t.stride = 2, t.x_signed = true, t.zero = -7, t.to = To::kFloat;
      Check(t);
      t.dilation = 2, t.pad = 2, t.stride = 1;
      Check(t);
      t.kernel_h = 1, t.kernel_w = 4, t.stride = 2, t.w_signed = false, t.to = To::kInt32;
      Check(t);
      t.kernel_w = 1, t.stride = 1, t.dilation = 1, t.pad = 0;
      Check(t);
    }
  }
  Case wide{20, 150, 132, 33, 11};   // more rows than a strip has
  wide.batch = 1;
  Check(wide);
}

TEST(ConvInt8, Depthwise) {
  for (int64_t channels : {1, 7, 8, 9, 16, 33, 100}) {
    for (int64_t kernel : {1, 3, 5, 7}) {
      for (int64_t stride : {1, 2}) {
        Case t{8, 9, channels, channels, channels, kernel, kernel, stride, 1, kernel / 2};
        Check(t);
        t.x_signed = true, t.zero = -5, t.to = To::kInt8, t.column_zeros = true;
        Check(t);
      }
    }
  }
  Check({8, 9, 40, 40, 40, 1, 1, 1, 1, 1});   // padding around kernels of 1x1
  for (int64_t channels : {4, 12, 24, 32, 64, 96, 144}) {
    for (int64_t stride : {1, 2}) {
      Case t{7, 11, channels, channels, channels, 3, 3, stride};
      Check(t);
      t.from_zero = true;
      Check(t);
      t.in_h = 1;
      Check(t);
      t.in_h = 6, t.in_w = 2;
      Check(t);
      t.x_signed = true, t.zero = -128, t.to = To::kInt8, t.from_zero = false;
      Check(t);
    }
  }
  // Every width of the image and of its padding; lines of the output in several parts; more channels than a line of the cache holds.
  for (int64_t in_w : {1, 2, 3, 4, 5, 6, 41, 82}) {
    for (int64_t pad : {0, 1, 2, 3}) {
      if (in_w + 2 * pad < 3) continue;
      for (int64_t stride : {1, 2, 3}) Check({4, in_w, 72, 72, 72, 3, 3, stride, 1, pad});
    }
  }
  // Sums that float32 cannot hold on the way.
  for (int32_t bias : {(1 << 24) - 100000, (1 << 24) + 1, -(1 << 24), 1 << 30, -(1 << 30), INT32_MIN + 6000}) {
    Case t{5, 6, 8, 8, 8};
    t.bias = bias;
    Check(t);
    t.in_c = t.out_c = t.groups = 36, t.kernel_h = t.kernel_w = 1, t.pad = 0;
    Check(t);
  }
  Check({9, 9, 12, 12, 12, 3, 3, 1, 2, 3});
  Check({30, 200, 24, 24, 24, 3, 3, 2, 1, 1});   // more channels than the ring holds at a time
  Check({5, 5, 12, 12, 12, 2, 4, 1, 1, 4});
  Check({5, 5, 70, 70, 70, 2, 2, 1, 800000, 400000});   // taps too far apart for a ring
}

}  // namespace
}  // namespace linnet
