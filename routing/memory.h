// What a pool remembers while its settings come and go.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "routing/first_contact.h"
#include "routing/learning.h"
#include "routing/permits.h"
#include "routing/rates.h"
#include "routing/session_table.h"

namespace limpet::routing {

struct Memory {
  Memory(uint64_t max_sessions, SessionTable::Timeouts timeouts) : table(max_sessions, timeouts) {}

  SessionTable table;
  McpPaths mcp_paths;
  FirstContacts first_contacts;
  const std::shared_ptr<Permits> permits = std::make_shared<Permits>();
  std::shared_ptr<Rates> rates;                // of whoever makes routers; nullptr: there is no rate
  std::atomic<uint64_t> unverified_tokens{0};  // cookies of the pool's name that its keys did not seal
  std::atomic<uint64_t> guesses_missed{
      0};                          // an unknown id was routed by hash or token, and the answer set another
  std::atomic<uint32_t> began{0};  // when the first request came, Unix seconds; 0: none has
};

}  // namespace limpet::routing
