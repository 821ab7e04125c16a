// Tree ensembles: where missing values go.
#include <math.h>

#include <optional>

#include "base/denormals.h"
#include "ops_test_util.h"

namespace linnet {
namespace {

using List = std::vector<int64_t>;

TEST(Trees, MissingValuesGoWhereTheModelSays) {
  // One question with the leaves 1 ("true") and 2 ("false"), whatever it asks: NaN is answered by the attribute alone.
  for (const char* mode : {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}) {
    for (int64_t tracks_true : {-1, 0, 1}) {   // -1: the attribute is left out
      OpCall call("TreeEnsembleRegressor", 3, "ai.onnx.ml");
      call.Set("nodes_treeids", List{0, 0, 0}).Set("nodes_nodeids", List{0, 1, 2}).Set("nodes_featureids", List{0, 0, 0});
      call.Set("nodes_truenodeids", List{1, 0, 0}).Set("nodes_falsenodeids", List{2, 0, 0}).Set("nodes_values", std::vector<float>{0.5f, 0, 0});
      call.Set("nodes_modes", std::vector<std::string>{mode, "LEAF", "LEAF"}).Set("n_targets", int64_t{1});
      call.Set("target_treeids", List{0, 0}).Set("target_nodeids", List{1, 2}).Set("target_ids", List{0, 0}).Set("target_weights", std::vector<float>{1, 2});
      if (tracks_true >= 0) call.Set("nodes_missing_value_tracks_true", List{tracks_true, 0, 0});
      call.In<float>({3, 1}, {NAN, NAN, NAN});
      EXPECT_EQ(Values<float>(call.RunFed(1)[0]), std::vector<float>(3, tracks_true == 1 ? 1.0f : 2.0f)) << mode << " " << tracks_true;
    }
  }
}

TEST(Trees, ZeroIsNotBelowZeroInAnyFloatingPointMode) {
  for (bool flushed : {false, true}) {
    std::optional<FlushDenormals> mode;
    if (flushed) mode.emplace();   // a model may be prepared in the mode that runs use
    OpCall call("TreeEnsembleRegressor", 3, "ai.onnx.ml");
    call.Set("nodes_treeids", List{0, 0, 0}).Set("nodes_nodeids", List{0, 1, 2}).Set("nodes_featureids", List{0, 0, 0});
    call.Set("nodes_truenodeids", List{1, 0, 0}).Set("nodes_falsenodeids", List{2, 0, 0}).Set("nodes_values", std::vector<float>{0, 0, 0});
    call.Set("nodes_modes", std::vector<std::string>{"BRANCH_LT", "LEAF", "LEAF"}).Set("n_targets", int64_t{1});
    call.Set("target_treeids", List{0, 0}).Set("target_nodeids", List{1, 2}).Set("target_ids", List{0, 0}).Set("target_weights", std::vector<float>{1, 2});
    call.In<float>({4, 1}, {-1e-30f, -0.0f, 0.0f, 1e-30f});
    EXPECT_EQ(Values<float>(call.RunFed(1)[0]), (std::vector<float>{1, 2, 2, 2})) << flushed;
  }
}

}  // namespace
}  // namespace linnet
