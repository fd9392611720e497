// Shortages of descriptors, of this process, for as long as these live.
#pragma once

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace limpet::test {

// A limit of descriptors that is always this.
inline auto limit_of(uint64_t limit) {
  return [limit] { return limit; };
}

inline int next_descriptor() {
  const int next = dup(STDIN_FILENO);
  ::close(next);
  return next;
}

// No more can be had.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit low = before_;
    low.rlim_cur = static_cast<rlim_t>(next_descriptor());
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

// All below this number are taken.
class DescriptorsTaken {
 public:
  explicit DescriptorsTaken(int below) {
    while (next_descriptor() < below) taken_.push_back(dup(STDIN_FILENO));
  }
  ~DescriptorsTaken() {
    for (const int fd : taken_) ::close(fd);
  }
  DescriptorsTaken(const DescriptorsTaken&) = delete;
  DescriptorsTaken& operator=(const DescriptorsTaken&) = delete;

 private:
  std::vector<int> taken_;
};

}  // namespace limpet::test
