// Lowering a model's opset: nodes keep their meaning and are written as an older version has it, or are refused.
//
// kRules lists what versions from 11 on changed, newest first: a node of version `since` or above that goes below it is
// rewritten. kNew has the operators that came with a version. What a version only gave rarer types needs nothing.
#include <algorithm>

#include "passes/pass.h"
#include "passes/patterns.h"
#include "quantize/edit.h"
#include "quantize/prepare.h"

namespace linnet::quantize {
namespace {

class Lowerer {
 public:
  Lowerer(Graph& graph, int opset) : graph_(graph), edit_(graph, opset), opset_(opset) {}

  Status Run() {
    const int count = graph_.node_count();  // what a rule adds is in the old version already
    for (NodeId id = 0; id < count; ++id) {
      const Node& node = graph_.node(id);
      if (!node.alive || !node.domain.empty() || node.version <= opset_) continue;
      LINNET_TRY(Lower(id).At(graph_.node(id).Label(graph_)));
    }
    return Status();
  }

 private:
  struct Rule {
    const char* op;
    int since;
    Status (Lowerer::*rewrite)(const Rule& rule, Node* node);
    const char* attribute = nullptr;   ///< that must be `usual`, or `text`, and goes
    int64_t usual = 0;
    const char* text = nullptr;
  };

