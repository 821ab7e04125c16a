// .npy files: those numpy writes, those we write, and those nobody should.
#include "cli/data/npy.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/utf8.h"

namespace linnet {
namespace {

/// A file of version 1.0 with the given header and elements.
std::string File(std::string header, std::string_view data, char major = 1) {
  header += '\n';
  std::string file("\x93NUMPY", 6);
  file += major;
  file += '\0';
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  if (major > 1) file += std::string(2, '\0');
  return file + header + std::string(data);
}
std::string Header(const std::string& descr, const std::string& shape, const char* order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}
template <class T>
std::string Raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}
template <class T>
std::vector<T> Values(const Tensor& tensor) {
  return {tensor.as<T>(), tensor.as<T>() + tensor.elements()};
}

TEST(Npy, ReadsWhatNumpyWrites) {
  // numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], dtype='<i2'), byte for byte.
  std::string file(
      "\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }"
      "                                                          \n"
      "\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\x00",
      140);
  Result<Tensor> tensor = ReadNpy(file);
  ASSERT_TRUE(tensor.ok()) << tensor.status().message();
  EXPECT_EQ(tensor->dtype(), DType::kInt16);
  EXPECT_EQ(tensor->shape(), (Shape{2, 3}));
  EXPECT_EQ(Values<int16_t>(*tensor), (std::vector<int16_t>{1, 2, 3, 4, 5, 6}));
  MemorySink sink;
  ASSERT_TRUE(WriteNpy(*tensor, sink).ok());
  EXPECT_EQ(sink.contents(), file);
}

TEST(Npy, OrdersVersionsAndSpellings) {
  std::string columns = Raw<float>({1, 4, 2, 5, 3, 6});
  for (const std::string& header : {Header("<f4", "(2, 3)", "True"), Header("=f4", "(2L,3L)", "True"),
                                    std::string("{\"shape\":(2,3,),'descr':'f4' , 'fortran_order' :True}   ")}) {
    for (char major : {1, 2, 3}) {
      Result<Tensor> tensor = ReadNpy(File(header, columns, major));
      ASSERT_TRUE(tensor.ok()) << tensor.status().message();
      EXPECT_EQ(Values<float>(*tensor), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    }
  }
  EXPECT_EQ(Values<int32_t>(*ReadNpy(File(Header(">i4", "(2,)"), std::string("\0\0\1\2\xff\xff\xff\xfe", 8)))),
            (std::vector<int32_t>{258, -2}));
  std::string cube = Raw<uint8_t>({0, 4, 2, 6, 1, 5, 3, 7});
  EXPECT_EQ(Values<uint8_t>(*ReadNpy(File(Header("|u1", "(2, 2, 2)", "True"), cube))),
            (std::vector<uint8_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(ReadNpy(File(Header("<f8", "()"), Raw<double>({2.5})))->shape().rank(), 0);
  EXPECT_EQ(ReadNpy(File(Header("<f8", "(0, 7)"), ""))->elements(), 0);
  EXPECT_EQ(Values<uint8_t>(*ReadNpy(File(Header("|b1", "(3,)"), Raw<uint8_t>({0, 1, 200})))),
            (std::vector<uint8_t>{0, 1, 1}));
}

TEST(Npy, Text) {
  std::u32string wide(U"ab\0\0größ\0\0\0\0", 12);
  Result<Tensor> tensor = ReadNpy(File(Header("<U4", "(3,)"), {reinterpret_cast<const char*>(wide.data()), 48}));
  ASSERT_TRUE(tensor.ok()) << tensor.status().message();
  EXPECT_EQ(Values<std::string>(*tensor), (std::vector<std::string>{"ab", "größ", ""}));
  tensor = ReadNpy(File(Header("|S3", "(2,)"), std::string_view("abc\xff\0\0", 6)));
  EXPECT_EQ(Values<std::string>(*tensor), (std::vector<std::string>{"abc", "\xff"}));
  EXPECT_FALSE(ReadNpy(File(Header("<U1", "(1,)"), Raw<uint32_t>({0x110000}))).ok());
  EXPECT_FALSE(ReadNpy(File(Header("<U1", "(1,)"), Raw<uint32_t>({0xD800}))).ok());
  EXPECT_FALSE(ReadNpy(File(Header("<U0", "(1099511627775,)"), "")).ok());
}

TEST(Npy, RoundTripsEveryType) {
  for (int type = 1; type < kDTypeCount; ++type) {
    DType dtype = static_cast<DType>(type);
    for (const Shape& shape : {Shape::OfRank(0), Shape{5}, Shape{0, 3}, Shape{3, 1, 7}}) {
      Tensor tensor = *Tensor::Allocate(dtype, shape);
      if (dtype == DType::kString) {
        for (int64_t i = 0; i < tensor.elements(); ++i) tensor.mutable_as<std::string>()[i] = std::string(i % 4, 'x');
      } else {
        for (int64_t i = 0; i < tensor.bytes(); ++i) tensor.mutable_as<uint8_t>()[i] = dtype == DType::kBool ? i % 2 : i;
      }
      MemorySink sink;
      ASSERT_TRUE(WriteNpy(tensor, sink).ok()) << DTypeName(dtype);
      Result<Tensor> back = ReadNpy(sink.contents());
      ASSERT_TRUE(back.ok()) << DTypeName(dtype) << ": " << back.status().message();
      EXPECT_EQ(back->shape(), shape);
      if (back->dtype() != dtype) continue;  // widened: below
      if (dtype == DType::kString) {
        EXPECT_EQ(Values<std::string>(*back), Values<std::string>(tensor));
      } else if (tensor.bytes() > 0) {
        EXPECT_EQ(memcmp(back->data(), tensor.data(), static_cast<size_t>(tensor.bytes())), 0);
      }
    }
  }
}

TEST(Npy, WidensTypesNumpyLacks) {
  auto widen = [](DType dtype, const Shape& shape, std::initializer_list<uint8_t> bytes) {
    Tensor tensor = *Tensor::Allocate(dtype, shape);
    memcpy(tensor.mutable_data(), bytes.begin(), bytes.size());
    MemorySink sink;
    EXPECT_TRUE(WriteNpy(tensor, sink).ok());
    return *ReadNpy(sink.contents());
  };
  EXPECT_EQ(Values<float>(widen(DType::kBfloat16, Shape{2}, {0x80, 0x3F, 0x00, 0xC0})), (std::vector<float>{1, -2}));
  EXPECT_EQ(Values<float>(widen(DType::kFloat8e5m2, Shape{2}, {0x3C, 0xC0})), (std::vector<float>{1, -2}));
  EXPECT_EQ(Values<int8_t>(widen(DType::kInt4, Shape{3}, {0x8F, 0x07})), (std::vector<int8_t>{-1, -8, 7}));
  EXPECT_EQ(Values<uint8_t>(widen(DType::kUint4, Shape{3}, {0x8F, 0x07})), (std::vector<uint8_t>{15, 8, 7}));
  EXPECT_EQ(Values<int8_t>(widen(DType::kInt2, Shape{4}, {0b11'10'01'00})), (std::vector<int8_t>{0, 1, -2, -1}));
}

TEST(Npy, RefusesWithASentence) {
  struct {
    std::string file;
    const char* says;
  } cases[] = {
      {"", "not a .npy"},
      {"PK\x03\x04 an npz archive", "not a .npy"},
      {File(Header("<f4", "(1,)"), "", 9), "version 9"},
      {File(Header("|O", "(1,)"), "12345678"), "pickled"},
      {File("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "1234"), "structures"},
      {File(Header("<f16", "(1,)"), std::string(16, 'x')), "'<f16'"},
      {File(Header("<M8[ns]", "(1,)"), std::string(8, 'x')), "no ONNX counterpart"},
      {File(Header("", "(1,)"), ""), "no ONNX counterpart"},
      {File(Header("<U99999999999999999999", "(1,)"), ""), "no ONNX counterpart"},
      {File(Header("<f4", "(3,)"), "1234"), "holds 4 bytes"},
      {File(Header("<f4", "(1,)"), "12345"), "holds 5 bytes"},
      {File(Header("<f4", "(4611686018427387904, 4)"), ""), "4611686018427387904"},
      {File(Header("<f4", "(99999999999999999999,)"), ""), "a tuple of sizes"},
      {File(Header("<f4", "(-1,)"), ""), "a tuple of sizes"},
      {File(Header("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "1234"), "rank 9"},
      {File(Header("<f4", "(1,)", "false"), "1234"), "True or False"},
      {File("{'descr': '<f4', 'shape': (1,)}", "1234"), "lacks"},
      {File("{'descr': '<f4', 'descr': '<f4'}", "1234"), "repeated key 'descr'"},
      {File("{'descr': '<f4", "1234"), "a type string"},
      {File(Header("<f4", "(1,)") + " import", "1234"), "nothing more"},
      {File("", ""), "'{'"},
  };
  for (const auto& c : cases) {
    Result<Tensor> tensor = ReadNpy(c.file);
    ASSERT_FALSE(tensor.ok()) << c.says;
    EXPECT_NE(tensor.status().message().find(c.says), std::string_view::npos) << tensor.status().message();
  }
}

TEST(Npy, SurvivesEveryPrefixAndChangedByte) {
  std::string file = File(Header("<U2", "(2, 2)", "True"), std::string(32, '\0'));
  for (size_t length = 0; length < file.size(); ++length) {
    EXPECT_FALSE(ReadNpy(std::string_view(file).substr(0, length)).ok());
  }
  for (size_t i = 0; i < file.size(); ++i) {
    for (char value : {'\0', '\1', '(', ')', '\'', '9', ',', '\xff'}) {
      std::string changed = file;
      changed[i] = value;
      (void)ReadNpy(changed).ok();
    }
  }
}

TEST(Npy, Files) {
  std::string path = testing::TempDir() + "linnet_npy_" + std::to_string(getpid()) + ".npy";
  ASSERT_TRUE(SaveNpy(path, Tensor::Ints(std::vector<int64_t>{1, -2})).ok());
  EXPECT_EQ(Values<int64_t>(*LoadNpy(path)), (std::vector<int64_t>{1, -2}));
  ASSERT_TRUE(WriteFileAtomically(path, [](Sink& sink) { return sink.Append("nonsense"); }).ok());
  const std::string name = path.substr(path.find("linnet_npy_"));   // sentences quote backslashes
  EXPECT_NE(LoadNpy(path).status().message().find(name), std::string_view::npos);
  remove(path.c_str());
}

TEST(Utf8, DecodesEncodesAndCleans) {
  std::u32string codes;
  ASSERT_TRUE(DecodeUtf8("a\u00e9\u20ac\U0001F600", &codes));
  EXPECT_EQ(codes, U"a\u00e9\u20ac\U0001F600");
  std::string back;
  for (char32_t code : codes) EXPECT_TRUE(AppendUtf8(back, code));
  EXPECT_EQ(back, "a\u00e9\u20ac\U0001F600");
  for (const char* bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xe0\x80\x80"}) {
    EXPECT_FALSE(DecodeUtf8(bad, &codes)) << bad;
  }
  EXPECT_EQ(DisplayWidth("größe"), 5);
  EXPECT_EQ(Printable("ok \x1b[31mred\xff\xc2\x9b \u202e größe"), "ok ?[31mred?? ? größe");
}

}  // namespace
}  // namespace linnet
