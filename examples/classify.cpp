// Classifies a handwritten digit: classify_cpp digits.onnx input_0.pb (a picture of 28x28 floats at the end of a file).
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <linnet/linnet.hpp>

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL PICTURE\n", argv[0]), 2;
  try {
    std::vector<float> image(28 * 28), probabilities(10);
    const std::streamoff bytes = static_cast<std::streamoff>(image.size() * sizeof(float));
    std::ifstream file(argv[2], std::ios::binary);
    if (!file.seekg(-bytes, std::ios::end).read(reinterpret_cast<char*>(image.data()), bytes)) {
      return std::fprintf(stderr, "%s holds no picture of 28x28 floats\n", argv[2]), 1;
    }

    linnet::Session session(argv[1], linnet::Options().Threads(1));
    for (const linnet::Port& port : session.inputs()) std::printf("input %s\n", port.name.c_str());
    session.Run({{"image", image, {1, 1, 28, 28}}}, {{"probabilities", probabilities}});

    auto best = std::max_element(probabilities.begin(), probabilities.end());
    std::printf("a %d, with probability %.6f\n", static_cast<int>(best - probabilities.begin()), *best);
  } catch (const linnet::Error& error) {
    std::fprintf(stderr, "%s: %s\n", LinnetCodeName(static_cast<LinnetCode>(error.code())), error.what());
    return 1;
  }
  return 0;
}