  Status Lower(NodeId id) {
    static constexpr struct {
      int since;
      std::string_view ops;
    } kNew[] = {
        {24, "Swish TensorScatter"},
        {23, "Attention RMSNormalization RotaryEmbedding"},
        {20, "AffineGrid Gelu ImageDecoder RegexFullMatch StringConcat StringSplit"},
        {19, "DeformConv"},
        {18, "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im GroupNormalization Mish"},
        {17, "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT SequenceMap"},
        {16, "GridSample"},
        {15, "Bernoulli CastLike Optional OptionalGetElement OptionalHasElement"},
        {14, "Trilu"},
        {12, "Celu Einsum GreaterOrEqual LessOrEqual NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss"},
        {11, "BitShift ConcatFromSequence CumSum Det GatherElements GatherND Range Round ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence Unique"},
    };
    static constexpr Rule kRules[] = {
        {"GroupNormalization", 21, &Lowerer::Refuse},
        {"DFT", 20, &Lowerer::Refuse},
        {"GridSample", 20, &Lowerer::GridSampleModes},
        {"AveragePool", 19, &Lowerer::Undilated},
        {"Cast", 19, &Lowerer::Usual, "saturate", 1},
        {"Pad", 19, &Lowerer::PadMode},
        {"Resize", 19, &Lowerer::ResizeSymmetric},
        {"LpPool", 18, &Lowerer::Undilated},
        {"LpPool", 18, &Lowerer::Usual, "ceil_mode", 0},
        {"Pad", 18, &Lowerer::PadAxes},
        {"ReduceL1", 18, &Lowerer::AxesAttribute},
        {"ReduceL2", 18, &Lowerer::AxesAttribute},
        {"ReduceLogSum", 18, &Lowerer::AxesAttribute},
        {"ReduceLogSumExp", 18, &Lowerer::AxesAttribute},
        {"ReduceMax", 18, &Lowerer::AxesAttribute},
        {"ReduceMean", 18, &Lowerer::AxesAttribute},
        {"ReduceMin", 18, &Lowerer::AxesAttribute},
        {"ReduceProd", 18, &Lowerer::AxesAttribute},
        {"ReduceSumSquare", 18, &Lowerer::AxesAttribute},
        {"Resize", 18, &Lowerer::Usual, "antialias", 0},
        {"Resize", 18, &Lowerer::ResizeAxes},
        {"Split", 18, &Lowerer::SplitCount},
        {"LayerNormalization", 17, &Lowerer::LayerNormalization},
        {"RoiAlign", 16, &Lowerer::RoiAlignMode},
        {"ScatterElements", 16, &Lowerer::Usual, "reduction", 0, "none"},
        {"ScatterND", 16, &Lowerer::Usual, "reduction", 0, "none"},
        {"Shape", 15, &Lowerer::Usual, "start", 0},
        {"Shape", 15, &Lowerer::Usual, "end", INT64_MAX},
        {"Add", 14, &Lowerer::NoSmallIntegers},
        {"Sub", 14, &Lowerer::NoSmallIntegers},
        {"Mul", 14, &Lowerer::NoSmallIntegers},
        {"Div", 14, &Lowerer::NoSmallIntegers},
        {"BatchNormalization", 14, &Lowerer::Usual, "training_mode", 0},
        {"GRU", 14, &Lowerer::Usual, "layout", 0},
        {"LSTM", 14, &Lowerer::Usual, "layout", 0},
        {"RNN", 14, &Lowerer::Usual, "layout", 0},
        {"HardSwish", 14, &Lowerer::HardSwish},
        {"Relu", 14, &Lowerer::FloatsAlone},
        {"Reshape", 14, &Lowerer::Usual, "allowzero", 0},
        {"Hardmax", 13, &Lowerer::SoftmaxOfRows},
        {"LogSoftmax", 13, &Lowerer::SoftmaxOfRows},
        {"Softmax", 13, &Lowerer::SoftmaxOfRows},
        {"ReduceSum", 13, &Lowerer::AxesAttribute},
        {"Resize", 13, &Lowerer::ResizeInputs},
        {"Split", 13, &Lowerer::SplitAttribute},
        {"Squeeze", 13, &Lowerer::AxesAttribute},
        {"Unsqueeze", 13, &Lowerer::AxesAttribute},
        {"ArgMax", 12, &Lowerer::Usual, "select_last_index", 0},
        {"ArgMin", 12, &Lowerer::Usual, "select_last_index", 0},
        {"Clip", 12, &Lowerer::FloatsAlone},
        {"Dropout", 12, &Lowerer::DropoutInference},
        {"GatherND", 12, &Lowerer::Usual, "batch_dims", 0},
        {"Max", 12, &Lowerer::FloatsAlone},
        {"MaxPool", 12, &Lowerer::FloatsAlone},
        {"Min", 12, &Lowerer::FloatsAlone},
        {"Pow", 12, &Lowerer::FloatsAlone},
        {"ReduceMax", 12, &Lowerer::NoSmallIntegers},
        {"ReduceMin", 12, &Lowerer::NoSmallIntegers},
        {"Clip", 11, &Lowerer::ClipAttributes},
        {"DepthToSpace", 11, &Lowerer::Usual, "mode", 0, "DCR"},
        {"Equal", 11, &Lowerer::NoFloats},
        {"Gemm", 11, &Lowerer::GemmAddend},
        {"OneHot", 11, &Lowerer::Refuse},
        {"Pad", 11, &Lowerer::PadAttributes},
        {"Resize", 11, &Lowerer::ResizeByScales},
        {"ScatterElements", 11, &Lowerer::Scatter},
        {"TopK", 11, &Lowerer::Usual, "largest", 1},
        {"TopK", 11, &Lowerer::Usual, "sorted", 1},
    };
    Node node = graph_.node(id);
    const int version = node.version;
    const std::string op = node.op;
    for (const std::vector<ValueId>* list : {&node.inputs, &node.outputs}) {
      for (ValueId value : *list) {
        if (value != kNoValue && graph_.value(value).type.dtype == DType::kBfloat16) return Unsupported("bfloat16 is not lowered to version ", opset_);
      }
    }
    behind_.clear();
    for (const Rule& rule : kRules) {
      if (op == rule.op && version >= rule.since && opset_ < rule.since) LINNET_TRY((this->*rule.rewrite)(rule, &node));
    }
    for (const auto& [since, ops] : kNew) {
      for (size_t at = ops.find(node.op); opset_ < since && at != std::string_view::npos; at = ops.find(node.op, at + 1)) {
        const size_t end = at + node.op.size();
        if ((at == 0 || ops[at - 1] == ' ') && (end == ops.size() || ops[end] == ' ')) return Unsupported("opset ", opset_, " has no ", node.op);
      }
    }
    if (opset_ < 11) CountFromFront(&node);
    node.version = opset_;
    node.alive = true;
    const std::vector<ValueId> before = graph_.node(id).inputs;
    if (node.inputs == before && behind_.empty()) {
      Node& same = graph_.mutable_node(id);
      same.op = node.op, same.version = opset_, same.attributes = std::move(node.attributes);
      return Status();
    }
    if (behind_.empty()) return ReplaceNode(graph_, id, std::move(node));
    graph_.RemoveNode(id);
    LINNET_TRY(graph_.AddNode(std::move(node)).TakeStatus());
    for (Node& next : behind_) LINNET_TRY(graph_.AddNode(std::move(next)).TakeStatus());
    return Status();
  }

