// Resizing, cropping and normalising. Resampling follows Pillow: rows first, then columns, 8 bits in between.
#include "cli/image.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"

namespace linnet {
namespace {

/// round half to even, as Python's round.
int RoundHalf(int twice) {
  int half = twice >> 1;
  return (twice & 1) && (half & 1) ? half + 1 : half;
}

/// Where one output pixel comes from along one axis: input pixels [begin, begin + count) and their weights.
struct Taps {
  int begin, count;
  size_t weights;
};

/// The triangle filter over `from` pixels for each of `to`. When shrinking it is as wide as the step; beyond the border
/// there is nothing, and the weights that remain sum to 1.
std::vector<Taps> TriangleTaps(int from, int to, std::vector<float>* weights) {
  double step = static_cast<double>(from) / to, support = std::max(step, 1.0);
  std::vector<Taps> taps;
  for (int i = 0; i < to; ++i) {
    double centre = (i + 0.5) * step;
    int begin = std::max(0, static_cast<int>(centre - support + 0.5));
    int end = std::min(from, static_cast<int>(centre + support + 0.5));
    taps.push_back({begin, end - begin, weights->size()});
    double sum = 0;
    for (int x = begin; x < end; ++x) sum += std::max(0.0, 1 - std::abs(x + 0.5 - centre) / support);
    for (int x = begin; x < end; ++x) {
      weights->push_back(static_cast<float>(std::max(0.0, 1 - std::abs(x + 0.5 - centre) / support) / sum));
    }
  }
  return taps;
}

/// Resamples along one axis: `lines` independent lines of `from` pixels, three channels each.
std::vector<uint8_t> ResampleAxis(const std::vector<uint8_t>& in, int from, int to, int64_t lines, int64_t line_step_in,
                                  int64_t line_step_out, int64_t pixel_step) {
  std::vector<float> weights;
  std::vector<Taps> taps = TriangleTaps(from, to, &weights);
  std::vector<uint8_t> out(in.size() / static_cast<size_t>(from) * static_cast<size_t>(to));
  for (int64_t line = 0; line < lines; ++line) {
    for (int i = 0; i < to; ++i) {
      const uint8_t* source = &in[static_cast<size_t>(line * line_step_in + taps[static_cast<size_t>(i)].begin * pixel_step)];
      const float* weight = &weights[taps[static_cast<size_t>(i)].weights];
      float sums[3] = {0.5f, 0.5f, 0.5f};
      for (int t = 0; t < taps[static_cast<size_t>(i)].count; ++t) {
        for (int c = 0; c < 3; ++c) sums[c] += weight[t] * static_cast<float>(source[t * pixel_step + c]);
      }
      uint8_t* target = &out[static_cast<size_t>(line * line_step_out + i * pixel_step)];
      for (int c = 0; c < 3; ++c) target[c] = static_cast<uint8_t>(std::min(sums[c], 255.0f));
    }
  }
  return out;
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
  Image out{width, height, image.rgb};
  if (width != image.width) {
    out.rgb = ResampleAxis(out.rgb, image.width, width, image.height, int64_t{3} * image.width, int64_t{3} * width, 3);
  }
  if (height != image.height) {
    out.rgb = ResampleAxis(out.rgb, image.height, height, width, 3, 3, int64_t{3} * width);
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
