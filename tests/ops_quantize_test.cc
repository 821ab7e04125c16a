// QuantizeLinear: where its quotient is rounded.
#include "ops_test_util.h"

namespace linnet {
namespace {

/// 30.453125 / 0.30004883 is 101.4939; the nearest float16 is 101.5, which then rounds to 102.
OpCall Quotient(int version) {
  OpCall call("QuantizeLinear", version);
  call.In<Float16>({1}, ToHalves<Float16>({30.453125f})).In<Float16>(Shape::OfRank(0), ToHalves<Float16>({0.3f}));
  return call;
}

TEST(QuantizeLinear, RoundsTheQuotientToItsPrecision) {
  EXPECT_EQ(Values<uint8_t>(Quotient(21).Run())[0], 101);
  EXPECT_EQ(Values<uint8_t>(Quotient(23).Run())[0], 102);   // the type of y_scale
  EXPECT_EQ(Values<uint8_t>(Quotient(23).Set("precision", int64_t{1}).Run())[0], 101);
  // A float x follows a float16 scale too.
  OpCall mixed("QuantizeLinear", 23);
  mixed.In<float>({1}, {30.453125f}).In<Float16>(Shape::OfRank(0), ToHalves<Float16>({0.3f}));
  EXPECT_EQ(Values<uint8_t>(mixed.Run())[0], 102);
  EXPECT_EQ(Values<uint8_t>(mixed.RunFed(1)[0])[0], 102);
  EXPECT_NE(Quotient(23).Set("precision", int64_t{7}).Error(), "");
}

}  // namespace
}  // namespace linnet
