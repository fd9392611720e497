// A small world round a router: servers that keep sessions in memory, clients that know what they were told
// last, requests that overlap, an operator. It keeps books of its own, from what clients see alone, that the
// router's ledger is held against.
//
// What a client knows of a session is where it was answered last, and the version of its data there: a
// server gives the data a new version with each answer, and tells which one it found. A client is logged out
// by a change of backend when another backend than the last one answers, and has not got that version. An
// answer to a request that left before the client was answered elsewhere tells it nothing, unless it is from
// where its requests go by now.
//
// A session that the ledger ended for another reason (it idled out, was evicted, deleted or unbound) and one
// that an operator moved begin anew for their client too: nothing is held against the router for them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "routing/memory.h"
#include "routing/router.h"
#include "tests/routing/balance.h"
#include "tests/routing/clients.h"
#include "tests/routing/random_inputs.h"

namespace limpet::routing::test {

// What the world may do, beside what the pool says.
struct Rules {
  bool forgets_former_ids = false;  // the application, once it has changed an id
  bool waits = false;               // requests are patient
};

class World {
 public:
  World(const conf::Pool& pool, Rules rules, uint64_t seed)
      : pool_(pool),
        rules_(rules),
        inputs_(seed),
        memory_(Router::new_memory(pool)),
        fleet_(Fleet::from(pool)),
        servers_(pool.backends.size()) {
    reload();
    for (size_t i = 0; i < kClients; ++i) {
      clients_.emplace_back().address = "10.0.0." + std::to_string(i);
      if (tracks(conf::AffinityKind::ip)) clients_.back().session = add_session(address_key(clients_.back()));
    }
  }

  // One thing happens, whatever it is.
  void step();
  // Whatever holds after every step, and what takes longer to see.
  void check();
  void check_fully();
  // All requests end, all sessions idle out.
  void wind_up();

  // What clients saw.
  struct Seen {
    uint64_t logouts = 0;    // by a change of backend
    uint64_t moves = 0;      // to another backend, with the data that they knew
    uint64_t to_backup = 0;  // of both: to the backup of the backend that had been home
    uint64_t confirmed = 0;  // of the logouts: told by a new id
    uint64_t restarts = 0;   // of the logouts: by the backend that had been home
    uint64_t guesses_missed = 0;
    uint64_t returns = 0;  // a client came back to its session for the first time
    uint64_t answers = 0;
    uint64_t late = 0;     // answers that counted, from where the session's requests no longer went
    uint64_t ignored = 0;  // answers that others had overtaken
  };
  const Seen& seen() const { return seen_; }
  Census census() { return table().census(); }

 private:
  static constexpr size_t kClients = 40, kNone = SIZE_MAX, kMostFlights = 30, kMostBackends = 10;

  struct Server {
    bool alive = true;
    std::map<size_t, uint64_t> versions;  // of the data that it has, by session
  };
  struct Session {
    uint64_t key = 0;
    std::string id;      // session-id: by which the application knows it now
    bool known = false;  // to its client: it was answered, and goes on
    bool live = true;    // in the table, as far as was seen
    Slot at = kNoSlot;   // where it was answered last
    uint64_t version = 0;
    Slot data_home() const { return known ? at : kNoSlot; }
  };
  struct Client {
    std::string address;
    std::string token;  // the pool's cookie, as it is sent
    std::string id;
    size_t session = kNone;
  };
  enum class Wish : uint8_t { view, login, logout };
  struct Flight {
    size_t client = kNone;
    size_t session = kNone;
    Said said;
    std::string id;
    std::string target = "/";
    Wish wish = Wish::view;
    Identity identity;
    Tried tried;
    Choice choice;
    Slot from = kNoSlot;   // the session's data home when the choice was made
    bool doubted = false;  // nothing shows that the session has data
    bool tells = false;  // its answer is the first to a question since the session's home was out of service
  };
  struct Words {  // what the application answers
    std::string sets;
    std::string new_id;  // in it; else it deletes
  };

  // What may happen.
  void send();
  void answer();
  void attempt_fails();
  void give_up();
  void change_a_state();
  void kill_or_restart();
  void time_passes();
  void operate();
  void add_backend();
  void reload();

  // Requests.
  Flight take(size_t at);
  void choose(Flight& flight);
  void believe(size_t session, Slot home);
  void depart(Flight flight);
  void drop(size_t at);
  Words words_of(Slot server, const Flight& flight);
  void learn(const Flight& flight, Slot server, const Words& words, Slot home);
  void learn_of_new_session(const Flight& flight, Slot server, const Words& words, bool renewed,
                            const std::optional<std::string>& token);

  // Sessions.
  size_t add_session(uint64_t key);
  size_t live_session(uint64_t key) const;
  size_t session_of(uint64_t key) const;
  void end(size_t session);
  void forget(size_t session);  // its client begins anew
  void see_endings();
  uint64_t versions_found(Slot server, size_t session);
  void write(Slot server, size_t session, uint64_t version);

  bool tracks(conf::AffinityKind kind) const { return pool_.affinity.front() == kind; }
  bool data_moves() const {
    return pool_.storage == conf::Storage::shared || pool_.storage == conf::Storage::replicated;
  }
  Slot any_slot() { return static_cast<Slot>(inputs_.below(fleet_.backends.size())); }
  SessionTable& table() { return memory_->table; }
  Homes& homes() { return memory_->table.homes(); }
  bool is_live(uint64_t key) { return table().find(key, now_).home != kNoSlot; }
  uint64_t address_key(const Client& client) { return key_of({.client = client.address}); }
  uint64_t key_of(const Said& said) {
    const Stage::Fields fields(said);
    return router_->identify(fields.request, fleet_, now_).key;
  }
  static uint64_t ended_otherwise(const Census& census) {
    return census.books.all.ended() - census.books.all[Event::lost];
  }

  conf::Pool pool_;
  const Rules rules_;
  Inputs inputs_;
  const std::shared_ptr<Memory> memory_;
  std::unique_ptr<Router> router_;
  Fleet fleet_;
  std::vector<Server> servers_;
  std::map<size_t, uint64_t> store_;  // versions, where they are kept outside
  std::vector<Client> clients_;
  std::vector<Session> sessions_;         // all that ever were
  std::vector<size_t> live_;              // of these
  std::map<uint64_t, uint64_t> aliases_;  // former keys of those that were renewed
  std::vector<Flight> flights_;
  uint32_t now_ = kNow;
  uint64_t last_version_ = 0, last_id_ = 0, endings_ = 0;
  Seen seen_;
};

}  // namespace limpet::routing::test
