/* Classifies a handwritten digit: classify_c digits.onnx input_0.pb (a picture of 28x28 floats at the end of a file). */
#include <linnet/linnet.h>
#include <stdio.h>
#include <stdlib.h>

static void Check(LinnetCode code) {
  if (code == LINNET_OK) return;
  fprintf(stderr, "%s: %s\n", LinnetCodeName(code), LinnetLastError());
  exit(1);
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: %s MODEL PICTURE\n", argv[0]), 2;
  float image[28 * 28], probabilities[10];
  FILE* file = fopen(argv[2], "rb");
  if (!file || fseek(file, -(long)sizeof image, SEEK_END) != 0 || fread(image, sizeof image, 1, file) != 1) {
    return fprintf(stderr, "%s holds no picture of 28x28 floats\n", argv[2]), 1;
  }
  fclose(file);

  LinnetSession* session;
  Check(LinnetSessionOpen(argv[1], NULL, &session));

  const int64_t shape[] = {1, 1, 28, 28};
  LinnetInput input = {.name = "image", .type = LINNET_FLOAT, .rank = 4, .shape = shape, .data = image, .bytes = sizeof image};
  LinnetOutput output = {.name = "probabilities", .data = probabilities, .bytes = sizeof probabilities};
  Check(LinnetRun(session, &input, 1, &output, 1, NULL));

  for (int digit = 0; digit < 10; ++digit) printf("%d  %.6f\n", digit, probabilities[digit]);
  Check(LinnetSessionClose(session));
  return 0;
}