  Status Refuse(const Rule&, Node* node) { return Unsupported("its meaning in version ", node->version, " is not written in version ", opset_); }
  Status Usual(const Rule& rule, Node* node) {
    if (rule.text) {
      LINNET_ASSIGN(std::string value, node->String(rule.attribute, rule.text));
      if (value != rule.text) return Unsupported(rule.attribute, " ", Quote(value), " is not written in version ", opset_);
    } else {
      LINNET_ASSIGN(int64_t value, node->Int(rule.attribute, rule.usual));
      if (value != rule.usual) return Unsupported(rule.attribute, " ", value, " is not written in version ", opset_);
    }
    node->Unset(rule.attribute);
    return Status();
  }

  /// Refuses one value of an attribute.
  Status Not(const Rule&, Node* node, const char* attribute, const char* value) {
    Result<std::string> given = node->String(attribute, "");
    if (!given.ok()) return given.TakeStatus();
    if (*given != value) return Status();
    return Unsupported(attribute, " ", Quote(value), " is not written in version ", opset_);
  }

  DType TypeOf(const Node* node) const { return graph_.value(node->inputs[0]).type.dtype; }
  Status Types(bool fit, const Node* node) {
    return fit ? Status() : Unsupported("version ", opset_, " has no ", node->op, " of ", DTypeName(TypeOf(node)));
  }
  static bool IsReal(DType type) { return type == DType::kFloat || type == DType::kDouble || type == DType::kFloat16; }
  Status FloatsAlone(const Rule&, Node* node) { return Types(IsReal(TypeOf(node)), node); }
  Status NoFloats(const Rule&, Node* node) { return Types(!IsReal(TypeOf(node)), node); }
  Status NoSmallIntegers(const Rule&, Node* node) { return Types(IsReal(TypeOf(node)) || DTypeBits(TypeOf(node)) >= 32, node); }

  ValueId Constant(std::string_view hint, Tensor contents) { return graph_.AddConstant(graph_.FreshName(hint), std::move(contents)); }
  int RankOf(ValueId id) const { return graph_.value(id).type.shape.rank(); }
  bool Given(const Node* node, size_t index) const { return InputOf(*node, index) != kNoValue; }

