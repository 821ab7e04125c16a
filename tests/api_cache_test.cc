// The C API: caches that grow in the caller's buffer, given as an input and as an output at once.
#include <string.h>

#include <string>
#include <vector>

#include "api_test_util.h"
#include "linnet/linnet.hpp"

namespace linnet_test {
namespace {

constexpr int64_t kBatch = 2, kHeads = 3, kSize = 4;

/// One tensor of a run: what is fed, or where to.
struct Port {
  std::string name;
  LinnetElementType type;
  std::vector<int64_t> shape;
  void* data;
  size_t bytes = 0;   ///< 0: what the shape needs
};

size_t BytesOf(const Port& port) {
  int64_t elements = 1;
  for (int64_t d : port.shape) elements *= d;
  return port.bytes ? port.bytes : static_cast<size_t>(LinnetTensorBytes(port.type, elements));
}

LinnetCode RunPorts(LinnetSession* session, const std::vector<Port>& in, const std::vector<Port>& out) {
  std::vector<LinnetInput> inputs(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    inputs[i].name = in[i].name.c_str(), inputs[i].type = in[i].type, inputs[i].rank = static_cast<int32_t>(in[i].shape.size());
    inputs[i].shape = in[i].shape.data(), inputs[i].data = in[i].data, inputs[i].bytes = BytesOf(in[i]);
  }
  std::vector<LinnetOutput> outputs;
  for (const Port& port : out) outputs.push_back(Into(port.name.c_str(), port.data, BytesOf(port)));
  return LinnetRun(session, inputs.data(), inputs.size(), outputs.data(), outputs.size(), nullptr);
}

/// What token t has at head h of batch entry b: another number for each.
float Element(int64_t t, int64_t b, int64_t h, int64_t d) { return static_cast<float>(((t * kBatch + b) * kHeads + h) * kSize + d + 1); }

/// Tokens [from, to) as [batch, heads, to - from, size].
std::vector<float> Tokens(int64_t from, int64_t to) {
  std::vector<float> out;
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t t = from; t < to; ++t) {
        for (int64_t d = 0; d < kSize; ++d) out.push_back(Element(t, b, h, d));
      }
    }
  }
  return out;
}

const char* const kConcat = R"(graph (past: float[2,3,P,4], x: float[2,3,S,4]) -> (sum, present) {
  axes = const int64[1]{2}
  present = Concat-17(past, x) {axis=2}
  twice = Add-17(present, present)
  sum = ReduceSum-17(twice, axes) {keepdims=0}
})";

class ConcatCache : public testing::TestWithParam<int> {};

TEST_P(ConcatCache, GrowsInOneBuffer) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetOptimization(options, GetParam()));
  LinnetSession* session = OpenText(kConcat, options);
  std::vector<float> cache(kBatch * kHeads * 64 * kSize, -1), sum(kBatch * kHeads * kSize);
  // A long first piece, then single ones, then a few at once.
  int64_t past = 0;
  for (int64_t more : {5, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0, 7, 1, 1}) {
    std::vector<float> x = Tokens(past, past + more);
    ASSERT_OK(RunPorts(session, {{"past", LINNET_FLOAT, {kBatch, kHeads, past, kSize}, cache.data()},
                                 {"x", LINNET_FLOAT, {kBatch, kHeads, more, kSize}, more ? x.data() : sum.data()}},
                       {{"present", LINNET_FLOAT, {}, cache.data(), cache.size() * sizeof(float)},
                        {"sum", LINNET_FLOAT, {}, sum.data(), sum.size() * sizeof(float)}}));
    past += more;
    const std::vector<float> wanted = Tokens(0, past);
    ASSERT_EQ(std::vector<float>(cache.begin(), cache.begin() + static_cast<std::ptrdiff_t>(wanted.size())), wanted) << past;
    for (size_t i = wanted.size(); i < cache.size(); ++i) ASSERT_EQ(cache[i], -1) << "written behind the output";
    for (int64_t b = 0; b < kBatch; ++b) {
      for (int64_t h = 0; h < kHeads; ++h) {
        for (int64_t d = 0; d < kSize; ++d) {
          float all = 0;
          for (int64_t t = 0; t < past; ++t) all += 2 * Element(t, b, h, d);
          ASSERT_EQ(sum[static_cast<size_t>((b * kHeads + h) * kSize + d)], all) << past;
        }
      }
    }
  }
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_OK(LinnetOptionsClose(options));
}
INSTANTIATE_TEST_SUITE_P(Levels, ConcatCache, testing::Values(0, 1, 2));

