#include "src/proxy/burst_log.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "conf/spelling.h"

namespace limpet::proxy {

BurstLog::~BurstLog() {
  for (auto& [key, burst] : bursts_) tell(key.first, burst);
}

void BurstLog::warn(const std::string& listener, const std::string& kind, std::string_view noun,
                    std::string story) {
  const auto [at, is_first] = bursts_.try_emplace({listener, kind});
  Burst& burst = at->second;
  burst.noun = noun;
  burst.story = std::move(story);
  ++burst.count;
  if (!is_first) return;
  tell(listener, burst);
  burst.due = deadlines_.now() + kEvery;
  if (!deadline_.is_set()) deadline_.set(burst.due);
}

void BurstLog::tell(const std::string& listener, Burst& burst) {
  if (burst.count == 0) return;
  spdlog::warn("listener {}: {} {}", listener, conf::counted(std::exchange(burst.count, 0), burst.noun),
               burst.story);
}

void BurstLog::on_deadline() {
  const net::Millis now = deadlines_.now();
  net::Millis next = net::kNever;
  for (auto at = bursts_.begin(); at != bursts_.end();) {
    Burst& burst = at->second;
    if (burst.due <= now) {
      if (burst.count == 0) {
        at = bursts_.erase(at);
        continue;
      }
      tell(at->first.first, burst);
      burst.due = now + kEvery;
    }
    next = std::min(next, burst.due);
    ++at;
  }
  if (next != net::kNever) deadline_.set(next);
}

}  // namespace limpet::proxy
