// Planning and running strided copies.
#include "kernels/copy.h"

#include <string.h>

#include "base/memory.h"
#include "kernels/unroll.h"

namespace linnet {
namespace {

using Kind = CopyPlan::Kind;

struct Axis {
  int64_t dim, src, dst;  // strides in bytes
};

constexpr int kAxesMax = kCopyRankMax + 2;
constexpr int64_t kPieceBytes = 1 << 15;
// A piece of a transposition is read and written as whole cache lines and both sides fit L1 together.
constexpr int64_t kTransposePieceBytes = 1 << 13;

// Innermost last, neighbours that are one dimension on both sides merged. -1 when more than kAxesMax remain.
int Coalesce(int64_t element_bytes, std::span<const int64_t> dims, std::span<const int64_t> src_strides,
             std::span<const int64_t> dst_strides, Axis* axes) {
  int count = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    const Axis axis{dims[i], src_strides[i] * element_bytes, dst_strides[i] * element_bytes};
    if (count > 0) {
      Axis& outer = axes[count - 1];
      if (outer.src == axis.src * axis.dim && outer.dst == axis.dst * axis.dim) {
        outer = {outer.dim * axis.dim, axis.src, axis.dst};
        continue;
      }
    }
    if (count == kAxesMax) return -1;
    axes[count++] = axis;
  }
  return count;
}

void SortByDestination(Axis* axes, int count) {
  for (int i = 1; i < count; ++i) {
    for (int j = i; j > 0 && axes[j - 1].dst < axes[j].dst; --j) {
      const Axis axis = axes[j];
      axes[j] = axes[j - 1];
      axes[j - 1] = axis;
    }
  }
}

// A last dimension of consecutive elements becomes part of the element while that has at most 16 bytes.
void WidenElement(Axis* axes, int* count, int64_t* element_bytes) {
  if (*count == 0) return;
  const Axis& last = axes[*count - 1];
  const int64_t wide = last.dim * *element_bytes;
  if (last.src != *element_bytes || last.dst != *element_bytes ||
      (wide != 2 && wide != 4 && wide != 8 && wide != 16))
    return;
  *element_bytes = wide;
  --*count;
}

void SetPieces(CopyPlan* plan) {
  const int64_t bytes = plan->element_bytes;
  if (plan->kind == Kind::kTranspose) {
    const int64_t line = bytes < 4 ? 128 : 256 / bytes;
    plan->cols_piece = plan->cols < line ? plan->cols : line;
    plan->rows_piece = kTransposePieceBytes / bytes / plan->cols_piece / line * line;
    if (plan->rows_piece < line) plan->rows_piece = line;
  } else {
    plan->cols_piece = plan->cols < kPieceBytes / bytes ? plan->cols : kPieceBytes / bytes;
    plan->rows_piece = kPieceBytes / (plan->cols_piece * bytes);
  }
  if (plan->rows_piece > plan->rows) plan->rows_piece = plan->rows;
}

}  // namespace

Status MakeCopy(int64_t element_bytes, std::span<const int64_t> dims, std::span<const int64_t> src_strides,
                std::span<const int64_t> dst_strides, CpuLevel level, CopyPlan* plan) {
  *plan = CopyPlan();
  if (PickTranspose(element_bytes, level) == nullptr) {
    return InvalidArgument("copying elements of ", element_bytes, " bytes");
  }
  for (int64_t dim : dims) {
    if (dim < 0) return InvalidArgument("dimension ", dim, " in a copy");
    if (dim == 0) return Status();
  }
  Axis axes[kAxesMax];
  int count = Coalesce(element_bytes, dims, src_strides, dst_strides, axes);
  if (count < 0)
    return Unsupported("copying an array of more than ", int64_t{kAxesMax}, " separate dimensions");
  SortByDestination(axes, count);
  WidenElement(axes, &count, &element_bytes);
  plan->element_bytes = static_cast<uint8_t>(element_bytes);

  // The innermost dimension of dst is the columns; rows are the next, or in a transposition what is innermost
  // in src.
  Axis cols{1, element_bytes, element_bytes}, rows{1, 0, 0};
  if (count > 0) cols = axes[--count];
  if (cols.dst != element_bytes) {
    plan->kind = Kind::kStrided;
  } else if (cols.src == element_bytes) {
    plan->kind = Kind::kRuns;
  } else if (cols.src == 0) {
    plan->kind = Kind::kFill;
  } else {
    plan->kind = Kind::kStrided;
    for (int i = 0; i < count; ++i) {
      if (axes[i].src != element_bytes) continue;
      plan->kind = Kind::kTranspose;
      rows = axes[i];
      memmove(axes + i, axes + i + 1, sizeof(Axis) * static_cast<size_t>(count - i - 1));
      --count;
      break;
    }
  }
  if (plan->kind != Kind::kTranspose && count > 0) rows = axes[--count];
  plan->rows = rows.dim, plan->src_row = rows.src, plan->dst_row = rows.dst;
  plan->cols = cols.dim, plan->src_col = cols.src, plan->dst_col = cols.dst;
  plan->transpose = PickTranspose(element_bytes, level);
  const bool steps = plan->kind == Kind::kStrided && cols.dst == element_bytes && cols.src % element_bytes == 0;
  if (steps) plan->take = PickTakeEvery(element_bytes, cols.src / element_bytes, level);
  plan->rank = count;
  SetPieces(plan);
  plan->units = DivUp(plan->rows, plan->rows_piece) * DivUp(plan->cols, plan->cols_piece);
  for (int i = 0; i < count; ++i) {
    plan->dims[i] = axes[i].dim, plan->src_strides[i] = axes[i].src, plan->dst_strides[i] = axes[i].dst;
    plan->units *= axes[i].dim;
  }
  return Status();
}