TEST(Cache, OtherOverlapsAreRefused) {
  std::vector<float> cache(kBatch * kHeads * 8 * kSize), x = Tokens(3, 4), sum(kBatch * kHeads * kSize);
  const std::vector<float> before = Tokens(0, 3);
  auto run = [&](const char* text, int64_t shift) {
    memcpy(cache.data(), before.data(), before.size() * sizeof(float));
    LinnetSession* session = OpenText(text);
    LinnetCode code = RunPorts(session, {{"past", LINNET_FLOAT, {kBatch, kHeads, 3, kSize}, cache.data()},
                                         {"x", LINNET_FLOAT, {kBatch, kHeads, 1, kSize}, x.data()}},
                               {{"present", LINNET_FLOAT, {}, cache.data() + shift, (cache.size() - static_cast<size_t>(shift)) * sizeof(float)}});
    const std::string sentence = code == LINNET_OK ? "" : LinnetLastError();
    EXPECT_OK(LinnetSessionClose(session));
    if (code != LINNET_OK) {
      EXPECT_EQ(code, LINNET_INVALID_ARGUMENT);
      EXPECT_NE(sentence.find("overlaps"), std::string::npos) << sentence;
      EXPECT_EQ(std::vector<float>(cache.begin(), cache.begin() + static_cast<std::ptrdiff_t>(before.size())), before) << "nothing was written";
    }
    return code == LINNET_OK;
  };
  EXPECT_TRUE(run(kConcat, 0));
  EXPECT_FALSE(run(kConcat, kSize)) << "begins elsewhere";
  const std::string head = "graph (past: float[2,3,P,4], x: float[2,3,S,4]) -> (present) { axes = const int64[1]{2} ";
  EXPECT_FALSE(run((head + "present = Concat-17(x, past) {axis=2} }").c_str(), 0)) << "not in front";
  EXPECT_FALSE(run((head + "present = Concat-17(past, past) {axis=2} }").c_str(), 0)) << "read twice";
  EXPECT_FALSE(run((head + "present = Add-17(past, x) }").c_str(), 0)) << "no cache";
  // The past is read before the cache grows, and afterwards.
  EXPECT_TRUE(run((head + "m = ReduceMax-17(past) {axes=[2]} y = Mul-17(m, x) present = Concat-17(past, y) {axis=2} }").c_str(), 0));
  // Two outputs in one buffer, and a buffer that is two inputs.
  LinnetSession* session = OpenText(kConcat);
  const Port past{"past", LINNET_FLOAT, {kBatch, kHeads, 3, kSize}, cache.data()}, again{"x", LINNET_FLOAT, {kBatch, kHeads, 3, kSize}, cache.data()};
  const Port rest{"x", LINNET_FLOAT, {kBatch, kHeads, 1, kSize}, x.data()};
  const Port present{"present", LINNET_FLOAT, {}, cache.data(), cache.size() * sizeof(float)};
  EXPECT_FAILS(RunPorts(session, {past, again}, {present}), LINNET_INVALID_ARGUMENT, "overlaps");
  EXPECT_FAILS(RunPorts(session, {past, rest}, {present, {"sum", LINNET_FLOAT, {}, cache.data(), 96}}), LINNET_INVALID_ARGUMENT, "overlaps");
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(Cache, WhatReadsThePastLaterIsRefused) {
  // The last product waits for the cache that grew.
  LinnetSession* session = OpenText(R"(graph (past: float[P,4], x: float[S,4]) -> (present, y) {
    present = Concat-17(past, x) {axis=0}
    k = Transpose-17(present) {perm=[1, 0]}
    y = MatMul-17(past, k)
  })");
  float cache[5 * 4] = {1, 2, 3, 4}, x[4] = {1, 1, 1, 1}, y[2] = {};
  const std::vector<Port> in = {{"past", LINNET_FLOAT, {1, 4}, cache}, {"x", LINNET_FLOAT, {1, 4}, x}};
  EXPECT_FAILS(RunPorts(session, in, {{"present", LINNET_FLOAT, {}, cache, sizeof cache}, {"y", LINNET_FLOAT, {}, y, sizeof y}}),
               LINNET_INVALID_ARGUMENT, "overlaps");
  float elsewhere[8];
  ASSERT_OK(RunPorts(session, in, {{"present", LINNET_FLOAT, {}, elsewhere, sizeof elsewhere}, {"y", LINNET_FLOAT, {}, y, sizeof y}}));
  EXPECT_EQ(y[0], 30);
  EXPECT_EQ(y[1], 10);
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(Cache, AttentionGrowsKeysAndValues) {
  for (bool half : {false, true}) {
    const std::string type = half ? "float16" : "float";
    auto port = [&](const std::string& name, const std::string& length) { return name + ": " + type + "[2," + length + ",4]"; };
    LinnetSession* session = OpenText("graph (" + port("q", "6,S") + ", " + port("k", "3,S") + ", " + port("v", "3,S") + ", " + port("pk", "3,P") + ", " +
                                      port("pv", "3,P") + ") -> (y, nk, nv) { y, nk, nv = Attention-24(q, k, v, _, pk, pv) {is_causal=1} }");
    const LinnetElementType element = half ? LINNET_FLOAT16 : LINNET_FLOAT;
    const size_t width = half ? 2 : 4, room = 32 * static_cast<size_t>(kBatch * kHeads * kSize) * width;
    std::vector<char> keys(room), values(room), apart_k(room), apart_v(room), now_k(room), now_v(room), y(room), apart_y(room);
    // Small numbers with a pattern; as float16 their bits: 0x3800 is a half, and what follows are steps of it.
    auto fill = [&](std::vector<char>& memory, int64_t count, int64_t salt) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t step = (i * 37 + salt * 11) % 64;
        const uint16_t bits = static_cast<uint16_t>(0x3800 + step * 8);
        const float number = 0.5f + static_cast<float>(step) / 256;
        if (half) memcpy(memory.data() + 2 * i, &bits, 2);
        else memcpy(memory.data() + 4 * i, &number, 4);
      }
    };
    std::vector<char> q(room), k(room), v(room);
    int64_t past = 0;
    for (int64_t more : {4, 1, 1, 2, 1}) {
      fill(q, kBatch * 6 * more * kSize, past), fill(k, kBatch * kHeads * more * kSize, past + 1), fill(v, kBatch * kHeads * more * kSize, past + 2);
      auto run = [&](std::vector<char>& pk, std::vector<char>& pv, std::vector<char>& nk, std::vector<char>& nv, std::vector<char>& out) {
        ASSERT_OK(RunPorts(session, {{"q", element, {kBatch, 6, more, kSize}, q.data()}, {"k", element, {kBatch, kHeads, more, kSize}, k.data()},
                                     {"v", element, {kBatch, kHeads, more, kSize}, v.data()}, {"pk", element, {kBatch, kHeads, past, kSize}, pk.data()},
                                     {"pv", element, {kBatch, kHeads, past, kSize}, pv.data()}},
                           {{"y", element, {}, out.data(), room}, {"nk", element, {}, nk.data(), room}, {"nv", element, {}, nv.data(), room}}));
      };
      run(apart_k, apart_v, now_k, now_v, apart_y);
      run(keys, values, keys, values, y);
      past += more;
      const size_t bytes = static_cast<size_t>(kBatch * kHeads * past * kSize) * width;
      ASSERT_EQ(memcmp(keys.data(), now_k.data(), bytes), 0) << past;
      ASSERT_EQ(memcmp(values.data(), now_v.data(), bytes), 0) << past;
      ASSERT_EQ(memcmp(y.data(), apart_y.data(), static_cast<size_t>(kBatch * 6 * more * kSize) * width), 0) << past;
      apart_k = now_k, apart_v = now_v;
    }
    EXPECT_OK(LinnetSessionClose(session));
  }
}

