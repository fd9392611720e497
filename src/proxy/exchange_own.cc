// What an exchange answers in nobody's place: redirections to https, and challenges of ACME.
#include <algorithm>

#include "conf/ascii.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

// What a certificate's authority asks for to see that this host is ours (RFC 8555, section 8.3). Where there
// is no file with that name, the request goes on like any other.
bool Exchange::look_for_challenge() {
  constexpr std::string_view kFolder = "/.well-known/acme-challenge/";
  constexpr size_t kMostToken = 128;
  const std::string& folder = client_->listener().settings.acme_challenges;
  if (folder.empty() || no_challenge_ || !request_->target.starts_with(kFolder)) return false;
  if (request_->method != "GET" && request_->method != "HEAD") return false;
  const std::string_view token = request_->target.substr(kFolder.size());
  const bool is_token =
      !token.empty() && token.size() <= kMostToken && std::all_of(token.begin(), token.end(), [](char octet) {
        return is_letter(octet) || is_digit(octet) || octet == '-' || octet == '_';
      });
  if (!is_token) return false;
  phase_ = Phase::await_file;
  deadline_.set(now_ms() + millis(context_.settings().timeouts.head));
  context_.files.read(folder + "/" + std::string(token), *this);
  return true;
}

void Exchange::on_file(std::optional<std::string> content) {
  deadline_.clear();
  if (content) {
    answer(*content);
  } else {
    no_challenge_ = true;
    phase_ = Phase::identify;
  }
  advance();
}

bool Exchange::has_to_be_redirected() const {
  const conf::Listener& listener = client_->listener().settings;
  return listener.redirect_to_https && !request_->host.empty() &&
         !http::believed_tls(client_->peer(), listener, request_->fields);
}

std::string Exchange::https_location() const {
  std::string_view host = request_->host;
  if (const size_t colon = host.rfind(':'); colon != host.npos && !host.ends_with(']'))
    host = host.substr(0, colon);
  std::string location = "https://" + std::string(host);
  if (request_->target.starts_with('?')) location += '/';
  if (request_->target != "*") location += request_->target;
  return location;
}

// With a content of our own, and nothing has failed.
void Exchange::answer(std::string_view content) {
  status_ = 200;
  response_state_ = ResponseState::whole;
  http::OwnReply reply = own_reply(status_);
  reply.content = content;
  bytes_out_ = client_->send_own(reply);
  phase_ = Phase::account;
  flush_client();
}

http::OwnReply Exchange::own_reply(int status) const {
  return {.status = status,
          .hsts = client_->listener().settings.tls.hsts,
          .request_id = request_id_,
          .accept = request_->fields.first(http::FieldName::accept),
          .date = context_.clock.http_date(context_.clock.unix_us()),
          .close = !has_request(),
          .head_only = request_->is_head()};
}

}  // namespace limpet::proxy
