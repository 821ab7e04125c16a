// Graphs as text, one node a line, for tests of passes and for looking into models.
//
//     graph g (x: float[1,3,N], k: int64[] = int64[]{3}) -> (y) {
//       t: float[1,3,N] = Relu-14(x)
//       w = const float[2,2]{1, 2, 3, 4}
//       a, _ = linnet:Split-1(t, w, _) {axis=1, ratio=0.5, pads=[1, 1], mode="same"} @layer1/split
//       y = If-16(c) {then_branch=graph then () captures (u: float[2] = a) -> (u) {
//       }, else_branch=graph else () -> (v) {
//         v = RandomNormal-1() {shape=[2]}
//       }}
//     }
//
// `name: type = [domain:]Op-version(inputs) {attributes} @node name`. `_` is an input or output that is left out; the
// type is missing when unknown. Names other than letters, digits, '_', '.' and '/' are in double quotes with \n, \t, \",
// \\ and \xNN. Attributes: 1 INT, 1.0 FLOAT, "" STRING, [1, 2] INTS, [1.0] FLOATS, [""] STRINGS, floats[] and strings[]
// when empty, int64[2]{1, 2} TENSOR, tensors[...], graph ..., graphs[...], type(float[2]). A tensor's numbers are decimal where
// that says all of them, else bits (0x7fc00001). `captures (inner: type = outer)`; `= const outer` when the captured value
// is a constant inside too. `#` starts a comment.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace linnet {

struct PrintOptions {
  /// Constants of more elements print as {...}, which does not parse.
  int64_t elements_max = INT64_MAX;
};

/// Nodes in topological order, each constant before the first node that reads it. Values and nodes left over from edits
/// are not printed; names are made unique.
std::string PrintGraph(const Graph& graph, const PrintOptions& options = {});
/// "float[2]{1, 2}".
std::string PrintTensor(const Tensor& tensor, const PrintOptions& options = {});

/// The graph that prints as `text`. Lines may be in any order; cycles are not looked for. Fails with "line:column: ...".
Result<Graph> ParseGraph(std::string_view text);

}  // namespace linnet
