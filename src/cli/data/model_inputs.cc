// Inputs for a model from what the command line says.
#include "cli/data/model_inputs.h"

#include <stdlib.h>

#include <cmath>

#include "base/float_types.h"

namespace linnet::cli {
namespace {

/// "'a', 'b' and 3 more".
std::string NameList(const std::vector<PortInfo>& ports) {
  constexpr size_t kShown = 8;
  std::string out;
  for (size_t i = 0; i < ports.size() && i < kShown; ++i) out += Cat(i > 0 ? ", " : "", Quote(ports[i].name));
  if (ports.size() > kShown) out += Cat(" and ", ports.size() - kShown, " more");
  return out.empty() ? "none" : out;
}

/// "NAME=VALUE" split at the last '='.
Result<std::pair<std::string, std::string>> SplitAssignment(const std::string& text, const char* option) {
  size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
    return InvalidArgument(option, " ", Quote(text), " is not of the form NAME=VALUE");
  }
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

/// The index of the input called `name`, or a sentence that says which there are.
Result<size_t> FindPort(const std::vector<PortInfo>& inputs, std::string_view name) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].name == name) return i;
  }
  return InvalidArgument("the model has no input ", Quote(name), "; it has ", NameList(inputs));
}

Result<int64_t> ParseDim(const std::string& text, const std::string& whole) {
  char* end = nullptr;
  long long value = strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end || value < 0 || value > kDimMax) return InvalidArgument(Quote(text), " in ", Quote(whole), " is no dimension");
  return static_cast<int64_t>(value);
}

/// SplitMix64: a small generator with good statistics; one state per tensor.
struct Random {
  uint64_t state;
  uint64_t Next() {
    uint64_t z = state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  double Uniform() { return (static_cast<double>(Next() >> 11) + 0.5) * 0x1p-53; }
  double Normal() { return std::sqrt(-2 * std::log(Uniform())) * std::cos(6.283185307179586 * Uniform()); }
};

}  // namespace

Result<std::vector<Type>> BindInputTypes(const Session& session, const ShapeOptions& options,
                                         std::vector<std::string>* unbound) {
  return BindInputTypes(session.inputs(), session.symbols(), options, nullptr, unbound);
}

Result<std::vector<Type>> BindInputTypes(const std::vector<PortInfo>& inputs, const SymbolTable& names,
                                         const ShapeOptions& options, const std::vector<Datum>* given,
                                         std::vector<std::string>* unbound) {
  std::map<std::string, int64_t> symbols;
  for (const std::string& text : options.dims) {
    LINNET_ASSIGN(auto assignment, SplitAssignment(text, "--dim"));
    LINNET_ASSIGN(int64_t dim, ParseDim(assignment.second, text));
    bool known = false;
    for (int i = 0; i < names.size(); ++i) known = known || names.name(SymbolDim(i)) == assignment.first;
    if (!known) return InvalidArgument("the model has no symbolic dimension ", Quote(assignment.first));
    symbols[assignment.first] = dim;
  }
  auto learn = [&](const Shape& declared, const Shape& shape) {
    for (int d = 0; declared.rank() == shape.rank() && d < shape.rank(); ++d) {
      if (IsSymbolDim(declared[d])) symbols.emplace(std::string(names.name(declared[d])), shape[d]);
    }
  };
  std::vector<Type> types;
  for (const PortInfo& port : inputs) types.push_back(port.type);
  for (size_t i = 0; given && i < inputs.size(); ++i) {
    const Type& type = (*given)[i].type;
    if (type.kind == Kind::kUnknown) continue;
    types[i] = type;
    if (type.is_tensor()) learn(inputs[i].type.shape, type.shape);
  }
  for (const std::string& text : options.shapes) {
    LINNET_ASSIGN(auto assignment, SplitAssignment(text, "--shape"));
    LINNET_ASSIGN(size_t index, FindPort(inputs, assignment.first));
    if (given && (*given)[index].type.kind != Kind::kUnknown) {
      return InvalidArgument("--shape ", Quote(text), ": this input's shape is its file's");
    }
    std::vector<int64_t> dims;
    std::string rest = assignment.second == "scalar" ? "" : assignment.second;
    while (!rest.empty()) {
      size_t x = rest.find_first_of("x,");
      LINNET_ASSIGN(int64_t dim, ParseDim(rest.substr(0, x), text));
      dims.push_back(dim);
      rest = x == std::string::npos ? "" : rest.substr(x + 1);
    }
    LINNET_ASSIGN(Shape shape, MakeShape(dims));
    Type& type = types[index];
    learn(inputs[index].type.shape, shape);
    type.shape = shape;
  }
  for (size_t i = 0; i < types.size(); ++i) {
    Type& type = types[i];
    if (!type.is_tensor() || inputs[i].has_default) continue;
    if (!type.shape.has_rank()) {
      return InvalidArgument("input ", Quote(inputs[i].name), " has no declared rank; give --shape");
    }
    for (int d = 0; d < type.shape.rank(); ++d) {
      if (IsKnownDim(type.shape[d])) continue;
      std::string name = IsSymbolDim(type.shape[d]) ? std::string(names.name(type.shape[d])) : "";
      auto at = symbols.find(name);
      if (at == symbols.end() && unbound && !name.empty()) unbound->push_back(name);
      if (!name.empty()) at = symbols.emplace(name, 1).first;
      type.shape[d] = name.empty() ? 1 : at->second;
    }
  }
  return types;
}

