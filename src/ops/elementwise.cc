// Walking broadcast operands in runs, and float16 through float.
#include "ops/elementwise.h"

namespace linnet {
namespace {

/// Chunks of narrow floats that are computed in float.
constexpr int64_t kChunk = 256;

void RunFloat(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const FloatFunction& f = *static_cast<const FloatFunction*>(function);
  const float* const* x = reinterpret_cast<const float* const*>(in);
  f.loop(static_cast<float*>(out), x[0], x[1], x[2], n, scalars, f.alpha, f.beta);
}

template <class T>
void RunThroughFloat(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const FloatFunction& f = *static_cast<const FloatFunction*>(function);
  float wide[kOperandsMax][kChunk], result[kChunk];
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t count = n - begin < kChunk ? n - begin : kChunk;
    for (int k = 0; k < kOperandsMax && in[k]; ++k) {
      const T* x = static_cast<const T*>(in[k]);
      if ((scalars >> k) & 1) {
        wide[k][0] = ToFloat(x[0]);
      } else {
        for (int64_t i = 0; i < count; ++i) wide[k][i] = ToFloat(x[begin + i]);
      }
    }
    f.loop(result, wide[0], wide[1], wide[2], count, scalars, f.alpha, f.beta);
    T* y = static_cast<T*>(out) + begin;
    for (int64_t i = 0; i < count; ++i) y[i] = Narrow<T>(result[i]);
  }
}

/// Runs [begin, end) of elements of the output.
void Walk(const ElementwiseParams& params, const void* function, void* out, const void* const* in, int64_t begin,
          int64_t end) {
  const BroadcastLoop& loop = params.loop;
  int64_t index[kMaxRank];
  int64_t rest = begin / loop.run, within = begin % loop.run;
  int64_t offset[kOperandsMax] = {};
  for (int d = loop.rank - 1; d >= 0; --d) {
    index[d] = rest % loop.dims[d];
    rest /= loop.dims[d];
    for (int k = 0; k < loop.operands; ++k) offset[k] += index[d] * loop.strides[k][d];
  }
  while (begin < end) {
    const int64_t n = loop.run - within < end - begin ? loop.run - within : end - begin;
    const void* at[kOperandsMax] = {};
    for (int k = 0; k < loop.operands; ++k) {
      const int64_t step = (loop.scalars >> k) & 1 ? 0 : within;
      at[k] = static_cast<const std::byte*>(in[k]) + (offset[k] + step) * params.in_bytes[k];
    }
    params.run(function, static_cast<std::byte*>(out) + begin * params.out_bytes, at, n, loop.scalars);
    begin += n;
    within = 0;
    for (int d = loop.rank - 1; d >= 0; --d) {
      for (int k = 0; k < loop.operands; ++k) offset[k] += loop.strides[k][d];
      if (++index[d] < loop.dims[d]) break;
      for (int k = 0; k < loop.operands; ++k) offset[k] -= loop.dims[d] * loop.strides[k][d];
      index[d] = 0;
    }
  }
}

}  // namespace

BroadcastLoop MakeBroadcastLoop(const Shape& out, std::span<const Shape> shapes) {
  BroadcastLoop loop;
  loop.elements = out.elements();
  loop.operands = static_cast<int>(shapes.size());
  // Groups of dimensions, innermost first.
  int64_t dims[kMaxRank], strides[kOperandsMax][kMaxRank], natural[kOperandsMax];
  for (int64_t& stride : natural) stride = 1;
  int groups = 0;
  for (int d = out.rank() - 1; d >= 0; --d) {
    int64_t stride[kOperandsMax] = {};
    for (int k = 0; k < loop.operands; ++k) {
      const Shape& shape = shapes[static_cast<size_t>(k)];
      const int own = d - (out.rank() - shape.rank());
      if (own < 0 || shape[own] == 1) continue;
      stride[k] = natural[k];
      natural[k] *= shape[own];
    }
    if (out[d] == 1) continue;
    bool merges = groups > 0;
    for (int k = 0; merges && k < loop.operands; ++k) {
      merges = stride[k] == strides[k][groups - 1] * dims[groups - 1];
    }
    if (merges) {
      dims[groups - 1] *= out[d];
      continue;
    }
    dims[groups] = out[d];
    for (int k = 0; k < loop.operands; ++k) strides[k][groups] = stride[k];
    ++groups;
  }
  if (groups > 0) {
    loop.run = dims[0] > 0 ? dims[0] : 1;
    for (int k = 0; k < loop.operands; ++k) loop.scalars |= uint32_t{strides[k][0] == 0} << k;
  }
  loop.rank = groups > 0 ? groups - 1 : 0;
  for (int d = 0; d < loop.rank; ++d) {
    loop.dims[d] = dims[groups - 1 - d];
    for (int k = 0; k < loop.operands; ++k) loop.strides[k][d] = strides[k][groups - 1 - d];
  }
  return loop;
}

ElementwiseParams MakeElementwise(const BindContext& c, std::span<const Shape> shapes, RunFn* run, float ns) {
  ElementwiseParams params;
  for (size_t k = 0; k < shapes.size(); ++k) {
    params.in_bytes[k] = static_cast<int8_t>(DTypeBytes(c.dtype(static_cast<int>(k))));
  }
  params.loop = MakeBroadcastLoop(c.output_shape(0), shapes);
  params.run = run;
  params.out_bytes = static_cast<int8_t>(DTypeBytes(c.output(0).dtype));
  params.ns = ns;
  return params;
}

ElementwiseParams MakeElementwise(const BindContext& c, int operands, RunFn* run, float ns) {
  Shape shapes[kOperandsMax];
  for (int k = 0; k < operands; ++k) shapes[k] = c.shape(k);
  return MakeElementwise(c, {shapes, static_cast<size_t>(operands)}, run, ns);
}

void OfferInPlace(BindContext& c, int operands) {
  const Type& out = c.output(0);
  for (int k = 0; k < operands; ++k) {
    const Type& in = c.type(k);
    if (DTypeBytes(in.dtype) == DTypeBytes(out.dtype) && in.shape == out.shape) c.InPlace(0, k);
  }
}

Status RunElementwise(const RunContext& c, const ElementwiseParams& params, const void* function, void* out,
                      const void* const* in) {
  if (params.loop.elements == 0) return Status();
  return c.ParallelFor(params.loop.elements, 4096, params.ns, [&](int64_t begin, int64_t end, int) {
    Walk(params, function, out, in, begin, end);
  });
}

Status RunElementwise(const RunContext& c, const ElementwiseParams& params, const void* function) {
  const void* in[kOperandsMax] = {};
  for (int k = 0; k < params.loop.operands; ++k) in[k] = c.input(k);
  return RunElementwise(c, params, function, c.output(0), in);
}

RunFn* FloatRunFor(DType dtype) {
  switch (dtype) {
    case DType::kFloat: return RunFloat;
    case DType::kFloat16: return RunThroughFloat<Float16>;
    case DType::kBfloat16: return RunThroughFloat<Bfloat16>;
    default: return nullptr;
  }
}

}  // namespace linnet
