// Concat: tensors put behind each other along one axis.
//
// Seen from memory, the output is rows (the axes before the concatenated one); a row is one contiguous piece of each
// input in turn. Work is split by output elements, so that a few long rows and many short ones go equally well.
// What the caller has lie at the beginning of the output's memory (a cache that grows) is moved there, the last row first.
#include "ops/movement.h"
#include "ops/output_slice.h"
#include "ops/row_parts.h"

namespace linnet {
namespace {

struct Concat {
  static constexpr int kTogether = 8;   ///< inputs whose pieces of a row are written one after the other
  static constexpr int64_t kBlockBytes = 4 << 10;
  static constexpr int64_t kShort = 64;   ///< bytes a piece of an input may have on average for rows to be written input by input
  int64_t axis = 1;   ///< the default of version 1; required since 4
  CpuLevel cpu = CpuLevel::kSse4;

  struct Params {
    int64_t rows, row;       ///< rows, and elements of one output row
    const int64_t* start;    ///< where input i starts in a row; one more entry than inputs
  };

  Status Parse(const Node& node) {
    if (node.version >= 4 && !node.Has("axis")) return InvalidModel("attribute 'axis' is missing");
    LINNET_ASSIGN(axis, node.Int("axis", 1));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(std::max(1, c.input_count()), INT32_MAX));
    DType dtype = DType::kUndefined;
    Shape out;
    bool ranks_known = true;
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_TRY(c.CheckType(i, kWholeBytes));
      if (c.dtype(i) == DType::kUndefined) continue;
      if (dtype == DType::kUndefined) dtype = c.dtype(i);
      if (c.dtype(i) != dtype) {
        return InvalidModel("input ", i, " is ", DTypeName(c.dtype(i)), " where the others are ", DTypeName(dtype));
      }
    }
    for (int i = 0; i < c.input_count(); ++i) {
      const Shape& in = c.shape(i);
      if (!in.has_rank()) {
        ranks_known = false;
        continue;
      }
      if (!out.has_rank()) {
        out = in;
        LINNET_TRY(NormalizeAxis(axis, in.rank()).TakeStatus());
        continue;
      }
      LINNET_TRY(c.CheckRank(i, out.rank()));
      int at = static_cast<int>(axis < 0 ? axis + out.rank() : axis);
      for (int d = 0; d < out.rank(); ++d) {
        if (d == at) {
          out[d] = DimAdd(out[d], in[d]);
        } else if (IsKnownDim(out[d]) && IsKnownDim(in[d]) && out[d] != in[d]) {
          return InvalidArgument("input ", i, " has shape ", ToString(in), " where ", ToString(out), " is expected but for axis ", at);
        } else if (IsKnownDim(in[d]) || out[d] == kUnknownDim) {
          out[d] = in[d];
        }
      }
    }
    if (!ranks_known && out.has_rank()) out[static_cast<int>(axis < 0 ? axis + out.rank() : axis)] = kUnknownDim;
    return c.SetOutput(0, dtype, out);
  }
  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    return Status();
  }
  Status Bind(BindContext& c) const {
    if (c.input_count() == 1) {
      c.Alias(0, 0);
      return Status();
    }
    const Shape& out = c.output_shape(0);
    int at = static_cast<int>(axis < 0 ? axis + out.rank() : axis);
    auto* p = c.Params<Params>();
    auto* start = c.Table<int64_t>(c.input_count() + 1);
    if (!start) return OutOfMemory("no memory for ", c.input_count(), " offsets");
    p->rows = out.Product(0, at);
    p->row = out.Product(at, out.rank());
    p->start = start;
    start[0] = 0;
    for (int i = 0; i < c.input_count(); ++i) start[i + 1] = start[i] + c.shape(i).Product(at, out.rank());
    c.GrowInPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    if (c.input_count() == 1) {
      CopyElements(c.output_dtype(0), c.output(0), c.input(0), c.output_shape(0).elements());
      return Status();
    }
    return ForWidth(c.output_dtype(0), [&]<class T>() { return Join(c, c.params<Params>(), c.out<T>(0)); });
  }

  /// Writes `rows` rows from `row` on of input i, and of those behind it where all are transposed at once: how many were written.
  int Place(RunContext& c, const Params& p, int i, int64_t row, int64_t rows, int64_t size, char* out) const {
    const int64_t row_bytes = p.row * size, bytes = (p.start[i + 1] - p.start[i]) * size;
    char* to = out + row * row_bytes + p.start[i] * size;
#if !defined(LINNET_SMALL)
    // Pieces of one element of a row, as wide as it may be, are columns of a matrix whose rows are inputs.
    const bool element = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
    const int64_t most = element ? std::min<int64_t>(c.input_count() - i, kBlockBytes / (rows * bytes)) : 1;
    int count = 1;
    while (count < most && (p.start[i + count + 1] - p.start[i + count]) * size == bytes) ++count;
    if (count > 1 && (count * bytes == row_bytes || count * bytes >= 16)) {
      alignas(64) char side_by_side[kBlockBytes];
      for (int k = 0; k < count; ++k) CopyRun(side_by_side + k * rows * bytes, c.in<char>(i + k) + row * bytes, rows * bytes);
      PickTranspose(bytes, cpu)(side_by_side, rows * bytes, to, row_bytes, rows, count);
      return count;
    }
#endif
    CopyRows(c.in<char>(i) + row * bytes, bytes, to, row_bytes, bytes, rows);
    return 1;
  }

  /// Row by row, as long ones are written fastest, for several inputs at a time.
  static void JoinRows(RunContext& c, const Params& p, int first, int64_t row0, int64_t row1, int64_t size, char* out) {
    for (; first < c.input_count(); first += kTogether) {
      const int count = std::min(kTogether, c.input_count() - first);
      const char* from[kTogether];
      int64_t bytes[kTogether];
      for (int i = 0; i < count; ++i) {
        bytes[i] = (p.start[first + i + 1] - p.start[first + i]) * size;
        from[i] = c.in<char>(first + i) + row0 * bytes[i];
      }
      for (int64_t row = row0; row < row1; ++row) {
        char* to = out + (row * p.row + p.start[first]) * size;
        for (int i = 0; i < count; ++i) {
          CopyShort(to, from[i], static_cast<size_t>(bytes[i]));
          from[i] += bytes[i], to += bytes[i];
        }
      }
    }
  }

  template <class T>
  Status Join(RunContext& c, const Params& p, T* out) const {
    if (p.rows == 0 || p.row == 0) return Status();
    const int inputs = c.input_count();
    const bool grows = c.input(0) == c.output(0);
    if (grows) SpreadRows(out, p.rows, p.start[1], p.row);
    double ns = 0.1 * sizeof(T) + 4.0 * inputs / static_cast<double>(p.row);
    auto pieces = [&](int64_t begin, int64_t end) {
      ForRowParts(p.start, p.row, begin, end, [&](int i, int64_t from, int64_t to, int64_t count) {
        if (i > 0 || !grows) CopyRun(out + to, c.in<T>(i) + from, count);
      });
    };
    return c.ParallelFor(p.rows * p.row, 256, ns, [&](int64_t begin, int64_t end, int) {
      if constexpr (std::is_same_v<T, std::string>) return pieces(begin, end);
      // Whole rows, then pieces of rows at both ends.
      const int64_t row0 = DivUp(begin, p.row), row1 = std::max(row0, end / p.row);
      pieces(begin, std::min(end, row0 * p.row));
      constexpr int64_t kSize = sizeof(T);
      const int first = grows ? 1 : 0;
      if (p.row * kSize <= kShort * inputs) {
        // Input by input, a block at a time that stays in the first-level cache.
        const int64_t block = std::max<int64_t>(1, kBlockBytes / (p.row * kSize));
        for (int64_t row = row0; row < row1; row += block) {
          for (int i = first; i < inputs;) i += Place(c, p, i, row, std::min(block, row1 - row), kSize, reinterpret_cast<char*>(out));
        }
      } else {
        JoinRows(c, p, first, row0, row1, kSize, reinterpret_cast<char*>(out));
      }
      pieces(std::max(begin, row1 * p.row), end);
    });
  }
};

