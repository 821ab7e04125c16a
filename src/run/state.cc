// Executing plans: fill slots, run steps, follow boundaries, hand over outputs.
#include "run/state.h"

#include <time.h>

#include <algorithm>

#include "run/context.h"

namespace linnet {

namespace {

Status TooSmall(int64_t output, const Type& type, int64_t bytes, int64_t capacity) {
  return InvalidArgument("output ", output, " is ", ToString(type), " and needs ", bytes,
                         " bytes; the caller's memory has ", capacity);
}

/// Whether what comes out may be written where the caller wants it: bodies lend the memory of what they are declared to give, which they
/// say in `type`, and strings are objects.
Status CheckMemory(int64_t index, const RunOutput& output, const Type& type) {
  if (!output.data || output.type.dtype == type.dtype) return Status();
  if (output.type.dtype == DType::kUndefined && type.dtype != DType::kString) return Status();
  return InvalidModel("output ", index, " is ", ToString(type), " where ", ToString(output.type), " was inferred");
}

}  // namespace

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

bool StopSource::Asked() const {
  if (cancelled.load(std::memory_order_relaxed)) return true;
  return deadline_ns != INT64_MAX && MonotonicNs() > deadline_ns;
}

Status StopSource::Check() const {
  if (cancelled.load(std::memory_order_relaxed)) return Fail(Code::kCancelled, "the run was cancelled");
  if (deadline_ns != INT64_MAX && MonotonicNs() > deadline_ns) return LimitReached("the run's time limit has passed");
  return Status();
}

Ahead RunState::NextWeights(const NodeIo& io, int64_t bytes) {
  // What has been asked for and not been used is not to push what is being used out of the cache.
  constexpr int64_t kWaitingMax = 1 << 20;
  const std::vector<WeightSpan>& spans = *io.weights;
  if (asked_spans_ < io.weights_used) asked_spans_ = io.weights_used, asked_bytes_ = 0;
  int64_t waiting = asked_bytes_;
  for (int32_t i = io.weights_used; i < asked_spans_; ++i) waiting += spans[static_cast<size_t>(i)].bytes;
  Ahead ahead;
  for (int64_t left = std::min(bytes, kWaitingMax - waiting); left > 0 && ahead.count < Ahead::kPieces;) {
    if (asked_spans_ == static_cast<int32_t>(spans.size())) break;
    const WeightSpan& span = spans[static_cast<size_t>(asked_spans_)];
    const int64_t now = std::min(left, span.bytes - asked_bytes_);
    ahead.Add(static_cast<const char*>(span.data) + asked_bytes_, now);
    left -= now, asked_bytes_ += now;
    if (asked_bytes_ == span.bytes) ++asked_spans_, asked_bytes_ = 0;
  }
  return ahead;
}

Status RunState::Run(PlanSource& source, const RunEnv& env, const Fact* inputs, int input_count, RunOutput* outputs,
                     int output_count) {
  env_ = env;
  inputs_ = inputs;
  input_count_ = input_count;
  asked_spans_ = 0, asked_bytes_ = 0;
  LINNET_ASSIGN(PlanRef plan, source.Start(inputs, input_count, env.stop));
  chain_.clear();
  chain_.push_back(std::move(plan));
  Status status = RunPlans(source, outputs, output_count);
  // Heap values belong to this run; a failed one may have left some.
  for (std::unique_ptr<Datum>& datum : heap_) {
    if (datum->type.kind != Kind::kUnknown) *datum = Datum();
  }
  inputs_ = nullptr;
  return status;
}

Status RunState::RunPlans(PlanSource& source, RunOutput* outputs, int output_count) {
  for (;;) {
    const Plan& plan = *chain_.back();
    for (int i = 0; i < output_count; ++i) {
      if (outputs[i].over_input && outputs[i].wanted) LINNET_TRY(CheckOverInput(plan, i, outputs[i].data));
    }
    LINNET_TRY(Enter(plan, outputs));
    LINNET_TRY(Execute(source, plan));
    if (!plan.boundary) return Finish(plan, source, outputs, output_count);
    LINNET_ASSIGN(PlanRef next, source.Continue(plan, *this));
    chain_.push_back(std::move(next));
  }
}

Status RunState::CheckOverInput(const Plan& plan, int output, const void* data) const {
  for (int i = 0; i < input_count_; ++i) {
    const Fact& input = inputs_[i];
    if (input.data != data || !input.type.is_tensor() || input.type.shape.elements() == 0) continue;
    if (MayLieOver(plan, output, i)) continue;
    return InvalidArgument("the memory of output ", output, " overlaps that of input ", i,
                           ", which is still read when the output is written");
  }
  return Status();
}

Status RunState::Enter(const Plan& plan, RunOutput* outputs) {
  size_t segment = static_cast<size_t>(plan.segment);
  if (slots_.size() < plan.facts.size()) slots_.resize(plan.facts.size(), nullptr);
  if (spread_.size() < plan.facts.size()) spread_.resize(plan.facts.size(), 0);
  if (arenas_.size() <= segment) {
    arenas_.resize(segment + 1);
    filled_.resize(segment + 1, 0);
  }
  while (heap_.size() < static_cast<size_t>(plan.heap_slots)) {
    heap_.push_back(std::make_unique<Datum>());
    heap_table_.push_back(heap_.back().get());
  }
  Block& arena = arenas_[segment];
  if (arena.size() < plan.arena_bytes || !arena.data()) {
    // Sequences grow: leave room, but only if the budget has it.
    int64_t roomy = std::max(plan.arena_bytes, arena.size() + arena.size() / 2);
    arena.Release();
    std::fill(filled_.begin() + static_cast<std::ptrdiff_t>(segment), filled_.end(), 0);
    Result<Block> block = Block::Allocate(roomy, env_.budget);
    if (!block.ok() && roomy > plan.arena_bytes) block = Block::Allocate(plan.arena_bytes, env_.budget);
    if (!block.ok()) return std::move(block.TakeStatus()).At("activation memory");
    arena = std::move(*block);
  }

  auto fill = [&](ValueId id) -> Status {
    size_t v = static_cast<size_t>(id);
    const Place& place = plan.places[v];
    switch (place.kind) {
      case Place::kArena: slots_[v] = arena.data() + place.offset; break;
      case Place::kKnown: slots_[v] = const_cast<void*>(plan.facts[v].data); break;
      case Place::kAlias: slots_[v] = static_cast<std::byte*>(slots_[static_cast<size_t>(place.root)]) + place.offset; break;
      case Place::kInput: slots_[v] = const_cast<void*>(inputs_[place.offset].data); break;
      case Place::kHeap: slots_[v] = nullptr; break;
      case Place::kNone: break;
      case Place::kOutput: {
        RunOutput& output = outputs[place.offset];
        const Type& type = plan.facts[static_cast<size_t>(plan.outputs[static_cast<size_t>(place.offset)])].type;
        LINNET_ASSIGN(int64_t bytes, ByteSize(type.dtype, type.shape.elements()));
        LINNET_TRY(CheckMemory(place.offset, output, type));
        output.type = type;
        if (output.data) {
          if (bytes > output.capacity) {
            return TooSmall(place.offset, type, bytes, output.capacity);
          }
          slots_[v] = output.data;
        } else {
          Result<Tensor> tensor = Tensor::Allocate(type.dtype, type.shape, env_.budget);
          if (!tensor.ok()) return tensor.TakeStatus().At(Cat("output ", place.offset, ", ", ToString(type)));
          slots_[v] = tensor->mutable_data();
          output.datum = Datum::Of(std::move(*tensor));
        }
        break;
      }
    }
    return Status();
  };
  // Callers' memory first: fixed values never alias it, but its aliases are in `callers` after their roots.
  for (ValueId id : plan.callers) LINNET_TRY(fill(id));
  if (filled_[segment] != plan.serial) {
    for (ValueId id : plan.fixed) LINNET_TRY(fill(id));
    filled_[segment] = plan.serial;
    std::fill(filled_.begin() + static_cast<std::ptrdiff_t>(segment) + 1, filled_.end(), 0);
  }
  return Status();
}

Status RunState::Execute(PlanSource& source, const Plan& plan) {
  StopSource* stop = env_.stop;
  int64_t count = static_cast<int64_t>(plan.steps.size());
  // A body without steps costs one too: its loop has an end that way.
  const int64_t cost = std::max<int64_t>(count, 1);
  if (stop && stop->steps_left.load(std::memory_order_relaxed) != INT64_MAX &&
      stop->steps_left.fetch_sub(cost, std::memory_order_relaxed) < cost) {
    return LimitReached("the run's step limit has passed");
  }
  std::byte* arena = arenas_[static_cast<size_t>(plan.segment)].data();
  auto free_heap = plan.heap_frees.begin();
  for (int64_t i = 0; i < count; ++i) {
    const Step& step = plan.steps[static_cast<size_t>(i)];
    if (stop) LINNET_TRY(stop->Check());
    int64_t begin = env_.profiler ? MonotonicNs() : 0;
    Status status;
    if (step.late) {
      status = source.RunLate(step, plan, *this);
    } else {
      if (step.heap_outputs) status = PrepareHeap(step, plan.facts.data(), plan);
      if (status.ok()) {
        RunContext context(step, plan.facts.data(), plan.places.data(), slots_.data(), heap_table_.data(), arena, env_,
                           this);
        status = step.run(step.op, context);
      }
    }
    if (!status.ok()) {
      // A stop is the run's own business, not the node's.
      if (status.code() == Code::kCancelled) return status;
      return std::move(status).At(step.io->label);
    }
    if (step.heap_outputs) PublishHeap(step, plan);
    if (env_.profiler) env_.profiler->Add(step.io, begin, MonotonicNs(), env_.depth);
    for (; free_heap != plan.heap_frees.end() && free_heap->first <= i; ++free_heap) heap(free_heap->second) = Datum();
  }
  return Status();
}

Status RunState::PrepareHeap(const Step& step, const Fact* facts, const Plan& plan) {
  for (ValueId id : step.io->outputs) {
    if (id == kNoValue || plan.places[static_cast<size_t>(id)].kind != Place::kHeap) continue;
    Datum& datum = heap(plan.places[static_cast<size_t>(id)].offset);
    const Type& type = facts[id].type;
    datum = Datum();
    if (type.is_tensor() && type.shape.is_static()) {
      LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(type.dtype, type.shape, env_.budget));
      slots_[static_cast<size_t>(id)] = tensor.mutable_data();
      datum = Datum::Of(std::move(tensor));
    } else {
      datum.type = type;
      slots_[static_cast<size_t>(id)] = &datum;
    }
  }
  return Status();
}

