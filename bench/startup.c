/* From the start of a process to its first output, beside ONNX Runtime: each turn is a fresh process of this very program that
 * loads one of the two shared libraries, opens the model, runs it once on zeros and ends; turns alternate.
 *
 *     cc -O2 -I include bench/startup.c -o startup -ldl
 *     startup LIBLINNET LIBONNXRUNTIME MODEL[,PEER_MODEL] THREADS TURNS [INPUT...]      LIBONNXRUNTIME may be "-": ours alone
 *     startup --ort LIBONNXRUNTIME MODEL.onnx OUT.ort      writes ONNX Runtime's prepared form of a model
 *
 * INPUT is SYMBOL=N, or 1x3x224x224@FILE@NAME: the input of that name has this shape, and a file of its bare numbers.
 *
 * Prints one JSON object, medians of both sides:
 *     start_ms  from before the process is made until it has ended
 *     load_ms   opening the model
 *     first_ms  the first run
 *     peak_mb   most memory resident, above what was resident when the library was loaded and ready
 * LINNET_BENCH_CACHE=FOLDER opens ours with that cache folder. */
#include <dlfcn.h>
#include <linnet/linnet.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
enum { kPorts = 512, kTurns = 99 };

typedef struct Result {
  double start_ms, load_ms, first_ms, peak_mb;
} Result;

static void Fail(const char* what, const char* why) {
  fprintf(stderr, "startup: %s: %s\n", what, why ? why : "failed");
  exit(1);
}

static double Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A line of /proc/self/status in MB: "VmRSS:" now, "VmHWM:" at most. */
static double Resident(const char* line) {
  char text[256];
  double kib = 0;
  FILE* file = fopen("/proc/self/status", "r");
  while (file && fgets(text, sizeof text, file)) {
    if (strncmp(text, line, strlen(line)) == 0) kib = atof(text + strlen(line));
  }
  if (file) fclose(file);
  return kib * 1024 / 1e6;
}

static int64_t SizeOf(const char* symbol, char** sizes) {
  const size_t length = symbol ? strlen(symbol) : 0;
  for (; symbol && *sizes; ++sizes) {
    if (strncmp(*sizes, symbol, length) == 0 && (*sizes)[length] == '=') return atoll(*sizes + length + 1);
  }
  return 1;
}

/* The argument that says what the input `name` is, behind its shape: "@FILE@NAME". */
static const char* Given(const char* name, char** inputs) {
  for (; *inputs; ++inputs) {
    const char* file = strchr(*inputs, '@');
    const char* end = file ? strchr(file + 1, '@') : NULL;
    if (end && strcmp(end + 1, name) == 0) return *inputs;
  }
  return NULL;
}

/* Its dimensions, at most `most`; the rank. */
static int GivenShape(const char* given, int64_t* dims, int most) {
  int rank = 0;
  while (*given != '@' && rank < most) {
    char* end;
    dims[rank++] = strtoll(given, &end, 10);
    given = *end == 'x' ? end + 1 : end;
  }
  return rank;
}

static void ReadGiven(const char* given, void* into, int64_t bytes) {
  const char* from = strchr(given, '@') + 1;
  char path[4096];
  snprintf(path, sizeof path, "%.*s", (int)(strchr(from, '@') - from), from);
  FILE* file = fopen(path, "rb");
  if (!file || fread(into, 1, (size_t)bytes, file) != (size_t)bytes) Fail(path, "cannot be read");
  fclose(file);
}

static void* Zeros(int64_t bytes) {
  void* data = calloc(1, (size_t)bytes + 64);
  if (!data) Fail("memory", NULL);
  return data;
}

static void* Library(const char* path) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) Fail(path, dlerror());
  return handle;
}

static double loaded_mb;

