// Scores of predictions: the metrics that are computed besides the validation cost.
#pragma once

#include "chainrule/training.h"

namespace chainrule {

// The score of m predictions (after the output activation) against the targets of the examples rows[0..m) or, if rows
// is null, the first m. NaN if the score is undefined: ScoreTraits::undefined.
template <class T>
double score(Score score, Loss loss, MatrixView<const T> predictions, const Examples<T>& examples, const Index* rows);

// The check that fit() makes: throws std::invalid_argument if the score does not suit the loss.
void check_score(Score score, Loss loss);

}  // namespace chainrule
