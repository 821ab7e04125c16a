/* linnet_extend.h: operators and graph passes of your own. See docs/api.md.
 *
 * Callbacks return LINNET_OK, or a code with a sentence through LinnetFail. They may be called from several threads at once
 * and must not throw. LinnetNode, LinnetGraph, LinnetInfer and LinnetCompute are lent to a callback and end with it; using
 * one later, or from another callback, is an error the library cannot see.
 */
#ifndef LINNET_LINNET_EXTEND_H_
#define LINNET_LINNET_EXTEND_H_

#include "linnet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Nodes -------------------------------------------------------------------------------------------------------- */

typedef struct LinnetNode LinnetNode;
typedef struct LinnetGraph LinnetGraph;

typedef int32_t LinnetAttributeType; /* the numbers of ONNX's AttributeProto.AttributeType */
enum {
  LINNET_ATTRIBUTE_FLOAT = 1, LINNET_ATTRIBUTE_INT = 2, LINNET_ATTRIBUTE_STRING = 3, LINNET_ATTRIBUTE_TENSOR = 4,
  LINNET_ATTRIBUTE_GRAPH = 5, LINNET_ATTRIBUTE_FLOATS = 6, LINNET_ATTRIBUTE_INTS = 7, LINNET_ATTRIBUTE_STRINGS = 8,
  LINNET_ATTRIBUTE_TENSORS = 9, LINNET_ATTRIBUTE_GRAPHS = 10, LINNET_ATTRIBUTE_TYPE = 13
};

/* Operator and domain ("" is ai.onnx) with the domain's version, and the node's name. Text lives until the node changes. */
LINNET_API LinnetCode LinnetNodeOp(const LinnetNode* node, const char** domain, const char** op, int32_t* version) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeName(const LinnetNode* node, const char** name) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeAttributeCount(const LinnetNode* node, size_t* count) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeAttribute(const LinnetNode* node, size_t index, const char** name,
                                          LinnetAttributeType* type) LINNET_NOEXCEPT;
/* An attribute's value; `fallback` (or nothing: NULL and 0) when the node has no such attribute. Fails when it is of another
 * type. Lists and text live until the node changes. */
