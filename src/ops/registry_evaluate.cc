// Running one node outside of any model: for constant folding and tests.
#include "ops/registry.h"

namespace linnet {
namespace {

/// A store for weights that are used once and thrown away.
class TemporaryWeights : public WeightStore {
 public:
  Result<const void*> Get(int64_t, std::string_view, int64_t bytes, FunctionRef<Status(void*)> fill) override {
    LINNET_ASSIGN(Block block, Block::Allocate(bytes));
    LINNET_TRY(fill(block.data()));
    blocks_.push_back(std::move(block));
    return static_cast<const void*>(blocks_.back().data());
  }

 private:
  std::vector<Block> blocks_;
};

class LonePrepare : public PrepareContext {
 public:
  using PrepareContext::PrepareContext;
  void Drop(int) override {}
  Result<PlanSource*> Body(const std::shared_ptr<Graph>&) override {
    return Unsupported("a node with a subgraph is not evaluated alone");
  }
};

}  // namespace

Result<std::vector<Datum>> Evaluate(const OpTable& table, const Node& node, std::span<const Datum> inputs,
                                    MemoryBudget* budget, int64_t output_bytes_max) {
  LINNET_ASSIGN(const OpDef* def, table.Find(node.domain, node.op, node.version));
  if (!def->run) return Unsupported(node.op, " is not evaluated alone");
  LINNET_ASSIGN(OpInstance op, OpInstance::Make(*def, node));

  NodeIo io;
  std::vector<ValueId> input_ids, output_ids;
  io.op = node.op;
  io.label = node.op;
  std::vector<Fact> facts;
  std::vector<void*> slots;
  for (const Datum& input : inputs) {
    bool present = input.type.kind != Kind::kUnknown;
    input_ids.push_back(present ? static_cast<ValueId>(facts.size()) : kNoValue);
    const void* data = input.type.is_tensor() ? input.tensor.data() : static_cast<const void*>(&input);
    facts.push_back({input.type, present ? data : nullptr});
    slots.push_back(const_cast<void*>(data));
  }
  io.inputs = input_ids;
  io.input_count = static_cast<int32_t>(inputs.size());
  size_t first_output = facts.size();
  for (ValueId out : node.outputs) {
    output_ids.push_back(out == kNoValue ? kNoValue : static_cast<ValueId>(facts.size()));
    facts.emplace_back();
    slots.push_back(nullptr);
  }
  io.outputs = output_ids;

  InferContext infer(facts.data(), io.inputs.data(), io.input_count, io.outputs.data(),
                     static_cast<int>(io.outputs.size()));
  LINNET_TRY(InferTypes(op, infer));
  TemporaryWeights weights;
  // What is computed ahead goes into prepared files, which must not differ with the machine that made them: always the floor of a
  // family of processors (its levels are sixteen numbers).
  const CpuLevel floor = static_cast<CpuLevel>(static_cast<int>(DetectedCpuLevel()) / 16 * 16);
  LonePrepare prepare(infer, floor, 1, 0, &weights);
  if (def->prepare) LINNET_TRY(def->prepare(op.state(), prepare));

  std::vector<Datum> outputs(node.outputs.size());
  std::vector<Place> places(facts.size());
  bool static_outputs = true;
  for (size_t i = 0; i < outputs.size(); ++i) {
    size_t id = first_output + i;
    places[id].kind = Place::kHeap;
    places[id].offset = static_cast<int64_t>(i);
    if (io.outputs[i] == kNoValue) continue;
    const Type& type = facts[id].type;
    outputs[i].type = type;
    if (def->bind && type.kind == Kind::kUnknown) return InvalidModel(node.op, " has no output ", i);
    if (!type.is_tensor()) continue;
    if (!type.shape.is_static()) {
      static_outputs = false;
      continue;
    }
    LINNET_ASSIGN(int64_t bytes, ByteSize(type.dtype, type.shape.elements()));
    if (bytes > output_bytes_max) return LimitReached("output of ", bytes, " bytes is above ", output_bytes_max);
    LINNET_ASSIGN(outputs[i].tensor, Tensor::Allocate(type.dtype, type.shape, budget));
    slots[id] = outputs[i].tensor.mutable_data();
  }

  Bump memory;
  BindContext bind(infer, &memory, 1, nullptr);
  if (def->bind && static_outputs) LINNET_TRY(def->bind(op.state(), bind));
  if (bind.out_of_memory()) return OutOfMemory("no memory to bind ", node.op);
  LINNET_ASSIGN(Block scratch, Block::Allocate(bind.bound().scratch_bytes, budget));
  size_t aliased = 0;
  for (const BindContext::View& view : bind.bound().aliases()) {
    const Tensor& from = inputs[static_cast<size_t>(view.in)].tensor;
    Datum& to = outputs[static_cast<size_t>(view.out)];
    to.tensor = Tensor::View(to.type.dtype, to.type.shape, from.as<std::byte>() + view.byte_offset, from.owner());
    slots[first_output + static_cast<size_t>(view.out)] = to.tensor.mutable_data();
    ++aliased;
  }
  if (aliased == outputs.size() && aliased > 0) return outputs;

  Step step;
  step.op = op.state();
  step.params = bind.bound().params;
  step.io = &io;
  step.scratch_offset = 0;
  step.scratch_bytes = bind.bound().scratch_bytes;
  std::vector<Datum*> heap;
  for (Datum& output : outputs) heap.push_back(&output);
  RunEnv env;
  env.budget = budget;
  RunContext run(step, facts.data(), places.data(), slots.data(), heap.data(), scratch.data(), env, nullptr);
  LINNET_TRY(def->run(op.state(), run));
  return outputs;
}

}  // namespace linnet