  /// An input of constant integers becomes an attribute.
  Status IntsAttribute(Node* node, size_t index, const char* attribute) {
    if (Given(node, index)) {
      std::optional<std::vector<int64_t>> values = IntsOf(graph_, node->inputs[index]);
      if (!values) return Unsupported("its ", attribute, " must be constant in version ", opset_);
      node->Set(attribute, std::move(*values));
    }
    if (node->inputs.size() > index) node->inputs.resize(index);
    return Status();
  }
  Status AxesAttribute(const Rule&, Node* node) {
    if (node->op.starts_with("Reduce")) {
      LINNET_ASSIGN(int64_t nothing, node->Int("noop_with_empty_axes", 0));
      const std::optional<std::vector<int64_t>> axes = Given(node, 1) ? IntsOf(graph_, node->inputs[1]) : std::vector<int64_t>{};
      if (axes && axes->empty()) {
        if (nothing != 0) return Unsupported("noop_with_empty_axes is not written in version ", opset_);
        node->inputs.resize(1);
      }
      node->Unset("noop_with_empty_axes");
    }
    return IntsAttribute(node, 1, "axes");
  }
  Status SplitAttribute(const Rule&, Node* node) { return IntsAttribute(node, 1, "split"); }
  /// The parts that num_outputs means: as many each, but for the last.
  Status SplitCount(const Rule&, Node* node) {
    if (!node->Has("num_outputs")) return Status();
    LINNET_ASSIGN(int64_t count, node->Int("num_outputs", 1));
    LINNET_ASSIGN(int64_t axis, node->Int("axis", 0));
    node->Unset("num_outputs");
    const Shape& shape = graph_.value(node->inputs[0]).type.shape;
    if (!shape.has_rank()) return Unsupported("a Split of unknown parts is not written in version ", opset_);
    LINNET_ASSIGN(int at, NormalizeAxis(axis, shape.rank()));
    if (!IsKnownDim(shape[at]) || count < 1) return Unsupported("a Split of unknown parts is not written in version ", opset_);
    const int64_t part = (shape[at] + count - 1) / count;
    std::vector<int64_t> parts(static_cast<size_t>(count), part);
    parts.back() = shape[at] - part * (count - 1);
    node->inputs.resize(2, kNoValue);
    node->inputs[1] = Constant("split", Tensor::Ints(parts));
    return Status();
  }
  Status Undilated(const Rule&, Node* node) {
    LINNET_ASSIGN(std::vector<int64_t> dilations, node->Ints("dilations"));
    if (std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d != 1; })) {
      return Unsupported("dilations are not written in version ", opset_);
    }
    node->Unset("dilations");
    return Status();
  }
  Status GridSampleModes(const Rule&, Node* node) {
    LINNET_ASSIGN(std::string mode, node->String("mode", "linear"));
    node->Set("mode", std::string(mode == "linear" ? "bilinear" : mode == "cubic" ? "bicubic" : mode));
    return RankOf(node->inputs[0]) == 4 ? Status() : Refuse({}, node);
  }
  Status RoiAlignMode(const Rule&, Node* node) {
    LINNET_ASSIGN(std::string mode, node->String("coordinate_transformation_mode", "half_pixel"));
    node->Unset("coordinate_transformation_mode");
    return mode == "output_half_pixel" ? Status() : Unsupported("coordinate_transformation_mode ", Quote(mode), " is not written in version ", opset_);
  }
  /// x HardSigmoid(x / 6 + 1 / 2) is its definition.
  Status HardSwish(const Rule&, Node* node) {
    const ValueId x = node->inputs[0];
    LINNET_ASSIGN(ValueId gate, edit_.Add("HardSigmoid", {x}, {{"alpha", 1.0f / 6}, {"beta", 0.5f}}, graph_.value(x).type, "gate"));
    node->op = "Mul";
    node->inputs = {x, gate};
    return Status();
  }

  /// Its formula, which runtimes know.
  Status LayerNormalization(const Rule& rule, Node* node) {
    LINNET_ASSIGN(int64_t axis, node->Int("axis", -1));
    LINNET_ASSIGN(float epsilon, node->Float("epsilon", 1e-5f));
    const ValueId x = node->inputs[0];
    const Type type = graph_.value(x).type;
    const int rank = type.shape.rank();
    const bool alone = std::all_of(node->outputs.begin() + 1, node->outputs.end(), [&](ValueId out) { return out == kNoValue || graph_.value(out).uses.empty(); });
    if (type.dtype != DType::kFloat || rank < 1 || !alone) return Refuse(rule, node);
    LINNET_ASSIGN(int from, NormalizeAxis(axis, rank));
    std::vector<int64_t> axes;
    for (int d = from; d < rank; ++d) axes.push_back(d);
    Type row = type;
    for (int64_t d : axes) row.shape[static_cast<int>(d)] = 1;
    auto add = [&](const char* op, std::vector<ValueId> inputs, const Type& out) {
      std::vector<Attribute> attributes;
      if (op == std::string_view("ReduceMean")) attributes.push_back({"axes", axes});
      return edit_.Add(op, std::move(inputs), std::move(attributes), out, node->name + "_" + op);
    };
    LINNET_ASSIGN(ValueId mean, add("ReduceMean", {x}, row));
    LINNET_ASSIGN(ValueId centred, add("Sub", {x, mean}, type));
    LINNET_ASSIGN(ValueId squares, add("Mul", {centred, centred}, type));
    LINNET_ASSIGN(ValueId variance, add("ReduceMean", {squares}, row));
    LINNET_ASSIGN(ValueId above, add("Add", {variance, Constant("epsilon", Tensor::Scalar(epsilon))}, row));
    LINNET_ASSIGN(ValueId deviation, add("Sqrt", {above}, row));
    LINNET_ASSIGN(ValueId normal, add("Div", {centred, deviation}, type));
    const ValueId scale = node->inputs[1], bias = InputOf(*node, 2);
    if (bias != kNoValue) {
      LINNET_ASSIGN(normal, add("Mul", {normal, scale}, type));
    }
    node->op = bias != kNoValue ? "Add" : "Mul";
    node->inputs = {normal, bias != kNoValue ? bias : scale};
    node->outputs.resize(1);
    node->attributes.clear();
    return Status();
  }

