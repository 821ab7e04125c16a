// The functions of linnet_extend.h in a build without them: nobody can add an operator or a pass, so that what is lent to
// their callbacks never exists.
#include "api/c_api.h"
#include "passes/pass.h"

namespace linnet::api {

void BuildTable(SessionSettings&) {}
Status RunCustomPass(void*, Graph&, const PassContext&) { return Internal("there are no passes"); }

}  // namespace linnet::api

namespace {
LinnetCode Absent() {
  return linnet::api::KeepError(LINNET_NOT_IN_BUILD, "operators and passes of your own are not in this build");
}
}  // namespace

// Declared by linnet_extend.h with their arguments, none of which matters here.
#define LINNET_TEXT_(x) #x
#define LINNET_TEXT(x) LINNET_TEXT_(x)
#define LINNET_ABSENT(function)                                                                                     \
  extern "C" __attribute__((visibility("default"))) LinnetCode function##Absent()                                  \
      __asm__(LINNET_TEXT(__USER_LABEL_PREFIX__) #function);                                                       \
  LinnetCode function##Absent() { return Absent(); }

LINNET_ABSENT(LinnetNodeOp)
LINNET_ABSENT(LinnetNodeName)
LINNET_ABSENT(LinnetNodeAttributeCount)
LINNET_ABSENT(LinnetNodeAttribute)
LINNET_ABSENT(LinnetNodeGetInt)
LINNET_ABSENT(LinnetNodeGetFloat)
LINNET_ABSENT(LinnetNodeGetString)
LINNET_ABSENT(LinnetNodeGetInts)
LINNET_ABSENT(LinnetNodeGetFloats)
LINNET_ABSENT(LinnetNodeGetTensor)
LINNET_ABSENT(LinnetOptionsAddOperator)
LINNET_ABSENT(LinnetInferCounts)
LINNET_ABSENT(LinnetInferInput)
LINNET_ABSENT(LinnetInferInputData)
LINNET_ABSENT(LinnetInferOutput)
LINNET_ABSENT(LinnetComputeCounts)
LINNET_ABSENT(LinnetComputeInput)
LINNET_ABSENT(LinnetComputeInputValue)
LINNET_ABSENT(LinnetComputeOutput)
LINNET_ABSENT(LinnetComputeOutputValue)
LINNET_ABSENT(LinnetComputeParallel)
LINNET_ABSENT(LinnetComputeCheck)
LINNET_ABSENT(LinnetOptionsAddPass)
LINNET_ABSENT(LinnetGraphCounts)
LINNET_ABSENT(LinnetGraphNode)
LINNET_ABSENT(LinnetGraphInput)
LINNET_ABSENT(LinnetGraphOutput)
LINNET_ABSENT(LinnetGraphValue)
LINNET_ABSENT(LinnetGraphProducer)
LINNET_ABSENT(LinnetGraphConstant)
LINNET_ABSENT(LinnetNodePortCounts)
LINNET_ABSENT(LinnetNodeInput)
LINNET_ABSENT(LinnetNodeOutput)
LINNET_ABSENT(LinnetNodeBody)
LINNET_ABSENT(LinnetGraphAddConstant)
LINNET_ABSENT(LinnetGraphAddNode)
LINNET_ABSENT(LinnetGraphReplaceUses)
LINNET_ABSENT(LinnetNodeRemove)
LINNET_ABSENT(LinnetNodeSetOp)
LINNET_ABSENT(LinnetNodeSetInput)
LINNET_ABSENT(LinnetNodeSetInt)
LINNET_ABSENT(LinnetNodeSetFloat)
LINNET_ABSENT(LinnetNodeSetString)
LINNET_ABSENT(LinnetNodeSetInts)
LINNET_ABSENT(LinnetNodeSetFloats)
LINNET_ABSENT(LinnetNodeSetTensor)
LINNET_ABSENT(LinnetNodeUnset)
