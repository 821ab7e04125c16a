// A protobuf message taken apart without its schema, so that a mutation of one field leaves every length around it right.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace linnet::fuzz {

struct Field {
  uint32_t number = 0;
  uint32_t wire_type = 0;       ///< 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes
  uint64_t varint = 0;
  std::string bytes;            ///< of wire types 1, 5, and 2 when it is no message
  std::vector<Field> children;  ///< of wire type 2, when its bytes read as a message
  bool is_message = false;
};

/// False when `bytes` are no message of plausible fields.
bool ParseMessage(std::string_view bytes, int depth, std::vector<Field>* fields);
std::string WriteMessage(const std::vector<Field>& fields);

/// Changes one field somewhere in the tree: its value, its place, its number of copies. `other` gives parts to put in.
void MutateMessage(std::vector<Field>& fields, const std::vector<Field>& other, std::minstd_rand& random);

}  // namespace linnet::fuzz
