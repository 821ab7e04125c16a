// Clip: min(max(x, least), most), elementwise.
//
// Versions 1 and 6 have the bounds as attributes, from 11 on they are optional scalar inputs. An absent bound is no bound
// at all (infinities pass). `most` wins where least > most. NaN stays NaN.
#include <limits>

#include "ops/elementwise.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

template <class T>
struct Bounds {
  Wide<T> least, most;
};

template <class T>
void ClipRun(const void* function, void* out, const void* const* in, int64_t n, uint32_t) {
  const Bounds<T> bounds = *static_cast<const Bounds<T>*>(function);
  const T* x = static_cast<const T*>(in[0]);
  for (int64_t i = 0; i < n; ++i) {
    T value = x[i];
    if (value < bounds.least) value = bounds.least;
    if (value > bounds.most) value = bounds.most;
    static_cast<T*>(out)[i] = value;
  }
}

struct Clip {
  bool by_attributes = false;
  float least = -std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::infinity();
  PointwiseFn* loop = nullptr;

  Status Parse(const Node& node) {
    by_attributes = node.version < 11;
    if (!by_attributes) return Status();
    LINNET_ASSIGN(least, node.Float("min", least));
    LINNET_ASSIGN(most, node.Float("max", most));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, by_attributes ? 1 : 3));
    LINNET_TRY(c.CheckType(0, kAnyNumber));
    for (int i = 1; i < 3; ++i) {
      if (!c.has_input(i)) continue;
      LINNET_TRY(c.CheckType(i, kAnyNumber));
      if (c.dtype(i) != c.dtype(0) && c.dtype(i) != DType::kUndefined && c.dtype(0) != DType::kUndefined) {
        return InvalidModel(i == 1 ? "min" : "max", " is ", DTypeName(c.dtype(i)), " where ", DTypeName(c.dtype(0)),
                            " is expected");
      }
      if (c.shape(i).is_static() && c.shape(i).elements() != 1) {
        return InvalidModel(i == 1 ? "min" : "max", " has shape ", ToString(c.shape(i)), " where a scalar is expected");
      }
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Prepare(PrepareContext& c) {
    loop = PickPointwise(Pointwise::kClip, c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    ElementwiseParams* params = c.Params<ElementwiseParams>();
    const DType dtype = c.dtype(0);
    RunFn* run = FloatRunFor(dtype);
    if (!run) {
      LINNET_TRY(ForType<kOthers>(dtype, [&]<class T>() {
        run = ClipRun<T>;
        return Status();
      }));
    }
    *params = MakeElementwise(c, 1, run, dtype == DType::kFloat ? 0.1f : 1.0f);
    OfferInPlace(c, 1);
    return Status();
  }

  Status Run(RunContext& c) const {
    const ElementwiseParams& params = c.params<ElementwiseParams>();
    return ForType<kAnyNumber>(c.input_dtype(0), [&]<class T>() {
      using Limits = std::numeric_limits<Wide<T>>;
      Bounds<T> bounds{Limits::lowest(), Limits::max()};
      if constexpr (kIsFloating<T>) bounds = {-Limits::infinity(), Limits::infinity()};
      if (by_attributes) {
        if constexpr (kIsFloating<T>) {
          bounds = {least, most};
        } else {
          bounds = {SaturateTo<T>(least), SaturateTo<T>(most)};
        }
      }
      if (c.has_input(1)) bounds.least = Widen(*c.in<T>(1));
      if (c.has_input(2)) bounds.most = Widen(*c.in<T>(2));
      if constexpr (std::is_same_v<Wide<T>, float>) {
        const FloatFunction function{loop, bounds.least, bounds.most};
        return RunElementwise(c, params, &function);
      } else {
        return RunElementwise(c, params, &bounds);
      }
    });
  }

 private:
  static constexpr uint32_t kOthers = kAnyInteger | Mask(DType::kDouble);
};

}  // namespace

LINNET_OP(Clip, 1, Clip);

}  // namespace linnet
