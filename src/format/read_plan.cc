// Plans of a .linnet file.
#include "format/read_plan.h"

#include <string.h>

namespace linnet {
namespace {

/// Structs of a vector lie at multiples of 4, as its numbers do.
template <class T>
T StructAt(const flatbuffers::Vector<const T*>& all, uint32_t i) {
  T one;
  memcpy(&one, all.Data() + i * sizeof one, sizeof one);
  return one;
}

Status Damaged(const char* what, int64_t which) { return InvalidModel("a plan of the .linnet file is damaged: ", what, " ", which); }

}  // namespace

Result<StoredPlan> ReadPlan(const fbs::Plan& from, int value_count, std::string_view file) {
  StoredPlan plan;
  if (!from.values() || from.values()->size() != static_cast<uint32_t>(value_count)) return Damaged("it has other values than the graph, of", value_count);
  if (from.arena_bytes() > static_cast<uint64_t>(INT64_MAX / 4)) return Damaged("memory", static_cast<int64_t>(from.arena_bytes() / 4));
  plan.arena_bytes = static_cast<int64_t>(from.arena_bytes());
  plan.facts.resize(static_cast<size_t>(value_count));
  plan.places.resize(static_cast<size_t>(value_count));
  const uint32_t dims = from.dims() ? from.dims()->size() : 0;
  for (int v = 0; v < value_count; ++v) {
    const fbs::PlannedValue value = StructAt(*from.values(), static_cast<uint32_t>(v));
    if (value.place() == Place::kNone) continue;
    if (value.place() > Place::kAlias || value.place() == Place::kHeap || value.dtype() == 0 || value.dtype() >= kDTypeCount ||
        value.dtype() == static_cast<uint8_t>(DType::kString) || value.rank() > kMaxRank || value.dims() > dims ||
        dims - value.dims() < value.rank()) {
      return Damaged("value", v);
    }
    Shape shape = Shape::OfRank(value.rank());
    for (int d = 0; d < shape.rank(); ++d) shape[d] = IntAt(*from.dims(), value.dims() + static_cast<uint32_t>(d));
    LINNET_TRY(CheckShape(shape));
    if (!shape.is_static()) return Damaged("dimensions of value", v);
    plan.facts[static_cast<size_t>(v)].type = Type::Tensor(static_cast<DType>(value.dtype()), shape);
    plan.places[static_cast<size_t>(v)] = {static_cast<Place::Kind>(value.place()), 0, value.root(), value.offset()};
  }
  for (uint32_t i = 0; from.known() && i < from.known()->size(); ++i) {
    const fbs::KnownContents known = StructAt(*from.known(), i);
    if (known.value() < 0 || known.value() >= value_count) return Damaged("contents of value", known.value());
    const size_t v = static_cast<size_t>(known.value());
    Fact& fact = plan.facts[v];
    if (plan.places[v].kind != Place::kKnown) return Damaged("contents of value", known.value());
    int64_t have;
    LINNET_ASSIGN(fact.data, LocateBlob(file, &known.blob(), &have));
    LINNET_ASSIGN(int64_t need, ByteSize(fact.type.dtype, fact.type.shape.elements()));
    if (have != need) return Damaged("size of the contents of value", known.value());
  }
  for (int v = 0; v < value_count; ++v) {
    if (plan.places[static_cast<size_t>(v)].kind == Place::kKnown && !plan.facts[static_cast<size_t>(v)].data) return Damaged("missing contents of value", v);
  }
  return plan;
}

}  // namespace linnet
