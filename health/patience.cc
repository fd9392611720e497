#include "health/patience.h"
