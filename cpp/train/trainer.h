// What the parts of a training share: which rows it takes, and which options it refuses (fit_options.cpp).
#pragma once

#include "chainrule/training.h"
#include "net/model.h"

namespace chainrule {

// The rows of the examples that a fit takes.
template <class T>
Index row_count(const Examples<T>& examples, std::span<const Index> rows) {
  return rows.empty() ? examples.x.rows : static_cast<Index>(rows.size());
}

// The network as fit() trains it, or std::invalid_argument for what fit() refuses.
template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options);

// Refuses schedules without a length where a training goes on beyond that of its first fit: Python does, where a rate
// that stays at its end is always a mistake.
template <class T>
void check_lengths(const FitState<T>& state, const FitOptions<T>& options);

// Refuses a state of another network.
template <class T>
void check_state(const FitState<T>& state, Index parameters);

}  // namespace chainrule
