// The peer through dlopen; skipped unless LINNET_PEER names the library.
#include "cli/peer.h"

#include <gtest/gtest.h>
#include <string.h>

#include "base/knobs.h"

namespace linnet {
namespace {

// Just enough protobuf to write a one-node model.
std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 128; value >>= 7) out += static_cast<char>(value | 128);
  return out + static_cast<char>(value);
}
std::string Number(int field, uint64_t value) { return Varint(static_cast<uint64_t>(field) << 3) + Varint(value); }
std::string Bytes(int field, const std::string& bytes) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(bytes.size()) + bytes;
}
/// A value of `type` with shape [N, 2].
std::string ValueInfo(const std::string& name, int type) {
  std::string shape = Bytes(1, Bytes(2, "N")) + Bytes(1, Number(1, 2));
  return Bytes(1, name) + Bytes(2, Bytes(1, Number(1, static_cast<uint64_t>(type)) + Bytes(2, shape)));
}
/// y = op(inputs...), all of `type`.
std::string Model(const std::string& op, const std::vector<std::string>& inputs, int type) {
  std::string node, declared;
  for (const std::string& input : inputs) node += Bytes(1, input), declared += Bytes(11, ValueInfo(input, type));
  node += Bytes(2, "y") + Bytes(4, op);
  std::string graph = Bytes(1, node) + Bytes(2, "g") + declared + Bytes(12, ValueInfo("y", type));
  return Number(1, 8) + Bytes(7, graph) + Bytes(8, Number(2, 17));
}
PeerTensor Floats(const std::string& name, std::vector<int64_t> dims, const std::vector<float>& values) {
  PeerTensor tensor{name, 1, std::move(dims), std::string(values.size() * 4, '\0'), {}};
  if (!values.empty()) memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

class PeerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path(KnobText(Knob::kPeer));
    if (path.empty()) GTEST_SKIP() << "LINNET_PEER is not set";
    Result<std::shared_ptr<Peer>> peer = Peer::Load(path);
    ASSERT_TRUE(peer.ok()) << peer.status().message();
    peer_ = *peer;
  }
  std::shared_ptr<Peer> peer_;
};

TEST_F(PeerTest, RunsAModel) {
  EXPECT_EQ(peer_->version().substr(0, 2), "1.");
  auto session = peer_->OpenBytes(Model("Sub", {"a", "b"}, 1), {2});
  ASSERT_TRUE(session.ok()) << session.status().message();
  peer_.reset();  // the session keeps what it needs
  PeerSession& s = **session;
  ASSERT_EQ(s.inputs().size(), 2u);
  EXPECT_EQ(s.inputs()[1].name, "b");
  EXPECT_EQ(s.inputs()[1].type, 1);
  EXPECT_EQ(s.inputs()[1].dims, (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(s.outputs()[0].name, "y");
  EXPECT_FALSE(s.Outputs().ok());
  for (int64_t n : {1, 3}) {
    std::vector<float> a(static_cast<size_t>(2 * n), 5), b(static_cast<size_t>(2 * n), 2);
    ASSERT_TRUE(s.SetInputs({Floats("b", {n, 2}, b), Floats("a", {n, 2}, a)}).ok());
    for (int run = 0; run < 3; ++run) ASSERT_TRUE(s.Run().ok());
    std::vector<PeerTensor> out = *s.Outputs();
    EXPECT_EQ(out[0].dims, (std::vector<int64_t>{n, 2}));
    EXPECT_EQ(out[0].bytes, Floats("", {}, std::vector<float>(a.size(), 3)).bytes);
  }
  Result<std::vector<PeerTensor>> empty = s.Run({Floats("a", {0, 2}, {}), Floats("b", {0, 2}, {})});
  ASSERT_TRUE(empty.ok()) << empty.status().message();
  EXPECT_EQ((*empty)[0].dims[0], 0);
}

TEST_F(PeerTest, Strings) {
  auto session = peer_->OpenBytes(Model("Identity", {"x"}, 8));
  ASSERT_TRUE(session.ok()) << session.status().message();
  PeerTensor x{"x", 8, {2, 2}, {}, {"a", "", "größe", "longer text"}};
  for (int run = 0; run < 2; ++run) EXPECT_EQ((*(*session)->Run({x}))[0].strings, x.strings);
}

TEST_F(PeerTest, FailuresAreItsOwnWords) {
  EXPECT_EQ(peer_->OpenBytes("no model").status().code(), Code::kInvalidModel);
  EXPECT_FALSE(peer_->OpenModel("/no/such/model.onnx").ok());
  EXPECT_FALSE(peer_->OpenBytes(Model("NoSuchOperator", {"x"}, 1)).ok());
  auto session = peer_->OpenBytes(Model("Sub", {"a", "b"}, 1));
  Result<std::vector<PeerTensor>> wrong = (*session)->Run({Floats("a", {1, 2}, {1, 2}), Floats("b", {1, 3}, {1, 2, 3})});
  EXPECT_NE(wrong.status().message().find("the peer: "), std::string_view::npos);
  EXPECT_FALSE((*session)->Run({Floats("a", {1, 2}, {1})}).ok()) << "too few bytes";
  EXPECT_FALSE((*session)->Run({}).ok());
  EXPECT_TRUE((*session)->Run({Floats("a", {1, 2}, {1, 2}), Floats("b", {1, 2}, {1, 2})}).ok());
}

TEST(Peer, MissingLibrary) {
  EXPECT_EQ(Peer::Load("/no/such/libonnxruntime.so").status().code(), Code::kIo);
#if defined(_WIN32)
  const char* const other = "kernel32.dll";
#else
  const char* const other = "libc.so.6";
#endif
  EXPECT_NE(Peer::Load(other).status().message().find("C API"), std::string_view::npos);
  EXPECT_FALSE(Peer::Load("").ok());
}

}  // namespace
}  // namespace linnet
