// What was gathered to leave, as text.
#pragma once

#include <string>

#include "src/net/gather.h"

namespace limpet::test {

inline std::string text_of(net::Gather& gather) {
  std::string text;
  for (const iovec& part : gather.parts()) text.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return text;
}

}  // namespace limpet::test
