// What whoever started the process is told of it, by systemd's plain protocol: datagrams of lines to the
// socket that $NOTIFY_SOCKET names (sd_notify(3)). Where it names none, nobody is told anything.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <string>

#include "src/net/now_and_then.h"

namespace limpet {

class ServiceManager {
 public:
  // `socket` as $NOTIFY_SOCKET has it, a path or an abstract name behind "@". `watchdog`: whoever says
  // nothing for so long is ended and started anew; 0: nobody is.
  ServiceManager(const std::string& socket, std::chrono::microseconds watchdog);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  static ServiceManager of_environment();

  // `status` is for people, and of one line; other lines are joined to it.
  void ready(const std::string& status);
  void reloading();  // until ready()
  void stopping(std::chrono::milliseconds at_most, const std::string& status);
  void alive();

  // How often to look whether everything is alive, and to say so; 0: nobody wants to know.
  std::chrono::milliseconds between_looks() const;

 private:
  void say(const std::string& lines, int flags = 0);

  int fd_ = -1;
  sockaddr_un to_{};
  socklen_t size_ = 0;
  const std::chrono::microseconds watchdog_;
  net::NowAndThen log_{std::chrono::seconds(60)};
};

// $WATCHDOG_USEC, where $WATCHDOG_PID is this process or is not given; 0: it is no such time. nullptr: not
// given.
std::chrono::microseconds watchdog_of(const char* microseconds, const char* process);

}  // namespace limpet
