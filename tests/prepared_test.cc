// Prepared files as files: what later versions read, what others do to them meanwhile, what is left out of them, and that they do not
// depend on the machine that made them.
#include <gtest/gtest.h>
#include <string.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "api/full_build.h"
#include "format/linnet_file.h"
#include "fuzz/ort_writer.h"
#include "graph/text.h"
#include "hostile_util.h"
#include "onnx/proto_values.h"
#include "onnx/reader.h"
#include "temp_folder.h"

namespace linnet::hostile {
namespace {

namespace fs = std::filesystem;

std::string Contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class PreparedFiles : public testing::Test {
 protected:
  PreparedFiles() { options_.threads = 1; }
  ~PreparedFiles() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& bytes) const { std::ofstream(folder_ / name, std::ios::binary) << bytes; }
  Status Convert(const std::string& text, const std::string& to) {
    Write("m.onnx", OnnxOf(text));
    return ConvertModel(Path("m.onnx"), Path(to), options_);
  }

  fs::path folder_ = NewTempFolder("linnet_prepared");
  SessionOptions options_;
};

// Formats -----------------------------------------------------------------------------------------------------------

/// Files of every format since 2, as they were written then, with inputs and what ONNX Runtime answers to them.
TEST_F(PreparedFiles, OfEveryFormatGiveTheSameAnswers) {
  int files = 0;
  for (const fs::directory_entry& folder : fs::directory_iterator(fs::path(LINNET_SOURCE_DIR) / "tests" / "prepared")) {
    for (uint32_t format = 2; format <= kLinnetFormat; ++format) {
      const std::string path = (folder.path() / ("format" + std::to_string(format) + ".linnet")).string();
      SCOPED_TRACE(path);
      auto session = Session::Open(path, options_);
      ASSERT_TRUE(session.ok()) << session.status().message();
      auto values = [&](const char* name, const std::vector<PortInfo>& ports) {
        std::vector<Tensor> tensors;
        for (size_t i = 0; i < ports.size(); ++i) {
          Result<NamedDatum> value = ReadValueFile((folder.path() / (name + std::to_string(i) + ".pb")).string(), Type::Tensor(ports[i].type.dtype, Shape()));
          EXPECT_TRUE(value.ok()) << value.status().message();
          if (!value.ok()) return tensors;
          EXPECT_EQ(value->name, ports[i].name);
          tensors.push_back(value->value.tensor);
        }
        return tensors;
      };
      const std::vector<Tensor> inputs = values("input_", (*session)->inputs()), wanted = values("output_", (*session)->outputs());
      std::vector<Datum> have;
      Status status = RunSession(**session, inputs, &have);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_EQ(have.size(), wanted.size());
      for (size_t i = 0; i < have.size(); ++i) {
        ASSERT_EQ(have[i].type, wanted[i].type());
        for (int64_t e = 0; e < wanted[i].elements(); ++e) {
          if (wanted[i].dtype() == DType::kFloat) {
            EXPECT_NEAR(have[i].tensor.as<float>()[e], wanted[i].as<float>()[e], 1e-5 * (1 + std::abs(wanted[i].as<float>()[e])));
          }
        }
        if (wanted[i].dtype() != DType::kFloat) {
          EXPECT_EQ(memcmp(have[i].tensor.data(), wanted[i].data(), static_cast<size_t>(wanted[i].bytes())), 0) << "output " << i;
        }
      }
      ++files;
    }
  }
  EXPECT_GE(files, 10);
}

// Files that change ---------------------------------------------------------------------------------------------------

constexpr const char* kLookup = R"(graph (i: int64[2]) -> (y) {
  table = const float[4,3]{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
  y = Gather-13(table, i)
})";

/// y = table[i], with the table in a file of its own.
std::string LookupBeside(const std::string& name) {
  Proto table = TensorHeader("table", 1, {4, 3}).Msg(13, Proto().Str(1, "location").Str(2, name)).Int(14, 1);
  return ModelOf(Proto()
                     .Msg(1, NodeProto("Gather", {"table", "i"}, {"y"}))
                     .Str(2, "g")
                     .Msg(5, table)
                     .Msg(11, TensorValue("i", 7, {"2"}))
                     .Msg(12, TensorValue("y", 1, {"2", "3"})))
      .bytes();
}

