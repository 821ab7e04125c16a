// Preparing a graph: operators made, types inferred, weights packed, node after node or on several threads.
#include <string.h>

#include <algorithm>
#include <atomic>

#include "base/file_pages.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "compile/model.h"
#include "compile/planner.h"
#include "ops/any_address.h"

namespace linnet {
namespace {

/// What zero-size constants point at, so that "contents known" is a non-null pointer.
alignas(64) const std::byte kEmpty[64] = {};

/// Threads are woken for packing this many bytes.
constexpr int64_t kParallelBytesMin = 1 << 20;
/// Small weights of models that have at least so many bytes lie together.
constexpr int64_t kTogetherBytesMin = 2 << 20;
/// Pages of such constants are mapped at once rather than one by one; of larger ones those at the beginning.
constexpr int64_t kPopulateBytesMin = 256 << 10, kPopulateBytesMax = 2 << 20;

/// Weights packed now, kept by the model.
class HeapWeights : public WeightStore {
 public:
  explicit HeapWeights(MemoryBudget* budget) : budget_(budget) {}
  Result<const void*> Get(int64_t, std::string_view, int64_t bytes, FunctionRef<Status(void*)> fill) override {
    if (together_ && bytes < kSmallBytes) {
      LINNET_ASSIGN(void* place, TakeSmall(bytes));
      LINNET_TRY(fill(place));
      return static_cast<const void*>(place);
    }
    LINNET_ASSIGN(Block block, Block::Allocate(bytes, budget_));
    LINNET_TRY(fill(block.data()));
    Lock lock(mutex_);
    blocks_.push_back(std::move(block));
    return static_cast<const void*>(blocks_.back().data());
  }
  /// From now on small weights lie together in blocks that come from huge pages: those of a large model are read from far away, one
  /// after the other.
  void KeepTogether() { together_ = true; }
  int64_t bytes() const {
    int64_t total = 0;
    for (const Block& block : blocks_) total += block.size();
    return total;
  }

 private:
  static constexpr int64_t kSmallBytes = 64 << 10, kTogetherBytes = 256 << 10;

  Result<void*> TakeSmall(int64_t bytes) {
    // Readers of weights may read some bytes beyond them.
    const int64_t taken = RoundUp(bytes + static_cast<int64_t>(kPadding), kAlignment);
    Lock lock(mutex_);
    if (taken > left_) {
      LINNET_ASSIGN(Block block, Block::Allocate(kTogetherBytes, budget_));
      next_ = block.data();
      left_ = kTogetherBytes;
      blocks_.push_back(std::move(block));
    }
    void* place = next_;
    next_ += taken, left_ -= taken;
    return place;
  }

  MemoryBudget* budget_;
  Mutex mutex_;
  std::vector<Block> blocks_;
  bool together_ = false;
  std::byte* next_ = nullptr;   ///< what the last block for small weights has left
  int64_t left_ = 0;
};

bool IsAbsent(const Value& value) {
  return value.is_constant && !value.constant.has_data() && value.constant.elements() > 0;
}

}  // namespace

/// Prepare's view of one node of a model.
class Model::Prepare : public PrepareContext {
 public:
  Prepare(const InferContext& base, Model& model, int64_t node)
      : PrepareContext(base, model.options_.cpu, model.options_.threads, node, &noting_), model_(model), noting_(model.options_.weights) {}
  void Drop(int i) override {
    if (has_input(i)) dropped_.push_back(inputs_[i]);
  }
  void Reading(int i, int64_t first, int64_t bytes) override {
    const Value& value = model_.graph_->value(inputs_[i]);
    if (!model_.own_weights_ || !value.constant.has_data()) return;
    PopulatePages(static_cast<const std::byte*>(value.constant.data()) + first, bytes);
    if (value.uses.size() == 1) value.constant.LetPagesGo(first);
  }
  Result<PlanSource*> Body(const std::shared_ptr<Graph>& graph) override {
    LINNET_ASSIGN(std::unique_ptr<Model> body, Model::Make(graph, model_.options_));
    model_.bodies_.push_back(std::move(body));
    return static_cast<PlanSource*>(model_.bodies_.back().get());
  }
  const std::vector<ValueId>& dropped() const { return dropped_; }
  std::vector<WeightSpan>& weights() { return noting_.spans; }

 private:
  /// Remembers where a node's weights are.
  struct Noting : WeightStore {
    explicit Noting(WeightStore* store) : store(store) {}
    Result<const void*> Get(int64_t node, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)> fill) override {
      LINNET_ASSIGN(const void* data, store->Get(node, tag, bytes, fill));
      spans.push_back({data, bytes});
      return data;
    }
    WeightStore* store;
    std::vector<WeightSpan> spans;
  };

