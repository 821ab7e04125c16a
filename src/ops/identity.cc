// Identity: the input itself, of any type.
#include "ops/movement.h"

namespace linnet {
namespace {

struct Identity {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    if (c.type(0).is_tensor()) c.Alias(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    if (c.input_type(0).is_tensor()) {
      CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
    } else {
      c.output_datum(0) = c.input_datum(0);
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(Identity, 1, Identity);

}  // namespace linnet
