#include "src/service_manager.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace limpet {

namespace {

// Nobody who is to be told holds the main thread up for longer.
constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};
// What comes late by one look is still in time.
constexpr int kLooksWithin = 4;
// Beyond what is promised for the end: for the logs.
constexpr std::chrono::seconds kToEnd{10};

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string status_line(std::string text) {
  for (size_t at; (at = text.find('\n')) != std::string::npos;) text.replace(at, 1, "; ");
  return "STATUS=" + text;
}

uint64_t monotonic_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
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
  say("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()) + "\nSTATUS=reading the file again");
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
  pid_t named = 0;
  int64_t count = 0;
  if (process != nullptr && (!read_number(process, named) || named != getpid())) return {};
  if (microseconds == nullptr || !read_number(microseconds, count) || count < 0) return {};
  return std::chrono::microseconds(count);
}

}  // namespace limpet
