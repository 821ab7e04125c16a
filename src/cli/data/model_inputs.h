// Inputs for a model from what the command line says: shapes, symbol values, files, random numbers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/session.h"
#include "cli/data/image.h"

namespace linnet::cli {

/// --shape NAME=1x3x224x224 and --dim SYMBOL=128, each repeatable.
struct ShapeOptions {
  std::vector<std::string> shapes, dims;
};

/// The type of every input with all dimensions known: declared numbers, then --shape, then --dim; what is left is 1.
/// `unbound`, when not null, receives the names of symbols that were set to 1 for want of a value.
Result<std::vector<Type>> BindInputTypes(const Session& session, const ShapeOptions& options,
                                         std::vector<std::string>* unbound = nullptr);
/// The same without a session. `given`, when not null, has one datum an input; those that are there (kind not kUnknown)
/// say their own type, and the shapes of given tensors say the values of symbols.
Result<std::vector<Type>> BindInputTypes(const std::vector<PortInfo>& inputs, const SymbolTable& names,
                                         const ShapeOptions& options, const std::vector<Datum>* given,
                                         std::vector<std::string>* unbound);

/// The input types of every combination where a name is given more than once: --dim seq=64 --dim seq=128 makes two. Sizes that
/// nothing says are an error here.
Result<std::vector<std::vector<Type>>> BindInputTypeSets(const Session& session, const ShapeOptions& options);

/// Random contents: floats N(0,1), integers and bools 0 or 1, strings empty. Equal seeds give equal contents.
Result<Datum> RandomInput(const Type& type, uint64_t seed);

/// Random data for all inputs but those with a default, which are left out (kind kUnknown).
Result<std::vector<Datum>> RandomInputs(const Session& session, const std::vector<Type>& types, uint64_t seed);

/// One --input: which input, and the text after its name and '='.
struct InputArgument {
  size_t input = 0;
  std::string source;
};
/// Splits "NAME=SOURCE"; names may contain '=': the longest that is an input's counts. Fails naming the inputs there are.
Result<InputArgument> ParseInputArgument(const std::vector<PortInfo>& inputs, const std::string& text);

/// What SOURCE says: FILE.npy, FILE.pb, a picture (.png .jpg .jpeg .bmp .gif .ppm .pgm .pnm), or text:WORDS, which is
/// a string tensor of one element. A picture fits itself to a four-dimensional
/// input, channels first or last, of floats (pixel / 255) or uint8; `note` then says how it was read.
Result<Datum> LoadInput(const PortInfo& port, const std::string& source, std::string* note);

/// How a picture becomes this input: layout, channels and size as declared (a side of 0: any), stretched, pixels / 255
/// (floats) or 0 to 255 (uint8). Fails unless the input is four-dimensional with 1 or 3 channels.
Result<ImageRecipe> RecipeOf(const PortInfo& port);

/// A float tensor as float, float16 or uint8 (rounded and clamped to [0, 255]).
Result<Tensor> ConvertFloats(const Tensor& tensor, DType dtype);

/// What a command runs a model on.
struct ChosenInputs {
  std::vector<Datum> data;              ///< kind kUnknown: left out
  std::vector<Type> types;
  std::vector<std::string> notes;       ///< how files were read, and which dimensions nothing said
  std::vector<std::string> random;      ///< a sentence for each input of random numbers
};
/// The inputs that `arguments` name ("NAME=SOURCE", or "NAME=random" for one with a default), the others random. Files come first:
/// their shapes say what symbols are worth to the random rest.
Result<ChosenInputs> ChooseInputs(const Session& session, const std::vector<std::string>& arguments, const ShapeOptions& shapes,
                                  uint64_t seed);

/// As Session::Run takes them. `data` must stay alive.
std::vector<Fact> FactsOf(const std::vector<Datum>& data);

}  // namespace linnet::cli
