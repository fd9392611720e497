// Reads a backend's answer for what it means to the client's session: what begins, goes on under another
// name, or ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conf/settings.h"
#include "routing/cost.h"
#include "routing/decision.h"
#include "routing/fleet.h"
#include "routing/identifier.h"
#include "routing/memory.h"
#include "routing/random.h"
#include "routing/request_view.h"
#include "routing/seconds.h"

namespace limpet::routing {

// Thread-safe.
class Accountant {
 public:
  // `identifier` and `memory` outlive the accountant. `seed`: random; session numbers begin there.
  Accountant(const conf::Pool& pool, const Identifier& identifier, Memory& memory, uint64_t seed);

  // See Router::account().
  Outcome account(const Identity& identity, const Choice& choice, const Fleet& fleet,
                  const RequestView& request, const ResponseView& response, Now now);

 private:
  struct Answer;  // the arguments of account(), and whether its room is still reserved

  void settle(const Answer& answer, SessionTable::Word word, bool nothing_to_lose = false);
  void settle_by_evidence(const Answer& answer, const RequestView& request, const ResponseView& response);
  void open(Answer& answer, uint64_t key);
  void learn_ids(Answer& answer, const RequestView& request, const ResponseView& response);
  std::optional<std::string> begin_token(Answer& answer);
  std::optional<std::string> renew_token(const Answer& answer);
  std::optional<std::string> token(Answer& answer);
  Token along_with_id(const Answer& answer);
  bool has_another_proof(const Answer& answer) const;

  const conf::AffinityKind tracked_;
  const conf::Storage storage_;
  const Cost::Silence silence_;
  const conf::SessionIdAffinity evidence_;
  const conf::SessionIdAffinity session_id_;
  const Identifier& identifier_;
  Memory& memory_;
  SessionTable& table_;
  SharedRandom session_numbers_;
};

}  // namespace limpet::routing
