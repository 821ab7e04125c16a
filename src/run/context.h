// RunContext: what an operator's Run sees: inputs, outputs, bound parameters, scratch, threads.
#pragma once

#include <algorithm>

#include "base/function_ref.h"
#include "run/state.h"

namespace linnet {

class RunContext {
 public:
  RunContext(const Step& step, const Fact* facts, const Place* places, void* const* slots, Datum* const* heap,
             std::byte* arena, const RunEnv& env, RunState* state)
      : step_(step), facts_(facts), places_(places), slots_(slots), heap_(heap), arena_(arena), env_(env), state_(state) {}

  // Inputs and outputs --------------------------------------------------------------------------------------------
  int input_count() const { return step_.io->input_count; }
  int output_count() const { return static_cast<int>(step_.io->outputs.size()); }
  bool has_input(int i) const { return i < input_count() && input_id(i) != kNoValue; }
  bool has_output(int i) const { return i < output_count() && output_id(i) != kNoValue; }
  const Type& input_type(int i) const { return facts_[input_id(i)].type; }
  const Shape& input_shape(int i) const { return input_type(i).shape; }
  DType input_dtype(int i) const { return input_type(i).dtype; }
  const Type& output_type(int i) const { return facts_[output_id(i)].type; }
  const Shape& output_shape(int i) const { return output_type(i).shape; }
  DType output_dtype(int i) const { return output_type(i).dtype; }

  const void* input(int i) const { return slots_[input_id(i)]; }
  void* output(int i) const { return slots_[output_id(i)]; }
  template <class T>
  const T* in(int i) const { return static_cast<const T*>(input(i)); }
  template <class T>
  T* out(int i) const { return static_cast<T*>(output(i)); }

  /// A non-tensor input: a sequence, optional or map.
  const Datum& input_datum(int i) const { return *static_cast<const Datum*>(input(i)); }
  /// Where a non-tensor output goes; its type is set by the caller of Run, the operator fills the rest.
  Datum& output_datum(int i) const { return *heap_[places_[output_id(i)].offset]; }
  /// Any input as a Datum (tensors are copied into fresh memory unless they are in the heap already).
  Result<Datum> CopyInput(int i) const;

  /// For outputs whose shape Infer could not know: allocates `shape` and returns its memory. Call once per output.
  Result<void*> AllocateOutput(int i, DType dtype, const Shape& shape) const;
  /// As AllocateOutput with contents that exist already.
  Status SetOutput(int i, Datum value) const;

  template <class P>
  const P& params() const { return *static_cast<const P*>(step_.params); }

  // Captures of nodes with subgraphs ------------------------------------------------------------------------------
  int capture_count() const { return static_cast<int>(step_.io->inputs.size()) - step_.io->input_count; }
  Fact capture(int i) const { return fact_of(step_.io->inputs[static_cast<size_t>(step_.io->input_count + i)]); }
  /// Type and contents of input i as a body takes it.
  Fact input_fact(int i) const { return fact_of(input_id(i)); }
  /// Runs a body (PrepareContext::Body). `inputs`: its declared inputs, then its captures.
  Status RunBody(PlanSource& body, const Fact* inputs, int input_count, RunOutput* outputs, int output_count) const;

  // Work ----------------------------------------------------------------------------------------------------------
  /// Scratch of one worker, as Bind asked for; 64-byte aligned.
  std::byte* scratch(int worker = 0) const { return arena_ + step_.scratch_offset + worker * step_.scratch_bytes; }
  /// Runs body(begin, end, worker) over [0, n). `ns_per_item`: a rough cost, which decides how many threads are worth
  /// waking; chunks are at least `grain` items. Worker numbers are below the worker count given to Bind's Scratch.
  /// The result must not depend on how [0, n) is cut. Stops between chunks when the run was asked to stop.
  Status ParallelFor(int64_t n, int64_t grain, double ns_per_item,
                     FunctionRef<void(int64_t begin, int64_t end, int worker)> body) const;
  int threads() const { return env_.threads; }
  /// Whether every run reads the model's weights from beyond a second-level cache.
  bool weights_are_far() const { return step_.io->weights != nullptr; }
  /// Weights of later steps, up to so many bytes, that this step may ask memory for while it computes.
  Ahead NextWeights(int64_t bytes) const {
    return step_.io->weights && state_ ? state_->NextWeights(*step_.io, bytes) : Ahead();
  }
  MemoryBudget* budget() const { return env_.budget; }
  /// For long serial loops and between turns of a Loop: failure when cancelled or out of time.
  bool StopAsked() const { return env_.stop && env_.stop->Asked(); }
  Status CheckStop() const { return env_.stop ? env_.stop->Check() : Status(); }
  const RunEnv& env() const { return env_; }

 private:
  ValueId input_id(int i) const { return step_.io->inputs[static_cast<size_t>(i)]; }
  ValueId output_id(int i) const { return step_.io->outputs[static_cast<size_t>(i)]; }
  /// How many threads a loop of so long is worth: what it saves must exceed handing it over, and fetching from other cores what
  /// they had last, which a thread alone may have to do too.
  int ThreadsWorth(double ns, int64_t n, int64_t grain) const;
  Fact fact_of(ValueId id) const { return {facts_[id].type, slots_[id]}; }

  const Step& step_;
  const Fact* facts_;
  const Place* places_;
  void* const* slots_;
  Datum* const* heap_;
  std::byte* arena_;
  const RunEnv& env_;
  RunState* state_;
};

}  // namespace linnet
