// What an application says about its own session ids: which one it set, which it deleted. The application
// makes the ids, so an answer is the only place to learn who holds one.
//
// Read per source, in the configured order:
// - cookie: Set-Cookie of that name. It deletes when the value is empty, Max-Age is not above 0, or Expires
//   has passed; Max-Age beats Expires (RFC 6265, section 5.3). What is deleted is the id that the request
//   carried in that cookie: the value of the deleting field is arbitrary.
// - header: a field of that name sets. Only under the name Mcp-Session-Id does anything end: a DELETE
//   answered 2xx, and a request answered 404, end the id it carried, because the Model Context Protocol
//   (Streamable HTTP, session management) gives them exactly this meaning, and its clients begin anew after
//   either. Under any other name a DELETE or a 404 speaks of some resource: ending the session for it would
//   send a logged-in client to the wrong backend, while keeping a dead one costs an entry until it idles out.
// - path: `;name=` in the path of a Location that stays on the request's host (or names no host).
// - query: nothing; no field of an answer sets a query parameter.
//
// Of several fields that speak for one source the last wins, as it does in a browser. (Cookies of one name
// under different Path attributes are taken for one.)
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "conf/settings.h"
#include "routing/request_view.h"

namespace limpet::routing {

// The ids of one answer, without duplicates; views into the request and the response.
class Learned {
 public:
  // Of each: a client has one session; more is a misconfiguration or an attack on the table.
  static constexpr size_t kMost = 4;

  std::span<const std::string_view> set() const { return {set_.ids.data(), set_.count}; }
  std::span<const std::string_view> deleted() const { return {deleted_.ids.data(), deleted_.count}; }

  void add_set(std::string_view id) { set_.add(id); }
  void add_deleted(std::string_view id) { deleted_.add(id); }

 private:
  struct Ids {
    std::array<std::string_view, kMost> ids;
    size_t count = 0;
    void add(std::string_view id);  // ignores what could be no id, what it has, and what is beyond kMost
  };
  Ids set_, deleted_;
};

// `now`: Unix time in seconds.
Learned learn(const conf::SessionIdAffinity& affinity, const RequestView& request,
              const ResponseView& response, uint32_t now);

}  // namespace limpet::routing
