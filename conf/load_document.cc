#include "conf/load_document.h"

#define TOML_EXCEPTIONS 0
// "[=]" fails an assertion of toml++ 3.3 that stands in front of the error it reports for it.
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>

#include "conf/spelling.h"

namespace limpet::conf {
namespace {

Position position(const toml::source_position& at) { return {at.line, at.column}; }

Value convert(const toml::node& node) {
  Value value;
  value.at = position(node.source().begin);
  switch (node.type()) {
    case toml::node_type::table:
      value.kind = Value::Kind::table;
      for (const auto& [key, below] : *node.as_table()) {
        value.entries.push_back({std::string(key.str()), position(key.source().begin), convert(below)});
      }
      break;
    case toml::node_type::array:
      value.kind = Value::Kind::list;
      for (const toml::node& item : *node.as_array()) value.items.push_back(convert(item));
      break;
    case toml::node_type::string:
      value.kind = Value::Kind::string;
      value.string = **node.as_string();
      break;
    case toml::node_type::integer:
      value.kind = Value::Kind::integer;
      value.integer = **node.as_integer();
      break;
    case toml::node_type::boolean:
      value.kind = Value::Kind::boolean;
      value.boolean = **node.as_boolean();
      break;
    case toml::node_type::floating_point:
      value.kind = Value::Kind::other_number;
      break;
    default:
      value.kind = Value::Kind::time;
  }
  return value;
}

// The parser's own words, without the number that some of them quote, and with what mostly helps.
std::string explain(std::string_view description) {
  std::string out = escaped(description);
  const bool quotes_a_number = out.find(" representable") != out.npos || out.find(" interpret") != out.npos;
  const size_t open = out.find('\''), close = out.rfind('\'');
  if (quotes_a_number && open != close) out.replace(open, close + 1 - open, "the number");
  for (const char* where : {"parsing value", "integer:", "floating-point:", "boolean:", "date:", "time:"}) {
    if (out.find(where) != out.npos) return out + "; a text value, such as \"30s\", stands in double quotes";
  }
  return out;
}

}  // namespace

const char* Value::kind_text() const {
  switch (kind) {
    case Kind::table:
      return "a table";
    case Kind::list:
      return "a list";
    case Kind::string:
      return "a string";
    case Kind::integer:
      return "an integer";
    case Kind::other_number:
      return "a number that is not an integer";
    case Kind::boolean:
      return "a boolean";
    case Kind::time:
      return "a date or time";
  }
  return "";
}

std::optional<Value> parse_document(std::string_view text, Findings& findings) {
  const toml::parse_result result = toml::parse(text);
  if (result) return convert(result.table());
  findings.record("", position(result.error().source().begin));
  findings.fault("", "is not TOML: " + explain(result.error().description()));
  return std::nullopt;
}

}  // namespace limpet::conf
