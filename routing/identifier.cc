#include "routing/identifier.h"

#include <algorithm>

#include "conf/normal_path.h"
#include "routing/affinity_key.h"
#include "routing/path_prefix.h"

namespace limpet::routing {
namespace {

using Kind = conf::AffinityKind;

template <class Value>
std::string_view bytes_of(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// A browser asks so whether a page of another site may ask, and keeps nothing of the answer but that (Fetch,
// section 4.8).
bool is_preflight(const RequestView& request) {
  return request.method == "OPTIONS" && !value_of(request.fields, "access-control-request-method").empty();
}

}  // namespace

Identifier::Identifier(const conf::Pool& pool, const std::vector<std::string>& keys,
                       const std::string& hash_secret, std::atomic<uint64_t>& unverified)
    : affinity_(pool.affinity),
      ip_(pool.ip),
      places_by_client_(pool.placement == conf::Placement::hash),
      session_id_(pool.session_id),
      hash_(hash_secret) {
  for (const std::string& path : pool.stateless_paths) stateless_paths_.push_back(as_prefix(path));
  if (std::find(affinity_.begin(), affinity_.end(), Kind::cookie) != affinity_.end())
    cookie_.emplace(pool, keys, unverified);
}

uint64_t Identifier::key_of_number(uint64_t session_number) const {
  return hash_.of(Kind::cookie, bytes_of(session_number));
}

uint64_t Identifier::key_of_id(std::string_view session_id) const {
  return hash_.of(Kind::session_id, session_id);
}

uint64_t Identifier::key_of_client(const conf::IpAddress& client) const {
  return hash_.of(Kind::ip, bytes_of(client_block(client, ip_).bytes));
}

uint64_t Identifier::key_of_one_client(const conf::IpAddress& client) const {
  return hash_.of(Kind::ip, bytes_of(client.of_one_client().bytes));
}

bool Identifier::is_stateless(std::string_view target) const {
  if (stateless_paths_.empty()) return false;
  std::string room;
  const std::string_view path = conf::normal_path(target, room);
  return std::any_of(stateless_paths_.begin(), stateless_paths_.end(),
                     [&](const std::string& prefix) { return begins_with_segments(path, prefix); });
}

std::optional<uint64_t> Identifier::key_of(std::string_view session) const {
  switch (affinity_.front()) {
    case Kind::ip:
      if (const auto address = conf::IpAddress::parse(session)) return key_of_client(*address);
      return std::nullopt;
    case Kind::cookie:
      if (const auto token = cookie_->open(session)) return key_of_number(token->number);
      return std::nullopt;
    case Kind::session_id:
      if (session.empty() || session.size() > kLongestId) return std::nullopt;
      return key_of_id(session);
  }
  return std::nullopt;
}

Identity Identifier::identify(const RequestView& request, const Fleet& fleet, SessionTable& table,
                              Now now) const {
  Identity identity;
  identity.kind = affinity_.front();
  if (places_by_client_ && has_address(request.client)) identity.client = key_of_client(request.client);
  identity.stateless = is_preflight(request) || is_stateless(request.target);
  if (identity.stateless) return identity;
  if (cookie_) read_token(request, fleet, table, now, identity);
  for (const Kind kind : affinity_) {
    std::optional<uint64_t> key;
    if (kind == Kind::cookie) {
      if (identity.token_issued != 0) key = key_of_number(identity.token_number);
    } else if (kind == Kind::ip) {
      if (has_address(request.client)) key = key_of_client(request.client);
    } else {
      key = key_of_ids(request, kind == affinity_.front() ? &table : nullptr, identity.token_id, now);
    }
    if (!key) continue;
    identity.kind = kind;
    identity.has_key = true;
    identity.tracked = kind == affinity_.front();
    identity.key = *key;
    return identity;
  }
  if (!places_by_client_ && has_address(request.client)) identity.client = key_of_client(request.client);
  return identity;
}

// `table`: where ids are known; nullptr: nowhere. `token_id`: of the one that the token was given along with.
std::optional<uint64_t> Identifier::key_of_ids(const RequestView& request, SessionTable* table,
                                               uint32_t token_id, Now now) const {
  const FirstIds found = first_ids(session_id_, request);
  const auto ids = found.ids.all();
  if (ids.empty()) return std::nullopt;
  if (table != nullptr && ids.size() > 1) {
    for (const std::string_view id : ids) {
      if (const uint64_t key = key_of_id(id); table->knows(key, now.steady)) return key;
    }
    for (const std::string_view id : ids) {
      if (const uint64_t key = key_of_id(id); token_id != 0 && short_hash(key) == token_id) return key;
    }
  }
  return key_of_id(ids.front());
}

// A token that looks idle counts where the table knows better: the clock may have jumped.
void Identifier::read_token(const RequestView& request, const Fleet& fleet, SessionTable& table, Now now,
                            Identity& identity) const {
  const auto found = cookie_->read(request, now.wall);
  if (!found) return;
  const auto& [token, age] = *found;
  if (age == TokenCookie::Age::idle && !table.knows(key_of_number(token.number), now.steady)) return;
  identity.token_home = fleet.find(token.backend);
  if (age == TokenCookie::Age::over) {
    identity.over = key_of_number(token.number);
    return;
  }
  identity.token_issued = token.issued;
  identity.token_renewed = token.renewed;
  identity.token_number = token.number;
  identity.token_id = token.id;
  identity.token_choice = token.choice;
  identity.token_unproven = token.unproven != 0;
}

}  // namespace limpet::routing