Status MakeTranspose(int64_t element_bytes, std::span<const int64_t> dims,
                     std::span<const int64_t> permutation, CpuLevel level, CopyPlan* plan) {
  constexpr size_t kRankMax = 64;
  const size_t rank = dims.size();
  if (rank > kRankMax) return Unsupported("transposing rank ", static_cast<int64_t>(rank));
  if (permutation.size() != rank) {
    return InvalidArgument("permutation of ", static_cast<int64_t>(permutation.size()),
                           " dimensions for rank ", static_cast<int64_t>(rank));
  }
  int64_t dense[kRankMax], out_dims[kRankMax], src_strides[kRankMax], dst_strides[kRankMax];
  int64_t inside = 1;
  for (size_t i = rank; i-- > 0;) dense[i] = inside, inside *= dims[i];
  uint64_t seen = 0;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t from = permutation[i];
    if (from < 0 || from >= static_cast<int64_t>(rank) || (seen >> from & 1)) {
      return InvalidArgument("permutation has ", from, " at ", static_cast<int64_t>(i), " for rank ",
                             static_cast<int64_t>(rank));
    }
    seen |= uint64_t{1} << from;
    out_dims[i] = dims[static_cast<size_t>(from)];
    src_strides[i] = dense[from];
  }
  inside = 1;
  for (size_t i = rank; i-- > 0;) dst_strides[i] = inside, inside *= out_dims[i];
  return MakeCopy(element_bytes, {out_dims, rank}, {src_strides, rank}, {dst_strides, rank}, level, plan);
}

namespace {

struct Bytes16 {
  char bytes[16];
};

template <class T>
void CopyStrided(const char* src, char* dst, const CopyPlan& plan, int64_t rows, int64_t cols) {
  if (plan.take) return plan.take(src, plan.src_row, dst, plan.dst_row, rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    const char* from = src + r * plan.src_row;
    char* to = dst + r * plan.dst_row;
    for (int64_t c = 0; c < cols; ++c) memcpy(to + c * plan.dst_col, from + c * plan.src_col, sizeof(T));
  }
}

template <class T>
void FillRows(const char* src, char* dst, const CopyPlan& plan, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    T value;
    memcpy(&value, src + r * plan.src_row, sizeof(T));
    char* to = dst + r * plan.dst_row;
    for (int64_t c = 0; c < cols; ++c) memcpy(to + c * sizeof(T), &value, sizeof(T));
  }
}

#define LINNET_FOR_BYTES(bytes, call)                    \
  switch (bytes) {                                       \
    case 1:                                              \
      return call<uint8_t>(src, dst, plan, rows, cols);  \
    case 2:                                              \
      return call<uint16_t>(src, dst, plan, rows, cols); \
    case 4:                                              \
      return call<uint32_t>(src, dst, plan, rows, cols); \
    case 8:                                              \
      return call<uint64_t>(src, dst, plan, rows, cols); \
    default:                                             \
      return call<Bytes16>(src, dst, plan, rows, cols);  \
  }

void CopyPiece(const CopyPlan& plan, const char* src, char* dst, int64_t rows, int64_t cols) {
  switch (plan.kind) {
    case Kind::kRuns:
      return CopyRows(src, plan.src_row, dst, plan.dst_row, cols * plan.element_bytes, rows);
    case Kind::kTranspose:
      return plan.transpose(src, plan.src_col, dst, plan.dst_row, rows, cols);
    case Kind::kFill:
      LINNET_FOR_BYTES(plan.element_bytes, FillRows);
    case Kind::kStrided:
      LINNET_FOR_BYTES(plan.element_bytes, CopyStrided);
  }
}

}  // namespace

