// TensorProto → Tensor.
#include "onnx/tensor_proto.h"

#include <string.h>

#include "onnx/fields.h"

namespace linnet {
namespace {

template <class F>
void Each(protozero::pbf_reader& r, F&& f, auto packed, auto single) {
  if (r.wire_type() == protozero::pbf_wire_type::length_delimited) {
    for (auto v : packed()) f(v);
  } else {
    f(single());
  }
}

}  // namespace

Result<Tensor> ReadTensorProto(protozero::data_view bytes, const std::shared_ptr<const void>& owner, std::string* name) {
  protozero::pbf_reader r(bytes);
  std::vector<int64_t> dims;
  int64_t type = 0;
  std::string out;
  std::vector<std::string> strings;
  bool raw = false;
  protozero::data_view raw_view;
  std::vector<uint64_t> words;
  std::vector<float> floats;
  std::vector<double> doubles;
  namespace t = onnx::tensor;
  while (r.next()) {
    switch (r.tag()) {
      case t::kDims: Each(r, [&](int64_t v) { dims.push_back(v); }, [&] { return r.get_packed_int64(); }, [&] { return r.get_int64(); }); break;
      case t::kDataType: type = r.get_int32(); break;
      case t::kFloatData: Each(r, [&](float v) { floats.push_back(v); }, [&] { return r.get_packed_float(); }, [&] { return r.get_float(); }); break;
      case t::kDoubleData: Each(r, [&](double v) { doubles.push_back(v); }, [&] { return r.get_packed_double(); }, [&] { return r.get_double(); }); break;
      case t::kInt32Data: Each(r, [&](int32_t v) { words.push_back(static_cast<uint64_t>(static_cast<int64_t>(v))); }, [&] { return r.get_packed_int32(); }, [&] { return r.get_int32(); }); break;
      case t::kInt64Data: Each(r, [&](int64_t v) { words.push_back(static_cast<uint64_t>(v)); }, [&] { return r.get_packed_int64(); }, [&] { return r.get_int64(); }); break;
      case t::kUint64Data: Each(r, [&](uint64_t v) { words.push_back(v); }, [&] { return r.get_packed_uint64(); }, [&] { return r.get_uint64(); }); break;
      case t::kStringData: { auto v = r.get_view(); strings.emplace_back(v.data(), v.size()); break; }
      case t::kName: { auto v = r.get_view(); name->assign(v.data(), v.size()); break; }
      case t::kRawData: raw_view = r.get_view(); raw = true; break;
      default: r.skip();
    }
  }
  if (!IsKnown(type)) return InvalidModel("tensor ", Quote(*name), " has unknown element type ", type);
  DType dtype = static_cast<DType>(type);
  LINNET_ASSIGN(Shape shape, MakeShape(dims));
  if (!shape.is_static()) return InvalidModel("tensor ", Quote(*name), " has negative dimensions");
  LINNET_TRY(CheckShape(shape));
  LINNET_ASSIGN(int64_t need, ByteSize(dtype, shape.elements()));
  if (raw && dtype != DType::kString) {
    if (static_cast<int64_t>(raw_view.size()) != need) return InvalidModel("tensor ", Quote(*name), " has ", raw_view.size(), " bytes of ", need);
    if (reinterpret_cast<uintptr_t>(raw_view.data()) % 8 == 0) return Tensor::View(dtype, shape, raw_view.data(), owner);
  }
  size_t have = dtype == DType::kString ? strings.size() : raw ? 0 : !floats.empty() ? floats.size() : !doubles.empty() ? doubles.size() : words.size();
  bool complex = dtype == DType::kComplex64 || dtype == DType::kComplex128;
  int bits = DTypeBits(dtype);
  int64_t want = bits > 0 && bits < 8 ? need : shape.elements() * (complex ? 2 : 1);
  if (!raw && static_cast<int64_t>(have) != want) return InvalidModel("tensor ", Quote(*name), " has ", have, " elements of ", want);
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(dtype, shape));
  if (raw && dtype != DType::kString) {
    memcpy(tensor.mutable_data(), raw_view.data(), raw_view.size());
    return tensor;
  }
  size_t width = bits == 0 ? 0 : bits < 8 ? 1 : static_cast<size_t>(bits) / 8;
  for (size_t i = 0; i < have; ++i) {
    auto* at = tensor.mutable_as<char>() + i * (complex ? width / 2 : width);
    if (dtype == DType::kString) tensor.mutable_as<std::string>()[i] = strings[i];
    else if (!floats.empty()) memcpy(at, &floats[i], 4);
    else if (!doubles.empty()) memcpy(at, &doubles[i], 8);
    else memcpy(at, &words[i], width);
  }
  return tensor;
}

}  // namespace linnet
