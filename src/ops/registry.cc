// Looking up operators; one-shot evaluation of a node.
#include "ops/registry.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"

namespace linnet {
namespace {

std::string_view Canonical(std::string_view domain) { return domain == "ai.onnx" ? std::string_view() : domain; }

bool Less(const OpDef& a, const OpDef& b) {
  if (int order = strcmp(a.name.domain, b.name.domain)) return order < 0;
  if (int order = strcmp(a.name.name, b.name.name)) return order < 0;
  return a.name.since < b.name.since;
}

}  // namespace

OpTable::OpTable() {
  for (OpDef (*const* factory)() = OperatorFactories(); *factory; ++factory) rows_.push_back((*factory)());
  std::sort(rows_.begin(), rows_.end(), Less);
}

void OpTable::Add(const OpDef& def) { rows_.insert(std::upper_bound(rows_.begin(), rows_.end(), def, Less), def); }

const OpTable& OpTable::BuiltIn() {
  static const OpTable table;
  return table;
}

Result<const OpDef*> OpTable::Find(std::string_view domain, std::string_view name, int version) const {
  domain = Canonical(domain);
  auto before = [&](const OpDef& def, int) {
    std::string_view row_domain = def.name.domain, row_name = def.name.name;
    if (row_domain != domain) return row_domain < domain;
    return row_name < name;
  };
  auto first = std::lower_bound(rows_.begin(), rows_.end(), 0, before);
  const OpDef* best = nullptr;
  std::string versions;
  for (auto it = first; it != rows_.end() && name == it->name.name && domain == it->name.domain; ++it) {
    if (it->name.since <= version) best = &*it;
    versions += Cat(versions.empty() ? "" : ", ", it->name.since);
  }
  if (best) return best;
  std::string full = domain.empty() ? Quote(name) : Quote(Cat(domain, ":", name));
  const OpName* wanted = nullptr;
  for (const OpName* left = OperatorsLeftOut(); left->name; ++left) {
    bool fits = name == left->name && domain == left->domain && left->since <= version;
    if (fits && (!wanted || left->since > wanted->since)) wanted = left;
  }
  if (wanted) {
    return Fail(Code::kNotInBuild, "operator ", full, " is not in this build; rebuild with ", wanted->name, "-", wanted->since);
  }
  if (!versions.empty()) {
    return Unsupported("unsupported operator: version ", version, " of ", full, "; known from versions: ", versions);
  }
  return Unsupported("unsupported operator ", full, " (version ", version, ")");
}

OpInstance::~OpInstance() {
  if (!state_) return;
  def_->destroy(state_);
  ::operator delete(state_, std::align_val_t(kAlignment));
}

Result<OpInstance> OpInstance::Make(const OpDef& def, const Node& node) {
  OpInstance op;
  op.def_ = &def;
  op.state_ = ::operator new(std::max<size_t>(def.state_bytes, 1), std::align_val_t(kAlignment));
  def.construct(op.state_, def);
  LINNET_TRY(def.parse(op.state_, node));
  return op;
}

}  // namespace linnet
