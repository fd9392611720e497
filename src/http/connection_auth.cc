#include "src/http/connection_auth.h"

namespace limpet::http {

namespace {

// Of credentials, or of one challenge.
bool is_of_connection(std::string_view text) {
  const std::string_view scheme = text.substr(0, text.find_first_of(" \t"));
  return equals_ignoring_case(scheme, "ntlm") || equals_ignoring_case(scheme, "negotiate");
}

}  // namespace

bool carries_connection_credentials(const Fields& request) {
  if (!request.has(FieldName::credentials)) return false;
  for (size_t i = 0; i < request.size(); ++i) {
    if (request.names[i] == FieldName::credentials && is_of_connection(trimmed(request.list[i].value)))
      return true;
  }
  return false;
}

// The parameters of a challenge are members of the same list as the challenges.
bool challenges_connection(const Fields& answer) {
  bool found = false;
  for (size_t i = 0; i < answer.size(); ++i) {
    if (answer.names[i] != FieldName::challenge) continue;
    for_each_member(answer.list[i].value,
                    [&](std::string_view member) { found = found || is_of_connection(member); });
  }
  return found;
}

}  // namespace limpet::http
