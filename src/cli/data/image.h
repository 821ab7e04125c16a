// Pictures as model inputs: decode, resize, crop, normalise.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "graph/tensor.h"

namespace linnet {

/// 8-bit RGB, rows from the top, no padding.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

/// What a picture may be; files that declare or need more are refused before they are decoded.
struct ImageLimits {
  int side_max = 32768;
  int64_t pixels_max = int64_t{64} << 20;
};

/// Runs the decoder in a child process without rights, so that a hostile file can make it fail and nothing else.
/// Decodes JPEG, PNG, BMP, GIF (first frame) or PNM. Grey becomes RGB, alpha is dropped, 16 bits become 8; a JPEG's
/// orientation tag is ignored.
Result<Image> DecodeImage(std::string_view file, const ImageLimits& limits = {});
Result<Image> LoadImage(const std::string& path, const ImageLimits& limits = {});

/// Bilinear with the filter widened when shrinking, as Pillow and torchvision (antialias) do, to one level; sizes >= 1.
Result<Image> ResizeImage(const Image& image, int width, int height);

struct Size {
  int width, height;
  bool operator==(const Size&) const = default;
};
/// The size whose shorter side is `side`, with the aspect kept, rounded down as torchvision does (at least 1).
Size ResizedShorterSide(Size size, int side);

/// A rectangle in the middle, as torchvision's center_crop rounds it. The image must be at least as large.
struct Crop {
  int left, top, width, height;
  bool operator==(const Crop&) const = default;
};
Crop CentreCrop(Size image, Size crop);

/// From a picture to the tensor of a vision model. The defaults are ImageNet's.
struct ImageRecipe {
  int width = 224, height = 224;  ///< of the result
  int resize_shorter = 256;       ///< resize to this before the crop; 0: stretch to width x height, no crop
  bool channels_first = true;     ///< [1,C,H,W], else [1,H,W,C]
  int channels = 3;               ///< 1: luma (ITU-R 601), with the first mean and std; bgr is ignored
  bool bgr = false;
  bool invert = false;            ///< 255 - pixel first: dark ink on light paper for a model of light on dark
  float scale = 1.0f / 255;       ///< value = (pixel * scale - mean) / std, by channel in the result's order
  float mean[3] = {0.485f, 0.456f, 0.406f};
  float std[3] = {0.229f, 0.224f, 0.225f};
};
/// A float tensor by the recipe.
Result<Tensor> ImageTensor(const Image& image, const ImageRecipe& recipe);

}  // namespace linnet
