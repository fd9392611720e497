// Calls the exchanges of one worker that wait for a place at a backend, which other workers' requests give
// back.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "routing/permits.h"

namespace limpet::proxy {

// The owner of what waits is its Exchange.
class PermitCalls final : public routing::Waiting::Listener {
 public:
  // `ring`, which may come from any thread, is to bring about deliver() on the worker's; once until then.
  void open(std::function<void()> ring);
  void close();  // nobody waits any more, and `ring` is not called again

  void on_called(routing::WaitingPtr waiting) override;
  void deliver();

 private:
  std::mutex mutex_;
  std::function<void()> ring_;  // this and the next are guarded by it
  std::vector<routing::WaitingPtr> called_;
};

}  // namespace limpet::proxy
