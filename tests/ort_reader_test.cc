// .ort files: what each table means, what a fused operator becomes, and what damaged or foreign files are told.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "fuzz/ort_writer.h"
#include "fuzz/targets.h"
#include "graph/text.h"
#include "hostile_util.h"
#include "ort/reader.h"

namespace linnet {
namespace {

namespace fbs = ort::fbs;
using hostile::ExpectParts;
using hostile::Why;

/// The tables of what a graph in text form says.
fbs::SessionT Tables(std::string_view text) {
  const std::string onnx = hostile::OnnxOf(text);
  Result<OnnxModel> model = ReadOnnxBytes(std::as_bytes(std::span(onnx.data(), onnx.size())));
  EXPECT_TRUE(model.ok()) << model.status().message();
  return fuzz::OrtTables(*model);
}

/// The file in a block of its own, as callers and the system's cache have it.
Result<OnnxModel> ReadFile(std::string_view file, bool shared = false) {
  Block block = std::move(Block::Allocate(static_cast<int64_t>(file.size())).value());
  std::copy(file.begin(), file.end(), reinterpret_cast<char*>(block.data()));
  std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(block.data()), file.size());
  std::shared_ptr<const void> owner;
  if (shared) owner = std::make_shared<Block>(std::move(block));
  ReadOptions options;
  options.untrusted = true;
  return ReadOrtBytes(bytes, owner, options);
}
Result<OnnxModel> Read(const fbs::SessionT& tables) { return ReadFile(fuzz::OrtFile(tables), true); }
std::string WhyNot(const fbs::SessionT& tables) { return Why(Read(tables).status()); }
std::string Printed(const fbs::SessionT& tables) {
  Result<OnnxModel> model = Read(tables);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? PrintGraph(model->graph) : std::string();
}

constexpr std::string_view kRelu = "graph (x: float[2,N]) -> (y) {\n  y = Relu-14(x)\n}\n";

fbs::NodeT& FirstNode(fbs::SessionT& tables) { return *tables.model->graph->nodes[0]; }

std::unique_ptr<fbs::AttributeT> NewAttribute(std::string name, int kind) {
  auto attribute = std::make_unique<fbs::AttributeT>();
  attribute->name = std::move(name);
  attribute->kind = kind;
  return attribute;
}

// The model as a whole ----------------------------------------------------------------------------------------------------------

TEST(OrtReader, SaysOfItselfWhatTheOnnxFileDid) {
  OnnxModel model;
  model.graph = std::move(ParseGraph(kRelu).value());
  model.info.ir_version = 8;
  model.info.producer_name = "maker";
  model.info.producer_version = "1.2";
  model.info.domain = "org.example";
  model.info.model_version = 3;
  model.info.doc_string = "about";
  model.info.opsets = {{"", 17}, {"ai.onnx.ml", 3}};
  model.info.metadata = {{"key", "value"}};
  Result<OnnxModel> read = Read(fuzz::OrtTables(model));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->info.ir_version, 8);
  EXPECT_EQ(read->info.producer_name, "maker");
  EXPECT_EQ(read->info.producer_version, "1.2");
  EXPECT_EQ(read->info.domain, "org.example");
  EXPECT_EQ(read->info.model_version, 3);
  EXPECT_EQ(read->info.doc_string, "about");
  EXPECT_EQ(read->info.opsets, model.info.opsets);
  EXPECT_EQ(read->info.metadata, model.info.metadata);
}

TEST(OrtReader, FormatVersions) {
  for (const char* version : {"5", "6"}) {
    fbs::SessionT tables = Tables(kRelu);
    tables.version = version;
    EXPECT_TRUE(Read(tables).ok());
  }
  for (const char* version : {"", "1", "4", "7", "66", "x"}) {
    fbs::SessionT tables = Tables(kRelu);
    tables.version = version;
    ExpectParts(WhyNot(tables), {"format version", version, "5 and 6"});
  }
}

