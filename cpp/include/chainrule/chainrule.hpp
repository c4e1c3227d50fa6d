// All of chainrule.
#pragma once

#include "chainrule/files.h"
#include "chainrule/network.h"
#include "chainrule/runtime.h"
#include "chainrule/table_model.h"
#include "chainrule/training.h"
