// Finds where a head, or a trailer section, ends, and refuses lines that two readers could cut differently.
#pragma once

#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// What a head may be at the most.
struct HeadLimits {
  uint64_t head;    // bytes
  uint64_t target;  // bytes
  uint32_t fields;

  bool operator==(const HeadLimits&) const = default;
};

struct HeadSearch {
  size_t size = 0;  // of the head, with its empty line; 0: not complete yet
  Fault fault;
};

// Looks for the end of a head that begins at bytes[0]. `from` is where the last search of the same, then
// shorter, bytes ended (0 at first) and is moved on. Refuses lines that end in a bare LF, bare CRs, NULs and
// folded lines.
HeadSearch find_head(std::string_view bytes, size_t& from, const HeadLimits& limits);

}  // namespace limpet::http