LINNET_API LinnetCode LinnetNodeGetInt(const LinnetNode* node, const char* name, int64_t fallback, int64_t* value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeGetFloat(const LinnetNode* node, const char* name, float fallback, float* value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeGetString(const LinnetNode* node, const char* name, LinnetString* text) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeGetInts(const LinnetNode* node, const char* name, const int64_t** values, size_t* count) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeGetFloats(const LinnetNode* node, const char* name, const float** values, size_t* count) LINNET_NOEXCEPT;
/* A TENSOR, or STRINGS as a tensor of rank 1; NULL when absent. The caller closes it. */
LINNET_API LinnetCode LinnetNodeGetTensor(const LinnetNode* node, const char* name, LinnetValue** value) LINNET_NOEXCEPT;

/* ---- Operators ---------------------------------------------------------------------------------------------------- */

typedef struct LinnetInfer LinnetInfer;
typedef struct LinnetCompute LinnetCompute;

typedef struct LinnetOperator {
  size_t struct_size;
  const char* domain;    /* "" is ai.onnx: an operator of the same name and version replaces the built-in one */
  const char* name;
  int32_t since_version; /* serves nodes of this version of the domain and later ones */
  int32_t is_random;     /* not 0: equal inputs give different outputs, so that results are never computed ahead */
  void* user;            /* handed to every callback */
  /* State from a node's attributes; called several times for a node. May be NULL: no state. */
  LinnetCode (*create)(void* user, const LinnetNode* node, void** state);
  void (*destroy)(void* user, void* state);
  /* Types of the outputs from those of the inputs. Called with unknown kinds, ranks and dimensions too; says what it can. */
  LinnetCode (*infer)(void* user, void* state, LinnetInfer* infer);
  /* Computes the outputs. `state` is shared by all threads that run. Also called ahead, for inputs that are constant. */
  LinnetCode (*compute)(void* user, void* state, LinnetCompute* compute);
} LinnetOperator;

/* Makes the operator known to sessions opened with these options. Text is copied; `user` outlives those sessions. */
LINNET_API LinnetCode LinnetOptionsAddOperator(LinnetOptions* options, const LinnetOperator* op) LINNET_NOEXCEPT;

LINNET_API LinnetCode LinnetInferCounts(const LinnetInfer* infer, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT;
/* Kind LINNET_KIND_UNKNOWN for an input that is left out or not known. */
LINNET_API LinnetCode LinnetInferInput(const LinnetInfer* infer, size_t index, LinnetTypeInfo* type) LINNET_NOEXCEPT;
/* Contents of a tensor input, or NULL when they are not known yet (and for strings). An output whose shape depends on them
 * is then left unknown: infer is called again when they are there. */
LINNET_API LinnetCode LinnetInferInputData(const LinnetInfer* infer, size_t index, const void** data, size_t* bytes) LINNET_NOEXCEPT;
/* `shape` dimensions may be -1, or a symbol taken from an input. */
LINNET_API LinnetCode LinnetInferOutput(LinnetInfer* infer, size_t index, const LinnetTypeInfo* type) LINNET_NOEXCEPT;

typedef struct LinnetTensor {
  LinnetElementType type; /* LINNET_UNDEFINED: the input is left out, or is no tensor */
  int32_t rank;
  const int64_t* shape;
  const void* data; /* NULL for strings: see LinnetComputeInputValue */
  size_t bytes;
} LinnetTensor;

LINNET_API LinnetCode LinnetComputeCounts(const LinnetCompute* compute, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetComputeInput(const LinnetCompute* compute, size_t index, LinnetTensor* tensor) LINNET_NOEXCEPT;
/* Any input as a value (tensors may be copied); NULL when it is left out. The caller closes it. */
LINNET_API LinnetCode LinnetComputeInputValue(const LinnetCompute* compute, size_t index, LinnetValue** value) LINNET_NOEXCEPT;
/* Memory for output `index`, a tensor of this type and shape, which agree with what infer said; NULL when nobody reads it.
 * Not for strings. */
LINNET_API LinnetCode LinnetComputeOutput(LinnetCompute* compute, size_t index, LinnetElementType type, const int64_t* shape,
                                          int32_t rank, void** data) LINNET_NOEXCEPT;
/* Output `index` as a value: strings, sequences, optionals, maps. */
LINNET_API LinnetCode LinnetComputeOutputValue(LinnetCompute* compute, size_t index, LinnetValue* value) LINNET_NOEXCEPT;
/* Calls body(user, begin, end) for ranges that cover [0, n), from several threads. `ns_per_item` is a rough cost in
 * nanoseconds, which decides how many threads are worth waking. The results must not depend on the cut. */
LINNET_API LinnetCode LinnetComputeParallel(LinnetCompute* compute, int64_t n, double ns_per_item,
                                            void (*body)(void* user, int64_t begin, int64_t end), void* user) LINNET_NOEXCEPT;
/* For long loops: fails when the run was cancelled or is out of time; return what it returns. */
LINNET_API LinnetCode LinnetComputeCheck(const LinnetCompute* compute) LINNET_NOEXCEPT;

/* ---- Passes ------------------------------------------------------------------------------------------------------- */

typedef struct LinnetPass {
  size_t struct_size;
  const char* name; /* for LinnetOptionsDisablePass and messages */
  void* user;
  LinnetCode (*run)(void* user, LinnetGraph* graph);
} LinnetPass;

/* Runs on models read from .onnx, after the built-in simplifications and before fusion, whatever the optimisation level; in
 * the order of these calls. The graph is verified after each. Text is copied; `user` outlives the sessions: the pass runs
 * again when an input with a default is fed for the first time. */
LINNET_API LinnetCode LinnetOptionsAddPass(LinnetOptions* options, const LinnetPass* pass) LINNET_NOEXCEPT;

/* Values of a graph are numbers; -1 is an optional input or output that is left out. */
typedef int32_t LinnetValueId;

/* Counts of nodes (as of this call, in execution order), inputs and outputs. */
LINNET_API LinnetCode LinnetGraphCounts(LinnetGraph* graph, size_t* nodes, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT;
/* The node at `index` of the order that the last LinnetGraphCounts took. NULL when it was removed since. */
LINNET_API LinnetCode LinnetGraphNode(LinnetGraph* graph, size_t index, LinnetNode** node) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetGraphInput(LinnetGraph* graph, size_t index, LinnetValueId* value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetGraphOutput(LinnetGraph* graph, size_t index, LinnetValueId* value) LINNET_NOEXCEPT;
/* Name, type as far as it is known, and number of readers (graph outputs count). Results may be NULL. */
LINNET_API LinnetCode LinnetGraphValue(LinnetGraph* graph, LinnetValueId value, const char** name, LinnetTypeInfo* type,
                                       size_t* readers) LINNET_NOEXCEPT;
/* The node that produces a value; NULL for inputs and constants. */
LINNET_API LinnetCode LinnetGraphProducer(LinnetGraph* graph, LinnetValueId value, LinnetNode** node) LINNET_NOEXCEPT;
/* A constant's contents; NULL when the value is no constant. The caller closes it. */
LINNET_API LinnetCode LinnetGraphConstant(LinnetGraph* graph, LinnetValueId value, LinnetValue** contents) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodePortCounts(const LinnetNode* node, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeInput(const LinnetNode* node, size_t index, LinnetValueId* value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeOutput(const LinnetNode* node, size_t index, LinnetValueId* value) LINNET_NOEXCEPT;
/* Body number `index` of a node of control flow; fails when there are fewer. */
LINNET_API LinnetCode LinnetNodeBody(const LinnetNode* node, size_t index, LinnetGraph** body) LINNET_NOEXCEPT;

/* Editing. Graph inputs and the number of graph outputs stay. */
LINNET_API LinnetCode LinnetGraphAddConstant(LinnetGraph* graph, const char* name, LinnetValue* tensor, LinnetValueId* value) LINNET_NOEXCEPT;
/* A node with `output_count` new values as outputs. `name` is a hint for theirs. */
LINNET_API LinnetCode LinnetGraphAddNode(LinnetGraph* graph, const char* name, const char* domain, const char* op, int32_t version,
                                         const LinnetValueId* inputs, size_t input_count, size_t output_count,
                                         LinnetNode** node) LINNET_NOEXCEPT;
/* Everything that reads `from`, graph outputs included, reads `to` instead. */
LINNET_API LinnetCode LinnetGraphReplaceUses(LinnetGraph* graph, LinnetValueId from, LinnetValueId to) LINNET_NOEXCEPT;
/* Removes a node. Nothing may read its outputs any more when the pass ends. */
LINNET_API LinnetCode LinnetNodeRemove(LinnetNode* node) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetOp(LinnetNode* node, const char* domain, const char* op, int32_t version) LINNET_NOEXCEPT;
/* Input `index`; one beyond the last adds an input. */
LINNET_API LinnetCode LinnetNodeSetInput(LinnetNode* node, size_t index, LinnetValueId value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetInt(LinnetNode* node, const char* name, int64_t value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetFloat(LinnetNode* node, const char* name, float value) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetString(LinnetNode* node, const char* name, LinnetString text) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetInts(LinnetNode* node, const char* name, const int64_t* values, size_t count) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetFloats(LinnetNode* node, const char* name, const float* values, size_t count) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeSetTensor(LinnetNode* node, const char* name, LinnetValue* tensor) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetNodeUnset(LinnetNode* node, const char* name) LINNET_NOEXCEPT;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LINNET_LINNET_EXTEND_H_ */
