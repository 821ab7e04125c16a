// TensorProto → Tensor.
#pragma once

#include <protozero/pbf_reader.hpp>

#include "graph/graph.h"

namespace linnet {

Result<Tensor> ReadTensorProto(protozero::data_view bytes, const std::shared_ptr<const void>& owner, std::string* name);

}  // namespace linnet
