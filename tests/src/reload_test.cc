#include "src/reload.h"

#include <doctest/doctest.h>

namespace limpet::reload_test {

using Keys = std::vector<std::string>;

void listen(conf::Settings& settings, const std::string& name, uint16_t port) {
  conf::Listener& listener = settings.listeners.emplace_back();
  listener.name = name;
  listener.address = {conf::Address::Kind::ip, "127.0.0.1", port};
}

conf::Settings settings() {
  conf::Settings made;
  listen(made, "main", 8080);
  conf::Pool pool;
  pool.name = "shop";
  pool.affinity = {conf::AffinityKind::cookie, conf::AffinityKind::ip};
  pool.backends.emplace_back().name = "app-1";
  made.pools.push_back(pool);
  return made;
}

template <class Change>
Keys refused(Change&& change) {
  conf::Settings next = settings();
  change(next);
  return needs_restart(settings(), next);
}

template <class Change>
Keys refused_of_pool(Change&& change) {
  return refused([&](conf::Settings& next) { change(next.pools[0]); });
}

TEST_CASE("what only the start reads takes a restart") {
  CHECK(refused([](conf::Settings& it) { it.workers = 7; }) == Keys{"workers"});
  CHECK(refused([](conf::Settings& it) { it.user = "limpet"; }) == Keys{"user"});
  CHECK(refused([](conf::Settings& it) { it.secrets.key_file = "other.keys"; }) == Keys{"secrets"});
  CHECK(refused([](conf::Settings& it) { it.status.address.reset(); }) == Keys{"status.address"});
  CHECK(refused([](conf::Settings& it) { it.log.access = "off"; }) == Keys{"log.access"});
  CHECK(refused([](conf::Settings& it) { it.log.access_format = conf::AccessFormat::combined; }) ==
        Keys{"log.access_format"});
}

TEST_CASE("every key that takes a restart is named") {
  const Keys keys = refused([](conf::Settings& it) {
    it.workers = 7;
    it.pools[0].ip.mask_v4 = 24;
    it.pools[0].cookie.name = "home";
  });
  CHECK(keys == Keys{"workers", "pool shop: ip.mask_v4", "pool shop: cookie.name"});
}

TEST_CASE("what would make the keys of known sessions others takes a restart") {
  CHECK(refused_of_pool([](conf::Pool& it) { it.affinity = {conf::AffinityKind::ip}; }) ==
        Keys{"pool shop: affinity"});
  CHECK(refused_of_pool([](conf::Pool& it) { it.ip.mask_v6 = 48; }) == Keys{"pool shop: ip.mask_v6"});
  CHECK(refused_of_pool([](conf::Pool& it) { it.cookie.name = "home"; }) == Keys{"pool shop: cookie.name"});
}

TEST_CASE("where session ids are found may be added to, after what there is") {
  using Source = conf::SessionIdSource;
  const Source cookie = {Source::Place::cookie, "SID"}, header = {Source::Place::header, "X-Session"};
  conf::Settings now = settings();
  now.pools[0].affinity = {conf::AffinityKind::session_id};
  now.pools[0].session_id.sources = {cookie};
  const auto refused_with = [&](std::vector<Source> sources) {
    conf::Settings next = now;
    next.pools[0].session_id.sources = std::move(sources);
    return needs_restart(now, next);
  };
  CHECK(refused_with({cookie, header}).empty());
  CHECK(refused_with({header, cookie}) == Keys{"pool shop: session_id.sources"});
  CHECK(refused_with({header}) == Keys{"pool shop: session_id.sources"});
}

TEST_CASE("a cookie's name that is said is no change where it is the one that it had anyway") {
  CHECK(refused_of_pool([](conf::Pool& it) { it.cookie.name = "limpet_shop"; }).empty());
}

TEST_CASE("what makes keys of a kind that the pool does not use may change") {
  conf::Settings now = settings();
  now.pools[0].affinity = {conf::AffinityKind::session_id};
  conf::Settings next = now;
  next.pools[0].ip.mask_v4 = 24;
  next.pools[0].cookie.name = "home";
  CHECK(needs_restart(now, next).empty());
}

TEST_CASE("listeners, pools and all that does not make keys may come, go and change") {
  CHECK(refused([](conf::Settings& it) {
          it.listeners[0].name = "other";
          it.listeners[0].address.port = 8081;
          listen(it, "more", 8082);
          it.pools[0].storage = conf::Storage::shared;
          it.pools[0].cookie.path = "/shop";
          it.pools[0].backends.emplace_back().name = "app-2";
          it.pools.emplace_back().name = "other";
          it.log.level = conf::LogLevel::debug;
        }).empty());
  CHECK(refused([](conf::Settings& it) { it.pools.clear(); }).empty());
}

TEST_CASE("what the status endpoint shows by TLS and its token take none, and its address does") {
  const auto show = [](conf::Settings& it) { it.status.tls.certificates = {{"s.pem", ""}}; };
  CHECK(refused(show) == Keys{});
  CHECK(refused([](conf::Settings& it) { it.status.token = "fedcba9876543210"; }) == Keys{});
  CHECK(refused([](conf::Settings& it) { it.status.token_file = "other"; }) == Keys{});
  CHECK(refused([&](conf::Settings& it) {
          show(it);
          it.status.address->port = 1;
        }) == Keys{"status.address"});
}

}  // namespace limpet::reload_test
