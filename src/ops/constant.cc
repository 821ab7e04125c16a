// Constant and ConstantOfShape: tensors whose contents stand in the model.
//
// Constant has one of several attributes for its value (only `value` before version 12). It is normally folded into the
// graph; this is for a node that is met alone. ConstantOfShape fills a shape given as input.
#include "ops/movement.h"

namespace linnet {
namespace {

Tensor Strings(const Shape& shape, const std::vector<std::string>& values) {
  return Tensor::Of<std::string>(shape, values);
}

struct Constant {
  Tensor value;

  Status Parse(const Node& node) {
    for (const char* name : {"value", "sparse_value"}) {
      if (node.Has(name)) {
        LINNET_ASSIGN(value, node.TensorOf(name));
      }
    }
    if (node.Has("value_float")) {
      LINNET_ASSIGN(float number, node.Float("value_float", 0));
      value = Tensor::Scalar(number);
    }
    if (node.Has("value_int")) {
      LINNET_ASSIGN(int64_t number, node.Int("value_int", 0));
      value = Tensor::Scalar(number);
    }
    if (node.Has("value_floats")) {
      LINNET_ASSIGN(std::vector<float> numbers, node.Floats("value_floats"));
      value = Tensor::Of<float>({static_cast<int64_t>(numbers.size())}, numbers);
    }
    if (node.Has("value_ints")) {
      LINNET_ASSIGN(std::vector<int64_t> numbers, node.Ints("value_ints"));
      value = Tensor::Ints(numbers);
    }
    if (node.Has("value_string")) {
      LINNET_ASSIGN(std::string text, node.String("value_string", ""));
      value = Strings(Shape::OfRank(0), {text});
    }
    if (node.Has("value_strings")) {
      LINNET_ASSIGN(std::vector<std::string> texts, node.Strings("value_strings"));
      value = Strings({static_cast<int64_t>(texts.size())}, texts);
    }
    if (value.dtype() == DType::kUndefined) return InvalidModel("has no value attribute");
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(0, 0));
    return c.SetOutput(0, value.type());
  }
  Status Run(RunContext& c) const {
    CopyElements(value.dtype(), c.output(0), value.data(), value.elements());
    return Status();
  }
};

struct ConstantOfShape {
  Tensor value = Tensor::Scalar(0.0f);

  Status Parse(const Node& node) {
    if (!node.Has("value")) return Status();
    LINNET_ASSIGN(value, node.TensorOf("value"));
    if (!value.shape().is_static() || value.elements() != 1 || !value.has_data()) {
      return InvalidModel("attribute 'value' has shape ", ToString(value.shape()), " where one element is expected");
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kInt64)));
    if (!c.KnowsInts(0)) {
      bool counted = c.shape(0).rank() == 1 && IsKnownDim(c.shape(0)[0]) && c.shape(0)[0] <= kMaxRank;
      return c.SetOutput(0, value.dtype(), counted ? Shape::OfRank(static_cast<int>(c.shape(0)[0])) : Shape());
    }
    LINNET_ASSIGN(IntList list, IntList::OfInput(c, 0));
    if (list.size() > kMaxRank) return Unsupported("rank ", list.size(), " is above the limit of ", kMaxRank);
    Shape out = Shape::OfRank(static_cast<int>(list.size()));
    for (int i = 0; i < out.rank(); ++i) {
      if (list[i] < 0) return InvalidArgument("dimension ", i, " of the shape is ", list[i]);
      out[i] = list[i];
    }
    return c.SetOutput(0, value.dtype(), out);
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.output_shape(0).elements();
    const int bits = DTypeBits(value.dtype());
    if (bits == 2 || bits == 4) {
      uint8_t code = GetPacked(value.data(), 0, bits);
      for (int width = bits; width < 8; width *= 2) code = static_cast<uint8_t>(code | code << width);
      memset(c.output(0), code, static_cast<size_t>((count * bits + 7) / 8));
      return Status();
    }
    return ForWidth(bits, [&]<class T>() {
      const T element = *value.as<T>();
      T* out = c.out<T>(0);
      return c.ParallelFor(count, 4096, 0.1 * sizeof(T),
                           [&](int64_t begin, int64_t end, int) { std::fill(out + begin, out + end, element); });
    });
  }
};

}  // namespace

LINNET_OP(Constant, 1, Constant);
LINNET_OP(ConstantOfShape, 9, ConstantOfShape);

}  // namespace linnet
