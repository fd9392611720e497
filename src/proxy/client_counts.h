// How many connections each client has at a listener, over all workers, and how fast it opens them.
//
// A client is counted only where there is such a limit when it comes. Bounded: by the connections that there
// are, with some 50 bytes for each client that has any; and by what Rates takes, from when that is asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "conf/settings.h"
#include "routing/hash.h"
#include "routing/rates.h"
#include "src/proxy/meters.h"

namespace limpet::proxy {

// Thread-safe.
class ClientCounts {
 public:
  ClientCounts();

  uint64_t key_of(const conf::IpAddress& client) const;  // what it is counted by

  // It opens a connection: the limit that this would break, and nothing is counted; or none.
  std::optional<ConnectionLimit> add(uint64_t client, const conf::ListenerLimits& limits, uint64_t now_us);
  void remove(uint64_t client);  // the end of one that was added under connections_per_client

  size_t clients() const;  // that have connections

 private:
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<uint64_t, uint32_t> connections;  // none is 0
  };

  Shard& shard_of(uint64_t client) { return shards_[client % shards_.size()]; }
  routing::Rates& rates();

  const routing::KeyedHash hash_;
  std::array<Shard, 16> shards_;
  std::once_flag rates_made_;
  std::unique_ptr<routing::Rates> rates_;  // nullptr: nobody has asked for it
};

}  // namespace limpet::proxy
