// The candidates for a product or a convolution, of each kind of numbers.
#include "cli/kernel_problems.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>

#include "kernels/half/half_conv.h"
#include "kernels/half/half_gemm.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/depthwise.h"
#include "kernels/conv/winograd.h"
#include "kernels/gemm.h"
#include "kernels/int8/int8_conv.h"
#include "kernels/int8/int8_depthwise.h"

namespace linnet::cli {
namespace {

double Count(int64_t a, int64_t b, int64_t c = 1) { return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c); }

Status CheckGemm(const GemmProblem& p) {
  for (int64_t size : {p.m, p.n, p.k}) {
    if (size < 1 || size > 1 << 24) return InvalidArgument("M, N and K must be in [1, ", 1 << 24, "], one is ", size);
  }
  return Status();
}

Status AddGemmF32(const GemmProblem& p, CpuLevel best, Workspace& memory, Problem* problem) {
  GemmF32 g;
  g.m = p.m, g.n = p.n, g.k = p.k;
  g.only_row = p.m == 1;
  LINNET_ASSIGN(g.a, memory.Floats(p.m * p.k));
  LINNET_ASSIGN(float* b, memory.Floats(p.k * p.n));
  LINNET_ASSIGN(g.c, memory.Floats(p.m * p.n));
  LINNET_ASSIGN(float* packed, memory.Floats(PackedSizeF32(p.k, p.n)));
  LINNET_ASSIGN(float* scratch, memory.Floats(p.k * kPanelColumns));
  PackF32(b, p.k, p.n, p.n, 1, packed);
  g.a_row_stride = p.k, g.c_row_stride = p.n;
  const int64_t panels = PanelCount(p.n);
  for (CpuLevel level : LevelsFor(Numbers::kFloat32, best)) {
    const GemmF32Kernels* kernels = &PickGemmF32(level);
    const bool first = problem->candidates.empty();
    GemmF32 ready = g;
    UsePackedB(&ready, packed);
    auto packed_run = [=] { kernels->run(ready, 0, p.m, 0, panels); };
    problem->candidates.push_back({level, "constant B, packed ahead", first, packed_run});
    problem->candidates.push_back({level, "B packed in the run", false, [=] {
                                     PackF32(b, p.k, p.n, p.n, 1, packed);
                                     packed_run();
                                   }});
    GemmF32 plain = g;
    plain.b = b, plain.b_row_stride = p.n;
    problem->candidates.push_back({level, "B read as it is", false, [=] { kernels->run_row_major(plain, 0, p.m, scratch); }});
    plain.b_row_stride = p.k;
    if (p.m <= 16) {
      problem->candidates.push_back({level, "transposed B, dot products", false, [=] { kernels->run_transposed(plain, 0, p.n); }});
    }
  }
  return Status();
}

/// Offsets, scales and biases of so many columns, and where a result of `rows` x `columns` goes.
Result<FinishInt8> FinishTo(FinishInt8::To to, int64_t rows, int64_t columns, int64_t arrays, Workspace& memory) {
  FinishInt8 finish;
  finish.to = to;
  LINNET_ASSIGN(std::byte* offset, memory.Bytes(arrays * 4));
  LINNET_ASSIGN(float* scale, memory.Floats(arrays));
  memset(offset, 0, static_cast<size_t>(arrays) * 4);
  std::fill_n(scale, arrays, 0.001f);
  finish.offset = reinterpret_cast<const int32_t*>(offset);
  finish.scale = scale;
  finish.low = -128, finish.high = 127, finish.zero = 128;
  LINNET_ASSIGN(finish.c, memory.Bytes(rows * columns * (to == FinishInt8::To::kFloat ? 4 : 1)));
  finish.c_row_stride = columns;
  return finish;
}

Result<const uint8_t*> RandomBytes(int64_t count, Workspace& memory) {
  LINNET_ASSIGN(std::byte* data, memory.Bytes(count));
  for (int64_t i = 0; i < count; ++i) data[i] = static_cast<std::byte>(i * 37 % 251);
  return reinterpret_cast<const uint8_t*>(data);
}

Status AddGemmInt8(const GemmProblem& p, CpuLevel best, Workspace& memory, Problem* problem) {
  GemmInt8 g;
  g.m = p.m, g.n = p.n, g.k = p.k, g.a_row_stride = p.k;
  LINNET_ASSIGN(g.a, RandomBytes(p.m * p.k, memory));
  LINNET_ASSIGN(const uint8_t* b, RandomBytes(p.k * p.n, memory));
  LINNET_ASSIGN(std::byte* packed, memory.Bytes(PackedSizeInt8(p.k, p.n)));
  PackInt8(b, true, p.k, p.n, p.n, 1, packed);
  g.packed = packed;
  const int64_t panels = PanelCount(p.n);
  for (auto [to, name] : {std::pair{FinishInt8::To::kUint8, "into bytes"}, std::pair{FinishInt8::To::kFloat, "into floats"}}) {
    LINNET_ASSIGN(g.finish, FinishTo(to, p.m, p.n, panels * kPanelColumns, memory));
    bool first = true;
    for (CpuLevel level : LevelsFor(Numbers::kInt8, best)) {
      const Int8Kernels* kernels = &PickInt8(level);
      LINNET_ASSIGN(std::byte* scratch, memory.Bytes(GemmInt8ScratchBytes(*kernels, p.m, p.k)));
      problem->candidates.push_back({level, fmt::format("{}, {}", kernels->name, name), first,
                                     [=] { RunGemmInt8(*kernels, g, 0, p.m, 0, panels, scratch); }});
      first = false;
    }
  }
  return Status();
}

HalfFormat FormatOf(Numbers numbers) { return numbers == Numbers::kBfloat16 ? HalfFormat::kBfloat16 : HalfFormat::kFloat16; }

Status AddGemmHalf(const GemmProblem& p, Numbers numbers, CpuLevel best, Workspace& memory, Problem* problem) {
  GemmHalf g;
  g.m = p.m, g.n = p.n, g.k = p.k, g.a_row_stride = p.k, g.c_row_stride = p.n;
  LINNET_ASSIGN(g.a, memory.Floats(p.m * p.k));
  LINNET_ASSIGN(float* b, memory.Floats(p.k * p.n));
  LINNET_ASSIGN(g.c, memory.Floats(p.m * p.n));
  LINNET_ASSIGN(std::byte* packed, memory.Bytes(PackedSizeHalf(p.k, p.n)));
  PackHalf(FormatOf(numbers), b, p.k, p.n, p.n, 1, packed);
  g.packed = packed;
  for (CpuLevel level : LevelsFor(numbers, best)) {
    const HalfKernels* kernels = &PickHalf(FormatOf(numbers), level);
    LINNET_ASSIGN(std::byte* scratch, memory.Bytes(GemmHalfScratchBytes(*kernels, p.m, p.n, p.k)));
    problem->candidates.push_back({level, kernels->name, problem->candidates.empty(),
                                   [=] { RunGemmHalf(*kernels, g, 0, p.m, 0, PanelCount(p.n), scratch); }});
  }
  return Status();
}

template <class Conv>
void SetSizes(const ConvProblem& p, Conv* c) {
  c->in_h = p.height, c->in_w = p.width, c->out_h = p.Out(p.height), c->out_w = p.Out(p.width);
  c->kernel_h = c->kernel_w = p.kernel, c->stride_h = c->stride_w = p.stride, c->dilation_h = c->dilation_w = p.dilation;
  c->pad_top = c->pad_left = p.pad();
}

Status AddDepthwiseF32(const ConvProblem& p, CpuLevel best, Workspace& memory, Problem* problem) {
  DepthwiseF32 c;
  SetSizes(p, &c);
  c.channels = p.channels;
  LINNET_ASSIGN(c.input, memory.Floats(p.height * p.width * p.channels));
  LINNET_ASSIGN(float* weights, memory.Floats(p.channels * p.kernel * p.kernel));
  LINNET_ASSIGN(c.output, memory.Floats(c.out_h * c.out_w * p.channels));
  LINNET_ASSIGN(float* packed, memory.Floats(PackedDepthwiseSizeF32(p.channels, p.kernel, p.kernel)));
  PackDepthwiseF32(weights, p.channels, p.kernel, p.kernel, packed);
  c.packed = packed;
  c.input_pixel_stride = c.output_pixel_stride = p.channels;
  c.input_row_stride = p.width * p.channels, c.input_batch_stride = p.height * c.input_row_stride;
  for (CpuLevel level : LevelsFor(Numbers::kFloat32, best)) {
    DepthwiseF32Fn* run = PickDepthwiseF32(level);
    problem->candidates.push_back({level, "depthwise", problem->candidates.empty(), [=] { run(c, 0, c.out_h, 0, p.channels); }});
  }
  return Status();
}

/// A convolution of float32 images; what is packed is for the caller to set.
Result<ConvF32> ImagesF32(const ConvProblem& p, Workspace& memory) {
  ConvF32 c;
  SetSizes(p, &c);
  c.in_c = p.channels, c.out_c = p.filters, c.groups = p.groups;
  LINNET_ASSIGN(c.input, memory.Floats(p.height * p.width * p.channels));
  LINNET_ASSIGN(c.output, memory.Floats(c.out_h * c.out_w * p.filters));
  c.input_pixel_stride = p.channels, c.output_pixel_stride = p.filters;
  c.input_row_stride = p.width * p.channels, c.input_batch_stride = p.height * c.input_row_stride;
  return c;
}

Status AddWinograd(const ConvProblem& p, WinogradWay way, WinogradWay chosen, const float* weights, ConvF32 ready, CpuLevel best, Workspace& memory,
                   Problem* problem) {
  if (way.ahead) {
    LINNET_ASSIGN(float* packed, memory.Floats(PackedWinogradSizeF32(p.filters, p.channels, way.tile)));
    PackWinogradF32(weights, p.filters, p.channels, way.tile, packed);
    ready.packed = packed;
  }
  bool pick = way.tile == chosen.tile && way.ahead == chosen.ahead;
  for (CpuLevel level : LevelsFor(Numbers::kFloat32, best)) {
    const GemmF32Kernels* gemm = &PickGemmF32(level);
    const WinogradF32Kernels* winograd = &PickWinogradF32(level);
    ready.transpose = PickTranspose(4, level);
    LINNET_ASSIGN(std::byte* scratch, memory.Bytes(WinogradScratchBytes(*winograd, *gemm, ready, way)));
    const GemmGrain grain = WinogradGrainF32(*winograd, *gemm, ready, way, 1);
    problem->candidates.push_back({level, fmt::format("Winograd, tiles of {} x {}{}", way.tile, way.tile, way.ahead ? "" : ", weights transformed at every run"), pick, [=] {
                                     StartWinogradF32(scratch);
                                     const int64_t tiles = WinogradTiles(ready, way.tile), panels = ConvPanels(ready);
                                     for (int64_t t = 0; t < tiles; t += grain.rows) {
                                       for (int64_t q = 0; q < panels; q += grain.panels) {
                                         RunWinogradF32(*winograd, *gemm, ready, way, t, std::min(tiles, t + grain.rows), q,
                                                        std::min(panels, q + grain.panels), scratch);
                                       }
                                     }
                                   }});
    pick = false;
  }
  return Status();
}

Status AddConvF32(const ConvProblem& p, CpuLevel best, Workspace& memory, Problem* problem) {
  LINNET_ASSIGN(const ConvF32 c, ImagesF32(p, memory));
  LINNET_ASSIGN(float* weights, memory.Floats(p.filters * (p.channels / p.groups) * p.kernel * p.kernel));
  const bool may_tile = p.kernel == 3 && p.stride == 1 && p.groups == 1;
  const WinogradWay chosen = may_tile ? ChooseWinograd(c) : WinogradWay();
  LINNET_ASSIGN(float* packed, memory.Floats(PackedConvSizeF32(p.filters, p.channels, p.groups, p.kernel, p.kernel)));
  PackConvF32(weights, p.filters, p.channels, p.groups, p.kernel, p.kernel, packed);
  ConvF32 ready = c;
  ready.packed = packed;
  for (CpuLevel level : LevelsFor(Numbers::kFloat32, best)) {
    const GemmF32Kernels* gemm = &PickGemmF32(level);
    LINNET_ASSIGN(std::byte* scratch, memory.Bytes(ConvScratchBytes(*gemm, ready)));
    problem->candidates.push_back({level, "direct sums", problem->candidates.empty() && chosen.tile == 0, [=] {
                                     RunConvF32(*gemm, ready, 0, ready.out_h * ready.out_w, 0, ConvPanels(ready), scratch);
                                   }});
  }
  for (const bool ahead : {true, false}) {
    for (int tile : {2, 4, 6}) {
      if (may_tile) LINNET_TRY(AddWinograd(p, {tile, ahead}, chosen, weights, ready, best, memory, problem));
    }
  }
  return Status();
}

Status AddConvInt8(const ConvProblem& p, CpuLevel best, Workspace& memory, Problem* problem) {
  const int64_t taps = p.kernel * p.kernel, group_in = p.channels / p.groups;
  LINNET_ASSIGN(const uint8_t* input, RandomBytes(p.height * p.width * p.channels, memory));
  LINNET_ASSIGN(const uint8_t* weights, RandomBytes(p.filters * group_in * taps, memory));
  if (p.depthwise()) {
    DepthwiseInt8 c;
    SetSizes(p, &c);
    c.channels = p.channels, c.input = input;
    LINNET_ASSIGN(std::byte* packed, memory.Bytes(PackedDepthwiseSizeInt8(p.channels, taps) * 2));
    const std::vector<int32_t> zeros(static_cast<size_t>(p.channels), 0);
    PackDepthwiseInt8(weights, true, zeros.data(), p.channels, taps, reinterpret_cast<int16_t*>(packed));
    c.packed = reinterpret_cast<const int16_t*>(packed);
    LINNET_ASSIGN(c.finish, FinishTo(FinishInt8::To::kUint8, c.out_h * c.out_w, p.channels, RoundUp(p.channels, 16), memory));
    LINNET_ASSIGN(std::byte* scratch, memory.Bytes(DepthwiseScratchBytes(c)));
    const DepthwiseInt8Kernels* before = nullptr;
    for (CpuLevel level : LevelsFor(Numbers::kInt8, best)) {
      const DepthwiseInt8Kernels* kernels = &PickDepthwiseInt8(level, c.finish.to);
      if (kernels == before) continue;   // levels that share them
      before = kernels;
      LINNET_ASSIGN(std::byte* prepared, memory.Bytes(kernels->prepared_bytes(c)));
      kernels->prepare(c, prepared);
      problem->candidates.push_back({level, "depthwise, into bytes", problem->candidates.empty(),
                                     [=] { kernels->rows(c, prepared, 0, c.out_h, scratch); }});
    }
    return Status();
  }
  ConvInt8 c;
  SetSizes(p, &c);
  c.input = input, c.in_c = p.channels, c.out_c = p.filters, c.groups = p.groups;
  LINNET_ASSIGN(std::byte* packed, memory.Bytes(PackedConvSizeInt8(p.filters, p.channels, p.groups, taps)));
  LINNET_ASSIGN(std::byte* temporary, memory.Bytes(p.filters / p.groups * group_in * taps));
  PackConvInt8(weights, true, p.filters, p.channels, p.groups, taps, temporary, packed);
  c.packed = packed;
  const int64_t pixels = c.out_h * c.out_w;
  LINNET_ASSIGN(c.finish, FinishTo(FinishInt8::To::kUint8, pixels, p.filters, ConvColumns(p.filters, p.groups), memory));
  for (CpuLevel level : LevelsFor(Numbers::kInt8, best)) {
    const Int8Kernels* kernels = &PickInt8(level);
    LINNET_ASSIGN(std::byte* scratch, memory.Bytes(ConvScratchBytes(*kernels, c)));
    problem->candidates.push_back({level, fmt::format("{}, into bytes", kernels->name), problem->candidates.empty(),
                                   [=] { RunConvInt8(*kernels, c, 0, pixels, 0, ConvPanels(c), scratch); }});
  }
  return Status();
}

Status AddConvHalf(const ConvProblem& p, Numbers numbers, CpuLevel best, Workspace& memory, Problem* problem) {
  if (p.groups != 1) return Unsupported("convolutions of several groups stay float32 with every precision");
  LINNET_ASSIGN(ConvF32 c, ImagesF32(p, memory));
  const int64_t taps = p.kernel * p.kernel, elements = p.filters * p.channels * taps;
  LINNET_ASSIGN(float* weights, memory.Floats(elements));
  LINNET_ASSIGN(float* temporary, memory.Floats(elements));
  LINNET_ASSIGN(std::byte* packed, memory.Bytes(PackedConvSizeHalf(p.filters, p.channels, taps)));
  PackConvHalf(FormatOf(numbers), weights, p.filters, p.channels, taps, temporary, packed);
  c.packed = reinterpret_cast<const float*>(packed);
  for (CpuLevel level : LevelsFor(numbers, best)) {
    const HalfKernels* kernels = &PickHalf(FormatOf(numbers), level);
    LINNET_ASSIGN(std::byte* scratch, memory.Bytes(ConvHalfScratchBytes(*kernels, c)));
    problem->candidates.push_back({level, kernels->name, problem->candidates.empty(),
                                   [=] { RunConvHalf(*kernels, c, 0, c.out_h * c.out_w, 0, ConvPanels(c), scratch); }});
  }
  return Status();
}

const char* NameOf(Numbers numbers) {
  return numbers == Numbers::kInt8 ? "8-bit " : numbers == Numbers::kBfloat16 ? "bfloat16 " : numbers == Numbers::kFloat16 ? "float16 " : "";
}
double BytesOf(Numbers numbers) { return numbers == Numbers::kInt8 ? 1 : numbers == Numbers::kFloat32 ? 4 : 2; }

}  // namespace

