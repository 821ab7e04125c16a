/* Makes an 8-bit model of the digits model: quantize_c digits.onnx int8.onnx input_0.pb... (pictures of 28x28 floats). */
#include <linnet/linnet_quantize.h>
#include <stdio.h>
#include <stdlib.h>

static void Check(LinnetCode code) {
  if (code == LINNET_OK) return;
  fprintf(stderr, "%s: %s\n", LinnetCodeName(code), LinnetLastError());
  exit(1);
}

/* Sample `index` is the picture at the end of a file. The library closes the value. */
static LinnetCode Load(void* user, int64_t index, LinnetValue** values, size_t count) {
  const char* path = ((char**)user)[index];
  float image[28 * 28];
  FILE* file = fopen(path, "rb");
  const int good = file && count == 1 && fseek(file, -(long)sizeof image, SEEK_END) == 0 && fread(image, sizeof image, 1, file) == 1;
  if (file) fclose(file);
  if (!good) return LinnetFail(LINNET_IO, path);
  const int64_t shape[] = {1, 1, 28, 28};
  return LinnetTensorCreate(LINNET_FLOAT, shape, 4, image, &values[0]);
}

static void Progress(void* user, const char* what, int64_t done, int64_t total) {
  (void)user;
  fprintf(stderr, "\r%s %lld of %lld   ", what, (long long)done, (long long)total);
}

int main(int argc, char** argv) {
  if (argc < 4) return fprintf(stderr, "usage: %s MODEL OUTPUT PICTURE...\n", argv[0]), 2;
  LinnetQuantizer* quantizer;
  Check(LinnetQuantizerCreate(&quantizer));
  Check(LinnetQuantizerSet(quantizer, "min-sqnr", "30")); /* or no file is written */
  Check(LinnetQuantizerSetProgress(quantizer, Progress, NULL));

  LinnetSamples samples = {.struct_size = sizeof samples, .user = argv + 3, .count = argc - 3, .load = Load};
  LinnetQuantizeReport report = {.struct_size = sizeof report};
  Check(LinnetQuantizerRun(quantizer, argv[1], argv[2], &samples, &report));

  const char* notes;
  Check(LinnetQuantizerNotes(quantizer, &notes));
  printf("\n%lld of %lld nodes, weights %lld -> %lld bytes, %.1f dB on %lld samples\n%s", (long long)report.quantized_nodes,
         (long long)report.nodes, (long long)report.weight_bytes_before, (long long)report.weight_bytes_after, report.sqnr_db,
         (long long)report.compared, notes);
  Check(LinnetQuantizerClose(quantizer));
  return 0;
}
