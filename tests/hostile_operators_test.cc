// Every operator with inputs and attributes nobody meant for it: a result or a sentence, never more.
#include <gtest/gtest.h>

#include <algorithm>

#include "fuzz/model_runs.h"
#include "ops/registry.h"
#include "proto_builder.h"

namespace linnet {
namespace {

using Dice = fuzz::Choices;

int64_t OddInteger(Dice& dice) {
  constexpr int64_t kOdd[] = {INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, -1, 1 << 30, int64_t{1} << 62, 77, -77};
  return dice.OneIn(4) ? kOdd[dice.Below(std::size(kOdd))] : dice.Below(5);
}
float OddFloat(Dice& dice) {
  constexpr float kOdd[] = {__builtin_nanf(""), __builtin_inff(), -__builtin_inff(), 1e38f, -1e38f, 1e-42f, -0.0f};
  return dice.OneIn(4) ? kOdd[dice.Below(std::size(kOdd))] : static_cast<float>(dice.Below(9)) / 2 - 2;
}

Datum OddInput(Dice& dice) {
  constexpr DType kCommon[] = {DType::kFloat, DType::kInt64, DType::kInt32, DType::kBool, DType::kUint8, DType::kInt8};
  DType dtype = dice.OneIn(4) ? static_cast<DType>(1 + dice.Below(kDTypeCount - 1)) : kCommon[dice.Below(std::size(kCommon))];
  if (dice.OneIn(2)) dtype = DType::kFloat;
  Shape shape = Shape::OfRank(static_cast<int>(dice.OneIn(8) ? dice.Below(kMaxRank + 1) : dice.Below(5)));
  for (int i = 0; i < shape.rank(); ++i) shape[i] = dice.OneIn(10) ? 0 : 1 + dice.Below(shape.rank() > 4 ? 2 : 4);
  Datum datum;
  if (dice.OneIn(12)) {
    datum.type.kind = dice.OneIn(2) ? Kind::kSequence : Kind::kOptional;
    datum.type.dtype = dtype;
    datum.present = !dice.OneIn(3);
    if (datum.present) datum.tensor = Tensor::Allocate(DType::kFloat, Shape{0}).value();
    datum.type.dtype = DType::kFloat;
    return datum;
  }
  Tensor tensor = Tensor::Allocate(dtype, shape).value();
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    switch (dtype) {
      case DType::kString: tensor.mutable_as<std::string>()[i] = dice.OneIn(2) ? "a b" : ""; break;
      case DType::kFloat: tensor.mutable_as<float>()[i] = OddFloat(dice); break;
      case DType::kDouble: tensor.mutable_as<double>()[i] = OddFloat(dice); break;
      case DType::kBool: tensor.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(dice.Below(2)); break;
      default: {
        int64_t value[2] = {OddInteger(dice), OddInteger(dice)};
        size_t bytes = std::min<size_t>(DTypeBytes(dtype), sizeof value);
        memcpy(tensor.mutable_as<char>() + static_cast<size_t>(i) * bytes, value, bytes);
        if (bytes == 0) memset(tensor.mutable_data(), static_cast<int>(dice.Below(256)), static_cast<size_t>(tensor.bytes()));
      }
    }
  }
  return Datum::Of(std::move(tensor));
}

Attribute OddAttribute(Dice& dice) {
  constexpr const char* kInts[] = {"axis", "keepdims", "group", "to", "ceil_mode", "storage_order", "count_include_pad", "p", "size",
                                   "blocksize", "largest", "sorted", "exclusive", "reverse", "batch_axis", "time_axis", "num_groups",
                                   "hidden_size", "linear_before_reset", "batch_dims", "allowzero", "fmod", "saturate", "onesided", "upper",
                                   "num_outputs", "select_last_index", "center_point_box", "output_height", "output_width", "sampling_ratio",
                                   "num_heads", "q_num_heads", "kv_num_heads", "is_causal", "transA", "transB", "noop_with_empty_axes",
                                   "block_size", "n_targets", "targets", "training_mode", "detect_positive", "dtype", "sample_size",
                                   "stash_type", "offset_group", "interleaved", "align_corners", "antialias", "new_axis", "k", "max_gram_length"};
  constexpr const char* kLists[] = {"axes", "kernel_shape", "pads", "strides", "dilations", "perm", "output_padding", "output_shape", "shape",
                                    "split", "starts", "ends", "repeats", "pooled_shape", "chunk_size", "nodes_nodeids", "nodes_featureids",
                                    "nodes_treeids", "keys_int64s", "values_int64s", "activation_qk"};
  constexpr const char* kFloats[] = {"alpha", "beta", "gamma", "epsilon", "bias", "lambd", "scale", "spatial_scale", "ratio", "clip",
                                     "threshold", "low", "high", "mean", "min", "max", "cubic_coeff_a", "extrapolation_value", "value", "softcap"};
  constexpr const char* kTexts[] = {"mode", "auto_pad", "equation", "direction", "reduction", "coordinate_transformation_mode", "nearest_mode",
                                    "approximate", "pattern", "delimiter", "norm", "post_transform", "case_change_action", "padding_mode",
                                    "keep_aspect_ratio_policy", "kernel_type", "locale"};
  constexpr const char* kWords[] = {"", "linear", "cubic", "nearest", "bilinear", "SAME_UPPER", "SAME_LOWER", "VALID", "ij,jk->ik", "...->", "LEFT",
                                    "forward", "bidirectional", "add", "max", "half_pixel", "tf_crop_and_resize", "reflect", "wrap", "edge", "(a*)*b",
                                    "L2", "SOFTMAX", "UPPER", "stretch", "RBF", "CRD", "asymmetric", "tanh"};
  Attribute attribute;
  switch (dice.Below(6)) {
    case 0:
    case 1:
      attribute.name = kInts[dice.Below(std::size(kInts))];
      attribute.payload = OddInteger(dice);
      break;
    case 2: {
      attribute.name = kLists[dice.Below(std::size(kLists))];
      std::vector<int64_t> values;
      for (int64_t n = dice.Below(6); n > 0; --n) values.push_back(OddInteger(dice));
      attribute.payload = std::move(values);
      break;
    }
    case 3:
      attribute.name = kFloats[dice.Below(std::size(kFloats))];
      attribute.payload = OddFloat(dice);
      break;
    case 4:
      attribute.name = kTexts[dice.Below(std::size(kTexts))];
      attribute.payload = std::string(kWords[dice.Below(std::size(kWords))]);
      break;
    default:
      attribute.name = dice.OneIn(2) ? "value" : "scales";
      if (dice.OneIn(2)) {
        attribute.payload = std::vector<float>{OddFloat(dice), OddFloat(dice)};
      } else {
        attribute.payload = OddInput(dice).tensor;
      }
  }
  return attribute;
}

TEST(HostileOperators, OddInputsAndAttributes) {
  constexpr int kTries = 250;
  int64_t worked = 0, refused = 0;
  for (const OpDef& def : OpTable::BuiltIn().rows()) {
    for (int attempt = 0; attempt < kTries; ++attempt) {
      Dice dice(static_cast<uint64_t>(attempt) * 7919 + std::hash<std::string_view>()(def.name.name) % 1000003);
      Node node;
      node.op = def.name.name;
      node.domain = def.name.domain;
      node.version = std::max(def.name.since, 1);
      std::vector<Datum> inputs;
      for (int64_t n = dice.Below(7); n > 0; --n) inputs.push_back(dice.OneIn(10) ? Datum() : OddInput(dice));
      // Often all of one type and shape, as most operators want.
      if (inputs.size() > 1 && dice.OneIn(3)) std::fill(inputs.begin() + 1, inputs.end(), inputs[0]);
      for (size_t i = 0; i < inputs.size(); ++i) node.inputs.push_back(inputs[i].type.kind == Kind::kUnknown ? kNoValue : static_cast<ValueId>(i));
      for (int64_t n = 1 + dice.Below(3); n > 0; --n) node.outputs.push_back(static_cast<ValueId>(inputs.size() + node.outputs.size()));
      for (int64_t n = dice.Below(5); n > 0; --n) {
        Attribute attribute = OddAttribute(dice);
        node.Set(attribute.name, std::move(attribute.payload));
      }
      std::string what = Cat(node.domain, ":", node.op, "-", node.version, ", attempt ", attempt, " (");
      for (const Datum& input : inputs) what += ToString(input.type) + " ";
      for (const Attribute& attribute : node.attributes) what += attribute.name + " ";
      SCOPED_TRACE(what);
      if (getenv("LINNET_TEST_VERBOSE")) fprintf(stderr, "%s)\n", what.c_str());  // before what may be a crash
      MemoryBudget budget(64 << 20);
      Result<std::vector<Datum>> result = Evaluate(OpTable::BuiltIn(), node, inputs, &budget, 1 << 20);
      if (result.ok()) {
        ++worked;
        continue;
      }
      ++refused;
      ASSERT_FALSE(result.status().message().empty());
      EXPECT_NE(result.status().code(), Code::kInternal) << result.status().message();
    }
  }
  EXPECT_GT(worked, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace linnet
