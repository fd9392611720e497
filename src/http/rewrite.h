// Heads as they leave: the bytes that came in, less what was for one connection alone, plus what an
// intermediary adds.
#pragma once

#include <string_view>

#include "src/http/forwarded.h"
#include "src/http/head.h"
#include "src/net/gather.h"

namespace limpet::http {

// What a request gains and loses on its way to a backend. Views, valid during the call.
struct RequestEdits {
  std::string_view via;         // pseudonym
  std::string_view mark = {};   // in a comment behind it; empty: none
  std::string_view request_id;  // added when the request brought none that passes; empty: it did
  std::string_view traceparent =
      {};                          // in the place of what the request says of its trace; empty: that passes
  std::string_view hidden_cookie;  // the pool's own cookie, which the application never sees; empty: none
  std::string_view backend = {};   // its authority, for a request that names none
  bool early = false;              // it may be a copy of what somebody else has sent (RFC 8470, section 5.1)
  const Peer& peer;
  const conf::Listener& listener;
};
void write_request(const RequestHead& request, const RequestEdits& edits, net::Gather& out);

// How a response's body is delimited towards the client, and what the pool adds to the head.
struct ResponseEdits {
  std::string_view via;
  std::string_view date = {};        // added where there is none (RFC 9110, section 6.6.1)
  std::string_view set_cookie = {};  // a Set-Cookie value; empty: none
  std::string_view hsts = {};        // added where the answer says nothing of it (RFC 6797); empty: nothing
  bool chunked = false;
  bool close = false;       // this connection ends after the response
  bool keep_alive = false;  // says so, for HTTP/1.0 clients that asked
};
void write_response(const ResponseHead& response, const ResponseEdits& edits, net::Gather& out);

// Trailer fields that may pass: none that frames, routes, identifies, or says what the content is (RFC 9110,
// section 6.5.1), nor any of `drop`. With the final empty line.
void write_trailers(const Fields& trailers, FieldSet drop, net::Gather& out);

}  // namespace limpet::http
