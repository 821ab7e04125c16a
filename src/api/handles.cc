// The slots that handles name: chunks of doubling size that never move, and a list of free ones.
#include "api/handles.h"

#include <atomic>
#include <new>

#include "base/mutex.h"

namespace linnet::api {
namespace {

constexpr int kIndexBits = sizeof(void*) == 8 ? 24 : 18;
constexpr uint32_t kGenerationMask = sizeof(void*) == 8 ? UINT32_MAX : (uint32_t{1} << 14) - 1;
constexpr uint32_t kFirstChunk = 256;
constexpr int kChunks = kIndexBits - 8;
constexpr uint64_t kClosed = uint64_t{1} << 31;
constexpr uint64_t kUses = kClosed - 1;

struct Slot {
  std::atomic<uint64_t> word{kClosed};
  Object* object = nullptr;
  HandleKind kind{};
  Slot* next_free = nullptr;
  uintptr_t index = 0;
};

uint32_t GenerationOf(uint64_t word) { return static_cast<uint32_t>(word >> 32); }

/// Never destroyed: handles may be closed while the process exits.
struct Table {
  Mutex mutex;
  std::atomic<Slot*> chunks[kChunks] = {};
  int chunk_count = 0;
  Slot* free = nullptr;
};
Table& TheTable() {
  alignas(Table) static unsigned char memory[sizeof(Table)];
  static Table* table = new (memory) Table();
  return *table;
}

/// Chunk k holds kFirstChunk << k slots.
Slot* SlotAt(uintptr_t index) {
  uint64_t shifted = static_cast<uint64_t>(index) + kFirstChunk;
  int chunk = 63 - __builtin_clzll(shifted) - 8;
  if (chunk >= kChunks) return nullptr;
  Slot* slots = TheTable().chunks[chunk].load(std::memory_order_acquire);
  return slots ? slots + (shifted - (uint64_t{kFirstChunk} << chunk)) : nullptr;
}

struct Parts {
  Slot* slot;
  uint32_t generation;
};
Parts PartsOf(const void* handle) {
  uintptr_t bits = reinterpret_cast<uintptr_t>(handle);
  uintptr_t generation = bits >> kIndexBits;
  if (generation == 0 || generation > kGenerationMask) return {nullptr, 0};
  return {SlotAt(bits & ((uintptr_t{1} << kIndexBits) - 1)), static_cast<uint32_t>(generation)};
}

void AddChunk(Table& table) {
  if (table.chunk_count == kChunks) return;
  uint64_t count = uint64_t{kFirstChunk} << table.chunk_count;
  Slot* slots = new Slot[count];
  for (uint64_t i = count; i-- > 0;) {
    slots[i].index = static_cast<uintptr_t>(count - kFirstChunk + i);
    slots[i].next_free = table.free;
    table.free = &slots[i];
  }
  table.chunks[table.chunk_count++].store(slots, std::memory_order_release);
}

void GiveSlotUse(Slot* slot) {
  uint64_t before = slot->word.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & kUses) != 1) return;
  delete slot->object;
  uint32_t generation = (GenerationOf(before) + 1) & kGenerationMask;
  slot->word.store(uint64_t{generation} << 32 | kClosed, std::memory_order_release);
  Table& table = TheTable();
  Lock lock(table.mutex);
  slot->next_free = table.free;
  table.free = slot;
}

}  // namespace

void* NewHandle(HandleKind kind, std::unique_ptr<Object> object) {
  Table& table = TheTable();
  Slot* slot;
  {
    Lock lock(table.mutex);
    if (!table.free) AddChunk(table);
    slot = table.free;
    if (!slot) return nullptr;
    table.free = slot->next_free;
  }
  slot->object = object.release();
  slot->kind = kind;
  uint32_t generation = GenerationOf(slot->word.load(std::memory_order_relaxed));
  if (generation == 0) generation = 1;
  slot->word.store(uint64_t{generation} << 32 | 1, std::memory_order_release);
  return reinterpret_cast<void*>(static_cast<uintptr_t>(generation) << kIndexBits | slot->index);
}

Object* TakeUse(const void* handle, HandleKind kind) {
  auto [slot, generation] = PartsOf(handle);
  if (!slot) return nullptr;
  uint64_t now = slot->word.load(std::memory_order_acquire);
  do {
    if (GenerationOf(now) != generation || (now & kClosed)) return nullptr;
  } while (!slot->word.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  if (slot->kind == kind) return slot->object;
  GiveSlotUse(slot);
  return nullptr;
}

void GiveUse(const void* handle) { GiveSlotUse(PartsOf(handle).slot); }

bool CloseHandle(const void* handle, HandleKind kind) {
  if (!TakeUse(handle, kind)) return false;
  Slot* slot = PartsOf(handle).slot;
  // Of several threads that close at once, one ends the owner's use.
  bool mine = (slot->word.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0;
  if (mine) GiveSlotUse(slot);
  GiveSlotUse(slot);
  return mine;
}

}  // namespace linnet::api
