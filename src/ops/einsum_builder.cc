// Laying out operands, summing and multiplying them.
#include "ops/einsum_builder.h"

#include <algorithm>

namespace linnet {
namespace {

bool Contains(const EinsumOperand& operand, int8_t index) {
  return std::find(operand.indices, operand.indices + operand.count, index) != operand.indices + operand.count;
}

}  // namespace

int64_t EinsumBuilder::Size(std::span<const int8_t> indices) const {
  int64_t size = 1;
  for (int8_t index : indices) size *= dims[index];
  return size;
}

EinsumStep& EinsumBuilder::Add(EinsumStep::Kind kind) {
  EinsumStep& step = *new (&steps_[count_++]) EinsumStep();
  step.kind = kind;
  return step;
}

int64_t EinsumBuilder::Take(int64_t elements) {
  const int64_t at = scratch_;
  scratch_ += RoundUp(elements * bytes(), static_cast<int64_t>(kAlignment));
  return at;
}

/// Scratch for a dense tensor of these indices, bounded like any tensor.
Result<EinsumOperand> EinsumBuilder::Fresh(std::span<const int8_t> indices) {
  EinsumOperand out;
  int64_t elements = 1;
  for (int8_t index : indices) {
    if (!CheckedMul(elements, dims[index], &elements) || elements > kElementsMax) {
      return LimitReached("an intermediate result has more than ", kElementsMax, " elements");
    }
    out.indices[out.count++] = index;
  }
  int64_t stride = 1;
  for (int i = out.count - 1; i >= 0; --i) {
    out.strides[i] = stride;
    stride *= dims[out.indices[i]];
  }
  out.at = Take(elements);
  return out;
}

bool EinsumBuilder::IsDense(const EinsumOperand& operand, std::span<const int8_t> order) const {
  int64_t stride = 1;
  for (int i = static_cast<int>(order.size()) - 1; i >= 0; --i) {
    if (operand.indices[i] != order[static_cast<size_t>(i)] || operand.strides[i] != stride) return false;
    stride *= dims[order[static_cast<size_t>(i)]];
  }
  return true;
}

Result<EinsumOperand> EinsumBuilder::Arrange(const EinsumOperand& operand, std::span<const int8_t> order, bool to_output) {
  if (IsDense(operand, order) && !to_output) return operand;
  EinsumOperand out;
  if (to_output) {
    out.source = EinsumOperand::kOutput;
  } else {
    LINNET_ASSIGN(out, Fresh(order));
  }
  EinsumStep& step = Add(EinsumStep::kCopy);
  step.x = operand.source, step.x_at = operand.at;
  step.y = out.source, step.y_at = out.at;
  int64_t sizes[2 * kMaxRank], from[2 * kMaxRank], to[2 * kMaxRank], stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const int8_t* found = std::find(operand.indices, operand.indices + operand.count, order[i]);
    sizes[i] = dims[order[i]];
    from[i] = operand.strides[found - operand.indices];
    to[i] = stride;
    stride *= sizes[i];
  }
  const size_t rank = order.size();
  LINNET_TRY(MakeCopy(bytes(), {sizes, rank}, {from, rank}, {to, rank}, cpu_, &step.copy));
  return out;
}

Result<EinsumOperand> EinsumBuilder::SumOut(const EinsumOperand& operand, std::span<const int8_t> keep) {
  if (static_cast<int>(keep.size()) == operand.count) return operand;
  int8_t order[2 * kMaxRank];
  size_t length = 0;
  for (int8_t index : keep) order[length++] = index;
  for (int i = 0; i < operand.count; ++i) {
    if (std::find(keep.begin(), keep.end(), operand.indices[i]) == keep.end()) order[length++] = operand.indices[i];
  }
  LINNET_ASSIGN(EinsumOperand from, Arrange(operand, {order, length}));
  LINNET_ASSIGN(EinsumOperand out, Fresh(keep));
  EinsumStep& step = Add(EinsumStep::kSumRows);
  step.x = from.source, step.x_at = from.at;
  step.y = out.source, step.y_at = out.at;
  step.rows = Size(keep);
  step.n = Size({order + keep.size(), length - keep.size()});
  return out;
}

Result<EinsumOperand> EinsumBuilder::Contract(const EinsumOperand& left, const EinsumOperand& right, const bool* needed) {
  int8_t batch[2 * kMaxRank], m[2 * kMaxRank], n[2 * kMaxRank], summed[2 * kMaxRank];
  size_t batches = 0, ms = 0, ns = 0, sums = 0;
  for (int i = 0; i < left.count; ++i) {
    const int8_t index = left.indices[i];
    if (Contains(right, index)) {
      (needed[index] ? batch[batches++] : summed[sums++]) = index;
    } else if (needed[index]) {
      m[ms++] = index;
    }
  }
  for (int i = 0; i < right.count; ++i) {
    if (needed[right.indices[i]] && !Contains(left, right.indices[i])) n[ns++] = right.indices[i];
  }
  auto join = [](int8_t* out, std::initializer_list<std::span<const int8_t>> parts) {
    size_t length = 0;
    for (auto part : parts) {
      for (int8_t index : part) out[length++] = index;
    }
    return std::span<const int8_t>(out, length);
  };
  const std::span<const int8_t> b(batch, batches), rows(m, ms), columns(n, ns), k(summed, sums);
  int8_t order[4 * kMaxRank];
  LINNET_ASSIGN(EinsumOperand x, SumOut(left, join(order, {b, rows, k})));
  LINNET_ASSIGN(x, Arrange(x, join(order, {b, rows, k})));
  LINNET_ASSIGN(EinsumOperand w, SumOut(right, join(order, {b, k, columns})));
  const bool transposed = IsDense(w, join(order, {b, columns, k})) && ns > 0;
  if (!transposed) {
    LINNET_ASSIGN(w, Arrange(w, join(order, {b, k, columns})));
  }
  auto result = join(order, {b, rows, columns});
  if (result.size() > 2 * static_cast<size_t>(kMaxRank)) return Unsupported("an intermediate result has ", result.size(), " indices");
  LINNET_ASSIGN(EinsumOperand out, Fresh(result));

  const int64_t batch_size = Size(b), m_size = Size(rows), n_size = Size(columns), k_size = Size(k);
  const bool small = compute_ != DType::kFloat || m_size * n_size * k_size < 512 || m_size * k_size == 1;
  EinsumStep& step = Add(small ? EinsumStep::kSmallProduct : EinsumStep::kProduct);
  step.x = x.source, step.x_at = x.at;
  step.w = w.source, step.w_at = w.at;
  step.y = out.source, step.y_at = out.at;
  step.transposed = transposed;
  const Shape x_shape{batch_size, m_size, k_size};
  const Shape w_shape = transposed ? Shape{batch_size, n_size, k_size} : Shape{batch_size, k_size, n_size};
  // A small product only needs the sizes, which planning for double leaves it at.
  LINNET_ASSIGN(int64_t used, (transposed ? turned_ : plain_).Plan(small ? DType::kDouble : DType::kFloat, x_shape, w_shape,
                                                                 nullptr, false, threads_, scratch_, &step.product));
  scratch_ += used;
  return out;
}

}  // namespace linnet
