// Random models of com.microsoft's fused operators, which the pass `lower` takes apart, and of those that are run as they are.
#include "fuzz/check.h"
#include "reference_test_util.h"

namespace linnet {
namespace {

using Attributes = RandomModel::Attributes;
constexpr char kMicrosoft[] = "com.microsoft";
constexpr Agreement kSum = {1e-4};

/// A mask of integers in one of its forms, which shows the first key, or, with beginnings, one: where all are hidden, what is left of
/// the scores beside -10000 is rounded.
ValueId MaskOf(Choices& c, RandomModel& m, int64_t batch, int64_t queries, int64_t keys, bool beginnings) {
  const int64_t form = c.Int(0, beginnings ? 4 : 2);
  auto ints = [&](const Shape& shape) { return *Tensor::Allocate(DType::kInt32, shape); };
  if (form < 2) {
    Tensor mask = ints(form == 0 ? Shape{batch, keys} : Shape{batch, queries, keys});
    for (int64_t i = 0; i < mask.elements(); ++i) mask.mutable_as<int32_t>()[i] = i % keys == 0 || c.Coin();
    return m.Input(mask);
  }
  if (form == 4) return m.Input(m.Numbers(DType::kInt32, Shape{c.Coin() ? 1 : batch, 1}, 0, 2));
  Tensor mask = ints(Shape{form == 3 ? 2 * batch : batch});
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t end = c.Int(1, keys);
    mask.mutable_as<int32_t>()[b] = static_cast<int32_t>(end);
    if (form == 3) mask.mutable_as<int32_t>()[batch + b] = static_cast<int32_t>(c.Int(0, end - 1));
  }
  return m.Input(mask);
}

void SetScales(Choices& c, Attributes* attributes) {
  if (c.OneIn(4)) attributes->push_back({"scale", 0.3f});
  if (c.OneIn(4)) attributes->push_back({"mask_filter_value", -300.0f});
}

ValueId MultiHead(Choices& c, RandomModel& m, DType dtype) {
  const int64_t batch = c.Int(1, 3), heads = c.Int(1, 4), queries = c.Int(1, 9), size = c.Int(1, 20);
  const int64_t form = c.Int(0, 9);   // 8: keys and values packed, 9: all packed, 7: caches as they are
  const int64_t keys = c.Coin() || form == 9 ? queries : c.Int(1, 40), value_size = c.Coin() || form > 7 ? size : c.Int(1, 12);
  auto real = [&](const Shape& shape) { return m.Input(m.Numbers(dtype, shape, -2, 2), true); };
  std::vector<ValueId> inputs;
  if (form == 9) {
    inputs = {real(Shape{batch, queries, heads, 3, size}), kNoValue, kNoValue};
  } else if (form == 8) {
    inputs = {real(Shape{batch, queries, heads * size}), real(Shape{batch, keys, heads, 2, size}), kNoValue};
  } else if (form == 7) {
    inputs = {real(Shape{batch, queries, heads * size}), real(Shape{batch, heads, keys, size}), real(Shape{batch, heads, keys, value_size})};
  } else {
    inputs = {real(Shape{batch, queries, heads * size}), real(Shape{batch, keys, heads * size}), real(Shape{batch, keys, heads * value_size})};
  }
  inputs.resize(8, kNoValue);
  if (form < 7 && c.Coin()) inputs[3] = m.Input(m.Numbers(dtype, Shape{heads * (2 * size + value_size)}, -1, 1));
  const int64_t past = form < 7 && c.OneIn(3) ? c.Int(1, 8) : 0, total = past + keys;
  const bool causal = c.OneIn(4);
  if (c.Coin()) inputs[4] = MaskOf(c, m, batch, queries, total, false);
  if (c.OneIn(3)) inputs[5] = m.Input(m.Numbers(dtype, Shape{c.Coin() ? batch : 1, c.Coin() ? heads : 1, queries, total}, -1, 1));
  if (past > 0) inputs[6] = real(Shape{batch, heads, past, size}), inputs[7] = real(Shape{batch, heads, past, value_size});
  if (past > 0 && value_size != size) m.NoPeer();
  Attributes attributes = {{"num_heads", heads}};
  SetScales(c, &attributes);
  if (causal) attributes.push_back({"unidirectional", int64_t{1}});
  const bool presents = past > 0 || c.OneIn(4), scores = !causal && c.OneIn(6);
  const std::vector<ValueId> all = m.Add("MultiHeadAttention", inputs, attributes, scores ? 4 : presents ? 3 : 1, kMicrosoft);
  for (size_t i = 1; i < all.size(); ++i) m.Output(all[i]);
  if (scores) m.SetType(all[3], Type::Tensor(dtype, Shape::OfRank(4)));
  return all[0];
}

/// Attention, or QAttention.
ValueId AttentionOfInput(Choices& c, RandomModel& m, DType dtype, bool quantized) {
  const int64_t batch = c.Int(1, 3), heads = c.Int(1, 4), queries = c.Int(1, 20), size = c.Int(1, 12), depth = c.Int(1, 30);
  const bool uneven = !quantized && c.OneIn(3);
  const int64_t value_size = uneven ? c.Int(1, 12) : size, columns = heads * (2 * size + value_size);
  const int64_t past = !uneven && c.OneIn(3) ? c.Int(1, 8) : 0, total = past + queries;
  const ValueId bias = m.Input(m.Numbers(dtype, Shape{columns}, -1, 1));
  const bool causal = c.OneIn(4);
  const ValueId mask = c.Coin() ? MaskOf(c, m, batch, queries, total, !causal) : kNoValue;
  const ValueId before = past > 0 ? m.Input(m.Numbers(dtype, Shape{2, batch, heads, past, size}, -1, 1), true) : kNoValue;
  std::vector<ValueId> inputs;
  if (quantized) {
    const DType a = c.Of({DType::kUint8, DType::kInt8}), b = c.Of({DType::kInt8, DType::kUint8});
    const Shape one = c.Coin() ? Shape::OfRank(0) : Shape{1}, each = c.Coin() ? Shape{columns} : one;
    inputs = {m.Input(m.Bits(a, Shape{batch, queries, depth}), true), m.Input(m.WeightBits(b, Shape{depth, columns})), bias,
              m.Input(m.Floats(one, 0.005, 0.02)), m.Input(m.Floats(each, 0.002, 0.01)), mask, m.Input(m.Bits(a, one)),
              m.Input(m.Bits(b, each)), before};
  } else {
    inputs = {m.Input(m.Numbers(dtype, Shape{batch, queries, depth}, -1, 1), true), m.Input(m.Numbers(dtype, Shape{depth, columns}, -0.5, 0.5)),
              bias, mask, before};
    if (past == 0 && c.OneIn(3)) inputs.push_back(m.Input(m.Numbers(dtype, Shape{c.Coin() ? batch : 1, c.Coin() ? heads : 1, queries, total}, -1, 1)));
  }
  Attributes attributes = {{"num_heads", heads}};
  if (uneven) attributes.push_back({"qkv_hidden_sizes", std::vector<int64_t>{heads * size, heads * size, heads * value_size}});
  SetScales(c, &attributes);
  if (causal) attributes.push_back({"unidirectional", int64_t{1}});
  const bool present = past > 0 || (!uneven && c.OneIn(4));
  const std::vector<ValueId> all = m.Add(quantized ? "QAttention" : "Attention", inputs, attributes, present ? 2 : 1, kMicrosoft);
  if (present) m.Output(all[1]);
  return all[0];
}

ValueId Embedding(Choices& c, RandomModel& m, DType dtype) {
  const int64_t batch = c.Int(1, 3), length = c.Int(1, 9), size = c.Int(2, 40), words = c.Int(1, 20), positions = length + c.Int(0, 5);
  auto ids = [&](int64_t rows, int64_t below) { return m.Input(m.Numbers(DType::kInt32, Shape{rows, length}, 0, static_cast<double>(below)), true); };
  auto table = [&](const Shape& shape) { return m.Input(m.Numbers(dtype, shape, -1, 1)); };
  const bool segments = c.Coin();
  std::vector<ValueId> inputs = {ids(batch, words), segments ? ids(batch, 2) : kNoValue, table(Shape{words, size}), table(Shape{positions, size}),
                                 segments ? table(Shape{2, size}) : kNoValue, table(Shape{size}), table(Shape{size})};
  inputs.push_back(c.Coin() ? ids(batch, 2) : kNoValue);
  inputs.push_back(c.Coin() ? ids(c.Coin() ? batch : 1, positions) : kNoValue);
  Attributes attributes;
  if (c.Coin()) attributes.push_back({"epsilon", 1e-3f});
  const std::vector<ValueId> all = m.Add("EmbedLayerNormalization", inputs, attributes, c.Coin() ? 3 : 2, kMicrosoft);
  for (size_t i = 1; i < all.size(); ++i) m.Output(all[i]);
  return all[0];
}

ValueId Rotary(Choices& c, RandomModel& m, DType dtype) {
  const int64_t batch = c.Int(1, 3), heads = c.Int(1, 4), length = c.Int(1, 9), half = c.Int(1, 3) * 4, rest = c.OneIn(3) ? 8 * c.Int(1, 2) : 0;
  const int64_t size = 2 * half + rest, positions = length + c.Int(0, 9);
  const bool four = c.Coin();
  const ValueId x = m.Input(m.Numbers(dtype, four ? Shape{batch, heads, length, size} : Shape{batch, length, heads * size}, -2, 2), true);
  Tensor ids = *Tensor::Allocate(DType::kInt64, c.Coin() ? Shape{1} : Shape{batch, length});
  for (int64_t i = 0; i < ids.elements(); ++i) ids.mutable_as<int64_t>()[i] = c.Int(0, positions - (ids.shape().rank() == 1 ? length : 1));
  const Shape caches{positions, half};
  Attributes attributes = {{"interleaved", c.Int(0, 1)}};
  if (rest > 0) attributes.push_back({"rotary_embedding_dim", 2 * half});
  if (rest > 0 || (!four && c.Coin())) attributes.push_back({"num_heads", heads});
  return m.Add("RotaryEmbedding", {x, m.Input(ids), m.Input(m.Numbers(dtype, caches)), m.Input(m.Numbers(dtype, caches))}, attributes, 1, kMicrosoft)[0];
}

/// A prompt, tokens that follow one, or several, in a cache with room or one that grows.
ValueId GroupQuery(Choices& c, RandomModel& m, DType dtype) {
  const int64_t kv_heads = c.Int(1, 3), heads = kv_heads * c.Int(1, 3), size = 16 * c.Int(1, 2), form = c.Int(0, 2);   // prompt, token, tokens
  const int64_t batch = form == 2 ? 1 : c.Int(1, 3), length = form == 1 ? 1 : c.Int(2, 9), before = form == 0 ? 0 : c.Int(1, 12), total = before + length;
  const bool room = c.Coin(), packed = c.Coin();
  const int64_t past = room ? total + c.Int(0, 5) : before;
  auto real = [&](const Shape& shape, double low = -2) { return m.Numbers(dtype, shape, low, 2); };
  std::vector<ValueId> inputs = {m.Input(real(Shape{batch, length, (packed ? heads + 2 * kv_heads : heads) * size}), true), kNoValue, kNoValue};
  for (size_t i = 1; i < 3 && !packed; ++i) inputs[i] = m.Input(real(Shape{batch, length, kv_heads * size}), true);
  Tensor lengths = *Tensor::Allocate(DType::kInt32, Shape{batch});
  for (int64_t b = 0; b < batch; ++b) {
    const bool shorter = form == 1 && before > 1 && c.Coin();
    lengths.mutable_as<int32_t>()[b] = static_cast<int32_t>(total - 1 - (shorter ? c.Int(1, before - 1) : 0));
  }
  for (size_t i = 3; i < 5; ++i) {
    Tensor cache = real(Shape{batch, kv_heads, past, size});
    // Behind what is filled ONNX Runtime's answer is not defined.
    for (int64_t j = 0; j < cache.elements(); ++j) {
      const int64_t b = j / (kv_heads * past * size), p = j / size % past;
      if (p > lengths.as<int32_t>()[b] - length) Put(cache, j, 0);
    }
    inputs.push_back(past == 0 ? kNoValue : m.Input(std::move(cache), true));
  }
  inputs.push_back(m.Input(lengths, true));
  const int32_t whole[] = {static_cast<int32_t>(total)};
  inputs.push_back(m.Input(c.Coin() ? Tensor::Scalar(whole[0]) : Tensor::Of<int32_t>({1}, whole)));
  inputs.resize(12, kNoValue);
  Attributes attributes = {{"num_heads", heads}, {"kv_num_heads", kv_heads}};
  if (c.Coin()) {
    const Shape caches{total + c.Int(0, 9), c.Coin() ? size / 2 : 8};
    inputs[7] = m.Input(real(caches)), inputs[8] = m.Input(real(caches));
    attributes.insert(attributes.end(), {{"do_rotary", int64_t{1}}, {"rotary_interleaved", c.Int(0, 1)}});
    if (c.OneIn(4)) inputs[9] = m.Input(m.Numbers(DType::kInt64, Shape{batch, length}, 0, static_cast<double>(caches[0] - length + 1)), true);
  }
  if (c.OneIn(4)) inputs[10] = m.Input(m.Numbers(dtype, Shape{c.Coin() ? batch : 1, c.Coin() ? heads : 1, length, total}));
  if (c.OneIn(4)) inputs[11] = m.Input(m.Numbers(dtype, Shape{heads}));
  else if (c.OneIn(4)) attributes.push_back({"smooth_softmax", int64_t{1}});
  if (c.OneIn(4)) attributes.push_back({"scale", 0.3f});
  if (c.OneIn(4)) attributes.push_back({"softcap", 1.5f});
  if (c.OneIn(3)) attributes.push_back({"local_window_size", c.Int(1, 6)});
  else if (c.OneIn(5)) attributes.push_back({"causal", int64_t{0}});
  const std::vector<ValueId> all = m.Add("GroupQueryAttention", inputs, attributes, 3, kMicrosoft);
  for (size_t i = 1; i < 3; ++i) m.Output(all[i]);
  return all[0];
}

TEST(ReferenceMicrosoft, MultiHeadAttention) {
  CheckRandomModels(40, 150, 17, kSum, [](Choices& c, RandomModel& m) { return MultiHead(c, m, DType::kFloat); });
}
TEST(ReferenceMicrosoft, Attention) {
  CheckRandomModels(41, 120, 17, kSum, [](Choices& c, RandomModel& m) { return AttentionOfInput(c, m, DType::kFloat, false); });
}
TEST(ReferenceMicrosoft, QAttention) {
  CheckRandomModels(42, 100, 17, {1e-3}, [](Choices& c, RandomModel& m) { return AttentionOfInput(c, m, DType::kFloat, true); });
}
TEST(ReferenceMicrosoft, EmbedLayerNormalization) {
  CheckRandomModels(43, 80, 17, kSum, [](Choices& c, RandomModel& m) { return Embedding(c, m, DType::kFloat); });
}

TEST(ReferenceMicrosoft, RotaryEmbedding) {
  CheckRandomModels(45, 80, 17, kSum, [](Choices& c, RandomModel& m) { return Rotary(c, m, DType::kFloat); });
}

TEST(ReferenceMicrosoft, GroupQueryAttention) {
  CheckRandomModels(46, 150, 17, kSum, [](Choices& c, RandomModel& m) { return GroupQuery(c, m, DType::kFloat); });
}

// ONNX Runtime's processor knows few of them in 16 bits. What lies between the operators they are made of is rounded too.
TEST(ReferenceMicrosoft, SixteenBits) {
  CheckRandomModels(44, 100, 17, {3e-2}, [](Choices& c, RandomModel& m) {
    m.NoPeer();
    const DType dtype = c.Of({DType::kFloat16, DType::kBfloat16});
    switch (c.Int(0, 4)) {
      case 4: return GroupQuery(c, m, dtype);
      case 0: return MultiHead(c, m, dtype);
      case 3: return Rotary(c, m, dtype);
      case 1: return AttentionOfInput(c, m, dtype, false);
      default: return Embedding(c, m, dtype);
    }
  });
}


// Answers that follow on paper: weights of a softmax are 1/4 and 3/4 where scores are 0 and ln 3 --------------------------

/// The outputs of a graph whose inputs are fed their defaults; on failure none, and the sentence in `why`.
std::vector<Tensor> AnswersOf(const Side& side, const std::string& text, std::string* why = nullptr) {
  std::vector<Tensor> outputs;
  Result<Example> example = ExampleOf(text);
  EXPECT_TRUE(example.ok()) << example.status().message();
  if (!example.ok()) return outputs;
  const std::string failure = RunOn(side, OnnxOf(*example), example->feeds, &outputs);
  if (why) *why = failure;
  else EXPECT_EQ(failure, "") << text;
  return outputs;
}

void ExpectAnswer(const std::string& text, const std::vector<std::vector<double>>& expected) {
  for (const char* provider : {"cpu", "reference"}) {
    Side side;
    side.provider = provider;
    const std::vector<Tensor> outputs = AnswersOf(side, text);
    ASSERT_EQ(outputs.size(), expected.size()) << text;
    for (size_t o = 0; o < outputs.size(); ++o) {
      ASSERT_EQ(outputs[o].elements(), static_cast<int64_t>(expected[o].size())) << text;
      for (int64_t i = 0; i < outputs[o].elements(); ++i) EXPECT_NEAR(At(outputs[o], i), expected[o][static_cast<size_t>(i)], 1e-5) << provider << ", output " << o << "\n" << text;
    }
  }
}

const std::string kHead = "graph (q: float[1,1,1] = float[1,1,1]{1}, k: float[1,2,1] = float[1,2,1]{0, 1.0986123}, v: float[1,2,1] = float[1,2,1]{0, 4}";

TEST(ReferenceMicrosoft, AttentionOnPaper) {
  ExpectAnswer(kHead + ") -> (y) { y = com.microsoft:MultiHeadAttention-1(q, k, v) {num_heads=1} }", {{3}});
  ExpectAnswer(kHead + ", m: int32[1,2] = int32[1,2]{1, 0}) -> (y, s) { y, pk, pv, s = com.microsoft:MultiHeadAttention-1(q, k, v, _, m) {num_heads=1, mask_filter_value=-100.0} }",
               {{0}, {0, -98.9013877}});
  // The bias of the query makes the second score 2 ln 3: weights 1/10 and 9/10; that of the values adds 1.
  ExpectAnswer(kHead + ", b: float[3] = float[3]{1, 0, 1}) -> (y) { y = com.microsoft:MultiHeadAttention-1(q, k, v, b) {num_heads=1} }", {{4.6}});
  // A projection to Q = K = V = x, of which the first row is 0, and its halves: with the past alone in view the first row sees itself.
  const std::string own = "graph (x: float[1,2,1] = float[1,2,1]{0, 1.0986123}, w: float[1,3] = float[1,3]{0, 1, 1}, b: float[3] = float[3]{1, 0, 0}";
  ExpectAnswer(own + ") -> (y) { y = com.microsoft:Attention-1(x, w, b) {num_heads=1} }", {{0.82395922, 0.82395922}});
  ExpectAnswer(own + ") -> (y, p) { y, p = com.microsoft:Attention-1(x, w, b) {num_heads=1, unidirectional=1} }", {{0, 0.82395922}, {0, 1.0986123, 0, 1.0986123}});
  ExpectAnswer(own + ", m: int32[2] = int32[2]{2, 1}) -> (y) { y = com.microsoft:Attention-1(x, w, b, m) {num_heads=1} }", {{1.0986123, 1.0986123}});
}

TEST(ReferenceMicrosoft, CachesOnPaper) {
  const std::string token = "graph (q: float[1,1,1] = float[1,1,1]{1}, k: float[1,1,1] = float[1,1,1]{1.0986123}, v: float[1,1,1] = float[1,1,1]{4}, pk: float[1,1,P,1] = float[1,1,P,1]{0";
  auto with = [&](const std::string& more, const std::string& length) {
    std::string text = token + more + "}, pv: float[1,1,P,1] = float[1,1,P,1]{0" + more + "}, n: int32[1] = int32[1]{1}, t: int32[1] = int32[1]{2}) -> (y, nk, nv) { y, nk, nv = ";
    for (size_t at; (at = text.find("P,1]")) != std::string::npos;) text.replace(at, 1, length);
    return text + "com.microsoft:GroupQueryAttention-1(q, k, v, pk, pv, n, t) {num_heads=1, kv_num_heads=1";
  };
  ExpectAnswer(with("", "1") + "} }", {{3}, {0, 1.0986123}, {0, 4}});
  ExpectAnswer(with(", 9, 7", "3") + "} }", {{3}, {0, 1.0986123, 7}, {0, 4, 7}});
  // One more score of 0 without a value: 1, 3 and 1 fifths.
  ExpectAnswer(with("", "1") + ", smooth_softmax=1} }", {{2.4}, {0, 1.0986123}, {0, 4}});
  ExpectAnswer(with("", "1") + ", local_window_size=1} }", {{4}, {0, 1.0986123}, {0, 4}});
}

TEST(ReferenceMicrosoft, OthersOnPaper) {
  // A quarter turn.
  ExpectAnswer("graph (x: float[1,1,2] = float[1,1,2]{3, 5}, p: int64[1] = int64[1]{1}) -> (y) {\n  c = const float[2,1]{1, 0}\n  s = const float[2,1]{0, 1}\n"
               "  y = com.microsoft:RotaryEmbedding-1(x, p, c, s)\n}", {{-5, 3}});
  ExpectAnswer("graph (i: int32[1,2] = int32[1,2]{1, 0}, m: int32[1,2] = int32[1,2]{1, 0}) -> (y, n, sum) {\n  w = const float[2,2]{0, 4, 1, 2}\n  p = const float[3,2]{0, 1, 2, 2, 9, 9}\n"
               "  g = const float[2]{1, 2}\n  b = const float[2]{0, 1}\n  y, n, sum = com.microsoft:EmbedLayerNormalization-1(i, _, w, p, _, g, b, m)\n}",
               {{-1, 3, -1, 3}, {1}, {1, 3, 2, 6}});
  ExpectAnswer("graph (c: bool[3] = bool[3]{true, false, false}, x: uint8[3] = uint8[3]{12, 0, 0}, y: uint8[3] = uint8[3]{0, 7, 200}) -> (z) {\n  s = const float[]{0.5}\n  t = const float[]{2.0}\n"
               "  a = const uint8[]{2}\n  z = com.microsoft:QLinearWhere-1(c, x, s, a, y, t, a, s, a)\n}", {{12, 22, 255}});
  // Bytes of two elements, the first low; the second row.
  ExpectAnswer("graph (i: int64[2] = int64[2]{1, 5}) -> (y) {\n  d = const uint8[2,8]{0, 0, 0, 0, 0, 0, 0, 0, 152, 250, 136, 136, 136, 136, 136, 8}\n  s = const float[2,1]{1.0, 0.5}\n"
               "  y = com.microsoft:GatherBlockQuantized-1(d, i, s) {block_size=16}\n}",
               {{0, 0.5, 1, 3.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}});
}

TEST(ReferenceMicrosoft, RefusesByName) {
  auto refused = [](const std::string& text, std::initializer_list<const char*> parts) {
    for (const char* provider : {"cpu", "reference"}) {
      Side side;
      side.provider = provider;
      std::string why;
      AnswersOf(side, text, &why);
      for (const char* part : parts) EXPECT_NE(why.find(part), std::string::npos) << why << "\n" << text;
    }
  };
  refused(kHead + ") -> (y) { y = com.microsoft:MultiHeadAttention-1(q, k, v) }", {"num_heads"});
  refused(kHead + ") -> (y) { y = com.microsoft:MultiHeadAttention-1(q, k, v) {num_heads=2} }", {"query", "2 heads"});
  refused(kHead + ", m: int32[1,5] = int32[1,5]{1, 1, 1, 1, 1}) -> (y) { y = com.microsoft:MultiHeadAttention-1(q, k, v, _, m) {num_heads=1} }", {"mask", "[1,5]"});
  refused(kHead + ") -> (y) { y = com.microsoft:Attention-1(q, v) {num_heads=1, do_rotary=1} }", {"do_rotary"});
  refused(kHead + ", n: int32[1] = int32[1]{0}) -> (y) { y = com.microsoft:GroupQueryAttention-1(q, q, q, _, _, n, n) {num_heads=1, kv_num_heads=1, sliding_window_cache=1} }", {"sliding_window_cache"});
  refused(kHead + ", n: int32[1] = int32[1]{7}, t: int32[1] = int32[1]{1}) -> (y) { y = com.microsoft:GroupQueryAttention-1(q, q, q, _, _, n, t) {num_heads=1, kv_num_heads=1} }", {"seqlens_k"});
  // No number at all, and room for more keys than there can be.
  const std::string told = kHead + ", n: int32[1] = int32[1]{0}, t: int32";
  refused(told + "[0] = int32[0]{}) -> (y) { y = com.microsoft:GroupQueryAttention-1(q, q, q, _, _, n, t) {num_heads=1, kv_num_heads=1} }", {"total_sequence_length", "[0]"});
  refused(told + "[1] = int32[1]{2000000000}) -> (y, nk, nv) { y, nk, nv = com.microsoft:GroupQueryAttention-1(q, q, q, _, _, n, t) {num_heads=1, kv_num_heads=1} }",
          {"total_sequence_length is 2000000000", "1 new keys"});
}

}  // namespace
}  // namespace linnet
