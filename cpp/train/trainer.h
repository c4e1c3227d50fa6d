// Functions shared by fit and fit_many: the number of rows, and the checks of the options (fit_options.cpp).
#pragma once

#include "chainrule/training.h"
#include "net/model.h"

namespace chainrule {

// The number of examples that a fit trains on.
template <class T>
Index row_count(const Examples<T>& examples, std::span<const Index> rows) {
  return rows.empty() ? examples.x.rows : static_cast<Index>(rows.size());
}

// Returns the model that fit() trains. Throws std::invalid_argument for arguments that fit() refuses.
template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options);

// Refuses schedules without a length if a resumed training goes beyond the length of its first fit. Only Python calls
// this; C++ keeps the last factor instead.
template <class T>
void check_lengths(const FitState<T>& state, const FitOptions<T>& options);

// Refuses a state that does not fit the network.
template <class T>
void check_state(const FitState<T>& state, Index parameters);

}  // namespace chainrule
