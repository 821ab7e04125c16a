// The C boundary: logs, thread pools, options.
#include "api/c_api.h"

namespace linnet::api {
namespace {

Status SetText(const char* text, std::string& to) {
  to = text ? text : "";
  return Status();
}

/// Runs `edit` on the settings of open options, under their lock; it locks nothing else.
LinnetCode EditOptions(LinnetOptions* handle, FunctionRef<Status(SessionSettings&)> edit) noexcept {
  return Guard([&]() -> Status {
    LINNET_USE(OptionsObject, options, handle);
    Lock lock(options->mutex);
    return edit(options->settings);
  });
}

Result<int64_t> LimitOf(int64_t value, const char* what) {
  if (value < 0) return InvalidArgument("the ", what, " limit is ", value);
  return value == 0 ? INT64_MAX : value;
}

}  // namespace

void SessionSettings::CopyFrom(const SessionSettings& other) {
  core = other.core;
  pool = other.pool;
  operators = other.operators;
  passes = other.passes;
  log = other.log;
  has_log = other.has_log;
  profiling = other.profiling;
  trace_path = other.trace_path;
}

void SessionSettings::Connect() {
  if (pool) {
    core.pool = &pool->pool;
    if (core.threads == 0) core.threads = pool->threads;
  }
  for (const std::shared_ptr<const CustomPassCallback>& pass : passes) {
    core.pipeline.custom.push_back({pass->name, RunCustomPass, const_cast<CustomPassCallback*>(pass.get())});
  }
  BuildTable(*this);
}

}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetSetLog(LinnetLogLevel level, LinnetLogCallback callback, void* user) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    if (level < LINNET_LOG_OFF || level > LINNET_LOG_DEBUG) return InvalidArgument("there is no log level ", level);
    SetProcessLog({static_cast<LogLevel>(level), callback, user});
    return Status();
  });
}

LinnetCode LinnetThreadPoolCreate(int32_t threads, LinnetThreadPool** pool) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(pool);
    *pool = nullptr;
    if (threads < 1 || threads > ThreadPool::kThreadsMax) {
      return InvalidArgument("a pool of ", threads, " threads cannot be made; 1 to ", ThreadPool::kThreadsMax, " can");
    }
    auto object = std::make_unique<PoolObject>();
    object->pool = std::make_shared<PoolObject::Pool>(threads);
    return GiveHandle(std::move(object), pool);
  });
}
LinnetCode LinnetThreadPoolClose(LinnetThreadPool* pool) LINNET_NOEXCEPT { return Close<PoolObject>(pool); }

LinnetCode LinnetOptionsCreate(LinnetOptions** options) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(options);
    *options = nullptr;
    return GiveHandle(std::make_unique<OptionsObject>(), options);
  });
}
LinnetCode LinnetOptionsClose(LinnetOptions* options) LINNET_NOEXCEPT { return Close<OptionsObject>(options); }

LinnetCode LinnetOptionsSetThreads(LinnetOptions* options, int32_t threads) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    if (threads < 0) return InvalidArgument("the number of threads is ", threads);
    settings.core.threads = threads;
    return Status();
  });
}

LinnetCode LinnetOptionsSetThreadPool(LinnetOptions* options, LinnetThreadPool* pool) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    // Pools are used and let go of outside the lock of the options, under which nothing else is locked.
    std::shared_ptr<PoolObject::Pool> chosen;
    if (pool) {
      LINNET_USE(PoolObject, object, pool);
      chosen = object->pool;
    }
    LINNET_USE(OptionsObject, object, options);
    Lock lock(object->mutex);
    object->settings.pool.swap(chosen);
    return Status();
  });
}

LinnetCode LinnetOptionsSetMemoryLimit(LinnetOptions* options, int64_t bytes) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    LINNET_ASSIGN(settings.core.memory_limit_bytes, LimitOf(bytes, "memory"));
    return Status();
  });
}

LinnetCode LinnetOptionsSetTimeLimit(LinnetOptions* options, int64_t nanoseconds) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    LINNET_ASSIGN(settings.core.time_limit_ns, LimitOf(nanoseconds, "time"));
    return Status();
  });
}

LinnetCode LinnetOptionsSetStepLimit(LinnetOptions* options, int64_t steps) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    LINNET_ASSIGN(settings.core.step_limit, LimitOf(steps, "step"));
    return Status();
  });
}

LinnetCode LinnetOptionsSetOptimization(LinnetOptions* options, int32_t level) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    if (level < kOptimizeNothing || level > kOptimizeAll) return InvalidArgument("there is no optimisation level ", level);
    settings.core.pipeline.level = level;
    return Status();
  });
}

LinnetCode LinnetOptionsDisablePass(LinnetOptions* options, const char* name) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    LINNET_NOT_NULL(name);
    settings.core.pipeline.disabled.emplace_back(name);
    return Status();
  });
}

LinnetCode LinnetOptionsSetCpu(LinnetOptions* options, const char* level) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) { return SetText(level, settings.core.cpu); });
}

LinnetCode LinnetOptionsSetProvider(LinnetOptions* options, const char* provider) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) { return SetText(provider, settings.core.provider); });
}

LinnetCode LinnetOptionsSetPrecision(LinnetOptions* options, const char* precision) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) { return SetText(precision, settings.core.precision); });
}

LinnetCode LinnetOptionsSetProfiling(LinnetOptions* options, int32_t on, const char* path) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) {
    settings.profiling = on != 0;
    return SetText(on ? path : nullptr, settings.trace_path);
  });
}

LinnetCode LinnetOptionsSetLog(LinnetOptions* options, LinnetLogLevel level, LinnetLogCallback callback,
                               void* user) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    if (level < LINNET_LOG_OFF || level > LINNET_LOG_DEBUG) return InvalidArgument("there is no log level ", level);
    settings.log = {static_cast<LogLevel>(level), callback, user};
    settings.has_log = true;
    return Status();
  });
}

LinnetCode LinnetOptionsSetUntrusted(LinnetOptions* options, int32_t on) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    settings.core.untrusted = on != 0;
    return Status();
  });
}

LinnetCode LinnetOptionsSetRead(LinnetOptions* options, int32_t on) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    settings.core.read = on != 0;
    return Status();
  });
}

LinnetCode LinnetOptionsSetVerify(LinnetOptions* options, int32_t on) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) -> Status {
    settings.core.verify = on != 0;
    return Status();
  });
}

LinnetCode LinnetOptionsSetExternalDataFolder(LinnetOptions* options, const char* folder) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) { return SetText(folder, settings.core.external_data_folder); });
}

LinnetCode LinnetOptionsSetCacheFolder(LinnetOptions* options, const char* folder) LINNET_NOEXCEPT {
  return EditOptions(options, [&](SessionSettings& settings) { return SetText(folder, settings.core.cache_folder); });
}
