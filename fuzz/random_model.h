// Random choices that a seed repeats, and models made by them: what differential tests and the differential fuzzer run on several sides.
#pragma once

#include <stdint.h>

#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace linnet {

/// Random choices; the same for the same seed everywhere (distributions of the standard library are not). What was drawn can be
/// recorded and replayed with changes: 0, and what is drawn beyond the end, is the least of a range and the first of a list, so smaller
/// draws make simpler models.
class Choices {
 public:
  explicit Choices(uint32_t seed) : bits_(seed) {}
  explicit Choices(std::vector<uint32_t> draws) : replays_(true), given_(std::move(draws)) {}
  /// In [low, high].
  int64_t Int(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Recorded(static_cast<uint32_t>(Next() % static_cast<uint64_t>(high - low + 1))));
  }
  bool Coin() { return Recorded(replays_ ? Next() % 2 : Next() >> 31); }
  /// True once in `n` times.
  bool OneIn(int64_t n) { return Int(1, n) == n; }
  /// In [low, high).
  double Real(double low, double high) { return low + (high - low) * static_cast<double>(Recorded(Next())) / 4294967296.0; }
  template <class T>
  T Of(std::initializer_list<T> list) { return list.begin()[Int(0, static_cast<int64_t>(list.size()) - 1)]; }
  Shape Dims(int rank, int64_t low, int64_t high) {
    Shape shape = Shape::OfRank(rank);
    for (int d = 0; d < rank; ++d) shape[d] = Int(low, high);
    return shape;
  }
  std::vector<int64_t> Ints(int count, int64_t low, int64_t high) {
    std::vector<int64_t> out;
    for (int i = 0; i < count; ++i) out.push_back(Int(low, high));
    return out;
  }
  /// `shape` with some dimensions 1 and some leading ones left out: broadcasts to it.
  Shape Broadcastable(const Shape& shape) {
    Shape out = Shape::OfRank(0);
    const int skipped = Coin() ? 0 : static_cast<int>(Int(0, shape.rank()));
    for (int d = skipped; d < shape.rank(); ++d) out.Append(Int(0, 3) == 0 ? 1 : shape[d]);
    return out;
  }
  /// Begins to record.
  void Record() { records_ = true; }
  const std::vector<uint32_t>& draws() const { return drawn_; }

 private:
  uint32_t Next() {
    if (!replays_) return static_cast<uint32_t>(bits_());
    return at_ < given_.size() ? given_[at_++] : 0;
  }
  uint32_t Recorded(uint32_t draw) {
    if (records_) drawn_.push_back(draw);
    return draw;
  }

  std::mt19937 bits_;
  bool replays_ = false, records_ = false;
  std::vector<uint32_t> given_, drawn_;
  size_t at_ = 0;
};

/// Mostly float.
inline DType AnyFloat(Choices& c) {
  return c.Int(0, 2) ? DType::kFloat : c.Of({DType::kDouble, DType::kFloat16, DType::kBfloat16});
}

/// A model and the values its inputs have.
struct Example {
  Graph graph;
  std::vector<Tensor> feeds;
  int opset = 17;
  bool peer = true;   ///< false: ONNX Runtime is known to answer something else, or nothing defined
};
/// The model as a .onnx file.
std::string OnnxOf(const Example& example);
/// The graph as text, big constants cut, and the types that are fed: what a message shows.
std::string Shown(const Example& example);

/// An example under construction.
class RandomModel {
 public:
  RandomModel(Choices& choices, int opset) : choices_(choices) { example_.opset = opset; }

  /// An input, or (by choice, unless `fed`) a constant.
  ValueId Input(Tensor contents, bool fed = false);
  ValueId Constant(Tensor contents) { return example_.graph.AddConstant(NextName(), std::move(contents)); }
  ValueId Constant(const std::vector<int64_t>& list) { return Constant(Tensor::Ints(list)); }
  ValueId Constant(int64_t value) { return Constant(Tensor::Scalar<int64_t>(value)); }
  ValueId Constant(float value) { return Constant(Tensor::Scalar<float>(value)); }

  /// Numbers of any type: real ones in [low, high), integers among them.
  Tensor Numbers(DType dtype, const Shape& shape, double low = -1, double high = 1);
  Tensor Floats(const Shape& shape, double low = -1, double high = 1) { return Numbers(DType::kFloat, shape, low, high); }
  /// Any bits the integer type has.
  Tensor Bits(DType dtype, const Shape& shape);
  /// The same for weights of products of bytes: half of their range where NarrowWeights asks for that.
  Tensor WeightBits(DType dtype, const Shape& shape);

  using Attributes = std::vector<Attribute>;
  std::vector<ValueId> Add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}, int outputs = 1,
                           const std::string& domain = "");
  ValueId AddOne(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return Add(op, std::move(inputs), std::move(attributes))[0];
  }
  void Output(ValueId id) { example_.graph.AddOutput(id); }
  /// Says what type a value has: where ONNX Runtime does not infer it.
  void SetType(ValueId id, const Type& type) { example_.graph.SetType(id, type); }
  /// ONNX Runtime is not asked: why is to be said where this is called.
  void NoPeer() { example_.peer = false; }
  /// Input types are declared without sizes from now on.
  void HideDims() { unknown_dims_ = true; }
  /// For a processor without instructions that add four products at once (PeerSaturates): there ONNX Runtime adds pairs of them in 16
  /// bits, which saturate.
  void NarrowWeights() { narrow_ = true; }
  /// Contents are drawn by themselves from now on, with one choice a tensor: whatever their number, later choices stay as they are.
  void DrawContentsApart() { apart_ = true; }

  const Tensor& ContentsOf(ValueId constant) const { return example_.graph.value(constant).constant; }
  int opset() const { return example_.opset; }
  Example Take() { return std::move(example_); }

 private:
  /// What contents are drawn from.
  template <class Fill>
  void Draw(Fill fill) {
    if (!apart_) return fill(choices_);
    Choices contents(static_cast<uint32_t>(choices_.Int(0, UINT32_MAX)));
    fill(contents);
  }
  std::string NextName() const { return "v" + std::to_string(example_.graph.value_count()); }

  Choices& choices_;
  bool unknown_dims_ = false, narrow_ = false, apart_ = false;
  Example example_;
};

/// One element as a real number, and the other way round; types of whole bytes only.
double At(const Tensor& tensor, int64_t i);
void Put(Tensor& tensor, int64_t i, double value);

}  // namespace linnet
