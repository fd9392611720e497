// What a piece of work takes of the processor, for tests of how it grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ctime>

namespace limpet {

// In seconds of this thread: the least of several times, for what else runs on the machine adds to it and
// never takes away.
template <class Work>
double work_of(Work work) {
  const auto used = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double before = used();
    work();
    least = std::min(least, used() - before);
  }
  return least;
}

// Of eight times the rows, where each costs what it cost among the few, and somewhat more for what is sorted
// and fits into no cache. What is done for each pair of rows would come near to 64.
constexpr size_t kFewRows = 500, kManyRows = 8 * kFewRows;
constexpr double kMostGrowth = 8 * 2.5;

}  // namespace limpet
