// One request that came in over HTTP/1, and its exchange. Its memory is used again for another.
#pragma once

#include <string>

#include "src/http/parser.h"
#include "src/proxy/exchange.h"
#include "src/proxy/spares.h"

namespace limpet::proxy {

struct H1Request final : net::Mortal {
  explicit H1Request(Context& context) : exchange(context) {}

  void clear() {
    clear_for_reuse(bytes);
    head.clear();
  }

  std::string bytes;  // the head as it came in; `head` views it
  http::RequestHead head;
  http::Parser parser;
  Exchange exchange;
};

}  // namespace limpet::proxy
