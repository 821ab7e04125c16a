// Sequences of tensors: made, taken apart, changed. Tensors inside are shared, never copied again.
#include "ops/movement.h"

namespace linnet {
namespace {

Status CheckSequence(const InferContext& c, int i) {
  if (c.type(i).kind == Kind::kUnknown || c.type(i).kind == Kind::kSequence) return Status();
  return InvalidModel("input ", i, " is ", ToString(c.type(i)), " where a sequence is expected");
}

/// Position `input` (a scalar) of a sequence, in [0, size); `size` itself stands for an omitted input.
Result<int64_t> Position(const RunContext& c, int input, int64_t size, int64_t end) {
  if (!c.has_input(input)) return size;
  if (c.input_shape(input).elements() != 1) {
    return InvalidArgument("position has shape ", ToString(c.input_shape(input)), " where a scalar is expected");
  }
  LINNET_ASSIGN(int64_t position, IntegerAt(c.input_fact(input), 0));
  if (position < -size || position >= end) {
    return InvalidArgument("position ", position, " is outside a sequence of ", size);
  }
  return position < 0 ? position + size : position;
}

constexpr uint32_t kPositionTypes = Mask(DType::kInt32) | Mask(DType::kInt64);

struct SequenceConstruct {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(std::max(1, c.input_count()), INT32_MAX));
    DType dtype = DType::kUndefined;
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_TRY(c.CheckType(i, dtype == DType::kUndefined ? kAnyType : Mask(dtype)));
      if (dtype == DType::kUndefined) dtype = c.dtype(i);
    }
    return c.SetOutput(0, Type::Sequence(dtype));
  }
  Status Run(RunContext& c) const {
    Datum sequence;
    sequence.type = c.output_type(0);
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_ASSIGN(Datum item, c.CopyInput(i));
      sequence.items.push_back(std::move(item));
    }
    return c.SetOutput(0, std::move(sequence));
  }
};

struct SequenceEmpty {
  DType dtype = DType::kFloat;
  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t type, node.Int("dtype", static_cast<int64_t>(DType::kFloat)));
    if (!IsKnown(type)) return InvalidModel("attribute 'dtype' is ", type);
    dtype = static_cast<DType>(type);
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(0, 0));
    return c.SetOutput(0, Type::Sequence(dtype));
  }
  Status Run(RunContext& c) const {
    Datum sequence;
    sequence.type = c.output_type(0);
    return c.SetOutput(0, std::move(sequence));
  }
};

struct SequenceInsert {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    LINNET_TRY(CheckSequence(c, 0));
    LINNET_TRY(c.CheckType(1, c.dtype(0) == DType::kUndefined ? kAnyType : Mask(c.dtype(0))));
    LINNET_TRY(c.CheckType(2, kPositionTypes));
    return c.SetOutput(0, Type::Sequence(c.dtype(0) == DType::kUndefined ? c.dtype(1) : c.dtype(0)));
  }
  Status Run(RunContext& c) const {
    const Datum& from = c.input_datum(0);
    const int64_t size = static_cast<int64_t>(from.items.size());
    LINNET_ASSIGN(int64_t position, Position(c, 2, size, size + 1));
    LINNET_ASSIGN(Datum item, c.CopyInput(1));
    Datum sequence;
    sequence.type = c.output_type(0);
    sequence.items.reserve(from.items.size() + 1);
    sequence.items.assign(from.items.begin(), from.items.begin() + position);
    sequence.items.push_back(std::move(item));
    sequence.items.insert(sequence.items.end(), from.items.begin() + position, from.items.end());
    return c.SetOutput(0, std::move(sequence));
  }
};

struct SequenceErase {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 2));
    LINNET_TRY(CheckSequence(c, 0));
    LINNET_TRY(c.CheckType(1, kPositionTypes));
    return c.SetOutput(0, Type::Sequence(c.dtype(0)));
  }
  Status Run(RunContext& c) const {
    Datum sequence = c.input_datum(0);
    const int64_t size = static_cast<int64_t>(sequence.items.size());
    if (size == 0) return InvalidArgument("the sequence is empty");
    LINNET_ASSIGN(int64_t position, Position(c, 1, size, size));
    sequence.items.erase(sequence.items.begin() + std::min(position, size - 1));
    sequence.type = c.output_type(0);
    return c.SetOutput(0, std::move(sequence));
  }
};

struct SequenceAt {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(CheckSequence(c, 0));
    LINNET_TRY(c.CheckType(1, kPositionTypes));
    return c.SetOutput(0, c.dtype(0), Shape());
  }
  Status Run(RunContext& c) const {
    const Datum& sequence = c.input_datum(0);
    const int64_t size = static_cast<int64_t>(sequence.items.size());
    LINNET_ASSIGN(int64_t position, Position(c, 1, size, size));
    return c.SetOutput(0, sequence.items[static_cast<size_t>(position)]);
  }
};

struct SequenceLength {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(CheckSequence(c, 0));
    return c.SetOutput(0, DType::kInt64, Shape::OfRank(0));
  }
  Status Run(RunContext& c) const {
    *c.out<int64_t>(0) = static_cast<int64_t>(c.input_datum(0).items.size());
    return Status();
  }
};

