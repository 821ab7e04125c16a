// Resize and Upsample: images (tensors of any rank) at another size, by nearest, linear or cubic interpolation.
//
// Upsample (1, 7, 9) and Resize 10 place positions as "asymmetric"; Resize 11 added the coordinate modes, roi and sizes,
// 18 antialias, axes and keep_aspect_ratio_policy, 19 half_pixel_symmetric. ONNX's operators keep ONNX's order of
// dimensions; the twins in the linnet domain keep channels last, while scales, sizes, roi and axes stay in ONNX's order.
//
// Interpolation is separable. An output is made from the outermost resized axis inwards: for one position on that axis
// the taps' slices are summed into a buffer, from which the next axis is made, and so on:
//
//     level 0        buffer(inner) = sum of taps w * x[index]           one slice of the input, summed
//       level 1      buffer(inner) = sum of taps w * buffer[index]
//         ...        output        = sum of taps w * buffer[index]      innermost resized axis: contiguous runs
//
// Float32 along one axis or two neighbours runs on kernels/resize.h instead, which does the same vectorised; so do bytes, where they are
// interpolated: rows become floats as they are needed, and results bytes. Other
// nearest pixels are copied, and rows of them that come again.
//
// Results of integer types are rounded (half to even) and saturated. With tf_crop_and_resize a position outside of the
// input, on any axis, becomes extrapolation_value.
#include "kernels/resize.h"

#include <cmath>
#include <limits>
#include <string>

#include "kernels/convert.h"
#include "kernels/copy.h"
#include "ops/resize_helpers.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

/// int32 and int64 do not fit float.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, double> || std::is_same_v<T, int32_t> || std::is_same_v<T, int64_t> ||
                                   std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t>,
                               double, float>;

template <class T, class W>
T Rounded(W value) {
  if constexpr (std::is_integral_v<T>) {
    const W v = std::nearbyint(value);
    constexpr W kLow = static_cast<W>(std::numeric_limits<T>::min());
    constexpr W kHigh = static_cast<W>(std::numeric_limits<T>::max());
    if (!(v > kLow)) return v != v ? T(0) : std::numeric_limits<T>::min();
    return v >= kHigh ? std::numeric_limits<T>::max() : static_cast<T>(v);
  } else {
    return Narrow<T>(value);
  }
}

template <class W, class T>
W Load(T value) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
    return ToFloat(value);
  } else {
    return static_cast<W>(value);
  }
}

/// Of an output that is larger than a second-level cache.
constexpr int64_t kFarFloats = 3 << 18;

struct Level {
  ResizeTable table;
  int64_t outer = 1;                    ///< positions between the previous level's axis and this one
  int64_t in_inner = 1, out_inner = 1;  ///< elements behind the axis
  int64_t buffer = 0;                   ///< where this level's slice is in a worker's scratch, in elements
};

struct Bound {
  int count = 0;
  Level levels[kMaxRank];
  int64_t worker_bytes = 0;
  bool f32 = false;           ///< the kernel: `images` images of args.rows by args.cols
  bool bytes = false;         ///< likewise, a row of floats at a time
  bool copied = false;        ///< likewise by copying pixels
  ResizeArgs args;
  int64_t images = 0, in_image = 0, out_image = 0, rows = 0;
  bool late_tables = false;   ///< the region of interest comes at run time: tables go to scratch
  int64_t table_bytes = 0;
  double slice_ns = 0;
};

/// Walks the levels for one element type. Strings and bools are only ever copied (nearest).
template <class T>
struct Walk {
  using W = Sum<std::conditional_t<std::is_same_v<T, std::string> || std::is_same_v<T, bool>, float, T>>;
  const Bound& b;
  const Level* levels;
  W* scratch;
  T extrapolation;

