// The little that the layers need of the operating system beside files and clocks: memory, threads, processors. One source a system
// (posix/system.cc, windows/system.cc).
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <string>
#include <string_view>

namespace linnet {

/// Null when there is no memory. `alignment`: a power of two, at least a pointer's size. Ended by FreeAligned.
void* AllocateAligned(size_t alignment, size_t bytes);
void FreeAligned(void* memory);

int64_t PageBytes();
/// Asks for large pages under [memory, memory + bytes), which begins and ends at some.
void WantLargePages(void* memory, size_t bytes);
/// Takes whole pages of a private file mapping out of resident memory.
void DropPages(void* first, size_t bytes);

/// Zeros that can only be read and take address space but no memory; null when there is none.
void* MapZeros(size_t bytes);
void UnmapZeros(void* memory, size_t bytes);

/// Has the functions called around a fork, where there is such a thing. Returns 0 (for static initialisers).
int AroundForks(void (*before)(), void (*in_parent)(), void (*in_child)());

/// Starts a thread with a stack of so many bytes that takes none of the process's signals but those of its own faults.
bool StartThread(pthread_t* thread, void* (*function)(void*), void* argument, size_t stack_bytes);
/// The processor this thread runs on, -1 when the system does not say.
int CurrentCpu();
/// Moves this thread to another of the processors it may use; false when there is none.
bool LeaveCpu(int cpu);

/// Where a path's folders end and its name begins; 0 when it is a name alone.
size_t NameBegin(std::string_view path);

/// A file and the last change of it: which file system and file, how large, when its contents and its properties changed.
/// Nobody can set the last of these. Empty when the file was changed so lately that its clock may not tell the next change.
std::string FileIdentity(const std::string& path);
bool FileExists(const std::string& path);
/// For this user alone. Where it fails, writing into it says why.
void MakePrivateFolder(const std::string& path);
int64_t ProcessId();
/// In one piece, so that threads do not mix.
void WriteStandardError(std::string_view text);

}  // namespace linnet
