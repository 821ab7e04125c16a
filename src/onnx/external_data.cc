// Reading external_data: only a plain relative path, an offset and a length mean anything here.
#include "onnx/external_data.h"

namespace linnet::onnx {
namespace {

Result<int64_t> ParseSize(std::string_view key, std::string_view text) {
  int64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || !CheckedMul(value, 10, &value) || !CheckedAdd(value, c - '0', &value)) {
      return InvalidModel("external data has ", key, " ", Quote(text), " where a size in bytes is expected");
    }
  }
  if (text.empty()) return InvalidModel("external data has an empty ", key);
  return value;
}

Result<MappedFile::Ref> Open(std::string_view location, Context& context) {
  auto [found, is_new] = context.external_files.try_emplace(std::string(location));
  if (!is_new) return found->second;
  FileOptions options{context.access, context.limits.file_bytes, context.callers_budget};
  Result<MappedFile::Ref> file = MappedFile::OpenBeneath(context.external_folder, location, options);
  if (!file.ok()) {
    context.external_files.erase(found);
    return file.TakeStatus();
  }
  found->second = *file;
  // Unaligned contents are copied once each; overlapping ranges must not multiply that.
  context.budget.set_limit_bytes(context.budget.limit_bytes() + 2 * (*file)->size());
  return *file;
}

}  // namespace

std::pair<std::string_view, std::string_view> ReadEntry(std::string_view entry, Cursor& cursor) {
  std::string_view key, value;
  Message message(entry, cursor);
  while (message.Next()) {
    switch (message.field()) {
      case entry::kKey: key = message.Bytes(); break;
      case entry::kValue: value = message.Bytes(); break;
      default: message.Skip();
    }
  }
  return {key, value};
}

Status ExternalData::Add(std::string_view entry, Cursor& cursor) {
  given_ = true;
  auto [key, value] = ReadEntry(entry, cursor);
  if (key == "location") location_ = value;
  if (key == "offset") {
    LINNET_ASSIGN(offset_, ParseSize(key, value));
  } else if (key == "length") {
    LINNET_ASSIGN(length_, ParseSize(key, value));
  }
  return Status();
}

Result<Source> ExternalData::Find(int64_t bytes_needed, Context& context) const {
  if (context.external_folder.empty()) {
    return InvalidArgument("contents are in the external file ", Quote(location_), ", but no folder for external data is given");
  }
  if (length_ >= 0 && length_ != bytes_needed) {
    return InvalidModel("external data in ", Quote(location_), " has ", length_, " bytes where ", bytes_needed,
                        " are needed");
  }
  LINNET_ASSIGN(MappedFile::Ref file, Open(location_, context));
  int64_t end;
  if (!CheckedAdd(offset_, bytes_needed, &end) || end > file->size()) {
    return InvalidModel("external data needs ", bytes_needed, " bytes at offset ", offset_, " of ", Quote(location_),
                        ", which has ", file->size());
  }
  Source source;
  source.bytes = file->bytes().substr(static_cast<size_t>(offset_), static_cast<size_t>(bytes_needed));
  source.mapped = file->mapped() ? file.get() : nullptr;
  source.owner = std::move(file);
  return source;
}

}  // namespace linnet::onnx
