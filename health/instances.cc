#include "health/instances.h"

#include <algorithm>
#include <tuple>

namespace limpet::health {
namespace {

auto what_is_asked(const conf::HealthCheck& check) {
  return std::tie(check.kind, check.instance_header, check.method, check.path, check.service, check.host,
                  check.port, check.tls);
}

}  // namespace

void Instances::asks(const conf::HealthCheck& question) {
  if (what_is_asked(question) == what_is_asked(asked_)) return;
  *this = {};
  asked_ = question;
}

bool Instances::saw(std::optional<uint64_t> value) {
  if (!value) return false;
  const bool is_first = seen_.empty();
  if (!is_first && seen_.back() == *value) {
    changes_ = 0;
    if (++same_ >= kSteady) doubt_ = Doubt::none;
    return false;
  }
  const bool is_new = std::erase(seen_, *value) == 0;
  seen_.push_back(*value);
  if (seen_.size() > kRemembered) seen_.erase(seen_.begin());
  same_ = 1;
  if (is_first) return false;
  ++changes_;
  if (!is_new) {
    doubt_ = Doubt::alternates;
  } else if (changes_ >= kMostChanges && doubt_ == Doubt::none) {
    doubt_ = Doubt::changes_always;
  }
  return doubt_ == Doubt::none;
}

std::string Instances::doubt() const {
  switch (doubt_) {
    case Doubt::alternates:
      return "its instance_header alternates: more than one server answers at this address; it is ignored";
    case Doubt::changes_always:
      return "its instance_header changes with each check, as no boot id does; it is ignored";
    case Doubt::none:
      break;
  }
  return {};
}

}  // namespace limpet::health
