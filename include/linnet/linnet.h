/* linnet.h: the stable C interface of Linnet, which runs ONNX models. docs/api.md shows it at work.
 *
 * Errors     Every function that can fail returns a LinnetCode. LinnetLastError() then gives the sentence: what, where and
 *            which value. Nothing throws, and no argument ends the process: NULL, a closed handle or one of another kind
 *            gives LINNET_INVALID_ARGUMENT. On failure, results that a function hands out are NULL or untouched.
 * Handles    LinnetSession* and the like name objects of the library; they are no addresses. Who gets one from a function
 *            closes it with the function named ...Close, once; closing NULL does nothing, closing twice is refused. An object
 *            that is in use when its handle is closed (a session that runs) lives until that use ends.
 * Threads    Sessions, values, pools and cancel handles may be used by any number of threads at once, bindings by one at a
 *            time. Options may be changed at any time; a session takes a copy when it is opened.
 * Text       is UTF-8 and ends with a NUL. Text that functions hand out lives as long as the object it comes from.
 * Stability  Functions, constants and the layout of structs stay. Structs that begin with `struct_size` may grow at the end:
 *            set it to sizeof the struct, and zero the rest.
 */
#ifndef LINNET_LINNET_H_
#define LINNET_LINNET_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(LINNET_BUILDS_LIBRARY)
#define LINNET_API __declspec(dllexport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define LINNET_API __attribute__((visibility("default")))
#else
#define LINNET_API
#endif

