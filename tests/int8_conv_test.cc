// 8-bit convolutions at every instruction set against exact sums, with unreadable memory behind each array.
#include "int8_conv_test_util.h"

namespace linnet::int8_conv_test {
namespace {

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
  // Bytes of the whole type: what becomes bytes in a tile's registers, of one panel, two, and part of the second.
  for (int64_t out_c : {16, 24, 32, 56, 96, 104}) {
    for (int64_t in_c : {4, 36, 160}) {
      Case t{6, 7, in_c, out_c, 1, 1, 1, 1, 1, 0};
      Check(t);
      t.from_zero = true;
      Check(t);
      t.to = To::kInt8, t.x_signed = true, t.zero = -9;
      Check(t);
      t.low = 4, t.high = 90;
      Check(t);
    }
  }
}

// What tiles read in place: taps in several steps, planes of strides, strips of large images.
TEST(ConvInt8, Strips) {
  for (int64_t in_c : {8, 64, 96, 100, 160, 260}) {
    for (int64_t stride : {1, 2, 3}) Check({7, 9, in_c, 19, 1, 3, 3, stride, 1, 1});
  }
  for (int64_t in_w : {4, 5, 7, 8, 13, 14, 28, 40, 56}) {   // tiles that end with a line
    for (int64_t out_c : {20, 48}) {
      Case t{5, in_w, 32, out_c, 1, 3, 3, 1, 1, 1};
      Check(t);
      t.from_zero = true;
      Check(t);
    }
  }
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

// No number below zero, with biases and scales for which sums and their products may leave what float32 holds exactly.
void CheckFloors(Case t, int64_t channels) {
  t.in_c = t.out_c = channels, t.groups = t.groups > 1 ? channels : 1, t.from_zero = true;
  for (float unit : {1e-9f, 1e-6f, 3.1e-5f, 2.4e-4f, 3e-3f, 3e-2f}) {
    t.unit = unit;
    Check(t);
  }
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
  for (int64_t channels : {27, 48}) {   // no array has more than whole panels
    Case t{9, 14, channels, channels, channels, 1, 3, 5, 4, 3};
    t.to = To::kFloat;
    Check(t);
  }
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
  for (int64_t channels : {16, 20, 28, 32, 36, 48, 52, 60, 64, 72, 80, 96, 104, 120, 124, 144}) {   // blocks of 64, 32 and 16, several rows at a time
    for (int64_t stride : {1, 2}) {
      for (int64_t rows : {1, 2, 3, 7, 9, 20}) {
        Case t{rows, 5, channels, channels, channels, 3, 3, stride};
        t.from_zero = true, t.x_signed = rows % 2 == 0, t.zero = t.x_signed ? -3 : 9;
        if (rows == 7) t.to = To::kInt8;
        if (rows == 9) t.to = To::kInt8, t.low = 3, t.high = 99;
        Check(t);
      }
    }
  }
  // Sums that float32 cannot hold on the way.
  for (int32_t bias : {(1 << 24) - 100000, (1 << 24) + 1, -(1 << 24), 1 << 30, -(1 << 30), INT32_MIN + 6000}) {
    Case t{5, 6, 8, 8, 8};
    t.bias = bias;
    Check(t);
    CheckFloors(t, 48);
    t.batch = 1;
    CheckFloors(t, 1024), t.groups = 1, CheckFloors(t, 32);
    t.groups = 8, t.in_c = t.out_c = 8, t.batch = 2, t.from_zero = false, t.unit = 0;
    t.in_c = t.out_c = t.groups = 36, t.kernel_h = t.kernel_w = 1, t.pad = 0;
    Check(t);
  }
  Check({9, 9, 12, 12, 12, 3, 3, 1, 2, 3});
  Check({30, 200, 24, 24, 24, 3, 3, 2, 1, 1});   // more channels than the ring holds at a time
  Check({5, 5, 12, 12, 12, 2, 4, 1, 1, 4});
  Check({5, 5, 70, 70, 70, 2, 2, 1, 800000, 400000});   // taps too far apart for a ring
}

}  // namespace
}  // namespace linnet::int8_conv_test