Result<float*> Workspace::Floats(int64_t count) {
  constexpr int64_t kFloatsMax = int64_t{1} << 30;
  if (count < 0 || count > kFloatsMax) return LimitReached("a matrix of ", count, " numbers is too large to try");
  LINNET_ASSIGN(Block block, Block::Allocate(count * 4));
  float* data = reinterpret_cast<float*>(block.data());
  for (int64_t i = 0; i < count; ++i) data[i] = static_cast<float>(i % 17 - 8) / 16;
  blocks_.push_back(std::move(block));
  return data;
}

Result<std::byte*> Workspace::Bytes(int64_t count) {
  constexpr int64_t kBytesMax = int64_t{1} << 32;
  if (count < 0 || count > kBytesMax) return LimitReached("a matrix of ", count, " bytes is too large to try");
  LINNET_ASSIGN(Block block, Block::Allocate(count));
  blocks_.push_back(std::move(block));
  return blocks_.back().data();
}

std::vector<CpuLevel> LevelsFor(Numbers numbers, CpuLevel best) {
  std::vector<CpuLevel> levels;
  auto add = [&](std::initializer_list<CpuLevel> list) {
    for (CpuLevel level : list) {
      if (Supports(best, level)) levels.push_back(level);
    }
  };
  if (numbers == Numbers::kInt8) {
    add({CpuLevel::kAmx, CpuLevel::kAvx512Vnni, CpuLevel::kAvxVnni, CpuLevel::kAvx512, CpuLevel::kAvx2, CpuLevel::kSse4});
    add({CpuLevel::kI8mm, CpuLevel::kDotprod, CpuLevel::kNeon});
  } else if (numbers == Numbers::kBfloat16) {
    add({CpuLevel::kAmx, CpuLevel::kI8mm});
  } else if (numbers == Numbers::kFloat16) {
    add({CpuLevel::kDotprod});
  }
  if (numbers != Numbers::kInt8) add({CpuLevel::kAvx512, CpuLevel::kAvx2, CpuLevel::kSse4, CpuLevel::kNeon});
  if (levels.empty()) levels.push_back(best);
  return levels;
}

