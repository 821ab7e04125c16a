// The functions of linnet_extend.h in a build without them: nobody can add an operator or a pass, so that what is lent to
// their callbacks never exists.
#include "api/absent.h"
#include "passes/pass.h"

namespace linnet::api {

void BuildTable(SessionSettings&) {}
Status RunCustomPass(void*, Graph&, const PassContext&) { return Internal("there are no passes"); }

}  // namespace linnet::api

static LinnetCode Absent() {
  return linnet::api::KeepError(LINNET_NOT_IN_BUILD, "operators and passes of your own are not in this build");
}

#include "api/absent_extensions.h"
