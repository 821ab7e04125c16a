// Finding samples in folders and files, and loading them.
#include "cli/data/samples.h"

#include <string.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/data/cases.h"
#include "cli/data/inflate.h"
#include "cli/data/model_inputs.h"
#include "cli/data/npy.h"
#include "onnx/proto_values.h"

namespace linnet::cli {
namespace fs = std::filesystem;
namespace {

std::string Ending(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
  return ending;
}

bool IsPicture(const std::string& ending) {
  for (const char* known : {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".pnm"}) {
    if (ending == known) return true;
  }
  return false;
}

/// Whether an array is a sample a row: the model takes one row, or any number, and it has more.
bool HasRows(const Shape& declared, const Shape& shape) {
  return declared.has_rank() && declared.rank() > 0 && declared.rank() == shape.rank() && shape[0] > 1 &&
         (declared[0] == 1 || !IsKnownDim(declared[0]));
}

/// Integers of one and two bytes become floats where the model takes floats: a picture saved as an array.
Result<Tensor> Fitting(Tensor tensor, const PortInfo& port) {
  const DType wanted = port.type.dtype;
  if (wanted == tensor.dtype() || !port.type.is_tensor()) return tensor;
  if (wanted == DType::kFloat && tensor.dtype() == DType::kDouble) {
    LINNET_ASSIGN(Tensor out, Tensor::Allocate(DType::kFloat, tensor.shape()));
    for (int64_t i = 0; i < tensor.elements(); ++i) out.mutable_as<float>()[i] = static_cast<float>(tensor.as<double>()[i]);
    return out;
  }
  return tensor;
}

}  // namespace

Result<std::unique_ptr<FileSamples>> FileSamples::Find(const std::vector<std::string>& paths, std::vector<PortInfo> ports,
                                                       const ModelInfo& info, const PreprocessingFlags& flags) {
  auto samples = std::make_unique<FileSamples>();
  samples->ports_ = std::move(ports);
  samples->info_ = info;
  samples->flags_ = flags;
  for (const std::string& path : paths) {
    const size_t before = samples->entries_.size();
    LINNET_TRY(samples->AddPath(path, true));
    if (samples->entries_.size() == before) {
      return InvalidArgument(Quote(path), " holds no picture, no .npy, .npz or .pb file and no test_data_set_* folder");
    }
  }
  return samples;
}

Status FileSamples::NeedOneInput(const std::string& path) const {
  if (ports_.size() == 1) return Status();
  return InvalidArgument(Quote(path), " is data for one input, the model has ", ports_.size(),
                         "; give .npz files or test_data_set_* folders");
}

Status FileSamples::AddPath(const std::string& path, bool named) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return IoError("there is no file or folder ", Quote(path));
  if (fs::is_directory(status)) return AddFolder(path);
  const std::string ending = Ending(path);
  if (IsPicture(ending) || ending == ".pb") {
    LINNET_TRY(NeedOneInput(path));
    entries_.push_back({ending == ".pb" ? Kind::kValue : Kind::kPicture, path});
  } else if (ending == ".npz") {
    return AddArrays(path);
  } else if (ending == ".npy") {
    LINNET_TRY(NeedOneInput(path));
    return AddArray(path);
  } else if (named) {
    return InvalidArgument(Quote(path), " is no picture, no .npy, .npz or .pb file and no folder");
  }
  return Status();
}

Status FileSamples::AddFolder(const std::string& path) {
  std::error_code error;
  if (fs::exists(path + "/input_0.pb", error)) {
    entries_.push_back({Kind::kDataSet, path});
    return Status();
  }
  std::vector<std::string> inside;
  bool data_sets = false;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    inside.push_back(it->path().string());
    data_sets = data_sets || fs::exists(it->path() / "input_0.pb", error);
  }
  if (error) return IoError("reading ", Quote(path), ": ", error.message());
  std::sort(inside.begin(), inside.end());
  for (const std::string& one : inside) {
    // Beside data sets lie models and their tolerances, not samples.
    if (data_sets && !fs::exists(one + "/input_0.pb", error)) continue;
    LINNET_TRY(AddPath(one, false));
  }
  return Status();
}

