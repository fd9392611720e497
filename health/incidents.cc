#include "health/incidents.h"

#include <algorithm>
#include <iterator>

namespace limpet::health {
namespace {

using routing::AtRisk;
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

// Losses of sessions that were not at risk, away from a home in service; and what is said of all losses.
Books losses_in_service(const HomeCensus& census) {
  Books losses = census.lost_in_service;
  for (const Event event : {Event::confirmed, Event::restarted, Event::uncertain}) {
    losses.all[event] = census.books.all[event];
    losses.returned[event] = census.books.returned[event];
  }
  return losses;
}

uint64_t sum_of_losses(const routing::Tally& tally) { return tally[Event::lost] + tally[Event::carried]; }

uint64_t losses_of(const Standing& standing) {
  return sum_of_losses(standing.census.lost_in_service.all) - standing.census.failed_back;
}

bool is_over(const Incident& incident) { return incident.left == 0; }

}  // namespace

struct Incidents::Scene {
  const Where& where;
  const Standing& standing;
  const uint32_t now;
  Home* home = nullptr;
  std::vector<Notice> notices{};

  // What puts sessions at risk now.
  Kind kind_of_risk() const {
    if (where.slot == routing::kGoneSlot) return Kind::gone;
    if (in_service(home->state) && !home->restart.empty()) return Kind::restart;
    return home->state == BackendState::maintenance ? Kind::maintenance : Kind::outage;
  }
  void explain(Incident& incident) const {
    const bool is_lapse = incident.kind == Kind::lapse, is_restart = incident.kind == Kind::restart;
    incident.cause = is_lapse ? Cause::requests : is_restart ? Cause::checks : home->cause;
    incident.detail = is_lapse ? detail_of_lapse() : is_restart ? home->restart : home->detail;
  }
  std::string detail_of_lapse() const {
    const bool went_home = standing.census.lost_by_failback != home->quiet.census.lost_by_failback;
    return standing.doubt.empty() && went_home ? "sessions went home without their data (failback)"
                                               : standing.doubt;
  }
};

std::vector<Notice> Incidents::changed(const Where& where, const Change& change, const Standing& standing,
                                       uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  home.state = change.to;
  home.cause = change.cause;
  home.detail = change.detail;
  const bool was_in_service = in_service(change.from), is_in_service = in_service(change.to);
  const bool drained = change.from == BackendState::draining, drains = change.to == BackendState::draining;
  if (drained && !drains) {
    end(scene, change.to == BackendState::up          ? End::back
               : change.cause == Cause::drained       ? End::settled
               : change.cause == Cause::drain_timeout ? End::deadline
                                                      : End::interrupted);
  }
  if (was_in_service && !is_in_service) leaves(scene);
  if (!was_in_service && is_in_service) comes_back(scene);
  if (drains) {
    if (!home.open && has_lost_at_risk(scene)) open(scene, scene.kind_of_risk());
    if (!home.open && has_lost(scene)) open(scene, Kind::lapse);
    end(scene, End::interrupted);
    follow(scene);
  }
  return std::move(scene.notices);
}

std::vector<Notice> Incidents::restarted(const Where& where, const std::string& detail,
                                         const Standing& standing, uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  home.restart = detail;
  if (home.state == BackendState::draining) {
    follow(scene);
  } else {
    be_at_risk(scene);
  }
  return std::move(scene.notices);
}

std::vector<Notice> Incidents::tick(const Where& where, const Standing& standing, uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  follow(scene);
  home.last_tick = standing;
  return std::move(scene.notices);
}

void Incidents::refresh(const Where& where, const Standing& standing, uint32_t now) {
  Scene scene{where, standing, now};
  Home& home = home_of(scene);
  if (home.open) update(scene, *home.open);
}

Incidents::Home& Incidents::home_of(Scene& scene) {
  const auto [home, is_new] = homes_.try_emplace({scene.where.pool_id, scene.where.slot});
  if (is_new && scene.where.slot == routing::kGoneSlot) home->second.state = BackendState::down;
  scene.home = &home->second;
  return *scene.home;
}

// --- What befalls a home ---

void Incidents::leaves(Scene& scene) {
  scene.home->restart.clear();
  be_at_risk(scene);
}

void Incidents::be_at_risk(Scene& scene) {
  Home& home = *scene.home;
  Incident* const before = home.open ? at(home.open->id) : nullptr;
  if (before && before->kind == Kind::lapse) return widen(scene, *before);
  end(scene, End::interrupted);
  if (has_trouble(scene)) open(scene, scene.kind_of_risk());
}

// Anybody is at risk, or was lost, since the home was quiet.
bool Incidents::has_trouble(const Scene& scene) const {
  const AtRisk &now = scene.standing.census.at_risk, &quiet = scene.home->quiet.census.at_risk;
  const bool was_any_at_risk = now.put + now.joined != quiet.put + quiet.joined;
  return now.live > 0 || was_any_at_risk || has_lost(scene) || has_lost_at_risk(scene);
}

bool Incidents::has_lost(const Scene& scene) const {
  return losses_of(scene.standing) != losses_of(scene.home->quiet);
}

// And was lost before a tick could tell: one that was restored after all others were settled, or was left by
// a drain.
bool Incidents::has_lost_at_risk(const Scene& scene) const {
  const AtRisk &now = scene.standing.census.at_risk, &quiet = scene.home->quiet.census.at_risk;
  return sum_of_losses(now.books.all) != sum_of_losses(quiet.books.all);
}

// What begins as a lapse is what puts the others at risk now.
void Incidents::widen(Scene& scene, Incident& lapse) {
  lapse.kind = scene.kind_of_risk();
  scene.explain(lapse);
  begin(scene, *scene.home->open, lapse);
  scene.notices.push_back({Notice::What::widened, lapse});
}

void Incidents::comes_back(Scene& scene) {
  Home& home = *scene.home;
  if (!home.open && has_trouble(scene)) open(scene, scene.kind_of_risk());  // since the last tick
  if (!home.open) {
    home.quiet = scene.standing;
    return;
  }
  Incident* const incident = update(scene, *home.open);
  if (incident == nullptr) return;
  incident->back = scene.now;
  if (!is_over(*incident)) scene.notices.push_back({Notice::What::back, *incident});
  follow(scene);
}

void Incidents::follow(Scene& scene) {
  Home& home = *scene.home;
  if (!home.open) {
    if (home.state == BackendState::draining) {
      if (sessions(scene.standing.census) > 0 || scene.standing.has_unknown) open(scene, Kind::drain);
    } else if (!in_service(home.state) ? has_trouble(scene)
                                       : scene.standing.census.at_risk.live > 0 || has_lost_at_risk(scene)) {
      open(scene, scene.kind_of_risk());
    } else if (has_lost(scene)) {
      open(scene, Kind::lapse);
    } else {
      be_quiet(scene);
    }
    return;
  }
  const Incident* const incident = update(scene, *home.open);
  if (incident == nullptr) return let_go(home);
  if (incident->kind == Kind::lapse) return follow_lapse(scene);
  if (!is_over(*incident) || scene.standing.has_unknown) return;
  const bool is_back = in_service(home.state) && incident->kind != Kind::drain;
  if (is_back) return end(scene, incident->kind == Kind::restart ? End::settled : End::back);
  close(scene, *home.open, End::settled);  // and others may join
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

void Incidents::follow_lapse(Scene& scene) {
  Case& lapse = *scene.home->open;
  Incident& incident = *at(lapse.id);
  const uint64_t lost = losses_of(scene.standing);
  const bool is_quiet = lost == lapse.losses && scene.standing.doubt.empty();
  lapse.quiet_ticks = is_quiet ? lapse.quiet_ticks + 1 : 0;
  if (incident.detail.empty()) incident.detail = scene.standing.doubt;
  lapse.losses = lost;
  if (lapse.quiet_ticks >= kQuietTicks) end(scene, End::settled);
}

// --- One incident ---

void Incidents::open(Scene& scene, Kind kind) {
  Home& home = *scene.home;
  Incident incident;
  incident.id = ++last_id_;
  incident.pool = scene.where.pool;
  incident.backend = scene.where.backend;
  incident.kind = kind;
  scene.explain(incident);
  incident.opened = scene.now;
  followed_.insert(incident.id);
  recent_.push_back(std::move(incident));
  home.open = Case{.id = last_id_, .base = home.quiet, .losses = losses_of(scene.standing)};
  if (kind == Kind::drain) home.open->base.census = scene.standing.census;
  begin(scene, *home.open, recent_.back());
  if (recent_.size() > kKept) drop_oldest();
  scene.notices.push_back({Notice::What::opened, *at(last_id_)});
}

// How many it begins with. What was lost since the home was quiet was lost to what it is.
void Incidents::begin(Scene& scene, Case& it, Incident& incident) {
  const HomeCensus &now = scene.standing.census, &base = it.base.census;
  const Books lost = losses_in_service(now) - losses_in_service(base);
  it.put = now.at_risk.put;
  it.lost_then = sum_of_losses(lost.all);
  if (incident.kind == Kind::drain) {
    incident.at_risk = sessions_or_none(now);
    incident.at_risk_returned = now.live_returned;
  } else if (incident.kind != Kind::lapse) {
    incident.at_risk = base.at_risk.live + now.at_risk.put - base.at_risk.put + it.lost_then;
    incident.at_risk_returned = now.at_risk.returned + sum_of_losses(lost.returned);
  }
  update(scene, it);
}

// Brings the numbers up to now. nullptr: it is not kept any more.
Incident* Incidents::update(Scene& scene, Case& it) {
  Incident* const incident = at(it.id);
  if (!incident) return nullptr;
  const HomeCensus &now = scene.standing.census, &base = it.base.census;
  incident->requests_failed = scene.standing.requests_failed - it.base.requests_failed;
  incident->requests_retried = scene.standing.requests_retried - it.base.requests_retried;
  if (incident->kind == Kind::drain) {
    incident->books = now.books - base.books;
    incident->books.all[Event::recovered] = incident->books.returned[Event::recovered] = 0;
    incident->joined = now.books.all.begun() + now.arrived - base.books.all.begun() - base.arrived;
    incident->left = sessions_or_none(now);
  } else {
    incident->books = losses_in_service(now) - losses_in_service(base);
    const uint64_t lost = sum_of_losses(incident->books.all);
    if (incident->kind == Kind::lapse) {
      incident->at_risk = lost;
      incident->at_risk_returned = sum_of_losses(incident->books.returned);
      return incident;
    }
    incident->books += now.at_risk.books - base.at_risk.books;
    incident->joined = now.at_risk.joined - base.at_risk.joined + lost - it.lost_then;
    // The backend has just left service again, and put so many others at risk; some of these may be gone
    // already.
    const uint64_t others = now.at_risk.put - it.put, live = now.at_risk.live;
    if (others > live) incident->joined += others - live;
    incident->left = live - std::min(others, live);
  }
  if (incident->left > 0 && incident->closed != 0) {  // others have joined
    incident->closed = 0;
    incident->end = End::open;
  }
  return incident;
}

// The home's incident, if there is one, and its being followed.
void Incidents::end(Scene& scene, End end) {
  Home& home = *scene.home;
  if (!home.open) return;
  const Incident* const incident = update(scene, *home.open);
  close(scene, *home.open, incident && is_over(*incident) && end == End::interrupted ? End::settled : end);
  if (home.open->told) tell(scene, *home.open);
  let_go(home);
  home.quiet = scene.standing;
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

void Incidents::let_go(Home& home) {
  if (home.open) followed_.erase(home.open->id);
  home.open.reset();
}

void Incidents::forget(const Where& where, uint32_t now) {
  const auto gone = homes_.find({where.pool_id, where.slot});
  if (gone == homes_.end()) return;
  Home& home = gone->second;
  Incident* const incident = home.open ? at(home.open->id) : nullptr;
  if (incident != nullptr && incident->closed == 0) {
    incident->closed = now;
    incident->end = End::settled;
  }
  let_go(home);
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
  if (incident.kind == Kind::lapse && incident.closed == 0) return;
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