static Result Ours(const char* library, const char* model, int threads, char** sizes) {
  void* handle = Library(library);
#define FUNCTION(name) __typeof__(&name) name##_ = (__typeof__(&name))dlsym(handle, #name)
  FUNCTION(LinnetLastError); FUNCTION(LinnetOptionsCreate); FUNCTION(LinnetOptionsSetThreads); FUNCTION(LinnetSessionOpen);
  FUNCTION(LinnetOptionsSetCacheFolder); FUNCTION(LinnetSessionPortCounts); FUNCTION(LinnetSessionInput);
  FUNCTION(LinnetSessionOutput); FUNCTION(LinnetRun); FUNCTION(LinnetTensorBytes);
#define CHECK(call) do { if ((call) != 0) Fail(#call, LinnetLastError_()); } while (0)
  LinnetOptions* options;
  LinnetSession* session;
  CHECK(LinnetOptionsCreate_(&options));
  CHECK(LinnetOptionsSetThreads_(options, threads));
  if (getenv("LINNET_BENCH_CACHE")) CHECK(LinnetOptionsSetCacheFolder_(options, getenv("LINNET_BENCH_CACHE")));
  loaded_mb = Resident("VmRSS:");
  Result result;
  const double begin = Now();
  CHECK(LinnetSessionOpen_(model, options, &session));
  const double opened = Now();
  size_t inputs, outputs;
  static LinnetPort ports[2][kPorts];
  static LinnetInput in[kPorts];
  static LinnetOutput out[kPorts];
  CHECK(LinnetSessionPortCounts_(session, &inputs, &outputs));
  if (inputs > kPorts || outputs > kPorts) Fail(model, "too many inputs or outputs");
  size_t fed = 0;
  for (size_t i = 0; i < inputs; ++i) {
    LinnetPort* port = &ports[0][i];
    port->struct_size = sizeof *port;
    CHECK(LinnetSessionInput_(session, i, port));
    if (port->has_default) continue;
    const char* given = Given(port->name, sizes);
    if (given) port->type.rank = GivenShape(given, port->type.shape, LINNET_RANK_MAX);
    int64_t elements = 1;
    for (int d = 0; d < port->type.rank; ++d) {
      if (port->type.shape[d] < 0) port->type.shape[d] = SizeOf(port->symbols[d], sizes);
      elements *= port->type.shape[d];
    }
    const int64_t bytes = LinnetTensorBytes_(port->type.element, elements);
    in[fed] = (LinnetInput){port->name, NULL, port->type.element, port->type.rank, port->type.shape, Zeros(bytes), (size_t)bytes};
    if (given) ReadGiven(given, (void*)in[fed].data, bytes);
    ++fed;
  }
  for (size_t i = 0; i < outputs; ++i) {
    ports[1][i].struct_size = sizeof ports[1][i];
    CHECK(LinnetSessionOutput_(session, i, &ports[1][i]));
    out[i].name = ports[1][i].name;
  }
  CHECK(LinnetRun_(session, in, fed, out, outputs, NULL));
  result.load_ms = opened - begin;
  result.first_ms = Now() - opened;
  return result;
}

/* ONNX Runtime's function table by slot number; the slots of its first version, which no later one moved. */
static Result Theirs(const char* library, const char* model, int threads, char** sizes) {
  struct Base {
    void* const* (*api)(uint32_t version);
    const char* (*version)(void);
  };
  const struct Base* (*base)(void) = (const struct Base* (*)(void))dlsym(Library(library), "OrtGetApiBase");
  if (!base) Fail(library, "no ONNX Runtime");
  void* const* slots = base()->api(1);
  const char* (*message)(const void*) = (const char* (*)(const void*))slots[2];
#define SLOT(number, ...) ((void* (*)(__VA_ARGS__))slots[number])
#define ORT(call) do { void* status = (call); if (status) Fail("the peer", message(status)); } while (0)
  void *env, *options, *session, *memory, *allocator;
  ORT(SLOT(3, int, const char*, void**)(4, "startup", &env));
  ORT(SLOT(69, int, int, void**)(1, 0, &memory));
  ORT(SLOT(78, void**)(&allocator));
  ORT(SLOT(10, void**)(&options));
  ORT(SLOT(24, void*, int)(options, threads));
  ORT(SLOT(25, void*, int)(options, 1));
  ORT(SLOT(23, void*, int)(options, 99));
  loaded_mb = Resident("VmRSS:");
  Result result;
  const double begin = Now();
  ORT(SLOT(7, void*, const char*, void*, void**)(env, model, options, &session));
  const double opened = Now();
  size_t inputs, outputs;
  ORT(SLOT(30, void*, size_t*)(session, &inputs));
  ORT(SLOT(31, void*, size_t*)(session, &outputs));
  if (inputs > kPorts || outputs > kPorts) Fail(model, "too many inputs or outputs");
  static char* names[2][kPorts];
  static void* values[2][kPorts];
  for (size_t i = 0; i < inputs; ++i) {
    void* type;
    const void* info;
    int element;
    size_t rank;
    int64_t dims[kPorts], elements = 1;
    const char* symbols[kPorts] = {NULL};
    ORT(SLOT(36, void*, size_t, void*, char**)(session, i, allocator, &names[0][i]));
    ORT(SLOT(33, void*, size_t, void**)(session, i, &type));
    ORT(SLOT(55, void*, const void**)(type, &info));
    ORT(SLOT(60, const void*, int*)(info, &element));
    ORT(SLOT(61, const void*, size_t*)(info, &rank));
    ORT(SLOT(62, const void*, int64_t*, size_t)(info, dims, rank));
    ORT(SLOT(63, const void*, const char**, size_t)(info, symbols, rank));
    const char* given = Given(names[0][i], sizes);
    if (given) rank = (size_t)GivenShape(given, dims, kPorts);
    for (size_t d = 0; d < rank; ++d) {
      if (dims[d] < 0) dims[d] = SizeOf(symbols[d], sizes);
      elements *= dims[d];
    }
    const int64_t wide = element == 7 || element == 11 || element == 13 ? 8 : element == 1 || element == 6 || element == 12 ? 4
                       : element == 4 || element == 5 || element == 10 ? 2 : 1;
    void* data = Zeros(elements * wide);
    if (given) ReadGiven(given, data, elements * wide);
    ORT(SLOT(49, void*, void*, size_t, const int64_t*, size_t, int, void**)(memory, data, (size_t)(elements * wide), dims, rank,
                                                                           element, &values[0][i]));
  }
  for (size_t i = 0; i < outputs; ++i) ORT(SLOT(37, void*, size_t, void*, char**)(session, i, allocator, &names[1][i]));
  ORT(SLOT(9, void*, void*, char**, void**, size_t, char**, size_t, void**)(session, NULL, names[0], values[0], inputs, names[1],
                                                                          outputs, values[1]));
  result.load_ms = opened - begin;
  result.first_ms = Now() - opened;
  return result;
}

