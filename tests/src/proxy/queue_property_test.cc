// Backends with few places and sessions with many requests, at random: nobody leaves its home, nobody is
// refused before its time, and no place is left empty while somebody waits for it.
#include <map>
#include <optional>

#include "routing/random.h"
#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::queue_property_test {

using namespace limpet::test;

constexpr net::Millis kQueueTimeout = 2000;

conf::Settings busy_settings(routing::Random& random) {
  conf::Settings settings = settings_of(3, {Kind::session_id});
  settings.pools[0].queue_timeout = conf::Duration(kQueueTimeout);
  for (conf::Backend& backend : settings.pools[0].backends)
    backend.max_connections = static_cast<uint32_t>(1 + random.below(3));
  return settings;
}

// Users with a session each, on a connection each.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed), proxy_(busy_settings(random_)) {
    proxy_.context().permit_calls->open([this] { rung_ = true; });
    for (size_t number = 0; number < 12; ++number) log_in(number);
  }

  void step() {
    User& user = users_[random_.below(users_.size())];
    switch (random_.below(5)) {
      case 0:
      case 1:
        if (!user.asked_at) ask(user);
        break;
      case 2:
        if (FakeStream* const backend = one_at_work()) answer(*backend);
        break;
      case 3:
        proxy_.net.pass(random_.below(400));
        break;
      default:
        if (user.asked_at && random_.below(4) == 0) leave(user);
    }
    deliver();
    look();
  }

 private:
  struct User {
    std::string id;
    uint16_t home = 0;  // a port
    FakeStream* client = nullptr;
    std::optional<net::Millis> asked_at;
  };

  void log_in(size_t number) {
    User& user = users_.emplace_back();
    user.id = "user-" + std::to_string(number);
    user.client = &proxy_.client();
    user.client->sends("GET /login HTTP/1.1\r\nHost: a\r\n\r\n");
    connect_all();
    FakeStream* const backend = one_at_work();
    REQUIRE(backend != nullptr);
    backend->sends("HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=" + user.id +
                   "\r\nContent-Length: 2\r\n\r\nok");
    user.home = backend->address()->port;
    take_in(user);
  }

  void ask(User& user) {
    if (!user.client->open() || user.client->finished()) user.client = &proxy_.client();
    user.asked_at = proxy_.net.now();
    user.client->received.clear();
    user.client->sends("GET /" + user.id + " HTTP/1.1\r\nHost: a\r\nCookie: JSESSIONID=" + user.id +
                       "\r\n\r\n");
  }
  void leave(User& user) {
    user.client->sends_abort();
    user.asked_at.reset();
    user.client = &proxy_.client();
  }
  void answer(FakeStream& backend) { backend.sends(kOk); }

  void connect_all() {
    for (size_t i = 0; i < proxy_.net.dials(); ++i)
      if (proxy_.net.dialed(i).connecting()) proxy_.net.dialed(i).connect();
  }
  void deliver() {
    do {
      rung_ = false;
      proxy_.context().permit_calls->deliver();
      proxy_.net.event_over();
      connect_all();
    } while (rung_);
  }

  static size_t asked_of(const FakeStream& backend) { return count(backend.received, "\r\n\r\n"); }
  size_t at_work(uint16_t port) {
    size_t found = 0;
    each_open([&](FakeStream& backend) { found += backend.address()->port == port && is_at_work(backend); });
    return found;
  }
  bool is_at_work(const FakeStream& backend) const { return asked_of(backend) > count_answers(backend); }
  // As many answers were read as requests had come, but for one under way.
  size_t count_answers(const FakeStream& backend) const {
    const auto found = answers_.find(&backend);
    return found == answers_.end() ? 0 : found->second;
  }
  FakeStream* one_at_work() {
    std::vector<FakeStream*> busy;
    each_open([&](FakeStream& backend) {
      if (is_at_work(backend)) busy.push_back(&backend);
    });
    if (busy.empty()) return nullptr;
    FakeStream* const one = busy[random_.below(busy.size())];
    ++answers_[one];
    return one;
  }
  template <class Use>
  void each_open(Use&& use) {
    for (size_t i = 0; i < proxy_.net.dials(); ++i)
      if (proxy_.net.dialed(i).open()) use(proxy_.net.dialed(i));
  }

  void take_in(User& user) {
    if (!contains(user.client->received, "\r\n\r\n")) return;
    if (contains(user.client->received, "HTTP/1.1 503")) {
      CHECK(proxy_.net.now() - *user.asked_at >= kQueueTimeout);
      ++refused;
    } else {
      CHECK(contains(user.client->received, "HTTP/1.1 200"));
      ++served;
    }
    user.client->received.clear();
    user.asked_at.reset();
  }

  void look() {
    for (User& user : users_) {
      if (user.asked_at) take_in(user);
      each_open([&](FakeStream& backend) {
        if (contains(backend.received, "GET /" + user.id + " ")) CHECK(backend.address()->port == user.home);
      });
    }
    const routing::Fleet& fleet = proxy_.context().pool(0).fleet();
    for (size_t i = 0; i < fleet.backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      const routing::Permits& permits = proxy_.context().pool(0).permits();
      const uint32_t most = fleet.backends[i].max_connections;
      CHECK(at_work(fleet.backends[i].address.port) <= most);
      CHECK(permits.taken(slot) <= most);
      if (permits.waiting(slot) != 0) CHECK(permits.taken(slot) == most);
    }
  }

  routing::Random random_;
  bool rung_ = false;
  Proxy proxy_;
  std::vector<User> users_;
  std::map<const FakeStream*, size_t> answers_;

 public:
  size_t served = 0, refused = 0;
};

TEST_CASE("whatever happens in queues, sessions stay at home, and nobody is refused before queue_timeout") {
  size_t served = 0, refused = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    World world(seed);
    for (int i = 0; i < 400; ++i) world.step();
    served += world.served;
    refused += world.refused;
  }
  CHECK(served > 1000);
  CHECK(refused > 100);
}

}  // namespace limpet::proxy::queue_property_test
