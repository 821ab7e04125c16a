// Scan: a subgraph run over the slices of tensors, with state carried from slice to slice.
//
//     body(state..., slices...) → (state..., elements...)
//
// Since version 9 each scanned input and output has an axis and a direction. Version 8 has a batch axis before the
// sequence axis instead, with the number of slices of each batch entry as an optional first input; what lies beyond is 0.
#include "ops/body.h"

namespace linnet {
namespace {

struct Scan {
  Body body;
  bool batched = false;          ///< version 8
  int first = 0;                 ///< node input that holds the first state
  int states = 0, scanned = 0, collected = 0;
  std::vector<int64_t> in_axes, in_directions, out_axes, out_directions;
  CpuLevel cpu = CpuLevel::kSse4;

  Status Parse(const Node& node) {
    LINNET_TRY(body.Parse(node, "body"));
    batched = node.version < 9;
    first = batched ? 1 : 0;
    LINNET_ASSIGN(int64_t count, node.Int("num_scan_inputs", 0));
    const int64_t inputs = static_cast<int64_t>(node.inputs.size()) - first;
    if (count < 1 || count > inputs) return InvalidModel("attribute 'num_scan_inputs' is ", count, " for ", inputs, " inputs");
    scanned = static_cast<int>(count);
    states = static_cast<int>(inputs - count);
    collected = body.output_count() - states;
    if (body.input_count() != inputs) return InvalidModel("the body has ", body.input_count(), " inputs where ", inputs, " are expected");
    if (collected < 0) return InvalidModel("the body has ", body.output_count(), " outputs for ", states, " state values");
    if (static_cast<int>(node.outputs.size()) > states + collected) {
      return InvalidModel("has ", node.outputs.size(), " outputs where the body gives ", states + collected);
    }
    LINNET_TRY(ParseFlags(node, batched ? "directions" : "scan_input_directions", scanned, true, &in_directions));
    LINNET_TRY(ParseFlags(node, "scan_input_axes", scanned, false, &in_axes));
    LINNET_TRY(ParseFlags(node, "scan_output_directions", collected, true, &out_directions));
    return ParseFlags(node, "scan_output_axes", collected, false, &out_axes);
  }
  static Status ParseFlags(const Node& node, const char* name, int count, bool direction, std::vector<int64_t>* flags) {
    LINNET_ASSIGN(*flags, node.Ints(name));
    if (flags->empty()) flags->assign(static_cast<size_t>(count), 0);
    if (flags->size() != static_cast<size_t>(count)) {
      return InvalidModel("attribute ", Quote(name), " has ", flags->size(), " entries where ", count, " are expected");
    }
    for (int64_t flag : *flags) {
      if (direction && flag != 0 && flag != 1) return InvalidModel("attribute ", Quote(name), " has ", flag, "; known: 0, 1");
    }
    return Status();
  }
  /// Axis of scanned input i whose tensor has `rank`.
  Result<int> InAxis(int i, int rank) const {
    if (batched) return NormalizeAxis(1, rank);
    return NormalizeAxis(in_axes[static_cast<size_t>(i)], rank);
  }

  Status Infer(InferContext& c) const {
    for (int i = 0; i < states + scanned; ++i) {
      if (!c.has_input(first + i)) return InvalidModel("required input ", first + i, " is missing");
      LINNET_TRY(c.CheckType(first + i, kWholeBytes));
    }
    int64_t length = kUnknownDim, batch = kUnknownDim;
    for (int i = 0; i < scanned; ++i) {
      const Shape& in = c.shape(first + states + i);
      if (!in.has_rank()) continue;
      LINNET_ASSIGN(int axis, InAxis(i, in.rank()));
      LINNET_TRY(Agree(&length, in[axis], "scan length"));
      if (batched) LINNET_TRY(Agree(&batch, in[0], "batch"));
    }
    if (batched) {
      LINNET_TRY(c.CheckType(0, Mask(DType::kInt64)));
      for (int i = 0; i < states; ++i) {
        const Shape& in = c.shape(first + i);
        if (in.rank() == 0) return InvalidArgument("state ", i, " has no batch axis");
        if (in.has_rank()) LINNET_TRY(Agree(&batch, in[0], "batch"));
      }
      if (c.has_input(0) && c.shape(0).has_rank()) {
        LINNET_TRY(c.CheckRank(0, 1));
        LINNET_TRY(Agree(&batch, c.shape(0)[0], "batch"));
      }
    }
    for (int i = 0; i < states; ++i) LINNET_TRY(c.SetOutput(i, c.type(first + i)));
    for (int i = 0; i < collected; ++i) {
      const Type& element = body.output_type(states + i);
      Shape out;
      if (element.shape.has_rank()) {
        const int rank = element.shape.rank() + (batched ? 2 : 1);
        if (rank > kMaxRank) return Unsupported("rank ", rank, " is above the limit of ", kMaxRank);
        out = Shape::OfRank(rank);
        int axis = 1;
        if (batched) {
          out[0] = batch;
        } else {
          LINNET_ASSIGN(axis, NormalizeAxis(out_axes[static_cast<size_t>(i)], rank));
        }
        out[axis] = length;
      }
      LINNET_TRY(c.SetOutput(states + i, element.dtype, out));
    }
    return Status();
  }
  static Status Agree(int64_t* dim, int64_t other, const char* what) {
    if (!IsKnownDim(other)) return Status();
    if (IsKnownDim(*dim) && *dim != other) return InvalidArgument(what, " ", other, " of one input is ", *dim, " in another");
    *dim = other;
    return Status();
  }
  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    return body.Prepare(c);
  }

