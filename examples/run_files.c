/* Runs a model on tensors from files, so that the answers of two builds, or of two machines, can be compared: run_files MODEL FOLDER
 *
 * FOLDER/inputs has a line for each input of the model, in their order: the element type's number, then the dimensions; "-" for one
 * that is left out. FOLDER/input_0.bin and so on hold their bytes. Written are FOLDER/outputs, of the same form, and
 * FOLDER/output_0.bin and so on. Tensors of numbers only. `linnet shrink` checks what it built with this program. */
#include <linnet/linnet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static FILE* Open(const char* folder, const char* name, int number, const char* mode) {
  char path[4096];
  snprintf(path, sizeof path, number < 0 ? "%s/%s" : "%s/%s_%d.bin", folder, name, number);
  FILE* file = fopen(path, mode);
  if (!file) fprintf(stderr, "cannot open %s\n", path), exit(1);
  return file;
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: %s MODEL FOLDER\n", argv[0]), 2;
  const char* folder = argv[2];
  LinnetSession* session;
  Check(LinnetSessionOpen(argv[1], NULL, &session));
  size_t ports, output_count, input_count = 0;
  Check(LinnetSessionPortCounts(session, &ports, &output_count));

  LinnetInput* inputs = Allocate(ports * sizeof *inputs);
  int64_t(*shapes)[LINNET_RANK_MAX] = Allocate(ports * sizeof *shapes);
  FILE* list = Open(folder, "inputs", -1, "r");
  for (size_t i = 0; i < ports; ++i) {
    char line[512], *at = line;
    if (!fgets(line, sizeof line, list)) return fprintf(stderr, "inputs has too few lines\n"), 1;
    if (line[0] == '-') continue;
    LinnetPort port = {.struct_size = sizeof port};
    Check(LinnetSessionInput(session, i, &port));
    LinnetInput* input = &inputs[input_count++];
    *input = (LinnetInput){.name = port.name, .shape = shapes[i]};
    input->type = (LinnetElementType)strtol(at, &at, 10);
    int64_t elements = 1;
    for (char* end; input->rank < LINNET_RANK_MAX; at = end) {
      int64_t dim = strtoll(at, &end, 10);
      if (end == at) break;
      shapes[i][input->rank++] = dim;
      elements *= dim;
    }
    input->bytes = (size_t)LinnetTensorBytes(input->type, elements);
    void* data = Allocate(input->bytes);
    FILE* file = Open(folder, "input", (int)i, "rb");
    if (fread(data, 1, input->bytes, file) != input->bytes) return fprintf(stderr, "input_%d.bin is too short\n", (int)i), 1;
    fclose(file);
    input->data = data;
  }
  fclose(list);

  LinnetOutput* outputs = Allocate(output_count * sizeof *outputs);
  for (size_t i = 0; i < output_count; ++i) {
    LinnetPort port = {.struct_size = sizeof port};
    Check(LinnetSessionOutput(session, i, &port));
    outputs[i] = (LinnetOutput){.name = port.name};
  }
  Check(LinnetRun(session, inputs, input_count, outputs, output_count, NULL));

  list = Open(folder, "outputs", -1, "w");
  for (size_t i = 0; i < output_count; ++i) {
    const void* data;
    size_t bytes;
    Check(LinnetValueData(outputs[i].value, &data, &bytes));
    fprintf(list, "%d", (int)outputs[i].type.element);
    for (int32_t d = 0; d < outputs[i].type.rank; ++d) fprintf(list, " %lld", (long long)outputs[i].type.shape[d]);
    fprintf(list, "\n");
    FILE* file = Open(folder, "output", (int)i, "wb");
    if (fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) return fprintf(stderr, "cannot write output_%d.bin\n", (int)i), 1;
    Check(LinnetValueClose(outputs[i].value));
  }
  if (fclose(list) != 0) return 1;
  for (size_t i = 0; i < input_count; ++i) free((void*)inputs[i].data);
  free(inputs), free(shapes), free(outputs);
  Check(LinnetSessionClose(session));
  return 0;
}
