#include "src/worker_sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_set>

#include "src/net/listener.h"
#include "src/net/other_listeners.h"

namespace limpet {

namespace {

void close_all(const WorkerSockets& sockets) {
  for (const auto& of_worker : sockets) {
    for (const Update::Socket& socket : of_worker) close(socket.fd);
  }
}

// Passed sockets are shared: one that listens already cannot be spread over several by the kernel, and who
// may bind another beside it is whoever bound it. Each worker is woken for each connection, and one has it.
bool duplicate(const std::vector<int>& passed, size_t place, WorkerSockets& sockets) {
  for (auto& of_worker : sockets) {
    for (const int fd : passed) {
      const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
      if (duplicate < 0) return false;
      of_worker.push_back({place, duplicate, true});
    }
  }
  return true;
}

}  // namespace

// SO_REUSEPORT would let a second Limpet share the first one's port without a word, so each address is tried
// alone first; if that fails, it may be for this process's own sockets, at an address that overlaps or is
// just being left.
bool bind_new(const conf::Settings* now, const conf::Settings& next, size_t workers,
              const net::PassedSockets& passed, WorkerSockets& sockets, std::string& error) {
  sockets.resize(workers);
  std::unordered_multiset<std::string> known;  // port 0 may be there several times
  for (size_t i = 0; now && i < now->listeners.size(); ++i) known.insert(now->listeners[i].address.text());
  for (size_t place = 0; place < next.listeners.size(); ++place) {
    const conf::Listener& listener = next.listeners[place];
    if (const auto it = known.find(listener.address.text()); it != known.end()) {
      known.erase(it);
      continue;
    }
    if (const auto given = passed.at(listener.address); !given.empty()) {
      if (duplicate(given, place, sockets)) continue;
      error = listener.address.text() + ": " + std::strerror(errno);
      return close_all(sockets), false;
    }
    const int alone = net::bind_socket(listener.address, true, error);
    if (alone >= 0) {
      close(alone);
    } else if (net::others_listen(listener.address)) {
      return close_all(sockets), false;
    }
    for (auto& of_worker : sockets) {
      const int fd = net::bind_socket(listener.address, false, error);
      if (fd < 0) return close_all(sockets), false;
      of_worker.push_back({place, fd});
    }
  }
  return true;
}

}  // namespace limpet
