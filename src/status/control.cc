#include "src/status/control.h"

#include "conf/spelling.h"

namespace limpet::status {

Control::Done unknown(const std::string& what, const std::string& name,
                      const std::vector<std::string>& names) {
  return {false, 404, "no " + what + " " + conf::in_quotes(name) + "; " + conf::hint(name, names, '"')};
}

}  // namespace limpet::status
