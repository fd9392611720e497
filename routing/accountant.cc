#include "routing/accountant.h"

#include <algorithm>
#include <array>

#include "routing/affinity_key.h"
#include "routing/learning.h"

namespace limpet::routing {
namespace {

using Kind = conf::AffinityKind;
using Room = SessionTable::Room;
using Word = SessionTable::Word;

// False: it has no home that the fleet has.
bool name(Token& token, const SessionTable::Binding& binding, const Fleet& fleet) {
  if (binding.home >= fleet.backends.size()) return false;
  token.backend = fleet.backends[binding.home].id;
  token.choice = binding.choice;
  return true;
}

// Of an answer that says nothing of ids.
Word silence(const ResponseView& response) { return response.status == 401 ? Word::refusal : Word::none; }

Cost::Silence silence_of(const conf::Pool& pool) {
  using enum Cost::Silence;
  if (pool.affinity.front() == Kind::session_id)
    return pool.session_id.adopts_ids ? is_adopted : leaves_unproven;
  return pool.evidence.empty() ? is_session : leaves_doubtful;
}

}  // namespace

struct Accountant::Answer {
  const Identity& identity;
  const Choice& choice;
  const Fleet& fleet;
  const Now now;
  const SessionTable::Asked asked;
  Room room;  // what choose() reserved at choice.slot, until a session uses it

  uint64_t set_id = 0;  // the key of the last id that the answer sets, or 0

  // The table knew the session, and the answer comes from what was its home.
  bool is_from_home() const { return choice.known; }
  // The answer tells something of the session's data.
  bool is_telling() const { return is_from_elsewhere() || choice.open_question; }
  // The session's data was not there when the request left.
  bool is_from_elsewhere() const { return identity.tracked && choice.data_home != choice.slot; }
  // The key of the id that its client has from now on, as far as it shows; 0: none.
  uint64_t id() const {
    if (set_id != 0) return set_id;
    return (choice.known || choice.ghost) && identity.kind == Kind::session_id ? identity.key : 0;
  }
  bool was_guess() const {
    return identity.tracked && identity.kind == Kind::session_id && !choice.known &&
           (choice.reason == Reason::hash || choice.reason == Reason::token);
  }
};

Accountant::Accountant(const conf::Pool& pool, const Identifier& identifier, Memory& memory, uint64_t seed)
    : tracked_(pool.affinity.front()),
      storage_(pool.storage),
      silence_(silence_of(pool)),
      evidence_{.sources = pool.evidence},
      session_id_(pool.session_id),
      identifier_(identifier),
      memory_(memory),
      table_(memory.table),
      session_numbers_(seed) {}

Outcome Accountant::account(const Identity& identity, const Choice& choice, const Fleet& fleet,
                            const RequestView& request, const ResponseView& response, Now now) {
  // A 404 has changed nothing: what an MCP client posts to a session that is no more.
  const bool did_nothing = response.status == 404 && request.method != "DELETE";
  const bool reads = request.method == "GET" || request.method == "HEAD" || did_nothing;
  Answer answer{identity,
                choice,
                fleet,
                now,
                reads ? SessionTable::Asked::to_read : SessionTable::Asked::to_change,
                choice.reserved ? Room::reserved : Room::none};
  if (tracked_ == Kind::session_id) {
    learn_ids(answer, request, response);
  } else if (evidence_.sources.empty()) {
    settle(answer, Word::none);
  } else {
    settle_by_evidence(answer, request, response);
  }
  Outcome outcome;
  if (identifier_.cookie() && !identity.stateless) outcome.token = token(answer);
  if (answer.room == Room::reserved) table_.homes().release(choice.slot);
  return outcome;
}

// What has been settled, which is nearly every answer, costs no look at the table.
void Accountant::settle(const Answer& answer, Word word, bool nothing_to_lose) {
  const Choice& choice = answer.choice;
  if (!answer.is_telling()) return;
  table_.answered(answer.identity.key, choice.slot, choice.data_home, answer.now.steady, word, answer.asked,
                  {storage_, answer.fleet, silence_, nothing_to_lose});
}

// The session is Limpet's own, and goes on whatever becomes of the application's. A client that holds no id
// has nothing to lose, and one that gets another in its place, or none, had one that was not known.
void Accountant::settle_by_evidence(const Answer& answer, const RequestView& request,
                                    const ResponseView& response) {
  if (!answer.is_telling()) return;
  const FirstIds held = first_ids(evidence_, request);
  const auto ids = held.ids.all();
  const Learned learned = learn(evidence_, request, response, memory_.mcp_paths, answer.now.wall);
  const bool sets = !learned.set().empty();
  const bool kept = std::ranges::any_of(
      learned.set(), [&](std::string_view id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); });
  const bool is_begun = ids.empty() && sets,
             is_disowned = !ids.empty() && (sets || !learned.deleted().empty());
  const Word nothing = ids.empty() ? Word::none : silence(response);
  settle(answer, kept || is_begun ? Word::same_id : is_disowned ? Word::new_id : nothing, ids.empty());
}

