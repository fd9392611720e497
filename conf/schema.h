// Every key that the file may hold: its name, what is accepted, and the field it fills.
#pragma once

#include "conf/reader.h"
#include "conf/settings.h"

namespace limpet::conf {

const Keys<Settings>& settings_keys();

}  // namespace limpet::conf
