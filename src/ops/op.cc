// The contexts' checks and small readers.
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {

Status PrepareContext::NeverFill::operator()(void*) const { return Internal("this build packs no weights"); }

Status NoLoopFor(DType dtype, uint32_t mask) {
  if (mask & Mask(dtype)) return Fail(Code::kNotInBuild, "element type ", DTypeName(dtype), " of this operator is not in this build");
  return Unsupported("element type ", DTypeName(dtype), " is not supported by this operator");
}

Result<InferContext::SmallInts> InferContext::ReadInts(int i) const {
  SmallInts out;
  const Fact& f = fact(i);
  int64_t count = f.type.shape.elements();
  if (f.type.shape.rank() > 1) return InvalidModel("input ", i, " has rank ", f.type.shape.rank(), " where a list is expected");
  if (count > kInlineInts) return Unsupported("input ", i, " lists ", count, " numbers; the limit is ", kInlineInts);
  out.count = static_cast<int>(count);
  for (int k = 0; k < out.count; ++k) {
    if (f.type.dtype == DType::kInt64) {
      out.values[k] = f.as<int64_t>()[k];
    } else if (f.type.dtype == DType::kInt32) {
      out.values[k] = f.as<int32_t>()[k];
    } else {
      return InvalidModel("input ", i, " is ", DTypeName(f.type.dtype), " where int64 is expected");
    }
  }
  return out;
}

Status InferContext::CheckInputs(int required, int max) const {
  if (input_count_ > max) return InvalidModel("has ", input_count_, " inputs; at most ", max, " are defined");
  for (int i = 0; i < required; ++i) {
    if (!has_input(i)) return InvalidModel("required input ", i, " is missing");
  }
  return Status();
}

Status InferContext::CheckType(int i, uint32_t mask) const {
  if (!has_input(i)) return Status();
  const Type& t = type(i);
  if (t.kind == Kind::kUnknown) return Status();
  if (!t.is_tensor()) return InvalidModel("input ", i, " is ", ToString(t), " where a tensor is expected");
  if (t.dtype != DType::kUndefined && !(Mask(t.dtype) & mask)) {
    return InvalidModel("input ", i, " has element type ", DTypeName(t.dtype), ", which is not supported here");
  }
  return Status();
}

Status InferContext::CheckRank(int i, int rank) const {
  if (!has_input(i) || !shape(i).has_rank() || shape(i).rank() == rank) return Status();
  return InvalidModel("input ", i, " has shape ", ToString(shape(i)), " where rank ", rank, " is expected");
}

Status InferContext::SetOutput(int i, const Type& type) {
  if (!has_output(i)) return Status();
  LINNET_TRY(CheckShape(type.shape));
  facts_[outputs_[i]].type = type;
  return Status();
}

void* BindContext::Raw(int64_t bytes) {
  // When memory runs out, parameters of any operator still have somewhere to be written; the planner then fails.
  alignas(64) static std::byte spare[1 << 16];
  void* memory = memory_->Take(bytes);
  if (memory) return memory;
  out_of_memory_ = true;
  return bytes <= static_cast<int64_t>(sizeof spare) ? spare : nullptr;
}

void BindContext::Alias(int out, int in, int64_t byte_offset) {
  if (bound_.alias_count < kAliasesMax && has_output(out)) {
    bound_.alias_list[bound_.alias_count++] = {static_cast<int8_t>(out), static_cast<int8_t>(in), byte_offset};
  }
}

void BindContext::InPlace(int out, int in) {
  if (bound_.in_place_count < kAliasesMax && has_output(out) && has_input(in)) {
    bound_.in_place_list[bound_.in_place_count++] = {static_cast<int8_t>(out), static_cast<int8_t>(in), 0};
  }
}

void BindContext::GrowInPlace(int out, int in) {
  const int count = bound_.in_place_count;
  InPlace(out, in);
  if (bound_.in_place_count > count) bound_.in_place_list[count].grows = true;
}

}  // namespace linnet
