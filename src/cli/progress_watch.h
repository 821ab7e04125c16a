// A progress bar for each phase of a long piece of work.
#pragma once

#include <stdio.h>

#include <memory>
#include <string>

#include "cli/terminal.h"

namespace linnet::cli {

/// Called with what is being done, how much of it is done and how much there is; passes as a quantize::Watch.
class ProgressWatch {
 public:
  void operator()(const char* what, int64_t done, int64_t total) {
    if (what_ != what) {
      progress_.reset();
      progress_ = std::make_unique<Progress>(terminal_, what, total);
      what_ = what;
    }
    progress_->Update(done);
  }
  void Finish() {
    progress_.reset();
    what_.clear();
  }

 private:
  Terminal terminal_{stderr};
  std::string what_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace linnet::cli