Status FileSamples::AddArray(const std::string& path) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  Result<Shape> shape = ReadNpyShape(file->bytes());
  if (!shape.ok()) return shape.TakeStatus().At(Quote(path));
  if (shape->elements() == 0) return InvalidArgument(Quote(path), " is an array of shape ", ToString(*shape), ": there is no sample in it");
  if (!HasRows(ports_[0].type.shape, *shape)) {
    entries_.push_back({Kind::kArray, path});
    return Status();
  }
  for (int64_t row = 0; row < (*shape)[0]; ++row) entries_.push_back({Kind::kArray, path, row});
  return Status();
}

Status FileSamples::ReadArrays(const std::string& path) {
  if (arrays_path_ == path) return Status();
  arrays_path_.clear();
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  LINNET_ASSIGN(auto arrays, ReadNpz(file->bytes()));
  arrays_.clear();
  for (const PortInfo& port : ports_) {
    const auto found = std::find_if(arrays.begin(), arrays.end(), [&](const auto& array) { return array.first == port.name; });
    if (found == arrays.end()) {
      std::string names;
      for (size_t i = 0; i < arrays.size() && i < 8; ++i) names += Cat(i == 0 ? "" : ", ", Quote(arrays[i].first));
      return InvalidArgument("it has no array called ", Quote(port.name), names.empty() ? "" : "; there is ", names);
    }
    LINNET_ASSIGN(Tensor tensor, Fitting(std::move(found->second), port));
    arrays_.push_back(std::move(tensor));
  }
  arrays_path_ = path;
  return Status();
}

Status FileSamples::AddArrays(const std::string& path) {
  LINNET_TRY(ReadArrays(path).At(Quote(path)));
  int64_t rows = 0;
  bool agree = true;
  for (size_t i = 0; i < ports_.size(); ++i) {
    const Shape& shape = arrays_[i].shape();
    if (!HasRows(ports_[i].type.shape, shape)) continue;
    agree = agree && (rows == 0 || rows == shape[0]);
    rows = shape[0];
  }
  if (rows == 0 || !agree) {
    entries_.push_back({Kind::kArrays, path});
    return Status();
  }
  for (int64_t row = 0; row < rows; ++row) entries_.push_back({Kind::kArrays, path, row});
  return Status();
}

std::string FileSamples::Name(int64_t index) const {
  const Entry& entry = entries_[static_cast<size_t>(index)];
  return entry.row < 0 ? entry.path : Cat(entry.path, " row ", entry.row);
}

Result<std::vector<Datum>> FileSamples::Load(int64_t index) {
  const Entry& entry = entries_[static_cast<size_t>(index)];
  Result<std::vector<Datum>> sample = LoadEntry(entry);
  if (!sample.ok()) return sample.TakeStatus().At(Quote(entry.path));
  return sample;
}

Result<std::vector<Datum>> FileSamples::LoadEntry(const Entry& entry) {
  std::vector<Datum> sample;
  switch (entry.kind) {
    case Kind::kPicture: {
      LINNET_ASSIGN(Preprocessing preprocessing, ChoosePreprocessing(ports_[0], info_, flags_));
      LINNET_ASSIGN(Image image, LoadImage(entry.path));
      LINNET_ASSIGN(Tensor tensor, ImageTensor(image, preprocessing.recipe));
      LINNET_ASSIGN(tensor, ConvertFloats(tensor, ports_[0].type.dtype));
      sample.push_back(Datum::Of(std::move(tensor)));
      return sample;
    }
    case Kind::kValue: {
      LINNET_ASSIGN(NamedDatum value, ReadValueFile(entry.path, ports_[0].type));
      sample.push_back(std::move(value.value));
      return sample;
    }
    case Kind::kArray: {
      LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(entry.path));
      LINNET_ASSIGN(Tensor tensor, entry.row < 0 ? ReadNpy(file->bytes()) : ReadNpyRow(file->bytes(), entry.row));
      LINNET_ASSIGN(tensor, Fitting(std::move(tensor), ports_[0]));
      sample.push_back(Datum::Of(std::move(tensor)));
      return sample;
    }
    case Kind::kArrays: {
      LINNET_TRY(ReadArrays(entry.path));
      for (size_t i = 0; i < ports_.size(); ++i) {
        const Tensor& whole = arrays_[i];
        if (entry.row < 0 || !HasRows(ports_[i].type.shape, whole.shape())) {
          sample.push_back(Datum::Of(whole));
          continue;
        }
        if (whole.dtype() == DType::kString) return Unsupported("rows of strings");
        if (entry.row >= whole.shape()[0]) return IoError("the file has changed");
        Shape shape = whole.shape();
        const int64_t bytes = whole.bytes() / shape[0];
        shape[0] = 1;
        sample.push_back(
            Datum::Of(Tensor::View(whole.dtype(), shape, static_cast<const std::byte*>(whole.data()) + entry.row * bytes, whole.owner())));
      }
      return sample;
    }
    case Kind::kDataSet: {
      sample.resize(ports_.size());
      const std::vector<std::string> files = NumberedFiles(entry.path + "/", "input");
      for (size_t i = 0; i < files.size(); ++i) {
        // By name where the file has one, else by position.
        LINNET_ASSIGN(NamedDatum value, ReadValueFile(files[i], i < ports_.size() ? ports_[i].type : Type()));
        size_t place = i;
        for (size_t k = 0; k < ports_.size(); ++k) {
          if (ports_[k].name == value.name) place = k;
        }
        if (place < sample.size()) sample[place] = std::move(value.value);
      }
      return sample;
    }
  }
  return sample;
}

