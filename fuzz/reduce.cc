// Reduction: first of the choices that make a model, then of the contents of its tensors.
#include "fuzz/reduce.h"

#include <math.h>
#include <string.h>

namespace linnet {
namespace {

class Reducer {
 public:
  Reducer(const QuantizedKind& kind, FunctionRef<bool(const Example&)> fails, int tries) : kind_(kind), fails_(fails), tries_(tries) {}

  std::vector<uint32_t> Shorter(std::vector<uint32_t> draws) {
    for (bool better = true; better;) {
      better = false;
      for (size_t span : {16, 8, 4, 2, 1}) {
        for (size_t i = 0; i + span <= draws.size();) {
          std::vector<uint32_t> fewer = draws;
          fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i), fewer.begin() + static_cast<ptrdiff_t>(i + span));
          if (Fails(fewer)) draws = fewer, better = true;
          else i += span;
        }
      }
      for (size_t i = 0; i < draws.size(); ++i) {
        for (uint32_t smaller : {uint32_t{0}, draws[i] / 2, draws[i] - 1}) {
          if (draws[i] == 0 || smaller >= draws[i]) continue;
          std::vector<uint32_t> other = draws;
          other[i] = smaller;
          if (!Fails(other)) continue;
          draws = other, better = true;
          break;
        }
      }
    }
    return draws;
  }

  Example Plainer(Example example) {
    for (ValueId id = 0; id < example.graph.value_count(); ++id) {
      if (!example.graph.is_constant(id)) continue;
      auto set = [&](Example& of, Tensor to) { of.graph.SetConstant(id, std::move(to)); };
      Simplify(example, example.graph.value(id).constant, set);
    }
    for (size_t i = 0; i < example.feeds.size(); ++i) {
      auto set = [&](Example& of, Tensor to) { of.feeds[i] = std::move(to); };
      Simplify(example, example.feeds[i], set);
    }
    return example;
  }

 private:
  Example Made(const std::vector<uint32_t>& draws) {
    Choices choices(draws);
    return MakeExample(kind_, choices);
  }
  bool Fails(const std::vector<uint32_t>& draws) { return --tries_ >= 0 && fails_(Made(draws)); }

  static Example Copy(const Example& example) {
    Example copy;
    copy.graph = example.graph.Clone();
    copy.feeds = example.feeds, copy.opset = example.opset, copy.peer = example.peer;
    return copy;
  }

  /// Ever smaller parts of the contents become zeros; single numbers become round.
  template <class Set>
  void Simplify(Example& example, Tensor contents, Set set) {
    if (!contents.has_data() || DTypeBits(contents.dtype()) < 8 || contents.dtype() == DType::kInt64) return;
    auto attempt = [&](const Tensor& to) {
      if (--tries_ < 0) return false;
      Example other = Copy(example);
      set(other, to);
      if (!fails_(other)) return false;
      example = std::move(other);
      contents = to;
      return true;
    };
    const int64_t count = contents.elements();
    for (int64_t part = count; part >= 1; part /= 2) {
      for (int64_t from = 0; from < count; from += part) {
        Tensor zeros = Duplicate(contents);
        for (int64_t i = from; i < std::min(count, from + part); ++i) Put(zeros, i, IsFloating(zeros.dtype()) && count == 1 ? 1 : 0);
        if (memcmp(zeros.data(), contents.data(), static_cast<size_t>(zeros.bytes())) != 0) attempt(zeros);
      }
    }
    if (!IsFloating(contents.dtype()) || count > 64) return;
    for (double digits : {1.0, 2.0, 4.0}) {
      Tensor round = Duplicate(contents);
      for (int64_t i = 0; i < count; ++i) {
        const double v = At(contents, i), unit = pow(10, floor(log10(fmax(fabs(v), 1e-30))) + 1 - digits);
        if (isfinite(v)) Put(round, i, nearbyint(v / unit) * unit);
      }
      if (memcmp(round.data(), contents.data(), static_cast<size_t>(round.bytes())) == 0 || attempt(round)) return;
    }
  }
  static Tensor Duplicate(const Tensor& tensor) {
    Tensor copy = *Tensor::Allocate(tensor.dtype(), tensor.shape());
    memcpy(copy.mutable_data(), tensor.data(), static_cast<size_t>(tensor.bytes()));
    return copy;
  }

  const QuantizedKind& kind_;
  FunctionRef<bool(const Example&)> fails_;
  int tries_;
};

}  // namespace

Example Reduce(const QuantizedKind& kind, std::vector<uint32_t> draws, FunctionRef<bool(const Example&)> fails, int tries) {
  Reducer structure(kind, fails, tries / 2);
  Choices choices(structure.Shorter(std::move(draws)));
  return Reducer(kind, fails, tries / 2).Plainer(MakeExample(kind, choices));
}

}  // namespace linnet
