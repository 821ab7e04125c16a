// The picture codecs: stb_image, compiled here and only here, and only ever run in a process that can do nothing.
//
// stb_image does not claim to withstand hostile files, and the releases that distributions ship have known overflows. So
// a child process decodes: it has an arena instead of malloc, a bound on its processor time, no file but one pipe, and
// (Linux) a seccomp filter under which only read, write and exit exist. It writes the size and the pixels to the pipe;
// the parent believes neither. A file that crashes, hangs or bloats the decoder is then an error message.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "cli/data/image.h"
#if defined(__linux__)
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

namespace linnet {
namespace {

constexpr size_t kArenaBytes = size_t{1} << 30;
constexpr rlim_t kProcessorSecondsMax = 20;

/// The child's memory: blocks are handed out in order, each behind its size; only the last one is ever taken back or
/// grown in place.
struct Arena {
  std::byte* memory = nullptr;
  size_t used = 0;
  std::byte* last = nullptr;

  static size_t& SizeOf(void* block) { return *reinterpret_cast<size_t*>(static_cast<std::byte*>(block) - kAlignment); }

  void* Allocate(size_t bytes) {
    if (bytes > kArenaBytes) return nullptr;
    size_t total = kAlignment + (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (total > kArenaBytes - used) return nullptr;
    last = memory + used + kAlignment;
    used += total;
    SizeOf(last) = bytes;
    return last;
  }
  void Free(void* block) {
    if (block && block == last) used = static_cast<size_t>(last - memory) - kAlignment, last = nullptr;
  }
  void* Reallocate(void* block, size_t bytes) {
    if (!block) return Allocate(bytes);
    size_t before = SizeOf(block);
    if (block == last) {
      Free(block);
      void* grown = Allocate(bytes);
      if (!grown) Allocate(before);  // the old block stays valid
      return grown;
    }
    void* moved = Allocate(bytes);
    if (moved) memcpy(moved, block, std::min(before, bytes));
    return moved;
  }
};
Arena arena;  // used in the child alone

}  // namespace
}  // namespace linnet

#define STBI_MALLOC(bytes) linnet::arena.Allocate(bytes)
#define STBI_REALLOC(block, bytes) linnet::arena.Reallocate(block, bytes)
#define STBI_FREE(block) linnet::arena.Free(block)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_PNM
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace linnet {
namespace {

/// What the child says first. With a reason there are no pixels.
struct Answer {
  int width = 0, height = 0;
  char reason[64] = {};
};

bool WithinLimits(int64_t width, int64_t height, const ImageLimits& limits) {
  return width >= 1 && height >= 1 && width <= limits.side_max && height <= limits.side_max &&
         width * height <= limits.pixels_max;
}

bool WriteAll(int fd, const void* data, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t wrote = write(fd, static_cast<const char*>(data) + done, bytes - done);
    if (wrote < 0 && errno != EINTR) return false;
    done += static_cast<size_t>(std::max<ssize_t>(wrote, 0));
  }
  return true;
}

bool ReadAll(int fd, void* data, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = read(fd, static_cast<char*>(data) + done, bytes - done);
    if (got == 0 || (got < 0 && errno != EINTR)) return false;
    done += static_cast<size_t>(std::max<ssize_t>(got, 0));
  }
  return true;
}

void CloseRange(int first, int last) {
#if defined(SYS_close_range)
  if (first > last || syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
  for (int fd = first; fd <= std::min(last, 4096); ++fd) close(fd);
}

/// Gives up everything but `out`. Only system calls: other threads' locks may be held for ever here.
bool LockDown(int out) {
  rlimit cpu = {kProcessorSecondsMax, kProcessorSecondsMax}, none = {0, 0};
  setrlimit(RLIMIT_CPU, &cpu);
  setrlimit(RLIMIT_CORE, &none);
  void* memory = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  arena.memory = static_cast<std::byte*>(memory);
  CloseRange(0, out - 1);
  CloseRange(out + 1, INT32_MAX);
#if defined(__linux__)
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0;
#else
  return true;
#endif
}

[[noreturn]] void Exit() {
#if defined(__linux__)
  for (;;) syscall(SYS_exit, 0);  // the one kind of exit the filter permits
#else
  _exit(0);
#endif
}

[[noreturn]] void DecodeInChild(std::string_view file, const ImageLimits& limits, int out) {
  Answer answer;
  auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  int size = static_cast<int>(file.size()), channels = 0;
  stbi_uc* pixels = nullptr;
  const char* reason = nullptr;
  if (!LockDown(out)) {
    reason = "the decoder could not be confined";
  } else if (!stbi_info_from_memory(bytes, size, &answer.width, &answer.height, &channels)) {
    reason = stbi_failure_reason();
  } else if (WithinLimits(answer.width, answer.height, limits)) {  // else the size is all the parent needs
    pixels = stbi_load_from_memory(bytes, size, &answer.width, &answer.height, &channels, 3);
    if (!pixels) reason = stbi_failure_reason();
  }
  if (reason) strncpy(answer.reason, reason, sizeof answer.reason - 1);
  if (WriteAll(out, &answer, sizeof answer) && pixels) {
    WriteAll(out, pixels, size_t{3} * static_cast<size_t>(answer.width) * static_cast<size_t>(answer.height));
  }
  Exit();
}

/// What the parent makes of the child's words.
Result<Image> ReadAnswer(int in, const ImageLimits& limits) {
  Answer answer;
  Status damaged = InvalidArgument("not a readable image: the decoder failed on it");
  if (!ReadAll(in, &answer, sizeof answer)) return damaged;
  answer.reason[sizeof answer.reason - 1] = '\0';
  if (answer.reason[0]) {
    return InvalidArgument("not a readable JPEG, PNG, BMP, GIF or PNM image: ", Quote(answer.reason));
  }
  if (!WithinLimits(answer.width, answer.height, limits)) {
    return LimitReached("an image of ", answer.width, "x", answer.height, " pixels is above the limit of ",
                        limits.side_max, " a side and ", limits.pixels_max, " in all");
  }
  Image image{answer.width, answer.height, {}};
  image.rgb.resize(size_t{3} * static_cast<size_t>(image.width) * static_cast<size_t>(image.height));
  if (!ReadAll(in, image.rgb.data(), image.rgb.size())) return damaged;
  return image;
}

}  // namespace

Result<Image> DecodeImage(std::string_view file, const ImageLimits& limits) {
  if (file.size() > INT32_MAX) return LimitReached("an image file of ", file.size(), " bytes");
  int ends[2];
  if (pipe(ends) != 0) return IoError("no pipe to the image decoder: ", ErrnoText(errno));
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  pid_t child = fork();
  if (child == 0) DecodeInChild(file, limits, ends[1]);
  close(ends[1]);
  Result<Image> image = child > 0 ? ReadAnswer(ends[0], limits) : IoError("no process for the image decoder");
  close(ends[0]);  // a child that still writes ends here, by SIGPIPE
  while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return image;
}

}  // namespace linnet