TEST(OrtReader, BytesSayWhichFormatAFileIs) {
  const std::string file = fuzz::OrtFile(Tables(kRelu));
  EXPECT_TRUE(IsOrtFile(file));
  EXPECT_FALSE(IsOrtFile(hostile::OnnxOf(kRelu)));
  EXPECT_FALSE(IsOrtFile("ORTM"));
  // From memory, from memory that lies badly, and by its path whatever its name is.
  EXPECT_TRUE(hostile::OpenBytes(file).ok());
  std::string shifted = " " + file;
  std::shared_ptr<const void> owner(shifted.data(), [](const void*) {});
  EXPECT_TRUE(Session::FromMemory(shifted.data() + 1, file.size(), owner, hostile::Budgeted()).ok());
  const std::string path = testing::TempDir() + "/linnet_ort_test.onnx";
  std::ofstream(path, std::ios::binary) << file;
  EXPECT_TRUE(Session::Open(path, hostile::Budgeted()).ok());
  EXPECT_TRUE(ReadModelFile(path).ok());
  remove(path.c_str());
}

// Every seed of the .onnx fuzz target says the same as a .ort file, but for types and attributes that the format has no words for.
TEST(OrtReader, GraphsAreThoseOfTheOnnxFile) {
  const std::string_view texts[] = {
      kRelu,
      "graph (x: float[2,3], i: int64[], s: string[N], t: seq(float[2]), m: map(string,float), g: seq(map(int64,double))) -> (y, s, t, m, g) {\n"
      "  c = const float16[2]{1, 2}\n  b = const bool[2]{true, false}\n  w = const int4[3]{1, -2, 7}\n  e = const float[0]{}\n"
      "  n = const string[2]{\"a\", \"\"}\n  y = Add-14(x, x)\n  k = Identity-16(c)\n  l = Identity-16(b)\n  o = Identity-21(w)\n"
      "  p = Identity-16(e)\n  q = Identity-16(n)\n}\n",
      "graph (x: float[4]) -> (a, c) {\n  a, _, c = Odd-1(x, _, x) {f=1.5, i=-7, s=\"text\", fs=[1.5, -2.0], is=[1, 2], ss=[\"u\", \"v\"], none=[], "
      "t=int64[2]{1, 2}, ts=tensors[bool[1]{true}, string[1]{\"x\"}], gs=graphs[graph () -> () {\n  }, graph () -> () {\n  }]}\n}\n",
  };
  for (std::string_view text : texts) {
    Result<Graph> graph = ParseGraph(text);
    if (!graph.ok()) {
      ADD_FAILURE() << graph.status().message();
      continue;
    }
    OnnxModel model;
    model.graph = std::move(*graph);
    model.info.ir_version = 10;
    EXPECT_EQ(Printed(fuzz::OrtTables(model)), PrintGraph(model.graph));
  }
}

// Values --------------------------------------------------------------------------------------------------------------------------

TEST(OrtReader, Dimensions) {
  fbs::SessionT tables = Tables(kRelu);
  auto& dims = tables.model->graph->values[0]->type->value.AsTensorType()->shape->dims;
  ASSERT_EQ(dims.size(), 2u);
  dims[0]->value->size = -1;   // as old exporters say that it is not known
  dims.push_back(std::make_unique<fbs::DimensionT>());
  EXPECT_NE(Printed(tables).find("x: float[?,N,?]"), std::string::npos) << Printed(tables);
  dims[0]->value->size = int64_t{1} << 40;
  ExpectParts(WhyNot(tables), {"'x'", "1099511627776", "limit"});
  dims[0]->value->size = 1;
  for (int i = 0; i < 6; ++i) dims.push_back(std::make_unique<fbs::DimensionT>());
  ExpectParts(WhyNot(tables), {"'x'", "rank", "8"});
}

TEST(OrtReader, TypesThatDoNotExist) {
  fbs::SessionT tables = Tables(kRelu);
  tables.model->graph->values[0]->type->value.AsTensorType()->element = 99;
  ExpectParts(WhyNot(tables), {"'x'", "element type 99"});
  fbs::SequenceTypeT inner, outer;
  inner.element = std::make_unique<fbs::TypeT>();
  inner.element->value.Set(fbs::TensorTypeT());
  outer.element = std::make_unique<fbs::TypeT>();
  outer.element->value.Set(std::move(inner));
  tables.model->graph->values[0]->type->value.Set(std::move(outer));
  ExpectParts(WhyNot(tables), {"'x'", "a sequence of"});
}

