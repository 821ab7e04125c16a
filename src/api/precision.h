// A session's precision as options and files name it: "f32", "bf16", "fp16" or "half".
#pragma once

#include <string_view>

#include "passes/pass.h"

namespace linnet {

inline const char* PrecisionName(Precision precision) {
  return precision == Precision::kBfloat16 ? "bf16" : precision == Precision::kFloat16 ? "fp16" : "f32";
}

/// What "half" means: the format of 16 bits that processors of this machine's family multiply fast.
#if defined(__aarch64__) || defined(__arm__)
inline constexpr char kHalfHere[] = "fp16";
#else
inline constexpr char kHalfHere[] = "bf16";
#endif

/// Empty: f32.
inline Result<Precision> ParsePrecision(std::string_view name) {
  if (name == "half") name = kHalfHere;
  if (name.empty() || name == "f32") return Precision::kFloat32;
  if (name == "bf16") return Precision::kBfloat16;
  if (name == "fp16") return Precision::kFloat16;
  return InvalidArgument("unknown precision ", Quote(name), "; known: f32 bf16 fp16 half");
}

/// The precision of a prepared file, which is what was asked for unless nothing was.
inline Result<Precision> PrecisionOfFile(std::string_view prepared, std::string_view asked) {
  const bool half = asked == "half" && (prepared == "bf16" || prepared == "fp16");
  if (asked.empty() || asked == prepared || half) return ParsePrecision(prepared);
  return InvalidArgument("the .linnet file was prepared for precision ", prepared, ", not ", asked,
                         "; convert the model with that precision");
}

}  // namespace linnet
