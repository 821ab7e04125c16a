// Names of the status codes.
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

}  // namespace linnet
