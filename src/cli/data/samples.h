// Samples for calibration and comparison from files: pictures, .npy, .npz, .pb, and ONNX's test_data_set_* folders.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/data/preprocessing.h"
#include "quantize/samples.h"

namespace linnet::cli {

/// Loads one sample at a time. What a path stands for:
/// * a folder with input_0.pb, input_1.pb ...: one sample; a folder of such folders: one each;
/// * a picture, prepared as `classify` does: one sample of a model with one input;
/// * .npy or .pb: one sample of a model with one input; an array with one sample's size fixed to 1 along its first axis and
///   N there gives N;
/// * .npz: one sample, arrays by the names of the inputs; where all arrays that could be rows as above have N of them, N;
/// * any other folder: everything above that lies in it, by name.
class FileSamples : public quantize::Samples {
 public:
  /// `ports`: the model's inputs without a default. Opens no file but to count samples. Fails naming a path that is not
  /// there or holds nothing usable.
  static Result<std::unique_ptr<FileSamples>> Find(const std::vector<std::string>& paths, std::vector<PortInfo> ports,
                                                   const ModelInfo& info, const PreprocessingFlags& flags);

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  Result<std::vector<Datum>> Load(int64_t index) override;
  /// Its file or folder, and the row of an array.
  std::string Name(int64_t index) const override;
  /// The file or folder of a sample.
  const std::string& path(int64_t index) const { return entries_[static_cast<size_t>(index)].path; }

 private:
  enum class Kind : uint8_t { kDataSet, kPicture, kArray, kArrays, kValue };
  struct Entry {
    Kind kind;
    std::string path;
    int64_t row = -1;   ///< of an array's first axis; -1: all of it
  };

  Status AddPath(const std::string& path, bool named);
  Status AddFolder(const std::string& path);
  Status AddArray(const std::string& path);
  Status AddArrays(const std::string& path);
  Status ReadArrays(const std::string& path);
  Result<std::vector<Datum>> LoadEntry(const Entry& entry);
  Status NeedOneInput(const std::string& path) const;

  std::vector<PortInfo> ports_;
  ModelInfo info_;
  PreprocessingFlags flags_;
  std::vector<Entry> entries_;
  std::vector<Tensor> arrays_;   ///< one an input, of the .npz file read last, whose rows the next samples may be
  std::string arrays_path_;
};

/// The arrays of an .npz file, by name, as numpy.savez and numpy.savez_compressed write it.
Result<std::vector<std::pair<std::string, Tensor>>> ReadNpz(std::string_view file);

}  // namespace linnet::cli