TEST(OrtReader, Tensors) {
  const std::string_view text = "graph () -> (y) {\n  c = const float[2]{1, 2}\n  s = const string[1]{\"a\"}\n  y = Identity-16(c)\n  z = Identity-16(s)\n}\n";
  fbs::SessionT good = Tables(text);
  EXPECT_TRUE(Read(good).ok());
  auto damaged = [&](auto change) {
    fbs::SessionT tables = Tables(text);
    for (auto& tensor : tables.model->graph->initializers) change(*tensor);
    return WhyNot(tables);
  };
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.raw.pop_back(); }), {"tensor 'c'", "7 bytes", "8"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.element = 0; }), {"tensor 'c'", "element type 0"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.dims = {-2}; }), {"tensor 'c'", "dimension 0 is -2"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.dims = {1 << 30, 1 << 30}; }), {"tensor 'c'"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.dims.assign(9, 1); }), {"tensor 'c'", "rank 9"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.strings = {"x"}; }), {"tensor 'c'", "strings"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "s") t.raw = {1}; }), {"tensor 's'", "raw"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "s") t.strings.clear(); }), {"tensor 's'", "0 strings"});
  ExpectParts(damaged([](fbs::TensorT& t) { if (t.name == "c") t.raw.clear(), t.external_offset = 0; }), {"tensor 'c'", "training checkpoint"});
  ExpectParts(damaged([](fbs::TensorT& t) { t.name = "c"; }), {"two initializers", "'c'"});
  ExpectParts(damaged([](fbs::TensorT& t) { t.name = ""; }), {"no name"});
  // A bool is 0 or 1 from here on, whatever byte the file has.
  fbs::SessionT bools = Tables("graph () -> (y) {\n  c = const bool[2]{true, false}\n  y = Identity-16(c)\n}\n");
  bools.model->graph->initializers[0]->raw = {7, 0};
  EXPECT_NE(Printed(bools).find("{true, false}"), std::string::npos);
}

TEST(OrtReader, SparseTensorsAreDense) {
  fbs::SessionT tables = Tables("graph () -> (y) {\n  v = const float[2]{5, 6}\n  y = Identity-16(v)\n}\n");
  auto sparse = std::make_unique<fbs::SparseTensorT>();
  sparse->values = std::move(tables.model->graph->initializers[0]);
  tables.model->graph->initializers.clear();
  sparse->indices = std::make_unique<fbs::TensorT>();
  sparse->indices->element = 7;
  sparse->indices->dims = {2};
  sparse->indices->raw = {1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0};
  sparse->dims = {2, 2};
  tables.model->graph->sparse_initializers.push_back(std::move(sparse));
  EXPECT_NE(Printed(tables).find("{0, 5, 0, 6}"), std::string::npos) << Printed(tables);
  auto& table = *tables.model->graph->sparse_initializers[0];
  table.dims = {2};
  ExpectParts(WhyNot(tables), {"sparse tensor 'v'", "index 3"});
  table.indices.reset();
  ExpectParts(WhyNot(tables), {"sparse tensor", "indices"});
}

TEST(OrtReader, InitializersOfInputsAreDefaults) {
  fbs::SessionT tables = Tables("graph (x: float[2]) -> (y) {\n  c = const float[2]{1, 2}\n  y = Add-14(x, c)\n}\n");
  tables.model->graph->inputs.push_back("c");
  tables.model->ir_version = 3;   // every initializer had to be an input then
  EXPECT_EQ(Read(tables)->graph.inputs.size(), 1u);
  tables.model->ir_version = 4;
  Result<OnnxModel> model = Read(tables);
  ASSERT_TRUE(model.ok()) << model.status().message();
  ASSERT_EQ(model->graph.inputs.size(), 2u);
  EXPECT_TRUE(model->graph.is_constant(model->graph.inputs[1]));
  for (auto& value : tables.model->graph->values) {
    if (value->name == "c") value->type->value.AsTensorType()->element = 7;
  }
  ExpectParts(WhyNot(tables), {"input 'c'", "int64", "float"});
}

