/* linnet_quantize.h: making small models of float models, from programs. docs/quantization.md says what is done.
 *
 * These functions are in liblinnet_quantize.so, which has those of linnet.h and linnet_extend.h too and is linked instead of
 * liblinnet.so: programs that only run models do not carry them. What linnet.h says of errors, handles and text holds here.
 */
#ifndef LINNET_LINNET_QUANTIZE_H_
#define LINNET_LINNET_QUANTIZE_H_

#include "linnet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is asked for. May be used again and again, by one thread at a time. */
typedef struct LinnetQuantizer LinnetQuantizer;

LINNET_API LinnetCode LinnetQuantizerCreate(LinnetQuantizer** quantizer) LINNET_NOEXCEPT;
LINNET_API LinnetCode LinnetQuantizerClose(LinnetQuantizer* quantizer) LINNET_NOEXCEPT;
/* Options have the names, values and defaults of `linnet quantize`, without the dashes: "mode" "dynamic", "weights" "u8",
 * "format" "qoperator", "min-sqnr" "30", "table" "ranges.txt". Flags take "1" and "0"; "include" and "exclude" add a name
 * each time. */
LINNET_API LinnetCode LinnetQuantizerSet(LinnetQuantizer* quantizer, const char* option, const char* value) LINNET_NOEXCEPT;
/* For one tensor or node: "type" "u16", "range" "0 6", and the flags "symmetric", "per_channel" and "exclude". */
LINNET_API LinnetCode LinnetQuantizerOverride(LinnetQuantizer* quantizer, const char* name, const char* option,
                                              const char* value) LINNET_NOEXCEPT;
/* Called now and then from the thread that runs: `done` of `total` steps of `what` are done. NULL: none. */
typedef void (*LinnetQuantizerProgress)(void* user, const char* what, int64_t done, int64_t total);
LINNET_API LinnetCode LinnetQuantizerSetProgress(LinnetQuantizer* quantizer, LinnetQuantizerProgress progress,
                                                 void* user) LINNET_NOEXCEPT;

/* Data to calibrate with and to compare on. One sample is asked for at a time, some of them again. */
typedef struct LinnetSamples {
  size_t struct_size;
  void* user;
  int64_t count;
  /* Puts a value for each of the model's inputs that have no default, in the model's order, into values[0 .. value_count).
   * Another code than LINNET_OK ends the work with it and the sentence of LinnetFail. */
  LinnetCode (*load)(void* user, int64_t index, LinnetValue** values, size_t value_count);
  /* Called behind each load, when the values are no longer needed. NULL: the library closes them. */
  void (*done)(void* user, LinnetValue** values, size_t value_count);
  const int64_t* labels; /* NULL, or `count` classes, for the option "min-accuracy" */
} LinnetSamples;

/* What came of it. */
typedef struct LinnetQuantizeReport {
  size_t struct_size;
  int64_t nodes, quantized_nodes;
  int64_t weight_bytes_before, weight_bytes_after; /* of all constants */
  int64_t calibrated, compared; /* samples */
  int32_t held_out;             /* 1: those compared were not used to calibrate */
  int32_t refused;              /* 1: the work was done, and nothing meets what was asked: the function fails, no file is written */
  double sqnr_db;               /* beside the float model, of the worst output; infinite when all are equal, NaN without samples */
  double top1_agreement;        /* of the first output, 0 to 1; NaN without samples */
  double accuracy;              /* of labels; NaN without */
  /* Of weights that became integers, with their scales and zero points; what these took as float32; of weights that stay real. */
  int64_t quantized_weight_bytes, quantized_weight_float_bytes, float_weight_bytes;
} LinnetQuantizeReport;

/* Quantizes the .onnx file `model`, writes `output`, reads it again and runs it beside the float model. `samples` may be
 * NULL for the modes that need none. `report` may be NULL; it is filled on refusal too. */
LINNET_API LinnetCode LinnetQuantizerRun(LinnetQuantizer* quantizer, const char* model, const char* output, const LinnetSamples* samples,
                                         LinnetQuantizeReport* report) LINNET_NOEXCEPT;
/* What the last run decided, a sentence a line; lives until the next run or the quantizer's end. */
LINNET_API LinnetCode LinnetQuantizerNotes(LinnetQuantizer* quantizer, const char** notes) LINNET_NOEXCEPT;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LINNET_LINNET_QUANTIZE_H_ */
