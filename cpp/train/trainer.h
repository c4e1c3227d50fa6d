// Functions shared by fit and fit_many: the number of rows, and the checks of the options (fit_options.cpp).
#pragma once

#include <functional>

#include "chainrule/training.h"
#include "net/model.h"

namespace chainrule {

// The number of examples that a fit trains on.
template <class T>
Index row_count(const Examples<T>& examples, std::span<const Index> rows) {
  return rows.empty() ? examples.x.rows : static_cast<Index>(rows.size());
}

// Returns the model that fit() trains. Throws std::invalid_argument for arguments that fit() rejects.
template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options);

// Prepares a fit. Each call of the result trains for `epochs` more epochs, unless a criterion has ended the fit,.
// options.poll is ignored. options.history must be set. While the result exists, no other call can train the network.
template <class T>
std::function<void(int epochs)> prepare_fit(Network<T>& network, const Examples<T>& examples,
                                            const FitOptions<T>& options);

// Throws std::invalid_argument if a schedule has no length and a resumed fit continues beyond the length of the first
// one. Only Python calls this; in C++, the factor then stays at its last value.
template <class T>
void check_lengths(const FitState<T>& state, const FitOptions<T>& options);

// Throws std::invalid_argument if the state does not match the network.
template <class T>
void check_state(const FitState<T>& state, Index parameters);

}  // namespace chainrule
