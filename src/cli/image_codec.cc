// The picture codecs: stb_image, compiled here and only here.
#include <stdint.h>
#include <stdlib.h>

#include "cli/image.h"

namespace linnet {
namespace {

// A decompression bomb makes the decoder grow its buffers without end: every block it allocates is bounded, to a
// little over what 16-bit RGBA of ImageLimits' size needs.
constexpr size_t kBlockBytesMax = size_t{520} << 20;
void* BoundedMalloc(size_t bytes) { return bytes <= kBlockBytesMax ? malloc(bytes) : nullptr; }
void* BoundedRealloc(void* block, size_t bytes) { return bytes <= kBlockBytesMax ? realloc(block, bytes) : nullptr; }

}  // namespace
}  // namespace linnet

#define STBI_MALLOC(bytes) linnet::BoundedMalloc(bytes)
#define STBI_REALLOC(block, bytes) linnet::BoundedRealloc(block, bytes)
#define STBI_FREE(block) free(block)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MAX_DIMENSIONS 32768
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_PNM
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace linnet {

Result<Image> DecodeImage(std::string_view file, const ImageLimits& limits) {
  auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  if (file.size() > INT32_MAX) return LimitReached("an image file of ", file.size(), " bytes");
  int size = static_cast<int>(file.size()), width = 0, height = 0, channels = 0;
  auto refuse = [] {
    const char* reason = stbi_failure_reason();
    return InvalidArgument("not a readable JPEG, PNG, BMP, GIF or PNM image: ", reason ? reason : "no reason given");
  };
  if (!stbi_info_from_memory(bytes, size, &width, &height, &channels)) return refuse();
  if (width < 1 || height < 1) return InvalidArgument("an image of ", width, "x", height, " pixels");
  if (width > limits.side_max || height > limits.side_max || int64_t{width} * height > limits.pixels_max) {
    return LimitReached("an image of ", width, "x", height, " pixels is above the limit of ", limits.side_max,
                        " a side and ", limits.pixels_max, " in all");
  }
  stbi_uc* pixels = stbi_load_from_memory(bytes, size, &width, &height, &channels, 3);
  if (!pixels) return refuse();
  Image image{width, height, {pixels, pixels + size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height)}};
  stbi_image_free(pixels);
  return image;
}

}  // namespace linnet
