#pragma once

namespace limpet::test {

// To be called as each run begins.
void begin_same_random();

}  // namespace limpet::test