  Model& model_;
  Noting noting_;
  std::vector<ValueId> dropped_;
};

Result<std::unique_ptr<Model>> Model::Make(std::shared_ptr<Graph> graph, const CompileOptions& options) {
  std::unique_ptr<Model> model(new Model());
  model->graph_ = std::move(graph);
  model->options_ = options;
  int32_t models_made = 0;
  if (!model->options_.models_made) model->options_.models_made = &models_made;
  model->number_ = (*model->options_.models_made)++;
  if (!model->options_.weights) {
    model->own_weights_ = std::make_unique<HeapWeights>(options.budget);
    model->options_.weights = model->own_weights_.get();
  }
  std::vector<std::pair<void*, size_t>> zeros;
  Status status = model->StandIn(&zeros);
  if (status.ok()) status = model->Build();
  for (auto [memory, bytes] : zeros) UnmapZeros(memory, bytes);
  LINNET_TRY(std::move(status));
  model->options_.models_made = nullptr;
  return model;
}

/// Constants whose contents exist only as packed weights read as zeros while nodes are prepared: the operator that packed
/// them finds them in the weight store and never looks; one that does look, in a damaged file, finds memory it may read.
Status Model::StandIn(std::vector<std::pair<void*, size_t>>* zeros) {
  const Graph& graph = *graph_;
  base_facts_.resize(static_cast<size_t>(graph.value_count()));
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!IsAbsent(value)) continue;
    if (value.type.dtype == DType::kString) return InvalidModel("constant ", Quote(value.name), " has no contents");
    if (static_cast<uint64_t>(value.constant.bytes()) > SIZE_MAX / 2) return OutOfMemory("no address space for ", Quote(value.name));
    size_t bytes = static_cast<size_t>(value.constant.bytes()) + kPadding;
    void* memory = MapZeros(bytes);
    if (!memory) return OutOfMemory("no address space for ", Quote(value.name));
    zeros->emplace_back(memory, bytes);
    base_facts_[static_cast<size_t>(id)].data = memory;
  }
  return Status();
}

/// Gives constants that are not aligned for their type aligned copies, where a reader needs that: before nodes are prepared,
/// where one reads elements; afterwards (`packed`), where one that might have packed them has not.
Status Model::AlignConstants(bool packed) {
  Graph& graph = *graph_;
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!value.is_constant || !value.constant.has_data() || IsAligned(value.constant)) continue;
    AddressUse least = options_.providers.empty() ? AddressUseOf(graph, id) : AddressUse::kAligned;
    if (packed && least == AddressUse::kPacks) {
      int32_t packers = 0;
      for (const Use& use : value.uses) packers += AddressUseOf(graph.node(use.node), use.index) == AddressUse::kPacks;
      if (drops_[static_cast<size_t>(id)] == packers) least = AddressUse::kAny;
    }
    if (least == AddressUse::kAny || (least == AddressUse::kPacks && !packed)) continue;
    LINNET_ASSIGN(Tensor copy, AlignedCopy(value.constant, options_.budget));
    base_facts_[static_cast<size_t>(id)].data = copy.data();
    graph.SetConstant(id, std::move(copy));
  }
  return Status();
}

