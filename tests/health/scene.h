// Backends as homes in a real session table, and the incidents that follow them: what the main loop does, by
// hand.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "health/incidents.h"
#include "routing/session_table.h"

namespace limpet::health::test {

class Scene {
 public:
  static constexpr Slot kBackends = 3;
  static constexpr uint32_t kStart = 1'700'000'000;
  enum class Cost : uint8_t { lost, carried, moved };
  using Asked = routing::SessionTable::Asked;

  // Sessions `first`..`first + count - 1`, at `home`, whose clients have come back if `returned`.
  void open(uint64_t first, uint64_t count, Slot home, bool returned = true) {
    for (uint64_t key = first; key < first + count; ++key) {
      table.open(key, home, now, routing::SessionTable::Room::none, routing::SessionTable::Begun::by_answer);
      if (returned) table.find_and_touch(key, now);
    }
  }
  void depart(uint64_t key, Slot from, Slot to) {
    table.homes().reserve(to, 0);
    if (!table.move(key, from, to, now).added) table.homes().release(to);
  }
  void pin(uint64_t key, Slot to) {
    table.homes().reserve(to, 0);
    if (!table.rehome(key, to, now).added) table.homes().release(to);
  }
  // To a request that left when the session's data was at `from`.
  void answer(uint64_t key, Slot slot, Slot from, Cost cost = Cost::lost, bool new_id = false,
              Asked asked = Asked::to_read) {
    using Word = routing::SessionTable::Word;
    const auto storage = cost == Cost::lost ? conf::Storage::local : conf::Storage::shared;
    table.answered(key, slot, from, now, new_id ? Word::new_id : Word::none, asked,
                   {storage, routing::Fleet{}});
  }
  void move(uint64_t key, Slot from, Slot to, Cost cost = Cost::lost, bool new_id = false) {
    if (cost == Cost::moved) return pin(key, to);
    depart(key, from, to);
    answer(key, to, from, cost, new_id);
  }
  void requests(Slot slot, uint64_t answered, uint64_t failed, uint64_t retried) {
    extra[slot].requests_answered = answered;
    extra[slot].requests_failed = failed;
    extra[slot].requests_retried = retried;
  }
  void log_out(uint64_t key) { table.log_out(key, table.find(key, now).booked_at, now); }

  void change(Slot slot, BackendState to, Cause cause = Cause::checks,
              const std::string& detail = "connection refused") {
    const Change change{states[slot], to, cause, detail};
    states[slot] = to;
    table.homes().set_in_service(slot, in_service(to));
    note(incidents.changed(where(slot), change, standing(slot), now));
  }
  void restart(Slot slot) {
    table.homes().put_at_risk(slot);
    note(incidents.restarted(where(slot), "instance_header X has a new value", standing(slot), now));
  }
  void tick(uint32_t seconds = 1) {
    now += seconds;
    for (size_t i = 0; i < routing::SessionTable::kSweeps; ++i) table.sweep(now);
    for (Slot slot = 0; slot < kBackends; ++slot) note(incidents.tick(where(slot), standing(slot), now));
  }

  void forget(Slot slot) { incidents.forget(where(slot), now); }
  void refresh(Slot slot) { incidents.refresh(where(slot), standing(slot), now); }

  uint64_t lost() const {
    uint64_t sum = 0;
    for (const Losses& losses : incidents.losses()) sum += losses.lost;
    return sum;
  }
  uint64_t lost(Incident::Kind kind, Cause cause) const {
    uint64_t sum = 0;
    for (const Losses& losses : incidents.losses())
      sum += losses.kind == kind && losses.cause == cause ? losses.lost : 0;
    return sum;
  }

  const Incident& last() const { return incidents.recent().back(); }
  size_t count() const { return incidents.recent().size(); }

  uint32_t now = kStart;
  routing::SessionTable table{100'000, {.idle = 600, .unreturned = 60}};
  std::array<BackendState, kBackends> states{};
  std::array<Standing, kBackends> extra{};  // what is not in the table
  Incidents incidents;
  std::vector<std::string> lines;  // of the log

 private:
  Incidents::Where where(Slot slot) const {
    constexpr const char* kNames[] = {"a", "b", "c"};
    return {0, "shop", slot, kNames[slot]};
  }
  Standing standing(Slot slot) const {
    Standing standing = extra[slot];
    standing.census = table.homes().census(slot);
    return standing;
  }
  void note(const std::vector<Notice>& notices) {
    for (const Notice& notice : notices) lines.push_back(text(notice));
  }
};

}  // namespace limpet::health::test
