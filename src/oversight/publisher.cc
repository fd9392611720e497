#include "src/oversight/publisher.h"

#include <unordered_map>
#include <utility>

namespace limpet {

Publisher::Publisher(uv_loop_t* loop, const Pools& pools, Publish publish)
    : pools_(pools), publish_(std::move(publish)) {
  uv_prepare_init(loop, &end_of_turn_);
  end_of_turn_.data = this;
}

void Publisher::start() {
  uv_prepare_start(&end_of_turn_,
                   [](uv_prepare_t* prepare) { static_cast<Publisher*>(prepare->data)->publish(); });
}

void Publisher::close() { uv_close(reinterpret_cast<uv_handle_t*>(&end_of_turn_), nullptr); }

// A listener is known by its address, whatever its name.
void Publisher::adopt(std::shared_ptr<const conf::Settings> settings,
                      std::vector<net::SharedTlsIdentity> tls) {
  settings_ = std::move(settings);
  routes_ = std::make_shared<const routing::Routes>(routing::Routes::from(*settings_));
  changed_ = true;
  std::vector<Listener> former = std::exchange(listeners_, {});
  std::unordered_map<std::string, std::vector<Listener*>> known;  // the first comes last, and is taken first
  for (auto listener = former.rbegin(); listener != former.rend(); ++listener) {
    if (listener->listed) known[listener->settings.address.text()].push_back(&*listener);
  }
  for (size_t place = 0; place < settings_->listeners.size(); ++place) {
    const conf::Listener& said = settings_->listeners[place];
    Listener& listener = listeners_.emplace_back();
    listener.settings = said;
    listener.tls = std::move(tls[place]);
    std::vector<Listener*>& same = known[said.address.text()];
    if (same.empty()) continue;
    listener.meter = std::move(same.back()->meter);
    same.pop_back();
  }
  for (Listener& listener : former) {
    if (listener.meter == nullptr) continue;  // it goes on
    listener.listed = false;
    listeners_.push_back(std::move(listener));
  }
}

void Publisher::show(std::vector<net::SharedTlsIdentity> tls) {
  for (size_t place = 0; place < tls.size(); ++place) listeners_[place].tls = std::move(tls[place]);
  changed_ = true;
}

void Publisher::withdraw(const OverseenPool& pool, routing::Slot slot) {
  withdrawn_.push_back({pool.id, slot});
  changed_ = true;
}

void Publisher::publish() {
  if (changed_) publish_(take());
}

Update Publisher::take() {
  changed_ = false;
  auto plan = std::make_shared<proxy::Plan>();
  plan->settings = settings_;
  plan->routes = routes_;
  for (const Listener& listener : listeners_) {
    if (!listener.listed) continue;
    plan->listeners.push_back(listener.meter);
    plan->tls.push_back(listener.tls);
  }
  for (const auto& pool : pools_.all()) plan->pools.push_back(pool->publish());
  return {.plan = std::move(plan), .withdrawn = std::exchange(withdrawn_, {})};
}

void Publisher::forget_unused_listeners() {
  std::erase_if(listeners_, [](const Listener& listener) {
    return !listener.listed && listener.meter->connections.load(std::memory_order_relaxed) == 0;
  });
}

}  // namespace limpet
