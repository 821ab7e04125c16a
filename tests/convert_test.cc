// Type-changing loops against scalar conversions, over all 16-bit codes and bit patterns spread over all
// floats.
#include "kernels/convert.h"
#include "kernels/int8/quantize_columns.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/float_types.h"
#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

std::vector<float> Samples() {
  std::vector<float> samples;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 49999)
    samples.push_back(FloatOfBits(static_cast<uint32_t>(bits)));
  // The neighbourhoods of all float16 values, of ties between them, and of integers and halves.
  for (uint32_t code = 0; code < 65536; code += 3) {
    const uint32_t middle = BitsOf(ToFloat(Float16{static_cast<uint16_t>(code)})) + 0x1000;
    for (uint32_t bits : {middle - 0x1000, middle - 1, middle, middle + 1})
      samples.push_back(FloatOfBits(bits));
  }
  for (float v : {127.0f, 128.0f, 255.0f, 256.0f, 32767.0f, 32768.0f, 65535.0f, 65536.0f, 2147483648.0f, 0.0f,
                  1.0f, 9e18f}) {
    for (float half : {-0.5f, 0.0f, 0.5f}) {
      for (float near : {nextafterf(v + half, -INFINITY), v + half, nextafterf(v + half, INFINITY)}) {
        samples.push_back(near), samples.push_back(-near);
      }
    }
  }
  for (float v : {INFINITY, -INFINITY, NAN, -NAN}) samples.push_back(v);
  return samples;
}

