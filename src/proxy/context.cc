#include "src/proxy/context.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "conf/ascii.h"
#include "conf/spelling.h"
#include "src/http/trace_context.h"
#include "src/proxy/h1_request.h"
#include "src/proxy/h2_request.h"
#include "src/proxy/set_cookie.h"

namespace limpet::proxy {

namespace {
constexpr net::Millis kLogDelay = 200;  // a line of the access log waits this long for others
}  // namespace

class ServedPool::Era {
 public:
  explicit Era(SharedPoolPlan plan) : plan_(std::move(plan)) {}
  uint32_t requests = 0;

 private:
  const SharedPoolPlan plan_;
};

ServedPool::ServedPool(SharedPoolPlan plan, size_t worker, net::Deadlines& deadlines,
                       net::Graveyard& graveyard, net::Polls& polls, Dialer& dialer, Witness& witness,
                       net::Gather& to_backend, net::TlsRoom& tls_room)
    : connections(deadlines, graveyard, polls, dialer, *this, to_backend, tls_room),
      worker_(worker),
      witness_(witness) {
  follow(std::move(plan));
}

ServedPool::~ServedPool() = default;

void ServedPool::follow(SharedPoolPlan plan) {
  if (plan == plan_) return;
  meter_ = plan->meters[worker_];
  connections.connect_by(plan->tls, plan->settings->protocol);
  const conf::Retries& allowed = plan->settings->retries;
  const auto workers = static_cast<uint32_t>(plan->meters.size());
  retries.allow(allowed.percent, (allowed.floor + workers - 1) / workers);
  cookie_name_.clear();
  for (const conf::AffinityKind kind : plan->settings->affinity) {
    if (kind != conf::AffinityKind::cookie) continue;
    cookie_name_ = plan->settings->cookie_name();
    const conf::CookieAffinity& cookie = plan->settings->cookie;
    cookie_attributes_ = set_cookie_attributes(cookie, cookie.secure == conf::Secure::yes);
    cookie_attributes_for_tls_ = set_cookie_attributes(cookie, cookie.secure != conf::Secure::no);
  }
  const auto& next = plan->fleet.backends;
  doubted_at_.resize(next.size());
  for (size_t i = 0; i < next.size(); ++i) {
    const bool is_new = plan_ == nullptr || i >= plan_->fleet.backends.size();
    const bool is_other = !is_new && plan_->fleet.backends[i].id != next[i].id;
    const bool moved = !is_new && (plan_->fleet.backends[i].address != next[i].address ||
                                   plan_->fleet.backends[i].lost_addresses != next[i].lost_addresses);
    if (is_other || moved || !next[i].serves_its_own()) connections.retire(static_cast<routing::Slot>(i));
  }
  if (!eras_.empty() && eras_.back()->requests == 0) eras_.pop_back();
  eras_.push_back(std::make_unique<Era>(plan));
  plan_ = std::move(plan);
}

void ServedPool::on_stray(routing::Slot slot) {
  meter_->backends[slot].strays.add();
  if (!stray_log_.is_time()) return;
  const auto& backends = fleet().backends;
  spdlog::info("{}/{}: said something that no request asked for, and the connection is closed",
               settings().name, slot < backends.size() ? backends[slot].name : "?");
}

ServedPool::Era* ServedPool::enter() {
  ++eras_.back()->requests;
  return eras_.back().get();
}

void ServedPool::leave(Era* era) {
  if (--era->requests != 0 || era == eras_.back().get()) return;
  std::erase_if(eras_, [era](const auto& one) { return one.get() == era; });
}

Context::Context(std::shared_ptr<const Plan> plan, size_t worker, net::Deadlines& its_deadlines,
                 net::Graveyard& its_graveyard, net::Polls& its_polls, net::SmallFiles& its_files,
                 Dialer& dialer, Clock& its_clock, Witness& witness, AccessLogBuffer* its_access_log)
    : deadlines(its_deadlines),
      graveyard(its_graveyard),
      polls(its_polls),
      files(its_files),
      clock(its_clock),
      tls_room(its_graveyard),
      worker_(worker),
      dialer_(dialer),
      witness_(witness),
      access_log_(its_access_log),
      log_flush_(its_deadlines, *this),
      burst_log_(its_deadlines) {
  follow(std::move(plan));
  RAND_bytes(reinterpret_cast<unsigned char*>(id_state_), sizeof id_state_);
}

void Context::follow(std::shared_ptr<const Plan> plan) {
  follow_pools(*plan);
  if (plan_ == nullptr || plan_->settings != plan->settings || plan_->tls != plan->tls)
    follow_listeners(*plan);
  plan_ = std::move(plan);
}

void Context::follow_pools(const Plan& plan) {
  const std::vector<ServedPool*> before = std::move(pools_);
  pools_.clear();
  bool same = before.size() == plan.pools.size();
  for (size_t place = 0; place < plan.pools.size(); ++place) {
    const SharedPoolPlan& next = plan.pools[place];
    ServedPool* served = place < before.size() && before[place]->id() == next->id ? before[place] : nullptr;
    if (served == nullptr) {
      same = false;
      std::unique_ptr<ServedPool>& known = all_pools_[next->id];
      if (known == nullptr)
        known = std::make_unique<ServedPool>(next, worker_, deadlines, graveyard, polls, dialer_, witness_,
                                             to_backend, tls_room);
      served = known.get();
    }
    served->follow(next);
    pools_.push_back(served);
  }
  if (same) return;
  for (ServedPool* pool : before) pool->in_plan = false;
  for (ServedPool* pool : pools_) pool->in_plan = true;
  for (ServedPool* pool : before) bury_if_gone(*pool);
}

void Context::bury_if_gone(ServedPool& pool) {
  if (pool.in_plan || pool.exchanges != 0) return;
  const auto gone = all_pools_.find(pool.id());
  pool.connections.close_idle();
  graveyard.bury(std::move(gone->second));
  all_pools_.erase(gone);
}

void Context::follow_listeners(const Plan& plan) {
  const std::vector<ServedListener*> before = std::move(listeners_);
  listeners_.clear();
  for (ServedListener* listener : before) listener->listed = false;
  const auto& listeners = plan.settings->listeners;
  for (size_t place = 0; place < listeners.size(); ++place) {
    const auto known = std::find_if(before.begin(), before.end(), [&](const ServedListener* listener) {
      return !listener->listed && listener->settings.address == listeners[place].address;
    });
    ServedListener* const served =
        known != before.end() ? *known
                              : all_listeners_.emplace_back(std::make_unique<ServedListener>()).get();
    served->settings = listeners[place];
    served->meter = plan.listeners[place];
    served->routes = plan.routes;
    served->place = place;
    served->listed = true;
    follow_tls(*served, plan.tls[place]);
    listeners_.push_back(served);
  }
  for (ServedListener* listener : before) {
    if (listener->listed) continue;
    for (size_t place = 0; place < plan_->settings->pools.size(); ++place)
      listener->pools.push_back(plan_->pools[place]->id);
  }
}

// What a handshake is under way with stays for as long as that.
void Context::follow_tls(ServedListener& listener, const net::SharedTlsIdentity& identity) {
  if (identity == nullptr) return listener.tls.reset();
  if (listener.tls != nullptr && &listener.tls->identity() == identity.get()) return;
  std::string error;
  if (std::shared_ptr<net::TlsServer> made = net::TlsServer::make(identity, error)) {
    listener.tls = std::move(made);
  } else {
    spdlog::error("listener {}: {}", listener.settings.name, error);
  }
}

ServedPool* Context::find_pool(size_t id) const {
  const auto found = all_pools_.find(id);
  return found == all_pools_.end() ? nullptr : found->second.get();
}

ServedPool* Context::route(const ServedListener& listener, std::string_view host,
                           std::string_view target) const {
  const size_t place = listener.routes->find(listener.place, host, target);
  if (place == routing::kNoPool) return nullptr;
  return listener.listed ? pools_[place] : find_pool(listener.pools[place]);
}

void Context::forget(const ServedListener& listener) {
  const auto gone = std::find_if(all_listeners_.begin(), all_listeners_.end(),
                                 [&](const auto& one) { return one.get() == &listener; });
  graveyard.bury(std::move(*gone));
  all_listeners_.erase(gone);
}

void Context::close_idle() {
  for (auto& [id, pool] : all_pools_) pool->connections.close_idle();
}

void Context::give_up_idle(int below) {
  for (auto& [id, pool] : all_pools_) pool->connections.give_up_idle(below);
}

Context::~Context() { permit_calls->close(); }

void Context::refused_header(const std::string& listener, const std::string& peer, const char* why) {
  burst_log_.warn(listener, why, "connection", "refused, the last from " + peer + ", " + why);
}

void Context::crowded_out(const std::string& listener) {
  burst_log_.warn(listener, "limits.handshakes", "TLS handshake",
                  "given up for newer ones, for " + std::to_string(settings().limits.handshakes) +
                      " are under way (limits.handshakes)");
}

void Context::over_limit(const ServedListener& listener, ConnectionLimit limit, const std::string& peer) {
  listener.meter->refused[static_cast<size_t>(limit)].fetch_add(1, std::memory_order_relaxed);
  const std::string key = std::string("limits.") + text(limit);
  burst_log_.warn(listener.settings.name, key, "connection",
                  "refused, the last from " + peer + " (" + key + ")");
}

void Context::abused_http2(const ServedListener& listener, http::H2Abuse abuse, const std::string& peer) {
  listener.meter->abused[static_cast<size_t>(abuse)].fetch_add(1, std::memory_order_relaxed);
  const std::string kind = text(abuse);
  burst_log_.warn(
      listener.settings.name, "http2." + kind, "connection",
      "cut, the last from " + peer +
          (abuse == http::H2Abuse::violations ? ", that broke the rules of HTTP/2"
                                              : ", that asked too much of HTTP/2 (" + kind + ")"));
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

// xoroshiro128+ (Blackman and Vigna, 2018) from a random start. Ids have to be distinct, not secret.
uint64_t Context::next_random() {
  const uint64_t value = id_state_[0] + id_state_[1];
  const uint64_t mixed = id_state_[0] ^ id_state_[1];
  id_state_[0] = (id_state_[0] << 24 | id_state_[0] >> 40) ^ mixed ^ (mixed << 16);
  id_state_[1] = mixed << 37 | mixed >> 27;
  return value;
}

// 128 bits.
std::string_view Context::new_request_id(std::string& out) {
  out.resize(32);
  char* at = out.data();
  for (int half = 0; half < 2; ++half) {
    uint64_t value = next_random();
    for (int digit = 0; digit < 16; ++digit, value >>= 4) *at++ = kHexDigits[value & 15];
  }
  return out;
}

std::string Context::new_web_socket_key() {
  const uint64_t nonce[] = {next_random(), next_random()};
  unsigned char text[2 * sizeof nonce];
  const int size = EVP_EncodeBlock(text, reinterpret_cast<const unsigned char*>(nonce), sizeof nonce);
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(size)};
}

std::string Context::new_traceparent() {
  return http::new_traceparent({next_random(), next_random(), next_random()});
}

}  // namespace limpet::proxy
