// 8-bit depthwise convolution with kernels of 3x3, 5x5 and 7x7 on AVX2: products of floats, which are exact here.
//
// A byte becomes a float by two instructions, and then takes one for each tap, where pairs of 16-bit numbers take two and must
// be interleaved first. The products of 49 taps or fewer, and what the sum begins with, stay below 2^24: float32 holds every sum on the way.
//
// Eight channels go along a row of the output, their weights in registers. Each column of three pixels is read once:
//
//     stride 1    column x       first taps of output x, second of x - 1, last of x - 2
//     stride 2    column 2 x     first taps of output x, last of x - 1
//                 column 2 x + 1 second taps of output x
//
// With 5x5 and 7x7 a column of pixels is added to all outputs that it belongs to, so many or half of them.
//
// Where channels are no multiple of eight, the last eight are those before the end, some of them a second time.
//
// Bytes keep their zero point, whose part of the sums is taken off at the beginning; padding is pixels of the zero point.
#include <string.h>

#include <algorithm>
#include <new>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_depthwise_floats.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__) && !defined(LINNET_SMALL)

#if HWY_TARGET == HWY_AVX2

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int kTapsOf3 = 9, kEight = 8;

// Of eight channels.
template <int kTaps>
struct alignas(32) EightChannels {
  float weights[kTaps][kEight];   // row by row
  float offset[kEight];           // what sums begin with
  float scale[kEight];
};
struct alignas(64) FloatsHead {
  bool fits = false;   // sums are exact
};

bool ServesFloats(const DepthwiseInt8& c) {
  return c.kernel_h == c.kernel_w && (c.kernel_h == 3 || c.kernel_h == 5 || c.kernel_h == 7) && c.dilation_h == 1 && c.dilation_w == 1 && c.stride_w <= 2 &&
         c.channels >= kEight;
}
int64_t BlocksOf(const DepthwiseInt8& c) { return DivUp(c.channels, int64_t{kEight}); }
int64_t ChannelOf(const DepthwiseInt8& c, int64_t block) { return std::min(block * kEight, c.channels - kEight); }

// f of the side of the kernel, a constant.
template <class F>
auto ForSide(const DepthwiseInt8& c, F f) {
  switch (c.kernel_h) {
    case 3: return f.template operator()<3>();
    case 5: return f.template operator()<5>();
    default: return f.template operator()<7>();
  }
}

int64_t FloatsBytes(const DepthwiseInt8& c) {
  if (!ServesFloats(c)) return 0;
  const int64_t block = ForSide(c, []<int kSide>() { return static_cast<int64_t>(sizeof(EightChannels<kSide * kSide>)); });
  return RoundUp(static_cast<int64_t>(sizeof(FloatsHead)) + BlocksOf(c) * block, int64_t{64});
}

template <int kTaps>
void PrepareBlocks(const DepthwiseInt8& c, void* prepared) {
  auto load = [](const void* p) HWY_ATTR { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); };
  const __m256i exact = _mm256_set1_epi32(1 << 24), least = _mm256_set1_epi32(-(1 << 24)), most_of_byte = _mm256_set1_epi32(255);
  const __m256i input_zero = _mm256_set1_epi32(c.input_zero);
  FloatsHead* head = new (prepared) FloatsHead;
  EightChannels<kTaps>* block = reinterpret_cast<EightChannels<kTaps>*>(head + 1);
  __m256i fits = _mm256_set1_epi32(c.finish.scale ? -1 : 0);
  for (int64_t b = 0; b < BlocksOf(c); ++b, ++block) {
    const int64_t channel = ChannelOf(c, b);
    __m256i sum = _mm256_setzero_si256(), magnitude = sum;
    for (int t = 0; t < kTaps; ++t) {
      const __m256i both = load(c.packed + (t / 2 * RoundUp(c.channels, int64_t{kEight}) + channel) * 2);   // of this tap and its neighbour
      const __m256i w = _mm256_srai_epi32(t % 2 ? both : _mm256_slli_epi32(both, 16), 16);
      _mm256_store_ps(block->weights[t], _mm256_cvtepi32_ps(w));
      sum = _mm256_add_epi32(sum, w);
      magnitude = _mm256_add_epi32(magnitude, _mm256_abs_epi32(w));
    }
    // A first sum of 2^24 and more, which might overflow below, does not fit as it is.
    const __m256i first = c.finish.offset ? load(c.finish.offset + channel) : _mm256_setzero_si256();
    const __m256i offset = _mm256_sub_epi32(first, _mm256_mullo_epi32(sum, input_zero));
    const __m256i reach = _mm256_add_epi32(_mm256_abs_epi32(offset), _mm256_mullo_epi32(magnitude, most_of_byte));
    fits = _mm256_and_si256(fits, _mm256_and_si256(_mm256_cmpgt_epi32(exact, first), _mm256_cmpgt_epi32(first, least)));
    fits = _mm256_and_si256(fits, _mm256_cmpgt_epi32(exact, reach));
    _mm256_store_ps(block->offset, _mm256_cvtepi32_ps(offset));
    if (c.finish.scale) _mm256_store_ps(block->scale, _mm256_loadu_ps(c.finish.scale + channel));
  }
  head->fits = _mm256_movemask_epi8(fits) == -1;
}