template <class T>
T Saturated(double v) {
  if (isnan(v)) return 0;
  return static_cast<T>(std::clamp<double>(v, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

template <class To, class Scalar>
void CheckFromFloat(DType to, const Scalar& scalar) {
  const std::vector<float> samples = Samples();
  std::vector<To> out(samples.size());
  for (CpuLevel level : FloatLevels()) {
    ConvertFn* convert = PickConvert(DType::kFloat, to, level);
    ASSERT_NE(convert, nullptr);
    convert(samples.data(), out.data(), static_cast<int64_t>(samples.size()));
    for (size_t i = 0; i < samples.size(); ++i) {
      ASSERT_EQ(out[i], scalar(samples[i]))
          << samples[i] << " to " << DTypeName(to) << " on " << CpuLevelName(level);
    }
  }
}

TEST(Convert, FromFloat) {
  CheckFromFloat<uint16_t>(DType::kFloat16, [](float v) { return ToFloat16(v).bits; });
  CheckFromFloat<uint16_t>(DType::kBfloat16, [](float v) { return ToBfloat16(v).bits; });
  CheckFromFloat<int8_t>(DType::kInt8, [](float v) { return Saturated<int8_t>(v); });
  CheckFromFloat<uint8_t>(DType::kUint8, [](float v) { return Saturated<uint8_t>(v); });
  CheckFromFloat<int16_t>(DType::kInt16, [](float v) { return Saturated<int16_t>(v); });
  CheckFromFloat<uint16_t>(DType::kUint16, [](float v) { return Saturated<uint16_t>(v); });
  CheckFromFloat<int32_t>(DType::kInt32, [](float v) { return Saturated<int32_t>(v); });
  CheckFromFloat<int64_t>(DType::kInt64, [](float v) {
    return isnan(v)                      ? 0
           : v >= 9223372036854775808.0f ? INT64_MAX
           : v < -9223372036854775808.0f ? INT64_MIN
                                         : static_cast<int64_t>(v);
  });
  CheckFromFloat<uint8_t>(DType::kBool, [](float v) { return static_cast<uint8_t>(v != 0); });
}

template <class From, class Scalar>
void CheckToFloat(DType from, const std::vector<From>& samples, const Scalar& scalar) {
  std::vector<float> out(samples.size());
  for (CpuLevel level : FloatLevels()) {
    ConvertFn* convert = PickConvert(from, DType::kFloat, level);
    ASSERT_NE(convert, nullptr);
    convert(samples.data(), out.data(), static_cast<int64_t>(samples.size()));
    for (size_t i = 0; i < samples.size(); ++i) {
      const float expected = scalar(samples[i]);
      // Signalling NaN may come out quiet.
      if (isnan(expected)) {
        ASSERT_TRUE(isnan(out[i])) << DTypeName(from) << " " << +samples[i];
      } else {
        ASSERT_EQ(BitsOf(out[i]), BitsOf(expected))
            << DTypeName(from) << " " << +samples[i] << " on " << CpuLevelName(level);
      }
    }
  }
}

template <class T>
std::vector<T> AllCodes() {
  std::vector<T> codes(size_t{1} << (8 * sizeof(T)));
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<T>(i);
  return codes;
}

TEST(Convert, ToFloat) {
  CheckToFloat(DType::kFloat16, AllCodes<uint16_t>(), [](uint16_t v) { return ToFloat(Float16{v}); });
  CheckToFloat(DType::kBfloat16, AllCodes<uint16_t>(), [](uint16_t v) { return ToFloat(Bfloat16{v}); });
  CheckToFloat(DType::kInt8, AllCodes<int8_t>(), [](int8_t v) { return static_cast<float>(v); });
  CheckToFloat(DType::kUint8, AllCodes<uint8_t>(), [](uint8_t v) { return static_cast<float>(v); });
  CheckToFloat(DType::kInt16, AllCodes<int16_t>(), [](int16_t v) { return static_cast<float>(v); });
  CheckToFloat(DType::kUint16, AllCodes<uint16_t>(), [](uint16_t v) { return static_cast<float>(v); });
  CheckToFloat(DType::kBool, std::vector<uint8_t>{0, 1, 0, 0, 1},
               [](uint8_t v) { return static_cast<float>(v); });
  CheckToFloat(DType::kInt64, std::vector<int64_t>{0, -1, INT64_MAX, INT64_MIN, 16777217},
               [](int64_t v) { return static_cast<float>(v); });
  CheckToFloat(DType::kDouble, std::vector<double>{0, -0.0, 1e300, -1e-300, NAN, 0.1, INFINITY},
               [](double v) { return static_cast<float>(v); });
  std::vector<int32_t> ints = {INT32_MIN, INT32_MAX, 0, -1, 16777217, 33554435};
  for (int64_t v = INT32_MIN; v <= INT32_MAX; v += 999983) ints.push_back(static_cast<int32_t>(v));
  CheckToFloat(DType::kInt32, ints, [](int32_t v) { return static_cast<float>(v); });
}

template <class T>
void CheckQuantize(DType dtype) {
  const std::vector<float> samples = Samples();
  std::vector<T> out(samples.size());
  for (CpuLevel level : FloatLevels()) {
    for (float scale : {1.0f, 0.1f, 2.0f}) {
      for (int32_t zero_point : {0, 5}) {
        PickQuantize(dtype, level)(samples.data(), out.data(), static_cast<int64_t>(samples.size()), scale,
                                   zero_point);
        for (size_t i = 0; i < samples.size(); ++i) {
          const float quotient = samples[i] / scale;
          const T expected = Saturated<T>((isnan(quotient) ? 0.0 : nearbyint(quotient)) + zero_point);
          ASSERT_EQ(+out[i], +expected) << samples[i] << " / " << scale << " on " << CpuLevelName(level);
        }
      }
    }
  }
}

TEST(Convert, Quantize) {
  CheckQuantize<int8_t>(DType::kInt8);
  CheckQuantize<uint8_t>(DType::kUint8);
  CheckQuantize<int16_t>(DType::kInt16);
  CheckQuantize<uint16_t>(DType::kUint16);
}

template <class T>
void CheckColumns(DType dtype) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n = 0; n < 40; ++n) {
      for (bool zeros : {false, true}) {
        Guarded<float> x(n), scale(n), back(n);
        Guarded<T> zero(n), out(n);
        for (int64_t i = 0; i < n; ++i) {
          x[i] = i == 5 ? NAN : i == 6 ? INFINITY : static_cast<float>(i * i % 37) * 0.75f - 9, scale[i] = static_cast<float>(1 + i % 5) * 0.25f;
          zero[i] = static_cast<T>(i * 29);
        }
        PickQuantizeColumns(dtype, level)(x.data(), scale.data(), zeros ? zero.data() : nullptr, n, out.data());
        PickDequantizeColumns(dtype, level)(out.data(), scale.data(), zeros ? zero.data() : nullptr, n, back.data());
        for (int64_t i = 0; i < n; ++i) {
          const float z = zeros ? static_cast<float>(zero[i]) : 0, q = x[i] / scale[i];
          const float whole = (q == q ? std::nearbyint(q) : 0) + z;
          const float low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
          ASSERT_EQ(out[i], static_cast<T>(std::min(std::max(whole, low), high))) << i << " of " << n;
          ASSERT_EQ(back[i], (static_cast<float>(out[i]) - z) * scale[i]);
        }
      }
    }
  }
}

TEST(Convert, ScalesOfColumns) {
  CheckColumns<int8_t>(DType::kInt8);
  CheckColumns<uint8_t>(DType::kUint8);
  for (CpuLevel level : FloatLevels()) {
    const int32_t x[] = {1000000, -7, 0}, zero[] = {1, 1, -5};
    const float scale[] = {0.5f, 2, 3};
    float out[3];
    PickDequantizeColumns(DType::kInt32, level)(x, scale, zero, 3, out);
    EXPECT_EQ(out[0], 499999.5f);
    EXPECT_EQ(out[1], -16.0f);
    EXPECT_EQ(out[2], 15.0f);
    EXPECT_EQ(PickQuantizeColumns(DType::kInt16, level), nullptr);
  }
}

