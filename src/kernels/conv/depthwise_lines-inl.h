// Float32 depthwise convolution of 3 x 3 along lines, where there are 16 registers: the nine weights of a vector of channels stay in
// them, and each column of three inputs is read once and meets the two or three outputs that it belongs to.
//
//     column k:    store b + column * w2        b = a + column * w1        a = bias + column * w0
//
// A few lines are done in pieces, and many channels in blocks, so that what is read again is in the first-level cache.
#if defined(LINNET_KERNELS_CONV_DEPTHWISE_LINES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_CONV_DEPTHWISE_LINES_INL_H_
#undef LINNET_KERNELS_CONV_DEPTHWISE_LINES_INL_H_
#else
#define LINNET_KERNELS_CONV_DEPTHWISE_LINES_INL_H_
#endif

#include <algorithm>

#include "base/parts.h"
#include "hwy/highway.h"
#include "kernels/conv/depthwise_strips-inl.h"

#undef LINNET_DEPTHWISE_LINES
#if !defined(LINNET_DEPTHWISE_STRIPS) && !defined(LINNET_SMALL)
#define LINNET_DEPTHWISE_LINES

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// A piece of an output row: `outputs` pixels, which read columns [0, outputs + 2) counted from `rows`, of which [begin, end) lie
// in the image.
struct Line {
  const float* rows[3];   // null: beside the image
  int64_t input_step;     // from column to column
  int64_t begin, end;
  int64_t outputs;
  float* output;
  int64_t output_step;
};

// Two columns inside at a time: sums need not move from one name to the other, and bounds that there are not take no instructions. A core
// whose other thread is busy starts three a cycle, which is what this loop takes.
template <int kBounds>
HWY_INLINE void LinePairs(const VF32 (&w)[3][3], VF32 bias, VF32 low, VF32 high, const int64_t (&step)[3], int64_t output_step, int64_t pairs,
                          const float* (&in)[3], float** output, VF32* a, VF32* b) {
  const F32 d;
  const float *in0 = in[0], *in1 = in[1], *in2 = in[2];
  float* out = *output;
  VF32 first = *b, second = *a;
  for (; pairs > 0; --pairs) {
    LINNET_UNROLL
    for (int i = 0; i < 2; ++i) {
      const VF32 x0 = hn::LoadU(d, in0), x1 = hn::LoadU(d, in1), x2 = hn::LoadU(d, in2);
      VF32 sum = hn::MulAdd(x2, w[2][2], hn::MulAdd(x1, w[1][2], hn::MulAdd(x0, w[0][2], first)));
      if (kBounds >= 1) sum = AtLeast(low, sum);
      if (kBounds >= 2) sum = AtMost(high, sum);
      hn::StoreU(sum, d, out);
      first = hn::MulAdd(x2, w[2][1], hn::MulAdd(x1, w[1][1], hn::MulAdd(x0, w[0][1], second)));
      second = hn::MulAdd(x2, w[2][0], hn::MulAdd(x1, w[1][0], hn::MulAdd(x0, w[0][0], bias)));
      in0 += step[0], in1 += step[1], in2 += step[2], out += output_step;
    }
  }
  in[0] = in0, in[1] = in1, in[2] = in2, *output = out;
  *b = first, *a = second;
}

