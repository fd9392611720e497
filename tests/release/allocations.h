// Counts what operator new is asked for, so that a test can say that something allocates nothing. The
// program's operator new is in tests/release/allocations.cc; sanitizers have one of their own, so that only a
// build without them can have this.
#pragma once

#include <cstddef>

namespace limpet::test {

inline thread_local size_t allocations = 0;             // by this thread, so far
inline thread_local void (*on_allocation)() = nullptr;  // called at each, for example to tell where it was

}  // namespace limpet::test
