// Reports what is overseen, for the status endpoint: a snapshot, which others put into words.
#pragma once

#include <uv.h>

#include <string>
#include <vector>

#include "health/incidents.h"
#include "src/net/resolver.h"
#include "src/oversight/pools.h"
#include "src/oversight/publisher.h"
#include "src/status/report.h"

namespace limpet {

// Without what is wrong with the files, which TlsWatch adds.
status::TlsFilesReport files_of(const net::TlsIdentity& identity);

// Of the loop's thread.
class Reporter {
 public:
  // All outlive it.
  Reporter(uv_loop_t* loop, const net::Resolver& resolver, const Pools& pools, const Publisher& publisher,
           health::Incidents& incidents)
      : loop_(loop), resolver_(resolver), pools_(pools), publisher_(publisher), incidents_(incidents) {}

  // Adds listeners, pools and incidents.
  void report(status::Report& report, size_t most_incidents);
  bool ready() const;  // each pool of the settings has a backend that takes new sessions
  std::vector<status::SessionReport> find(const std::string& session) const;

 private:
  status::PoolReport report_pool(OverseenPool& pool);
  status::BackendReport report_backend(const OverseenPool& pool, routing::Slot slot) const;
  std::string doubt(const OverseenPool& pool, routing::Slot slot) const;
  status::DrainReport report_drain(const OverseenPool& pool, routing::Slot slot) const;
  void forecast_drains(OverseenPool& pool);
  uint64_t now() const { return uv_now(loop_); }
  int64_t unix_at(uint64_t then) const;
  int64_t drain_deadline(const OverseenPool& pool, routing::Slot slot) const;  // Unix seconds

  uv_loop_t* const loop_;
  const net::Resolver& resolver_;
  const Pools& pools_;
  const Publisher& publisher_;
  health::Incidents& incidents_;
};

}  // namespace limpet