  /// Where the slices of one scanned input are: in place along its first axes, or copied along others.
  struct Slices {
    Type type;                 ///< of one slice
    const std::byte* base;     ///< of slice 0 of batch entry 0
    int64_t step, batch_step;  ///< bytes
    bool reverse, strided;
    StridedCopy copy;
    Tensor buffer;
  };

  Status Run(RunContext& c) const {
    const Shape& shape = c.input_shape(first + states);
    LINNET_ASSIGN(int length_axis, InAxis(0, shape.rank()));
    const int64_t length = shape[length_axis], batch = batched ? shape[0] : 1;

    std::vector<Slices> slices(static_cast<size_t>(scanned));
    for (int i = 0; i < scanned; ++i) LINNET_TRY(SetSlices(c, i, length, slices[static_cast<size_t>(i)]));
    std::vector<Fact> inputs = body.Inputs(c);
    std::vector<RunOutput> outputs(static_cast<size_t>(body.output_count())), previous(static_cast<size_t>(states));
    std::vector<Collected> parts(static_cast<size_t>(collected), Collected(length * batch));
    std::vector<Collected> finals(static_cast<size_t>(states), Collected(batch));
    for (int i = 0; i < collected; ++i) outputs[static_cast<size_t>(states + i)].wanted = c.has_output(states + i);

    for (int64_t b = 0; b < batch; ++b) {
      for (int i = 0; i < states; ++i) inputs[static_cast<size_t>(i)] = InitialState(c, i, b);
      int64_t turns = length;
      if (batched && c.has_input(0)) {
        turns = c.in<int64_t>(0)[b];
        if (turns < 0 || turns > length) return InvalidArgument("sequence length ", turns, " of batch entry ", b, " is outside 0 to ", length);
      }
      for (int64_t t = 0; t < turns; ++t) LINNET_TRY(Turn(c, b, t, turns, length, slices, inputs, outputs, previous, parts));
      for (int i = 0; i < states; ++i) LINNET_TRY(KeepState(c, i, b, inputs[static_cast<size_t>(i)], finals));
    }
    for (int i = 0; i < states; ++i) {
      if (batched && c.has_output(i)) LINNET_TRY(EmitBatch(c, i, finals[static_cast<size_t>(i)]));
    }
    for (int i = 0; i < collected; ++i) {
      if (c.has_output(states + i)) LINNET_TRY(EmitCollected(c, i, batch, length, parts[static_cast<size_t>(i)]));
    }
    return Status();
  }

  Status SetSlices(RunContext& c, int i, int64_t length, Slices& s) const {
    const int input = first + states + i;
    const Shape& in = c.input_shape(input);
    LINNET_ASSIGN(int axis, InAxis(i, in.rank()));
    if (in[axis] != length || (batched && in[0] != c.input_shape(first + states)[0])) {
      return InvalidArgument("input ", input, " of shape ", ToString(in), " does not have the ", length, " slices of the first");
    }
    const DType dtype = c.input_dtype(input);
    const int64_t width = static_cast<int64_t>(DTypeBytes(dtype));
    Strides from(in);
    Shape one = Shape::OfRank(0);
    for (int d = batched ? 1 : 0; d < in.rank(); ++d) {
      if (d != axis) one.Append(in[d]);
    }
    s.type = Type::Tensor(dtype, one);
    s.base = c.in<std::byte>(input);
    s.step = from[axis] * width;
    s.batch_step = batched ? from[0] * width : 0;
    s.reverse = in_directions[static_cast<size_t>(i)] == 1;
    s.strided = axis != (batched ? 1 : 0);
    if (!s.strided) return Status();
    LINNET_ASSIGN(s.buffer, Tensor::Allocate(dtype, one, c.budget()));
    Strides to(one);
    for (int d = 0, k = 0; d < in.rank(); ++d) {
      if (d != axis) s.copy.Add(in[d], from[d], to[k++]);
    }
    s.copy.Finish(dtype, cpu);
    return Status();
  }

  Fact InitialState(const RunContext& c, int i, int64_t b) const {
    Fact fact = c.input_fact(first + i);
    if (!batched) return fact;
    const Shape in = fact.type.shape;
    fact.type.shape = Shape(in.dims().subspan(1));
    fact.data = ElementAt(fact.type.dtype, fact.data, b * in.Product(1, in.rank()));
    return fact;
  }

