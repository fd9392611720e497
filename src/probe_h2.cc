#include "src/probe_h2.h"

namespace limpet {

namespace {

constexpr http::H2Session::Settings kSettings{
    .streams = 0, .head = {.head = 64 * 1024, .target = 64 * 1024, .fields = 500}};
constexpr const char* kNotValid = "the answer is not valid HTTP/2";

}  // namespace

ProbeH2::ProbeH2(const conf::HealthCheck& check, std::string_view scheme)
    : ProbeAnswer(ProbeJudge::make(check)),
      scheme_(scheme),
      to_head_(check.kind == conf::HealthCheck::Kind::http && check.method == "HEAD"),
      session_(http::H2Session::Role::client, *this, kSettings, 0) {}

void ProbeH2::ask(std::string_view request, std::string_view content) {
  content_ = content;
  session_.send_request(*this, scheme_, request, content_.empty());
  outgoing.add(content_);
  outgoing.end();
}

// A peer that does not read has nothing kept for it, whatever it asks for.
void ProbeH2::say(net::Stream& stream) {
  bool is_broken = false;
  session_.send(stream, out_, is_broken);
  // What breaks the protocol has ended the session.
  if (!session_.is_over()) return;
  session_.has_settings() ? judge_->fail(kNotValid) : judge_->fail(foreign());
}

void ProbeH2::take(std::string_view bytes) {
  is_heard_ = true;
  if (!judge_->is_over() && !session_.feed(bytes, 0)) judge_->fail(kNotValid);
}

void ProbeH2::end() {
  if (goaway_) return on_closed(http::H2Error::none, false);
  if (judge_->has_begun()) return judge_->fail("the connection ended within the answer");
  if (is_heard_ && !session_.has_settings()) return judge_->fail(foreign());
  judge_->fail("the connection ended before an answer");
}

void ProbeH2::leave(net::Stream& stream) {
  if (session_.is_broken()) return;
  if (!is_closed_) session_.reset(*this, http::H2Error::cancel);
  session_.go_away();
  say(stream);
  stream.finish();
}

health::CheckResult ProbeH2::foreign(const std::string& how) {
  return {.kind = ProbeJudge::Kind::fail,
          .detail = "the backend does not speak HTTP/2" + (how.empty() ? how : ": " + how),
          .foreign = true};
}

void ProbeH2::on_head(bool has_content) {
  http::ResponseHead answer;
  if (const http::Fault wrong = head.finish_response(to_head_, has_content, answer))
    return judge_->fail(std::string(kNotValid) + ": " + wrong.what);
  if (answer.interim()) return;
  judge_->take_head(answer.status, answer.fields);
  if (!has_content) judge_->take_end({});
}

void ProbeH2::on_content(std::string_view piece) {
  judge_->take_content(piece);
  session_.consume(*this, piece.size());
}

void ProbeH2::on_content_end() {
  http::Fields fields;
  if (trailers.finish_trailers(fields)) return judge_->fail(kNotValid);
  judge_->take_end(fields);
}

void ProbeH2::on_closed(http::H2Error error, bool malformed) {
  is_closed_ = true;
  if (malformed) return judge_->fail(kNotValid);
  if (goaway_)
    return judge_->fail(std::string("the backend ended the connection by GOAWAY, ") + text(*goaway_));
  judge_->fail(std::string("the backend ended the answer by RST_STREAM, ") + text(error));
}

}  // namespace limpet
