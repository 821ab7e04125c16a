// linnet convert: what its options leave in the file.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "cli/data/model_file.h"
#include "command_util.h"
#include "temp_folder.h"

namespace linnet::cli {
namespace {

const std::string kDigits = std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx";

linnet_test::Ran Convert(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "convert");
  return linnet_test::RunCommand(std::move(arguments), AddConvertCommand);
}

TEST(CliConvert, TheTargetSaysWhatHalfIs) {
  const std::string folder = NewTempFolder("linnet_convert"), out = folder + "/digits.linnet";
  for (auto [target, precision] : {std::pair<std::string, std::string>{"arm", "fp16"}, {"x86", "bf16"}}) {
    const linnet_test::Ran ran = Convert({kDigits, out, "--precision", "half", "--target", target});
    ASSERT_EQ(ran.code, kSuccess) << ran.err;
    Result<ModelFile> file = OpenModelFile(out, SessionOptions());
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(file->precision, precision) << target;
  }
  std::filesystem::remove(out);
  const linnet_test::Ran vague = Convert({kDigits, out, "--precision", "half"});
  EXPECT_NE(vague.code, kSuccess);
  EXPECT_NE(vague.err.find("--target x86 or arm"), std::string::npos) << vague.err;
  EXPECT_NE(Convert({kDigits, out, "--target", "riscv"}).code, kSuccess);
  EXPECT_FALSE(std::filesystem::exists(out));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace linnet::cli