void PrepareFloats(const DepthwiseInt8& c, void* prepared) {
  if (!ServesFloats(c)) return;
  ForSide(c, [&]<int kSide>() { PrepareBlocks<kSide * kSide>(c, prepared); });
}

// Rows of the image at one place: pixels are a step apart, 0 where the row is padding.
template <int kRows>
struct Rows {
  const uint8_t* at[kRows];
  int64_t step[kRows];
};
using ThreeRows = Rows<3>;

template <bool kSigned>
HWY_INLINE __m256 EightFloats(const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(kSigned ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
}

// Outputs of one row and eight channels.
template <bool kSigned, class To, int kTaps>
class FloatRow {
  using D8 = hn::FixedTag<float, kEight>;

 public:
  FloatRow(const DepthwiseInt8& c, const EightChannels<kTaps>* blocks, int64_t b)
      : block_(blocks[b]), rounding_(kActivated ? c.finish.to_signed : std::is_signed_v<To>, c.finish.low, c.finish.high, c.finish.zero),
        bias_(kActivated ? c.finish.epilogue.bias + ChannelOf(c, b) : nullptr), table_(c.finish.table), find_(c.finish.high), bend_(c.finish),
        stride_(c.finish.c_row_stride), outside_(_mm256_set1_ps(static_cast<float>(c.input_zero))) {}

  // `count` (at least 1) outputs from `to` on. Of their columns, from `rows` on, the first `left` and the last `right` (at most 1 each)
  // are padding; what `rows` are at is the first that is not.
  template <int kStride>
  HWY_INLINE void Run(const ThreeRows& rows, int64_t count, bool left, bool right, To* to) const {
    __m256 w[kTaps];
    LINNET_UNROLL
    for (int t = 0; t < kTaps; ++t) w[t] = _mm256_load_ps(block_.weights[t]);
    const uint8_t *p0 = rows.at[0], *p1 = rows.at[1], *p2 = rows.at[2];
    const int64_t step0 = rows.step[0], step1 = rows.step[1], step2 = rows.step[2];
    auto column = [&](__m256& x0, __m256& x1, __m256& x2) HWY_ATTR {
      x0 = EightFloats<kSigned>(p0), x1 = EightFloats<kSigned>(p1), x2 = EightFloats<kSigned>(p2);
      p0 += step0, p1 += step1, p2 += step2;
    };
    auto plus = [&](__m256 sum, __m256 x0, __m256 x1, __m256 x2, int tap) HWY_ATTR {
      return _mm256_fmadd_ps(x2, w[6 + tap], _mm256_fmadd_ps(x1, w[3 + tap], _mm256_fmadd_ps(x0, w[tap], sum)));
    };
    const __m256* const offset = reinterpret_cast<const __m256*>(block_.offset);
    // Of the next output, and the one after it: what has been added so far.
    __m256 x0, x1, x2, a, b;
    if (left) {
      x0 = x1 = x2 = outside_;
    } else {
      column(x0, x1, x2);
    }
    a = plus(*offset, x0, x1, x2, 0);
    if constexpr (kStride == 1) {
      column(x0, x1, x2);
      a = plus(a, x0, x1, x2, 1);
      b = plus(*offset, x0, x1, x2, 0);
    }
    const int64_t whole = count - right;   // whose columns are all read
    for (int64_t n = whole >> 1; n > 0; --n, to += 2 * stride_) {
      __m256 c, d;
      column(x0, x1, x2);
      if constexpr (kStride == 1) {
        a = plus(a, x0, x1, x2, 2);
        b = plus(b, x0, x1, x2, 1);
        c = plus(*offset, x0, x1, x2, 0);
        column(x0, x1, x2);
        b = plus(b, x0, x1, x2, 2);
        Two(a, b, to);
        a = plus(c, x0, x1, x2, 1);
        b = plus(*offset, x0, x1, x2, 0);
      } else {
        a = plus(a, x0, x1, x2, 1);
        column(x0, x1, x2);
        a = plus(a, x0, x1, x2, 2);
        c = plus(*offset, x0, x1, x2, 0);
        column(x0, x1, x2);
        c = plus(c, x0, x1, x2, 1);
        column(x0, x1, x2);
        c = plus(c, x0, x1, x2, 2);
        Two(a, c, to);
        a = plus(*offset, x0, x1, x2, 0);
      }
    }
    // One whole output that is left, and one whose last column is padding.
    for (int64_t n = (whole & 1) + right; n > 0; --n, to += stride_) {
      if constexpr (kStride == 2) {
        column(x0, x1, x2);
        a = plus(a, x0, x1, x2, 1);
      }
      if (n == 1 && right) {
        x0 = x1 = x2 = outside_;
      } else {
        column(x0, x1, x2);
      }
      One(plus(a, x0, x1, x2, 2), to);
      a = kStride == 1 ? plus(b, x0, x1, x2, 1) : plus(*offset, x0, x1, x2, 0);
    }
  }

  // `count` outputs with kernels of 5x5 and 7x7. `rows` is where the first of their columns would be, of which those from `first` on and
  // before `last` lie within the image.
  template <int kSide, int kStride>
  HWY_NOINLINE void RunSquare(const Rows<kSide>& rows, int64_t count, int64_t first, int64_t last, To* to) const {
    constexpr int kOpen = (kSide + kStride - 1) / kStride;   // outputs that a column may belong to
    // Additions that wait for each other would take longer than there is work: few sums are made in two parts.
    constexpr int kParts = kOpen <= 5 ? 2 : 1;
    __m256 open[kOpen][kParts];   // the newest first
    auto begin = [&](int age) HWY_ATTR {
      open[age][0] = _mm256_load_ps(block_.offset);
      if constexpr (kParts == 2) open[age][1] = _mm256_setzero_ps();
    };
    for (int age = 0; age < kOpen; ++age) begin(age);
    auto add = [&](int64_t column, int phase) HWY_ATTR {
      const bool inside = column >= first && column < last;
      LINNET_UNROLL
      for (int i = 0; i < kSide; ++i) {
        const __m256 x = inside ? EightFloats<kSigned>(rows.at[i] + column * rows.step[i]) : outside_;
        LINNET_UNROLL
        for (int age = 0; age < kOpen; ++age) {
          const int tap = phase + age * kStride;
          if (tap < kSide) open[age][i % kParts] = _mm256_fmadd_ps(x, _mm256_load_ps(block_.weights[i * kSide + tap]), open[age][i % kParts]);
        }
      }
    };
    auto next = [&]() HWY_ATTR {
      LINNET_UNROLL
      for (int age = kOpen - 1; age > 0; --age) {
        LINNET_UNROLL
        for (int part = 0; part < kParts; ++part) open[age][part] = open[age - 1][part];
      }
      begin(0);
    };
    // An output is whole with the last tap of its last column; those before the first begin in its columns as well, and are dropped.
    int64_t column = 0;
    for (int64_t begun = 1; begun < kOpen; ++begun) {
      for (int phase = 0; phase < kStride; ++phase) add(column++, phase);
      next();
    }
    for (; count > 0; --count, to += stride_) {
      add(column++, 0);
      One(kParts == 2 ? _mm256_add_ps(open[kOpen - 1][0], open[kOpen - 1][kParts - 1]) : open[kOpen - 1][0], to);
      if constexpr (kStride == 2) add(column++, 1);
      next();
    }
  }

  // One output, of whose columns only [first, last) lie within the image; `rows` is where the first of three would.
  HWY_NOINLINE void Edge(const ThreeRows& rows, int64_t first, int64_t last, To* to) const {
    __m256 sum = _mm256_load_ps(block_.offset);
    for (int64_t j = 0; j < 3; ++j) {
      for (int64_t i = 0; i < 3; ++i) {
        const __m256 x = j < first || j >= last ? outside_ : EightFloats<kSigned>(rows.at[i] + j * rows.step[i]);
        sum = _mm256_fmadd_ps(x, _mm256_load_ps(block_.weights[3 * i + j]), sum);
      }
    }
    One(sum, to);
  }

 private:
  static constexpr bool kActivated = std::is_same_v<To, ActivatedByte>;

  HWY_INLINE hn::Vec<D8> Value(__m256 sum) const {
    return {_mm256_add_ps(_mm256_mul_ps(sum, _mm256_load_ps(block_.scale)), _mm256_loadu_ps(bias_))};
  }
  HWY_INLINE void LookUp(__m256 sum, To* to) const {
    alignas(32) uint32_t places[kEight];
    _mm256_store_si256(reinterpret_cast<__m256i*>(places), find_(D8(), Value(sum)).raw);
    LINNET_UNROLL
    for (int i = 0; i < kEight; ++i) to[i] = To{table_[places[i]]};
  }
  HWY_INLINE void Two(__m256 sum0, __m256 sum1, To* to) const {
    if constexpr (kActivated) {
      if (!table_) return StoreTwo(bend_(D8(), Value(sum0)).raw, bend_(D8(), Value(sum1)).raw, to);
      LookUp(sum0, to);
      LookUp(sum1, to + stride_);
    } else {
      const __m256 scale = _mm256_load_ps(block_.scale);
      StoreTwo(_mm256_mul_ps(sum0, scale), _mm256_mul_ps(sum1, scale), to);
    }
  }
  HWY_INLINE void One(__m256 sum, To* to) const {
    if constexpr (kActivated) {
      if (!table_) return StoreOne(bend_(D8(), Value(sum)).raw, to);
      LookUp(sum, to);
    } else {
      StoreOne(_mm256_mul_ps(sum, _mm256_load_ps(block_.scale)), to);
    }
  }
  HWY_INLINE void StoreTwo(__m256 t0, __m256 t1, To* to) const {
    const __m128i bytes = _mm_shuffle_epi32(rounding_.Half(t0, t1), 0xd8);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to + stride_), _mm_unpackhi_epi64(bytes, bytes));
  }
  HWY_INLINE void StoreOne(__m256 t, To* to) const {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_shuffle_epi32(rounding_.Half(t, t), 0xd8));
  }

  const EightChannels<kTaps>& block_;
  const WideByteRounding rounding_;
  const float* const bias_;
  const uint8_t* const table_;
  const TablePlaces find_;
  const Bend bend_;
  const int64_t stride_;
  const __m256 outside_;
};

