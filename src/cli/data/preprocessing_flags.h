// The flags that say how pictures become inputs, for every command that reads pictures.
#pragma once

#include "cli/arguments.h"
#include "cli/data/preprocessing.h"

namespace linnet::cli {

/// Adds --size --resize --scale --mean --std --layout --bgr --invert. `flags` must outlive `command`.
inline void AddPreprocessingFlags(Arguments& command, PreprocessingFlags* flags) {
  command.Add("--size", flags->size, "WIDTHxHEIGHT the model sees, where it does not declare it");
  command.Add("--resize", flags->resize, "Resize pictures' shorter side to this, then crop the centre; 0: stretch")
      .Range(0, 32768);
  command.Add("--scale", flags->scale, "Pixels are multiplied by this first (1/255)");
  command.Add("--mean", flags->mean, "Then this is subtracted: one number or three, e.g. 0.485,0.456,0.406");
  command.Add("--std", flags->std, "Then divided by this");
  command.Add("--layout", flags->layout, "nchw or nhwc, where the input's shape does not tell")
      .OneOf({"nchw", "nhwc"});
  command.Flag("--bgr", flags->bgr, "Channels in the order blue, green, red");
  command.Flag("--invert", flags->invert, "Invert pictures first: dark ink on light paper for a model of light on dark");
}

}  // namespace linnet::cli
