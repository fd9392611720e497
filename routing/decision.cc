#include "routing/decision.h"

namespace limpet::routing {

const char* text(Reason reason) {
  switch (reason) {
    case Reason::bound:
      return "bound";
    case Reason::token:
      return "token";
    case Reason::hash:
      return "hash";
    case Reason::placed:
      return "placed";
    case Reason::failed_over:
      return "failed_over";
    case Reason::failed_back:
      return "failed_back";
    case Reason::stateless:
      return "stateless";
    case Reason::away:
      return "away";
    case Reason::refused:
      return "refused";
    case Reason::full:
      return "full";
    case Reason::shed:
      return "shed";
    case Reason::no_backend:
      return "no_backend";
  }
  return "";
}

}  // namespace limpet::routing
