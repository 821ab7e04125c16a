// LSTM and GRU cells, and the product of a row.
#include "kernels/gates.h"

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gates.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/math-inl.h"
#include "kernels/unroll.h"

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
  const int64_t n = args.n, stride = args.stride != 0 ? args.stride : n;
  for (int64_t k = 0; k < n; k += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - k);
    auto gate = [&](int64_t index) HWY_ATTR {
      return hn::Add(LoadSome(d, args.x_gates + index * stride + k, left),
                     LoadSome(d, args.h_gates + index * stride + k, left));
    };
    VF32 i = gate(0), o = gate(1), f = gate(2), cell = LoadSome(d, args.cell + k, left);
    if (args.peepholes != nullptr) {
      i = hn::MulAdd(LoadSome(d, args.peepholes + k, left), cell, i);
      f = hn::MulAdd(LoadSome(d, args.peepholes + 2 * stride + k, left), cell, f);
    }
    i = Sigmoid(d, ClampTo(clip, i));
    f = args.input_forget ? hn::Sub(hn::Set(d, 1.0f), i) : Sigmoid(d, ClampTo(clip, f));
    cell = hn::MulAdd(f, cell, hn::Mul(i, Tanh(d, ClampTo(clip, gate(3)))));
    if (args.peepholes != nullptr) o = hn::MulAdd(LoadSome(d, args.peepholes + stride + k, left), cell, o);
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
  const int64_t n = args.n, stride = args.stride != 0 ? args.stride : n;
  const float* before = args.before != nullptr ? args.before : args.h;
  for (int64_t k = 0; k < n; k += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - k);
    auto x_gate = [&](int64_t index) HWY_ATTR { return LoadSome(d, args.x_gates + index * stride + k, left); };
    auto h_gate = [&](int64_t index) HWY_ATTR { return LoadSome(d, args.h_gates + index * stride + k, left); };
    const VF32 h = LoadSome(d, before + k, left);
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

namespace {

// Columns [0, kVectors * lanes) of the panels at b, `panel_floats` apart; the first `columns` are stored.
template <int kVectors>
HWY_INLINE void RowTile(const float* a, int64_t k, const float* b, int64_t panel_floats, int64_t columns, float* out) {
  const F32 d;
  constexpr int64_t kPanel = 16, kLanes = HWY_LANES(float);
  VF32 sum[kVectors];
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
  for (int64_t i = 0; i < k; ++i, b += kPanel) {
    const VF32 av = hn::Set(d, a[i]);
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(av, hn::LoadU(d, b + v * kLanes / kPanel * panel_floats + v * kLanes % kPanel), sum[v]);
    }
  }
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = columns - v * kLanes;
    if (left > 0) StoreSome(sum[v], d, out + v * kLanes, static_cast<size_t>(left));
  }
}

}  // namespace

void RowTimesPanels(const float* a, int64_t k, const float* packed, int64_t n, int64_t panel0, int64_t panel1, float* out) {
  // Four panels at a time with registers of a panel's width; as many registers otherwise as there are.
  constexpr int64_t kPanel = 16, kLanes = HWY_LANES(float), kVectors = kPanel / kLanes;
  constexpr int64_t kPanels = kLanes == 16 ? 4 : 8 / kVectors;
  const int64_t panel_floats = kPanel * k;
  int64_t panel = panel0;
  for (; panel + kPanels <= panel1; panel += kPanels) {
    RowTile<kPanels * kVectors>(a, k, packed + panel * panel_floats, panel_floats, n - panel * kPanel, out + panel * kPanel);
  }
  for (; panel < panel1; ++panel) {
    RowTile<kVectors>(a, k, packed + panel * panel_floats, panel_floats, n - panel * kPanel, out + panel * kPanel);
  }
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
RowTimesPanelsFn* PickRowTimesPanels(CpuLevel level) {
  return LINNET_PICK(level, RowTimesPanels);
}

}  // namespace linnet
#endif  // HWY_ONCE
