// fuse_recurrent_weights: which LSTM, GRU and RNN read bytes, and the same numbers with and without.
#include "passes_test_util.h"

namespace linnet {
namespace {

struct Form {
  const char* op;
  int gates;
  const char* attributes;
};
const Form kForms[] = {{"LSTM", 4, ""}, {"GRU", 3, ""}, {"GRU", 3, ", linear_before_reset=1"}, {"RNN", 1, ""}};

std::string List(int64_t count, int low, int high, double scale, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::string out;
  for (int64_t i = 0; i < count; ++i) {
    const int value = low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    out += (i ? ", " : "") + (scale == 1 ? std::to_string(value) : std::to_string(value * scale));
  }
  return out;
}

/// A constant and the DequantizeLinear that reads it, as text: `name` is what it makes. axis -1: one scale.
std::string Weight(const std::string& name, const std::string& type, int directions, int rows, int columns, int axis, bool zeros) {
  const std::string shape = "[" + std::to_string(directions) + "," + std::to_string(rows) + "," + std::to_string(columns) + "]";
  const int count = axis < 0 ? 1 : axis == 0 ? directions : axis == 1 ? rows : columns;
  const std::string scales = axis < 0 ? "float[]" : "float[" + std::to_string(count) + "]", points = axis < 0 ? type + "[]" : type + "[" + std::to_string(count) + "]";
  const bool is_signed = type == "int8";
  return "  " + name + "q = const " + type + shape + "{" + List(directions * rows * columns, is_signed ? -128 : 0, is_signed ? 127 : 255, 1, rows + columns) + "}\n" +
         "  " + name + "s = const " + scales + "{" + List(count, 1, 7, 0.0002, 3) + "}\n" +
         (zeros ? "  " + name + "z = const " + points + "{" + List(count, is_signed ? -128 : 0, is_signed ? 127 : 255, 1, 5) + "}\n" : "") +
         "  " + name + " = DequantizeLinear-13(" + name + "q, " + name + "s" + (zeros ? ", " + name + "z" : "") + ")" +
         (axis < 0 ? "" : " {axis=" + std::to_string(axis) + "}") + "\n";
}

std::string Network(const Form& form, int directions, int hidden, const std::string& weights) {
  const int rows = form.gates * hidden;
  return "graph g (x: float[T,B,5]) -> (y) {\n" + weights + "  b = const float[" + std::to_string(directions) + "," + std::to_string(2 * rows) + "]{" +
         List(directions * 2 * rows, -9, 9, 0.03, 9) + "}\n  y = " + form.op + "-14(x, w, r, b) {hidden_size=" + std::to_string(hidden) +
         ", direction=\"" + (directions == 2 ? "bidirectional" : "forward") + "\"" + form.attributes + "}\n}\n";
}

TEST(FuseRecurrentWeights, ReadsBytes) {
  for (const Form& form : kForms) {
    for (const char* type : {"int8", "uint8"}) {
      for (int axis : {-1, 0, 1}) {
        for (bool zeros : {false, true}) {
          for (int directions : {1, 2}) {
            const int hidden = directions == 1 ? 64 : 7, rows = form.gates * hidden;
            const std::string text = Network(form, directions, hidden,
                                             Weight("w", type, directions, rows, 5, axis, zeros) + Weight("r", type, directions, rows, hidden, axis, zeros));
            const std::string after = Optimized(text, "");
            EXPECT_NE(after.find(std::string("linnet:") + form.op + "-1("), std::string::npos) << after;
            EXPECT_EQ(after.find("DequantizeLinear"), std::string::npos) << after;
            for (int64_t batch : {1, 3, 9}) ExpectSameNumbers(text, {{3, batch, 5}});
          }
        }
      }
    }
  }
}

TEST(FuseRecurrentWeights, TakesOneOfTheTwoToo) {
  for (const Form& form : kForms) {
    const int rows = form.gates * 16;
    const std::string w = "  w = const float[1," + std::to_string(rows) + ",5]{" + List(rows * 5, -9, 9, 0.05, 1) + "}\n";
    const std::string r = "  r = const float[1," + std::to_string(rows) + ",16]{" + List(rows * 16, -9, 9, 0.05, 1) + "}\n";
    for (const std::string& weights : {w + Weight("r", "int8", 1, rows, 16, 1, false), Weight("w", "uint8", 1, rows, 5, -1, true) + r}) {
      const std::string text = Network(form, 1, 16, weights);
      EXPECT_NE(Optimized(text, "").find(std::string("linnet:") + form.op + "-1("), std::string::npos);
      ExpectSameNumbers(text, {{4, 2, 5}});
    }
  }
}

TEST(FuseRecurrentWeights, WorksInBodiesAndBehindMoves) {
  // A body's own weights; and weights that the exporter transposed behind their quantization.
  const std::string weights = Weight("w", "int8", 1, 16, 5, 1, false) + Weight("r", "int8", 1, 16, 16, 1, false);
  const std::string captures = " () captures (u: float[T,B,5] = x) -> (t) {\n" + weights + "  t = RNN-14(u, w, r) {hidden_size=16";
  const std::string body = "graph g (x: float[T,B,5], c: bool[]) -> (y) {\n  y = If-16(c) {then_branch=graph then" + captures +
                           "}\n  }, else_branch=graph other" + captures + ", direction=\"reverse\"}\n  }}\n}\n";
  EXPECT_EQ(CountOf(Optimized(body, ""), "linnet:RNN-1("), 2) << Optimized(body, "");
  const std::string moved = "graph g (x: float[T,B,5]) -> (y) {\n" + Weight("w", "int8", 1, 16, 5, 1, false) +
                            "  q = const int8[16,16]{" + List(256, -128, 127, 1, 4) + "}\n  s = const float[]{0.001}\n  d = DequantizeLinear-13(q, s)\n"
                            "  a = const int64[1]{0}\n  t = Transpose-13(d) {perm=[1, 0]}\n  r = Unsqueeze-13(t, a)\n  y = RNN-14(x, w, r) {hidden_size=16}\n}\n";
  EXPECT_NE(Optimized(moved, "").find("linnet:RNN-1("), std::string::npos) << Optimized(moved, "");
  ExpectSameNumbers(moved, {{3, 2, 5}});
}

TEST(FuseRecurrentWeights, LeavesWhatTheOperatorCannotSay) {
  const std::string r = Weight("r", "int8", 1, 16, 16, -1, false);
  const std::string columns = Network(kForms[3], 1, 16, Weight("w", "int8", 1, 16, 5, 2, false) + "  r = const float[1,16,16]{" + List(256, -9, 9, 0.05, 1) + "}\n");
  EXPECT_EQ(Optimized(columns, "").find("linnet:RNN"), std::string::npos);   // a scale a column
  ExpectSameNumbers(columns, {{3, 2, 5}});
  const std::string computed = "graph g (x: float[T,B,5], w: float[1,16,5]) -> (y) {\n" + r + "  y = RNN-14(x, w, r) {hidden_size=16}\n}\n";
  EXPECT_EQ(Optimized(computed, "").find("linnet:RNN"), std::string::npos);   // an input of the graph
}

}  // namespace
}  // namespace linnet
