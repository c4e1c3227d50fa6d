// Shared by the parts of a training: the rows that it takes and the checks of its options (fit_options.cpp).
#pragma once

#include "chainrule/training.h"
#include "net/model.h"

namespace chainrule {

// The number of examples that a fit trains on.
template <class T>
Index row_count(const Examples<T>& examples, std::span<const Index> rows) {
  return rows.empty() ? examples.x.rows : static_cast<Index>(rows.size());
}

// The network as fit() trains it; throws std::invalid_argument for arguments that fit() refuses.
template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options);

// Refuses schedules without a length if a training goes on beyond the length of its first fit. For Python, where a rate
// that stays at its last value is always a mistake.
template <class T>
void check_lengths(const FitState<T>& state, const FitOptions<T>& options);

// Refuses a state of another network.
template <class T>
void check_state(const FitState<T>& state, Index parameters);

}  // namespace chainrule
