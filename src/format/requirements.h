// Which operators, versions and element types models need: the configuration of a reduced build, and its text form.
//
//     # the digits model
//     !globally_allowed_types;float,int8_t
//     ai.onnx;13,17;Softmax,Cast{"inputs":{"0":["float"]},"outputs":{"0":["int64_t"]}}
//     linnet;1;Conv
//
// * A line names a domain ("ai.onnx" is the empty one), opset versions of it and operators: for each operator, what a model
//   of these versions means by its name. Types in braces, by the number of the input or output, may restrict it: without
//   braces the operator is needed for every type. "custom" is an array whose members are kept as they are.
// * `#` begins a comment; whole-line comments belong to the line below.
// * `!globally_allowed_types` restricts every operator; `!no_ops_specified_means_all_ops_are_required` has no values.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace linnet {

/// One version of an operator that exists somewhere. Sorted or not; `domain` "" is ai.onnx.
struct KnownOperator {
  std::string_view domain, name;
  int since = 1;
};

/// Sets of element types (bits: Mask of dtype.h) an operator is needed for, by the number of the input or output.
struct RequiredTypes {
  bool any = true;                         ///< nothing is said: every type
  std::map<int, uint32_t> inputs, outputs;
  std::vector<std::string> custom;         ///< JSON values, as they were
  bool operator==(const RequiredTypes&) const = default;
};

struct RequiredOperator {
  std::string name;
  RequiredTypes types;
  bool operator==(const RequiredOperator&) const = default;
};

struct RequirementsLine {
  std::vector<std::string> comments;       ///< whole lines above, `#` included; empty lines are ""
  std::string directive;                   ///< "globally_allowed_types" ...; "" for a line of operators
  uint32_t types = 0;                      ///< of globally_allowed_types
  std::string domain;                      ///< "" is ai.onnx
  std::vector<int> opsets;                 ///< ascending
  std::vector<RequiredOperator> operators;
  std::string comment;                     ///< behind the line, `#` included
};

/// A configuration. Lines stay in order; what is added goes into the line of the same domain and versions.
class Requirements {
 public:
  /// Fails naming the line, and what it may have meant to say, when the text breaks the grammar or names an operator,
  /// version, type or directive that does not exist. `known` lists the operators there are.
  static Result<Requirements> Parse(std::string_view text, std::span<const KnownOperator> known);

  /// Adds that `op` of this domain and version is needed for `types`.
  void Add(std::string_view domain, int version, std::string_view op, const RequiredTypes& types);

  /// Adds what the nodes of `graph` and its subgraphs are and, where types have been inferred, which element types they
  /// have: of all inputs, and of outputs that no input has the type of.
  void Add(const Graph& graph);

  /// Adds everything `other` says. An operator that either needs for every type is needed for every type. When only one
  /// of them has globally_allowed_types, the types of the other's operators join; when those are any, nothing restricts
  /// the whole any more and the line becomes a comment.
  void Merge(const Requirements& other);

  /// The text; reading it gives the same configuration.
  std::string Write() const;

  /// True when no operator is listed.
  bool empty() const;
  const std::vector<RequirementsLine>& lines() const { return lines_; }

 private:
  void AddLine(const RequirementsLine& line);
  RequirementsLine* Find(const RequirementsLine& like);
  uint32_t UsedTypes(bool* any) const;

  std::vector<RequirementsLine> lines_;
  std::vector<std::string> end_comments_;  ///< behind the last line
};

/// True when `bytes` look like a configuration rather than a model: text whose first line that says something is a
/// comment, a directive or has the form of a line.
bool IsRequirementsText(std::string_view bytes);

/// The name among `names` that `word` most likely meant: the fewest edits, at most a third of its length and one, case
/// not counting; "" when none is near.
std::string_view NearestName(std::string_view word, std::span<const std::string_view> names);

}  // namespace linnet
