#include "src/oversight/overseer.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <utility>

namespace limpet {

namespace {

constexpr uint64_t kTick = 50;  // milliseconds: how exactly checks are on time
constexpr uint64_t kTicksASecond = 1000 / kTick;

}  // namespace

Overseer::Overseer(net::Loop& loop, net::Resolver& resolver, net::Descriptors& descriptors, net::Calls& calls,
                   const Secrets& secrets, size_t workers, Publisher::Publish publish)
    : loop_(loop.uv()),
      resolver_(resolver),
      pools_(secrets, workers),
      publisher_(loop_, pools_, std::move(publish)),
      health_(loop, resolver, descriptors, calls, pools_, publisher_),
      reporter_(loop_, resolver, pools_, publisher_, health_.incidents()),
      orders_(loop_, pools_, publisher_, health_) {
  uv_timer_init(loop_, &timer_);
  timer_.data = this;
  resolver_.on_lost([this](const std::string& name) { on_address_lost(name); });
}

void Overseer::start() {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Overseer*>(timer->data)->on_tick(); }, kTick, kTick);
  publisher_.start();
}

void Overseer::close() {
  health_.close();
  publisher_.close();
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
}

Update Overseer::adopt(std::shared_ptr<const conf::Settings> settings,
                       std::vector<net::SharedTlsIdentity> tls, std::vector<net::SharedTlsTrust> trusts) {
  const Pools::Changes changes = pools_.adopt(settings, std::move(trusts), uv_now(loop_));
  publisher_.adopt(std::move(settings), std::move(tls));
  for (const auto& [pool, of_pool] : changes) {
    health_.apply(*pool, of_pool);
    health_.withdraw_overdue(*pool);
  }
  watch_names();
  return publisher_.take();
}

void Overseer::use(std::vector<net::SharedTlsIdentity> tls, const std::vector<net::SharedTlsTrust>& trusts) {
  for (size_t place = 0; place < trusts.size(); ++place) pools_.all()[place]->trust(trusts[place]);
  publisher_.show(std::move(tls));
}

// Of all backends of which anything is left: those that drain may change their addresses too.
void Overseer::watch_names() {
  std::vector<std::string> names;
  for (const auto& pool : pools_.all()) {
    for (const routing::Backend& backend : pool->fleet.backends) {
      if (backend.address.kind == conf::Address::Kind::host) names.push_back(backend.address.host);
    }
  }
  resolver_.watch(names);
}

// Connections to an address that a backend's name has no more are not used again: who has it now may be
// anybody.
void Overseer::on_address_lost(const std::string& name) {
  for (const auto& pool : pools_.all()) {
    for (routing::Backend& backend : pool->fleet.backends) {
      if (backend.address.kind != conf::Address::Kind::host || backend.address.host != name) continue;
      ++backend.lost_addresses;
      publisher_.changed(*pool);
      spdlog::info("pool {}: backend {} has moved: {} has another address now", pool->settings->name,
                   backend.name, name);
    }
  }
}

// ---- as time goes by

void Overseer::on_tick() {
  for (const auto& pool : pools_.all()) {
    health_.begin_checks(*pool);
    pool->table().trim(steady_seconds());
  }
  if (++ticks_ % kTicksASecond == 0) each_second();
}

void Overseer::each_second() {
  for (const auto& pool : pools_.all()) {
    pool->table().sweep(steady_seconds());
    health_.each_second(*pool);
    if (ticks_ % (kTicksASecond * status::kSampleSeconds) == 0) pool->take_sample(std::time(nullptr));
    retire(*pool);
    if (pool->health->put_into(pool->fleet, uv_now(loop_)) || pool->is_changed) publisher_.changed(*pool);
  }
  end_those_over();
  publisher_.forget_unused_listeners();
}

// Ends what is gone of it.
void Overseer::retire(OverseenPool& pool) {
  if (const std::vector<routing::Slot> gone = pool.gone(); !gone.empty()) {
    for (const routing::Slot slot : gone) health_.incidents().forget(pool.where(slot), unix_seconds());
    pool.free(gone);
    watch_names();
  }
  pool.drop_unused();
}

void Overseer::end_those_over() {
  // Session tables are large, and the heap would keep what they leave.
  const auto is_freed = [](const std::weak_ptr<routing::Memory>& memory) { return memory.expired(); };
  if (std::erase_if(ended_, is_freed) != 0) malloc_trim(0);
  while (const std::unique_ptr<OverseenPool> pool = pools_.take_over()) {
    ended_.push_back(pool->memory);
    publisher_.changed();
    const std::string& name = pool->settings->name;
    if (pools_.find(name) == nullptr) health_.incidents().forget_pool(name);
    spdlog::info("pool {}: nothing is left of it", name);
  }
}

}  // namespace limpet