#ifdef __cplusplus
#define LINNET_NOEXCEPT noexcept
extern "C" {
#else
#define LINNET_NOEXCEPT
#endif

/* Version of this interface; a library serves every program built with a version up to its own LinnetApiVersion(). */
#define LINNET_API_VERSION 1
LINNET_API uint32_t LinnetApiVersion(void) LINNET_NOEXCEPT;
LINNET_API const char* LinnetVersion(void) LINNET_NOEXCEPT; /* of the library: "0.1.0" */

/* ---- Errors ------------------------------------------------------------------------------------------------------- */

typedef int32_t LinnetCode;
enum {
  LINNET_OK = 0,
  LINNET_INVALID_MODEL = 1,    /* the model breaks ONNX's rules or its file is damaged */
  LINNET_INVALID_ARGUMENT = 2, /* the caller passed something that cannot be used */
  LINNET_UNSUPPORTED = 3,      /* valid, but Linnet does not implement it */
  LINNET_NOT_IN_BUILD = 4,     /* left out of this reduced build */
  LINNET_OUT_OF_MEMORY = 5,    /* an allocation failed */
  LINNET_LIMIT_REACHED = 6,    /* a memory, time, step or structural limit */
  LINNET_IO = 7,               /* the operating system refused a file operation */
  LINNET_CANCELLED = 8,        /* the run was cancelled */
  LINNET_INTERNAL = 9          /* a bug in Linnet */
};
/* The sentence of the last failure in this thread, at most 1023 bytes; until the next call of a function. */
LINNET_API const char* LinnetLastError(void) LINNET_NOEXCEPT;
LINNET_API const char* LinnetCodeName(LinnetCode code) LINNET_NOEXCEPT; /* "invalid model" */
/* For callbacks: keeps `sentence` as this thread's last error and returns `code`. */
LINNET_API LinnetCode LinnetFail(LinnetCode code, const char* sentence) LINNET_NOEXCEPT;

/* ---- Log ---------------------------------------------------------------------------------------------------------- */

typedef int32_t LinnetLogLevel;
enum { LINNET_LOG_OFF = 0, LINNET_LOG_ERROR = 1, LINNET_LOG_WARNING = 2, LINNET_LOG_INFO = 3, LINNET_LOG_DEBUG = 4 };
typedef void (*LinnetLogCallback)(void* user, LinnetLogLevel level, const char* message);
/* Messages up to `level` go to `callback` (NULL: standard error), from any thread. Sessions with a log of their own
 * (LinnetOptionsSetLog) do not use it. */
LINNET_API LinnetCode LinnetSetLog(LinnetLogLevel level, LinnetLogCallback callback, void* user) LINNET_NOEXCEPT;

/* ---- Types -------------------------------------------------------------------------------------------------------- */

#define LINNET_RANK_MAX 8

typedef int32_t LinnetElementType; /* the numbers of ONNX's TensorProto.DataType */
enum {
  LINNET_UNDEFINED = 0, LINNET_FLOAT = 1, LINNET_UINT8 = 2, LINNET_INT8 = 3, LINNET_UINT16 = 4, LINNET_INT16 = 5,
  LINNET_INT32 = 6, LINNET_INT64 = 7, LINNET_STRING = 8, LINNET_BOOL = 9, LINNET_FLOAT16 = 10, LINNET_DOUBLE = 11,
  LINNET_UINT32 = 12, LINNET_UINT64 = 13, LINNET_COMPLEX64 = 14, LINNET_COMPLEX128 = 15, LINNET_BFLOAT16 = 16,
  LINNET_FLOAT8E4M3FN = 17, LINNET_FLOAT8E4M3FNUZ = 18, LINNET_FLOAT8E5M2 = 19, LINNET_FLOAT8E5M2FNUZ = 20,
  LINNET_UINT4 = 21, LINNET_INT4 = 22, LINNET_FLOAT4E2M1 = 23, LINNET_FLOAT8E8M0 = 24, LINNET_UINT2 = 25, LINNET_INT2 = 26
};
LINNET_API const char* LinnetElementTypeName(LinnetElementType type) LINNET_NOEXCEPT; /* "float", "int64" */
/* Bytes of a tensor of `elements` elements; 2- and 4-bit types are packed, low bits first, and round up to a byte. Strings
 * count as LinnetString. -1 when there is no such type or the number overflows. */
LINNET_API int64_t LinnetTensorBytes(LinnetElementType type, int64_t elements) LINNET_NOEXCEPT;

typedef int32_t LinnetKind;
enum {
  LINNET_KIND_UNKNOWN = 0,
  LINNET_KIND_TENSOR = 1,
  LINNET_KIND_SEQUENCE = 2,          /* of tensors */
  LINNET_KIND_OPTIONAL = 3,          /* tensor or nothing */
  LINNET_KIND_OPTIONAL_SEQUENCE = 4, /* sequence or nothing */
  LINNET_KIND_MAP = 5,               /* from keys (strings or integers) to scalars */
  LINNET_KIND_SEQUENCE_OF_MAPS = 6
};

/* `element` and `shape` are of the tensor, of a sequence's or optional's tensors, of a map's values. */
typedef struct LinnetTypeInfo {
  LinnetKind kind;
  LinnetElementType element;
  LinnetElementType key; /* maps only */
  int32_t rank;          /* -1: unknown */
  int64_t shape[LINNET_RANK_MAX]; /* row-major; -1: unknown; <= -2: a symbol, equal numbers are equal sizes */
} LinnetTypeInfo;

typedef struct LinnetString {
  const char* data; /* any bytes; may be NULL when size is 0 */
  size_t size;
} LinnetString;

/* ---- Values ------------------------------------------------------------------------------------------------------- */

/* Any value: a tensor, sequence, map or optional. Immutable; its parts are shared, not copied. */
typedef struct LinnetValue LinnetValue;

/* A tensor with a copy of `data`, LinnetTensorBytes() bytes in row-major order; NULL: zeros or empty strings. Elements of
 * LINNET_STRING are LinnetString. */
LINNET_API LinnetCode LinnetTensorCreate(LinnetElementType type, const int64_t* shape, int32_t rank, const void* data,
                                         LinnetValue** value) LINNET_NOEXCEPT;
/* A tensor of caller-owned memory, without a copy (not for strings). `data` is aligned for its type and keeps its contents
 * until `release(user)` is called, when the last value that shares it has gone; `release` may be NULL. On failure it is
 * not called. */
LINNET_API LinnetCode LinnetTensorView(LinnetElementType type, const int64_t* shape, int32_t rank, const void* data,
                                       void (*release)(void* user), void* user, LinnetValue** value) LINNET_NOEXCEPT;
/* A sequence of tensors of `element` type, or, with LINNET_UNDEFINED and at least one item, of whatever the items are:
 * tensors of one type or maps. The items stay the caller's. */
LINNET_API LinnetCode LinnetSequenceCreate(LinnetElementType element, LinnetValue* const* items, size_t count,
                                           LinnetValue** value) LINNET_NOEXCEPT;
/* A map of tensors of rank 1 and equal length: keys (strings or integers) and values. */
LINNET_API LinnetCode LinnetMapCreate(LinnetValue* keys, LinnetValue* values, LinnetValue** value) LINNET_NOEXCEPT;
/* An optional that holds `item`, a tensor or a sequence of tensors. */
LINNET_API LinnetCode LinnetOptionalCreate(LinnetValue* item, LinnetValue** value) LINNET_NOEXCEPT;
/* An optional that holds nothing. `kind`: LINNET_KIND_OPTIONAL or LINNET_KIND_OPTIONAL_SEQUENCE. */
LINNET_API LinnetCode LinnetOptionalEmpty(LinnetKind kind, LinnetElementType element, LinnetValue** value) LINNET_NOEXCEPT;

LINNET_API LinnetCode LinnetValueType(LinnetValue* value, LinnetTypeInfo* type) LINNET_NOEXCEPT;
/* A tensor's contents, not of strings. They live as long as the value. */
LINNET_API LinnetCode LinnetValueData(LinnetValue* value, const void** data, size_t* bytes) LINNET_NOEXCEPT;
/* Element `index` of a tensor of strings, in row-major order; lives as long as the value. The bytes end with a NUL. */
LINNET_API LinnetCode LinnetValueString(LinnetValue* value, size_t index, LinnetString* text) LINNET_NOEXCEPT;
/* Elements of a tensor, items of a sequence, entries of a map, 0 or 1 for an optional. */
LINNET_API LinnetCode LinnetValueCount(LinnetValue* value, size_t* count) LINNET_NOEXCEPT;
/* Item `index` of a sequence; item 0 of an optional is what it holds. The caller closes it. */
LINNET_API LinnetCode LinnetValueItem(LinnetValue* value, size_t index, LinnetValue** item) LINNET_NOEXCEPT;
/* Keys and values of a map, as tensors of rank 1. The caller closes them. */
LINNET_API LinnetCode LinnetMapKeys(LinnetValue* map, LinnetValue** keys) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetMapValues(LinnetValue* map, LinnetValue** values) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetValueClose(LinnetValue* value) LINNET_NOEXCEPT;

/* ---- Thread pools and options ------------------------------------------------------------------------------------- */

/* Worker threads that sessions share. Sessions without one share the pool of the process. The pool lives until its handle
 * is closed and no session uses it. */
typedef struct LinnetThreadPool LinnetThreadPool;
/* `threads` counts the calling thread: 1 ... 64. */
LINNET_API LinnetCode LinnetThreadPoolCreate(int32_t threads, LinnetThreadPool** pool) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetThreadPoolClose(LinnetThreadPool* pool) LINNET_NOEXCEPT;

typedef struct LinnetOptions LinnetOptions;
LINNET_API LinnetCode LinnetOptionsCreate(LinnetOptions** options) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetOptionsClose(LinnetOptions* options) LINNET_NOEXCEPT;
/* Most threads of one run, the caller included; 0 (default): as many as the pool, or the processors, have. */
LINNET_API LinnetCode LinnetOptionsSetThreads(LinnetOptions* options, int32_t threads) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetOptionsSetThreadPool(LinnetOptions* options, LinnetThreadPool* pool) LINNET_NOEXCEPT;
/* Bytes for everything the session and its runs allocate in large blocks; 0 (default): no limit. */
LINNET_API LinnetCode LinnetOptionsSetMemoryLimit(LinnetOptions* options, int64_t bytes) LINNET_NOEXCEPT;
/* Nanoseconds of each run; 0 (default): no limit. */
LINNET_API LinnetCode LinnetOptionsSetTimeLimit(LinnetOptions* options, int64_t nanoseconds) LINNET_NOEXCEPT;
/* Node executions of each run, the bodies of loops included; 0 (default): no limit. */
LINNET_API LinnetCode LinnetOptionsSetStepLimit(LinnetOptions* options, int64_t steps) LINNET_NOEXCEPT;
/* 0: only what is needed to run; 1: rewrites that change no rounding; 2 (default): fusions and layouts too. */
LINNET_API LinnetCode LinnetOptionsSetOptimization(LinnetOptions* options, int32_t level) LINNET_NOEXCEPT;
/* Leaves out a pass, by the name `linnet inspect --list` prints or that of a custom pass. An unknown name fails on opening. */
LINNET_API LinnetCode LinnetOptionsDisablePass(LinnetOptions* options, const char* name) LINNET_NOEXCEPT;
/* Kernels for this CPU level instead of the best one here: "sse4", "avx2", "avx512". NULL or "": the best. */
LINNET_API LinnetCode LinnetOptionsSetCpu(LinnetOptions* options, const char* level) LINNET_NOEXCEPT;
/* What runs the nodes: "cpu" (default) or "reference". */
LINNET_API LinnetCode LinnetOptionsSetProvider(LinnetOptions* options, const char* provider) LINNET_NOEXCEPT;
/* "f32" (default), or "bf16" or "fp16": products with constant float32 weights are computed on operands rounded to bfloat16 or
 * float16, where that pays: faster where the processor has instructions for it, with half of the weights' memory. Sums are float32;
 * with "fp16", on Arm, 64 products at a time are added in float16, so operands and such sums must stay below 65504. "half" is
 * the one that this machine's family has instructions for: "fp16" on Arm, "bf16" elsewhere. A .linnet file has the precision it was
 * prepared for, and asking for another fails. NULL or "": f32, or what the file has. */
LINNET_API LinnetCode LinnetOptionsSetPrecision(LinnetOptions* options, const char* precision) LINNET_NOEXCEPT;
/* Records the time of every step of every run. The record goes, as a Chrome trace, to the file `path` when the session
 * ends (NULL: no file), and to LinnetSessionTrace. */
LINNET_API LinnetCode LinnetOptionsSetProfiling(LinnetOptions* options, int32_t on, const char* path) LINNET_NOEXCEPT;
/* Messages up to `level` about sessions opened with these options. `callback` is called from the threads that open and run. */
LINNET_API LinnetCode LinnetOptionsSetLog(LinnetOptions* options, LinnetLogLevel level, LinnetLogCallback callback,
                                          void* user) LINNET_NOEXCEPT;
/* For models from strangers: files are read instead of mapped, so that later changes do no harm, under stricter limits. */
LINNET_API LinnetCode LinnetOptionsSetUntrusted(LinnetOptions* options, int32_t on) LINNET_NOEXCEPT;
/* Files are read instead of mapped. A mapped file that is cut or written over while a session uses it ends the process or changes
 * its answers; use this for folders that others can write to. It costs the time to read, and memory of the session's own. */
LINNET_API LinnetCode LinnetOptionsSetRead(LinnetOptions* options, int32_t on) LINNET_NOEXCEPT;
/* Reads all of a .linnet file when it is opened and compares it with the checksum at its end: a damaged weight is
 * LINNET_INVALID_MODEL. (What describes the model is checked always.) Other files have no checksum: LINNET_INVALID_ARGUMENT; nor
 * have .linnet files of format 2: LINNET_UNSUPPORTED. */
LINNET_API LinnetCode LinnetOptionsSetVerify(LinnetOptions* options, int32_t on) LINNET_NOEXCEPT;
/* The folder beneath which a model from memory finds its external data. NULL or "" (default): none is read. Models from
 * a file have their own folder. */
LINNET_API LinnetCode LinnetOptionsSetExternalDataFolder(LinnetOptions* options, const char* folder) LINNET_NOEXCEPT;
/* A folder that keeps the prepared form of .onnx files: the first time a file is opened it is prepared and written there,
 * afterwards that is mapped, which takes a fraction of the time and shares the weights among processes. Named by content:
 * a changed model, other passes or another version of the library make another file. Many processes may use the folder, and
 * its files may be deleted. Models with external data, inputs with a default, custom operators or passes are opened as
 * without it. Keep it as private as the program. NULL or "" (default): none. */
LINNET_API LinnetCode LinnetOptionsSetCacheFolder(LinnetOptions* options, const char* folder) LINNET_NOEXCEPT;

/* ---- Sessions ----------------------------------------------------------------------------------------------------- */

/* A model ready to run. `options` may be NULL everywhere. */
typedef struct LinnetSession LinnetSession;
/* Opens a .onnx, .ort or .linnet file. */
LINNET_API LinnetCode LinnetSessionOpen(const char* path, const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT;
/* The same from memory, which is copied. */
LINNET_API LinnetCode LinnetSessionFromMemory(const void* bytes, size_t size, const LinnetOptions* options,
                                              LinnetSession** session) LINNET_NOEXCEPT;
/* The same without a copy: the bytes stay unchanged until `release(user)` is called, once, when the session has ended or
 * could not be opened; `release` may be NULL. (.linnet and .ort files that are not 64-byte aligned are copied.) */
LINNET_API LinnetCode LinnetSessionFromBorrowed(const void* bytes, size_t size, void (*release)(void* user), void* user,
                                                const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT;
/* Runs in flight finish undisturbed, and bindings go on working; the session ends after the last of them. */
LINNET_API LinnetCode LinnetSessionClose(LinnetSession* session) LINNET_NOEXCEPT;

/* Prepares the model file `model` and writes it to `output`: ending in .linnet, a file that is mapped and ready; in .onnx,
 * the optimised graph. An existing file is replaced only when all went well. */
LINNET_API LinnetCode LinnetConvert(const char* model, const char* output, const LinnetOptions* options) LINNET_NOEXCEPT;

/* An input or output. */
typedef struct LinnetPort {
  size_t struct_size;
  const char* name;
  size_t name_size;
  LinnetTypeInfo type;
  const char* symbols[LINNET_RANK_MAX]; /* names of symbolic dimensions, else NULL */
  int32_t has_default;                  /* inputs: may be left out */
} LinnetPort;
LINNET_API LinnetCode LinnetSessionPortCounts(LinnetSession* session, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetSessionInput(LinnetSession* session, size_t index, LinnetPort* port) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetSessionOutput(LinnetSession* session, size_t index, LinnetPort* port) LINNET_NOEXCEPT;

typedef struct LinnetModelInfo {
  size_t struct_size;
  int64_t ir_version;
  int64_t model_version;
  const char* producer_name;
  const char* producer_version;
  const char* domain;
  const char* graph_name;
  const char* doc_string;
  size_t opset_count;
  size_t metadata_count;
  const char* precision; /* the session's: "f32", "bf16" or "fp16" */
} LinnetModelInfo;
LINNET_API LinnetCode LinnetSessionInfo(LinnetSession* session, LinnetModelInfo* info) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetSessionOpset(LinnetSession* session, size_t index, const char** domain, int64_t* version) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetSessionMetadata(LinnetSession* session, size_t index, const char** key, const char** value) LINNET_NOEXCEPT;
/* Bytes in large blocks now and at most so far. */
LINNET_API LinnetCode LinnetSessionMemory(LinnetSession* session, int64_t* used, int64_t* peak) LINNET_NOEXCEPT;
/* What profiling recorded so far, as the JSON text of a Chrome trace: a tensor of one string. The caller closes it. */
LINNET_API LinnetCode LinnetSessionTrace(LinnetSession* session, LinnetValue** json) LINNET_NOEXCEPT;

/* ---- Runs --------------------------------------------------------------------------------------------------------- */

/* An input: a value, or, when `value` is NULL, a tensor in the caller's memory, which is read where it is (strings, and
 * tensors at addresses that are not aligned for their type, are copied first). */
typedef struct LinnetInput {
  const char* name;
  LinnetValue* value;
  LinnetElementType type;
  int32_t rank;
  const int64_t* shape;
  const void* data; /* row-major; LinnetString elements for strings; bool elements are bytes 0 or 1 */
  size_t bytes;     /* of `data`: exactly LinnetTensorBytes() */
} LinnetInput;

/* An output. With `data`, the caller's memory, the run writes there (not possible for strings and what is no tensor); it may
 * overlap no other memory of the run, but may begin where the memory of one input does (`data` of both is the same) if nothing reads
 * that input once the output is being written, or if what writes it lets a cache grow in place: Concat behind its first input,
 * Attention's keys and values, TensorScatter. Where neither is so the run is refused before it writes anything to that output.
 * Without `data`, the run makes `value`, which the caller closes. `type` says what came out. */
typedef struct LinnetOutput {
  const char* name;
  void* data;
  size_t bytes;       /* of `data`: at least what the output needs */
  LinnetValue* value; /* set by the run; NULL after a failure and with `data` */
  LinnetTypeInfo type;
} LinnetOutput;

/* To cancel runs from another thread. */
typedef struct LinnetCancel LinnetCancel;
LINNET_API LinnetCode LinnetCancelCreate(LinnetCancel** cancel) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetCancelClose(LinnetCancel* cancel) LINNET_NOEXCEPT;
/* Every run that was given this handle, now or later, ends with LINNET_CANCELLED. */
LINNET_API LinnetCode LinnetCancelNow(LinnetCancel* cancel) LINNET_NOEXCEPT;
/* Later runs go ahead again. */
LINNET_API LinnetCode LinnetCancelReset(LinnetCancel* cancel) LINNET_NOEXCEPT;

typedef struct LinnetRunOptions {
  size_t struct_size;
  LinnetCancel* cancel; /* may be NULL */
} LinnetRunOptions;

/* Runs the model. Inputs with a default may be left out, outputs that nobody asks for too. `options` may be NULL. */
LINNET_API LinnetCode LinnetRun(LinnetSession* session, const LinnetInput* inputs, size_t input_count, LinnetOutput* outputs,
                                size_t output_count, const LinnetRunOptions* options) LINNET_NOEXCEPT;

/* A run prepared once and repeated: names are looked up and arguments checked when they are bound. Memory that is bound
 * stays the caller's and is read and written by every run. */
typedef struct LinnetBinding LinnetBinding;
LINNET_API LinnetCode LinnetBindingCreate(LinnetSession* session, LinnetBinding** binding) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetBindingClose(LinnetBinding* binding) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetBindingInput(LinnetBinding* binding, const LinnetInput* input) LINNET_NOEXCEPT;
/* `value` and `type` are ignored. */
LINNET_API LinnetCode LinnetBindingOutput(LinnetBinding* binding, const LinnetOutput* output) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetBindingRun(LinnetBinding* binding, const LinnetRunOptions* options) LINNET_NOEXCEPT;
/* What the last successful run made of the bound output `name`: sets `type`, and `value` when the run made it. */
LINNET_API LinnetCode LinnetBindingResult(LinnetBinding* binding, const char* name, LinnetOutput* output) LINNET_NOEXCEPT;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LINNET_LINNET_H_ */
