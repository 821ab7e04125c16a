// How a float32 matrix product is cut into tasks. No vector code here.
#include <algorithm>

#include "base/memory.h"
#include "kernels/gemm.h"

namespace linnet {

GemmGrain GemmGrainF32(const GemmF32Kernels& kernels, int64_t m, int64_t n, int64_t k, int threads, bool whole_rows) {
  // Tasks of some 256 thousand multiply-adds are worth handing out, a few for each thread; none is longer than some
  // milliseconds, so that a run can be stopped.
  constexpr int64_t kWork = 256 << 10, kWorkMax = 128 << 20;
  constexpr int64_t kCache = 512 << 10;       // of B, while rows pass by: a second-level cache
  constexpr int64_t kRowsCache = 2 << 20;     // of A, while panels pass by: a part of the third level
  m = std::max<int64_t>(m, 1);
  const int64_t panels = std::max<int64_t>(PanelCount(n), 1), depth = std::max<int64_t>(k, 1);
  const int64_t tile = kernels.rows, panel_work = depth * kPanelColumns, panel_bytes = panel_work * 4;
  const double work = static_cast<double>(m) * static_cast<double>(panels) * static_cast<double>(panel_work);
  const double tasks =
      std::max(threads > 1 ? std::min(work / kWork, 4.0 * threads) : 1.0, std::max(1.0, work / kWorkMax));
  GemmGrain grain = {m, panels};
  auto split = [](int64_t size, double parts, int64_t unit) {
    const double part = static_cast<double>(size) / std::max(parts, 1.0);
    return std::min(size, RoundUp(std::max<int64_t>(1, static_cast<int64_t>(part)), unit));
  };
  const bool many_rows = m > 4 * tile;
  if (many_rows && (whole_rows || panels * panel_bytes <= kCache)) {
    grain.rows = split(m, tasks, tile);
    return grain;
  }
  // Groups of columns, each of B fetched once for all rows (or for those that a cache holds).
  const int64_t width = std::max<int64_t>(m <= 4 ? 4 : 2, kernels.columns / kPanelColumns);
  if (many_rows && m * depth * 4 > kRowsCache) {
    const int64_t fit = std::max(kRowsCache / (4 * depth), 8 * tile);
    grain.rows = split(m, static_cast<double>(DivUp(m, fit)), tile);
  }
  const double groups = tasks * static_cast<double>(grain.rows) / static_cast<double>(m);
  grain.panels = split(panels, groups, width);
  return grain;
}

}  // namespace linnet
