// Models and assertions for tests of the public interface, which see nothing else of the library.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "linnet/linnet.h"

namespace linnet_test {

/// A .onnx file of the graph that `text` describes (graph/text.h); operators' versions name the opsets.
std::string ModelBytes(const std::string& text);
/// The digits model and the pictures that come with it.
std::string DigitsPath();
std::string DigitsInputPath();
std::string DigitsOutputPath();
/// The floats at the end of a file.
std::vector<float> LastFloats(const std::string& path, size_t count);
/// A path in a fresh folder for temporary files.
std::string TemporaryPath(const std::string& name);

/// The CPU level that every machine of this family has.
inline const char* LowestCpu() {
#if defined(__x86_64__) || defined(__i386__)
  return "sse4";
#elif defined(__aarch64__) || defined(__arm__)
  return "neon";
#else
  return "wasm";
#endif
}

/// A session from graph text; a failure fails the test.
LinnetSession* OpenText(const std::string& text, const LinnetOptions* options = nullptr);

inline LinnetInput FloatInput(const char* name, const float* data, const int64_t* shape, int32_t rank) {
  LinnetInput input = {};
  input.name = name;
  input.type = LINNET_FLOAT;
  input.rank = rank;
  input.shape = shape;
  input.data = data;
  int64_t elements = 1;
  for (int32_t d = 0; d < rank; ++d) elements *= shape[d];
  input.bytes = static_cast<size_t>(elements) * sizeof(float);
  return input;
}
inline LinnetInput ValueInput(const char* name, LinnetValue* value) {
  LinnetInput input = {};
  input.name = name;
  input.value = value;
  return input;
}
inline LinnetOutput Into(const char* name, void* data, size_t bytes) {
  LinnetOutput output = {};
  output.name = name;
  output.data = data;
  output.bytes = bytes;
  return output;
}
inline LinnetOutput Made(const char* name) {
  LinnetOutput output = {};
  output.name = name;
  return output;
}

}  // namespace linnet_test

#define EXPECT_OK(call) EXPECT_EQ(call, LINNET_OK) << LinnetLastError()
#define ASSERT_OK(call) ASSERT_EQ(call, LINNET_OK) << LinnetLastError()
/// The call fails with `code` and a sentence that contains `part`.
#define EXPECT_FAILS(call, code, part)                                                                      \
  do {                                                                                                      \
    EXPECT_EQ(call, code) << LinnetLastError();                                                             \
    EXPECT_NE(std::string(LinnetLastError()).find(part), std::string::npos) << LinnetLastError();           \
  } while (0)
