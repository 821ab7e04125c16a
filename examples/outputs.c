/* Runs a model on made-up numbers and prints its outputs: outputs MODEL. The same numbers on every machine, so that the
 * answers of two builds can be compared. Float inputs only; sizes that the model leaves open are 1. */
#include <linnet/linnet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void Check(LinnetCode code) {
  if (code == LINNET_OK) return;
  fprintf(stderr, "%s: %s\n", LinnetCodeName(code), LinnetLastError());
  exit(1);
}

static void* Allocate(size_t bytes) {
  void* memory = malloc(bytes ? bytes : 1);
  if (!memory) exit(1);
  return memory;
}

/* Numbers from -1 to 1, from a linear congruential generator. */
static void Fill(float* data, int64_t count, uint32_t seed) {
  for (int64_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    data[i] = (float)(int32_t)seed / 2147483648.0f;
  }
}

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: %s MODEL\n", argv[0]), 2;
  LinnetSession* session;
  Check(LinnetSessionOpen(argv[1], NULL, &session));
  size_t input_count, output_count;
  Check(LinnetSessionPortCounts(session, &input_count, &output_count));

  LinnetInput* inputs = Allocate(input_count * sizeof *inputs);
  LinnetPort* ports = Allocate(input_count * sizeof *ports);
  for (size_t i = 0; i < input_count; ++i) {
    LinnetPort* port = &ports[i];
    *port = (LinnetPort){.struct_size = sizeof *port};
    Check(LinnetSessionInput(session, i, port));
    if (port->type.kind != LINNET_KIND_TENSOR || port->type.element != LINNET_FLOAT || port->type.rank < 0) {
      return fprintf(stderr, "input %s is no float tensor of known rank\n", port->name), 1;
    }
    int64_t count = 1;
    for (int32_t d = 0; d < port->type.rank; ++d) {
      if (port->type.shape[d] < 0) port->type.shape[d] = 1;
      count *= port->type.shape[d];
    }
    float* data = Allocate((size_t)count * sizeof *data);
    Fill(data, count, (uint32_t)i + 1);
    inputs[i] = (LinnetInput){.name = port->name, .type = LINNET_FLOAT, .rank = port->type.rank, .shape = port->type.shape,
                              .data = data, .bytes = (size_t)count * sizeof *data};
  }
  LinnetOutput* outputs = Allocate(output_count * sizeof *outputs);
  for (size_t i = 0; i < output_count; ++i) {
    LinnetPort port = {.struct_size = sizeof port};
    Check(LinnetSessionOutput(session, i, &port));
    outputs[i] = (LinnetOutput){.name = port.name};
  }
  Check(LinnetRun(session, inputs, input_count, outputs, output_count, NULL));

  for (size_t i = 0; i < output_count; ++i) {
    const void* data;
    size_t bytes;
    if (outputs[i].type.element != LINNET_FLOAT) return fprintf(stderr, "output %s is not of floats\n", outputs[i].name), 1;
    Check(LinnetValueData(outputs[i].value, &data, &bytes));
    for (size_t j = 0; j < bytes / sizeof(float); ++j) printf("%.9g\n", ((const float*)data)[j]);
    Check(LinnetValueClose(outputs[i].value));
  }
  for (size_t i = 0; i < input_count; ++i) free((void*)inputs[i].data);
  free(inputs), free(ports), free(outputs);
  Check(LinnetSessionClose(session));
  return 0;
}
