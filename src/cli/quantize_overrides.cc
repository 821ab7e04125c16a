// Reading overrides.
#include "cli/quantize_overrides.h"

#include "base/file.h"
#include "cli/json.h"
#include "quantize/recipe.h"

namespace linnet::cli {
namespace {

Result<quantize::Override> OverrideOf(const Json& json) {
  if (!json.is_object()) return InvalidArgument("it is not an object");
  quantize::Override out;
  for (const auto& [key, value] : json.items()) {
    if (key == "type") {
      DType type;
      if (!value.is_string() || !quantize::TypeFromName(value.get<std::string>(), &type)) return InvalidArgument("\"type\" is none of u8, s8, u16, s16");
      out.type = type;
    } else if (key == "range") {
      if (!value.is_array() || value.size() != 2 || !value[0].is_number() || !value[1].is_number()) return InvalidArgument("\"range\" is not two numbers");
      out.range = quantize::Range{value[0].get<double>(), value[1].get<double>()};
    } else if (key == "symmetric" || key == "per_channel" || key == "exclude") {
      if (!value.is_boolean()) return InvalidArgument("\"", key, "\" is neither true nor false");
      const bool flag = value.get<bool>();
      if (key == "symmetric") out.symmetric = flag;
      if (key == "per_channel") out.per_channel = flag;
      if (key == "exclude") out.exclude = flag;
    } else {
      return InvalidArgument("there is no override ", Quote(key), "; there are type, range, symmetric, per_channel and exclude");
    }
  }
  return out;
}

}  // namespace

Result<std::map<std::string, quantize::Override>> LoadOverrides(const std::string& path) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  LINNET_ASSIGN(Json json, ParseJson(file->bytes(), path));
  if (!json.is_object()) return InvalidArgument(Quote(path), " is not a JSON object of names");
  std::map<std::string, quantize::Override> out;
  for (const auto& [name, value] : json.items()) {
    Result<quantize::Override> one = OverrideOf(value);
    if (!one.ok()) return one.TakeStatus().At(Cat(Quote(path), ", ", Quote(name)));
    out[name] = *one;
  }
  return out;
}

}  // namespace linnet::cli