  /// One position `j` on level l's axis, for outer position `o`.
  template <class S>
  void Position(int l, const S* source, T* out, int64_t o, int64_t j) const {
    const Level& level = levels[l];
    T* to = out + (o * level.table.out + j) * level.out_inner;
    if (level.table.outside && level.table.outside[j]) {
      for (int64_t i = 0; i < level.out_inner; ++i) to[i] = extrapolation;
      return;
    }
    const S* from = source + o * level.table.in * level.in_inner;
    const int64_t taps = level.table.taps, n = level.in_inner;
    const int32_t* index = level.table.index + j * taps;
    const bool last = l + 1 == b.count;
    if constexpr (std::is_same_v<S, T>) {
      if (!level.table.weight) {   // nearest
        const T* slice = from + index[0] * n;
        if (!last) return All(l + 1, slice, to);
        for (int64_t i = 0; i < n; ++i) to[i] = slice[i];
        return;
      }
    }
    if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, bool>) {
      const double* weight = level.table.weight + j * taps;
      if (n == 1 && last) {
        W sum = 0;
        for (int64_t t = 0; t < taps; ++t) sum += static_cast<W>(weight[t]) * Load<W>(from[index[t]]);
        *to = Rounded<T>(sum);
        return;
      }
      W* buffer = scratch + level.buffer;
      for (int64_t t = 0; t < taps; t += 2) {   // taps come in pairs
        const W w0 = static_cast<W>(weight[t]), w1 = static_cast<W>(weight[t + 1]);
        const S *x0 = from + index[t] * n, *x1 = from + index[t + 1] * n;
        if (t == 0) {
          for (int64_t i = 0; i < n; ++i) buffer[i] = w0 * Load<W>(x0[i]) + w1 * Load<W>(x1[i]);
        } else {
          for (int64_t i = 0; i < n; ++i) buffer[i] += w0 * Load<W>(x0[i]) + w1 * Load<W>(x1[i]);
        }
      }
      if (!last) return All(l + 1, static_cast<const W*>(buffer), to);
      for (int64_t i = 0; i < n; ++i) to[i] = Rounded<T>(buffer[i]);
    }
  }

  template <class S>
  void All(int l, const S* source, T* out) const {
    const Level& level = levels[l];
    for (int64_t o = 0; o < level.outer; ++o) {
      for (int64_t j = 0; j < level.table.out; ++j) Position(l, source, out, o, j);
    }
  }
};

template <Layout layout>
struct Resize {
  ResizeAttributes attributes;
  ResizeFn* kernel = nullptr;
  ConvertFn* widen[2] = {};    ///< unsigned, signed bytes
  QuantizeFn* narrow[2] = {};
  static constexpr bool kReorder = layout == Layout::kChannelsLast;
  static constexpr uint32_t kCopied = Mask(DType::kString) | Mask(DType::kBool);

