// All of chainrule.
#pragma once

#include "chainrule/network.h"
#include "chainrule/runtime.h"
#include "chainrule/training.h"
