// The file of --overrides: what is asked for single tensors and nodes.
#pragma once

#include <map>
#include <string>

#include "quantize/plan.h"

namespace linnet::cli {

/// A JSON object by name of a node or tensor:
///     {"conv_1": {"exclude": true}, "image": {"range": [0, 1], "type": "u8"}, "fc.weight": {"symmetric": false, "per_channel": false}}
/// Fails naming the file, the name and the key that is wrong.
Result<std::map<std::string, quantize::Override>> LoadOverrides(const std::string& path);

}  // namespace linnet::cli
