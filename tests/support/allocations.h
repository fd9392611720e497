// Counts what operator new is asked for, so that a test can say that something allocates nothing. The
// program's operator new is in tests/src/proxy/allocations.cc; under a sanitizer, which has one of its own,
// nothing is counted.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMPET_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LIMPET_SANITIZED 1
#endif
#endif

namespace limpet::test {

#ifdef LIMPET_SANITIZED
inline constexpr bool kCountsAllocations = false;
#else
inline constexpr bool kCountsAllocations = true;
#endif

inline thread_local size_t allocations = 0;             // by this thread, so far
inline thread_local void (*on_allocation)() = nullptr;  // called at each, for example to tell where it was

}  // namespace limpet::test
