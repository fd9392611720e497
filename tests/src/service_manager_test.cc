#include "src/service_manager.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <unistd.h>

#include <cstddef>
#include <ctime>
#include <string>

#include "tests/support/folder.h"

namespace limpet::service_manager_test {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;

// Whoever started the process.
class Manager {
 public:
  explicit Manager(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    REQUIRE(bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())) == 0);
  }
  ~Manager() { close(fd_); }
  std::string told() {
    char bytes[4096];
    const ssize_t size = recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(bytes, static_cast<size_t>(size));
  }

 private:
  const int fd_ = socket(AF_UNIX, SOCK_DGRAM, 0);
};

TEST_CASE("a manager is told what happens, at a path or an abstract name") {
  const test::Folder folder;
  for (const std::string& name : {folder.file("notify"), "@limpet-notify-" + std::to_string(getpid())}) {
    Manager manager(name);
    ServiceManager told(name, 2s);
    told.ready("serving\nwell");
    CHECK(manager.told() == "READY=1\nSTATUS=serving; well");
    told.ready("it has faults:\none\nanother");
    CHECK(manager.told() == "READY=1\nSTATUS=it has faults: one; another");
    told.alive();
    CHECK(manager.told() == "WATCHDOG=1");
    told.stopping(30'000ms, "it ends");
    CHECK(manager.told() == "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\nSTATUS=it ends");
    CHECK(manager.told() == "nothing");
  }
}

TEST_CASE("a reload is told with the time at which it begins") {
  const std::string name = "@limpet-reload-" + std::to_string(getpid());
  Manager manager(name);
  const auto now = [] {
    timespec at{};
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1'000'000LL + at.tv_nsec / 1000;
  };
  const auto before = now();
  ServiceManager(name, 0us).reloading();
  const auto after = now();
  const std::string told = manager.told(), begin = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(told.starts_with(begin));
  const auto at = std::stoll(told.substr(begin.size()));
  CHECK(before <= at);
  CHECK(at <= after);
}

TEST_CASE("nobody is told anything where there is nobody, and nothing comes of it") {
  for (const char* name : {"", "no/path", "/nowhere/at/all", "@nobody-listens-at-this-name"}) {
    ServiceManager told(name, 2s);
    told.ready("serving");
    told.reloading();
    told.alive();
    told.stopping(1000ms, "it ends");
  }
  CHECK(ServiceManager("", 2s).between_looks() == 0ms);
}

TEST_CASE("it looks several times within the watchdog's time") {
  CHECK(ServiceManager("@somebody", 2s).between_looks() == 500ms);
  CHECK(ServiceManager("@somebody", 1us).between_looks() == 1ms);
  CHECK(ServiceManager("@somebody", 0us).between_looks() == 0ms);
}

TEST_CASE("the watchdog's time is taken where it is meant for this process") {
  const std::string mine = std::to_string(getpid()), other = std::to_string(getpid() + 1);
  CHECK(watchdog_of("2000000", mine.c_str()) == 2s);
  CHECK(watchdog_of("2000000", nullptr) == 2s);
  CHECK(watchdog_of("2000000", other.c_str()) == 0us);
  CHECK(watchdog_of("2000000", "") == 0us);
  for (const char* text : {"", "-1", "2s", "99999999999999999999"}) CHECK(watchdog_of(text, nullptr) == 0us);
  CHECK(watchdog_of(nullptr, nullptr) == 0us);
}

}  // namespace limpet::service_manager_test