Status AddGemm(const GemmProblem& p, Numbers numbers, CpuLevel best, Workspace& memory, Problem* problem) {
  LINNET_TRY(CheckGemm(p));
  const double size = BytesOf(numbers);
  problem->numbers = numbers;
  problem->title = fmt::format("{}product of {} x {} and {} x {}", NameOf(numbers), p.m, p.k, p.k, p.n);
  problem->macs = Count(p.m, p.n, p.k);
  problem->weight_bytes = size * Count(p.k, p.n);
  problem->bytes = problem->weight_bytes + (numbers == Numbers::kInt8 ? 1 : 4) * Count(p.m, p.k + p.n);
  if (numbers == Numbers::kInt8) return AddGemmInt8(p, best, memory, problem);
  if (numbers == Numbers::kBfloat16 || numbers == Numbers::kFloat16) return AddGemmHalf(p, numbers, best, memory, problem);
  return AddGemmF32(p, best, memory, problem);
}

Status AddConv(const ConvProblem& p, Numbers numbers, CpuLevel best, Workspace& memory, Problem* problem) {
  for (int64_t size : {p.height, p.width, p.channels, p.filters, p.kernel, p.stride, p.dilation, p.groups}) {
    if (size < 1 || size > 1 << 20) return InvalidArgument("sizes must be in [1, ", 1 << 20, "], one is ", size);
  }
  if (p.channels % p.groups != 0 || p.filters % p.groups != 0) {
    return InvalidArgument(p.groups, " groups do not divide ", p.channels, " channels and ", p.filters, " filters");
  }
  if (p.Out(p.height) < 1 || p.Out(p.width) < 1) return InvalidArgument("the kernel reaches beyond the padded image");
  problem->numbers = numbers;
  problem->title = fmt::format("{}convolution of {} x {} x {} with {} filters of {} x {}, stride {}, {} group{}", NameOf(numbers),
                               p.height, p.width, p.channels, p.filters, p.kernel, p.kernel, p.stride, p.groups,
                               p.groups == 1 ? "" : "s");
  const double outputs = Count(p.Out(p.height), p.Out(p.width), p.filters);
  const double weights = Count(p.filters, p.kernel * p.kernel, p.channels / p.groups);
  problem->macs = outputs * weights / static_cast<double>(p.filters);
  problem->weight_bytes = BytesOf(numbers) * weights;
  problem->bytes = problem->weight_bytes + (numbers == Numbers::kInt8 ? 1 : 4) * (outputs + Count(p.height, p.width, p.channels));
  if (numbers == Numbers::kInt8) return AddConvInt8(p, best, memory, problem);
  if (numbers == Numbers::kBfloat16 || numbers == Numbers::kFloat16) return AddConvHalf(p, numbers, best, memory, problem);
  return p.depthwise() ? AddDepthwiseF32(p, best, memory, problem) : AddConvF32(p, best, memory, problem);
}

}  // namespace linnet::cli
