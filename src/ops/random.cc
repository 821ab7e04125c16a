// RandomNormal, RandomUniform (and ...Like), Bernoulli, Multinomial.
//
// Numbers come from a counter-based generator, Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As
// Easy as 1, 2, 3", 2011): block b of the n-th run of a node is a function of (seed, n, b), so results do not depend on how
// work is cut. Without a seed attribute the seed follows from the node's names. A session's runs differ from each other,
// and two sessions of one model give the same sequence.
#include <math.h>

#include <atomic>

#include "base/float_types.h"
#include "ops/movement.h"

namespace linnet {
namespace {

struct Block4 {
  uint32_t words[4];
};

Block4 Philox(uint64_t seed, uint64_t run, uint64_t block) {
  uint32_t c[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), static_cast<uint32_t>(run), static_cast<uint32_t>(run >> 32)};
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(a)};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

/// In [0, 1), of 24 bits.
float Uniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
/// In [0, 1), of 53 bits.
double Uniform(uint32_t high, uint32_t low) {
  return static_cast<double>(((uint64_t{high} << 32 | low) >> 11)) * 0x1p-53;
}

/// Two normal numbers from two uniform ones (Box and Muller).
void Normal(double u, double v, double* first, double* second) {
  const double radius = sqrt(-2 * log(1 - u)), angle = 2 * 3.14159265358979323846 * v;
  *first = radius * cos(angle);
  *second = radius * sin(angle);
}

/// The seed of a node and the number of its run.
struct Stream {
  uint64_t seed = 0;
  mutable std::atomic<uint64_t> runs{0};

  Stream() = default;

  Status Parse(const Node& node) {
    seed = 0xcbf29ce484222325;
    auto mix = [this](const void* data, size_t size) {
      for (size_t i = 0; i < size; ++i) seed = (seed ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3;
    };
    if (node.Has("seed")) {
      LINNET_ASSIGN(float value, node.Float("seed", 0));
      mix(&value, sizeof value);
    } else {
      mix(node.name.data(), node.name.size());
      for (ValueId out : node.outputs) mix(&out, sizeof out);
    }
    return Status();
  }
  uint64_t NextRun() const { return runs.fetch_add(1, std::memory_order_relaxed); }
};

Result<DType> ParseDType(const Node& node, DType fallback, uint32_t known) {
  LINNET_ASSIGN(int64_t type, node.Int("dtype", static_cast<int64_t>(fallback)));
  if (type == 0) return DType::kUndefined;
  if (!IsKnown(type) || !(Mask(static_cast<DType>(type)) & known)) {
    return InvalidModel("attribute 'dtype' is ", IsKnown(type) ? Cat(DTypeName(static_cast<DType>(type))) : Cat(type));
  }
  return static_cast<DType>(type);
}

template <class T>
T Rounded(double value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return ToFloat16(RoundToOdd(value));
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return ToBfloat16(RoundToOdd(value));
  } else {
    return static_cast<T>(value);
  }
}

/// kLike: shape (and, without dtype, element type) of the input, else of attributes.
template <bool kNormal, bool kLike>
struct Random : Stream {
  static constexpr bool kRandom = true;
  DType dtype = DType::kUndefined;
  Shape shape;
  float a = 0, b = 1;   ///< low and high, or mean and scale

  Status Parse(const Node& node) {
    LINNET_TRY(Stream::Parse(node));
    LINNET_ASSIGN(dtype, ParseDType(node, kLike ? DType::kUndefined : DType::kFloat, kAnyFloat));
    LINNET_ASSIGN(a, node.Float(kNormal ? "mean" : "low", 0));
    LINNET_ASSIGN(b, node.Float(kNormal ? "scale" : "high", 1));
    if (kLike) return Status();
    LINNET_ASSIGN(std::vector<int64_t> dims, node.Ints("shape"));
    for (int64_t dim : dims) {
      if (dim < 0) return InvalidModel("attribute 'shape' has ", dim);
    }
    LINNET_ASSIGN(shape, MakeShape(dims));
    return CheckShape(shape);
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kLike ? 1 : 0, kLike ? 1 : 0));
    if (!kLike) return c.SetOutput(0, dtype, shape);
    LINNET_TRY(c.CheckType(0, dtype == DType::kUndefined ? kAnyFloat : kAnyType));
    return c.SetOutput(0, dtype == DType::kUndefined ? c.dtype(0) : dtype, c.shape(0));
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.output_shape(0).elements();
    const uint64_t run = NextRun();
    return ForType<kAnyFloat>(c.output_dtype(0), [&]<class T>() {
      constexpr int kPerBlock = std::is_same_v<T, double> ? 2 : 4;
      T* out = c.out<T>(0);
      return c.ParallelFor(DivUp(count, kPerBlock), 64, kNormal ? 100 : 20, [&](int64_t begin, int64_t end, int) {
        for (int64_t block = begin; block < end; ++block) {
          const Block4 random = Philox(seed, run, static_cast<uint64_t>(block));
          double numbers[4];
          for (int i = 0; i < kPerBlock; ++i) {
            if constexpr (kPerBlock == 2) {
              numbers[i] = Uniform(random.words[2 * i], random.words[2 * i + 1]);
            } else {
              numbers[i] = static_cast<double>(Uniform(random.words[i]));
            }
          }
          if constexpr (kNormal) {
            for (int i = 0; i < kPerBlock; i += 2) Normal(numbers[i], numbers[i + 1], &numbers[i], &numbers[i + 1]);
          }
          for (int i = 0; i < kPerBlock && block * kPerBlock + i < count; ++i) {
            const double scale = kNormal ? static_cast<double>(b) : static_cast<double>(b) - static_cast<double>(a);
            out[block * kPerBlock + i] = Rounded<T>(static_cast<double>(a) + scale * numbers[i]);
          }
        }
      });
    });
  }
};

