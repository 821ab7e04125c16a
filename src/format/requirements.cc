// Collecting, merging and writing what models need; reading is in requirements_parse.cc.
#include "format/requirements.h"

#include <algorithm>

#include "base/configuration_names.h"

namespace linnet {
namespace {

constexpr std::string_view kGlobalTypes = "globally_allowed_types";

template <class T>
void AddUnique(std::vector<T>& list, const T& item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

void MergeTypes(RequiredTypes& into, const RequiredTypes& from) {
  if (into.any || from.any) {
    into = RequiredTypes();
    return;
  }
  for (const auto& [port, types] : from.inputs) into.inputs[port] |= types;
  for (const auto& [port, types] : from.outputs) into.outputs[port] |= types;
  for (const std::string& each : from.custom) AddUnique(into.custom, each);
}

std::string TypeList(uint32_t types, std::string_view quote) {
  std::string out;
  for (int i = 1; i < kDTypeCount; ++i) {
    DType dtype = static_cast<DType>(i);
    if (types & Mask(dtype)) out += Cat(out.empty() ? "" : ",", quote, ConfigurationName(dtype), quote);
  }
  return out;
}

std::string Ports(std::string_view name, const std::map<int, uint32_t>& ports) {
  std::string out;
  for (const auto& [port, types] : ports) {
    out += Cat(out.empty() ? "" : ",", "\"", port, "\":[", TypeList(types, "\""), "]");
  }
  return Cat("\"", name, "\":{", out, "}");
}

std::string Braces(const RequiredTypes& types) {
  if (types.any) return "";
  std::string out;
  auto add = [&](const std::string& member) { out += Cat(out.empty() ? "" : ",", member); };
  if (!types.inputs.empty()) add(Ports("inputs", types.inputs));
  if (!types.outputs.empty()) add(Ports("outputs", types.outputs));
  if (!types.custom.empty()) {
    std::string list;
    for (const std::string& each : types.custom) list += Cat(list.empty() ? "" : ",", each);
    add(Cat("\"custom\":[", list, "]"));
  }
  return Cat("{", out, "}");
}

std::string TextOf(const RequirementsLine& line) {
  std::string out;
  if (line.directive == kGlobalTypes) {
    out = Cat("!", line.directive, ";", TypeList(line.types, ""));
  } else if (!line.directive.empty()) {
    out = Cat("!", line.directive);
  } else {
    out = Cat(line.domain.empty() ? "ai.onnx" : line.domain, ";");
    for (size_t i = 0; i < line.opsets.size(); ++i) out += Cat(i ? "," : "", line.opsets[i]);
    out += ';';
    for (size_t i = 0; i < line.operators.size(); ++i) {
      out += Cat(i ? "," : "", line.operators[i].name, Braces(line.operators[i].types));
    }
  }
  return line.comment.empty() ? out : Cat(out, "  ", line.comment);
}

}  // namespace

RequirementsLine* Requirements::Find(const RequirementsLine& like) {
  for (RequirementsLine& line : lines_) {
    if (line.directive == like.directive && line.domain == like.domain && line.opsets == like.opsets) return &line;
  }
  return nullptr;
}

void Requirements::AddLine(const RequirementsLine& line) {
  RequirementsLine* into = Find(line);
  if (!into) {
    lines_.push_back(line);
    return;
  }
  for (const std::string& comment : line.comments) {
    if (!comment.empty()) AddUnique(into->comments, comment);
  }
  if (into->comment.empty()) {
    into->comment = line.comment;
  } else if (!line.comment.empty() && into->comment.find(line.comment) == std::string::npos) {
    into->comment += Cat(" ", line.comment);
  }
  into->types |= line.types;
  for (const RequiredOperator& op : line.operators) {
    auto same = std::find_if(into->operators.begin(), into->operators.end(), [&](const auto& o) { return o.name == op.name; });
    if (same == into->operators.end()) {
      into->operators.push_back(op);
    } else {
      MergeTypes(same->types, op.types);
    }
  }
}

uint32_t Requirements::UsedTypes(bool* any) const {
  uint32_t used = 0;
  for (const RequirementsLine& line : lines_) {
    for (const RequiredOperator& op : line.operators) {
      *any = *any || op.types.any;
      for (const auto& [port, types] : op.types.inputs) used |= types;
      for (const auto& [port, types] : op.types.outputs) used |= types;
    }
  }
  return used;
}

void Requirements::Add(std::string_view domain, int version, std::string_view op, const RequiredTypes& types) {
  Requirements one;
  RequirementsLine line;
  line.domain = domain == "ai.onnx" ? "" : domain;
  line.opsets = {version};
  line.operators.push_back({std::string(op), types});
  one.lines_.push_back(std::move(line));
  Merge(one);
}

void Requirements::Add(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    RequiredTypes types;
    types.any = false;
    uint32_t of_inputs = 0;
    auto dtype_of = [&](ValueId value) { return value == kNoValue ? DType::kUndefined : graph.value(value).type.dtype; };
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      DType dtype = dtype_of(node.inputs[i]);
      if (dtype == DType::kUndefined) {
        types.any = types.any || node.inputs[i] != kNoValue;   // known when it runs
        continue;
      }
      types.inputs[static_cast<int>(i)] = Mask(dtype);
      of_inputs |= Mask(dtype);
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      DType dtype = dtype_of(node.outputs[i]);
      if (dtype != DType::kUndefined && !(of_inputs & Mask(dtype))) types.outputs[static_cast<int>(i)] = Mask(dtype);
    }
    types.any = types.any || (types.inputs.empty() && types.outputs.empty());
    if (types.any) types.inputs.clear(), types.outputs.clear();
    Add(node.domain, node.version, node.op, types);
    for (const Graph* inner : Graph::Subgraphs(node)) Add(*inner);
  }
}

void Requirements::Merge(const Requirements& other) {
  auto global = [](Requirements& r) {
    return std::find_if(r.lines_.begin(), r.lines_.end(), [](const auto& line) { return line.directive == kGlobalTypes; });
  };
  Requirements adding = other;
  auto mine = global(*this), theirs = global(adding);
  bool have = mine != lines_.end(), bring = theirs != adding.lines_.end();
  if (have != bring && !empty() && !adding.empty()) {
    bool any = false;
    uint32_t used = have ? adding.UsedTypes(&any) : UsedTypes(&any);
    RequirementsLine& line = have ? *mine : *theirs;
    if (!any) {
      line.types |= used;
    } else {
      // Kept as a comment in front of what follows.
      std::vector<std::string> said = line.comments;
      said.push_back(Cat("# no longer, as some operators are needed for every type: ", TextOf(line)));
      Requirements& holder = have ? *this : adding;
      auto next = holder.lines_.erase(have ? mine : theirs);
      std::vector<std::string>& comments = next == holder.lines_.end() ? holder.end_comments_ : next->comments;
      comments.insert(comments.begin(), said.begin(), said.end());
    }
  }
  for (const RequirementsLine& line : adding.lines_) AddLine(line);
  for (const std::string& comment : adding.end_comments_) {
    if (!comment.empty()) AddUnique(end_comments_, comment);
  }
}

std::string Requirements::Write() const {
  std::string out;
  for (const RequirementsLine& line : lines_) {
    for (const std::string& comment : line.comments) out += Cat(comment, "\n");
    out += Cat(TextOf(line), "\n");
  }
  for (const std::string& comment : end_comments_) out += Cat(comment, "\n");
  return out;
}

bool Requirements::empty() const {
  return std::none_of(lines_.begin(), lines_.end(), [](const auto& line) { return !line.operators.empty(); });
}

}  // namespace linnet
