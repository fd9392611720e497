// What a failure, a drain or an order cost: one incident, and the lines that the log has of it.
#pragma once

#include <cstdint>
#include <string>

#include "health/change.h"
#include "routing/ledger.h"

namespace limpet::health {

// Times are seconds of Unix time. Counts of sessions at its beginning, and those in `books`, come with how
// many of these sessions' clients had come back at least once.
struct Incident {
  enum class Kind : uint8_t {
    outage,       // the backend went down with sessions on it
    maintenance,  // it was taken into maintenance with sessions on it
    drain,        // it began to drain
    lapse,        // sessions moved away from it for cause, though it never left service
    restart,      // it was restarted between two checks, with sessions on it: its answers say so
    gone,         // sessions came that belong to a backend that the file does not name
  };
  enum class End : uint8_t {
    open,
    settled,      // none of its sessions is at risk any more; a drain: none is left; a lapse: no more moved
    back,         // the same, and it is back in service; a drain: was called off
    deadline,     // of a drain, with `left` sessions cut
    interrupted,  // another one follows the `left`: it left service again, or drains
  };

  uint64_t id = 0;  // counts from 1
  std::string pool, backend;
  Kind kind{};
  Cause cause{};  // of the backend's state; a lapse: requests; a restart: checks
  std::string detail;
  uint32_t opened = 0;
  uint32_t back = 0;    // when it was back in service; 0: it is not, or never left
  uint32_t closed = 0;  // 0: it is open
  End end = End::open;
  //
  // At every moment at_risk + joined = what became of them (sum_of) + left.
  uint64_t at_risk = 0, at_risk_returned = 0;  // at its beginning; a drain: had; a lapse: lost or carried
  uint64_t joined = 0;                         // came later: restored from their tokens, mostly
  routing::Books books;  // what happened to them: lost, confirmed, carried, recovered, abandoned, ...
  uint64_t left = 0;     // still at risk; a drain: still there, or there at its end
  uint64_t requests_failed = 0, requests_retried = 0;  // at this backend, meanwhile

  uint64_t operator[](routing::Event event) const { return books.all[event]; }
};
// Of sessions at a home, those that are not there any more for another reason than a failure:
uint64_t ended_by_themselves(const routing::Tally&);  // expired, logged_out: the success of a drain
uint64_t gone_otherwise(const routing::Tally&);       // unbound, evicted, moved, reassigned
// All that became of an incident's sessions: these, and lost, carried, recovered and abandoned.
uint64_t sum_of(const routing::Tally&);
const char* text(Incident::Kind);
const char* text(Incident::End);

// Of an incident's life, for the log.
struct Notice {
  enum class What : uint8_t {
    opened,
    widened,  // what began as a lapse is an outage, a maintenance or a restart
    back,     // in service, with sessions that it has not answered yet
    closed,   // again where sessions joined a backend that stayed away: the last notice has the whole
  };
  What what{};
  Incident incident;  // as it was then
};
std::string text(const Notice&);  // one line, without an end of line
// Nothing went wrong: a drain, or a maintenance by order, and no session was lost to it or cut.
bool is_routine(const Notice&);

}  // namespace limpet::health
