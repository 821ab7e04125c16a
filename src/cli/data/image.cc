// Resizing (stb_image_resize, weighed at the borders as Pillow does), cropping and normalising.
#include "cli/data/image.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

namespace linnet {
namespace {

/// round half to even, as Python's round.
int RoundHalf(int twice) {
  int half = twice >> 1;
  return (twice & 1) && (half & 1) ? half + 1 : half;
}

/// The library's filter takes what lies beyond the border for black. The part of each output pixel's weights that lies
/// inside, which is separable, undoes that: the weights that remain sum to 1.
bool Inside(int from, int to, std::vector<float>* part) {
  std::vector<float> ones(static_cast<size_t>(from), 1.0f);
  part->resize(static_cast<size_t>(to));
  return stbir_resize_float_generic(ones.data(), from, 1, 0, part->data(), to, 1, 0, 1, STBIR_ALPHA_CHANNEL_NONE, 0,
                                    STBIR_EDGE_ZERO, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
}

}  // namespace

Result<Image> ResizeImage(const Image& image, int width, int height) {
  ImageLimits limits;
  auto fits = [&](int w, int h) {
    return w >= 1 && h >= 1 && w <= limits.side_max && h <= limits.side_max && int64_t{w} * h <= limits.pixels_max;
  };
  if (image.rgb.empty()) return InvalidArgument("an image without pixels cannot be resized");
  if (!fits(width, height) || !fits(width, image.height)) {
    return LimitReached("an image of ", image.width, "x", image.height, " cannot be resized to ", width, "x", height);
  }
  if (width == image.width && height == image.height) return image;
  // 16 bits hold what rounding to 8 would lose before the borders are weighed.
  constexpr int kScale = 257;
  std::vector<uint16_t> wide(image.rgb.begin(), image.rgb.end()), resized(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  for (uint16_t& level : wide) level = static_cast<uint16_t>(level * kScale);
  std::vector<float> columns, rows;
  bool done = Inside(image.width, width, &columns) && Inside(image.height, height, &rows) &&
              stbir_resize_uint16_generic(wide.data(), image.width, image.height, 0, resized.data(), width, height, 0, 3,
                                          STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_ZERO, STBIR_FILTER_TRIANGLE,
                                          STBIR_COLORSPACE_LINEAR, nullptr);
  if (!done) return OutOfMemory("no memory to resize an image of ", image.width, "x", image.height);
  Image out{width, height, std::vector<uint8_t>(resized.size())};
  for (size_t i = 0; i < resized.size(); ++i) {
    size_t pixel = i / 3, x = pixel % static_cast<size_t>(width), y = pixel / static_cast<size_t>(width);
    float level = static_cast<float>(resized[i]) / (columns[x] * rows[y] * kScale) + 0.5f;
    out.rgb[i] = static_cast<uint8_t>(std::min(level, 255.0f));
  }
  return out;
}

Size ResizedShorterSide(Size size, int side) {
  auto scaled = [side](int longer, int shorter) {
    return static_cast<int>(std::clamp<int64_t>(int64_t{side} * longer / shorter, 1, INT32_MAX));
  };
  if (size.width <= size.height) return {side, scaled(size.height, size.width)};
  return {scaled(size.width, size.height), side};
}

Crop CentreCrop(Size image, Size crop) {
  return {RoundHalf(image.width - crop.width), RoundHalf(image.height - crop.height), crop.width, crop.height};
}

Result<Image> LoadImage(const std::string& path, const ImageLimits& limits) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, {FileAccess::kRead}));
  Result<Image> image = DecodeImage(file->bytes(), limits);
  if (!image.ok()) return image.TakeStatus().At(Quote(path));
  return image;
}

Result<Tensor> ImageTensor(const Image& image, const ImageRecipe& recipe) {
  if (recipe.width < 1 || recipe.height < 1 || recipe.resize_shorter < 0) {
    return InvalidArgument("an image of ", recipe.width, "x", recipe.height, " (shorter side resized to ",
                           recipe.resize_shorter, ") cannot be made");
  }
  if (recipe.channels != 1 && recipe.channels != 3) {
    return InvalidArgument("an image has 1 or 3 channels, not ", recipe.channels);
  }
  for (float divisor : recipe.std) {
    if (!(std::isfinite(divisor) && divisor != 0)) return InvalidArgument("image std must be finite and not 0");
  }
  Size target{recipe.width, recipe.height};
  if (recipe.resize_shorter > 0) {
    target = ResizedShorterSide({image.width, image.height}, recipe.resize_shorter);
    if (target.width < recipe.width || target.height < recipe.height) {
      return InvalidArgument("an image resized to ", target.width, "x", target.height, " has no crop of ", recipe.width,
                             "x", recipe.height);
    }
  }
  LINNET_ASSIGN(Image resized, ResizeImage(image, target.width, target.height));
  Crop crop = CentreCrop(target, {recipe.width, recipe.height});

  int64_t h = crop.height, w = crop.width, channels = recipe.channels;
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(DType::kFloat, recipe.channels_first ? Shape{1, channels, h, w}
                                                                                     : Shape{1, h, w, channels}));
  float* out = tensor.mutable_as<float>();
  int64_t pixel_step = recipe.channels_first ? 1 : channels, channel_step = recipe.channels_first ? h * w : 1;
  for (int64_t y = 0; y < h; ++y) {
    const uint8_t* row = &resized.rgb[static_cast<size_t>(((crop.top + y) * resized.width + crop.left) * 3)];
    for (int64_t x = 0; x < w; ++x) {
      const uint8_t* pixel = row + 3 * x;
      // Luma in 16-bit fixed point, rounded, as Pillow's mode "L".
      const int luma = (19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 0x8000) >> 16;
      for (int c = 0; c < recipe.channels; ++c) {
        int level = recipe.channels == 1 ? luma : pixel[recipe.bgr ? 2 - c : c];
        if (recipe.invert) level = 255 - level;
        float value = static_cast<float>(level) * recipe.scale;
        out[(y * w + x) * pixel_step + c * channel_step] = (value - recipe.mean[c]) / recipe.std[c];
      }
    }
  }
  return tensor;
}

}  // namespace linnet
