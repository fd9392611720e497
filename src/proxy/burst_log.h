// Warnings of what comes in bursts. Of each kind the first is told at once, and those that follow within ten
// seconds as a number, when these are over or when this ends.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "src/net/deadlines.h"

namespace limpet::proxy {

class BurstLog final : net::DeadlineOwner {
 public:
  static constexpr net::Millis kEvery = 10'000;

  explicit BurstLog(net::Deadlines& deadlines) : deadline_(deadlines, *this), deadlines_(deadlines) {}
  ~BurstLog();

  // One more `noun`, of a kind that `kind` names among those of the listener. "listener LISTENER: 3 NOUNs
  // STORY", with the story of the last one.
  void warn(const std::string& listener, const std::string& kind, std::string_view noun, std::string story);

 private:
  struct Burst {
    std::string_view noun;
    std::string story;
    uint64_t count = 0;  // that are not told yet
    net::Millis due = 0;
  };
  using Bursts = std::map<std::pair<std::string, std::string>, Burst>;  // by listener and kind

  void on_deadline() override;
  static void tell(const std::string& listener, Burst& burst);

  Bursts bursts_;  // whose ten seconds are not over
  net::Deadline deadline_;
  net::Deadlines& deadlines_;
};

}  // namespace limpet::proxy
