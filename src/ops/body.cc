// Running subgraphs.
#include "ops/body.h"

namespace linnet {

Status Body::Parse(const Node& node, std::string_view name) {
  LINNET_ASSIGN(graph_, node.GraphOf(name));
  if (!graph_) return InvalidModel("attribute ", Quote(name), " is missing");
  first_capture_ = 0;
  for (const Graph* graph : Graph::Subgraphs(node)) {
    if (graph == graph_.get()) break;
    first_capture_ += static_cast<int>(graph->captures.size());
  }
  return Status();
}

std::vector<Fact> Body::Inputs(const RunContext& c) const {
  std::vector<Fact> facts(graph_->inputs.size());
  facts.reserve(graph_->inputs.size() + graph_->captures.size());
  for (size_t i = 0; i < graph_->captures.size(); ++i) {
    facts.push_back(c.capture(first_capture_ + static_cast<int>(i)));
  }
  return facts;
}

void DirectOutput(const RunContext& c, int i, RunOutput& output) {
  output.wanted = c.has_output(i);
  if (!output.wanted) return;
  const Type& type = c.output_type(i);
  if (!type.is_tensor() || !type.shape.is_static() || type.dtype == DType::kUndefined) return;
  Result<int64_t> bytes = ByteSize(type.dtype, type.shape.elements());
  if (!bytes.ok()) return;
  output.data = c.output(i);
  output.capacity = *bytes;
  output.type = type;
}

Status FinishOutput(const RunContext& c, int i, RunOutput& output) {
  if (!output.wanted) return Status();
  if (!output.data) return c.SetOutput(i, std::move(output.datum));
  if (output.type == c.output_type(i)) return Status();
  return InvalidModel("output ", i, " is ", ToString(output.type), " where ", ToString(c.output_type(i)), " was inferred");
}

Type Either(const Type& a, const Type& b) {
  if (a.kind == Kind::kUnknown || b.kind == Kind::kUnknown || a.kind != b.kind) return Type();
  Type out = a;
  if (a.dtype != b.dtype) out.dtype = DType::kUndefined;
  if (a.shape.rank() != b.shape.rank()) {
    out.shape = Shape();
  } else {
    for (int i = 0; i < out.shape.rank(); ++i) {
      if (a.shape[i] != b.shape[i]) out.shape[i] = kUnknownDim;
    }
  }
  return out;
}

Status Collected::Grow(const RunContext& c, int64_t room) {
  LINNET_ASSIGN(Shape shape, ShapeOf(room));
  LINNET_ASSIGN(Tensor grown, Tensor::Allocate(element_.dtype, shape, c.budget()));
  if (buffer_.has_data()) {
    CopyElements(element_.dtype, grown.mutable_data(), buffer_.data(), count_ * element_.shape.elements());
  } else if (turns_ > 0 && element_.dtype != DType::kString) {
    memset(grown.mutable_data(), 0, static_cast<size_t>(grown.bytes()));
  }
  buffer_ = std::move(grown);
  room_ = room;
  return Status();
}

Result<Shape> Collected::ShapeOf(int64_t count) const {
  if (element_.shape.rank() == kMaxRank) return Unsupported("rank ", kMaxRank + 1, " is above the limit of ", kMaxRank);
  Shape shape{count};
  for (int64_t dim : element_.shape) shape.Append(dim);
  LINNET_TRY(CheckShape(shape));
  return shape;
}

Status Collected::Before(const RunContext& c, int64_t index, RunOutput& output) {
  output.data = nullptr;
  output.capacity = 0;
  if (count_ == 0) return Status();
  if (index >= room_) LINNET_TRY(Grow(c, room_ * 2));
  output.data = At(index);
  output.capacity = bytes_;
  output.type = element_;
  return Status();
}

Status Collected::After(const RunContext& c, int64_t index, RunOutput& output) {
  if (count_ == 0) {
    element_ = output.type;
    if (!element_.is_tensor() || DTypeBits(element_.dtype) % 8 != 0) {
      return Unsupported("a collected output is ", ToString(element_), " where a tensor of whole bytes is expected");
    }
    LINNET_ASSIGN(bytes_, ByteSize(element_.dtype, element_.shape.elements()));
    // A few kilobytes of room at first when nobody knows how many will come.
    LINNET_TRY(Grow(c, turns_ > 0 ? turns_ : std::max<int64_t>(1, 4096 / std::max<int64_t>(bytes_, 1))));
    CopyElements(element_.dtype, At(index), output.datum.tensor.data(), element_.shape.elements());
  } else if (!(output.type == element_)) {
    return InvalidArgument("a collected output is ", ToString(output.type), " after it was ", ToString(element_));
  }
  ++count_;
  return Status();
}

Result<Tensor> Collected::Take(const RunContext& c, const Type& declared) {
  if (count_ == 0) {
    element_ = declared;
    if (!element_.shape.has_rank()) element_.shape = Shape::OfRank(0);
    for (int i = 0; i < element_.shape.rank(); ++i) element_.shape[i] = std::max<int64_t>(element_.shape[i], 0);
    LINNET_TRY(Grow(c, turns_));
  }
  LINNET_ASSIGN(Shape shape, ShapeOf(turns_ > 0 ? turns_ : count_));
  return Tensor::View(element_.dtype, shape, buffer_.data(), buffer_.owner());
}

}  // namespace linnet