template <bool kPartial>
HWY_INLINE void LineVector(const Job& job, const Line& line, int64_t channel) {
  const F32 d;
  static constexpr float kNothing[kLanes] = {};
  const size_t left = static_cast<size_t>(job.channel1 - channel);
  auto load = [left](const float* p) HWY_ATTR {
    const F32 d;
    return kPartial ? LoadTail(d, p, left) : hn::LoadU(d, p);
  };
  const float* in[3];
  int64_t step[3];
  VF32 w[3][3];
  LINNET_UNROLL
  for (int i = 0; i < 3; ++i) {
    in[i] = line.rows[i] ? line.rows[i] + channel : kNothing;
    step[i] = line.rows[i] ? line.input_step : 0;
    LINNET_UNROLL
    for (int j = 0; j < 3; ++j) w[i][j] = hn::LoadU(d, job.conv.packed + channel + (i * 3 + j) * job.weight_stride);
  }
  const VF32 bias = job.conv.epilogue.bias ? load(job.conv.epilogue.bias + channel) : hn::Zero(d);
  const VF32 low = hn::Set(d, job.clamp.has_low ? job.clamp.low : -__builtin_inff());
  const VF32 high = hn::Set(d, job.clamp.has_high ? job.clamp.high : __builtin_inff());
  float* out = line.output + channel;
  auto store = [&](VF32 sum) HWY_ATTR {
    const F32 d;
    sum = AtMost(high, AtLeast(low, sum));
    if constexpr (kPartial) {
      StoreTail(sum, d, out, left);
    } else {
      hn::StoreU(sum, d, out);
    }
    out += line.output_step;
  };
  VF32 x[3];
  const uint64_t inside = static_cast<uint64_t>(line.end - line.begin);
  // Whether column k lies in the image; if so it is read.
  auto read = [&](int64_t k) HWY_ATTR {
    const bool is_inside = static_cast<uint64_t>(k - line.begin) < inside;
    if (HWY_LIKELY(is_inside)) x[0] = load(in[0]), x[1] = load(in[1]), x[2] = load(in[2]);
    LINNET_UNROLL
    for (int i = 0; i < 3; ++i) in[i] += step[i];
    return is_inside;
  };
  auto meet = [&](VF32 sum, int j) HWY_ATTR { return hn::MulAdd(x[2], w[2][j], hn::MulAdd(x[1], w[1][j], hn::MulAdd(x[0], w[0][j], sum))); };
  VF32 a = bias, b = bias;
  if (read(0)) a = meet(bias, 0);
  if (read(1)) {
    b = meet(a, 1), a = meet(bias, 0);
  } else {
    b = a, a = bias;
  }
  int64_t k = 2;
  if (!kPartial && line.begin <= k) {
    const int64_t pairs = (std::min(line.outputs + 2, line.end) - k) / 2;
    const int walk = job.clamp.has_high ? 2 : job.clamp.has_low ? 1 : 0;
    if (walk == 0) LinePairs<0>(w, bias, low, high, step, line.output_step, pairs, in, &out, &a, &b);
    if (walk == 1) LinePairs<1>(w, bias, low, high, step, line.output_step, pairs, in, &out, &a, &b);
    if (walk == 2) LinePairs<2>(w, bias, low, high, step, line.output_step, pairs, in, &out, &a, &b);
    if (pairs > 0) k += 2 * pairs;
  }
  for (; k < line.outputs + 2; ++k) {
    if (HWY_LIKELY(read(k))) {
      store(meet(b, 2));
      b = meet(a, 1), a = meet(bias, 0);
    } else {
      store(b);
      b = a, a = bias;
    }
  }
}

// Not where lines are so short that their beginnings cost more than the walk saves. With stride 2 it saves nothing.
bool GoesAlongLines(const DepthwiseF32& c) {
  constexpr int64_t kShort = 12;
  return kDepthwise3 && c.kernel_h == 3 && c.kernel_w == 3 && c.stride_w == 1 && c.dilation_h == 1 && c.dilation_w == 1 &&
         c.out_w >= kShort && !c.epilogue.residual;
}

// Rows [row, row + rows) of the output, all of one image.
void RunLines(const Job& job, int64_t row, int64_t rows) {
  constexpr int64_t kCacheBytes = 24 << 10, kBlock = 32;
  const DepthwiseF32& c = job.conv;
  const float* image = c.input + row / c.out_h * c.input_batch_stride;
  const int64_t top = row % c.out_h * c.stride_h - c.pad_top, channels = job.channel1 - job.channel0;
  if (channels <= 0) return;
  const int64_t lines = (rows - 1) * c.stride_h + 3 + 1;
  const int64_t columns = std::max<int64_t>(8, kCacheBytes / (4 * lines * std::min(channels, kBlock)));
  const int64_t pieces = (c.out_w + columns - 1) / columns, piece = (c.out_w + pieces - 1) / pieces;
  Line line;
  line.input_step = c.input_pixel_stride, line.output_step = c.output_pixel_stride;
  for (int64_t x = 0; x < c.out_w; x += piece) {
    const int64_t first = x - c.pad_left;
    line.outputs = std::min(piece, c.out_w - x);
    const int64_t count = line.outputs + 2;
    line.begin = std::clamp<int64_t>(-first, 0, count), line.end = std::clamp<int64_t>(c.in_w - first, line.begin, count);
    for (int64_t channel = job.channel0; channel < job.channel1; channel += kBlock) {
      const int64_t end = std::min(job.channel1, channel + kBlock);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < 3; ++i) {
          const int64_t y = top + r * c.stride_h + i, place = c.input_ring_rows > 0 ? y % c.input_ring_rows : y;
          line.rows[i] = y >= 0 && y < c.in_h ? image + place * c.input_row_stride + first * c.input_pixel_stride : nullptr;
        }
        line.output = c.output + ((row + r) * c.out_w + x) * c.output_pixel_stride;
        int64_t at = channel;
        for (; at + kLanes <= end; at += kLanes) LineVector<false>(job, line, at);
        if (at < end) LineVector<true>(job, line, at);
        if (job.clamp.after) ActivateRows(c.epilogue, line.output + channel, line.output_step, line.outputs, end - channel);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // no strips

#endif  // per-target guard
