// How many processors this process may use: CPU affinity, then the quotas of its control groups (v1 and v2).
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/text.h"
#include "base/thread_pool.h"
#if defined(__linux__)
#include <sched.h>
#endif

namespace linnet {
namespace {

/// The first 64 KiB of a small system file; empty when it cannot be read.
std::string ReadSmallFile(const std::string& path) {
  std::string text;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return text;
  char buffer[4096];
  ssize_t got;
  while (text.size() < 65536 && (got = read(fd, buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return text;
}

/// quota / period in whole processors, at least 1; 0 when there is no quota.
int WholeProcessors(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::clamp<int64_t>(quota / period, 1, ThreadPool::kThreadsMax));
}

/// cgroup v2: "150000 100000" or "max 100000" in cpu.max.
int QuotaV2(const std::string& folder) {
  std::string text = ReadSmallFile(folder + "/cpu.max");
  char* rest = nullptr;
  int64_t quota = strtoll(text.c_str(), &rest, 10);
  return WholeProcessors(quota, strtoll(rest, nullptr, 10));
}

/// cgroup v1: two files; the quota is -1 when there is none.
int QuotaV1(const std::string& folder) {
  return WholeProcessors(strtoll(ReadSmallFile(folder + "/cpu.cfs_quota_us").c_str(), nullptr, 10),
                         strtoll(ReadSmallFile(folder + "/cpu.cfs_period_us").c_str(), nullptr, 10));
}

int Tighter(int a, int b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

/// The tightest quota of `path` and its ancestors. Inside a container the path may name the host's tree: folders that
/// do not exist count as "no quota", and the mount point itself is always looked at.
int TightestQuota(const std::string& mount, std::string path, int (*quota)(const std::string&)) {
  int tightest = 0;
  for (;;) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    tightest = Tighter(tightest, quota(mount + path));
    if (path.empty()) return tightest;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

bool ListsCpu(std::string_view controllers) {
  while (!controllers.empty()) {
    size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    if (comma == std::string_view::npos) return false;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

int CgroupQuotaThreads(std::string_view root, std::string_view membership) {
  int tightest = 0;
  while (!membership.empty()) {  // lines "hierarchy:controllers:path"
    size_t newline = std::min(membership.find('\n'), membership.size());
    std::string_view line = membership.substr(0, newline);
    membership.remove_prefix(std::min(newline + 1, membership.size()));
    size_t first = line.find(':');
    size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string path(line.substr(second + 1));
    if (controllers.empty()) {
      tightest = Tighter(tightest, TightestQuota(std::string(root), path, QuotaV2));
    } else if (ListsCpu(controllers)) {
      tightest = Tighter(tightest, TightestQuota(Cat(root, "/", controllers), path, QuotaV1));
      tightest = Tighter(tightest, TightestQuota(Cat(root, "/cpu"), path, QuotaV1));
    }
  }
  return tightest;
}

int ThreadPool::HardwareThreads() {
  int count = 0;
#if defined(__linux__)
  // The kernel refuses (EINVAL) a set smaller than its own; 8192 processors is the largest it can be built for.
  alignas(cpu_set_t) unsigned char set[8192 / 8];
  if (sched_getaffinity(0, sizeof(set), reinterpret_cast<cpu_set_t*>(set)) == 0) {
    count = CPU_COUNT_S(sizeof(set), reinterpret_cast<cpu_set_t*>(set));
  }
#endif
  if (count <= 0) count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
#if defined(__linux__) && !defined(LINNET_PLANS_ONLY)   // phones and boards have no quotas
  count = Tighter(CgroupQuotaThreads("/sys/fs/cgroup", ReadSmallFile("/proc/self/cgroup")), count);
#endif
  return std::clamp(count, 1, kThreadsMax);
}

}  // namespace linnet
