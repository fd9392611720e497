#include "src/proxy/context.h"

#include <openssl/rand.h>

#include <algorithm>

#include "src/proxy/exchange.h"
#include "src/proxy/set_cookie.h"

namespace limpet::proxy {

namespace {
constexpr size_t kMostSpareExchanges = 256;  // kept for the next requests
constexpr net::Millis kLogDelay = 200;       // a line of the access log waits this long for others
}  // namespace

ServedPool::ServedPool(std::shared_ptr<const Plan> plan, size_t place, size_t worker,
                       net::Deadlines& deadlines, net::Graveyard& graveyard, Dialer& dialer, Witness& witness)
    : connections(deadlines, graveyard, dialer), worker_(worker), witness_(witness) {
  follow(std::move(plan), place);
}

void ServedPool::follow(std::shared_ptr<const Plan> plan, size_t place) {
  const PoolPlan& next = plan->pools[place];
  meter_ = next.meters[worker_];
  cookie_name_.clear();
  for (const conf::AffinityKind kind : next.settings->affinity) {
    if (kind != conf::AffinityKind::cookie) continue;
    cookie_name_ = next.settings->cookie_name();
    cookie_attributes_ = set_cookie_attributes(next.settings->cookie);
  }
  suspected_.resize(next.fleet.backends.size());
  for (size_t i = 0; i < next.fleet.backends.size(); ++i) {
    const bool moved = now_ != nullptr && i < now_->fleet.backends.size() &&
                       now_->fleet.backends[i].address != next.fleet.backends[i].address;
    if (moved || !next.fleet.backends[i].serves_its_own()) connections.retire(static_cast<routing::Slot>(i));
  }
  now_ = &next;
  plan_ = std::move(plan);
}

void ServedPool::failed(routing::Slot slot, BackendFailure how) {
  meter_->backends[slot].failures[static_cast<size_t>(how)].add();
  suspected_[slot] = true;
  witness_.on_backend_failed(id(), slot, how);
}

void ServedPool::worked(routing::Slot slot) {
  if (!suspected_[slot]) return;
  suspected_[slot] = false;
  witness_.on_backend_worked(id(), slot);
}

Context::Context(std::shared_ptr<const Plan> plan, size_t worker, net::Deadlines& its_deadlines,
                 net::Graveyard& its_graveyard, Dialer& dialer, Clock& its_clock, Witness& witness,
                 AccessLogBuffer* its_access_log)
    : deadlines(its_deadlines),
      graveyard(its_graveyard),
      clock(its_clock),
      worker_(worker),
      dialer_(dialer),
      witness_(witness),
      access_log_(its_access_log),
      log_flush_(its_deadlines, *this) {
  follow(std::move(plan));
  RAND_bytes(reinterpret_cast<unsigned char*>(id_state_), sizeof id_state_);
}

void Context::follow(std::shared_ptr<const Plan> plan) {
  pools_.clear();
  for (size_t place = 0; place < plan->pools.size(); ++place) {
    const size_t id = plan->pools[place].id;
    const auto known = std::find_if(all_pools_.begin(), all_pools_.end(),
                                    [id](const auto& pool) { return pool->id() == id; });
    if (known != all_pools_.end()) {
      (*known)->follow(plan, place);
      pools_.push_back(known->get());
    } else {
      all_pools_.push_back(
          std::make_unique<ServedPool>(plan, place, worker_, deadlines, graveyard, dialer_, witness_));
      pools_.push_back(all_pools_.back().get());
    }
  }
  for (const auto& listener : all_listeners_) listener->place = ServedListener::kGone;
  listeners_.clear();
  const auto& listeners = plan->settings->listeners;
  for (size_t place = 0; place < listeners.size(); ++place) {
    auto known = std::find_if(all_listeners_.begin(), all_listeners_.end(), [&](const auto& listener) {
      return listener->place == ServedListener::kGone &&
             listener->settings.address == listeners[place].address;
    });
    if (known == all_listeners_.end())
      known = all_listeners_.insert(known, std::make_unique<ServedListener>());
    **known = {listeners[place], place};
    listeners_.push_back(known->get());
  }
  plan_ = std::move(plan);
}

Context::~Context() = default;

std::unique_ptr<Exchange> Context::new_exchange() {
  if (spare_.empty()) return std::make_unique<Exchange>(*this);
  std::unique_ptr<Exchange> used = std::move(spare_.back());
  spare_.pop_back();
  return used;
}

void Context::recycle(std::unique_ptr<Exchange> ended) {
  if (spare_.size() < kMostSpareExchanges) {
    spare_.push_back(std::move(ended));
  } else {
    graveyard.bury(std::move(ended));
  }
}

void Context::log(const AccessRecord& record) {
  access_log_->write(record);
  if (access_log_->full()) {
    access_log_->flush();
  } else if (!log_flush_.is_set()) {
    log_flush_.set(deadlines.now() + kLogDelay);
  }
}

void Context::on_deadline() { access_log_->flush(); }

// 128 bits: xoroshiro128+ (Blackman and Vigna, 2018) from a random start. Ids have to be distinct, not
// secret.
std::string_view Context::new_request_id(std::string& out) {
  constexpr char kDigits[] = "0123456789abcdef";
  out.resize(32);
  char* at = out.data();
  for (int half = 0; half < 2; ++half) {
    uint64_t value = id_state_[0] + id_state_[1];
    const uint64_t mixed = id_state_[0] ^ id_state_[1];
    id_state_[0] = (id_state_[0] << 24 | id_state_[0] >> 40) ^ mixed ^ (mixed << 16);
    id_state_[1] = mixed << 37 | mixed >> 27;
    for (int digit = 0; digit < 16; ++digit, value >>= 4) *at++ = kDigits[value & 15];
  }
  return out;
}

}  // namespace limpet::proxy
