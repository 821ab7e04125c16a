// The few functions of the C++ library's own run-time support that a small build brings itself, all of which end the
// process where the library's would throw: without them every library carries the unwinder and the demangler, 90 KB.
//
// Defining std::__throw_* is beyond the language's rules; that it links and runs is what tools/mobile-demo checks.
#if defined(LINNET_SMALL)

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>
#include <new>

namespace {

void* Allocate(size_t bytes) {
  void* memory = malloc(bytes ? bytes : 1);
  if (!memory) abort();
  return memory;
}

void* AllocateAligned(size_t bytes, std::align_val_t alignment) {
  void* memory = nullptr;
  size_t aligned = std::max(static_cast<size_t>(alignment), sizeof(void*));
  if (posix_memalign(&memory, aligned, bytes ? bytes : 1) != 0) abort();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes); }
void* operator new[](size_t bytes) { return Allocate(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return malloc(bytes ? bytes : 1); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return malloc(bytes ? bytes : 1); }
void* operator new(size_t bytes, std::align_val_t alignment) { return AllocateAligned(bytes, alignment); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return AllocateAligned(bytes, alignment); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { free(memory); }

namespace std {
void __throw_bad_alloc() { abort(); }
void __throw_bad_array_new_length() { abort(); }
void __throw_bad_cast() { abort(); }
void __throw_bad_function_call() { abort(); }
void __throw_bad_optional_access() { abort(); }
void __throw_bad_variant_access(const char*) { abort(); }
void __throw_bad_variant_access(unsigned) { abort(); }
void __throw_invalid_argument(const char*) { abort(); }
void __throw_length_error(const char*) { abort(); }
void __throw_logic_error(const char*) { abort(); }
void __throw_out_of_range(const char*) { abort(); }
void __throw_out_of_range_fmt(const char*, ...) { abort(); }
void __throw_system_error(int) { abort(); }
#if defined(__GLIBCXX__) && !defined(__cpp_rtti)
// Asked by std::get_deleter, which nobody calls; the library's lies beside what throws.
bool _Sp_make_shared_tag::_S_eq(const type_info&) noexcept { return false; }
#endif
}  // namespace std

extern "C" {

#if defined(__aarch64__)
/// What g++'s out-of-line atomics ask; libgcc would look into the processor when the library is loaded. Exclusive loads and
/// stores work everywhere. (Link-time optimisation does not see who asks.)
__attribute__((used, visibility("hidden"))) bool __aarch64_have_lse_atomics = false;
#endif

void __cxa_pure_virtual() { abort(); }
void __cxa_deleted_virtual() { abort(); }

// Statics within functions: the first byte of the guard says "made", the second "being made".
using Guard = uint8_t[2];

int __cxa_guard_acquire(Guard* guard) {
  for (;;) {
    if (__atomic_load_n(&(*guard)[0], __ATOMIC_ACQUIRE)) return 0;
    uint8_t nobody = 0;
    if (__atomic_compare_exchange_n(&(*guard)[1], &nobody, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      if (!__atomic_load_n(&(*guard)[0], __ATOMIC_ACQUIRE)) return 1;
      __atomic_store_n(&(*guard)[1], 0, __ATOMIC_RELEASE);
      return 0;
    }
    sched_yield();
  }
}

void __cxa_guard_release(Guard* guard) {
  __atomic_store_n(&(*guard)[0], 1, __ATOMIC_RELEASE);
  __atomic_store_n(&(*guard)[1], 0, __ATOMIC_RELEASE);
}

void __cxa_guard_abort(Guard* guard) { __atomic_store_n(&(*guard)[1], 0, __ATOMIC_RELEASE); }

}  // extern "C"

#endif