/* ONNX Runtime writes what it optimised in its own format where the name says so. */
static void WriteOrt(const char* library, const char* model, const char* out) {
  struct Base {
    void* const* (*api)(uint32_t version);
  };
  const struct Base* (*base)(void) = (const struct Base* (*)(void))dlsym(Library(library), "OrtGetApiBase");
  if (!base) Fail(library, "no ONNX Runtime");
  void* const* slots = base()->api(1);
  const char* (*message)(const void*) = (const char* (*)(const void*))slots[2];
  void *env, *options, *session;
  ORT(SLOT(3, int, const char*, void**)(4, "startup", &env));
  ORT(SLOT(10, void**)(&options));
  ORT(SLOT(11, void*, const char*)(options, out));
  ORT(SLOT(23, void*, int)(options, 99));
  ORT(SLOT(7, void*, const char*, void*, void**)(env, model, options, &session));
}

/* One process of this program; what it measured comes through a pipe. */
static Result Turn(char* self, char* side, char** arguments) {
  int ends[2];
  if (pipe(ends) != 0) Fail("pipe", NULL);
  char* child[kPorts + 8] = {self, "--child", side};
  int count = 3;
  for (; *arguments && count < kPorts + 7; ++arguments) child[count++] = *arguments;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  const double begin = Now();
  pid_t id;
  if (posix_spawn(&id, "/proc/self/exe", &actions, NULL, child, environ) != 0) Fail("posix_spawn", NULL);
  close(ends[1]);
  Result result = {0, 0, 0, 0};
  FILE* in = fdopen(ends[0], "r");
  const int read = fscanf(in, "%lf %lf %lf", &result.load_ms, &result.first_ms, &result.peak_mb);
  int status = 0;
  waitpid(id, &status, 0);
  result.start_ms = Now() - begin;
  fclose(in);
  posix_spawn_file_actions_destroy(&actions);
  if (read != 3 || status != 0) Fail(side, "the process failed");
  return result;
}

static int Less(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void Print(const char* side, const Result* results, int turns, const char* end) {
  double medians[4], list[kTurns];
  for (int field = 0; field < 4; ++field) {
    for (int i = 0; i < turns; ++i) list[i] = ((const double*)&results[i])[field];
    qsort(list, (size_t)turns, sizeof *list, Less);
    medians[field] = list[turns / 2];
  }
  printf("\"%s\": {\"start_ms\": %.3f, \"load_ms\": %.3f, \"first_ms\": %.3f, \"peak_mb\": %.2f}%s", side, medians[0], medians[1],
         medians[2], medians[3], end);
}

int main(int count, char** arguments) {
  if (count > 2 && strcmp(arguments[1], "--child") == 0) {
    if (count < 6) Fail("arguments", "too few");
    const int ours = strcmp(arguments[2], "ours") == 0;
    Result result = (ours ? Ours : Theirs)(arguments[3], arguments[4], atoi(arguments[5]), arguments + 6);
    printf("%f %f %f\n", result.load_ms, result.first_ms, Resident("VmHWM:") - loaded_mb);
    fflush(stdout);
    _exit(0);
  }
  if (count == 5 && strcmp(arguments[1], "--ort") == 0) {
    WriteOrt(arguments[2], arguments[3], arguments[4]);
    return 0;
  }
  if (count < 6) Fail("arguments", "LIBLINNET LIBONNXRUNTIME MODEL THREADS TURNS [INPUT...]");
  const int turns = atoi(arguments[5]) < 1 ? 1 : atoi(arguments[5]) > kTurns ? kTurns : atoi(arguments[5]);
  const int both = strcmp(arguments[2], "-") != 0;
  static Result results[2][kTurns];
  char* passed[2][kPorts];
  char* models[2] = {arguments[3], arguments[3]};
  char* comma = strchr(arguments[3], ',');
  if (comma) *comma = 0, models[1] = comma + 1;
  for (int side = 0; side < 2; ++side) {
    int at = 0;
    passed[side][at++] = arguments[1 + side];
    passed[side][at++] = models[side];
    passed[side][at++] = arguments[4];
    for (int i = 6; i < count && at < kPorts - 1; ++i) passed[side][at++] = arguments[i];
    passed[side][at] = NULL;
  }
  for (int i = -1; i < turns; ++i) { /* the first turn brings the files into memory */
    for (int side = 0; side <= both; ++side) {
      results[side][i < 0 ? 0 : i] = Turn(arguments[0], side == 0 ? "ours" : "peer", passed[side]);
    }
  }
  printf("{");
  Print("ours", results[0], turns, both ? ", " : "");
  if (both) Print("peer", results[1], turns, "");
  printf("}\n");
  return 0;
}
