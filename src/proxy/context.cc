#include "src/proxy/context.h"

#include <openssl/rand.h>

#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {
constexpr size_t kMostSpare = 256;      // exchanges kept for the next requests
constexpr net::Millis kLogDelay = 200;  // a line of the access log waits this long for others
}  // namespace

Context::Context(const conf::Settings& its_settings, const routing::Routes& its_routes,
                 const std::vector<std::unique_ptr<routing::Router>>& routers, net::Deadlines& its_deadlines,
                 net::Graveyard& its_graveyard, Dialer& dialer, Clock& its_clock,
                 AccessLogBuffer* its_access_log)
    : settings(its_settings),
      routes(its_routes),
      deadlines(its_deadlines),
      graveyard(its_graveyard),
      clock(its_clock),
      access_log_(its_access_log),
      log_flush_(its_deadlines, *this) {
  for (size_t i = 0; i < settings.pools.size(); ++i) {
    pools.push_back(
        std::make_unique<ServedPool>(settings.pools[i], *routers[i], deadlines, graveyard, dialer));
  }
  RAND_bytes(reinterpret_cast<unsigned char*>(id_state_), sizeof id_state_);
}

Context::~Context() = default;

std::unique_ptr<Exchange> Context::new_exchange() {
  if (spare_.empty()) return std::make_unique<Exchange>(*this);
  std::unique_ptr<Exchange> used = std::move(spare_.back());
  spare_.pop_back();
  return used;
}

void Context::recycle(std::unique_ptr<Exchange> ended) {
  if (spare_.size() < kMostSpare) {
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
