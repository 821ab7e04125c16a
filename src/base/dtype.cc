// One row per element type.
#include "base/dtype.h"

namespace linnet {
namespace {

struct Row {
  char name[15];   // not pointers, which a library has to relocate
  uint8_t bits;
  char kind;  // 'f' floating, 's' signed integer, 'u' unsigned integer, 'b' bool, 't' text, 'c' complex, '-' none
};

constexpr Row kRows[kDTypeCount] = {
    {"undefined", 0, '-'},     {"float", 32, 'f'},          {"uint8", 8, 'u'},        {"int8", 8, 's'},
    {"uint16", 16, 'u'},       {"int16", 16, 's'},          {"int32", 32, 's'},       {"int64", 64, 's'},
    {"string", 0, 't'},        {"bool", 8, 'b'},            {"float16", 16, 'f'},     {"double", 64, 'f'},
    {"uint32", 32, 'u'},       {"uint64", 64, 'u'},         {"complex64", 64, 'c'},   {"complex128", 128, 'c'},
    {"bfloat16", 16, 'f'},     {"float8e4m3fn", 8, 'f'},    {"float8e4m3fnuz", 8, 'f'}, {"float8e5m2", 8, 'f'},
    {"float8e5m2fnuz", 8, 'f'}, {"uint4", 4, 'u'},          {"int4", 4, 's'},         {"float4e2m1", 4, 'f'},
    {"float8e8m0", 8, 'f'},    {"uint2", 2, 'u'},           {"int2", 2, 's'},
};

const Row& RowOf(DType dtype) { return kRows[static_cast<int>(dtype)]; }

}  // namespace

const char* DTypeName(DType dtype) { return RowOf(dtype).name; }

DType DTypeFromName(std::string_view name) {
  for (int i = 1; i < kDTypeCount; ++i) {
    if (name == kRows[i].name) return static_cast<DType>(i);
  }
  return DType::kUndefined;
}

int DTypeBits(DType dtype) { return RowOf(dtype).bits; }

size_t DTypeBytes(DType dtype) {
  return dtype == DType::kString ? sizeof(std::string) : static_cast<size_t>(RowOf(dtype).bits / 8);
}

bool IsFloating(DType dtype) { return RowOf(dtype).kind == 'f'; }
bool IsInteger(DType dtype) { return RowOf(dtype).kind == 's' || RowOf(dtype).kind == 'u'; }
bool IsSigned(DType dtype) { return RowOf(dtype).kind == 's' || RowOf(dtype).kind == 'f'; }

}  // namespace linnet
