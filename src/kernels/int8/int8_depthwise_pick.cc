// Which way an 8-bit depthwise convolution goes.
#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_depthwise_ring.h"

namespace linnet {

// By pairs of taps, which reads the packed weights as they are. Defined in int8_depthwise.cc.
DepthwiseInt8Fn* PickDepthwisePairs(CpuLevel level);
#if defined(__aarch64__)
// With dot products, where that serves; false when nothing was done. Defined in int8_depthwise_lanes.cc.
int64_t DepthwiseLanesScratch(const DepthwiseInt8& conv);
int64_t DepthwiseLanesBytes(const DepthwiseInt8& conv);
void PrepareDepthwiseLanes(const DepthwiseInt8& conv, void* prepared);
bool DepthwiseLanesRows(const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1, void* scratch);
#elif defined(__x86_64__)
// With an instruction for bytes, where that serves; false when nothing was done. Defined in int8_depthwise_bytes.cc.
void PrepareDepthwiseBytes(const DepthwiseInt8& conv, bool emulated, void* prepared);
bool DepthwiseBytesRows(const DepthwiseInt8& conv, bool emulated, const void* prepared, int64_t row0, int64_t row1, void* scratch);
// By floats of a kernel of their own, where those are exact; false when nothing was done. Defined in int8_depthwise_floats.cc.
int64_t DepthwiseFloatsBytes(const DepthwiseInt8& conv);
void PrepareDepthwiseFloats(const DepthwiseInt8& conv, void* prepared);
bool DepthwiseFloatsRows(const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1);
// By rows of floats, where DepthwiseFloatsLayout says how. Defined in int8_depthwise_rows.cc.
int64_t DepthwiseFloatRowsBytes(const DepthwiseInt8& conv);
void PrepareDepthwiseFloatRows(const DepthwiseInt8& conv, void* prepared);
DepthwiseInt8Fn* PickDepthwiseFloatRows(CpuLevel level);
// Of kernels of 1x1; false when nothing was done. Defined in int8_depthwise_points.cc.
bool DepthwisePointRows(const DepthwiseInt8& conv, int64_t row0, int64_t row1);
#endif

namespace {

#if defined(LINNET_SMALL)
constexpr bool kSmall = true;
#else
constexpr bool kSmall = false;
#endif

template <CpuLevel kLevel>
constexpr DepthwiseInt8Kernels kPairs = {
    [](const DepthwiseInt8&) -> int64_t { return 0; }, [](const DepthwiseInt8&, void*) {},
    [](const DepthwiseInt8& conv, const void*, int64_t row0, int64_t row1, void* scratch) {
      PickDepthwisePairs(kLevel)(conv, nullptr, row0, row1, scratch);
    }};

#if defined(__aarch64__)
constexpr DepthwiseInt8Kernels kLanes = {
    DepthwiseLanesBytes, PrepareDepthwiseLanes, [](const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
      if (!DepthwiseLanesRows(conv, prepared, row0, row1, scratch)) PickDepthwisePairs(CpuLevel::kDotprod)(conv, nullptr, row0, row1, scratch);
    }};
#elif defined(__x86_64__)
template <bool kEmulated>
constexpr DepthwiseInt8Kernels kBytes = {
    [](const DepthwiseInt8& conv) { return DepthwiseBytesBlocks(conv).bytes(); },
    [](const DepthwiseInt8& conv, void* prepared) {
      if (DepthwiseBytesBlocks(conv).usable) PrepareDepthwiseBytes(conv, kEmulated, prepared);
    },
    [](const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
      if (DepthwiseBytesRows(conv, kEmulated, prepared, row0, row1, scratch)) return;
      PickDepthwisePairs(CpuLevel::kAvx512)(conv, nullptr, row0, row1, scratch);
    }};

#if !defined(LINNET_SMALL)
constexpr DepthwiseInt8Kernels kFloats = {
    DepthwiseFloatsBytes, PrepareDepthwiseFloats, [](const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
      if (DepthwisePointRows(conv, row0, row1) || DepthwiseFloatsRows(conv, prepared, row0, row1)) return;
      PickDepthwisePairs(CpuLevel::kAvx2)(conv, nullptr, row0, row1, scratch);
    }};
template <CpuLevel kLevel>
constexpr DepthwiseInt8Kernels kFloatRows = {
    DepthwiseFloatRowsBytes, PrepareDepthwiseFloatRows, [](const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
      DepthwiseInt8Fn* const rows = DepthwiseFloatsLayout(conv).bytes > 0 ? PickDepthwiseFloatRows(kLevel) : PickDepthwisePairs(kLevel);
      rows(conv, prepared, row0, row1, scratch);
    }};
#endif
#endif

}  // namespace

int64_t DepthwiseScratchBytes(const DepthwiseInt8& conv) {
  const DepthwiseRing ring(conv);
  int64_t bytes = ring.table_bytes + ring.copies * ring.width * 2;
#if defined(__x86_64__)
  if (!kSmall) bytes = std::max(bytes, DepthwiseFloatsLayout(conv).bytes);
  if (Supports(DetectedCpuLevel(), CpuLevel::kAvx512)) bytes = std::max(bytes, DepthwiseBytesLayout(conv).scratch_bytes());
#elif defined(__aarch64__)
  bytes = std::max(bytes, DepthwiseLanesScratch(conv));
#endif
  return RoundUp(bytes, int64_t{64});
}

const DepthwiseInt8Kernels& PickDepthwiseInt8([[maybe_unused]] CpuLevel level, [[maybe_unused]] FinishInt8::To to) {
#if defined(__x86_64__)
  const bool bytes = to == FinishInt8::To::kInt8 || to == FinishInt8::To::kUint8;
  const bool wide = Supports(level, CpuLevel::kAvx512), avx2 = Supports(level, CpuLevel::kAvx2);
  if (Supports(level, CpuLevel::kAvx512Vnni) && (bytes || kSmall)) return kBytes<false>;
#if !defined(LINNET_SMALL)
  if (avx2 && (bytes || (to == FinishInt8::To::kActivated && !wide))) return kFloats;
  if (!bytes) return wide ? kFloatRows<CpuLevel::kAvx512> : avx2 ? kFloatRows<CpuLevel::kAvx2> : kFloatRows<CpuLevel::kSse4>;
#endif
  return wide ? kPairs<CpuLevel::kAvx512> : avx2 ? kPairs<CpuLevel::kAvx2> : kPairs<CpuLevel::kSse4>;
#else
#if defined(__aarch64__)
  if (Supports(level, CpuLevel::kDotprod)) return kLanes;
#endif
  return kPairs<CpuLevel::kNeon>;
#endif
}

const DepthwiseInt8Kernels& EmulatedDepthwiseInt8() {
#if defined(__x86_64__)
  return kBytes<true>;
#else
  return kPairs<CpuLevel::kNeon>;
#endif
}

}  // namespace linnet