  Status Parse(const Node& node) { return attributes.Parse(node); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 4));
    bool nearest = attributes.mode == ResizeAttributes::Mode::kNearest;
    LINNET_TRY(c.CheckType(0, nearest ? kAnyNumber | kCopied : kAnyNumber));
    if (attributes.scales_input >= 0) LINNET_TRY(c.CheckType(attributes.scales_input, Mask(DType::kFloat)));
    if (attributes.roi_input >= 0) {
      LINNET_TRY(c.CheckType(attributes.roi_input, Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kFloat16)));
    }
    const Shape& x = c.shape(0);
    if (!x.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    ResizeDim axes[kMaxRank];
    LINNET_TRY(InferResize(attributes, c, kReorder, axes));
    Shape y = x;
    for (int i = 0; i < x.rank(); ++i) y[i] = axes[i].out;
    return c.SetOutput(0, c.dtype(0), y);
  }

  Status Prepare(PrepareContext& c) {
    kernel = PickResize(c.cpu());
    for (bool is_signed : {false, true}) {
      const DType type = is_signed ? DType::kInt8 : DType::kUint8;
      widen[is_signed] = PickConvert(type, DType::kFloat, c.cpu());
      narrow[is_signed] = PickQuantize(type, c.cpu());
    }
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    ResizeDim axes[kMaxRank];
    int level_axis[kMaxRank] = {};
    LINNET_TRY(InferResize(attributes, c, kReorder, axes));
    const Shape &x = c.shape(0), &y = c.output_shape(0);
    if (y.elements() == 0) return Status();
    b.late_tables = RoiIsMissing(attributes, c);
    int64_t outer = 1, buffer = 0;
    for (int i = 0; i < x.rank(); ++i) {
      if (IsIdentity(attributes, axes[i]) && !b.late_tables) {
        outer *= x[i];
        continue;
      }
      level_axis[b.count] = i;
      Level& level = b.levels[b.count++];
      level.outer = outer;
      outer = 1;
      level.in_inner = x.Product(i + 1, x.rank());
      level.out_inner = y.Product(i + 1, y.rank());
      level.buffer = buffer;
      buffer += RoundUp(level.in_inner, 16);
      level.table.in = axes[i].in;
      level.table.out = axes[i].out;
      level.table.taps = ResizeTaps(attributes, axes[i]);
      b.table_bytes += TableBytes(level.table);
    }
    if (b.count == 0) {
      c.Alias(0, 0);
      return Status();
    }
    const bool neighbours = b.count == 1 || (b.count == 2 && level_axis[1] == level_axis[0] + 1);
    const bool by_kernel = neighbours && !b.late_tables;
    b.f32 = c.dtype(0) == DType::kFloat && by_kernel;
    b.copied = !b.f32 && by_kernel && attributes.mode == ResizeAttributes::Mode::kNearest && c.dtype(0) != DType::kString &&
               attributes.coordinates != ResizeAttributes::Coordinates::kTfCropAndResize;
    b.bytes = (c.dtype(0) == DType::kUint8 || c.dtype(0) == DType::kInt8) && by_kernel && attributes.mode != ResizeAttributes::Mode::kNearest &&
              attributes.coordinates != ResizeAttributes::Coordinates::kTfCropAndResize;
    // Weights of integer types and double are summed in double.
    b.worker_bytes = RoundUp(buffer * static_cast<int64_t>(sizeof(double)), kAlignment);
    c.Scratch((b.late_tables ? b.table_bytes : 0) + b.worker_bytes * c.threads());
    b.slice_ns = static_cast<double>(b.levels[0].in_inner * b.levels[0].table.taps + b.levels[0].out_inner * 4);
    if (b.late_tables) return Status();
    std::byte* memory = c.Table<std::byte>(b.table_bytes);
    if (!memory) return OutOfMemory("no memory for tables of ", b.table_bytes, " bytes");
    Fill(axes, x.rank(), b.levels, memory);
    return b.f32 || b.bytes || b.copied ? BindF32(c, &b) : Status();
  }

  /// One axis becomes the rows of an image of width 1, two become rows and columns.
  Status BindF32(BindContext& c, Bound* b) const {
    const Level &rows = b->levels[0], &cols = b->levels[b->count - 1];
    const bool two = b->count == 2;
    ResizeArgs& args = b->args;
    LINNET_TRY(KernelTable(c, rows.table, &args.rows));
    ResizeTable one;   // a column that stays
    one.out = 1;
    int32_t zero = 0;
    one.index = &zero;
    LINNET_TRY(KernelTable(c, two ? cols.table : one, &args.cols));
    args.in_width = two ? cols.table.in : 1;
    args.out_width = two ? cols.table.out : 1;
    args.channels = cols.in_inner;
    args.extrapolation = attributes.extrapolation;
    args.out_is_far = b->f32 && c.output_shape(0).elements() > kFarFloats;
    b->images = rows.outer;
    b->rows = rows.table.out;
    b->in_image = rows.table.in * args.in_width * args.channels;
    b->out_image = b->rows * args.out_width * args.channels;
    b->worker_bytes = b->bytes ? ByteRows(args).bytes : RoundUp(ResizeScratchFloats(args) * 4, kAlignment);
    b->slice_ns = static_cast<double>(args.out_width * args.channels) * static_cast<double>(args.rows.taps + args.cols.taps) / 4;
    c.Scratch(b->worker_bytes * c.threads());
    return Status();
  }

  static Status KernelTable(BindContext& c, const ResizeTable& table, ResizeAxis* out) {
    const int64_t entries = table.out * table.taps;
    int32_t* index = c.Table<int32_t>(entries);
    float* weight = c.Table<float>(table.weight ? entries : 1);
    if (!index || !weight) return OutOfMemory("no memory for a table of ", entries, " taps");
    for (int64_t i = 0; i < entries; ++i) {
      index[i] = table.outside && table.outside[i / table.taps] ? -1 : table.index[i];
      if (table.weight) weight[i] = static_cast<float>(table.weight[i]);
    }
    out->taps = table.taps;
    out->index = index;
    out->weight = table.weight ? weight : nullptr;
    return Status();
  }

  int64_t TableBytes(const ResizeTable& table) const {
    int64_t entries = RoundUp(table.out * table.taps, 16);
    return entries * static_cast<int64_t>(sizeof(int32_t) + sizeof(double)) + RoundUp(table.out, 16);
  }

  /// Lays the tables of `levels` out in `memory` and computes them; `axes` includes those without a level.
  void Fill(const ResizeDim* axes, int rank, Level* levels, std::byte* memory) const {
    int l = 0;
    for (int i = 0; i < rank; ++i) {
      if (IsIdentity(attributes, axes[i])) continue;
      FillOne(axes[i], &levels[l++].table, &memory);
    }
  }
  void FillOne(const ResizeDim& axis, ResizeTable* table, std::byte** memory) const {
    const int64_t entries = RoundUp(table->out * table->taps, 16);
    auto take = [memory](int64_t bytes) {
      std::byte* at = *memory;
      *memory += bytes;
      return at;
    };
    bool nearest = attributes.mode == ResizeAttributes::Mode::kNearest;
    bool crop = attributes.coordinates == ResizeAttributes::Coordinates::kTfCropAndResize;
    double* weight = reinterpret_cast<double*>(take(entries * static_cast<int64_t>(sizeof(double))));
    table->index = reinterpret_cast<int32_t*>(take(entries * static_cast<int64_t>(sizeof(int32_t))));
    uint8_t* outside = reinterpret_cast<uint8_t*>(take(RoundUp(table->out, 16)));
    table->weight = nearest ? nullptr : weight;
    table->outside = crop ? outside : nullptr;
    FillResizeTable(attributes, axis, table);
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (c.output_shape(0).elements() == 0) return Status();
    if (b.copied) return RunCopied(c, b);
    if (b.f32) return RunF32(c, b);
    if (b.bytes) return RunBytes(c, b);
    std::byte* scratch = c.scratch();
    Level late[kMaxRank];
    const Level* levels = b.levels;
    if (b.late_tables) {
      LINNET_TRY(MakeLateTables(c, b, late, scratch));
      levels = late;
      scratch += b.table_bytes;
    }
    return ForType<kAnyNumber | kCopied>(c.input_dtype(0), [&]<class T>() -> Status {
      const T* x = c.in<T>(0);
      T* y = c.out<T>(0);
      const int64_t positions = levels[0].table.out;
      return c.ParallelFor(levels[0].outer * positions, 1, b.slice_ns, [&](int64_t begin, int64_t end, int worker) {
        using W = typename Walk<T>::W;
        Walk<T> walk{b, levels, reinterpret_cast<W*>(scratch + worker * b.worker_bytes), Extrapolation<T>()};
        for (int64_t i = begin; i < end; ++i) walk.Position(0, x, y, i / positions, i % positions);
      });
    });
  }

  Status RunF32(RunContext& c, const Bound& b) const {
    return c.ParallelFor(b.images * b.rows, 1, b.slice_ns, [&](int64_t begin, int64_t end, int worker) {
      ResizeArgs args = b.args;
      args.scratch = reinterpret_cast<float*>(c.scratch() + worker * b.worker_bytes);
      while (begin < end) {
        int64_t image = begin / b.rows, row = begin % b.rows, count = std::min(b.rows - row, end - begin);
        args.x = c.in<float>(0) + image * b.in_image;
        args.out = c.out<float>(0) + image * b.out_image;
        kernel(args, row, row + count);
        begin += count;
      }
    });
  }

  static Status RunCopied(RunContext& c, const Bound& b) {
    const int64_t size = static_cast<int64_t>(DTypeBytes(c.input_dtype(0))), pixel = b.args.channels * size, row_bytes = b.args.out_width * pixel;
    return c.ParallelFor(b.images * b.rows, 1, static_cast<double>(row_bytes) / 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int32_t* from = b.args.rows.index + i % b.rows;
        std::byte* out = c.out<std::byte>(0) + i * row_bytes;
        if (i > begin && i % b.rows > 0 && from[0] == from[-1]) {
          constexpr int64_t kPiece = 2048;   // longer ones memcpy writes past the caches
          for (int64_t at = 0; at < row_bytes; at += kPiece) memcpy(out + at, out + at - row_bytes, static_cast<size_t>(std::min(kPiece, row_bytes - at)));
        } else {
          const int64_t row = i / b.rows * b.in_image + from[0] * b.args.in_width * b.args.channels;
          GatherRows(c.in<std::byte>(0) + row * size, b.args.cols.index, out, pixel, b.args.out_width);
        }
      }
    });
  }

  /// A worker's scratch where bytes are resized, in bytes: what the kernel needs, the input rows of the taps and an output row as floats,
  /// which rows those are, and where the taps of a row are among them.
  struct ByteRows {
    explicit ByteRows(const ResizeArgs& args) {
      auto take = [this](int64_t size) {
        const int64_t at = bytes;
        bytes += RoundUp(size, kAlignment);
        return at;
      };
      take(ResizeScratchFloats(args) * 4);
      inputs = take(args.rows.taps * args.in_width * args.channels * 4);
      output = take(args.out_width * args.channels * 4);
      held = take(args.rows.taps * 4);
      index = take(args.rows.taps * 4);
    }
    int64_t inputs, output, held, index, bytes = 0;
  };

  Status RunBytes(RunContext& c, const Bound& b) const {
    const bool is_signed = c.input_dtype(0) == DType::kInt8;
    const int64_t taps = b.args.rows.taps, in_row = b.args.in_width * b.args.channels, out_row = b.args.out_width * b.args.channels;
    const ByteRows at(b.args);
    return c.ParallelFor(b.images * b.rows, 1, b.slice_ns * 1.5, [&](int64_t begin, int64_t end, int worker) {
      std::byte* scratch = c.scratch() + worker * b.worker_bytes;
      float *inputs = reinterpret_cast<float*>(scratch + at.inputs), *output = reinterpret_cast<float*>(scratch + at.output);
      int32_t *held = reinterpret_cast<int32_t*>(scratch + at.held), *index = reinterpret_cast<int32_t*>(scratch + at.index);
      ResizeArgs args = b.args;
      args.scratch = reinterpret_cast<float*>(scratch);
      args.x = inputs, args.out = output;
      args.rows.index = index;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / b.rows, row = i % b.rows;
        if (i == begin || row == 0) std::fill(held, held + taps, -1);
        for (int64_t t = 0; t < taps; ++t) {
          // Taps of a row are neighbours: no two of them that differ share a place.
          const int32_t from = b.args.rows.index[row * taps + t], place = from % static_cast<int32_t>(taps);
          index[t] = place;
          if (held[place] == from) continue;
          held[place] = from;
          widen[is_signed](c.in<uint8_t>(0) + image * b.in_image + from * in_row, inputs + place * in_row, in_row);
        }
        if (b.args.rows.weight) args.rows.weight = b.args.rows.weight + row * taps;
        kernel(args, 0, 1);
        narrow[is_signed](output, c.out<uint8_t>(0) + image * b.out_image + row * out_row, out_row, 1.0f, 0);
      }
    });
  }

  template <class T>
  T Extrapolation() const {
    if constexpr (std::is_same_v<T, std::string>) {
      return T();
    } else if constexpr (std::is_same_v<T, bool>) {
      return attributes.extrapolation != 0;
    } else {
      return Rounded<T>(static_cast<Sum<T>>(attributes.extrapolation));
    }
  }

  /// Every axis has a level when the region of interest was not known.
  Status MakeLateTables(RunContext& c, const Bound& b, Level* levels, std::byte* memory) const {
    Fact facts[4];
    ValueId ids[4];
    int count = std::min(c.input_count(), 4);
    for (int i = 0; i < count; ++i) {
      ids[i] = c.has_input(i) ? i : kNoValue;
      if (c.has_input(i)) facts[i] = c.input_fact(i);
    }
    InferContext inputs(facts, ids, count, nullptr, 0);
    ResizeDim axes[kMaxRank];
    LINNET_TRY(InferResize(attributes, inputs, kReorder, axes));
    for (int i = 0; i < b.count; ++i) {
      levels[i] = b.levels[i];
      FillOne(axes[i], &levels[i].table, &memory);
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(Resize, 10, Resize<Layout::kChannelsFirst>);
LINNET_OP(Upsample, 1, Resize<Layout::kChannelsFirst>);
LINNET_INTERNAL_OP(Resize, 10, Resize<Layout::kChannelsLast>);
LINNET_INTERNAL_OP(Upsample, 1, Resize<Layout::kChannelsLast>);

}  // namespace linnet
