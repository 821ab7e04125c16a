// Trees of .linnet files: read into flatbuffers' objects, changed, written again with blocks where the new head leaves them.
#include "fuzz/model_tree.h"

#include <string.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "format/checksum.h"
#include "format/linnet_file.h"
#include "linnet_generated.h"

namespace linnet::fuzz {
namespace {

/// Everything in a model that can be changed, and the places of blocks. It ends with the change.
class Tree {
 public:
  explicit Tree(fbs::ModelT& whole) {
    fbs::ModelT* model = &whole;
    Number(model->ir_version);
    Text(model->precision);
    List(model->opsets);
    List(model->metadata);
    List(model->symbols);
    for (std::string& symbol : model->symbols) Text(symbol);
    for (auto* ports : {&model->inputs, &model->outputs}) {
      List(*ports);
      for (auto& port : *ports) Text(port->name), Visit(port->type);
    }
    if (model->graph) Visit(*model->graph);
    List(model->weights);
    for (auto& weights : model->weights) Number(weights->node), Text(weights->tag), Blob(weights->blob);
    List(model->plans);
    for (auto& plan : model->plans) {
      Number(plan->arena_bytes);
      List(plan->dims);
      List(plan->values);
      for (auto& value : plan->values) Bytes(&value, sizeof value);
      List(plan->known);
      for (auto& known : plan->known) {
        Bytes(&known, sizeof known);
        offsets.push_back(reinterpret_cast<char*>(&known));   // a Blob comes first
      }
    }
  }

  void Change(Choices& choices) {
    if (!edits_.empty()) edits_[static_cast<size_t>(choices.Below(static_cast<int64_t>(edits_.size())))](choices);
  }

  std::vector<char*> offsets;   ///< of blocks, 8 bytes each

 private:
  static uint64_t Odd(uint64_t before, Choices& choices) {
    constexpr uint64_t kOdd[] = {0, 1, 2, 3, 8, 63, 64, 255, 1u << 16, INT32_MAX, 1ull << 31, 1ull << 32, 1ull << 40, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1};
    switch (choices.Below(4)) {
      case 0: return before + 1;
      case 1: return before - 1;
      case 2: return kOdd[choices.Below(static_cast<int64_t>(std::size(kOdd)))];
      default: return static_cast<uint64_t>(choices.Below(24));
    }
  }

  template <class T>
  void Number(T& number) {
    edits_.push_back([&number](Choices& choices) { number = static_cast<T>(Odd(static_cast<uint64_t>(number), choices)); });
  }
  void Text(std::string& text) {
    edits_.push_back([&text](Choices& choices) {
      constexpr const char* kTexts[] = {"", "Relu", "Add", "Conv", "Loop", "If", "Reshape", "linnet", "axis", "w", "weights", "bf16"};
      if (choices.OneIn(3) && !text.empty()) {
        text[static_cast<size_t>(choices.Below(static_cast<int64_t>(text.size())))] = static_cast<char>(choices.Below(256));
      } else {
        text = kTexts[choices.Below(static_cast<int64_t>(std::size(kTexts)))];
      }
    });
  }
  /// A struct, of which four aligned bytes change.
  void Bytes(void* data, size_t size) {
    edits_.push_back([data, size](Choices& choices) {
      char* at = static_cast<char*>(data) + choices.Below(static_cast<int64_t>(size / 4)) * 4;
      uint32_t word;
      memcpy(&word, at, 4);
      word = choices.OneIn(3) ? word ^ 1u << choices.Below(32) : static_cast<uint32_t>(Odd(word, choices));
      memcpy(at, &word, 4);
    });
  }
  void Blob(std::unique_ptr<fbs::Blob>& blob) {
    if (!blob) return;
    Bytes(blob.get(), sizeof *blob);
    offsets.push_back(reinterpret_cast<char*>(blob.get()));
  }

  /// A list loses an element, or gets one of them in the place of another; numbers also change, and are doubled.
  template <class T>
  void List(std::vector<T>& list) {
    if (list.empty()) return;
    edits_.push_back([&list](Choices& choices) {
      auto one = [&] { return static_cast<size_t>(choices.Below(static_cast<int64_t>(list.size()))); };
      if constexpr (std::is_arithmetic_v<T>) {
        switch (choices.Below(4)) {
          case 0: list[one()] = list[one()]; return;
          case 1: list.push_back(list[one()]); return;
          case 2: list[one()] = static_cast<T>(Odd(static_cast<uint64_t>(static_cast<int64_t>(list[one()])), choices)); return;
          default: break;
        }
      } else if (choices.OneIn(2)) {
        std::swap(list[one()], list[one()]);
        return;
      }
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(one()));
    });
  }

