// Names of cached models (a hash of all that a prepared file follows from), finding them and putting them there.
#include "api/model_cache.h"

#if defined(LINNET_NO_ONNX)

namespace linnet {

// Its files are prepared already.
Result<std::unique_ptr<Session>> OpenThroughCache(const std::string&, std::string_view, const SessionOptions&) {
  return std::unique_ptr<Session>();
}

}  // namespace linnet

#else

#if defined(__linux__)
#include <elf.h>
#include <link.h>
#endif
#include <string.h>

#include "api/full_build.h"
#include "api/precision.h"
#include "base/file.h"
#include "base/log.h"
#include "base/system.h"

namespace linnet {
namespace {

/// 128 bits of a text: four lanes of multiply-and-fold (64 x 64 -> 128 bits, both halves added), eight bytes a step each.
class Hasher {
 public:
  void Add(std::string_view text) {
    // The length first: what follows cannot be read as a part of this.
    Mix(0, text.size());
    const char* at = text.data();
    size_t left = text.size();
    for (; left >= 8 * kLanes; left -= 8 * kLanes) {
      for (int lane = 0; lane < kLanes; ++lane, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        Mix(lane, word);
      }
    }
    for (int lane = 0; left > 0; ++lane) {
      const size_t bytes = left < 8 ? left : 8;
      uint64_t word = 0;
      memcpy(&word, at, bytes);
      Mix(lane, word);
      at += bytes, left -= bytes;
    }
  }
  std::string Hex() const {
    std::string out;
    for (int half = 0; half < 2; ++half) {
      uint64_t word = state_[half * 2];
      for (int i = 0; i < 4; ++i) word = Fold(word ^ state_[(half * 2 + i) % kLanes], kKeys[(i + half) % kLanes]);
      for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[word >> shift & 15];
    }
    return out;
  }

 private:
  static constexpr int kLanes = 4;
  static constexpr uint64_t kKeys[kLanes] = {0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u, 0xD6E8FEB86659FD93u};

  static uint64_t Fold(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) + static_cast<uint64_t>(product >> 64);
#else
    const uint64_t low = (a & 0xFFFFFFFFu) * b, high = (a >> 32) * b;
    return low + (high << 29 | high >> 35);
#endif
  }
  void Mix(int lane, uint64_t word) { state_[lane] = Fold(state_[lane] ^ word, kKeys[lane]) + kKeys[(lane + 1) % kLanes]; }

  uint64_t state_[kLanes] = {1, 2, 3, 4};
};

#if defined(__linux__)
/// The build id of the program or library that holds this code: it changes with every change of passes and kernels.
std::string BuildId() {
  std::string id;
  auto visit = [](dl_phdr_info* info, size_t, void* out) -> int {
    const auto here = reinterpret_cast<uintptr_t>(&OpenThroughCache);
    bool mine = false;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& part = info->dlpi_phdr[i];
      const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
      mine = mine || (part.p_type == PT_LOAD && here >= begin && here - begin < part.p_memsz);
    }
    if (!mine) return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& part = info->dlpi_phdr[i];
      if (part.p_type != PT_NOTE) continue;
      const char* at = reinterpret_cast<const char*>(info->dlpi_addr + part.p_vaddr);
      for (const char* end = at + part.p_memsz; end - at >= static_cast<ptrdiff_t>(sizeof(ElfW(Nhdr)));) {
        const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
        const char* name = at + sizeof *note;
        const char* description = name + (note->n_namesz + 3) / 4 * 4;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
          static_cast<std::string*>(out)->assign(description, note->n_descsz);
        }
        at = description + (note->n_descsz + 3) / 4 * 4;
      }
    }
    return 1;
  };
  dl_iterate_phdr(visit, &id);
  return id;
}
#else
std::string BuildId() { return ""; }
#endif

