// What an application says about its own session ids: which one it set, which it deleted. The application
// makes the ids, so an answer is the only place to learn who holds one.
//
// Read per source, in the configured order:
// - cookie: Set-Cookie of that name. Cookies differ by name, domain and path, and of several fields for one
//   cookie the last counts; every id that is set is learned. A field deletes when the value is empty, Max-Age
//   is not above 0, or Expires has passed; Max-Age beats Expires (RFC 6265, section 5.3). What is deleted is
//   the id that the request carried, since the value of the deleting field is arbitrary: where it carried one
//   alone, which may have been set under that domain and path, and none is set in its place.
// - header: a field of that name sets. Only under the name Mcp-Session-Id does anything end: a DELETE
//   answered 2xx, and a request answered 404, end the id it carried, because the Model Context Protocol
//   (Streamable HTTP, session management) gives them exactly this meaning, and its clients begin anew after
//   either; a 404 at a path at which an id was set, or it may speak of something else. Under any other name a
//   DELETE or a 404 speaks of some resource: ending the session for it would send a logged-in client to the
//   wrong backend, while keeping a dead one costs an entry until it idles out.
// - path: `;name=` in the path of a Location that stays on the request's host (or names no host), unless the
//   request carried an id elsewhere, or that text: then its client may have put it there.
// - query: nothing; no field of an answer sets a query parameter.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "conf/settings.h"
#include "routing/affinity_key.h"
#include "routing/request_view.h"

namespace limpet::routing {

// The ids of one answer, without duplicates; views into the request and the response.
class Learned {
 public:
  // Of each: a client has one session; more is a misconfiguration or an attack on the table.
  static constexpr size_t kMost = 4;

  std::span<const std::string_view> set() const { return set_.all(); }
  std::span<const std::string_view> deleted() const { return deleted_.all(); }

  void add_set(std::string_view id) { set_.add(id); }
  void add_deleted(std::string_view id) { deleted_.add(id); }

 private:
  Ids<kMost> set_, deleted_;
};

// The last paths at which MCP ids were set. Thread-safe.
class McpPaths {
 public:
  void add(std::string_view target);
  bool has(std::string_view target) const;

 private:
  static constexpr size_t kMost = 16;
  std::array<std::atomic<uint64_t>, kMost> hashes_{};  // 0: none
  std::atomic<size_t> next_{0};
};

// Remembers in `paths` where an MCP id is set. `now`: Unix time in seconds.
Learned learn(const conf::SessionIdAffinity& affinity, const RequestView& request,
              const ResponseView& response, McpPaths& paths, uint32_t now);

}  // namespace limpet::routing
