// Mutations that know the form of the input: messages of .onnx files, words and numbers of graph text, sizes of .linnet, tables of .ort.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet::fuzz {

/// As LLVMFuzzerCustomMutator: changes `data` in place and returns the new size.
size_t MutateOnnx(uint8_t* data, size_t size, size_t max_size, unsigned seed);
size_t MutateText(uint8_t* data, size_t size, size_t max_size, unsigned seed);
size_t MutatePrepared(uint8_t* data, size_t size, size_t max_size, unsigned seed);
size_t MutateTables(uint8_t* data, size_t size, size_t max_size, unsigned seed);
/// As LLVMFuzzerCustomCrossOver.
size_t CrossOnnx(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size, uint8_t* out, size_t max_size,
                 unsigned seed);

}  // namespace linnet::fuzz
