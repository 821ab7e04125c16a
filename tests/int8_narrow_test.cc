// 8-bit convolutions of few outputs: lanes that are pixels, at every instruction set that has them, and the ways they replace.
#include "int8_conv_test_util.h"

namespace linnet::int8_conv_test {
namespace {

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

}  // namespace
}  // namespace linnet::int8_conv_test
