#include "health/incidents.h"

#include <algorithm>
#include <iterator>

namespace limpet::health {
namespace {

using routing::Books;
using routing::Event;
using routing::HomeCensus;
using Kind = Incident::Kind;
using End = Incident::End;

// Sessions that are here, by the books. Homes' own count may be ahead of them for a moment; a sum of the same
// counters that an incident takes the difference of never disagrees with it.
int64_t sessions(const HomeCensus& census) {
  const routing::Tally& all = census.books.all;
  return static_cast<int64_t>(all.begun() + census.arrived) -
         static_cast<int64_t>(all.ended() + all[Event::carried] + all[Event::moved] + all[Event::reassigned]);
}

uint64_t sessions_or_none(const HomeCensus& census) {
  return static_cast<uint64_t>(std::max<int64_t>(sessions(census), 0));
}

uint64_t losses_of(const Standing& standing) {
  const routing::Tally& all = standing.census.books.all;
  return all[Event::lost] + all[Event::carried] - standing.census.failed_back;
}

Books losses_alone(const Books& books) {
  Books losses;
  for (const Event event : {Event::lost, Event::carried, Event::confirmed}) {
    losses.all[event] = books.all[event];
    losses.returned[event] = books.returned[event];
  }
  return losses;
}

Kind kind_of(BackendState state) { return state == BackendState::down ? Kind::outage : Kind::maintenance; }

}  // namespace

struct Incidents::Scene {
  const Where& where;
  const Standing& standing;
  const uint32_t now;
  Home* home = nullptr;
  std::vector<Notice> notices{};
};

std::vector<Notice> Incidents::changed(const Where& where, const Change& change, const Standing& standing,
                                       uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  home.state = change.to;
  home.cause = change.cause;
  home.detail = change.detail;
  if (change.from == BackendState::draining && home.drain) {
    const End end = change.to == BackendState::up          ? End::back
                    : change.cause == Cause::drained       ? End::settled
                    : change.cause == Cause::drain_timeout ? End::deadline
                                                           : End::interrupted;
    update(scene, *home.drain);
    close(scene, *home.drain, end);
    let_go(home.drain);
  }
  const bool was_in_service = in_service(change.from), is_in_service = in_service(change.to);
  if (was_in_service && !is_in_service) leaves(scene);
  if (!was_in_service && is_in_service) comes_back(scene);
  if (change.to == BackendState::draining) follow_drain(scene);
  return std::move(scene.notices);
}

std::vector<Notice> Incidents::tick(const Where& where, const Standing& standing, uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  if (home.state == BackendState::draining) follow_drain(scene);
  follow_trouble(scene);
  home.last_tick = standing;
  return std::move(scene.notices);
}

void Incidents::refresh(const Where& where, const Standing& standing, uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  if (home.trouble) update(scene, *home.trouble);
  if (home.drain) update(scene, *home.drain);
}

Incidents::Home& Incidents::home_of(Scene& scene) {
  scene.home = &homes_[{scene.where.pool_id, scene.where.slot}];
  return *scene.home;
}

// --- Outages, maintenance, lapses ---

// What was lost since the last quiet tick was lost to what takes the backend away now.
void Incidents::leaves(Scene& scene) {
  Home& home = *scene.home;
  if (home.trouble) {
    Incident* const lapse = at(home.trouble->id);
    if (lapse && lapse->kind == Kind::lapse) {
      lapse->kind = kind_of(home.state);
      lapse->cause = home.cause;
      lapse->detail = home.detail;
      lapse->at_risk = sessions_or_none(home.trouble->base.census);
      lapse->at_risk_returned = home.trouble->base.census.live_returned;
      home.trouble->in_service = false;
      update(scene, *home.trouble);
      scene.notices.push_back({Notice::What::widened, *lapse});
      return;
    }
    update(scene, *home.trouble);
    tell(scene, *home.trouble);
    let_go(home.trouble);
    home.quiet = scene.standing;
  }
  if (losses_of(scene.standing) == losses_of(home.quiet)) home.quiet.census = scene.standing.census;
  if (sessions(home.quiet.census) > 0) home.trouble = open(scene, kind_of(home.state), home.quiet, false);
}

// Some that moved away while it was gone are settled only now: they are followed for a while yet.
void Incidents::comes_back(Scene& scene) {
  Home& home = *scene.home;
  home.quiet = scene.standing;
  if (!home.trouble) return;
  Case& trouble = *home.trouble;
  if (Incident* const incident = update(scene, trouble)) {
    incident->left = 0;
    if (incident->closed == 0) {
      incident->closed = scene.now;
      incident->end = End::back;
    }
    trouble.until_base = incident->books;
  }
  trouble.base.census = scene.standing.census;
  trouble.losses = losses_of(scene.standing);
  trouble.in_service = true;
}

void Incidents::follow_trouble(Scene& scene) {
  Home& home = *scene.home;
  const bool any_lost = losses_of(scene.standing) != losses_of(home.quiet);
  if (home.trouble && home.trouble->in_service) return follow_in_service(scene, *home.trouble);
  if (!in_service(home.state)) {
    if (!home.trouble && (any_lost || sessions(scene.standing.census) > 0))
      home.trouble = open(scene, kind_of(home.state), home.quiet, false);
    if (!home.trouble) return;
    update(scene, *home.trouble);
    if (sessions(scene.standing.census) <= 0) close(scene, *home.trouble, End::settled);
    return;
  }
  if (any_lost) {
    home.trouble = open(scene, Kind::lapse, home.quiet, true);
  } else {
    be_quiet(scene);
  }
}

void Incidents::be_quiet(Scene& scene) {
  Home& home = *scene.home;
  const Standing &now = scene.standing, &before = home.last_tick;
  const bool answers = now.requests_answered != before.requests_answered;
  const bool fails =
      now.requests_failed != before.requests_failed || now.requests_retried != before.requests_retried;
  if (answers) home.mixed_ticks = fails ? home.mixed_ticks + 1 : 0;
  const bool counts_anew = answers && (!fails || home.mixed_ticks >= kAlwaysFailing);
  const Standing requests = counts_anew ? before : home.quiet;
  home.quiet = now;
  home.quiet.requests_failed = requests.requests_failed;
  home.quiet.requests_retried = requests.requests_retried;
}

void Incidents::follow_in_service(Scene& scene, Case& trouble) {
  Incident* const incident = update(scene, trouble);
  const uint64_t lost = losses_of(scene.standing);
  const bool is_quiet = lost == trouble.losses && scene.standing.doubt.empty();
  trouble.quiet_ticks = is_quiet ? trouble.quiet_ticks + 1 : 0;
  if (incident && incident->kind == Kind::lapse && incident->detail.empty())
    incident->detail = scene.standing.doubt;
  trouble.losses = lost;
  if (trouble.quiet_ticks < kQuietTicks) return;
  if (incident && incident->kind == Kind::lapse) {
    close(scene, trouble, End::settled);
  } else {
    tell(scene, trouble);
  }
  scene.home->quiet = scene.standing;
  let_go(scene.home->trouble);
}

// --- Drains ---

void Incidents::follow_drain(Scene& scene) {
  std::optional<Case>& drain = scene.home->drain;
  const bool is_empty = sessions(scene.standing.census) <= 0 && !scene.standing.has_unknown;
  if (!drain) {
    if (!is_empty) drain = open(scene, Kind::drain, scene.standing, false);
    return;
  }
  update(scene, *drain);
  if (is_empty) close(scene, *drain, End::settled);
}

// --- One incident ---

Incidents::Case Incidents::open(Scene& scene, Kind kind, const Standing& base, bool in_service) {
  Incident incident;
  incident.id = ++last_id_;
  followed_.insert(incident.id);
  incident.pool = scene.where.pool;
  incident.backend = scene.where.backend;
  incident.kind = kind;
  incident.cause = kind == Kind::lapse ? Cause::requests : scene.home->cause;
  incident.detail = kind == Kind::lapse ? scene.standing.doubt : scene.home->detail;
  incident.opened = scene.now;
  incident.at_risk = sessions_or_none(base.census);
  incident.at_risk_returned = base.census.live_returned;
  recent_.push_back(std::move(incident));
  if (recent_.size() > kKept) drop_oldest();

  Case it;
  it.id = last_id_;
  it.base = base;
  it.in_service = in_service;
  it.losses = losses_of(scene.standing);
  scene.notices.push_back({Notice::What::opened, *update(scene, it)});
  return it;
}

// Brings the numbers up to now. nullptr: it is not kept any more.
Incident* Incidents::update(Scene& scene, Case& it) {
  Incident* const incident = at(it.id);
  if (!incident) return nullptr;
  const HomeCensus& census = scene.standing.census;
  const Books meanwhile = census.books - it.base.census.books;
  incident->requests_failed = scene.standing.requests_failed - it.base.requests_failed;
  incident->requests_retried = scene.standing.requests_retried - it.base.requests_retried;
  if (it.in_service) {
    incident->books = it.until_base;
    incident->books += losses_alone(meanwhile);
    if (incident->kind == Kind::lapse) {
      incident->at_risk = incident->books.all[Event::lost] + incident->books.all[Event::carried];
      incident->at_risk_returned =
          incident->books.returned[Event::lost] + incident->books.returned[Event::carried];
    }
    return incident;
  }
  incident->books = meanwhile;
  incident->joined = meanwhile.all.begun() + census.arrived - it.base.census.arrived;
  incident->left = sessions_or_none(census);
  if (incident->left > 0 && incident->closed != 0) {  // others have joined
    incident->closed = 0;
    incident->end = End::open;
  }
  return incident;
}

void Incidents::close(Scene& scene, Case& it, End end) {
  Incident* const incident = at(it.id);
  if (!incident || incident->closed != 0) return;
  incident->closed = scene.now;
  incident->end = end;
  if (!it.told || end != End::settled) tell(scene, it);
}

// Says that it is closed, unless the last time said all there is.
void Incidents::tell(Scene& scene, Case& it) {
  const Incident* const incident = at(it.id);
  if (!incident || it.told == incident->books) return;
  it.told = incident->books;
  scene.notices.push_back({Notice::What::closed, *incident});
}

const Incident* Incidents::find(uint64_t id) const { return const_cast<Incidents*>(this)->at(id); }

Incident* Incidents::at(uint64_t id) {
  const auto found =
      std::lower_bound(recent_.begin(), recent_.end(), id,
                       [](const Incident& incident, uint64_t wanted) { return incident.id < wanted; });
  return found == recent_.end() || found->id != id ? nullptr : &*found;
}

// --- What is kept ---

void Incidents::let_go(std::optional<Case>& it) {
  if (it) followed_.erase(it->id);
  it.reset();
}

void Incidents::forget(const Where& where, uint32_t now) {
  const auto gone = homes_.find({where.pool_id, where.slot});
  if (gone == homes_.end()) return;
  for (std::optional<Case>* it : {&gone->second.trouble, &gone->second.drain}) {
    Incident* const incident = *it ? at((*it)->id) : nullptr;
    if (incident != nullptr && incident->closed == 0) {
      incident->closed = now;
      incident->end = End::settled;
    }
    let_go(*it);
  }
  homes_.erase(gone);
}

void Incidents::forget_pool(std::string_view pool) {
  std::erase_if(dropped_, [pool](const auto& each) { return each.second.pool == pool; });
  for (const Incident& incident : recent_) {
    if (incident.pool == pool) forgotten_.insert(incident.id);
  }
}

// The oldest whose counts do not change any more. The newest is not followed yet, and stays.
void Incidents::drop_oldest() {
  const auto last = std::prev(recent_.end());
  const auto oldest =
      std::find_if(recent_.begin(), last, [&](const Incident& each) { return !followed_.contains(each.id); });
  if (oldest == last) return;
  add_losses(dropped_, *oldest);
  forgotten_.erase(oldest->id);
  recent_.erase(oldest);
}

void Incidents::add_losses(LossBooks& books, const Incident& incident) const {
  if (forgotten_.contains(incident.id)) return;
  if (incident.kind == Kind::drain || (incident.kind == Kind::lapse && incident.closed == 0)) return;
  Losses& losses = books[{incident.pool, incident.kind, incident.cause}];
  losses.pool = incident.pool;
  losses.kind = incident.kind;
  losses.cause = incident.cause;
  losses.lost += incident.books.all[Event::lost];
  losses.lost_returned += incident.books.returned[Event::lost];
}

std::vector<Losses> Incidents::losses() const {
  LossBooks books = dropped_;
  for (const Incident& incident : recent_) add_losses(books, incident);
  std::vector<Losses> all;
  for (auto& [key, losses] : books) all.push_back(std::move(losses));
  return all;
}

}  // namespace limpet::health
