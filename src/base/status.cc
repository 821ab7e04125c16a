// Names of the status codes, and what a failure keeps.
#include "base/status.h"

namespace linnet {

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalidModel: return "invalid model";
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kUnsupported: return "unsupported";
    case Code::kNotInBuild: return "not in build";
    case Code::kOutOfMemory: return "out of memory";
    case Code::kLimitReached: return "limit reached";
    case Code::kIo: return "I/O error";
    case Code::kCancelled: return "cancelled";
    case Code::kInternal: return "internal error";
  }
  return "unknown";
}

Status::Status(Code code, std::string message) : detail_(new Detail{code, std::move(message)}) {}

Status Status::At(std::string_view where) && {
#if !defined(LINNET_NO_SENTENCES)
  if (detail_) detail_->message = Cat(where, ": ", detail_->message);
#endif
  return std::move(*this);
}

Status Status::Clone() const { return detail_ ? Status(detail_->code, detail_->message) : Status(); }

void Status::Forget() { delete detail_; }

#if defined(LINNET_NO_SENTENCES)
Status FailAlone(Code code) { return Status(code, CodeName(code)); }
#else
Status FailParts(Code code, uint64_t kinds, ...) {
  va_list parts;
  va_start(parts, kinds);
  std::string message = CatPartsOf(kinds, parts);
  va_end(parts);
  return Status(code, std::move(message));
}
#endif

}  // namespace linnet
