// Inputs from files: .npy, .pb, pictures; and words from the command line.
#include <algorithm>

#include "base/float_types.h"
#include "cli/data/image.h"
#include "cli/data/model_inputs.h"
#include "cli/data/npy.h"
#include "onnx/proto_values.h"

namespace linnet::cli {
namespace {

bool EndsWithAny(const std::string& path, std::initializer_list<std::string_view> endings) {
  size_t dot = path.rfind('.');
  std::string ending;
  for (size_t i = dot; dot != std::string::npos && i < path.size(); ++i) {
    ending += path[i] >= 'A' && path[i] <= 'Z' ? static_cast<char>(path[i] | 32) : path[i];
  }
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

bool IsPicture(const std::string& path) {
  return EndsWithAny(path, {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".pnm"});
}

Result<Datum> LoadPicture(const PortInfo& port, const std::string& path, std::string* note) {
  LINNET_ASSIGN(ImageRecipe recipe, RecipeOf(port));
  LINNET_ASSIGN(Image image, LoadImage(path));
  if (recipe.height == 0) recipe.height = image.height;
  if (recipe.width == 0) recipe.width = image.width;
  DType dtype = port.type.dtype;
  LINNET_ASSIGN(Tensor tensor, ImageTensor(image, recipe));
  LINNET_ASSIGN(tensor, ConvertFloats(tensor, dtype));
  *note = Cat(Quote(path), " ", image.width, "x", image.height, " stretched to ", recipe.width, "x", recipe.height, ", ",
              recipe.channels == 1 ? "grey" : "RGB", ", channels ", recipe.channels_first ? "first" : "last", ", ",
              dtype == DType::kUint8 ? "pixels 0 to 255" : "pixels / 255");
  return Datum::Of(std::move(tensor));
}

Result<Datum> Words(const PortInfo& port, const std::string& words) {
  if (!port.type.is_tensor() || port.type.dtype != DType::kString) {
    return InvalidArgument("input ", Quote(port.name), " is ", ToString(port.type), ", which text: cannot fill");
  }
  Shape shape = Shape::OfRank(std::max(port.type.shape.rank(), 0));
  for (int d = 0; d < shape.rank(); ++d) {
    if (IsKnownDim(port.type.shape[d]) && port.type.shape[d] != 1) {
      return InvalidArgument("input ", Quote(port.name), " is ", ToString(port.type), "; text: gives one element");
    }
    shape[d] = 1;
  }
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(DType::kString, shape));
  *tensor.mutable_as<std::string>() = words;
  return Datum::Of(std::move(tensor));
}

}  // namespace

Result<ImageRecipe> RecipeOf(const PortInfo& port) {
  const Shape& declared = port.type.shape;
  DType dtype = port.type.dtype;
  bool plain = port.type.is_tensor() && (dtype == DType::kFloat || dtype == DType::kUint8 || dtype == DType::kFloat16);
  if (!plain || declared.rank() != 4) {
    return InvalidArgument("input ", Quote(port.name), " is ", ToString(port.type),
                           ", not four-dimensional numbers, so no picture can be read for it");
  }
  auto is_channels = [](int64_t dim) { return dim == 1 || dim == 3; };
  ImageRecipe recipe;
  // Channels first is ONNX's habit; last is believed only where the first place cannot be channels.
  recipe.channels_first = is_channels(declared[1]) || !is_channels(declared[3]);
  int64_t channels = recipe.channels_first ? declared[1] : declared[3];
  if (IsKnownDim(channels) && !is_channels(channels)) {
    return InvalidArgument("input ", Quote(port.name), " is ", ToString(port.type), "; a picture has 1 or 3 channels");
  }
  recipe.channels = IsKnownDim(channels) ? static_cast<int>(channels) : 3;
  if (IsKnownDim(declared[0]) && declared[0] != 1) {
    return InvalidArgument("input ", Quote(port.name), " takes ", declared[0], " pictures at once; give them as .npy");
  }
  int64_t height = declared[recipe.channels_first ? 2 : 1], width = declared[recipe.channels_first ? 3 : 2];
  recipe.height = IsKnownDim(height) ? static_cast<int>(std::min<int64_t>(height, INT32_MAX)) : 0;
  recipe.width = IsKnownDim(width) ? static_cast<int>(std::min<int64_t>(width, INT32_MAX)) : 0;
  recipe.resize_shorter = 0;
  recipe.scale = dtype == DType::kUint8 ? 1.0f : 1.0f / 255;
  std::fill_n(recipe.mean, 3, 0.0f);
  std::fill_n(recipe.std, 3, 1.0f);
  return recipe;
}

Result<Tensor> ConvertFloats(const Tensor& tensor, DType dtype) {
  if (dtype == DType::kFloat) return tensor;
  LINNET_ASSIGN(Tensor out, Tensor::Allocate(dtype, tensor.shape()));
  const float* from = tensor.as<float>();
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    if (dtype == DType::kFloat16) {
      out.mutable_as<Float16>()[i] = ToFloat16(from[i]);
    } else if (dtype == DType::kUint8) {
      out.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(std::clamp(from[i] + 0.5f, 0.0f, 255.0f));
    } else {
      return Unsupported("pictures as ", DTypeName(dtype));
    }
  }
  return out;
}

Result<InputArgument> ParseInputArgument(const std::vector<PortInfo>& inputs, const std::string& text) {
  size_t first = text.find('=');
  if (first == std::string::npos) return InvalidArgument("--input ", Quote(text), " is not of the form NAME=SOURCE");
  InputArgument found;
  bool any = false;
  std::string names;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = inputs[i].name;
    bool longer = !any || name.size() > inputs[found.input].name.size();
    if (longer && text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=') {
      found = {i, text.substr(name.size() + 1)};
      any = true;
    }
    if (i < 8) names += Cat(i > 0 ? ", " : "", Quote(name));
  }
  if (any) return found;
  return InvalidArgument("the model has no input ", Quote(std::string_view(text).substr(0, first)), "; it has ", names,
                         inputs.size() > 8 ? ", ..." : "");
}

Result<Datum> LoadInput(const PortInfo& port, const std::string& source, std::string* note) {
  if (source.starts_with("text:")) return Words(port, source.substr(5));
  if (EndsWithAny(source, {".npy"})) {
    LINNET_ASSIGN(Tensor tensor, LoadNpy(source));
    return Datum::Of(std::move(tensor));
  }
  if (EndsWithAny(source, {".pb"})) {
    LINNET_ASSIGN(NamedDatum named, ReadValueFile(source, port.type));
    return std::move(named.value);
  }
  if (IsPicture(source)) return LoadPicture(port, source, note);
  return InvalidArgument("input ", Quote(port.name), ": ", Quote(source),
                         " is no .npy or .pb file, no picture, not text:WORDS and not 'random'");
}

}  // namespace linnet::cli
