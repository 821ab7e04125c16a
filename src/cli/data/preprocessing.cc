// Flags over metadata over habit: each setting of a picture's recipe is looked up in that order.
#include "cli/data/preprocessing.h"

#include <stdlib.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/number_text.h"
#include "cli/data/model_inputs.h"

namespace linnet::cli {
namespace {

/// The text of one setting and where it came from, for messages.
struct Setting {
  std::string text, source;
};

Setting Find(const std::string& flag_text, const char* flag, const ModelInfo& info, const char* key) {
  if (!flag_text.empty()) return {flag_text, flag};
  for (const auto& [name, value] : info.metadata) {
    if (name == key) return {value, Cat("metadata ", key)};
  }
  return {};
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find(separator, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

/// "0.485,0.456,0.406", or one number for every channel.
Status ParseNumbers(const Setting& setting, bool zero_allowed, float out[3]) {
  std::vector<std::string> parts = Split(setting.text, ',');
  bool usable = parts.size() == 1 || parts.size() == 3;
  for (size_t i = 0; usable && i < 3; ++i) {
    Result<float> number = ParseFloat(parts[parts.size() == 1 ? 0 : i]);
    usable = number.ok() && std::isfinite(*number) && (zero_allowed || *number != 0);
    if (usable) out[i] = *number;
  }
  if (usable) return Status();
  return InvalidArgument(setting.source, " is ", Quote(setting.text), "; one number or three, separated by commas",
                         zero_allowed ? "" : ", none 0,", " are needed");
}

/// "224" or "224x160", width first.
Status ParseSize(const Setting& setting, ImageRecipe* recipe) {
  char* end = nullptr;
  long width = strtol(setting.text.c_str(), &end, 10), height = width;
  if (*end == 'x') height = strtol(end + 1, &end, 10);
  if (*end != 0 || width < 1 || height < 1 || width > 32768 || height > 32768) {
    return InvalidArgument(setting.source, " is ", Quote(setting.text), "; WIDTHxHEIGHT, each 1 to 32768, is needed");
  }
  recipe->width = static_cast<int>(width);
  recipe->height = static_cast<int>(height);
  return Status();
}

bool IsTrue(const Setting& setting) { return setting.text == "1" || setting.text == "true"; }

std::string Triple(const float values[3], int channels) {
  std::string text = Cat(values[0]);
  bool same = channels == 1 || (values[1] == values[0] && values[2] == values[0]);
  return same ? text : Cat("(", text, ", ", values[1], ", ", values[2], ")");
}

std::string Describe(const ImageRecipe& recipe) {
  std::string text = recipe.resize_shorter > 0
                         ? Cat("shorter side to ", recipe.resize_shorter, ", centre ", recipe.width, "x", recipe.height)
                         : Cat("stretched to ", recipe.width, "x", recipe.height);
  text += recipe.channels == 1 ? ", grey" : recipe.bgr ? ", BGR" : ", RGB";
  if (recipe.invert) text += ", inverted";
  bool divided = recipe.scale == 1.0f / 255;
  text += divided ? ", pixels / 255" : recipe.scale == 1 ? ", pixels 0 to 255" : Cat(", pixels * ", recipe.scale);
  bool shifted = std::any_of(recipe.mean, recipe.mean + recipe.channels, [](float v) { return v != 0; });
  bool divided_by_std = std::any_of(recipe.std, recipe.std + recipe.channels, [](float v) { return v != 1; });
  if (shifted) text += Cat(", minus ", Triple(recipe.mean, recipe.channels));
  if (divided_by_std) text += Cat(", over ", Triple(recipe.std, recipe.channels));
  return text;
}

}  // namespace

Result<Preprocessing> ChoosePreprocessing(const PortInfo& port, const ModelInfo& info, const PreprocessingFlags& flags) {
  LINNET_ASSIGN(ImageRecipe recipe, RecipeOf(port));
  const ImageRecipe declared = recipe;
  if (flags.layout == "nhwc" || flags.layout == "nchw") recipe.channels_first = flags.layout == "nchw";
  Setting size = Find(flags.size, "--size", info, "image.size"), mean = Find(flags.mean, "--mean", info, "image.mean"),
          std = Find(flags.std, "--std", info, "image.std"),
          resize = Find(flags.resize >= 0 ? Cat(flags.resize) : "", "--resize", info, "image.resize"),
          scale = Find(flags.scale, "--scale", info, "image.scale");
  if (!size.text.empty()) LINNET_TRY(ParseSize(size, &recipe));
  bool habit = mean.text.empty() && std.text.empty() && scale.text.empty() && recipe.channels == 3 &&
               port.type.dtype != DType::kUint8;
  if (recipe.width == 0) recipe.width = habit ? 224 : recipe.height;
  if (recipe.height == 0) recipe.height = recipe.width;
  if (recipe.width == 0) {
    return InvalidArgument("input ", Quote(port.name), " takes pictures of any size; give --size WIDTHxHEIGHT");
  }
  bool other = (declared.width > 0 && declared.width != recipe.width) || (declared.height > 0 && declared.height != recipe.height);
  if (other) {
    return InvalidArgument(size.source, " is ", Quote(size.text), "; input ", Quote(port.name), " takes ", declared.width,
                           "x", declared.height, " pictures");
  }
  if (habit) {
    const ImageRecipe image_net;
    std::copy_n(image_net.mean, 3, recipe.mean);
    std::copy_n(image_net.std, 3, recipe.std);
    int64_t side = int64_t{std::max(recipe.width, recipe.height)} * image_net.resize_shorter / image_net.width;
    recipe.resize_shorter = static_cast<int>(std::min<int64_t>(side, INT32_MAX));
  }
  if (!mean.text.empty()) LINNET_TRY(ParseNumbers(mean, true, recipe.mean));
  if (!std.text.empty()) LINNET_TRY(ParseNumbers(std, false, recipe.std));
  if (!scale.text.empty()) {
    float values[3];
    LINNET_TRY(ParseNumbers(scale, false, values));
    recipe.scale = values[0];
  }
  if (!resize.text.empty()) {
    char* end = nullptr;
    long side = strtol(resize.text.c_str(), &end, 10);
    if (*end != 0 || side < 0 || side > 32768) {
      return InvalidArgument(resize.source, " is ", Quote(resize.text), "; a number of pixels up to 32768 is needed");
    }
    recipe.resize_shorter = static_cast<int>(side);
  }
  recipe.bgr = flags.bgr || IsTrue(Find("", "", info, "image.bgr"));
  recipe.invert = flags.invert || IsTrue(Find("", "", info, "image.invert"));
  return Preprocessing{recipe, Describe(recipe)};
}

Result<std::vector<std::string>> ReadLabels(const std::string& path) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, {FileAccess::kRead, int64_t{16} << 20}));
  std::vector<std::string> labels;
  std::string_view rest = file->bytes();
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    labels.emplace_back(line);
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  if (labels.empty()) return InvalidArgument(Quote(path), " holds no labels");
  return labels;
}

std::vector<std::string> LabelsOf(const ModelInfo& info) {
  std::vector<std::string> labels;
  for (const auto& [key, text] : info.metadata) {
    if (key != "labels" && key != "classes" && key != "names") continue;
    labels = Split(text, text.find('\n') != std::string::npos ? '\n' : ',');
    break;
  }
  return labels;
}

}  // namespace linnet::cli
