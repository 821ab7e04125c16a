// Pictures: decoding, refusing bombs, torchvision's geometry, normalisation.
#include "cli/data/image.h"

#include <gtest/gtest.h>

#include "pictures_util.h"

namespace linnet {
namespace {

void Put32(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i));
}
void Put32Big(std::string& out, uint32_t value) {
  for (int i = 3; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

/// A 24-bit BMP: BGR, rows from the bottom, padded to 4 bytes.
std::string Bmp(int width, int height, const std::vector<uint8_t>& rgb) {
  std::string out = "BM";
  size_t stride = (static_cast<size_t>(width) * 3 + 3) / 4 * 4;
  Put32(out, static_cast<uint32_t>(54 + stride * static_cast<size_t>(height)));
  Put32(out, 0), Put32(out, 54), Put32(out, 40);
  Put32(out, static_cast<uint32_t>(width)), Put32(out, static_cast<uint32_t>(height));
  Put32(out, 1 | 24 << 16);
  for (int i = 0; i < 6; ++i) Put32(out, 0);
  for (int y = height - 1; y >= 0; --y) {
    std::string row;
    for (int x = 0; x < width; ++x) {
      for (int c = 2; c >= 0; --c) row += static_cast<char>(rgb[static_cast<size_t>((y * width + x) * 3 + c)]);
    }
    row.resize(stride);
    out += row;
  }
  return out;
}

/// The start of a PNG that declares the given size.
std::string PngStart(uint32_t width, uint32_t height) {
  std::string out("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  Put32Big(out, width), Put32Big(out, height);
  out += std::string("\x08\x02\0\0\0", 5);
  Put32Big(out, 0);
  return out;
}

Image Gradient(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) image.rgb.push_back(static_cast<uint8_t>(x * 10 + y * 3 + c * 50));
    }
  }
  return image;
}

TEST(Image, DecodesBmp) {
  LINNET_NEEDS_PICTURES;
  Image image = Gradient(3, 2);
  Result<Image> decoded = DecodeImage(Bmp(3, 2, image.rgb));
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  EXPECT_EQ(decoded->width, 3);
  EXPECT_EQ(decoded->height, 2);
  EXPECT_EQ(decoded->rgb, image.rgb);
}

TEST(Image, DecodesPngToRgb) {
  LINNET_NEEDS_PICTURES;
  // Made by zlib: 2x2 RGBA, and 2x1 grey.
  std::string rgba(
      "\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x02\x00\x00\x00\x02\x08"
      "\x06\x00\x00\x00\x72\xb6\x0d\x24\x00\x00\x00\x17\x49\x44\x41\x54\x78\xda\x63\xf8\xcf\xc0\xd0\xc0\xf0"
      "\x1f\x08\x19\x80\x58\x40\xc1\xc0\x01\x00\x35\x25\x05\x1d\xac\x3a\xb4\xc5\x00\x00\x00\x00\x49\x45\x4e"
      "\x44\xae\x42\x60\x82",
      80);
  EXPECT_EQ(DecodeImage(rgba)->rgb, (std::vector<uint8_t>{255, 0, 0, 0, 255, 0, 0, 0, 255, 16, 32, 48}));
  std::string grey(
      "\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x02\x00\x00\x00\x01\x08"
      "\x00\x00\x00\x00\xd1\x49\x20\x56\x00\x00\x00\x0b\x49\x44\x41\x54\x78\xda\x63\x60\x38\x01\x00\x00\xcb"
      "\x00\xc9\xfa\x6c\xb4\x8b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82",
      68);
  EXPECT_EQ(DecodeImage(grey)->rgb, (std::vector<uint8_t>{0, 0, 0, 200, 200, 200}));
}

TEST(Image, RefusesBombsAndDamage) {
  LINNET_NEEDS_PICTURES;
  EXPECT_EQ(DecodeImage(PngStart(20000, 10000)).status().code(), Code::kLimitReached);
  EXPECT_FALSE(DecodeImage(PngStart(0x7FFFFFFF, 0x7FFFFFFF)).ok());
  EXPECT_FALSE(DecodeImage(PngStart(0, 5)).ok());
  EXPECT_FALSE(DecodeImage(PngStart(5, 5)).ok());
  EXPECT_EQ(DecodeImage(Bmp(3, 2, Gradient(3, 2).rgb), {2, 100}).status().code(), Code::kLimitReached);
  EXPECT_EQ(DecodeImage(Bmp(3, 2, Gradient(3, 2).rgb), {10, 5}).status().code(), Code::kLimitReached);
  for (const char* bad : {"", "B", "not an image", "\xff\xd8\xff"}) {
    EXPECT_EQ(DecodeImage(bad).status().code(), Code::kInvalidArgument);
  }
  // A Huffman table of 4080 codes where 256 are the most, which overruns stb_image 2.27.
  std::string codes("\xff\xd8\xff\xc4\x0f\xff\x13", 7);
  codes += std::string(16, '\xff') + std::string(5000, '\x01');
  EXPECT_FALSE(DecodeImage(codes).ok());
  std::string file = Bmp(3, 2, Gradient(3, 2).rgb);
  for (size_t length = 0; length < 54; ++length) EXPECT_FALSE(DecodeImage(std::string_view(file).substr(0, length)).ok());
  EXPECT_FALSE(LoadImage("/no/such.png").ok());
}