template <bool kSigned, class To>
void FloatRows(const DepthwiseInt8& c, const EightChannels<kTapsOf3>* blocks, int64_t row0, int64_t row1) {
  // A line of the cache holds 64 channels, which go over some columns together: three rows of those stay near.
  constexpr int64_t kColumns = 40, kGroup = 64 / kEight;
  uint8_t outside[kEight];
  memset(outside, c.input_zero, sizeof(outside));
  // Outputs [inner, inner_end) have at most one column of padding at each end.
  const int64_t s = c.stride_w, blocks_count = BlocksOf(c);
  int64_t inner = std::min(c.out_w, c.pad_left <= 1 ? 0 : DivUp(c.pad_left - 1, s));
  int64_t inner_end = std::clamp((c.in_w - 2 + c.pad_left) / s + 1, inner, c.out_w);
  if (c.in_w < 3) inner_end = inner;
  const int64_t runs = DivUp(inner_end - inner, kColumns / s), run = runs > 0 ? DivUp(inner_end - inner, runs) : 1;
  for (int64_t row = row0; row < row1; ++row) {
    const int64_t image = row / c.out_h, top = row % c.out_h * c.stride_h - c.pad_top;
    const uint8_t* from = c.input + image * c.in_h * c.in_w * c.channels;
    To* to = static_cast<To*>(c.finish.c) + row * c.out_w * c.finish.c_row_stride;
    auto rows_at = [&](int64_t column, int64_t channel) {
      ThreeRows rows;
      for (int64_t i = 0; i < 3; ++i) {
        const bool inside = top + i >= 0 && top + i < c.in_h;
        rows.step[i] = inside ? c.channels : 0;
        rows.at[i] = inside ? from + ((top + i) * c.in_w + column) * c.channels + channel : outside;
      }
      return rows;
    };
    auto edges = [&](int64_t begin, int64_t end) {
      for (int64_t x = begin; x < end; ++x) {
        const int64_t column = x * s - c.pad_left;
        for (int64_t b = 0; b < blocks_count; ++b) {
          const int64_t channel = ChannelOf(c, b);
          FloatRow<kSigned, To, kTapsOf3>(c, blocks, b).Edge(rows_at(column, channel), -column, c.in_w - column, to + x * c.finish.c_row_stride + channel);
        }
      }
    };
    edges(0, inner);
    for (int64_t group = 0; group < blocks_count; group += kGroup) {
      for (int64_t x = inner; x < inner_end; x += run) {
        const int64_t count = std::min(run, inner_end - x), column = x * s - c.pad_left;
        const bool left = column < 0, right = column + (count - 1) * s + 2 >= c.in_w;
        for (int64_t b = group; b < std::min(blocks_count, group + kGroup); ++b) {
          const FloatRow<kSigned, To, kTapsOf3> part(c, blocks, b);
          const ThreeRows rows = rows_at(column + left, ChannelOf(c, b));
          To* const out = to + x * c.finish.c_row_stride + ChannelOf(c, b);
          s == 1 ? part.template Run<1>(rows, count, left, right, out) : part.template Run<2>(rows, count, left, right, out);
        }
      }
    }
    edges(inner_end, c.out_w);
  }
}

