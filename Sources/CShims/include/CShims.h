#pragma once
#include <string.h>
#include "kernels.h"
#include "lanes.h"
#include "system.h"
#include "tables.h"
