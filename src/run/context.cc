// What operators ask of a run: outputs in the heap, bodies, parallel loops.
#include "run/context.h"

namespace linnet {
namespace {

/// What handing work to a worker that spins costs, with waiting for it and for the first lines it reads and writes; a share below the
/// second is not worth it.
constexpr double kHandOverNs = 1500, kWorthwhileNs = 1000;
/// What another core wrote comes at 16 bytes a nanosecond; a loop touches no more than some of them in every nanosecond.
constexpr double kMoveNsPerByte = 0.06, kTouchedPerNs = 32;
/// Whether it counts where data is; a small build goes by the time alone.
#if defined(LINNET_SMALL)
constexpr bool kCountsMoves = false;
#else
constexpr bool kCountsMoves = true;
#endif
/// Longest stretch of one-threaded work between looks at the stop source.
constexpr double kStretchNs = 5e6;

}  // namespace

Result<Datum> RunContext::CopyInput(int i) const {
  ValueId id = input_id(i);
  const Type& type = facts_[id].type;
  if (!type.is_tensor()) return *static_cast<const Datum*>(slots_[id]);
  if (places_[id].kind == Place::kHeap) return *heap_[places_[id].offset];
  LINNET_ASSIGN(Tensor copy, Tensor::Allocate(type.dtype, type.shape, env_.budget));
  CopyElements(type, slots_[id], copy.mutable_data());
  return Datum::Of(std::move(copy));
}

Result<void*> RunContext::AllocateOutput(int i, DType dtype, const Shape& shape) const {
  ValueId id = output_id(i);
  const Place& place = places_[id];
  if (place.kind != Place::kHeap) {
    const Type& planned = facts_[id].type;
    if (planned.dtype == dtype && planned.shape == shape) return slots_[id];
    return Internal("output ", i, " was planned as ", ToString(planned), " and came out as ", DTypeName(dtype),
                    ToString(shape));
  }
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(dtype, shape, env_.budget));
  void* data = tensor.mutable_data();
  *heap_[place.offset] = Datum::Of(std::move(tensor));
  return data;
}

Status RunContext::SetOutput(int i, Datum value) const {
  if (!has_output(i)) return Status();
  ValueId id = output_id(i);
  const Place& place = places_[id];
  if (place.kind == Place::kHeap) {
    *heap_[place.offset] = std::move(value);
    return Status();
  }
  // What a body computes may differ from what was inferred for it.
  const Type& planned = facts_[id].type;
  if (value.tensor.dtype() != planned.dtype || !(value.tensor.shape() == planned.shape)) {
    return InvalidModel("output ", i, " is ", ToString(value.tensor.type()), " where ", ToString(planned), " was inferred");
  }
  LINNET_ASSIGN(void* data, AllocateOutput(i, value.tensor.dtype(), value.tensor.shape()));
  CopyElements(value.type, value.tensor.data(), data);
  return Status();
}

Status RunContext::RunBody(PlanSource& body, const Fact* inputs, int input_count, RunOutput* outputs,
                           int output_count) const {
  if (!state_) return Internal("a body needs a run");
  RunEnv env = env_;
  ++env.depth;
  return state_->child(&body).Run(body, env, inputs, input_count, outputs, output_count);
}

int RunContext::ThreadsWorth(double ns, int64_t n, int64_t grain) const {
  if (ns < kWorthwhileNs || env_.threads == 1) return 1;
  int threads = static_cast<int>(std::min<int64_t>(env_.threads, DivUp(n, grain)));
  if (ns < kWorthwhileNs * threads) threads = static_cast<int>(ns / kWorthwhileNs);
  if (!kCountsMoves || !state_ || step_.late) return ns - ns / threads > kHandOverNs ? threads : 1;
  uint8_t* spread = state_->spread();
  double here = 0, away = 0;   // bytes of the arena that this core, or several, had last
  auto count = [&](ValueId id) {
    if (id == kNoValue) return;
    const Place& place = places_[id].kind == Place::kAlias ? places_[places_[id].root] : places_[id];
    if (place.kind != Place::kArena) return;
    const Type& type = facts_[id].type;
    (spread[id] ? away : here) += static_cast<double>(type.shape.elements()) * static_cast<double>(DTypeBytes(type.dtype));
  };
  for (int i = 0; i < input_count(); ++i) count(input_id(i));
  for (ValueId id : step_.io->outputs) count(id);
  const double most = ns * kTouchedPerNs, other = 1 - 1.0 / threads;
  const double alone_ns = ns + std::min(away, most) * other * kMoveNsPerByte;
  const double split_ns = ns / threads + kHandOverNs + std::min(here, most) * other * kMoveNsPerByte;
  if (alone_ns <= split_ns) threads = 1;
  auto note = [&](ValueId id) {
    if (id != kNoValue) spread[id] = threads > 1;
  };
  for (int i = 0; i < input_count(); ++i) note(input_id(i));
  for (ValueId id : step_.io->outputs) note(id);
  return threads;
}

Status RunContext::ParallelFor(int64_t n, int64_t grain, double ns_per_item,
                               FunctionRef<void(int64_t, int64_t, int)> body) const {
  if (n <= 0) return Status();
  grain = std::max<int64_t>(grain, 1);
  double total_ns = static_cast<double>(n) * ns_per_item;
  const int threads = n > grain && env_.pool ? ThreadsWorth(total_ns, n, grain) : 1;
  const int64_t stretch =
      total_ns < kStretchNs ? n : std::max(grain, RoundUp(static_cast<int64_t>(kStretchNs / ns_per_item) + 1, grain));
  if (threads > 1) {
    StopSource* stop = env_.stop;
    // The pool's chunks are parts of the whole, which may take minutes.
    env_.pool->ParallelFor(n, grain, threads, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t at = begin; at < end; at += std::min(stretch, end - at)) {
        if (stop && stop->Asked()) return;
        body(at, at + std::min(stretch, end - at), worker);
      }
    }, total_ns);
    return CheckStop();
  }
  if (stretch == n) {
    body(0, n, 0);
    return Status();
  }
  for (int64_t begin = 0; begin < n; begin += stretch) {
    LINNET_TRY(CheckStop());
    body(begin, std::min(n, begin + stretch), 0);
  }
  return Status();
}

}  // namespace linnet
