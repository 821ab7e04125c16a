// Pictures on Windows: the codecs are only ever run in a process without rights, which nobody has written for this system yet.
#include "cli/data/image.h"

namespace linnet {

Result<Image> DecodeImage(std::string_view, const ImageLimits&) {
  return Unsupported("pictures are not decoded on Windows yet; give the tensor as .npy or .pb");
}

}  // namespace linnet
