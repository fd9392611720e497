// The pools that are overseen: those that the settings name, in their order; then those that left them and of
// which anything is left, the latest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/oversight/pool.h"
#include "src/secrets.h"

namespace limpet {

class Pools {
 public:
  using Changes = std::vector<std::pair<OverseenPool*, std::vector<health::SlotChange>>>;

  // `secrets` outlives it.
  Pools(const Secrets& secrets, size_t workers) : secrets_(secrets), workers_(workers) {}

  const std::vector<std::unique_ptr<OverseenPool>>& all() const { return pools_; }
  std::vector<OverseenPool*> latest() const;          // of several with one name, the first
  OverseenPool* find(const std::string& name) const;  // the same; nullptr: there is none
  OverseenPool* find(size_t id) const;                // nullptr: it is gone

  // Why these settings cannot be put in force now; empty: they can.
  std::string refusal(const conf::Settings& settings) const;
  // Puts them in force, with whom connections trust, by pool. `now` in milliseconds of the loop's clock.
  Changes adopt(const std::shared_ptr<const conf::Settings>& settings,
                std::vector<net::SharedTlsTrust> trusts, uint64_t now);

  std::unique_ptr<OverseenPool> take_over();  // one that is over; nullptr: there is none

 private:
  std::unordered_map<std::string_view, size_t> places_by_name() const;
  std::unique_ptr<OverseenPool> make(const conf::Pool& settings);

  const Secrets& secrets_;
  const size_t workers_;
  std::vector<std::unique_ptr<OverseenPool>> pools_;
  std::unordered_map<size_t, OverseenPool*> by_id_;
  size_t last_id_ = 0;
};

}  // namespace limpet
