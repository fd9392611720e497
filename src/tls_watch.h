// Looks every few seconds whether the files of certificates and authorities have changed, and has what is new
// used. Files are read on a thread of libuv's pool: a disk that does not answer holds nobody up.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "src/identities.h"
#include "src/status/report.h"

namespace limpet {

// Of the main thread.
class TlsWatch {
 public:
  static constexpr uint64_t kEvery = 3000;  // milliseconds

  // What is to be shown and trusted from now on.
  using Use = std::function<void(const Identities&)>;

  // `secrets` outlives the loop.
  TlsWatch(uv_loop_t* loop, const Secrets& secrets, Use use);
  ~TlsWatch();
  void start();
  void close();  // before the loop ends

  // Those of these settings, which are in force, and what they came to.
  void watch(std::shared_ptr<const conf::Settings> settings, Identities identities);

  const Identities& used() const { return identities_; }
  void report(status::Report& report) const;  // what is wrong with files

 private:
  struct Look;

  void look();
  void take(Identities found);
  void tell(const TlsFiles& before) const;

  uv_loop_t* const loop_;
  const Secrets& secrets_;
  const Use use_;
  std::shared_ptr<const conf::Settings> settings_;
  Identities identities_;
  Look* under_way_ = nullptr;  // nullptr: none, or one that is not waited for any more
  uv_timer_t timer_;
};

}  // namespace limpet