// The same of com.microsoft's operator, in a cache that grows and in one that has room for the longest text.
TEST(Cache, GroupQueryAttentionWritesIntoTheCallersCache) {
  for (bool room : {false, true}) {
    LinnetSession* session = OpenText(
        "graph (q: float[2,S,24], k: float[2,S,12], v: float[2,S,12], pk: float[2,3,P,4], pv: float[2,3,P,4], n: int32[2], t: int32[1]) -> (y, nk, nv) { "
        "y, nk, nv = com.microsoft:GroupQueryAttention-1(q, k, v, pk, pv, n, t) {num_heads=6, kv_num_heads=3} }");
    constexpr int64_t kRoom = 16;
    const size_t floats = static_cast<size_t>(kBatch * kHeads * kRoom * kSize), bytes = floats * sizeof(float);
    std::vector<float> keys(floats, 0.5f), values(floats, 0.25f), apart_k = keys, apart_v = values, now_k = keys, now_v = values, y(4 * floats), apart_y(4 * floats);
    std::vector<float> q(4 * floats), k(floats), v(floats);
    int64_t past = 0;
    for (int64_t more : {4, 1, 1, 1, 1}) {
      auto fill = [&](std::vector<float>& to, int64_t salt) {
        for (size_t i = 0; i < to.size(); ++i) to[i] = 0.5f + static_cast<float>((static_cast<int64_t>(i) * 37 + salt * 11 + past) % 64) / 256;
      };
      fill(q, 1), fill(k, 2), fill(v, 3);
      int32_t lengths[] = {static_cast<int32_t>(past + more - 1), static_cast<int32_t>(past + more - 1)}, total = static_cast<int32_t>(past + more);
      const int64_t before = room ? kRoom : past;
      auto run = [&](std::vector<float>& pk, std::vector<float>& pv, std::vector<float>& nk, std::vector<float>& nv, std::vector<float>& out) {
        ASSERT_OK(RunPorts(session, {{"q", LINNET_FLOAT, {kBatch, more, 24}, q.data()}, {"k", LINNET_FLOAT, {kBatch, more, 12}, k.data()},
                                     {"v", LINNET_FLOAT, {kBatch, more, 12}, v.data()}, {"pk", LINNET_FLOAT, {kBatch, kHeads, before, kSize}, pk.data()},
                                     {"pv", LINNET_FLOAT, {kBatch, kHeads, before, kSize}, pv.data()}, {"n", LINNET_INT32, {kBatch}, lengths},
                                     {"t", LINNET_INT32, {1}, &total}},
                           {{"y", LINNET_FLOAT, {}, out.data(), 4 * bytes}, {"nk", LINNET_FLOAT, {}, nk.data(), bytes}, {"nv", LINNET_FLOAT, {}, nv.data(), bytes}}));
      };
      run(apart_k, apart_v, now_k, now_v, apart_y);
      run(keys, values, keys, values, y);
      past += more;
      const size_t filled = static_cast<size_t>(kBatch * kHeads * (room ? kRoom : past) * kSize) * sizeof(float);
      ASSERT_EQ(memcmp(keys.data(), now_k.data(), filled), 0) << past;
      ASSERT_EQ(memcmp(values.data(), now_v.data(), filled), 0) << past;
      ASSERT_EQ(memcmp(y.data(), apart_y.data(), static_cast<size_t>(kBatch * more * 24) * sizeof(float)), 0) << past;
      apart_k = now_k, apart_v = now_v;
    }
    EXPECT_OK(LinnetSessionClose(session));
  }
}