// Where the application took up an id again that had a session before, its homes are counted on: another
// request may be on its way with the token of that one.
void Accountant::open(Answer& answer, uint64_t key) {
  const Identity& identity = answer.identity;
  const bool goes_on = key == identity.key && identity.has_own_token();
  const auto choice = static_cast<uint16_t>(goes_on ? identity.token_choice + 1 : 0);
  const auto held = table_.open(key, answer.choice.slot, answer.now.steady, answer.room,
                                SessionTable::Begun::by_answer, choice);
  if (held.added) answer.room = Room::none;
}

// Deletions first: an answer that ends one session and begins another is a logout, then a login.
void Accountant::learn_ids(Answer& answer, const RequestView& request, const ResponseView& response) {
  const Learned learned = learn(session_id_, request, response, memory_.mcp_paths, answer.now.wall);
  bool disowned = false;  // by a backend that may not have the session's data
  for (const std::string_view id : learned.deleted()) {
    const uint64_t key = identifier_.key_of_id(id);
    if (answer.is_telling() && key == answer.identity.key) {
      disowned = true;
    } else {
      table_.log_out(key, answer.choice.slot, answer.now.steady);
    }
  }
  std::array<uint64_t, Learned::kMost> keys;
  const auto end = std::transform(learned.set().begin(), learned.set().end(), keys.begin(),
                                  [&](std::string_view id) { return identifier_.key_of_id(id); });
  const Identity& identity = answer.identity;
  const bool kept = identity.tracked && std::find(keys.begin(), end, identity.key) != end;
  const bool replaced = end != keys.begin() && !kept;
  settle(answer, replaced   ? Word::new_id
                 : kept     ? Word::same_id
                 : disowned ? Word::deletion
                            : silence(response));
  // The home itself gave its session another id. One takes the old one's place; any other is a session beside
  // it.
  bool renewable = answer.is_from_home() && !kept;
  for (auto key = keys.begin(); key != end; ++key) {
    const bool renewed = renewable && table_.renew(identity.key, *key, answer.choice.slot, answer.now.steady);
    if (!renewed) open(answer, *key);
    renewable = false;
  }
  if (end != keys.begin()) answer.set_id = *(end - 1);
  if (answer.was_guess() && replaced) memory_.guesses_missed.fetch_add(1, std::memory_order_relaxed);
}

// A client that has an id is recognised by it; the token is for clients that had nothing, goes along with
// each id that is given, and goes on for those that have one.
std::optional<std::string> Accountant::token(Answer& answer) {
  const bool has_token = answer.identity.token_issued != 0 && answer.choice.reason != Reason::placed;
  if (has_token) return renew_token(answer);
  const bool has_id = answer.identity.tracked && tracked_ != Kind::cookie;
  return has_id && answer.set_id == 0 ? std::nullopt : begin_token(answer);
}

std::optional<std::string> Accountant::begin_token(Answer& answer) {
  const uint64_t number = session_numbers_.next();
  Token token = along_with_id(answer);
  token.number = number;
  token.issued = answer.now.wall;
  auto text = identifier_.cookie()->seal(token);
  if (text && answer.identity.over != 0) table_.expire(answer.identity.over, answer.now.steady);
  if (text && tracked_ == Kind::cookie) open(answer, identifier_.key_of_number(number));
  return text;
}

std::optional<std::string> Accountant::renew_token(const Answer& answer) {
  const Identity& identity = answer.identity;
  const Choice& choice = answer.choice;
  // A session that has just come here has another token perhaps than the one that this request brought.
  const bool has_just_come = answer.is_from_home() && answer.is_from_elsewhere();
  const uint64_t id = answer.id();
  const bool is_named = choice.slot == identity.token_home && !has_just_come &&
                        (!(choice.known || choice.ghost) || choice.number == identity.token_choice) &&
                        (id == 0 || short_hash(id) == identity.token_id) && !has_another_proof(answer);
  if (is_named && !identifier_.cookie()->is_due(identity.token_renewed, answer.now.wall)) return std::nullopt;
  Token token = along_with_id(answer);
  if (tracked_ == Kind::cookie) {
    // The session may have moved on since this request left. On its way to a home that has not answered, its
    // token names the one that has its data: a process that forgot all else would know what the move costs.
    const SessionTable::Binding binding = table_.binding(identity.key, answer.now.steady);
    if (!name(token, binding, answer.fleet) && binding.home != kNoSlot) return std::nullopt;
    token.unproven = binding.unproven;
  }
  token.number = identity.token_number;
  token.issued = identity.token_issued;
  return identifier_.cookie()->seal(token);
}

// Whether its home has anything of the session is told by the answer, and no longer as by the token.
bool Accountant::has_another_proof(const Answer& answer) const {
  const Identity& identity = answer.identity;
  if (!answer.is_telling() && !identity.token_unproven) return false;
  const uint64_t key = tracked_ == Kind::cookie ? identity.key : answer.id();
  return key != 0 && table_.binding(key, answer.now.steady).unproven != identity.token_unproven;
}

// Names the backend that answered; or the home of the id that the token goes along with, where there is one.
Token Accountant::along_with_id(const Answer& answer) {
  Token token{.backend = answer.fleet.backends[answer.choice.slot].id, .renewed = answer.now.wall};
  const uint64_t id = answer.id();
  if (id == 0) return token;
  const SessionTable::Binding binding = table_.binding(id, answer.now.steady);
  if (!name(token, binding, answer.fleet)) return token;
  token.unproven = binding.unproven;
  token.id = short_hash(id);
  return token;
}

}  // namespace limpet::routing
