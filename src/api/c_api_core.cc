// The C boundary's core, which builds for the plans in files share: errors, versions, names, types as the header has them.
#include "api/boundary.h"

#include <string.h>

#include <algorithm>

namespace linnet::api {
namespace {

/// A fixed buffer: keeping an error never fails, and the thread's end has nothing to free.
thread_local char last_error[1024] = "";

}  // namespace

LinnetCode KeepError(LinnetCode code, std::string_view sentence) noexcept {
  size_t size = std::min(sentence.size(), sizeof last_error - 1);
  // A cut leaves whole UTF-8 characters.
  while (size < sentence.size() && size > 0 && (static_cast<unsigned char>(sentence[size]) & 0xC0) == 0x80) --size;
  memmove(last_error, sentence.data(), size);
  last_error[size] = 0;
  return code;
}

Status NullArgument(const char* name) { return InvalidArgument("argument '", name, "' is NULL"); }
Status NotOpen(const char* what) { return InvalidArgument("this is no open ", what, " handle"); }

LinnetCode Returned(Status status) noexcept {
  return status.ok() ? LINNET_OK : KeepError(static_cast<LinnetCode>(status.code()), status.message());
}

void ForgetError() { last_error[0] = 0; }

Status CallbackStatus(LinnetCode code) {
  if (code == LINNET_OK) return Status();
  if (code < 0 || code > LINNET_INTERNAL) return Internal("a callback returned code ", code, ", which does not exist");
  return Status(static_cast<Code>(code), last_error[0] ? last_error : "a callback failed without a sentence");
}

// The numbers of the public header are those of the core.
static_assert(LINNET_RANK_MAX == kMaxRank);
static_assert(LINNET_INT2 == static_cast<int>(DType::kInt2) && LINNET_INT2 + 1 == kDTypeCount);
static_assert(LINNET_KIND_SEQUENCE_OF_MAPS == static_cast<int>(Kind::kSequenceOfMaps));
static_assert(LINNET_INTERNAL == static_cast<int>(Code::kInternal));

LinnetTypeInfo ToInfo(const Type& type) {
  LinnetTypeInfo info = {};
  info.kind = static_cast<LinnetKind>(type.kind);
  info.element = static_cast<LinnetElementType>(type.dtype);
  info.key = static_cast<LinnetElementType>(type.key);
  info.rank = type.shape.rank();
  for (int d = 0; d < type.shape.rank(); ++d) info.shape[d] = type.shape[d];
  return info;
}

size_t AlignmentOf(DType dtype) {
  switch (dtype) {
    case DType::kComplex64: return alignof(float);
    case DType::kComplex128: return alignof(double);
    case DType::kString: return alignof(LinnetString);
    default: return std::max<size_t>(DTypeBytes(dtype), 1);
  }
}

}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

uint32_t LinnetApiVersion(void) LINNET_NOEXCEPT { return LINNET_API_VERSION; }
const char* LinnetVersion(void) LINNET_NOEXCEPT { return LINNET_PROJECT_VERSION; }
const char* LinnetLastError(void) LINNET_NOEXCEPT { return last_error; }

const char* LinnetCodeName(LinnetCode code) LINNET_NOEXCEPT {
  return code >= LINNET_OK && code <= LINNET_INTERNAL ? CodeName(static_cast<Code>(code)) : "unknown code";
}

LinnetCode LinnetFail(LinnetCode code, const char* sentence) LINNET_NOEXCEPT {
  return KeepError(code, sentence ? sentence : "");
}

const char* LinnetElementTypeName(LinnetElementType type) LINNET_NOEXCEPT {
  return type >= 0 && type < kDTypeCount ? DTypeName(static_cast<DType>(type)) : "unknown";
}
