// What it costs a session when another backend than the one that has its data answers its client.
#pragma once

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/ledger.h"

namespace limpet::routing {

struct Cost {
  conf::Storage storage;
  const Fleet& fleet;  // for the backups, where the storage is `backup`
  // What it means where the answer of a backend that has not got the session's data says nothing of any:
  // there is one now, since Limpet's own key names it, or since the application takes up any id; or there is
  // none that is known; or there is Limpet's, of which nothing shows that the application has one.
  enum class Silence : uint8_t { is_session, is_adopted, leaves_unproven, leaves_doubtful };
  Silence silence = Silence::is_session;
  bool nothing_to_lose = false;  // the client holds no id of the application's

  bool is_shared() const { return storage == conf::Storage::replicated || storage == conf::Storage::shared; }

  // Event::lost, or Event::carried where `to` has the data that `from` had.
  Event of(Slot from, Slot to) const {
    switch (storage) {
      case conf::Storage::local:
        return Event::lost;
      case conf::Storage::backup: {
        if (from >= fleet.backends.size()) return Event::carried;
        const Slot backup = fleet.backends[from].backup;
        return backup == to || backup == kNoSlot ? Event::carried : Event::lost;
      }
      case conf::Storage::replicated:
      case conf::Storage::shared:
        return Event::carried;
    }
    return Event::lost;
  }

  // Where any backend may have the copy, each fetches it. It may have been that of one that is away as well,
  // or `was_out` meanwhile. Who had that of a backend which has left is not known any more.
  template <class WasOut>
  bool may_be_lost(Slot from, WasOut&& was_out) const {
    if (storage != conf::Storage::backup) return false;
    if (from >= fleet.backends.size()) return true;
    if (fleet.backends[from].backup != kNoSlot) return false;
    for (size_t slot = 0; slot < fleet.backends.size(); ++slot) {
      const Backend& other = fleet.backends[slot];
      const bool is_away = !other.serves_its_own() || was_out(static_cast<Slot>(slot));
      if (slot != from && other.listed && is_away) return true;
    }
    return false;
  }
};

}  // namespace limpet::routing
