#include "src/service_manager.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "conf/ascii.h"
#include "src/proxy/clock.h"

namespace limpet {

namespace {

// Nobody who is to be told holds the main thread up for longer.
constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};
// What comes late by one look is still in time.
constexpr int kLooksWithin = 4;
// Beyond what is promised for the end: for the logs.
constexpr std::chrono::seconds kToEnd{10};

std::string status_line(std::string text) {
  for (size_t at; (at = text.find('\n')) != std::string::npos;)
    text.replace(at, 1, at != 0 && text[at - 1] == ':' ? " " : "; ");
  return "STATUS=" + text;
}

const char* of_environment_or(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

ServiceManager::ServiceManager(const std::string& socket, std::chrono::microseconds watchdog)
    : watchdog_(watchdog) {
  if (socket.empty()) return;
  const bool is_abstract = socket[0] == '@';
  if ((!is_abstract && socket[0] != '/') || socket.size() >= sizeof to_.sun_path) {
    spdlog::warn("NOTIFY_SOCKET names no socket that can be told anything");
    return;
  }
  to_.sun_family = AF_UNIX;
  std::copy(socket.begin(), socket.end(), to_.sun_path);
  if (is_abstract) to_.sun_path[0] = '\0';
  size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());  // unix(7)
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd_ >= 0) setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) ::close(fd_);
}

ServiceManager ServiceManager::of_environment() {
  return {of_environment_or("NOTIFY_SOCKET", ""),
          watchdog_of(std::getenv("WATCHDOG_USEC"), std::getenv("WATCHDOG_PID"))};
}

void ServiceManager::ready(const std::string& status) { say("READY=1\n" + status_line(status)); }

void ServiceManager::reloading() {
  say("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(proxy::Clock().monotonic_us()) +
      "\nSTATUS=reading the file again");
}

void ServiceManager::stopping(std::chrono::milliseconds at_most, const std::string& status) {
  const auto granted = std::chrono::duration_cast<std::chrono::microseconds>(at_most + kToEnd);
  say("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(granted.count()) + "\n" + status_line(status));
}

void ServiceManager::alive() { say("WATCHDOG=1", MSG_DONTWAIT); }

std::chrono::milliseconds ServiceManager::between_looks() const {
  if (fd_ < 0 || watchdog_.count() == 0) return std::chrono::milliseconds(0);
  return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(watchdog_ / kLooksWithin),
                  std::chrono::milliseconds(1));
}

void ServiceManager::say(const std::string& lines, int flags) {
  if (fd_ < 0) return;
  if (::sendto(fd_, lines.data(), lines.size(), flags | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to_),
               size_) >= 0)
    return;
  const int error = errno;
  if (log_.is_time()) spdlog::warn("the service manager cannot be told anything: {}", std::strerror(error));
}

std::chrono::microseconds watchdog_of(const char* microseconds, const char* process) {
  if (microseconds == nullptr || (process != nullptr && whole_number<pid_t>(process) != getpid())) return {};
  return std::chrono::microseconds(std::max<int64_t>(whole_number<int64_t>(microseconds).value_or(0), 0));
}

}  // namespace limpet
