// LSTM and GRU cells.
#include "kernels/gates.h"

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gates.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE VF32 ClampTo(VF32 clip, VF32 v) {
  return AtMost(clip, AtLeast(hn::Neg(clip), v));
}

}  // namespace

void LstmCell(const LstmCellArgs& args) {
  const F32 d;
  const VF32 clip = hn::Set(d, args.clip);
  const int64_t n = args.n;
  for (int64_t k = 0; k < n; k += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - k);
    auto gate = [&](int64_t index) HWY_ATTR {
      return hn::Add(LoadSome(d, args.x_gates + index * n + k, left),
                     LoadSome(d, args.h_gates + index * n + k, left));
    };
    VF32 i = gate(0), o = gate(1), f = gate(2), cell = LoadSome(d, args.cell + k, left);
    if (args.peepholes != nullptr) {
      i = hn::MulAdd(LoadSome(d, args.peepholes + k, left), cell, i);
      f = hn::MulAdd(LoadSome(d, args.peepholes + 2 * n + k, left), cell, f);
    }
    i = Sigmoid(d, ClampTo(clip, i));
    f = args.input_forget ? hn::Sub(hn::Set(d, 1.0f), i) : Sigmoid(d, ClampTo(clip, f));
    cell = hn::MulAdd(f, cell, hn::Mul(i, Tanh(d, ClampTo(clip, gate(3)))));
    if (args.peepholes != nullptr) o = hn::MulAdd(LoadSome(d, args.peepholes + n + k, left), cell, o);
    o = Sigmoid(d, ClampTo(clip, o));
    StoreSome(cell, d, args.cell + k, left);
    StoreSome(hn::Mul(o, Tanh(d, ClampTo(clip, cell))), d, args.h + k, left);
  }
}

namespace {

enum class Gru { kLinear, kReset, kUpdate };

template <Gru kPart>
HWY_INLINE void GruPart(const GruCellArgs& args) {
  const F32 d;
  const VF32 clip = hn::Set(d, args.clip);
  const int64_t n = args.n;
  for (int64_t k = 0; k < n; k += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - k);
    auto x_gate = [&](int64_t index) HWY_ATTR { return LoadSome(d, args.x_gates + index * n + k, left); };
    auto h_gate = [&](int64_t index) HWY_ATTR { return LoadSome(d, args.h_gates + index * n + k, left); };
    const VF32 h = LoadSome(d, args.h + k, left);
    VF32 candidate = h;
    if constexpr (kPart != Gru::kUpdate) {
      const VF32 r = Sigmoid(d, ClampTo(clip, hn::Add(x_gate(1), h_gate(1))));
      if constexpr (kPart == Gru::kReset) {
        StoreSome(hn::Mul(r, h), d, args.reset_h + k, left);
        continue;
      }
      VF32 recurrent = h_gate(2);
      if (args.bias != nullptr) recurrent = hn::Add(recurrent, LoadSome(d, args.bias + k, left));
      candidate = hn::MulAdd(r, recurrent, x_gate(2));
    } else {
      candidate = hn::Add(x_gate(2), h_gate(2));
    }
    const VF32 g = Tanh(d, ClampTo(clip, candidate));
    const VF32 z = Sigmoid(d, ClampTo(clip, hn::Add(x_gate(0), h_gate(0))));
    StoreSome(hn::MulAdd(z, hn::Sub(h, g), g), d, args.h + k, left);
  }
}

}  // namespace

void GruLinear(const GruCellArgs& args) {
  GruPart<Gru::kLinear>(args);
}
void GruReset(const GruCellArgs& args) {
  GruPart<Gru::kReset>(args);
}
void GruUpdate(const GruCellArgs& args) {
  GruPart<Gru::kUpdate>(args);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

LstmCellFn* PickLstmCell(CpuLevel level) {
  return LINNET_PICK(level, LstmCell);
}
GruCellFn* PickGruLinear(CpuLevel level) {
  return LINNET_PICK(level, GruLinear);
}
GruCellFn* PickGruReset(CpuLevel level) {
  return LINNET_PICK(level, GruReset);
}
GruCellFn* PickGruUpdate(CpuLevel level) {
  return LINNET_PICK(level, GruUpdate);
}

}  // namespace linnet
#endif  // HWY_ONCE