TEST(OrtReader, DefaultsMayBeDeclaredOfUnknownSize) {
  fbs::SessionT tables = Tables("graph (x: float[?]) -> (y) {\n  c = const float[2]{1, 2}\n  y = Mul-14(x, c)\n}\n");
  tables.model->graph->inputs.push_back("c");
  for (auto& value : tables.model->graph->values) {
    if (value->name == "c") value->type->value.AsTensorType()->shape->dims[0]->value->kind = 0;
  }
  auto session = hostile::OpenBytes(fuzz::OrtFile(tables));
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::vector<Datum> results;
  Status status = hostile::RunSession(**session, {hostile::List<float>({3})}, &results);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(results[0].tensor.elements(), 2);
  EXPECT_EQ(results[0].tensor.as<float>()[1], 6);
}

// Nodes ---------------------------------------------------------------------------------------------------------------------------

TEST(OrtReader, NamesThatDoNotFit) {
  fbs::SessionT tables = Tables(kRelu);
  FirstNode(tables).inputs = {"nowhere"};
  ExpectParts(WhyNot(tables), {"Relu", "input 0", "'nowhere'"});
  FirstNode(tables).inputs = {"x"};
  FirstNode(tables).outputs = {"x"};
  ExpectParts(WhyNot(tables), {"Relu", "'x'"});
  FirstNode(tables).outputs = {"y", "y"};
  ExpectParts(WhyNot(tables), {"Relu", "'y'"});
  FirstNode(tables).outputs = {"z"};
  ExpectParts(WhyNot(tables), {"output 'y'", "nothing defines"});
  FirstNode(tables).inputs = {"y"}, FirstNode(tables).outputs = {"y"};
  ExpectParts(WhyNot(tables), {"'y'"});
  tables = Tables(kRelu);
  tables.model->graph->inputs.push_back("x");
  ExpectParts(WhyNot(tables), {"two inputs", "'x'"});
  tables.model->graph->inputs[1] = "";
  ExpectParts(WhyNot(tables), {"input", "no name"});
  tables = Tables(kRelu);
  tables.model->graph->outputs[0] = "";
  ExpectParts(WhyNot(tables), {"output", "no name"});
  tables = Tables(kRelu);
  FirstNode(tables).op = "";
  ExpectParts(WhyNot(tables), {"no operator"});
  FirstNode(tables).op = std::string(5000, 'x');
  ExpectParts(WhyNot(tables), {"limit", "4096"});
}

TEST(OrtReader, VersionsOfOperators) {
  fbs::SessionT tables = Tables(kRelu);
  auto version = [&] { return Read(tables)->graph.node(0).version; };
  FirstNode(tables).since_version = 6;
  tables.model->opsets[0]->version = 14;
  EXPECT_EQ(version(), 14);   // what the file imports, of which 6 is since when it has said the same
  tables.model->opsets[0]->version = 5;
  EXPECT_EQ(version(), 6);
  tables.model->opsets.clear();
  EXPECT_EQ(version(), 6);
  FirstNode(tables).since_version = 0;
  ExpectParts(WhyNot(tables), {"Relu", "version 0"});
  tables = Tables(kRelu);
  tables.model->opsets[0]->version = 0;
  ExpectParts(WhyNot(tables), {"version 0"});
  tables.model->opsets[0]->version = 99;
  ExpectParts(WhyNot(tables), {"version 99", "ai.onnx", "28"});
  tables = Tables(kRelu);
  tables.model->opsets.push_back(std::make_unique<fbs::OpsetT>(*tables.model->opsets[0]));
  ExpectParts(WhyNot(tables), {"imported twice"});
  tables = Tables(kRelu);
  tables.model->ir_version = 99;
  ExpectParts(WhyNot(tables), {"IR version 99"});
}

