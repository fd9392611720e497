// Sockets that listened before the process began, and were passed to it by whoever started it
// (sd_listen_fds(3)). They are kept until it ends: who listens has a duplicate.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"

namespace limpet::net {

// Whether it is bound there: "*" is every address of both families.
bool is_bound_to(int fd, const conf::Address& address);

class PassedSockets {
 public:
  static constexpr int kFirst = 3;

  // As the environment says it; nullptr: it does not. What is passed to another process is none of ours.
  PassedSockets(const char* process, const char* count, const char* names);
  static PassedSockets of_environment();

  // Those that are bound there. Each takes connections, so that none may be left out.
  std::vector<int> at(const conf::Address& address) const;

  // What nobody takes, one line each.
  std::vector<std::string> unused(const std::vector<conf::Listener>& listeners) const;

 private:
  struct Passed {
    int fd;
    std::string name;   // its unit's; may be empty
    std::string wrong;  // why nobody can listen at it; empty: anybody can
  };
  std::vector<Passed> sockets_;
};

}  // namespace limpet::net
