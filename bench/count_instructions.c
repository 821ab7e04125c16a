/* A plugin of qemu-user that counts the guest's instructions, block by block:
 *
 *     cc -O2 -shared -fPIC -o count.so count_instructions.c
 *     qemu-aarch64 -plugin ./count.so,out=counts.txt PROGRAM
 *
 * counts.txt begins with "code START END", where the program's own code lies; then a line for each block of instructions that was
 * run: its address, how often, its instructions, and how many of them are floating-point multiply-adds, 8-bit dot products, 8-bit
 * or bfloat16 matrix products, loads and stores, and branches (of AArch64; 0 elsewhere). Counters are not atomic: one thread.
 *
 * The distribution has no header for plugins; what is used of the interface (version 1) is declared here. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t PluginId;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { kAddU64 = 0 };
/* The start of qemu_info_t is the target's name. */
struct Info {
  const char* target_name;
};
extern void qemu_plugin_register_vcpu_tb_trans_cb(PluginId id, void (*callback)(PluginId, struct qemu_plugin_tb*));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* tb, int op, void* counter, uint64_t amount);
extern void qemu_plugin_register_atexit_cb(PluginId id, void (*callback)(PluginId, void*), void* user);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* tb);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
extern const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn* insn);
extern uint64_t qemu_plugin_start_code(void);
extern uint64_t qemu_plugin_end_code(void);

EXPORT int qemu_plugin_version = 1;

enum { kMultiplyAdd, kDot, kMatrix, kMemory, kBranch, kKinds };

typedef struct Block {
  struct Block* next;
  uint64_t address, times;
  uint32_t instructions, kinds[kKinds];
} Block;
static Block* blocks;
static const char* path = "counts.txt";
static bool aarch64;

/* Which kind an AArch64 instruction is of; -1: of none that is told apart. */
static int KindOf(uint32_t word) {
  const uint32_t group = word >> 25 & 15;
  if ((group & 5) == 4) return kMemory;
  if ((group & 14) == 10) return kBranch;
  if ((group & 7) != 7) return -1;
  if ((word & 0xbfa0fc00) == 0x0e20cc00) return kMultiplyAdd; /* FMLA by vector: U 0 */
  if ((word & 0xbf80f400) == 0x0f801000) return kMultiplyAdd; /* FMLA by element */
  if ((word & 0x9fe0fc00) == 0x0e809400) return kDot;         /* SDOT, UDOT by vector */
  if ((word & 0x9fc0f400) == 0x0f80e000) return kDot;         /* by element */
  if ((word & 0x9fe0f400) == 0x0e80a400) return kMatrix;      /* SMMLA, UMMLA, USMMLA */
  if ((word & 0xffe0fc00) == 0x6e40ec00) return kMatrix;      /* BFMMLA */
  return -1;
}

static void OnTranslation(PluginId id, struct qemu_plugin_tb* tb) {
  Block* block = calloc(1, sizeof *block);
  if (!block) abort();
  block->address = qemu_plugin_tb_vaddr(tb);
  block->instructions = (uint32_t)qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; aarch64 && i < block->instructions; ++i) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof word);
    const int kind = KindOf(word);
    if (kind >= 0) ++block->kinds[kind];
  }
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, kAddU64, &block->times, 1);
}

static void OnExit(PluginId id, void* user) {
  FILE* file = fopen(path, "w");
  if (!file) return;
  fprintf(file, "code %llx %llx\n", (unsigned long long)qemu_plugin_start_code(), (unsigned long long)qemu_plugin_end_code());
  for (const Block* block = blocks; block; block = block->next) {
    if (block->times == 0) continue;
    fprintf(file, "%llx %llu %u", (unsigned long long)block->address, (unsigned long long)block->times, block->instructions);
    for (int kind = 0; kind < kKinds; ++kind) fprintf(file, " %u", block->kinds[kind]);
    fprintf(file, "\n");
  }
  fclose(file);
}

EXPORT int qemu_plugin_install(PluginId id, const struct Info* info, int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) path = argv[i] + 4;
  }
  aarch64 = strcmp(info->target_name, "aarch64") == 0;
  qemu_plugin_register_vcpu_tb_trans_cb(id, OnTranslation);
  qemu_plugin_register_atexit_cb(id, OnExit, NULL);
  return 0;
}