TEST_F(PreparedFiles, ThatAreReadMayBeCutMeanwhile) {
  ASSERT_TRUE(Convert(kLookup, "m.linnet").ok());
  Result<OnnxModel> model = ReadOnnxFile(Path("m.onnx"));
  ASSERT_TRUE(model.ok());
  Write("m.ort", fuzz::OrtFile(fuzz::OrtTables(*model)));
  Write("beside.onnx", LookupBeside("table.bin"));
  std::string numbers;
  for (int i = 1; i <= 12; ++i) {
    const float number = static_cast<float>(i);
    numbers.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  Write("table.bin", numbers);
  options_.read = true;
  for (const char* name : {"m.linnet", "m.onnx", "m.ort", "beside.onnx"}) {
    SCOPED_TRACE(name);
    auto session = Session::Open(Path(name), options_);
    ASSERT_TRUE(session.ok()) << session.status().message();
    // Nothing is left where a mapping would be: an access to it ends the process.
    fs::resize_file(Path(name), 0);
    if (std::string_view(name) == "beside.onnx") fs::resize_file(Path("table.bin"), 0);
    std::vector<Datum> y;
    Status status = RunSession(**session, {List<int64_t>({3, 0})}, &y);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(PrintTensor(y[0].tensor), "float[2,3]{10, 11, 12, 1, 2, 3}");
  }
}

TEST_F(PreparedFiles, AreVerifiedWhereThatIsAskedFor) {
  // More numbers than are under the head's checksum.
  std::string numbers;
  for (int i = 0; i < 90; ++i) numbers += Cat(i ? ", " : "", i);
  ASSERT_TRUE(Convert(Cat("graph (which: int64[2]) -> (y) { table = const float[30,3]{", numbers, "} y = Gather-13(table, which) }"), "m.linnet").ok());
  options_.verify = true;
  EXPECT_TRUE(Session::Open(Path("m.linnet"), options_).ok());
  std::string bytes = Contents(Path("m.linnet"));
  const float seven = 7;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&seven), sizeof seven));
  ASSERT_NE(at, bytes.npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  Write("damaged.linnet", bytes);
  for (bool read : {false, true}) {
    options_.read = read;
    ExpectParts(Why(Session::Open(Path("damaged.linnet"), options_).status()), {"damaged.linnet", "is damaged: its checksum differs"});
  }
  ExpectParts(Why(OpenBytes(bytes, options_).status()), {"is damaged: its checksum differs"});
  ExpectParts(Why(Session::Open(Path("m.onnx"), options_).status()), {"only .linnet files have checksums"});
  ExpectParts(Why(OpenBytes(Contents(Path("m.onnx")), options_).status()), {"only .linnet files have checksums"});
  options_.verify = false;
  EXPECT_TRUE(Session::Open(Path("damaged.linnet"), options_).ok());
}

// Names ---------------------------------------------------------------------------------------------------------------

/// A model with all that strip leaves out, and a node that fails in the run.
std::string Wordy() {
  Proto text = Proto().Str(1, "purpose").Str(2, "kept-metadata");
  Proto graph = Proto()
                    .Msg(1, NodeProto("Relu", {"input-port"}, {"secret-value"}, {}, "secret-node"))
                    .Msg(1, NodeProto("Gather", {"secret-value", "which"}, {"output-port"}, {}, "secret-gather"))
                    .Str(2, "secret-graph")
                    .Msg(11, TensorValue("input-port", 1, {"rows", "3"}))
                    .Msg(11, TensorValue("which", 7, {"1"}))
                    .Msg(12, UntypedValue("output-port"));
  return Proto()
      .Int(1, 8)
      .Str(2, "secret-producer")
      .Str(3, "secret-version")
      .Str(4, "secret-domain")
      .Str(6, "secret-description")
      .Msg(8, OpsetProto("", 17))
      .Msg(7, graph)
      .Msg(14, text)
      .bytes();
}

TEST_F(PreparedFiles, KeepWhatTheModelSaysOfItself) {
  Write("m.onnx", Wordy());
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("m.linnet"), options_).ok());
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  const ModelInfo& info = (*session)->info();
  EXPECT_EQ(info.producer_name, "secret-producer");
  EXPECT_EQ(info.producer_version, "secret-version");
  EXPECT_EQ(info.domain, "secret-domain");
  EXPECT_EQ(info.doc_string, "secret-description");
  EXPECT_EQ(info.graph_name, "secret-graph");
  ExpectParts(Why(RunSession(**session, {Filled<float>(Shape{2, 3}, 1), List<int64_t>({5})})), {"Gather 'secret-gather'", "5"});
}

TEST_F(PreparedFiles, WithoutNamesCountNodes) {
  Write("m.onnx", Wordy());
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("kept.linnet"), options_).ok());
  options_.names = false;
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("m.linnet"), options_).ok());
  EXPECT_LT(fs::file_size(Path("m.linnet")), fs::file_size(Path("kept.linnet")));
  EXPECT_EQ(Contents(Path("m.linnet")).find("secret"), std::string::npos);
  EXPECT_NE(Contents(Path("kept.linnet")).find("secret"), std::string::npos);
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  EXPECT_EQ((*session)->inputs()[0].name, "input-port");
  EXPECT_EQ(ToString((*session)->inputs()[0].type, &(*session)->symbols()), "float[rows,3]");
  EXPECT_EQ((*session)->outputs()[0].name, "output-port");
  const std::vector<std::pair<std::string, std::string>> metadata = {{"purpose", "kept-metadata"}};
  EXPECT_EQ((*session)->info().metadata, metadata);
  std::vector<Datum> y;
  ASSERT_TRUE(RunSession(**session, {Of<float>(Shape{2, 3}, {-1, 2, -3, 4, -5, 6}), List<int64_t>({1})}, &y).ok());
  EXPECT_EQ(PrintTensor(y[0].tensor), "float[1,3]{4, 0, 6}");
  // The first node has no name for anything it makes; the second makes an output.
  ExpectParts(Why(RunSession(**session, {Filled<float>(Shape{2, 3}, 1), List<int64_t>({5})})), {"Gather producing 'output-port'", "5"});
  EXPECT_EQ((*session)->model().nodes()[0].io.label, "Relu (node 0)");
}

