#include "conf/read_values.h"

#include "conf/grammar.h"
#include "conf/quantities.h"

namespace limpet::conf {

void Boolean::operator()(const At& at, bool& out) const {
  if (at.value.kind != Value::Kind::boolean) return at.wrong_type(accepted());
  out = at.value.boolean;
}

void SecureCookie::operator()(const At& at, Secure& out) const {
  if (at.value.kind == Value::Kind::boolean) {
    out = at.value.boolean ? Secure::yes : Secure::no;
  } else if (at.value.kind == Value::Kind::string && at.value.string == "auto") {
    out = Secure::automatic;
  } else {
    at.wrong_type(accepted());
  }
}

std::string Integer::accepted() const {
  return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
}

bool Integer::read(const At& at, int64_t& out) const {
  if (at.value.kind != Value::Kind::integer) return at.wrong_type(accepted()), false;
  if (at.value.integer < least || at.value.integer > most)
    return at.fault("is out of range", accepted()), false;
  out = at.value.integer;
  return true;
}

std::string Size::accepted() const {
  return "a size such as \"16KiB\" (B, KB, KiB, MB, MiB, GB, GiB) or a number of bytes, from " +
         size_text(least) + " to " + size_text(most) + (zero.empty() ? "" : ", or 0: " + std::string(zero));
}

void Size::operator()(const At& at, uint64_t& out) const {
  std::optional<uint64_t> size;
  if (at.value.kind == Value::Kind::string) {
    size = parse_size(at.value.string);
    if (!size) return at.fault(in_quotes(at.value.string) + " is not a size", accepted());
  } else if (at.value.kind == Value::Kind::integer) {
    size = static_cast<uint64_t>(at.value.integer);  // a negative number is beyond every `most`
  } else {
    return at.wrong_type(accepted());
  }
  const bool may_be_zero = !zero.empty() && *size == 0;
  if (!may_be_zero && (*size < least || *size > most)) return at.fault("is out of range", accepted());
  out = *size;
}

std::string Span::accepted() const {
  return "a duration with its unit, such as \"30s\" or \"1m30s\" (d, h, m, s, ms), from " +
         duration_text(least) + " to " + duration_text(most) +
         (zero.empty() ? "" : ", or \"0s\": " + std::string(zero));
}

void Span::operator()(const At& at, Duration& out) const {
  if (at.value.kind == Value::Kind::integer) return at.fault("is a number without a unit", accepted());
  if (at.value.kind != Value::Kind::string) return at.wrong_type(accepted());
  const auto duration = parse_duration(at.value.string);
  if (!duration) return at.fault(in_quotes(at.value.string) + " is not a duration", accepted());
  const bool may_be_zero = !zero.empty() && *duration == Duration::zero();
  if (!may_be_zero && (*duration < least || *duration > most)) return at.fault("is out of range", accepted());
  out = *duration;
}

void Secret::operator()(const At& at, std::string& out) const {
  if (at.value.kind != Value::Kind::string) return at.wrong_type(accepted());
  Parsed<std::string> parsed = parse(at.value.string);
  if (!parsed.value()) return at.fault(parsed.what(), accepted());
  out = std::move(*parsed.value());
}

void StatusCodes::operator()(const At& at, StatusRange& out) const {
  const bool is_integer = at.value.kind == Value::Kind::integer;
  if (!is_integer && at.value.kind != Value::Kind::string) return at.wrong_type(accepted());
  const std::string text = is_integer ? std::to_string(at.value.integer) : at.value.string;
  Parsed<StatusRange> parsed = parse_status_range(text);
  if (!parsed.value()) return at.fault(in_quotes(text) + " " + parsed.what(), accepted());
  out = *parsed.value();
}

}  // namespace limpet::conf