void RunState::PublishHeap(const Step& step, const Plan& plan) {
  for (ValueId id : step.io->outputs) {
    if (id == kNoValue || plan.places[static_cast<size_t>(id)].kind != Place::kHeap) continue;
    Datum& datum = heap(plan.places[static_cast<size_t>(id)].offset);
    slots_[static_cast<size_t>(id)] =
        datum.type.is_tensor() ? const_cast<void*>(datum.tensor.data()) : static_cast<void*>(&datum);
  }
}

Status RunState::Finish(const Plan& plan, PlanSource& source, RunOutput* outputs, int output_count) {
  for (const Copy& copy : plan.copies) {
    if (copy.output >= output_count) continue;
    RunOutput& output = outputs[copy.output];
    if (!output.wanted) continue;
    size_t v = static_cast<size_t>(copy.from);
    const Place& place = plan.places[v];
    const Type& type = plan.facts[v].type;
    if (!type.is_tensor() || place.kind == Place::kHeap) {
      // Tensors and datums of the heap are shared, not copied, unless the caller brought memory.
      const Datum& datum = place.kind == Place::kHeap ? heap(place.offset) : *static_cast<const Datum*>(slots_[v]);
      output.type = datum.type;
      if (!output.data) {
        output.datum = datum;
        continue;
      }
      if (!datum.type.is_tensor()) return InvalidArgument("output ", copy.output, " is no tensor; it cannot go to the caller's memory");
    }
    const Type& actual = place.kind == Place::kHeap ? heap(place.offset).type : type;
    const void* from = place.kind == Place::kHeap ? heap(place.offset).tensor.data() : slots_[v];
    LINNET_ASSIGN(int64_t bytes, ByteSize(actual.dtype, actual.shape.elements()));
    LINNET_TRY(CheckMemory(copy.output, output, actual));
    output.type = actual;
    void* to = output.data;
    if (to && bytes > output.capacity) return TooSmall(copy.output, actual, bytes, output.capacity);
    if (!to) {
      LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(actual.dtype, actual.shape, env_.budget));
      to = tensor.mutable_data();
      output.datum = Datum::Of(std::move(tensor));
    }
    CopyElements(actual, from, to);
  }
  return Status();
}

RunState& RunState::child(const void* key) {
  for (auto& [known, state] : children_) {
    if (known == key) return *state;
  }
  children_.emplace_back(key, std::make_unique<RunState>());
  return *children_.back().second;
}

int64_t RunState::arena_bytes() const {
  int64_t total = 0;
  for (const Block& arena : arenas_) total += arena.size();
  for (const auto& [key, state] : children_) total += state->arena_bytes();
  return total;
}

Result<std::byte*> RunState::LateScratch(int64_t bytes) {
  if (late_scratch_.size() < bytes || !late_scratch_.data()) {
    late_scratch_.Release();
    LINNET_ASSIGN(late_scratch_, Block::Allocate(bytes, env_.budget));
  }
  return late_scratch_.data();
}

}  // namespace linnet