  Status Turn(RunContext& c, int64_t b, int64_t t, int64_t turns, int64_t length, std::vector<Slices>& slices,
              std::vector<Fact>& inputs, std::vector<RunOutput>& outputs, std::vector<RunOutput>& previous,
              std::vector<Collected>& parts) const {
    LINNET_TRY(c.CheckStop());
    for (size_t i = 0; i < slices.size(); ++i) {
      Slices& s = slices[i];
      const std::byte* from = s.base + b * s.batch_step + (s.reverse ? turns - 1 - t : t) * s.step;
      if (s.strided) LINNET_TRY(RunCopy(c, s.copy, from, s.buffer.mutable_data()));
      inputs[static_cast<size_t>(states) + i] = {s.type, s.strided ? s.buffer.data() : from};
    }
    auto place = [&](size_t i) { return b * length + (out_directions[i] == 1 ? turns - 1 - t : t); };
    for (size_t i = 0; i < parts.size(); ++i) {
      RunOutput& output = outputs[static_cast<size_t>(states) + i];
      if (output.wanted) LINNET_TRY(parts[i].Before(c, place(i), output));
    }
    LINNET_TRY(body.Run(c, inputs, outputs));
    for (size_t i = 0; i < parts.size(); ++i) {
      RunOutput& output = outputs[static_cast<size_t>(states) + i];
      if (output.wanted) LINNET_TRY(parts[i].After(c, place(i), output));
    }
    for (size_t i = 0; i < static_cast<size_t>(states); ++i) {
      std::swap(outputs[i], previous[i]);
      inputs[i] = FactOf(previous[i].datum);
    }
    return Status();
  }

  /// The state after the last turn of a batch entry.
  Status KeepState(RunContext& c, int i, int64_t b, const Fact& state, std::vector<Collected>& finals) const {
    if (!c.has_output(i)) return Status();
    if (!state.type.is_tensor()) return Unsupported("state ", i, " is ", ToString(state.type));
    LINNET_ASSIGN(Tensor last, Tensor::Allocate(state.type.dtype, state.type.shape, c.budget()));
    CopyElements(state.type, state.data, last.mutable_data());
    if (!batched) return c.SetOutput(i, Datum::Of(std::move(last)));
    Collected& all = finals[static_cast<size_t>(i)];
    RunOutput output;
    LINNET_TRY(all.Before(c, b, output));
    output.type = last.type();
    if (output.data) CopyElements(output.type, last.data(), output.data);
    output.datum = Datum::Of(std::move(last));
    return all.After(c, b, output);
  }
  Status EmitBatch(RunContext& c, int i, Collected& all) const {
    Type element = c.input_type(first + i);
    element.shape = Shape(element.shape.dims().subspan(1));
    LINNET_ASSIGN(Tensor tensor, all.Take(c, element));
    return c.SetOutput(i, Datum::Of(std::move(tensor)));
  }

  Status EmitCollected(RunContext& c, int i, int64_t batch, int64_t length, Collected& part) const {
    LINNET_ASSIGN(Tensor all, part.Take(c, body.output_type(states + i)));
    Shape shape = all.shape();                            // [batch * length, element...]
    if (batched) {
      LINNET_ASSIGN(shape, MakeShape(Join({batch, length}, all.shape().dims().subspan(1))));
      return c.SetOutput(states + i, Datum::Of(all.Reshaped(shape)));
    }
    LINNET_ASSIGN(int axis, NormalizeAxis(out_axes[static_cast<size_t>(i)], shape.rank()));
    if (axis == 0) return c.SetOutput(states + i, Datum::Of(std::move(all)));
    // The first axis moves to its place.
    Shape out = Shape::OfRank(0);
    for (int d = 1; d < shape.rank(); ++d) {
      out.Append(shape[d]);
      if (d == axis) out.Append(length);
    }
    StridedCopy copy;
    Strides from(shape), to(out);
    for (int d = 0; d < out.rank(); ++d) {
      const int source = d < axis ? d + 1 : d == axis ? 0 : d;
      copy.Add(out[d], from[source], to[d]);
    }
    copy.Finish(all.dtype(), cpu);
    const Type& planned = c.output_type(states + i);
    if (planned.is_tensor() && planned.shape.is_static() && !(planned == Type::Tensor(all.dtype(), out))) {
      return InvalidModel("output ", states + i, " is ", DTypeName(all.dtype()), ToString(out), " where ", ToString(planned), " was inferred");
    }
    LINNET_ASSIGN(void* memory, c.AllocateOutput(states + i, all.dtype(), out));
    return RunCopy(c, copy, all.data(), memory);
  }
  static std::vector<int64_t> Join(std::initializer_list<int64_t> head, std::span<const int64_t> tail) {
    std::vector<int64_t> all(head);
    all.insert(all.end(), tail.begin(), tail.end());
    return all;
  }
};

}  // namespace

LINNET_OP(Scan, 8, Scan);

}  // namespace linnet
