// ArrayFeatureExtractor and FeatureVectorizer: columns picked out, and columns put together.
#include "ops/ml_helpers.h"

namespace linnet {
namespace {

/// out[..., k] = data[..., indices[k]]; a vector counts as one row and gives [1, K].
struct ArrayFeatureExtractor {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kMlNumbers | Mask(DType::kString)));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    Shape out = c.shape(0);
    if (!out.has_rank()) return c.SetOutput(0, c.dtype(0), out);
    if (out.rank() == 0) return InvalidArgument("the data is a scalar");
    int64_t count = kUnknownDim;
    if (c.shape(1).is_static()) count = c.shape(1).elements();
    if (count == 0) return InvalidArgument("there are no indices");
    if (out.rank() == 1) {
      out = {1, count};
    } else {
      out[out.rank() - 1] = count;
    }
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(1).elements(), columns = ColumnsOf(c.input_shape(0));
    const int64_t rows = columns ? c.input_shape(0).elements() / columns : 0;
    const int64_t* indices = c.in<int64_t>(1);
    for (int64_t k = 0; k < count; ++k) {
      if (indices[k] < 0 || indices[k] >= columns) return InvalidArgument("index ", indices[k], " is outside the ", columns, " columns");
    }
    return ForWidth(c.input_dtype(0), [&]<class T>() {
      const T* in = c.in<T>(0);
      T* out = c.out<T>(0);
      return c.ParallelFor(rows, 1, static_cast<double>(count), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t k = 0; k < count; ++k) out[r * count + k] = in[r * columns + indices[k]];
        }
      });
    });
  }
};

/// Inputs side by side as floats; each is cut or filled with zeros to the number of columns asked for.
struct FeatureVectorizer {
  std::vector<int64_t> sizes;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(sizes, node.Ints("inputdimensions"));
    for (int64_t size : sizes) {
      if (size < 0 || size > kDimMax) return InvalidModel("attribute 'inputdimensions' has ", size);
    }
    return Status();
  }
  /// Rows of input i: a vector is one.
  static int64_t Rows(const Shape& shape) { return shape.rank() == 2 ? shape[0] : 1; }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(std::max(1, c.input_count()), INT32_MAX));
    if (static_cast<size_t>(c.input_count()) != sizes.size()) {
      return InvalidModel("attribute 'inputdimensions' has ", sizes.size(), " sizes for ", c.input_count(), " inputs");
    }
    int64_t rows = kUnknownDim, columns = 0;
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_TRY(c.CheckType(i, kMlNumbers));
      columns += sizes[static_cast<size_t>(i)];
      LINNET_ASSIGN(int64_t here, InferRows(c.shape(i)));
      if (!IsKnownDim(here)) continue;
      if (IsKnownDim(rows) && rows != here) return InvalidArgument("input ", i, " has ", here, " rows where another has ", rows);
      rows = here;
    }
    return c.SetOutput(0, DType::kFloat, {rows, columns});
  }
  Status Run(RunContext& c) const {
    const int64_t rows = c.output_shape(0)[0], columns = c.output_shape(0)[1];
    int64_t first = 0;
    for (int i = 0; i < c.input_count(); ++i) {
      const int64_t given = ColumnsOf(c.input_shape(i)), size = sizes[static_cast<size_t>(i)], kept = std::min(given, size);
      for (int64_t r = 0; r < rows; ++r) {
        float* out = c.out<float>(0) + r * columns + first;
        LoadNumbers(c.input_dtype(i), c.input(i), r * given, kept, out);
        std::fill(out + kept, out + size, 0.0f);
      }
      first += size;
    }
    return Status();
  }
};

}  // namespace

LINNET_ML_OP(ArrayFeatureExtractor, 1, ArrayFeatureExtractor);
LINNET_ML_OP(FeatureVectorizer, 1, FeatureVectorizer);

}  // namespace linnet
