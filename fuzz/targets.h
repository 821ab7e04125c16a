// What the fuzz targets do with hostile bytes. Each target is one function; the tests replay the corpus through the same.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace linnet::fuzz {

using Bytes = std::span<const uint8_t>;

/// Reads an .onnx model, verifies it, writes it and reads it back: the second reading prints as the first.
void ReadOnnxModel(Bytes bytes);
/// Reads a .ort file, verifies the graph, and opens and runs it under budgets.
void ReadOrtModel(Bytes bytes);
/// Reads a .linnet file and, when it is whole, prepares, plans and runs it under budgets.
void ReadPreparedModel(Bytes bytes);
/// Opens a model (.onnx, .ort, .linnet, or text of a graph, which is written as .onnx first) and runs it with small inputs
/// under budgets of memory, steps and time, twice.
void LoadAndRun(Bytes bytes);
/// Parses text of a graph; what parses prints and parses again.
void ParseGraphText(Bytes bytes);

/// The .onnx file of a graph in text form. A file has one version of each domain: the highest that a node names.
Result<std::string> OnnxOfText(std::string_view text);

struct Target {
  const char* name;  ///< of its folder in fuzz/corpus
  void (*run)(Bytes bytes);
};
std::span<const Target> Targets();

}  // namespace linnet::fuzz