/// Whether what comes out follows from the model and the options alone.
bool MayBeCached(const SessionOptions& options) {
  if (options.cache_folder.empty() || options.untrusted || options.weights || options.pipeline.watch ||
      !options.pipeline.custom.empty()) {
    return false;
  }
  if (options.table && options.table != &OpTable::BuiltIn()) return false;
  return options.provider.empty() || options.provider == "cpu";
}

/// The name of what follows from `model`, and from options and library.
std::string NameOf(std::string_view model, const SessionOptions& options) {
  static const std::string build = BuildId();
  Hasher hasher;
  hasher.Add(build);
  hasher.Add(LINNET_PROJECT_VERSION);
  hasher.Add(Cat(options.pipeline.level));
  for (const std::string& pass : options.pipeline.disabled) hasher.Add(pass);
  hasher.Add(options.pipeline.stop_after);
  const Result<Precision> precision = ParsePrecision(options.precision);   // which the session has found good
  hasher.Add(precision.ok() ? PrecisionName(*precision) : options.precision);
  hasher.Add(model);
  return hasher.Hex();
}

constexpr size_t kNameBytes = 32;

/// The name that a note beside the cached models has for a file's identity: its contents need not be read for it. Empty when
/// there is none.
std::string NotedName(const std::string& note) {
  Result<MappedFile::Ref> file = MappedFile::Open(note, {.access = FileAccess::kRead, .bytes_max = kNameBytes});
  if (!file.ok() || (*file)->size() != kNameBytes) return "";
  std::string name((*file)->bytes());
  return name.find_first_not_of("0123456789abcdef") == name.npos ? name : "";
}

/// Whether a prepared file says all that the model does.
bool CanBeCached(const OnnxModel& onnx, bool external_data) {
  for (ValueId id : onnx.graph.inputs) {
    if (onnx.graph.value(id).is_constant) return false;
  }
  return !external_data;
}

}  // namespace

Result<std::unique_ptr<Session>> OpenThroughCache(const std::string& path, std::string_view model, const SessionOptions& options) {
  if (!MayBeCached(options)) return std::unique_ptr<Session>();
  SessionOptions plain = options;
  plain.cache_folder.clear();
  auto file_of = [&](const std::string& name) { return Cat(options.cache_folder, "/", name, ".linnet"); };
  auto open = [&](const std::string& name) -> std::unique_ptr<Session> {
    const std::string cached = file_of(name);
    if (!FileExists(cached)) return nullptr;
    Result<std::unique_ptr<Session>> session = Session::Open(cached, plain);
    if (session.ok()) return std::move(*session);
    Log(LogLevel::kWarning, "the cached model is made again: ", session.status().message());
    return nullptr;
  };
  // Reading a large model for its name takes much longer than opening what is named.
  const std::string identity = FileIdentity(path);
  const std::string note = identity.empty() ? "" : Cat(options.cache_folder, "/", NameOf(identity, options), ".name");
  if (!note.empty()) {
    const std::string name = NotedName(note);
    if (std::unique_ptr<Session> session = name.empty() ? nullptr : open(name)) return session;
  }
  const std::string name = NameOf(model, options);
  std::unique_ptr<Session> session = open(name);
  if (!session) {
    bool external = false;
    {
      LINNET_ASSIGN(const OnnxModel onnx, ImportModel(path, plain, nullptr, &external));
      if (!CanBeCached(onnx, external)) return session;
    }
    MakePrivateFolder(options.cache_folder);   // where it fails, writing says why
    Status written = ConvertModel(path, file_of(name), plain);
    Result<std::unique_ptr<Session>> made = written.ok() ? Session::Open(file_of(name), plain) : std::move(written);
    if (!made.ok()) {
      Log(LogLevel::kWarning, "the model is opened without its cache: ", made.status().message());
      return session;
    }
    session = std::move(*made);
  }
  // A note that cannot be written is not missed; nor is one for a file that has changed since.
  if (!note.empty() && FileIdentity(path) == identity) {
    (void)WriteFileAtomically(note, [&](Sink& sink) { return sink.Append(name); });
  }
  return session;
}

}  // namespace linnet
#endif