TEST(OrtReader, Attributes) {
  fbs::SessionT tables = Tables(kRelu);
  auto& attributes = FirstNode(tables).attributes;
  auto refused = [&](std::unique_ptr<fbs::AttributeT> attribute) {
    attributes.clear();
    attributes.push_back(std::move(attribute));
    return WhyNot(tables);
  };
  for (int kind : {-1, 0, 11, 12, 13, 14, 99}) ExpectParts(refused(NewAttribute("a", kind)), {"Relu", "'a'", "kind"});
  ExpectParts(refused(NewAttribute("", 2)), {"no name"});
  ExpectParts(refused(NewAttribute("t", 4)), {"'t'", "TENSOR without contents"});
  ExpectParts(refused(NewAttribute("g", 5)), {"'g'", "GRAPH without contents"});
  auto tensors = NewAttribute("ts", 9);
  tensors->tensors.push_back(std::make_unique<fbs::TensorT>());
  ExpectParts(refused(std::move(tensors)), {"'ts'", "element type 0"});
  attributes.clear();
  for (int i = 0; i < 2; ++i) attributes.push_back(NewAttribute("a", 2));
  ExpectParts(WhyNot(tables), {"'a'", "twice"});
  for (int i = 0; i < 300; ++i) attributes.push_back(NewAttribute(std::to_string(i), 2));
  ExpectParts(WhyNot(tables), {"302 attributes", "256"});
  attributes.clear();
  FirstNode(tables).fused = 1;
  FirstNode(tables).provider = "OtherExecutionProvider";
  ExpectParts(WhyNot(tables), {"Relu", "compiled", "'OtherExecutionProvider'"});
}

constexpr std::string_view kIf = R"(graph (c: bool[], x: float[2]) -> (y) {
  y = If-16(c) {then_branch=graph then() captures (z: float[2] = x) -> (u) {
    u = Relu-14(z)
  }, else_branch=graph else() captures (t: float[2] = x) -> (v) {
    k = const float[1]{1}
    v = Add-14(t, k)
  }}
}
)";

TEST(OrtReader, SubgraphsCaptureOuterValues) {
  const std::string onnx = hostile::OnnxOf("graph (c: bool[], x: float[2]) -> (y) {\n  y = Identity-14(x)\n}\n");
  Result<OnnxModel> plain = ReadOnnxBytes(std::as_bytes(std::span(onnx.data(), onnx.size())));
  ASSERT_TRUE(plain.ok());
  fbs::SessionT tables = fuzz::OrtTables(*plain);
  // If c then x + w else -x, as the tables say it: names of the outer graph inside.
  auto branch = [](std::string op, std::vector<std::string> inputs, std::string output) {
    auto graph = std::make_unique<fbs::GraphT>();
    graph->nodes.push_back(std::make_unique<fbs::NodeT>());
    graph->nodes[0]->op = std::move(op);
    graph->nodes[0]->since_version = 13;
    graph->nodes[0]->inputs = std::move(inputs);
    graph->nodes[0]->outputs = {output};
    graph->outputs = {output};
    return graph;
  };
  fbs::NodeT& node = FirstNode(tables);
  node.op = "If";
  node.inputs = {"c"};
  node.attributes.push_back(NewAttribute("then_branch", 5));
  node.attributes.back()->graph = branch("Add", {"x", "w"}, "a");
  node.attributes.push_back(NewAttribute("else_branch", 5));
  node.attributes.back()->graph = branch("Neg", {"x"}, "b");
  auto w = std::make_unique<fbs::TensorT>();
  w->name = "w";
  w->element = 1;
  w->dims = {2};
  w->raw = {0, 0, 64, 64, 0, 0, 128, 64};   // 3 and 4
  tables.model->graph->initializers.push_back(std::move(w));

  const std::string file = fuzz::OrtFile(tables);
  auto session = hostile::OpenBytes(file);
  ASSERT_TRUE(session.ok()) << session.status().message();
  for (bool chosen : {true, false}) {
    std::vector<Datum> results;
    Status status = hostile::RunSession(**session, {Tensor::Scalar(chosen), hostile::List<float>({1, 2})}, &results);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(results[0].tensor.as<float>()[0], chosen ? 4 : -1);
    EXPECT_EQ(results[0].tensor.as<float>()[1], chosen ? 6 : -2);
  }
  // Graphs within graphs, deeper than there is room for.
  auto deep = branch("Neg", {"x"}, "z0");
  for (int i = 1; i < 40; ++i) {
    auto outer = branch("If", {"c"}, "z" + std::to_string(i));
    outer->nodes[0]->attributes.push_back(NewAttribute("then_branch", 5));
    outer->nodes[0]->attributes.back()->graph = std::move(deep);
    deep = std::move(outer);
  }
  node.attributes[1]->graph = std::move(deep);
  EXPECT_FALSE(Read(tables).ok());
}

