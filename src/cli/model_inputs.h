// Inputs for a model from what the command line says: shapes, symbol values, files, random numbers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/session.h"

namespace linnet::cli {

/// --shape NAME=1x3x224x224 and --dim SYMBOL=128, each repeatable.
struct ShapeOptions {
  std::vector<std::string> shapes, dims;
};

/// The type of every input with all dimensions known: declared numbers, then --shape, then --dim; what is left is 1.
/// `unbound`, when not null, receives the names of symbols that were set to 1 for want of a value.
Result<std::vector<Type>> BindInputTypes(const Session& session, const ShapeOptions& options,
                                         std::vector<std::string>* unbound = nullptr);

/// Random contents: floats N(0,1), integers and bools 0 or 1, strings empty. Equal seeds give equal contents.
Result<Datum> RandomInput(const Type& type, uint64_t seed);

/// Random data for all inputs but those with a default, which are left out (kind kUnknown).
Result<std::vector<Datum>> RandomInputs(const Session& session, const std::vector<Type>& types, uint64_t seed);

/// As Session::Run takes them. `data` must stay alive.
std::vector<Fact> FactsOf(const std::vector<Datum>& data);

}  // namespace linnet::cli