  /// Before version 13 everything from `axis` on was one distribution: the axis must be the last.
  Status SoftmaxOfRows(const Rule&, Node* node) {
    LINNET_ASSIGN(int64_t axis, node->Int("axis", -1));
    const ValueId x = node->inputs[0], y = node->outputs[0];
    const Type type = graph_.value(x).type;
    const int rank = type.shape.rank();
    if (rank < 1) return Refuse({}, node);
    LINNET_ASSIGN(int at, NormalizeAxis(axis, rank));
    bool alone = true;
    for (int d = at + 1; d < rank; ++d) alone = alone && type.shape[d] == 1;
    node->Set("axis", static_cast<int64_t>(alone ? at : rank - 1));
    if (alone) return Status();
    std::vector<int64_t> swapped(static_cast<size_t>(rank));
    for (int d = 0; d < rank; ++d) swapped[static_cast<size_t>(d)] = d == at ? rank - 1 : d == rank - 1 ? at : d;
    const Type rows = Type::Tensor(type.dtype, Shape::OfRank(rank));
    LINNET_ASSIGN(node->inputs[0], edit_.Add("Transpose", {x}, {{"perm", swapped}}, rows, "rows"));
    node->outputs[0] = graph_.AddValue(graph_.FreshName("softmax"), rows);
    Node back;
    back.op = "Transpose";
    back.version = opset_;
    back.inputs = node->outputs;
    back.outputs = {y};
    back.Set("perm", swapped);
    behind_.push_back(std::move(back));
    return Status();
  }

  Status DropoutInference(const Rule&, Node* node) {
    const Tensor* training = Given(node, 2) ? ConstantOf(graph_, node->inputs[2]) : nullptr;
    const bool mask = node->outputs.size() > 1 && node->outputs[1] != kNoValue && !graph_.value(node->outputs[1]).uses.empty();
    if (mask || (Given(node, 2) && !(training && training->has_data() && !*training->as<bool>()))) return Refuse({}, node);
    node->inputs.resize(1);
    node->Unset("seed");
    return Status();
  }
  Status Scatter(const Rule&, Node* node) {
    node->op = "Scatter";
    return Status();
  }
  Status GemmAddend(const Rule&, Node* node) {
    if (Given(node, 2)) return Status();
    node->inputs.resize(3, kNoValue);
    LINNET_ASSIGN(Tensor zero, Tensor::Allocate(TypeOf(node), Shape{1}));
    std::fill_n(zero.mutable_as<char>(), zero.bytes(), char{0});
    node->inputs[2] = Constant("zero", std::move(zero));
    return Status();
  }
  Status ClipAttributes(const Rule&, Node* node) {
    const char* const names[] = {"min", "max"};
    for (size_t i = 1; i < node->inputs.size(); ++i) {
      if (node->inputs[i] == kNoValue) continue;
      std::optional<float> bound = ScalarOf(graph_, node->inputs[i]);
      if (!bound) return Unsupported("its bounds must be constant in version ", opset_);
      node->Set(names[i - 1], *bound);
    }
    node->inputs.resize(1);
    return Status();
  }

  Status PadMode(const Rule& rule, Node* node) { return Not(rule, node, "mode", "wrap"); }
  Status PadAxes(const Rule&, Node* node) {
    if (!Given(node, 3)) return node->inputs.resize(std::min<size_t>(node->inputs.size(), 3)), Status();
    const std::optional<std::vector<int64_t>> axes = IntsOf(graph_, node->inputs[3]), pads = IntsOf(graph_, node->inputs[1]);
    const int rank = RankOf(node->inputs[0]);
    if (!axes || !pads || rank < 0 || pads->size() != 2 * axes->size()) return Unsupported("its axes must be constant in version ", opset_);
    std::vector<int64_t> all(2 * static_cast<size_t>(rank), 0);
    for (size_t i = 0; i < axes->size(); ++i) {
      LINNET_ASSIGN(int at, NormalizeAxis((*axes)[i], rank));
      all[static_cast<size_t>(at)] = (*pads)[i];
      all[static_cast<size_t>(at + rank)] = (*pads)[i + axes->size()];
    }
    node->inputs[1] = Constant("pads", Tensor::Ints(all));
    node->inputs.resize(3);
    return Status();
  }
  Status PadAttributes(const Rule&, Node* node) {
    if (!IsReal(TypeOf(node))) return FloatsAlone({}, node);
    if (Given(node, 2)) {
      std::optional<float> value = ScalarOf(graph_, node->inputs[2]);
      if (!value) return Unsupported("its value must be constant in version ", opset_);
      node->Set("value", *value);
      node->inputs.resize(2);
    }
    return IntsAttribute(node, 1, "pads");
  }

