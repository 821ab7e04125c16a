// Looking up operators; one-shot evaluation of a node.
#include "ops/registry.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

std::string_view Canonical(std::string_view domain) { return domain == "ai.onnx" ? std::string_view() : domain; }

/// As strcmp, for text that does not end in NUL.
int Order(const char* a, std::string_view b) {
  for (size_t i = 0; i < b.size(); ++i) {
    if (a[i] == '\0') return -1;
    if (a[i] != b[i]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]) ? -1 : 1;
  }
  return a[b.size()] == '\0' ? 0 : 1;
}

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
    int order = Order(def.name.domain, domain);
    return order != 0 ? order < 0 : Order(def.name.name, name) < 0;
  };
  auto first = std::lower_bound(rows_.begin(), rows_.end(), 0, before);
  auto last = first;
  const OpDef* best = nullptr;
  for (; last != rows_.end() && Order(last->name.name, name) == 0 && Order(last->name.domain, domain) == 0; ++last) {
    if (last->name.since <= version) best = &*last;
  }
  // A version that was left out is not replaced by an older one, which may mean something else.
  const OpName* wanted = nullptr;
  for (const OpName* left = VersionsLeftOut(); first != last && left->name; ++left) {
    bool fits = name == left->name && domain == left->domain && left->since <= version;
    if (fits && left->since > (wanted ? wanted->since : best ? best->name.since : 0)) wanted = left;
  }
  if (best && !wanted) return best;
  std::string versions;
  for (auto it = first; it != last; ++it) versions += Cat(versions.empty() ? "" : ", ", it->name.since);
  std::string full = domain.empty() ? Quote(name) : Quote(Cat(domain, ":", name));
  if (wanted || (first == last && IsReducedBuild())) {
    return Fail(Code::kNotInBuild, "operator ", full, " is not in this build; rebuild with version ", version, " of it");
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

Status InferTypes(const OpInstance& op, InferContext& c) {
  LINNET_TRY(op.def().infer(op.state(), c));
  if constexpr ((LINNET_TYPES & kAnyType) != kAnyType) {
    if (op.def().user) return Status();   // a custom operator brings its own
    auto check = [](const Type& type) -> Status {
      if (type.dtype == DType::kUndefined || (LINNET_TYPES & Mask(type.dtype))) return Status();
      return Fail(Code::kNotInBuild, "element type ", DTypeName(type.dtype),
                  " is not in this build; add it to the operator's in its configuration");
    };
    for (int i = 0; i < c.input_count(); ++i) {
      if (c.has_input(i)) LINNET_TRY(check(c.type(i)));
    }
    for (int i = 0; i < c.output_count(); ++i) {
      if (c.has_output(i)) LINNET_TRY(check(c.output(i)));
    }
  }
  return Status();
}

}  // namespace linnet