TEST(Cache, TensorScatterWritesIntoTheCallersCache) {
  LinnetSession* session = OpenText(R"(graph (past: float[2,3,8,4], x: float[2,3,S,4], at: int64[2]) -> (present) {
    present = TensorScatter-24(past, x, at) {axis=2}
  })");
  std::vector<float> cache(kBatch * kHeads * 8 * kSize, 0), wanted = cache;
  for (int64_t t = 0; t < 6; ++t) {
    std::vector<float> x = Tokens(t, t + 1);
    int64_t at[] = {t, t + 2};
    ASSERT_OK(RunPorts(session, {{"past", LINNET_FLOAT, {kBatch, kHeads, 8, kSize}, cache.data()}, {"x", LINNET_FLOAT, {kBatch, kHeads, 1, kSize}, x.data()},
                                 {"at", LINNET_INT64, {2}, at}},
                       {{"present", LINNET_FLOAT, {}, cache.data(), cache.size() * sizeof(float)}}));
    for (int64_t b = 0; b < kBatch; ++b) {
      for (int64_t h = 0; h < kHeads; ++h) {
        for (int64_t d = 0; d < kSize; ++d) wanted[static_cast<size_t>(((b * kHeads + h) * 8 + at[b]) * kSize + d)] = Element(t, b, h, d);
      }
    }
    ASSERT_EQ(cache, wanted) << t;
  }
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(Cache, BindingsAndPreparedFiles) {
  // Sizes are known, so that the .linnet file holds a plan.
  const std::string bytes = ModelBytes("graph (past: float[2,3,4], x: float[2,1,4]) -> (present) { present: float[2,4,4] = Concat-17(past, x) {axis=1} }");
  const std::string model = TemporaryPath("cache.onnx"), prepared = TemporaryPath("cache.linnet");
  FILE* file = fopen(model.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  fclose(file);
  ASSERT_OK(LinnetConvert(model.c_str(), prepared.c_str(), nullptr));
  for (const std::string& path : {model, prepared}) {
    linnet::Session session(path);
    std::vector<float> cache(32), x(8);
    for (size_t i = 0; i < 24; ++i) cache[i] = static_cast<float>(i);
    for (size_t i = 0; i < 8; ++i) x[i] = 100 + static_cast<float>(i);
    linnet::Binding binding(session);
    binding.In({"past", LINNET_FLOAT, cache.data(), 24 * sizeof(float), {2, 3, 4}});
    binding.In({"x", x, {2, 1, 4}});
    binding.Out({"present", cache});
    binding.Run();
    const std::vector<float> wanted = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 100, 101, 102, 103, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 104, 105, 106, 107};
    EXPECT_EQ(cache, wanted) << path;
    // Nobody changes a value.
    linnet::Value value = linnet::Value::Tensor(std::vector<float>(24, 1), {2, 3, 4});
    binding.In({"past", value});
    float* inside = const_cast<float*>(value.data<float>());
    binding.Out({"present", inside, 32 * sizeof(float)});
    EXPECT_THROW(binding.Run(), linnet::Error) << path;
  }
}

}  // namespace
}  // namespace linnet_test
