// How a classifier wants its pictures: from flags, from the model's metadata, or by ImageNet's habit.
#pragma once

#include <string>
#include <vector>

#include "api/session.h"
#include "cli/data/image.h"

namespace linnet::cli {

/// Flags of commands that read pictures; empty (--resize: negative) means "not given".
struct PreprocessingFlags {
  std::string size, mean, std, scale, layout;
  int resize = -1;
  bool bgr = false, invert = false;
};

struct Preprocessing {
  ImageRecipe recipe;
  std::string sentence;    ///< what is done to a picture, for people
};

/// Flags win over metadata (image.size, image.resize, image.scale, image.mean, image.std, image.bgr, image.invert), which
/// win over the habit: floats of three channels get ImageNet's resize, crop, mean and standard deviation; everything
/// else is stretched to the input's size, and floats are pixels / 255. Fails naming the flag or key that makes no sense.
Result<Preprocessing> ChoosePreprocessing(const PortInfo& port, const ModelInfo& info, const PreprocessingFlags& flags);

/// Names of the classes: the lines of a file, without trailing blank ones.
Result<std::vector<std::string>> ReadLabels(const std::string& path);
/// The metadata's `labels` (or `classes`, `names`), one a line or separated by commas; empty when there are none.
std::vector<std::string> LabelsOf(const ModelInfo& info);

}  // namespace linnet::cli
