// Which pool serves a request: (listener, host, path) → pool.
//
// The most specific host decides first: the exact name, then the longest wildcard ("*.example.com" is every
// name below it, not the name itself), then any. Within a host the longest path prefix wins; where the best
// host has no prefix that fits, the next one is asked.
//
// A prefix is of whole segments: "/app" and "/app/" serve "/app", "/app/x", "/app?x" and "/app;x", not
// "/apple". It is held against the normal form of the target's path (conf/normal_path.h), while the bytes
// that came are what is forwarded: "/%61pp", "//app" and "/x/../app" are in "/app". "%2f" is no slash here,
// though it may be one to the application. A route spreads work; it is no fence around a path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"

namespace limpet::routing {

inline constexpr size_t kNoPool = static_cast<size_t>(-1);

class Routes {
 public:
  static Routes from(const conf::Settings& settings);

  // `listener` and the answer are places in Settings::listeners and ::pools. `host` is Host or :authority as
  // received: any case, with or without a port, a trailing dot, an IPv6 literal's brackets. `target` is in
  // origin-form; any other ("*") is taken for "/".
  size_t find(size_t listener, std::string_view host, std::string_view target) const;

 private:
  struct Path {
    std::string prefix;  // without a trailing slash
    size_t pool;
  };
  struct Host {
    std::string name;         // lower case; a wildcard's begins with its dot
    std::vector<Path> paths;  // longest first
  };
  struct Listener {
    std::vector<Host> exact;      // by name
    std::vector<Host> wildcards;  // longest first
    Host any;
    bool has_paths = false;  // beside "/"
  };

  struct Collected;

  static size_t find_path(const Host& host, std::string_view path);

  std::vector<Listener> listeners_;  // by listener
};

}  // namespace limpet::routing
