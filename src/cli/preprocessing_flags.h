// The flags that say how pictures become inputs, for every command that reads pictures.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/preprocessing.h"

namespace linnet::cli {

/// Adds --size --resize --scale --mean --std --layout --bgr --invert. `flags` must outlive `command`.
inline void AddPreprocessingFlags(CLI::App& command, PreprocessingFlags* flags) {
  command.add_option("--size", flags->size, "WIDTHxHEIGHT the model sees, where it does not declare it");
  command.add_option("--resize", flags->resize, "Resize pictures' shorter side to this, then crop the centre; 0: stretch")
      ->check(CLI::Range(0, 32768));
  command.add_option("--scale", flags->scale, "Pixels are multiplied by this first (1/255)");
  command.add_option("--mean", flags->mean, "Then this is subtracted: one number or three, e.g. 0.485,0.456,0.406");
  command.add_option("--std", flags->std, "Then divided by this");
  command.add_option("--layout", flags->layout, "nchw or nhwc, where the input's shape does not tell")
      ->check(CLI::IsMember({"nchw", "nhwc"}));
  command.add_flag("--bgr", flags->bgr, "Channels in the order blue, green, red");
  command.add_flag("--invert", flags->invert, "Invert pictures first: dark ink on light paper for a model of light on dark");
}

}  // namespace linnet::cli