/// 1 with probability x, else 0.
struct Bernoulli : Stream {
  static constexpr bool kRandom = true;
  DType dtype = DType::kUndefined;

  Status Parse(const Node& node) {
    LINNET_TRY(Stream::Parse(node));
    LINNET_ASSIGN(dtype, ParseDType(node, DType::kUndefined, kFixedSize));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    return c.SetOutput(0, dtype == DType::kUndefined ? c.dtype(0) : dtype, c.shape(0));
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.output_shape(0).elements();
    const uint64_t run = NextRun();
    const DType to = c.output_dtype(0);
    const size_t width = DTypeBytes(to);
    std::byte zero[8], one[8];
    LINNET_TRY(StoreNumber(to, 0, zero));
    LINNET_TRY(StoreNumber(to, 1, one));
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      const T* in = c.in<T>(0);
      return c.ParallelFor(DivUp(count, 4), 64, 20, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin * 4; i < std::min(end * 4, count); i += 4) {
          const Block4 random = Philox(seed, run, static_cast<uint64_t>(i / 4));
          for (int64_t k = 0; k < 4 && i + k < count; ++k) {
            double p;
            if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
              p = static_cast<double>(ToFloat(in[i + k]));
            } else {
              p = static_cast<double>(in[i + k]);
            }
            memcpy(ElementAt(to, c.output(0), i + k), static_cast<double>(Uniform(random.words[k])) < p ? one : zero, width);
          }
        }
      });
    });
  }
};

/// Classes drawn from rows of unnormalised log-probabilities.
struct Multinomial : Stream {
  static constexpr bool kRandom = true;
  DType dtype = DType::kInt32;
  int64_t samples = 1;

  Status Parse(const Node& node) {
    LINNET_TRY(Stream::Parse(node));
    LINNET_ASSIGN(dtype, ParseDType(node, DType::kInt32, Mask(DType::kInt32) | Mask(DType::kInt64)));
    LINNET_ASSIGN(samples, node.Int("sample_size", 1));
    if (samples < 0 || samples > kDimMax || dtype == DType::kUndefined) return InvalidModel("attribute 'sample_size' is ", samples);
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckRank(0, 2));
    const Shape& in = c.shape(0);
    if (in.has_rank() && in[1] == 0) return InvalidArgument("there are no classes");
    return c.SetOutput(0, dtype, {in.has_rank() ? in[0] : kUnknownDim, samples});
  }
  Status Bind(BindContext& c) const {
    c.Scratch(c.shape(0)[1] * static_cast<int64_t>(sizeof(double)), c.threads());
    return Status();
  }
  Status Run(RunContext& c) const {
    const int64_t rows = c.input_shape(0)[0], classes = c.input_shape(0)[1];
    const uint64_t run = NextRun();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      const double ns = 20.0 * static_cast<double>(classes + samples);
      return c.ParallelFor(rows, 1, ns, [&](int64_t begin, int64_t end, int worker) {
        auto* sums = reinterpret_cast<double*>(c.scratch(worker));
        for (int64_t r = begin; r < end; ++r) {
          Accumulate(c.in<T>(0) + r * classes, classes, sums);
          for (int64_t s = 0; s < samples; ++s) {
            const Block4 random = Philox(seed, run, static_cast<uint64_t>(r * samples + s));
            const double at = Uniform(random.words[0], random.words[1]) * sums[classes - 1];
            const int64_t chosen = std::min<int64_t>(classes - 1, std::upper_bound(sums, sums + classes, at) - sums);
            if (dtype == DType::kInt32) {
              c.out<int32_t>(0)[r * samples + s] = static_cast<int32_t>(chosen);
            } else {
              c.out<int64_t>(0)[r * samples + s] = chosen;
            }
          }
        }
      });
    });
  }
  /// Running sums of exp(x - max); classes of NaN or -infinity get nothing.
  template <class T>
  static void Accumulate(const T* x, int64_t classes, double* sums) {
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < classes; ++i) {
      if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
        sums[i] = static_cast<double>(ToFloat(x[i]));
      } else {
        sums[i] = static_cast<double>(x[i]);
      }
      if (sums[i] > most) most = sums[i];
    }
    for (int64_t i = 0; i < classes; ++i) {
      const double weight = sums[i] == most ? 1 : exp(sums[i] - most);
      sum += weight >= 0 ? weight : 0;
      sums[i] = sum;
    }
  }
};

}  // namespace

LINNET_OP(RandomNormal, 1, Random<true, false>);
LINNET_OP(RandomNormalLike, 1, Random<true, true>);
LINNET_OP(RandomUniform, 1, Random<false, false>);
LINNET_OP(RandomUniformLike, 1, Random<false, true>);
LINNET_OP(Bernoulli, 15, Bernoulli);
LINNET_OP(Multinomial, 7, Multinomial);

}  // namespace linnet