// What ONNX Runtime has made of operators -----------------------------------------------------------------------------------------

/// What the nodes of `text` become, by the names of their operators in the order they are made.
std::string Unfused(std::string_view text, std::string* why = nullptr) {
  Result<OnnxModel> model = Read(Tables(text));
  if (!model.ok()) {
    if (why) {
      *why = model.status().message();
    } else {
      ADD_FAILURE() << model.status().message() << "\n" << text;
    }
    return "";
  }
  std::string out;
  const Result<std::vector<NodeId>> order = model->graph.Order();
  for (NodeId id : *order) out += (out.empty() ? "" : " ") + model->graph.node(id).op;
  return out;
}

TEST(OrtReader, FusedConvolutions) {
  auto conv = [](std::string inputs, std::string attributes) {
    return Unfused("graph (x: float[1,2,4,4], w: float[2,2,1,1], b: float[2], z: float[1,2,4,4]) -> (y) {\n"
                   "  y: float[1,2,4,4] = com.microsoft:FusedConv-1(" + inputs + ") {" + attributes + "}\n}\n");
  };
  EXPECT_EQ(conv("x, w", "kernel_shape=[1, 1]"), "Conv");
  EXPECT_EQ(conv("x, w, b", "activation=\"Relu\""), "Conv Relu");
  EXPECT_EQ(conv("x, w, b, z", "activation=\"\""), "Conv Add");
  EXPECT_EQ(conv("x, w, b, z", "activation=\"Relu\""), "Conv Add Relu");
  EXPECT_EQ(conv("x, w", "activation=\"LeakyRelu\", activation_params=[0.5]"), "Conv LeakyRelu");
  EXPECT_EQ(conv("x, w", "activation=\"Clip\", activation_params=[0.0, 6.0]"), "Conv Clip");
  EXPECT_EQ(conv("x, w", "activation=\"HardSigmoid\", activation_params=[0.2, 0.5]"), "Conv HardSigmoid");
  for (const char* attributes : {"activation=\"Clip\"", "activation=\"Clip\", activation_params=[1.0]", "activation=\"Odd\"", "activation=3"}) {
    std::string why;
    Unfused(std::string("graph (x: float[1,2,4,4], w: float[2,2,1,1]) -> (y) {\n  y = com.microsoft:FusedConv-1(x, w) {") + attributes + "}\n}\n", &why);
    ExpectParts(why, {"FusedConv", "activation"});
  }
}