// Of kernels of any other side.
template <bool kSigned, class To, int kSide>
void SquareRows(const DepthwiseInt8& c, const EightChannels<kSide * kSide>* blocks, int64_t row0, int64_t row1) {
  uint8_t outside[kEight];
  memset(outside, c.input_zero, sizeof(outside));
  for (int64_t row = row0; row < row1; ++row) {
    const int64_t image = row / c.out_h, top = row % c.out_h * c.stride_h - c.pad_top;
    const uint8_t* from = c.input + image * c.in_h * c.in_w * c.channels;
    for (int64_t b = 0; b < BlocksOf(c); ++b) {
      const int64_t channel = ChannelOf(c, b), last = c.in_w + c.pad_left;
      To* const to = static_cast<To*>(c.finish.c) + row * c.out_w * c.finish.c_row_stride + channel;
      Rows<kSide> rows;
      for (int64_t i = 0; i < kSide; ++i) {
        const bool inside = top + i >= 0 && top + i < c.in_h;
        rows.step[i] = inside ? c.channels : 0;
        rows.at[i] = inside ? from + ((top + i) * c.in_w - c.pad_left) * c.channels + channel : outside;
      }
      const FloatRow<kSigned, To, kSide * kSide> part(c, blocks, b);
      c.stride_w == 1 ? part.template RunSquare<kSide, 1>(rows, c.out_w, c.pad_left, last, to)
                      : part.template RunSquare<kSide, 2>(rows, c.out_w, c.pad_left, last, to);
    }
  }
}

