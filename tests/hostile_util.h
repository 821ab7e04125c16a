// What the tests of hostile models share: opening graph text under budgets, running it, small stacks, clocks.
#pragma once

#include <gtest/gtest.h>
#include <limits.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/session.h"
#include "fuzz/targets.h"
#include "graph/text.h"
#include "proto_builder.h"
#include "slower.h"

namespace linnet::hostile {

/// Room for 64 MB, two seconds a run.
inline SessionOptions Budgeted() {
  SessionOptions options;
  options.untrusted = true;
  options.threads = 1;
  options.memory_limit_bytes = 64 << 20;
  options.time_limit_ns = 2'000'000'000;
  return options;
}

/// The .onnx file of a graph in text form; "" with a test failure when there is none.
inline std::string OnnxOf(std::string_view text) {
  Result<std::string> bytes = fuzz::OnnxOfText(text);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message() << "\n" << text;
  return *bytes;
}

inline Result<std::unique_ptr<Session>> OpenBytes(std::string_view bytes, const SessionOptions& options = Budgeted()) {
  return Session::FromMemory(bytes.data(), bytes.size(), nullptr, options);
}
inline Result<std::unique_ptr<Session>> OpenText(std::string_view text, const SessionOptions& options = Budgeted()) {
  return OpenBytes(OnnxOf(text), options);
}

template <class T>
Tensor Of(const Shape& shape, const std::vector<T>& values) {
  Tensor tensor = Tensor::Allocate(kDTypeOf<T>, shape).value();
  for (size_t i = 0; i < values.size(); ++i) tensor.mutable_as<T>()[i] = values[i];
  return tensor;
}
template <class T>
Tensor List(const std::vector<T>& values) {
  return Of<T>(Shape{static_cast<int64_t>(values.size())}, values);
}
template <class T>
Tensor Filled(const Shape& shape, T value) {
  return Of<T>(shape, std::vector<T>(static_cast<size_t>(shape.elements()), value));
}

inline Status RunSession(Session& session, const std::vector<Tensor>& inputs, std::vector<Datum>* results = nullptr,
                         const RunOptions& options = {}) {
  std::vector<Fact> facts;
  for (const Tensor& tensor : inputs) facts.push_back({tensor.type(), tensor.data()});
  facts.resize(session.inputs().size());
  std::vector<RunOutput> outputs(session.outputs().size());
  Status status = session.Run(facts.data(), outputs.data(), options);
  if (results) {
    results->clear();
    for (RunOutput& output : outputs) results->push_back(std::move(output.datum));
  }
  return status;
}

/// Opens and runs; the first failure, or success.
inline Status OpenAndRun(std::string_view text, const std::vector<Tensor>& inputs,
                         const SessionOptions& options = Budgeted()) {
  LINNET_ASSIGN(std::unique_ptr<Session> session, OpenText(text, options));
  Status status = RunSession(*session, inputs);
  EXPECT_LE(session->budget().peak_bytes(), options.memory_limit_bytes) << text;
  return status;
}

/// The failure's code and sentence in one text: "limit reached: ...". "" on success.
inline std::string Why(const Status& status) {
  if (status.ok()) return "";
  EXPECT_NE(status.code(), Code::kInternal) << status.message();
  EXPECT_FALSE(status.message().empty());
  return Cat(CodeName(status.code()), ": ", status.message());
}

/// Fails unless each of `parts` is in `text`.
inline void ExpectParts(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (std::string_view part : parts) EXPECT_NE(text.find(part), std::string::npos) << "no " << part << " in: " << text;
}

class Stopwatch {
 public:
  double seconds() const { return static_cast<double>(MonotonicNs() - start_) / 1e9; }

 private:
  int64_t start_ = MonotonicNs();
};
/// Processor time of this process: work, whatever else the machine does.
class WorkWatch {
 public:
  double seconds() const { return static_cast<double>(clock() - start_) / CLOCKS_PER_SEC; }

 private:
  clock_t start_ = clock();
};

/// What this build was instrumented with.
#if defined(__has_feature)
#define LINNET_HAS_SANITIZER(name) __has_feature(name)
#else
#define LINNET_HAS_SANITIZER(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || LINNET_HAS_SANITIZER(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__) || LINNET_HAS_SANITIZER(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// Sanitizers slow everything down, and need larger frames.
inline const double kSlower = linnet_test::Slower() * (kAddressSanitizer || kThreadSanitizer ? 20 : 1);
inline constexpr size_t kStackFactor = kAddressSanitizer || kThreadSanitizer ? 8 : 1;

/// Runs `body` in a thread whose stack has `kilobytes`.
template <class F>
void OnSmallStack(size_t kilobytes, F body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::max<size_t>(kilobytes * 1024 * kStackFactor, PTHREAD_STACK_MIN));
  pthread_t thread;
  auto call = [](void* data) -> void* {
    (*static_cast<F*>(data))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, call, &body), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace linnet::hostile