/// linnet:ConcatInto(x, into) {slice_channels, slice_first}: x among the channels of what others write their parts of.
struct ConcatInto {
  static constexpr int kInto = 1;
  OutputSlice out_slice;

  Status Parse(const Node& node) {
    LINNET_TRY(out_slice.Parse(node));
    return out_slice.channels > 0 ? Status() : InvalidModel("attribute slice_channels is missing");
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 2));
    return out_slice.Infer(c, c.shape(0), kInto);
  }
  Status Bind(BindContext& c) const {
    if (c.has_input(kInto)) c.InPlace(0, kInto);
    return Status();
  }
  Status Run(RunContext& c) const {
    out_slice.Begin(c, kInto);
    const int64_t channels = c.input_shape(0)[3], pixels = channels == 0 ? 0 : c.input_shape(0).elements() / channels;
    const float* from = c.in<float>(0);
    float* to = c.out<float>(0) + out_slice.first;
    return c.ParallelFor(pixels, 64, 0.4 * static_cast<double>(channels), [&](int64_t begin, int64_t end, int) {
      CopyRows(from + begin * channels, channels * 4, to + begin * out_slice.channels, out_slice.channels * 4, channels * 4, end - begin);
    });
  }
};

}  // namespace

LINNET_OP(Concat, 1, Concat);
LINNET_INTERNAL_OP(ConcatInto, 1, ConcatInto);

}  // namespace linnet