/// Cuts along an axis: into pieces of one size (1 when nothing is said), or of the sizes listed.
struct SplitToSequence {
  int64_t axis = 0;
  bool keep = true;
  CpuLevel cpu = CpuLevel::kSse4;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    LINNET_ASSIGN(int64_t keepdims, node.Int("keepdims", 1));
    keep = keepdims != 0;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, kPositionTypes));
    if (c.shape(0).has_rank()) LINNET_TRY(NormalizeAxis(axis, c.shape(0).rank()).TakeStatus());
    return c.SetOutput(0, Type::Sequence(c.dtype(0)));
  }
  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    return Status();
  }
  Status Run(RunContext& c) const {
    const Shape& in = c.input_shape(0);
    LINNET_ASSIGN(int at, NormalizeAxis(axis, in.rank()));
    const bool listed = c.has_input(1) && c.input_shape(1).rank() > 0;
    int64_t pieces = 0, size = 1;
    if (listed) {
      if (c.input_shape(1).rank() != 1) return InvalidArgument("split has shape ", ToString(c.input_shape(1)), " where a list is expected");
      pieces = c.input_shape(1)[0];
    } else {
      if (c.has_input(1)) {
        LINNET_ASSIGN(size, IntegerAt(c.input_fact(1), 0));
      }
      if (size < 1) return InvalidArgument("split is ", size);
      pieces = in[at] / size + (in[at] % size != 0);
    }
    Datum sequence;
    sequence.type = c.output_type(0);
    int64_t begin = 0;
    for (int64_t i = 0; i < pieces; ++i) {
      int64_t length = std::min(size, in[at] - begin);
      if (listed) {
        LINNET_ASSIGN(length, IntegerAt(c.input_fact(1), i));
        if (length < 0 || length > in[at] - begin) return InvalidArgument("sizes of split do not fit the axis of ", in[at]);
      }
      LINNET_ASSIGN(Tensor piece, Cut(c, at, begin, length));
      sequence.items.push_back(Datum::Of(std::move(piece)));
      begin += length;
    }
    if (begin != in[at]) return InvalidArgument("sizes of split sum to ", begin, " where the axis has ", in[at]);
    return c.SetOutput(0, std::move(sequence));
  }
  Result<Tensor> Cut(RunContext& c, int at, int64_t begin, int64_t length) const {
    const Shape& in = c.input_shape(0);
    Shape out = in;
    out[at] = length;
    LINNET_ASSIGN(Tensor piece, Tensor::Allocate(c.input_dtype(0), out, c.budget()));
    Strides from(in), to(out);
    StridedCopy copy;
    copy.from_offset = begin * from[at];
    for (int d = 0; d < out.rank(); ++d) copy.Add(out[d], from[d], to[d]);
    copy.Finish(c.input_dtype(0), cpu);
    LINNET_TRY(RunCopy(c, copy, c.input(0), piece.mutable_data()));
    if (keep || c.has_input(1)) return piece;
    Shape squeezed = Shape::OfRank(0);
    for (int d = 0; d < out.rank(); ++d) {
      if (d != at) squeezed.Append(out[d]);
    }
    return piece.Reshaped(squeezed);
  }
};

struct ConcatFromSequence {
  int64_t axis = 0;
  bool stacks = false;

  Status Parse(const Node& node) {
    if (!node.Has("axis")) return InvalidModel("attribute 'axis' is missing");
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    LINNET_ASSIGN(int64_t new_axis, node.Int("new_axis", 0));
    stacks = new_axis != 0;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(CheckSequence(c, 0));
    if (c.dtype(0) != DType::kUndefined && !(Mask(c.dtype(0)) & kWholeBytes)) return Unsupported("elements are ", DTypeName(c.dtype(0)));
    return c.SetOutput(0, c.dtype(0), Shape());
  }
  Status Run(RunContext& c) const {
    const std::vector<Datum>& items = c.input_datum(0).items;
    if (items.empty()) return InvalidArgument("the sequence is empty");
    Shape out = items[0].tensor.shape();
    const DType dtype = items[0].tensor.dtype();
    if (stacks && out.rank() == kMaxRank) return Unsupported("rank ", kMaxRank + 1, " is above the limit of ", kMaxRank);
    LINNET_ASSIGN(int at, NormalizeAxis(axis, out.rank() + stacks));
    int64_t sum = 0;
    for (const Datum& item : items) {
      Shape other = item.tensor.shape();
      bool fits = other.rank() == out.rank() && item.tensor.dtype() == dtype;
      for (int d = 0; fits && d < out.rank(); ++d) fits = (d == at && !stacks) || other[d] == out[d];
      if (!fits) return InvalidArgument("elements of shapes ", ToString(out), " and ", ToString(other), " do not go together");
      sum += stacks ? 1 : other[at];
    }
    if (stacks) {
      out.Append(0);
      for (int d = out.rank() - 1; d > at; --d) out[d] = out[d - 1];
    }
    out[at] = sum;
    LINNET_TRY(CheckShape(out));
    LINNET_ASSIGN(void* memory, c.AllocateOutput(0, dtype, out));
    const int64_t rows = out.Product(0, at), row = out.Product(at, out.rank()), inner = out.Product(at + 1, out.rank());
    return ForWidth(dtype, [&]<class T>() {
      T* to = static_cast<T*>(memory);
      for (const Datum& item : items) {
        const int64_t length = (stacks ? 1 : item.tensor.shape()[at]) * inner;
        for (int64_t r = 0; r < rows; ++r) CopyRun(to + r * row, item.tensor.as<T>() + r * length, length);
        to += length;
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(SequenceConstruct, 11, SequenceConstruct);
LINNET_OP(SequenceEmpty, 11, SequenceEmpty);
LINNET_OP(SequenceInsert, 11, SequenceInsert);
LINNET_OP(SequenceErase, 11, SequenceErase);
LINNET_OP(SequenceAt, 11, SequenceAt);
LINNET_OP(SequenceLength, 11, SequenceLength);
LINNET_OP(SplitToSequence, 11, SplitToSequence);
LINNET_OP(ConcatFromSequence, 11, ConcatFromSequence);

}  // namespace linnet
