// Einsum against the sum over all index values, for many equations and types; refusals and inference.
#include <cmath>
#include <map>

#include "ops_test_util.h"

namespace linnet {
namespace {

struct Operand {
  std::string term;   ///< letters only
  Shape shape;
};

std::vector<float> Numbers(int64_t n, uint32_t seed) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) {
    seed = seed * 1664525 + 1013904223;
    out.push_back(static_cast<float>(static_cast<int>(seed >> 24) % 7 - 3));
  }
  return out;
}

std::vector<float> Expected(const std::vector<Operand>& operands, const std::vector<std::vector<float>>& values,
                            const std::string& output) {
  std::map<char, int64_t> sizes, index;
  for (const Operand& operand : operands) {
    for (int d = 0; d < operand.shape.rank(); ++d) {
      int64_t& size = sizes.try_emplace(operand.term[static_cast<size_t>(d)], 1).first->second;
      size = operand.shape[d] == 1 ? size : operand.shape[d];
    }
  }
  std::string all = output;
  for (auto [letter, size] : sizes) {
    if (output.find(letter) == std::string::npos) all += letter;
  }
  int64_t outputs = 1, terms = 1;
  for (size_t i = 0; i < all.size(); ++i) (i < output.size() ? outputs : terms) *= sizes[all[i]];
  std::vector<float> out;
  for (int64_t flat = 0; flat < outputs; ++flat) {
    float sum = 0;
    for (int64_t term = 0; term < terms; ++term) {
      int64_t rest = flat * terms + term;
      for (size_t i = all.size(); i-- > 0;) {
        index[all[i]] = rest % sizes[all[i]];
        rest /= sizes[all[i]];
      }
      float product = 1;
      for (size_t k = 0; k < operands.size(); ++k) {
        int64_t at = 0;
        for (int d = 0; d < operands[k].shape.rank(); ++d) {
          at = at * operands[k].shape[d] + (operands[k].shape[d] == 1 ? 0 : index[operands[k].term[static_cast<size_t>(d)]]);
        }
        product *= values[k][static_cast<size_t>(at)];
      }
      sum += product;
    }
    out.push_back(sum);
  }
  return out;
}

struct EinsumCase {
  std::string equation;
  std::vector<Operand> operands;   ///< ellipses written out
  std::string output;
};

const EinsumCase kCases[] = {
    {"ij,jk->ik", {{"ij", {3, 4}}, {"jk", {4, 5}}}, "ik"},
    {"ij,jk", {{"ij", {3, 4}}, {"jk", {4, 5}}}, "ik"},
    {"bij , bjk -> bik", {{"bij", {2, 30, 40}}, {"bjk", {2, 40, 20}}}, "bik"},
    {"bhid,bhjd->bhij", {{"bhid", {2, 3, 16, 8}}, {"bhjd", {2, 3, 12, 8}}}, "bhij"},
    {"ibnd,jbnd->bnij", {{"ibnd", {16, 2, 3, 8}}, {"jbnd", {12, 2, 3, 8}}}, "bnij"},
    {"bnij,jbnd->ibnd", {{"bnij", {2, 3, 16, 12}}, {"jbnd", {12, 2, 3, 8}}}, "ibnd"},
    {"ij->ji", {{"ij", {3, 4}}}, "ji"},
    {"ij->", {{"ij", {3, 4}}}, ""},
    {"ij->j", {{"ij", {3, 4}}}, "j"},
    {"ii->i", {{"ii", {4, 4}}}, "i"},
    {"ii", {{"ii", {4, 4}}}, ""},
    {"iij->ji", {{"iij", {3, 3, 4}}}, "ji"},
    {"i,j->ij", {{"i", {3}}, {"j", {4}}}, "ij"},
    {"i,i->", {{"i", {5}}, {"i", {5}}}, ""},
    {"bi,bi->bi", {{"bi", {3, 4}}, {"bi", {3, 4}}}, "bi"},
    {"bi,b->ib", {{"bi", {3, 4}}, {"b", {3}}}, "ib"},
    {"ij,kl->ik", {{"ij", {3, 4}}, {"kl", {2, 5}}}, "ik"},
    {"ij,jk,kl->il", {{"ij", {3, 4}}, {"jk", {4, 5}}, {"kl", {5, 6}}}, "il"},
    {"a,b,c,d->dbca", {{"a", {2}}, {"b", {3}}, {"c", {2}}, {"d", {3}}}, "dbca"},
    {"ij,ij,ij->i", {{"ij", {3, 4}}, {"ij", {3, 4}}, {"ij", {3, 4}}}, "i"},
    {"bA,Ab->Ab", {{"bA", {3, 4}}, {"Ab", {4, 3}}}, "Ab"},
    {"bA,Ac", {{"bA", {3, 4}}, {"Ac", {4, 2}}}, "bc"},
    {"...ij,...jk->...ik", {{"xyij", {2, 3, 4, 5}}, {"xyjk", {2, 3, 5, 6}}}, "xyik"},
    {"...ij,jk->...ik", {{"xyij", {2, 3, 4, 5}}, {"jk", {5, 6}}}, "xyik"},
    {"...i,...i", {{"xi", {3, 4}}, {"xi", {3, 4}}}, "x"},
    {"...i,...i->...", {{"yi", {3, 4}}, {"xyi", {2, 3, 4}}}, "xy"},
    {"i...->...i", {{"ixy", {2, 3, 4}}}, "xyi"},
    {"...ij->j", {{"xij", {2, 3, 4}}}, "j"},
    {"ij,jk->ik", {{"ij", {3, 1}}, {"jk", {4, 5}}}, "ik"},
    {"ij,jk->ik", {{"ij", {3, 0}}, {"jk", {0, 5}}}, "ik"},
    {"ij,jk->ik", {{"ij", {0, 3}}, {"jk", {3, 5}}}, "ik"},
    {"i,->i", {{"i", {3}}, {"", Shape::OfRank(0)}}, "i"},
    {"abcdefgh->hgfedcba", {{"abcdefgh", {2, 1, 2, 3, 1, 2, 2, 2}}}, "hgfedcba"},
    {"nhwpqc,nchpwq->c", {{"nhwpqc", {1, 2, 3, 2, 2, 3}}, {"nchpwq", {1, 3, 2, 2, 3, 2}}}, "c"},
};