  void Visit(std::unique_ptr<fbs::TypeT>& type) {
    if (!type) return;
    Number(type->kind), Number(type->dtype), Number(type->key), List(type->dims);
    edits_.push_back([&type](Choices&) { type->ranked = !type->ranked; });
  }
  void Visit(std::unique_ptr<fbs::TensorT>& tensor) {
    if (!tensor) return;
    Number(tensor->dtype), List(tensor->dims), Blob(tensor->blob), List(tensor->strings);
  }
  void Visit(fbs::AttributeT& attribute) {
    Text(attribute.name), Number(attribute.kind), Number(attribute.i), List(attribute.s), List(attribute.ints), List(attribute.floats);
    edits_.push_back([&attribute](Choices& choices) { attribute.f = static_cast<float>(choices.Below(9) - 4) * 1e9f; });
    List(attribute.strings), List(attribute.tensors), List(attribute.graphs), Visit(attribute.type);
    for (auto& tensor : attribute.tensors) Visit(tensor);
    for (auto& graph : attribute.graphs) Visit(*graph);
  }
  void Visit(fbs::GraphT& graph) {
    List(graph.values), List(graph.nodes), List(graph.inputs), List(graph.outputs), List(graph.captures);
    for (auto& value : graph.values) {
      Visit(value->type), Visit(value->constant);
      edits_.push_back([&value](Choices&) { value->is_constant = !value->is_constant; });
    }
    for (auto& node : graph.nodes) {
      Text(node->domain), Text(node->op), Number(node->version);
      List(node->inputs), List(node->outputs), List(node->captures), List(node->attributes);
      for (auto& attribute : node->attributes) Visit(*attribute);
    }
  }

  std::vector<std::function<void(Choices&)>> edits_;
};

/// Bytes of a file before its first block, of `end` where it has none.
size_t TablesOf(fbs::ModelT& model, size_t end) {
  for (const char* at : Tree(model).offsets) {
    fbs::Blob blob;
    memcpy(&blob, at, sizeof blob);
    if (blob.offset() > 0) end = std::min(end, static_cast<size_t>(blob.offset()));
  }
  return end;
}

/// The file of a model that was read from one with so many bytes of tables and these blocks, of which the first `summed` bytes are under
/// the head's checksum.
std::string Write(fbs::ModelT& model, size_t tables, std::string_view blocks, size_t summed) {
  const Tree tree(model);
  flatbuffers::FlatBufferBuilder builder;
  // The first writing says how large the tables are.
  for (int turn = 0; turn < 2; ++turn) {
    builder.Clear();
    builder.ForceDefaults(true);
    fbs::FinishModelBuffer(builder, fbs::Model::Pack(builder, &model));
    const size_t size = (builder.GetSize() + 63) / 64 * 64;
    for (char* at : tree.offsets) {
      uint64_t offset;
      memcpy(&offset, at, sizeof offset);
      offset += size - tables;
      memcpy(at, &offset, sizeof offset);
    }
    tables = size;
    model.file_bytes = tables + blocks.size() + sizeof(FileSums);
  }
  std::string file(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
  file.resize(tables);
  file += blocks;
  FileSums sums;
  sums.head_bytes = tables + summed;
  sums.head = Checksum(file.data(), tables + summed);
  sums.body = Checksum(blocks.data() + summed, blocks.size() - summed);
  return file.append(reinterpret_cast<const char*>(&sums), sizeof sums);
}

}  // namespace

std::string WithSums(std::string_view file) {
  std::unique_ptr<fbs::ModelT> model = fbs::UnPackModel(file.data());
  model->format = kLinnetFormat;
  // Where no block lies behind them there is padding, whose second half makes room for the sums.
  const size_t tables = TablesOf(*model, file.size() - kPadding);
  return Write(*model, tables, file.substr(tables, file.size() - sizeof(FileSums) - tables), 0);
}

std::string ChangeTree(std::string_view file, Choices& choices) {
  FileSums sums;
  if (!FindSums(file, &sums)) return std::string(file);
  std::unique_ptr<fbs::ModelT> model = fbs::UnPackModel(file.data());
  const size_t head = static_cast<size_t>(sums.head_bytes), tables = TablesOf(*model, head);
  for (int64_t changes = 1 + choices.Below(3); changes > 0; --changes) Tree(*model).Change(choices);
  std::string blocks(file.substr(tables, file.size() - sizeof sums - tables));
  if (choices.OneIn(8) && !blocks.empty()) {
    char& at = blocks[static_cast<size_t>(choices.Below(static_cast<int64_t>(blocks.size())))];
    at = static_cast<char>(at ^ 1 << choices.Below(8));
  }
  return Write(*model, tables, blocks, head - tables);
}

}  // namespace linnet::fuzz
