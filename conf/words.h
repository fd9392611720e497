// The file's words for what is one of several, as everything else that shows such a value has them too.
#pragma once

#include <array>
#include <string_view>

#include "conf/settings.h"

namespace limpet::conf {

template <class E>
struct Named {
  std::string_view word;
  E value;
};

// Every value of the type with its word, in the order that faults tell them.
template <class E>
inline constexpr std::array<Named<E>, 0> kWords{};
template <>
inline constexpr std::array<Named<AffinityKind>, 3> kWords<AffinityKind> = {
    {{"ip", AffinityKind::ip}, {"cookie", AffinityKind::cookie}, {"session-id", AffinityKind::session_id}}};
template <>
inline constexpr std::array<Named<Storage>, 4> kWords<Storage> = {{{"local", Storage::local},
                                                                   {"backup", Storage::backup},
                                                                   {"replicated", Storage::replicated},
                                                                   {"shared", Storage::shared}}};
template <>
inline constexpr std::array<Named<Placement>, 4> kWords<Placement> = {
    {{"least-sessions", Placement::least_sessions},
     {"round-robin", Placement::round_robin},
     {"hash", Placement::hash},
     {"random-two", Placement::random_two}}};
template <>
inline constexpr std::array<Named<Failover>, 2> kWords<Failover> = {
    {{"move", Failover::move}, {"refuse", Failover::refuse}}};
template <>
inline constexpr std::array<Named<Shed>, 2> kWords<Shed> = {
    {{"off", Shed::off}, {"new-sessions", Shed::new_sessions}}};
template <>
inline constexpr std::array<Named<RateBy>, 2> kWords<RateBy> = {
    {{"client", RateBy::client}, {"session", RateBy::session}}};
template <>
inline constexpr std::array<Named<Failback>, 2> kWords<Failback> = {
    {{"stay", Failback::stay}, {"return", Failback::go_home}}};

template <class E>
constexpr std::string_view text(E value) {
  static_assert(!kWords<E>.empty());
  for (const Named<E>& each : kWords<E>)
    if (each.value == value) return each.word;
  return {};
}

}  // namespace limpet::conf