TEST(Image, GeometryIsTorchvisions) {
  // torchvision.transforms.functional's resize and center_crop on the same sizes.
  EXPECT_EQ(ResizedShorterSide({640, 480}, 256), (Size{341, 256}));
  EXPECT_EQ(ResizedShorterSide({480, 640}, 256), (Size{256, 341}));
  EXPECT_EQ(ResizedShorterSide({100, 100}, 256), (Size{256, 256}));
  EXPECT_EQ(ResizedShorterSide({1, 30000}, 256), (Size{256, 7680000}));
  EXPECT_EQ(CentreCrop({341, 256}, {224, 224}), (Crop{58, 16, 224, 224}));
  EXPECT_EQ(CentreCrop({227, 224}, {224, 224}), (Crop{2, 0, 224, 224}));
  EXPECT_EQ(CentreCrop({225, 229}, {224, 224}), (Crop{0, 2, 224, 224})) << "halves round to even";
}

TEST(Image, ResizesAsPillowDoes) {
  Image flat{5, 3, std::vector<uint8_t>(45, 77)};
  for (int size : {1, 2, 7, 40}) {
    EXPECT_EQ(ResizeImage(flat, size, size)->rgb, std::vector<uint8_t>(static_cast<size_t>(3 * size * size), 77));
  }
  // Pillow's Image.resize((2, 1), BILINEAR) of one grey row.
  Image row{8, 1, {}};
  for (int value : {0, 10, 20, 30, 200, 210, 220, 230}) row.rgb.insert(row.rgb.end(), 3, static_cast<uint8_t>(value));
  std::vector<uint8_t> small = ResizeImage(row, 2, 1)->rgb;
  EXPECT_EQ(small[0], 42);
  EXPECT_EQ(small[3], 188);
  EXPECT_EQ(ResizeImage(row, 8, 1)->rgb, row.rgb);
  // The same of a grey picture of 7x5, (37 x + 91 y + 13 x y) mod 256, in both directions.
  Image picture{7, 5, {}};
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 7; ++x) picture.rgb.insert(picture.rgb.end(), 3, static_cast<uint8_t>(x * 37 + y * 91 + x * y * 13));
  }
  auto expect_near = [&](int width, int height, const std::vector<int>& expected) {
    std::vector<uint8_t> resized = ResizeImage(picture, width, height)->rgb;
    ASSERT_EQ(resized.size(), expected.size() * 3);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(resized[3 * i], expected[i], 1) << width << "x" << height << " " << i;
  };
  expect_near(4, 3, {61, 128, 127, 163, 151, 142, 148, 140, 106, 125, 142, 131});
  expect_near(9, 2, {79, 113, 125, 132, 171, 120, 133, 152, 147, 87, 137, 135, 116, 175, 144, 132, 135, 147});
  EXPECT_FALSE(ResizeImage(row, 0, 1).ok());
  EXPECT_FALSE(ResizeImage(Image(), 1, 1).ok());
  EXPECT_FALSE(ResizeImage(row, 1 << 20, 1 << 20).ok());
}

TEST(Image, TensorByTheRecipe) {
  Image image = Gradient(4, 4);
  ImageRecipe recipe;
  recipe.width = recipe.height = 2;
  recipe.resize_shorter = 4;
  Result<Tensor> tensor = ImageTensor(image, recipe);
  ASSERT_TRUE(tensor.ok()) << tensor.status().message();
  EXPECT_EQ(tensor->shape(), (Shape{1, 3, 2, 2}));
  // Channel 1, row 1, column 0 of the result is pixel (x 1, y 2) of the picture: 10 + 6 + 50.
  EXPECT_NEAR(tensor->as<float>()[1 * 4 + 1 * 2 + 0], (66.0 / 255 - 0.456) / 0.224, 1e-6);

  recipe.channels_first = false;
  recipe.bgr = true;
  recipe.scale = 1;
  for (int c = 0; c < 3; ++c) recipe.mean[c] = 0, recipe.std[c] = 1;
  tensor = ImageTensor(image, recipe);
  EXPECT_EQ(tensor->shape(), (Shape{1, 2, 2, 3}));
  EXPECT_EQ(tensor->as<float>()[(1 * 2 + 0) * 3 + 0], 116.0f) << "blue first";

  recipe.resize_shorter = 0;
  EXPECT_EQ(ImageTensor(Gradient(9, 5), recipe)->shape(), (Shape{1, 2, 2, 3}));
  recipe.resize_shorter = 1;
  EXPECT_FALSE(ImageTensor(image, recipe).ok());
  recipe.std[1] = 0;
  EXPECT_FALSE(ImageTensor(image, recipe).ok());
}

}  // namespace
}  // namespace linnet