Status Model::Build() {
  Graph& graph = *graph_;
  size_t values = static_cast<size_t>(graph.value_count());
  drops_.assign(values, 0);
  for (size_t v = 0; v < values; ++v) {
    const Value& value = graph.value(static_cast<ValueId>(v));
    base_facts_[v].type = value.type;
    if (value.is_constant && value.constant.has_data()) base_facts_[v].data = value.constant.data();
    if (value.is_constant && !base_facts_[v].data) base_facts_[v].data = kEmpty;
  }
  LINNET_TRY(AlignConstants(false));
  inputs = graph.inputs;
  inputs.insert(inputs.end(), graph.captures.begin(), graph.captures.end());
  input_count = static_cast<int>(graph.inputs.size());
  outputs = graph.outputs();
  // A graph input with a default stays an input for whoever feeds it; the session decides (api/session.cc).
  for (ValueId id : inputs) base_facts_[static_cast<size_t>(id)].data = nullptr;

  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  // Backwards: a node is needed when one of its outputs is.
  std::vector<char> needed(values, 0);
  for (ValueId id : outputs) needed[static_cast<size_t>(id)] = 1;
  std::vector<NodeId> kept;
  for (size_t i = order.size(); i-- > 0;) {
    const Node& node = graph.node(order[i]);
    bool live = false;
    for (ValueId id : node.outputs) live = live || (id != kNoValue && needed[static_cast<size_t>(id)]);
    if (!live) continue;
    kept.push_back(order[i]);
    for (ValueId id : node.inputs) if (id != kNoValue) needed[static_cast<size_t>(id)] = 1;
    for (ValueId id : node.captures) needed[static_cast<size_t>(id)] = 1;
  }
  std::reverse(kept.begin(), kept.end());

  size_t failed = 0;
  if (Status status = PrepareAll(kept, &failed); !status.ok()) {
    status = std::move(status).At(graph.node(kept[failed]).Label(graph));
    return number_ == 0 ? ListMissing(std::move(status), graph, *options_.table) : std::move(status);
  }
  LINNET_TRY(AlignConstants(true));
  for (ValueId id : outputs) output_types.push_back(base_facts_[static_cast<size_t>(id)].type);
  for (size_t v = 0; v < values; ++v) {
    const Value& value = graph.value(static_cast<ValueId>(v));
    if (IsAbsent(value) && base_facts_[v].data) {
      if (!value.uses.empty()) return InvalidModel("the contents of constant ", Quote(value.name), " are missing");
      base_facts_[v].data = nullptr;
    }
  }
  last_use_.assign(values, -1);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    for (ValueId id : nodes_[i].io.inputs) {
      if (id != kNoValue) last_use_[static_cast<size_t>(id)] = static_cast<int32_t>(i);
    }
  }
  for (ValueId id : outputs) last_use_[static_cast<size_t>(id)] = INT32_MAX;
  OrderWeights();
  for (PreparedNode& node : nodes_) {
    for (ValueId& id : node.outputs) {
      if (id != kNoValue && last_use_[static_cast<size_t>(id)] < 0) id = kNoValue;
    }
  }
  return Status();
}

/// Two walks over the nodes in order: making operators and inferring types, which follow from one another, and preparing,
/// where a node's weights are its own. What fails is the first node that would have failed if each had been finished before
/// the next.
Status Model::PrepareAll(const std::vector<NodeId>& order, size_t* failed) {
  const Graph& graph = *graph_;
  nodes_.reserve(order.size());
  Status status;
  size_t prepared = 0;
  for (size_t i = 0; i < order.size() && status.ok(); ++i) {
    // Bodies are numbered in order, and a caller's own operators expect no company.
    status = MakeNode(order[i]);
    const bool alone = status.ok() && (!Graph::Subgraphs(graph.node(order[i])).empty() || nodes_.back().op.def().user);
    if (!status.ok()) *failed = i;
    if (!alone) continue;
    LINNET_TRY(PrepareNodes(order, prepared, i, failed));
    prepared = i;
    *failed = i;
    status = PrepareNode(order[i], i);
    if (status.ok()) prepared = i + 1;
  }
  if (!status.ok()) {
    const size_t end = *failed;
    if (prepared <= end) LINNET_TRY(PrepareNodes(order, prepared, end, failed));
    *failed = end;
    return status;
  }
  return PrepareNodes(order, prepared, order.size(), failed);
}

Status Model::MakeNode(NodeId id) {
  Graph& graph = *graph_;
  const Node& node = graph.node(id);
  nodes_.emplace_back();
  PreparedNode& prepared = nodes_.back();
  prepared.inputs = node.inputs;
  prepared.inputs.insert(prepared.inputs.end(), node.captures.begin(), node.captures.end());
  prepared.outputs = node.outputs;
  prepared.label = node.Label(graph);
  prepared.name = node.op;
  prepared.io.inputs = prepared.inputs;
  prepared.io.outputs = prepared.outputs;
  prepared.io.input_count = static_cast<int32_t>(node.inputs.size());
  prepared.io.label = prepared.label;
  prepared.io.op = prepared.name;

  LINNET_ASSIGN(const OpDef* def, options_.table->Find(node.domain, node.op, node.version));
  LINNET_ASSIGN(prepared.op, OpInstance::Make(*def, node));
  for (Provider* provider : options_.providers) {
    LINNET_ASSIGN(prepared.kernel, provider->Claim(graph, node));
    if (prepared.kernel) break;
  }
  if (!prepared.kernel && !def->run) {
    return Unsupported("unsupported operator: ", node.op, " runs only after it was lowered, which needs inputs of known rank");
  }
  bool body = !Graph::Subgraphs(node).empty();
  prepared.shape_only = def->shape_only;
  prepared.foldable = !prepared.kernel && !def->random && !body && node.captures.empty();

  InferContext infer(base_facts_.data(), prepared.io.inputs.data(), prepared.io.input_count,
                     prepared.io.outputs.data(), static_cast<int>(prepared.io.outputs.size()));
  // Types in a prepared file are claims; kernels are chosen by what follows from the inputs.
  return InferTypes(prepared.op, infer);
}

