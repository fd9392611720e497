// A file that is in memory alone, and read by its path as any other.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace limpet::test {

class MemoryFile {
 public:
  MemoryFile() : number_(::memfd_create("limpet test", MFD_CLOEXEC)) {
    if (number_ < 0) std::abort();
  }
  ~MemoryFile() { ::close(number_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(number_); }
  void hold(std::string_view content) const {
    const bool held = ::ftruncate(number_, 0) == 0 && ::pwrite(number_, content.data(), content.size(), 0) ==
                                                          static_cast<ssize_t>(content.size());
    if (!held) std::abort();
  }

 private:
  const int number_;
};

}  // namespace limpet::test
