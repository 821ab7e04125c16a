// 8-bit convolutions at every instruction set against exact sums, with unreadable memory behind each array: what their tests share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "guarded.h"
#include "int8_test_util.h"
#include "kernels/int8/int8_conv.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_narrow.h"

namespace linnet::int8_conv_test {

using To = FinishInt8::To;

struct Case {
  int64_t in_h, in_w, in_c, out_c, groups = 1;
  int64_t kernel_h = 3, kernel_w = 3, stride = 1, dilation = 1, pad = 1;
  bool x_signed = false, w_signed = true;
  To to = To::kUint8;
  int zero = 117;
  bool column_zeros = false;
  int64_t batch = 2;
  bool from_zero = false;   ///< bytes of all values, none of whose numbers is negative,
  float low = 0, high = 255;   ///< or of these
  float unit = 0;           ///< of the scales; 0: such that bytes differ
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
      scale_.push_back(static_cast<float>(bytes.Next() + 1) * (t.unit > 0 ? t.unit : t.bias ? 1e-8f : 3e-5f));
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
    if (t_.from_zero) finish.zero = std::is_signed_v<T> ? -128 : 0, finish.low = t_.low, finish.high = t_.high;
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
    const DepthwiseInt8Kernels& kernels = emulated ? EmulatedDepthwiseInt8() : PickDepthwiseInt8(level, t_.to);
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
inline void CheckKind(const Case& t, std::optional<CpuLevel> only = std::nullopt) {
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

inline void Check(const Case& t) {
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

}  // namespace linnet::int8_conv_test
