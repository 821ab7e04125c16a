// Each rule of Verify is broken once.
#include "graph/verify.h"

#include <gtest/gtest.h>

namespace linnet {
namespace {

Type Floats() { return Type::Tensor(DType::kFloat, Shape{2}); }

/// x → Relu → a → Neg → y.
struct Chain {
  Graph graph;
  ValueId x, a, y;
  NodeId relu, neg;
  Chain() {
    x = graph.AddInput("x", Floats());
    a = graph.AddValue("a");
    y = graph.AddValue("y");
    relu = Add("Relu", x, a);
    neg = Add("Neg", a, y);
    graph.AddOutput(y);
  }
  NodeId Add(const char* op, ValueId in, ValueId out) {
    Node node;
    node.op = op;
    node.version = 14;
    node.inputs = {in};
    node.outputs = {out};
    return graph.AddNode(std::move(node)).value();
  }
};

std::string Why(const Graph& graph) { return std::string(Verify(graph).message()); }

TEST(Verify, AcceptsAChainAndItsEdits) {
  Chain chain;
  EXPECT_EQ(Why(chain.graph), "");
  ValueId b = chain.graph.AddValue("b");
  chain.Add("Exp", chain.a, b);
  chain.graph.SetInput(chain.neg, 0, b);
  EXPECT_EQ(Why(chain.graph), "");
  chain.graph.ReplaceUses(b, chain.x);
  chain.graph.RemoveNode(chain.graph.value(b).producer);
  EXPECT_EQ(Why(chain.graph), "");
}

TEST(Graph, NodesMayBeNamedAfterValues) {
  // The hint lies in the graph itself, whose values move when more are added.
  Graph graph;
  const ValueId x = graph.AddInput("x", Type::Tensor(DType::kFloat, Shape{1}));
  for (int i = 0; i < 100; ++i) {
    Result<ValueId> y = graph.AddNode("Relu", "", 14, {x}, {}, graph.value(x).type, graph.value(x).name);
    ASSERT_TRUE(y.ok()) << y.status().message();
    EXPECT_EQ(graph.node(graph.value(*y).producer).name, "x");
    EXPECT_EQ(graph.value(*y).type, graph.value(x).type);
  }
}

TEST(Graph, CompactedKnowsItsInputs) {
  Graph graph;
  const ValueId x = graph.AddInput("x", Type::Tensor(DType::kFloat, Shape{2}));
  Result<ValueId> a = graph.AddNode("Relu", "", 14, {x}, {}, Type(), "a"), b = graph.AddNode("Relu", "", 14, {x}, {}, Type(), "b");
  ASSERT_TRUE(a.ok() && b.ok());
  graph.RemoveNode(graph.value(*a).producer);
  graph.AddOutput(*b);
  Result<Graph> compact = graph.Compacted();
  ASSERT_TRUE(compact.ok());
  EXPECT_TRUE(compact->is_input(compact->inputs[0]));
  EXPECT_FALSE(compact->is_input(compact->outputs()[0]));
}

TEST(Verify, NamesTheCycle) {
  Chain chain;
  chain.graph.SetInput(chain.relu, 0, chain.y);
  std::string why = Why(chain.graph);
  EXPECT_NE(why.find("cycle"), std::string::npos) << why;
  EXPECT_NE(why.find("Relu producing 'a'"), std::string::npos) << why;
  EXPECT_NE(why.find("Neg producing 'y'"), std::string::npos) << why;
}

TEST(Verify, NamesANodeThatFeedsItself) {
  Chain chain;
  chain.graph.SetInput(chain.neg, 0, chain.y);
  std::string why = Why(chain.graph);
  EXPECT_NE(why.find("'y'"), std::string::npos) << why;
}

TEST(Verify, WantsAnOriginForWhatIsRead) {
  Chain chain;
  chain.graph.RemoveNode(chain.relu);
  EXPECT_EQ(Why(chain.graph), "nothing defines value 'a', read by Neg producing 'y'");
}

TEST(Verify, WantsUsesToNameReaders) {
  Chain chain;
  chain.graph.mutable_node(chain.neg).inputs[0] = chain.x;
  EXPECT_NE(Why(chain.graph).find("the uses of value 'a'"), std::string::npos) << Why(chain.graph);
}

TEST(Verify, WantsIdsInRange) {
  Chain chain;
  chain.graph.mutable_node(chain.neg).inputs[0] = 77;
  EXPECT_EQ(Why(chain.graph), "Neg has value id 77 of 3");
}

TEST(Verify, WantsConstantsOfTheirType) {
  Chain chain;
  ValueId c = chain.graph.AddConstant("c", Tensor::Scalar(1.0f));
  EXPECT_EQ(Why(chain.graph), "");
  chain.graph.SetType(c, Type::Tensor(DType::kInt64, Shape::OfRank(0)));
  EXPECT_EQ(Why(chain.graph), "constant 'c' has type int64[] and contents of float[]");
}

TEST(Verify, WantsCapturesOnBothSides) {
  Chain chain;
  auto body = std::make_shared<Graph>(chain.graph.shared_symbols());
  ValueId inside = body->AddCapture("a", Floats());
  body->AddOutput(inside);
  Node node;
  node.op = "If";
  node.inputs = {chain.x};
  node.outputs = {chain.graph.AddValue("z")};
  node.captures = {chain.a};
  node.attributes.push_back({"then_branch", body});
  NodeId id = chain.graph.AddNode(std::move(node)).value();
  EXPECT_EQ(Why(chain.graph), "");
  chain.graph.AddNodeCapture(id, chain.x);
  EXPECT_EQ(Why(chain.graph), "If producing 'z': the node gives 2 captured values, its subgraphs take 1");
}

TEST(Verify, BoundsNesting) {
  auto symbols = std::make_shared<SymbolTable>();
  auto inner = std::make_shared<Graph>(symbols);
  for (int depth = 1; depth <= 40; ++depth) {
    EXPECT_EQ(Verify(*inner).ok(), depth <= 32) << depth;
    auto outer = std::make_shared<Graph>(symbols);
    Node node;
    node.op = "If";
    node.attributes.push_back({"then_branch", inner});
    ASSERT_TRUE(outer->AddNode(std::move(node)).ok());
    inner = outer;
  }
}

}  // namespace
}  // namespace linnet