template <class T>
void Check(const EinsumCase& t) {
  SCOPED_TRACE(std::string(DTypeName(kDTypeOf<T>)) + " " + t.equation);
  std::vector<std::vector<float>> values;
  OpCall call("Einsum", 12);
  call.Set("equation", t.equation);
  for (const Operand& operand : t.operands) {
    values.push_back(Numbers(operand.shape.elements(), static_cast<uint32_t>(values.size())));
    if constexpr (std::is_same_v<T, Float16>) {
      call.In(operand.shape, ToHalves<T>(values.back()));
    } else {
      call.In(operand.shape, std::vector<T>(values.back().begin(), values.back().end()));
    }
  }
  const auto expected = Expected(t.operands, values, t.output);
  for (int threads : {0, 2}) {
    Tensor y = threads ? call.RunFed(1, {}, threads)[0] : call.Run();
    EXPECT_EQ(y.shape().rank(), static_cast<int>(t.output.size()));
    ASSERT_EQ(y.elements(), static_cast<int64_t>(expected.size()));
    for (int64_t i = 0; i < y.elements(); ++i) {
      if constexpr (std::is_same_v<T, Float16>) {
        ASSERT_EQ(ToFloat(y.as<T>()[i]), ToFloat(ToFloat16(expected[static_cast<size_t>(i)]))) << i;
      } else {
        ASSERT_EQ(y.as<T>()[i], static_cast<T>(expected[static_cast<size_t>(i)])) << i;
      }
    }
  }
}

TEST(Einsum, EveryEquationAndType) {
  for (const EinsumCase& t : kCases) {
    Check<float>(t);
    Check<double>(t);
    Check<Float16>(t);
    Check<int32_t>(t);
    Check<int64_t>(t);
    Check<int16_t>(t);
  }
}

TEST(Einsum, Refuses) {
  auto error = [](const std::string& equation, int inputs = 2) {
    OpCall call("Einsum", 12);
    call.Set("equation", equation);
    for (int i = 0; i < inputs; ++i) call.In<float>({2, 2}, {1, 2, 3, 4});
    return call.Error();
  };
  EXPECT_EQ(error("ij,jk->ik"), "");
  for (const char* equation : {"ij->ik", "ij,jk->im", "ij,jk->ii", "ij,j1->i", "ij,jk-k", "i...j...,jk->i", "ijk,jk->i", "ij,jk->ik->k", "ij,..->i"}) {
    EXPECT_NE(error(equation), "") << equation;
  }
  EXPECT_NE(error(std::string(100000, 'a')), "");
  EXPECT_NE(error("abcdefghi,jk->a"), "");
  EXPECT_NE(error("ab,cd,ef,gh,ij->abcdefghij", 5), "");
  OpCall sizes("Einsum", 12);
  sizes.Set("equation", std::string("ij,jk->ik")).In<float>({1, 2}, {1, 2}).In<float>({3, 1}, {1, 2, 3});
  EXPECT_NE(sizes.Error().find("size 2 and 3"), std::string::npos);
}

TEST(Einsum, Infers) {
  OpCall call("Einsum", 12);
  call.Set("equation", std::string("bij,bjk->bik"));
  const int64_t b = SymbolDim(0);
  auto types = InferTypes(call, {{Type::Tensor(DType::kFloat, {b, 3, kUnknownDim})}, {Type::Tensor(DType::kFloat, {b, 4, 5})}});
  ASSERT_TRUE(types.ok());
  EXPECT_EQ((*types)[0].shape, (Shape{b, 3, 5}));
  types = InferTypes(call, {{Type::Tensor(DType::kFloat, Shape())}, {Type::Tensor(DType::kFloat, {2, 4, 5})}});
  ASSERT_TRUE(types.ok());
  EXPECT_EQ((*types)[0].shape, (Shape{2, kUnknownDim, 5}));
}

}  // namespace
}  // namespace linnet
