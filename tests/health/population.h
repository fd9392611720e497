// Simulated users of a pool, on virtual time against a real session table: what it counts of them is what a
// forecast gets to see, and what they do after it is what the forecast is held against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <random>
#include <vector>

#include "health/forecast.h"
#include "routing/session_table.h"

namespace limpet::health::test {

struct Habits {
  double users_an_hour = 1000;
  double visits = 10;               // mean, geometric
  double pause = 60, spread = 1.3;  // seconds: median of a log-normal, and its sigma
  double variety = 0;               // sigma of each user's own median
  double crawlers = 0.2;            // share that never comes back
  double log_outs = 0.1;            // share that logs out after the last visit
  double pollers = 0.03;            // share that comes every `poll_every` seconds, mean `poll_for`
  uint32_t poll_every = 30, poll_for = 3600;
};

class Population {
 public:
  static constexpr uint32_t kStart = 1'700'000'000, kIdle = 1800, kUnreturned = 60;
  static constexpr routing::Slot kHomes = 3, kDraining = 0;

  Population(const Habits& habits, uint64_t seed) : habits_(habits), random_(seed) { arrive(); }

  void run_until(uint32_t time) {
    while (now < time) {
      now += kStep;
      while (!events_.empty() && events_.top().at <= now) {
        const Event event = events_.top();
        events_.pop();
        act(event);
      }
      table.sweep(now);
    }
  }
  // From now on nobody new comes to the draining home, and nobody's doings elsewhere matter.
  void begin_drain() {
    draining_ = true;
    std::vector<Event> here;
    for (; !events_.empty(); events_.pop()) {
      if (events_.top().user != kArrival && users_[events_.top().user].home == kDraining)
        here.push_back(events_.top());
    }
    for (const Event& event : here) events_.push(event);
  }

  std::vector<routing::SessionView> sessions() const { return table.sessions_at(kDraining); }
  uint32_t live() const { return table.homes().live(kDraining); }
  Forecast forecast(uint32_t deadline) const {
    return health::forecast(History::from(table.census(), table.pauses()), sessions(),
                            {now, now + deadline, kIdle, kUnreturned});
  }

  uint32_t now = kStart;
  routing::SessionTable table{20'000, {.idle = kIdle, .unreturned = kUnreturned}};

 private:
  static constexpr uint32_t kStep = 1;
  static constexpr size_t kArrival = SIZE_MAX;
  struct Event {
    uint32_t at;
    size_t user;
    bool operator<(const Event& other) const { return at > other.at; }
  };
  struct User {
    uint64_t key;
    routing::Slot home;
    uint32_t visits_left;
    double pause;
    bool polls, logs_out;
    uint32_t polls_until;
  };

  bool chance(double share) { return std::bernoulli_distribution(share)(random_); }

  void arrive() {
    const double gap = std::exponential_distribution(habits_.users_an_hour / 3600)(random_);
    arrives_at_ += gap;
    events_.push({kStart + static_cast<uint32_t>(arrives_at_), kArrival});
  }
  void begin() {
    arrive();
    const bool polls = chance(habits_.pollers);
    const double own = std::lognormal_distribution(std::log(habits_.pause), habits_.variety)(random_);
    const auto visits = chance(habits_.crawlers)
                            ? 0u
                            : 1 + std::geometric_distribution<uint32_t>(1 / habits_.visits)(random_);
    const size_t user = users_.size();
    users_.push_back(
        {user, static_cast<routing::Slot>(user % kHomes), visits, own, polls, chance(habits_.log_outs),
         now + static_cast<uint32_t>(std::exponential_distribution(1.0 / habits_.poll_for)(random_))});
    table.open(user, users_[user].home, now, routing::SessionTable::Room::none,
               routing::SessionTable::Begun::by_answer);
    // A page is more than one request: who keeps the cookie has returned at once.
    if (visits > 0 || polls) table.find_and_touch(user, now);
    plan(user);
  }
  void act(const Event& event) {
    if (event.user == kArrival) return begin();
    User& user = users_[event.user];
    if (table.find_and_touch(user.key, now).home == routing::kNoSlot) {
      // It has expired: who comes back after so long is somebody new, and goes where new ones go.
      if (draining_) return;
      table.open(user.key, user.home, now, routing::SessionTable::Room::none,
                 routing::SessionTable::Begun::by_answer);
      table.find_and_touch(user.key, now);
    }
    plan(event.user);
  }
  void plan(size_t number) {
    User& user = users_[number];
    if (user.polls) {
      if (now < user.polls_until) events_.push({now + habits_.poll_every, number});
      return;
    }
    if (user.visits_left == 0) return;
    if (--user.visits_left == 0) {
      if (user.logs_out) table.log_out(user.key, table.find(user.key, now).home, now);
      return;
    }
    const double pause = std::lognormal_distribution(std::log(user.pause), habits_.spread)(random_);
    events_.push({now + std::max(1u, static_cast<uint32_t>(pause)), number});
  }

  const Habits habits_;
  std::mt19937_64 random_;
  double arrives_at_ = 0;
  bool draining_ = false;
  std::priority_queue<Event> events_;
  std::vector<User> users_;
};

}  // namespace limpet::health::test