/// Nodes [begin, end), on several threads where there is much to pack.
Status Model::PrepareNodes(const std::vector<NodeId>& order, size_t begin, size_t end, size_t* failed) {
  const Graph& graph = *graph_;
  int64_t bytes = 0;
  for (size_t i = begin; i < end; ++i) {
    for (ValueId id : graph.node(order[i]).inputs) {
      if (graph.is_constant(id)) bytes += graph.value(id).constant.has_data() ? graph.value(id).constant.bytes() : 0;
    }
  }
  // Who fails for want of memory depends on the order.
  const bool limited = options_.budget && options_.budget->limit_bytes() != INT64_MAX;
  if (own_weights_ && !limited && bytes >= kTogetherBytesMin) static_cast<HeapWeights*>(own_weights_.get())->KeepTogether();
  const int threads = limited || bytes < kParallelBytesMin ? 1 : options_.threads;
  std::atomic<size_t> next{begin}, first_failed{end};
  Mutex mutex;
  Status status;
  auto work = [&](int64_t, int64_t, int) {
    // In order, so that few are begun and not finished.
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < first_failed.load(std::memory_order_relaxed);) {
      Status one = PrepareNode(order[i], i);
      if (one.ok()) continue;
      Lock lock(mutex);
      if (i >= first_failed.load(std::memory_order_relaxed)) continue;
      first_failed.store(i, std::memory_order_relaxed);
      status = std::move(one);
    }
  };
  if (threads > 1) {
    (options_.pool ? options_.pool : &ThreadPool::Shared())->ParallelFor(threads, 1, threads, work);
  } else {
    work(0, 1, 0);
  }
  if (!status.ok()) *failed = first_failed.load(std::memory_order_relaxed);
  return status;
}

Status Model::PrepareNode(NodeId id, size_t index) {
  PreparedNode& prepared = nodes_[index];
  const OpDef& def = prepared.op.def();
  if (prepared.kernel || !def.prepare) return Status();
  Graph& graph = *graph_;
  const Node& node = graph.node(id);
  if (own_weights_) {
    for (ValueId input : node.inputs) {
      if (!graph.is_constant(input) || AddressUseOf(node, static_cast<int>(&input - node.inputs.data())) != AddressUse::kPacks) continue;
      const Fact& fact = base_facts_[static_cast<size_t>(input)];
      const int64_t bytes = graph.value(input).constant.bytes();
      if (fact.data && bytes >= kPopulateBytesMin) PopulatePages(fact.data, std::min(bytes, kPopulateBytesMax));
    }
  }
  InferContext infer(base_facts_.data(), prepared.io.inputs.data(), prepared.io.input_count,
                     prepared.io.outputs.data(), static_cast<int>(prepared.io.outputs.size()));
  Prepare prepare(infer, *this, number_ << 32 | static_cast<int64_t>(index));
  LINNET_TRY(def.prepare(prepared.op.state(), prepare));
  prepared.weights = std::move(prepare.weights());
  if (prepare.dropped().empty()) return Status();
  // Contents that every reader has packed are let go.
  Lock lock(drop_mutex_);
  for (ValueId input : prepare.dropped()) {
    const Value& value = graph.value(input);
    const int32_t drops = ++drops_[static_cast<size_t>(input)];
    if (!value.is_constant || drops < static_cast<int32_t>(value.uses.size())) continue;
    value.constant.LetPagesGo();
    base_facts_[static_cast<size_t>(input)].data = nullptr;
    graph.DropContents(input);
  }
  return Status();
}

/// Tells every node what weights the nodes behind it use, where they do not all stay in a second-level cache.
void Model::OrderWeights() {
  constexpr int64_t kCacheBytes = 2 << 20, kSpanBytesMin = 4 << 10;
  int64_t total = 0;
  for (const PreparedNode& node : nodes_) {
    for (const WeightSpan& span : node.weights) total += span.bytes;
  }
  if (total < kCacheBytes) return;
  for (PreparedNode& node : nodes_) {
    for (const WeightSpan& span : node.weights) {
      if (span.bytes >= kSpanBytesMin) weight_order_.push_back(span);
    }
    node.io.weights = &weight_order_;
    node.io.weights_used = static_cast<int32_t>(weight_order_.size());
  }
}

int64_t Model::weight_bytes() const {
  int64_t total = own_weights_ ? static_cast<HeapWeights*>(own_weights_.get())->bytes() : 0;
  for (int v = 0; v < graph_->value_count(); ++v) {
    if (graph_->value(v).is_constant && graph_->value(v).constant.has_data()) total += graph_->value(v).constant.bytes();
  }
  for (const std::unique_ptr<Model>& body : bodies_) total += body->weight_bytes();
  return total;
}

}  // namespace linnet
