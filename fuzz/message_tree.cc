// Taking messages apart, changing one field, putting them together again.
#include "fuzz/message_tree.h"

#include <string.h>

#include <algorithm>
#include <iterator>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace linnet::fuzz {
namespace {

constexpr int kDepthMax = 24;
constexpr uint32_t kNumberMax = 64;  // ONNX has no field above 25

bool ReadVarint(std::string_view bytes, size_t* at, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && *at < bytes.size(); shift += 7) {
    uint8_t byte = static_cast<uint8_t>(bytes[(*at)++]);
    *value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

void AddVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

/// Every list of fields of the tree.
void CollectLists(std::vector<Field>& fields, std::vector<std::vector<Field>*>& lists) {
  lists.push_back(&fields);
  for (Field& field : fields) {
    if (field.is_message) CollectLists(field.children, lists);
  }
}
void CollectFields(const std::vector<Field>& fields, uint32_t number, std::vector<const Field*>& found) {
  for (const Field& field : fields) {
    if (field.number == number) found.push_back(&field);
    if (field.is_message) CollectFields(field.children, number, found);
  }
}

void ChangeValue(Field& field, std::minstd_rand& random) {
  constexpr uint64_t kOdd[] = {0, 1, 2, 3, 7, 8, 13, 16, 17, 28, 29, 127, 128, 255, 1 << 16, 1u << 31, UINT32_MAX, 1ull << 32,
                               1ull << 40, 1ull << 62, 1ull << 63, ~0ull, ~1ull, ~0ull << 31, INT64_MAX};
  if (field.wire_type == 0) {
    switch (random() % 3) {
      case 0: field.varint = kOdd[random() % std::size(kOdd)]; break;
      case 1: field.varint += random() % 5 - 2u; break;
      default: field.varint ^= uint64_t{1} << (random() % 64);
    }
    return;
  }
  std::string& bytes = field.bytes;
  size_t size = bytes.size();
  if (field.wire_type == 2) {
    bytes.resize(size + 16);
    bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), size, bytes.size()));
  } else {
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), size, size);
    bytes.resize(size);
  }
}

}  // namespace

bool ParseMessage(std::string_view bytes, int depth, std::vector<Field>* fields) {
  if (depth > kDepthMax) return false;
  for (size_t at = 0; at < bytes.size();) {
    Field field;
    uint64_t tag, length = 0;
    if (!ReadVarint(bytes, &at, &tag)) return false;
    field.number = static_cast<uint32_t>(tag >> 3);
    field.wire_type = tag & 7;
    if (tag >> 3 == 0 || tag >> 3 > kNumberMax) return false;
    switch (field.wire_type) {
      case 0:
        if (!ReadVarint(bytes, &at, &field.varint)) return false;
        break;
      case 1: length = 8; break;
      case 5: length = 4; break;
      case 2:
        if (!ReadVarint(bytes, &at, &length)) return false;
        break;
      default: return false;
    }
    if (length > bytes.size() - at) return false;
    field.bytes = bytes.substr(at, length);
    at += length;
    if (field.wire_type == 2 && length > 1) {
      field.is_message = ParseMessage(field.bytes, depth + 1, &field.children);
      if (!field.is_message) field.children.clear();
    }
    fields->push_back(std::move(field));
  }
  return true;
}

std::string WriteMessage(const std::vector<Field>& fields) {
  std::string out;
  for (const Field& field : fields) {
    AddVarint(out, uint64_t{field.number} << 3 | field.wire_type);
    if (field.wire_type == 0) {
      AddVarint(out, field.varint);
      continue;
    }
    std::string bytes = field.is_message ? WriteMessage(field.children) : field.bytes;
    if (field.wire_type == 2) AddVarint(out, bytes.size());
    out += bytes;
  }
  return out;
}

void MutateMessage(std::vector<Field>& fields, const std::vector<Field>& other, std::minstd_rand& random) {
  std::vector<std::vector<Field>*> lists;
  CollectLists(fields, lists);
  std::erase_if(lists, [](const std::vector<Field>* list) { return list->empty(); });
  if (lists.empty()) return;
  std::vector<Field>& list = *lists[random() % lists.size()];
  size_t index = random() % list.size();
  Field& field = list[index];
  switch (random() % 10) {
    case 0: list.erase(list.begin() + static_cast<std::ptrdiff_t>(index)); break;
    case 1: list.insert(list.begin() + static_cast<std::ptrdiff_t>(random() % list.size()), Field(field)); break;
    case 2: std::swap(field, list[random() % list.size()]); break;
    case 3:
    case 4: {  // the same kind of part from elsewhere
      std::vector<const Field*> found;
      CollectFields(other.empty() || random() % 2 ? fields : other, field.number, found);
      if (!found.empty()) field = Field(*found[random() % found.size()]);
      break;
    }
    case 5: {  // one more of them
      std::vector<const Field*> found;
      CollectFields(other.empty() ? fields : other, field.number, found);
      if (!found.empty()) list.push_back(Field(*found[random() % found.size()]));
      break;
    }
    case 6:
      field.number = 1 + static_cast<uint32_t>(random() % 25);
      break;
    default:
      if (field.is_message) {
        if (random() % 8 == 0) {  // its bytes as they are
          field.bytes = WriteMessage(field.children);
          field.is_message = false;
          field.children.clear();
        } else if (!field.children.empty()) {
          Field& child = field.children[random() % field.children.size()];
          if (!child.is_message) ChangeValue(child, random);
        }
      } else {
        ChangeValue(field, random);
      }
  }
}

}  // namespace linnet::fuzz