Result<std::vector<std::vector<Type>>> BindInputTypeSets(const Session& session, const ShapeOptions& options) {
  constexpr size_t kSetsMax = 64;
  auto name_of = [](const std::string& text) { return text.substr(0, text.rfind('=')); };
  std::vector<ShapeOptions> sets(1);
  auto spread = [&](const std::vector<std::string>& all, std::vector<std::string> ShapeOptions::* member) {
    std::map<std::string, std::vector<std::string>> by_name;
    for (const std::string& text : all) by_name[name_of(text)].push_back(text);
    for (const auto& [name, texts] : by_name) {
      std::vector<ShapeOptions> more;
      for (const ShapeOptions& set : sets) {
        for (const std::string& text : texts) {
          if (more.size() > kSetsMax) break;
          more.push_back(set);
          (more.back().*member).push_back(text);
        }
      }
      sets = std::move(more);
    }
  };
  spread(options.shapes, &ShapeOptions::shapes);
  spread(options.dims, &ShapeOptions::dims);
  if (sets.size() > kSetsMax) return InvalidArgument("these are more than ", kSetsMax, " combinations of sizes");
  std::vector<std::vector<Type>> out;
  for (const ShapeOptions& set : sets) {
    std::vector<std::string> unbound;
    LINNET_ASSIGN(std::vector<Type> types, BindInputTypes(session, set, &unbound));
    if (!unbound.empty()) return InvalidArgument("dimension ", Quote(unbound[0]), " has no size; give --dim ", unbound[0], "=N");
    out.push_back(std::move(types));
  }
  return out;
}

Result<Datum> RandomInput(const Type& type, uint64_t seed) {
  if (!type.is_tensor()) {
    return Unsupported("an input of type ", ToString(type), " cannot be filled at random");
  }
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(type.dtype, type.shape));
  Random random{seed * 0x2545F4914F6CDD1Dull + 1};
  int64_t count = tensor.elements();
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bit = (type.dtype != DType::kFloat && type.dtype != DType::kDouble) ? random.Next() >> 63 : 0;
    switch (type.dtype) {
      case DType::kFloat: tensor.mutable_as<float>()[i] = static_cast<float>(random.Normal()); break;
      case DType::kDouble: tensor.mutable_as<double>()[i] = random.Normal(); break;
      case DType::kFloat16: tensor.mutable_as<Float16>()[i] = ToFloat16(static_cast<float>(random.Normal())); break;
      case DType::kBfloat16: tensor.mutable_as<Bfloat16>()[i] = ToBfloat16(static_cast<float>(random.Normal())); break;
      case DType::kUint8: case DType::kInt8: case DType::kBool: tensor.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(bit); break;
      case DType::kUint16: case DType::kInt16: tensor.mutable_as<uint16_t>()[i] = static_cast<uint16_t>(bit); break;
      case DType::kUint32: case DType::kInt32: tensor.mutable_as<uint32_t>()[i] = static_cast<uint32_t>(bit); break;
      case DType::kUint64: case DType::kInt64: tensor.mutable_as<uint64_t>()[i] = bit; break;
      case DType::kString: break;
      default: return Unsupported("element type ", DTypeName(type.dtype), " cannot be filled at random");
    }
  }
  return Datum::Of(std::move(tensor));
}

Result<std::vector<Datum>> RandomInputs(const Session& session, const std::vector<Type>& types, uint64_t seed) {
  std::vector<Datum> data(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (session.inputs()[i].has_default) continue;
    Result<Datum> datum = RandomInput(types[i], seed + i);
    if (!datum.ok()) return datum.TakeStatus().At(Cat("input ", Quote(session.inputs()[i].name)));
    data[i] = std::move(*datum);
  }
  return data;
}

Result<ChosenInputs> ChooseInputs(const Session& session, const std::vector<std::string>& arguments, const ShapeOptions& shapes,
                                  uint64_t seed) {
  const std::vector<PortInfo>& ports = session.inputs();
  ChosenInputs out;
  out.data.resize(ports.size());
  std::vector<char> random(ports.size(), 0), named(ports.size(), 0);
  for (const std::string& text : arguments) {
    LINNET_ASSIGN(InputArgument argument, ParseInputArgument(ports, text));
    const PortInfo& port = ports[argument.input];
    if (named[argument.input]++) return InvalidArgument("input ", Quote(port.name), " is given twice");
    if (argument.source == "random") {
      random[argument.input] = 1;
      continue;
    }
    std::string note;
    LINNET_ASSIGN(out.data[argument.input], LoadInput(port, argument.source, &note));
    if (!note.empty()) out.notes.push_back(Cat("input ", Quote(port.name), ": ", note));
  }
  std::vector<std::string> unbound;
  LINNET_ASSIGN(out.types, BindInputTypes(ports, session.symbols(), shapes, &out.data, &unbound));
  for (const std::string& name : unbound) out.notes.push_back(Cat("dimension ", Quote(name), " is 1; set it with --dim NAME=N"));
  for (size_t i = 0; i < ports.size(); ++i) {
    if (out.data[i].type.kind != Kind::kUnknown || (ports[i].has_default && !random[i])) continue;
    Result<Datum> datum = out.types[i].is_tensor() && !out.types[i].shape.is_static()
                              ? Result<Datum>(InvalidArgument("its shape is unknown; give --shape"))
                              : RandomInput(out.types[i], seed + i);
    if (!datum.ok()) return datum.TakeStatus().At(Cat("input ", Quote(ports[i].name)));
    out.data[i] = std::move(*datum);
    out.random.push_back(Cat("input ", Quote(ports[i].name), ": random ", ToString(out.types[i])));
  }
  return out;
}

std::vector<Fact> FactsOf(const std::vector<Datum>& data) {
  std::vector<Fact> facts;
  for (const Datum& datum : data) {
    const void* contents = datum.type.is_tensor() ? datum.tensor.data() : static_cast<const void*>(&datum);
    facts.push_back({datum.type, datum.type.kind == Kind::kUnknown ? nullptr : contents});
  }
  return facts;
}

}  // namespace linnet::cli
