// The range in parts, then the quotients.
#include "ops/dynamic_quantizer.h"

#include <cmath>

namespace linnet {

void DynamicQuantizer::Pick(CpuLevel cpu) {
  min_max = PickMinMax(cpu);
  quantize = PickQuantize(DType::kUint8, cpu);
}

Status DynamicQuantizer::Run(const RunContext& c, const float* x, int64_t n, uint8_t* q, float* scale, uint8_t* zero,
                             std::byte* scratch) const {
  struct alignas(64) Range {
    float low = 0, high = 0;
  };
  Range* ranges = reinterpret_cast<Range*>(scratch);
  for (int i = 0; i < c.threads(); ++i) ranges[i] = Range();
  LINNET_TRY(c.ParallelFor(n, 4096, 0.05, [&](int64_t begin, int64_t end, int worker) {
    min_max(x + begin, end - begin, &ranges[worker].low, &ranges[worker].high);
  }));
  Range all;
  for (int i = 0; i < c.threads(); ++i) {
    all.low = std::min(all.low, ranges[i].low);
    all.high = std::max(all.high, ranges[i].high);
  }
  const float step = all.high > all.low ? (all.high - all.low) / 255.0f : 1.0f;
  float at = std::nearbyint(std::min(std::max(-all.low / step, 0.0f), 255.0f));
  if (!(at == at)) at = 0;
  *scale = step;
  *zero = static_cast<uint8_t>(at);
  if (!q) return Status();
  return c.ParallelFor(n, 4096, 0.2, [&](int64_t begin, int64_t end, int) {
    quantize(x + begin, q + begin, end - begin, step, static_cast<int32_t>(at));
  });
}

}  // namespace linnet
