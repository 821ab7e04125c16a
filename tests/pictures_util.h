// Tests that decode pictures, on systems where that is not done: Windows, and emulators that cannot take rights from a process.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "cli/data/image.h"

namespace linnet_test {

/// Why pictures are not decoded here; empty where they are.
inline std::string WhyNoPictures() {
  static const std::string why = []() -> std::string {
    const linnet::Result<linnet::Image> image = linnet::DecodeImage("P6\n1 1\n255\nabc");
    const std::string message(image.ok() ? "" : image.status().message());
    const bool refused = message.find("could not be confined") != std::string::npos || message.find("not decoded on") != std::string::npos;
    return refused ? message : "";
  }();
  return why;
}

}  // namespace linnet_test

#define LINNET_NEEDS_PICTURES \
  if (const std::string why = linnet_test::WhyNoPictures(); !why.empty()) GTEST_SKIP() << why
