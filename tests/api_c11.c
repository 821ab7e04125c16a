/* The public C headers as C11, without a warning; a run from C, for a test to look at. */
#include "linnet/linnet.h"
#include "linnet/linnet_extend.h"
#include "linnet/linnet_quantize.h"

static LinnetCode InferSame(void* user, void* state, LinnetInfer* infer) {
  LinnetTypeInfo type;
  LinnetCode code = LinnetInferInput(infer, 0, &type);
  (void)user;
  (void)state;
  return code != LINNET_OK ? code : LinnetInferOutput(infer, 0, &type);
}

static LinnetCode ComputeTwice(void* user, void* state, LinnetCompute* compute) {
  LinnetTensor x;
  void* data;
  size_t i;
  LinnetCode code = LinnetComputeInput(compute, 0, &x);
  (void)user;
  (void)state;
  if (code != LINNET_OK) return code;
  if (x.type != LINNET_FLOAT) return LinnetFail(LINNET_INVALID_ARGUMENT, "Twice works on floats");
  code = LinnetComputeOutput(compute, 0, x.type, x.shape, x.rank, &data);
  if (code != LINNET_OK || !data) return code;
  for (i = 0; i < x.bytes / sizeof(float); ++i) ((float*)data)[i] = 2 * ((const float*)x.data)[i];
  return LINNET_OK;
}

LinnetCode RunTwiceFromC(const void* model, size_t size, const float* x, float* y, int64_t count) {
  LinnetOperator op = {0};
  LinnetOptions* options = NULL;
  LinnetSession* session = NULL;
  LinnetInput input = {0};
  LinnetOutput output = {0};
  LinnetCode code = LinnetOptionsCreate(&options);
  op.struct_size = sizeof op;
  op.domain = "test";
  op.name = "Twice";
  op.since_version = 1;
  op.infer = InferSame;
  op.compute = ComputeTwice;
  if (code == LINNET_OK) code = LinnetOptionsAddOperator(options, &op);
  if (code == LINNET_OK) code = LinnetSessionFromMemory(model, size, options, &session);
  input.name = "x";
  input.type = LINNET_FLOAT;
  input.rank = 1;
  input.shape = &count;
  input.data = x;
  input.bytes = (size_t)count * sizeof *x;
  output.name = "y";
  output.data = y;
  output.bytes = (size_t)count * sizeof *y;
  if (code == LINNET_OK) code = LinnetRun(session, &input, 1, &output, 1, NULL);
  LinnetSessionClose(session);
  LinnetOptionsClose(options);
  return code;
}