Result<std::vector<std::pair<std::string, Tensor>>> ReadNpz(std::string_view file) {
  constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
  auto number = [&](uint64_t at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && at + i < file.size(); ++i) value |= uint64_t{static_cast<uint8_t>(file[static_cast<size_t>(at + i)])} << (8 * i);
    return value;
  };
  // The end record is last, but for a comment.
  size_t end = std::string_view::npos;
  for (size_t at = file.size() >= 22 ? file.size() - 21 : 0; at-- > 0 && file.size() - at < (1 << 16) + 32;) {
    if (number(at, 4) == kEnd) {
      end = at;
      break;
    }
  }
  if (end == std::string_view::npos) return InvalidArgument("this is no .npz file");
  std::vector<std::pair<std::string, Tensor>> arrays;
  uint64_t at = number(end + 16, 4);
  for (uint64_t left = number(end + 10, 2); left > 0; --left) {
    if (at + 46 > file.size() || number(at, 4) != kCentral) return InvalidArgument("the directory of the .npz file is damaged");
    const uint64_t method = number(at + 10, 2), crc = number(at + 16, 4), packed = number(at + 20, 4), whole = number(at + 24, 4);
    const uint64_t name_bytes = number(at + 28, 2), extra = number(at + 30, 2), comment = number(at + 32, 2), local = number(at + 42, 4);
    if (at + 46 + name_bytes > file.size()) return InvalidArgument("the directory of the .npz file is damaged");
    std::string name(file.substr(static_cast<size_t>(at) + 46, static_cast<size_t>(name_bytes)));
    at += 46 + name_bytes + extra + comment;
    if (method != 0 && method != 8) return Unsupported("array ", Quote(name), " is compressed in a way (", method, ") that numpy does not write");
    if (whole == 0xffffffff || packed == 0xffffffff) return Unsupported("array ", Quote(name), " is above 4 GiB");
    if (method == 0 && packed != whole) return InvalidArgument("the directory of the .npz file is damaged");
    if (local + 30 > file.size() || number(local, 4) != kLocal) return InvalidArgument("array ", Quote(name), " is damaged");
    const uint64_t begin = local + 30 + number(local + 26, 2) + number(local + 28, 2);
    if (begin > file.size() || packed > file.size() - begin) return InvalidArgument("array ", Quote(name), " is cut off");
    std::string inflated;
    if (method == 8) {
      Result<std::string> all = Inflate(file.substr(begin, packed), whole);
      if (!all.ok()) return all.TakeStatus().At(Cat("array ", Quote(name)));
      inflated = std::move(*all);
      if (Crc32(inflated) != crc) return InvalidArgument("array ", Quote(name), " is damaged: its checksum differs");
    }
    Result<Tensor> tensor = ReadNpy(method == 8 ? std::string_view(inflated) : file.substr(begin, whole));
    if (!tensor.ok()) return tensor.TakeStatus().At(Cat("array ", Quote(name)));
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    arrays.emplace_back(std::move(name), std::move(*tensor));
  }
  return arrays;
}

}  // namespace linnet::cli