template <bool kSigned, class To>
void AllRows(const DepthwiseInt8& c, const void* blocks, int64_t row0, int64_t row1) {
  ForSide(c, [&]<int kSide>() {
    const auto* own = static_cast<const EightChannels<kSide * kSide>*>(blocks);
    if constexpr (kSide == 3) {
      FloatRows<kSigned, To>(c, own, row0, row1);
    } else {
      SquareRows<kSigned, To, kSide>(c, own, row0, row1);
    }
  });
}

// False when nothing was done.
bool DepthwiseFloats(const DepthwiseInt8& c, const void* prepared, int64_t row0, int64_t row1) {
  if (!ServesFloats(c)) return false;
  const FloatsHead* head = static_cast<const FloatsHead*>(prepared);
  const void* const blocks = head + 1;
  if (!head->fits) return false;
  switch (c.finish.to) {
    case FinishInt8::To::kInt8:
      c.input_signed ? AllRows<true, int8_t>(c, blocks, row0, row1) : AllRows<false, int8_t>(c, blocks, row0, row1);
      return true;
    case FinishInt8::To::kUint8:
      c.input_signed ? AllRows<true, uint8_t>(c, blocks, row0, row1) : AllRows<false, uint8_t>(c, blocks, row0, row1);
      return true;
    case FinishInt8::To::kActivated:
      c.input_signed ? AllRows<true, ActivatedByte>(c, blocks, row0, row1) : AllRows<false, ActivatedByte>(c, blocks, row0, row1);
      return true;
    default: return false;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX2

#if HWY_ONCE
namespace linnet {

int64_t DepthwiseFloatsBytes(const DepthwiseInt8& conv) { return N_AVX2::FloatsBytes(conv); }
void PrepareDepthwiseFloats(const DepthwiseInt8& conv, void* prepared) { N_AVX2::PrepareFloats(conv, prepared); }
bool DepthwiseFloatsRows(const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1) {
  return N_AVX2::DepthwiseFloats(conv, prepared, row0, row1);
}

}  // namespace linnet
#endif

#endif  // __x86_64__
