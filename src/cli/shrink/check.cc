// Writing a case, running it, reading what came out.
#include "cli/shrink/check.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/process.h"

namespace linnet::cli {
namespace {

Status WriteWhole(const std::string& path, const void* data, int64_t bytes) {
  return WriteFileAtomically(path, [&](Sink& sink) { return sink.Append(data, bytes); });
}

Result<std::string> ReadText(const std::string& path) {
  FileOptions access;
  access.access = FileAccess::kRead;
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, access));
  return std::string(file->bytes());
}

bool IsPlain(const Type& type) { return type.is_tensor() && type.dtype != DType::kString; }

/// What a program that failed printed last, on one line.
std::string LastWords(const std::string& log) {
  Result<std::string> text = ReadText(log);
  if (!text.ok()) return "";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return text->substr(text->rfind('\n') == text->npos ? 0 : text->rfind('\n') + 1);
}

/// The type in a line "NUMBER D D ...", in decimal.
Result<Type> ReadType(const std::string& line) {
  char* at = nullptr;
  const long dtype = strtol(line.c_str(), &at, 10);
  std::vector<int64_t> dims;
  for (char* end = at;; at = end) {
    const int64_t dim = strtoll(at, &end, 10);
    if (end == at) break;
    dims.push_back(dim);
  }
  LINNET_ASSIGN(Shape shape, MakeShape(dims));
  return Type::Tensor(static_cast<DType>(dtype), shape);
}

}  // namespace

Result<CheckCase> MakeCheckCase(const std::string& path, const SessionOptions& options, const ShapeOptions& shapes,
                                const std::string& folder) {
  LINNET_ASSIGN(std::unique_ptr<Session> session, Session::Open(path, options));
  LINNET_ASSIGN(std::vector<Type> types, BindInputTypes(*session, shapes));
  LINNET_ASSIGN(std::vector<Datum> inputs, RandomInputs(*session, types, 1));
  std::string list;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type.kind == Kind::kUnknown) {
      list += "-\n";
      continue;
    }
    if (!IsPlain(inputs[i].type)) return Unsupported("input ", Quote(session->inputs()[i].name), " is no tensor of numbers");
    const Tensor& tensor = inputs[i].tensor;
    list += Cat(static_cast<int>(tensor.dtype()));
    for (int64_t dim : tensor.shape()) list += Cat(" ", dim);
    list += "\n";
    LINNET_TRY(WriteWhole(Cat(folder, "/input_", i, ".bin"), tensor.data(), tensor.bytes()));
  }
  LINNET_TRY(WriteWhole(Cat(folder, "/inputs"), list.data(), static_cast<int64_t>(list.size())));
  CheckCase check;
  check.folder = folder;
  std::vector<Fact> facts = FactsOf(inputs);
  std::vector<RunOutput> outputs(session->outputs().size());
  LINNET_TRY(session->Run(facts.data(), outputs.data()));
  for (size_t i = 0; i < outputs.size(); ++i) {
    check.names.push_back(session->outputs()[i].name);
    if (!IsPlain(outputs[i].datum.type)) return Unsupported("output ", Quote(check.names[i]), " is no tensor of numbers");
    // Outputs may lie in the session's memory.
    const Tensor& tensor = outputs[i].datum.tensor;
    LINNET_ASSIGN(Tensor copy, Tensor::Allocate(tensor.dtype(), tensor.shape()));
    std::copy_n(tensor.as<char>(), tensor.bytes(), static_cast<char*>(copy.mutable_data()));
    check.expected.push_back(Datum::Of(std::move(copy)));
  }
  return check;
}

std::string RunCheckCase(const CheckCase& check, const Runner& runner, const std::string& program, const std::string& model,
                         const Tolerance& tolerance, Difference* worst) {
  const std::string log = check.folder + "/log", list = check.folder + "/outputs";
  std::error_code ignored;
  std::filesystem::remove(log, ignored);
  std::filesystem::remove(list, ignored);
  std::vector<std::string> command = runner.command;
  command.insert(command.end(), {program, model, check.folder});
  Result<int> code = RunProcess(command, log);
  if (!code.ok()) return std::string(code.status().message());
  if (*code != 0) return Cat("exit code ", *code, ": ", LastWords(log));
  Result<std::string> lines = ReadText(list);
  if (!lines.ok()) return std::string(lines.status().message());
  size_t at = 0;
  for (size_t i = 0; i < check.expected.size(); ++i) {
    const size_t end = std::min(lines->find('\n', at), lines->size());
    Result<Type> type = ReadType(lines->substr(at, end - at));
    at = std::min(end + 1, lines->size());
    Result<std::string> bytes = ReadText(Cat(check.folder, "/output_", i, ".bin"));
    if (!type.ok() || !bytes.ok()) return Cat("output ", Quote(check.names[i]), " was not written");
    const Tensor& expected = check.expected[i].tensor;
    if (type->dtype != expected.dtype() || type->shape != expected.shape() || static_cast<int64_t>(bytes->size()) != expected.bytes()) {
      return Cat("output ", Quote(check.names[i]), " is ", ToString(*type), " where the full build's is ", ToString(expected.type()));
    }
    // A file's contents may lie at any address.
    Result<Tensor> actual = Tensor::Allocate(type->dtype, type->shape);
    if (!actual.ok()) return std::string(actual.status().message());
    std::copy(bytes->begin(), bytes->end(), static_cast<char*>(actual->mutable_data()));
    const Difference difference = Measure(*actual, expected);
    worst->max_abs = std::max(worst->max_abs, difference.max_abs);
    worst->max_rel = std::max(worst->max_rel, difference.max_rel);
    std::string wrong = Compare(Datum::Of(std::move(*actual)), check.expected[i], tolerance);
    if (!wrong.empty()) return Cat("output ", Quote(check.names[i]), ": ", wrong);
  }
  return "";
}

}  // namespace linnet::cli
