// What Limpet answers by itself: small, in the client's preferred form, and with the request's id, so that a
// user's complaint can be found in the log.
#pragma once

#include <string>
#include <string_view>

namespace limpet::http {

struct OwnReply {
  int status = 500;
  std::string_view what = {};  // one line for humans; holds nothing that came off a wire
  // The content itself, as it stands, in the place of that line; data() is null where there is none.
  std::string_view content = {};
  std::string_view location = {};    // where the client has to go; empty: nowhere
  std::string_view hsts = {};        // as the field says it (RFC 6797); empty: nothing
  std::string_view request_id = {};  // empty when the request was not read so far
  std::string_view accept = {};      // the request's Accept
  std::string_view date = {};
  int retry_after = 0;  // seconds; 0: not said
  bool close = true;
  bool keep_alive = false;  // says so, for HTTP/1.0
  bool head_only = false;   // the method was HEAD
};

// Appends the whole response. Says how many bytes of it are its body.
size_t write_own_reply(const OwnReply& reply, std::string& out);

std::string_view reason_phrase(int status);  // RFC 9110, section 15; empty for one that Limpet never sends

}  // namespace limpet::http