  Status ResizeSymmetric(const Rule& rule, Node* node) { return Not(rule, node, "coordinate_transformation_mode", "half_pixel_symmetric"); }
  Status ResizeAxes(const Rule& rule, Node* node) {
    const Rule policy{"", 18, nullptr, "keep_aspect_ratio_policy", 0, "stretch"};
    if (node->Has("axes")) return Refuse(rule, node);
    return Usual(policy, node);
  }
  /// roi and scales were no optional inputs yet.
  Status ResizeInputs(const Rule&, Node* node) {
    LINNET_ASSIGN(const Tensor nothing, Tensor::Allocate(DType::kFloat, Shape{0}));
    node->inputs.resize(std::max<size_t>(node->inputs.size(), 3), kNoValue);
    for (size_t i : {1, 2}) {
      if (node->inputs[i] == kNoValue) node->inputs[i] = Constant("nothing", nothing);
    }
    return Status();
  }
  /// Resize-10 rounds positions of "nearest" down where it enlarges, up where it shrinks; they are those of "asymmetric".
  Status ResizeByScales(const Rule& rule, Node* node) {
    const Tensor* scales = Given(node, 2) ? ConstantOf(graph_, node->inputs[2]) : nullptr;
    LINNET_ASSIGN(std::string mode, node->String("mode", "nearest"));
    LINNET_ASSIGN(std::string place, node->String("coordinate_transformation_mode", "half_pixel"));
    LINNET_ASSIGN(std::string nearest, node->String("nearest_mode", "round_prefer_floor"));
    bool fits = scales && scales->has_data() && scales->elements() > 0 && place == "asymmetric" && mode != "cubic";
    for (int64_t i = 0; fits && mode == "nearest" && i < scales->elements(); ++i) {
      const float s = scales->as<float>()[i];
      fits = s == 1 || nearest == (s > 1 ? "floor" : "ceil");
    }
    if (!fits) return Refuse(rule, node);
    node->inputs = {node->inputs[0], node->inputs[2]};
    for (const char* name : {"coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value"}) node->Unset(name);
    return Status();
  }

  /// Axes below 0 came with version 11.
  void CountFromFront(Node* node) const {
    static constexpr const char* kOps[] = {"Concat", "Flatten", "Split", "ArgMax", "ArgMin", "Softmax", "LogSoftmax", "Hardmax", "Compress", "TopK", "Squeeze", "Unsqueeze"};
    if (!node->op.starts_with("Reduce") && std::none_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return node->op == op; })) return;
    const int rank = RankOf(node->op == "Unsqueeze" ? node->outputs[0] : node->inputs[0]);
    if (rank < 0) return;
    Result<int64_t> axis = node->Int("axis", 0);
    if (axis.ok() && *axis < 0) node->Set("axis", *axis + rank);
    Result<std::vector<int64_t>> axes = node->Ints("axes");
    if (!axes.ok() || axes->empty()) return;
    for (int64_t& each : *axes) each += each < 0 ? rank : 0;
    node->Set("axes", std::move(*axes));
  }

  Graph& graph_;
  Edit edit_;
  const int opset_;
  std::vector<Node> behind_;   ///< nodes behind the one at hand, which make its outputs
};

}  // namespace

Status LowerOpset(OnnxModel* model, int opset) {
  if (OpsetOf(*model) <= opset) return Status();
  LINNET_TRY(ForEachGraph(model->graph, [&](Graph& graph) { return Lowerer(graph, opset).Run(); }));
  for (auto& [domain, version] : model->info.opsets) {
    if (domain.empty()) version = opset;
  }
  model->info.ir_version = std::min(model->info.ir_version, IrVersionOf(opset));
  return Status();
}

}  // namespace linnet::quantize