namespace {

// Rows of at most kPieces pieces and more than one less, the last of which is moved back to end with the row; row r is at from(r).
template <class Piece, int kPieces, class From>
void CopyRowsOf(const From& from, char* to, int64_t dst_row, int64_t bytes, int64_t rows) {
  constexpr int64_t kSize = sizeof(Piece);
  const int64_t last = bytes - kSize;
  for (int64_t r = 0; r < rows; ++r, to += dst_row) {
    const char* row = from(r);
    Piece piece[kPieces];
    LINNET_UNROLL
    for (int i = 0; i < kPieces; ++i) memcpy(&piece[i], row + (i + 1 < kPieces ? i * kSize : last), sizeof(Piece));
    LINNET_UNROLL
    for (int i = 0; i < kPieces; ++i) memcpy(to + (i + 1 < kPieces ? i * kSize : last), &piece[i], sizeof(Piece));
  }
}

template <class From>
void CopyRowsFrom(const From& from, char* to, int64_t dst_row, int64_t bytes, int64_t rows) {
#if !defined(LINNET_SMALL)
  // How short rows are copied is decided once for all of them.
  using Sixteen = char __attribute__((vector_size(16)));
  switch ((bytes + 15) / 16) {
    case 1:
      if (bytes == 16) return CopyRowsOf<Sixteen, 1>(from, to, dst_row, bytes, rows);
      if (bytes > 8) return CopyRowsOf<uint64_t, 2>(from, to, dst_row, bytes, rows);
      if (bytes > 4) return CopyRowsOf<uint32_t, 2>(from, to, dst_row, bytes, rows);
      if (bytes > 1) return CopyRowsOf<uint16_t, 2>(from, to, dst_row, bytes, rows);
      return CopyRowsOf<uint8_t, 1>(from, to, dst_row, bytes, rows);
    case 2:
      return CopyRowsOf<Sixteen, 2>(from, to, dst_row, bytes, rows);
    case 3:
      return CopyRowsOf<Sixteen, 3>(from, to, dst_row, bytes, rows);
    case 4:
      return CopyRowsOf<Sixteen, 4>(from, to, dst_row, bytes, rows);
  }
#endif
  for (int64_t r = 0; r < rows; ++r, to += dst_row) CopyShort(to, from(r), static_cast<size_t>(bytes));
}

}  // namespace

void CopyRows(const void* src, int64_t src_row, void* dst, int64_t dst_row, int64_t bytes, int64_t rows) {
  const char* from = static_cast<const char*>(src);
  CopyRowsFrom([from, src_row](int64_t r) { return from + r * src_row; }, static_cast<char*>(dst), dst_row, bytes, rows);
}

void GatherRows(const void* src, const int32_t* index, void* dst, int64_t bytes, int64_t rows) {
  const char* from = static_cast<const char*>(src);
  CopyRowsFrom([from, index, bytes](int64_t r) { return from + index[r] * bytes; }, static_cast<char*>(dst), bytes, bytes, rows);
}

void RunCopy(const CopyPlan& plan, const void* src, void* dst, int64_t begin, int64_t end) {
  if (begin >= end) return;
  const int64_t row_pieces = DivUp(plan.rows, plan.rows_piece),
                col_pieces = DivUp(plan.cols, plan.cols_piece);
  const int64_t plane_pieces = row_pieces * col_pieces;
  const char* from = static_cast<const char*>(src);
  char* to = static_cast<char*>(dst);
  int64_t index[kCopyRankMax];
  int64_t outer = begin / plane_pieces, piece = begin % plane_pieces;
  for (int i = plan.rank - 1; i >= 0; --i) {
    index[i] = outer % plan.dims[i];
    outer /= plan.dims[i];
    from += index[i] * plan.src_strides[i];
    to += index[i] * plan.dst_strides[i];
  }
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t row = piece / col_pieces * plan.rows_piece, col = piece % col_pieces * plan.cols_piece;
    const int64_t rows = plan.rows - row < plan.rows_piece ? plan.rows - row : plan.rows_piece;
    const int64_t cols = plan.cols - col < plan.cols_piece ? plan.cols - col : plan.cols_piece;
    CopyPiece(plan, from + row * plan.src_row + col * plan.src_col,
              to + row * plan.dst_row + col * plan.dst_col, rows, cols);
    if (++piece < plane_pieces) continue;
    piece = 0;
    for (int i = plan.rank - 1; i >= 0; --i) {
      from += plan.src_strides[i];
      to += plan.dst_strides[i];
      if (++index[i] < plan.dims[i]) break;
      from -= index[i] * plan.src_strides[i];
      to -= index[i] * plan.dst_strides[i];
      index[i] = 0;
    }
  }
}

}  // namespace linnet
