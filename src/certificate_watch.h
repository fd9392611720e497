// Looks every few seconds whether the files of certificates have changed, and has what is new shown. Files
// are read on a thread of libuv's pool: a disk that does not answer holds nobody up.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "src/identities.h"
#include "src/status/report.h"

namespace limpet {

// Of the main thread.
class CertificateWatch {
 public:
  static constexpr uint64_t kEvery = 3000;  // milliseconds

  // What the listeners are to show from now on.
  using Show = std::function<void(std::vector<net::SharedTlsIdentity>)>;

  // `secrets` outlives the loop.
  CertificateWatch(uv_loop_t* loop, const Secrets& secrets, Show show);
  ~CertificateWatch();
  void start();
  void close();  // before the loop ends

  // Those of these settings, which are in force, and what they came to.
  void watch(std::shared_ptr<const conf::Settings> settings, Identities identities);

  void report(std::vector<status::ListenerReport>& listeners) const;  // what is wrong with files

 private:
  struct Look;

  void look();
  void take(Identities found);
  void tell(const CertificateFiles& before) const;

  uv_loop_t* const loop_;
  const Secrets& secrets_;
  const Show show_;
  std::shared_ptr<const conf::Settings> settings_;
  Identities identities_;
  Look* under_way_ = nullptr;  // nullptr: none, or one that is not waited for any more
  uv_timer_t timer_;
};

}  // namespace limpet