TEST(OrtReader, OtherFusedOperators) {
  EXPECT_EQ(Unfused("graph (a: float[2,3], b: float[3,4]) -> (y) {\n  y = com.microsoft:FusedGemm-1(a, b) {activation=\"Elu\", activation_alpha=0.5, alpha=2.0}\n}\n"),
            "Gemm Elu");
  EXPECT_EQ(Unfused("graph (x: uint8[1,4,4,2]) -> (y) {\n  y = com.microsoft:NhwcMaxPool-1(x) {kernel_shape=[2, 2]}\n}\n"),
            "Transpose MaxPool Transpose");
  const std::string conv = "graph (x: uint8[1,4,4,2], xs: float[], xz: uint8[], w: uint8[2,2,1,1], ws: float[], wz: uint8[], ys: float[], yz: uint8[]) -> (y) {\n"
                           "  y = com.microsoft:QLinearConv-1(x, xs, xz, w, ws, wz, ys, yz) {channels_last=";
  EXPECT_EQ(Unfused(conv + "1}\n}\n"), "Transpose QLinearConv Transpose");
  EXPECT_EQ(Unfused(conv + "0}\n}\n"), "QLinearConv");
  EXPECT_EQ(Unfused("graph (a: float[3,2,4], b: float[2,4,5]) -> (y) {\n  y = com.microsoft:FusedMatMul-1(a, b) {transBatchA=1, alpha=0.5}\n}\n"),
            "Transpose FusedMatMul");
  EXPECT_EQ(Unfused("graph (a: double[2,4], b: double[4,5]) -> (y) {\n  y: double[2,5] = com.microsoft:FusedMatMul-1(a, b) {alpha=0.5}\n}\n"),
            "FusedMatMul Mul");
  std::string why;
  Unfused("graph (x: float[1,16,4,4]) -> (y) {\n  y = com.microsoft.nchwc:ReorderOutput-1(x) {channels=3}\n}\n", &why);
  ExpectParts(why, {"ReorderOutput", "layout of one processor", "extended", "NchwcTransformer"});
  // Others are left to whoever looks them up.
  auto session = hostile::OpenBytes(fuzz::OrtFile(Tables("graph (x: float[2]) -> (y) {\n  y = com.microsoft:Unheard-1(x)\n}\n")));
  ExpectParts(Why(session.status()), {"com.microsoft:Unheard"});
}

TEST(OrtReader, FusedNumbers) {
  // 2 (a b) rows of which are negative become alpha (e^v - 1): Elu with alpha 0.5.
  const std::string file = fuzz::OrtFile(Tables(
      "graph (a: float[1,2], b: float[2,2]) -> (y) {\n  y = com.microsoft:FusedGemm-1(a, b) {activation=\"Elu\", activation_alpha=0.5, alpha=2.0}\n}\n"));
  auto session = hostile::OpenBytes(file);
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::vector<Datum> results;
  Status status = hostile::RunSession(**session, {hostile::Of<float>(Shape{1, 2}, {1, 2}), hostile::Of<float>(Shape{2, 2}, {1, -1, 1, -1})}, &results);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_FLOAT_EQ(results[0].tensor.as<float>()[0], 6);
  EXPECT_NEAR(results[0].tensor.as<float>()[1], 0.5 * (std::exp(-6.0) - 1), 1e-6);
}

TEST(OrtReader, ActivationsOfADirectionThatIsNotThere) {
  EXPECT_TRUE(hostile::OpenBytes(fuzz::OrtFile(Tables(
      "graph (x: float[1,1,2], w: float[1,3,2], r: float[1,3,3]) -> (y) {\n  y = RNN-14(x, w, r) {hidden_size=3, activations=[\"Tanh\", \"Tanh\"]}\n}\n"))).ok());
}

// Damage --------------------------------------------------------------------------------------------------------------------------

TEST(OrtReader, DamagedFilesAreOneSentence) {
  const std::string file = fuzz::OrtFile(Tables(kIf));
  EXPECT_TRUE(ReadFile(file).ok()) << ReadFile(file).status().message();
  for (size_t size = 0; size < file.size(); size += 7) EXPECT_FALSE(ReadFile(file.substr(0, size)).ok());
  for (size_t i = 0; i < file.size(); ++i) {
    for (int bit : {0, 2, 7}) {
      std::string damaged = file;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      Result<OnnxModel> model = ReadFile(damaged);
      EXPECT_NE(model.ok(), !model.status().message().empty());
      EXPECT_NE(model.status().code(), Code::kInternal) << model.status().message();
    }
  }
  ExpectParts(Why(ReadFile("").status()), {"not a .ort file"});
  ExpectParts(Why(ReadFile(std::string("\xFF\xFF\0\0ORTM\0\0\0\0", 12)).status()), {"damaged"});
  fbs::SessionT empty;
  empty.version = "6";
  ExpectParts(WhyNot(empty), {"no graph"});
}

}  // namespace
}  // namespace linnet