TEST(Convert, DequantizeNibbles) {
  for (CpuLevel level : FloatLevels()) {
    for (bool is_signed : {false, true}) {
      for (int64_t block : {16, 32, 48}) {
        const int64_t blocks = 5;
        Guarded<uint8_t> packed(blocks * block / 2);
        Guarded<float> scales(blocks), out(blocks * block);
        Guarded<int32_t> zeros(blocks);
        for (int64_t i = 0; i < packed.size(); ++i) packed[i] = static_cast<uint8_t>(i * 89 + 5);
        for (int64_t b = 0; b < blocks; ++b) scales[b] = 0.1f * static_cast<float>(b + 1), zeros[b] = static_cast<int32_t>(b * 3 - 4);
        PickDequantizeNibbles(level)(packed.data(), is_signed, out.data(), blocks, block, scales.data(), zeros.data());
        for (int64_t i = 0; i < out.size(); ++i) {
          int32_t code = i % 2 == 0 ? packed[i / 2] % 16 : packed[i / 2] / 16;
          if (is_signed && code >= 8) code -= 16;
          ASSERT_EQ(out[i], static_cast<float>(code - zeros[i / block]) * scales[i / block]) << CpuLevelName(level) << " " << i;
        }
        ASSERT_TRUE(out.Intact());
      }
    }
  }
}

TEST(Convert, Dequantize) {
  for (CpuLevel level : FloatLevels()) {
    const std::vector<uint8_t> codes = AllCodes<uint8_t>();
    std::vector<float> out(codes.size());
    PickDequantize(DType::kUint8, level)(codes.data(), out.data(), 256, 0.1f, 128);
    for (int i = 0; i < 256; ++i) ASSERT_EQ(out[static_cast<size_t>(i)], static_cast<float>(i - 128) * 0.1f);
    PickDequantize(DType::kInt8, level)(codes.data(), out.data(), 256, 0.1f, -3);
    for (int i = 0; i < 256; ++i)
      ASSERT_EQ(out[static_cast<size_t>(i)], static_cast<float>(static_cast<int8_t>(i) + 3) * 0.1f);
    const int32_t ints[] = {1000000, -5, INT32_MAX};
    PickDequantize(DType::kInt32, level)(ints, out.data(), 3, 0.5f, 0);
    for (size_t i = 0; i < 3; ++i) ASSERT_EQ(out[i], static_cast<float>(ints[i]) * 0.5f);
  }
}

TEST(Convert, RemaindersStayInside) {
  const DType narrow[] = {DType::kFloat16, DType::kBfloat16, DType::kInt8,  DType::kUint8,
                          DType::kInt16,   DType::kUint16,   DType::kInt32, DType::kBool};
  for (CpuLevel level : FloatLevels()) {
    for (DType dtype : narrow) {
      const int64_t bytes = static_cast<int64_t>(DTypeBytes(dtype));
      Guarded<float> whole_in(40), whole_back(40);
      Guarded<char> whole(40 * bytes);
      FillUniform(whole_in.data(), 40, -20, 20);
      PickConvert(DType::kFloat, dtype, level)(whole_in.data(), whole.data(), 40);
      PickConvert(dtype, DType::kFloat, level)(whole.data(), whole_back.data(), 40);
      for (int64_t n = 0; n < 40; ++n) {
        Guarded<float> in(n), back(n);
        Guarded<char> out(n * bytes);
        memcpy(in.data(), whole_in.data(), static_cast<size_t>(n) * 4);
        PickConvert(DType::kFloat, dtype, level)(in.data(), out.data(), n);
        PickConvert(dtype, DType::kFloat, level)(out.data(), back.data(), n);
        ASSERT_EQ(memcmp(out.data(), whole.data(), static_cast<size_t>(n * bytes)), 0)
            << DTypeName(dtype) << n;
        ASSERT_EQ(memcmp(back.data(), whole_back.data(), static_cast<size_t>(n) * 4), 0)
            << DTypeName(dtype) << n;
        if (PickQuantize(dtype, level) != nullptr) {
          PickQuantize(dtype, level)(in.data(), out.data(), n, 0.1f, 1);
          PickDequantize(dtype, level)(out.data(), back.data(), n, 0.1f, 1);
        }
        ASSERT_TRUE(out.Intact() && back.Intact());
      }
    }
  }
  EXPECT_EQ(PickConvert(DType::kFloat, DType::kUint64, CpuLevel::kSse4), nullptr);
  EXPECT_EQ(PickQuantize(DType::kInt32, CpuLevel::kSse4), nullptr);
}

}  // namespace
}  // namespace linnet
