// Fact: what is known of a value at some moment: its type, and its contents when they are known.
#pragma once

#include "graph/type.h"

namespace linnet {

struct Fact {
  Type type;
  /// Contents laid out as the type says; for non-tensor kinds a `const Datum*`; null when unknown.
  const void* data = nullptr;

  template <class T>
  const T* as() const { return static_cast<const T*>(data); }
};

}  // namespace linnet
