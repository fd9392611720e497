// An operator new that counts.
#include "tests/release/allocations.h"

#include <cstdlib>
#include <new>

void* operator new(size_t size) {
  ++limpet::test::allocations;
  if (limpet::test::on_allocation != nullptr) limpet::test::on_allocation();
  void* const made = std::malloc(size != 0 ? size : 1);
  if (made == nullptr) throw std::bad_alloc();
  return made;
}
void* operator new[](size_t size) { return operator new(size); }
void operator delete(void* dead) noexcept { std::free(dead); }
void operator delete[](void* dead) noexcept { std::free(dead); }
void operator delete(void* dead, size_t) noexcept { std::free(dead); }
void operator delete[](void* dead, size_t) noexcept { std::free(dead); }
