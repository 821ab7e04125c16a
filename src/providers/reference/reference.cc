// Which nodes the reference provider claims, and how one of them runs.
//
// Left to the ordinary operators, because there is nothing in them to check twice:
//   * Constant, Shape, Size, Identity: facts of the model, which the planner knows before anything runs;
//   * If, Loop, Scan, SequenceMap, FlexAttention: they run bodies, whose nodes come here in turn;
//   * sequences, optionals and maps (and what makes or takes them: ZipMap, DictVectorizer, CastMap ...): containers are
//     passed on, not computed;
//   * operators on text, and LabelEncoder, CategoryMapper: no rounding, no layout;
//   * random operators, and Dropout, which is one in training: their results follow from Linnet's own generator;
//   * SVMs, one-hot and feature vectors of ai.onnx.ml, optimizers, and the operators of com.microsoft that ONNX spells as
//     several (FusedMatMul, SkipLayerNormalization): they are tested by themselves.
#include "providers/reference/reference.h"

#include <map>

#include "providers/reference/families.h"

namespace linnet {
namespace reference {
namespace {

using Table = std::map<std::pair<std::string_view, std::string_view>, const Row*>;

const Table& Rows() {
  static const Table table = [] {
    Table made;
    for (std::span<const Row> family :
         {AttentionRows(), ConvolutionRows(), ElementwiseRows(), IndexingRows(), LearningRows(), LossRows(), MatrixRows(),
          MicrosoftRows(), MovementRows(), NormalizationRows(), PoolRows(), QuantizationRows(), RecurrentRows(), ReductionRows(),
          RegionRows(), ResizeRows(), SelectionRows(), SignalRows(), TreeRows()}) {
      for (const Row& row : family) made[{row.domain, row.op}] = &row;
    }
    return made;
  }();
  return table;
}

class Kernel : public ProviderKernel {
 public:
  Kernel(const Row& row, const Node& node) : row_(row), node_(node) {}
  Status Run(RunContext& context) const override {
    Call call(node_, context);
    return row_.run(call);
  }

 private:
  const Row& row_;
  const Node node_;
};

class ReferenceProvider : public Provider {
 public:
  const char* name() const override { return "reference"; }
  bool wants_plain_onnx() const override { return true; }
  Result<std::unique_ptr<ProviderKernel>> Claim(const Graph&, const Node& node) override {
    const std::string_view domain = node.domain == "ai.onnx" ? std::string_view() : node.domain;
    const auto found = Rows().find({domain, node.op});
    if (found == Rows().end()) return std::unique_ptr<ProviderKernel>();
    return std::unique_ptr<ProviderKernel>(new Kernel(*found->second, node));
  }
};

}  // namespace
}  // namespace reference

std::unique_ptr<Provider> MakeReferenceProvider() { return std::make_unique<reference::ReferenceProvider>(); }

}  // namespace linnet