/// Subgraphs lose their names as well, and print with new ones.
TEST_F(PreparedFiles, WithoutNamesHaveBodiesWithout) {
  options_.names = false;
  const char* text = R"(graph (n: int64[], x: float[2]) -> (y, all) {
    t = const bool[]{true}
    y, all = Loop-16(n, t, x) {body=graph secret_body(secret_i: int64[], c: bool[], v: float[2]) -> (k, w, o) {
      k = Identity-16(c)
      w = Add-14(v, v)
      o = Identity-16(w)
    }}
  })";
  ASSERT_TRUE(Convert(text, "m.linnet").ok());
  EXPECT_EQ(Contents(Path("m.linnet")).find("secret"), std::string::npos);
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::vector<Datum> results;
  ASSERT_TRUE(RunSession(**session, {Of<int64_t>(Shape::OfRank(0), {2}), List<float>({1, -1})}, &results).ok());
  EXPECT_EQ(PrintTensor(results[0].tensor), "float[2]{4, -4}");
  const std::string printed = PrintGraph((*session)->model().graph());
  Result<Graph> parsed = ParseGraph(printed);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message() << "\n" << printed;
}

// Machines ------------------------------------------------------------------------------------------------------------

/// Convolutions that are packed for Winograd, fused blocks, products, integers, and constants that are computed ahead.
constexpr const char* kMachine = R"(graph (x: float[1,8,40,40]) -> (y, z) {
  begin = const float[]{-2}
  end = const float[]{2.5}
  step = const float[]{0.0078125}
  w = Range-11(begin, end, step)
  e = Exp-13(w)
  s = Tanh-13(e)
  shape = const int64[4]{8, 8, 3, 3}
  k = Reshape-14(s, shape)
  c = Conv-11(x, k) {pads=[1, 1, 1, 1]}
  r = Relu-14(c)
  d = Conv-11(r, k) {pads=[1, 1, 1, 1]}
  a = Add-14(d, r)
  flat = const int64[2]{8, 1600}
  f = Reshape-14(a, flat)
  one = const int64[2]{72, 8}
  m = Reshape-14(s, one)
  back = Transpose-13(f) {perm=[1, 0]}
  p = Transpose-13(m) {perm=[1, 0]}
  y = MatMul-13(back, p)
  z = Sigmoid-13(s)
})";

TEST_F(PreparedFiles, DoNotDependOnTheMachineThatMadeThem) {
  Write("m.onnx", OnnxOf(kMachine));
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("m.linnet"), options_).ok());
  const std::string whole = Contents(Path("m.linnet"));
  for (CpuLevel level : {CpuLevel::kSse4, CpuLevel::kAvx2, CpuLevel::kAvx512, CpuLevel::kNeon, CpuLevel::kDotprod}) {
    if (!Supports(DetectedCpuLevel(), level)) continue;
    for (int threads : {1, 3}) {
      options_.cpu = CpuLevelName(level);
      options_.threads = threads;
      ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("other.linnet"), options_).ok());
      EXPECT_TRUE(Contents(Path("other.linnet")) == whole) << options_.cpu << ", " << threads << " threads";
    }
  }
}

/// What is computed ahead is what the least of the machine's family would compute.
TEST_F(PreparedFiles, ComputeConstantsAsEveryMachineCan) {
  Write("m.onnx", OnnxOf(kMachine));
  ASSERT_TRUE(ConvertModel(Path("m.onnx"), Path("m.linnet"), options_).ok());
  const Tensor x = Filled<float>(Shape{1, 8, 40, 40}, 0.5f);
  std::vector<Datum> ahead, then;
  auto session = Session::Open(Path("m.linnet"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  ASSERT_TRUE(RunSession(**session, {x}, &ahead).ok());
  options_.cpu = CpuLevelName(static_cast<CpuLevel>(static_cast<int>(DetectedCpuLevel()) / 16 * 16));
  options_.pipeline.level = kOptimizeNothing;
  session = Session::Open(Path("m.onnx"), options_);
  ASSERT_TRUE(session.ok()) << session.status().message();
  ASSERT_TRUE(RunSession(**session, {x}, &then).ok());
  ASSERT_EQ(ahead[1].type, then[1].type);
  EXPECT_EQ(memcmp(ahead[1].tensor.data(), then[1].tensor.data(), static_cast<size_t>(then[1].tensor.bytes())), 0);
}

}  // namespace
}  // namespace linnet::hostile
