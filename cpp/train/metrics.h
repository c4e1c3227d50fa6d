// Scores of predictions: what validation is asked for beside the cost.
#pragma once

#include "chainrule/training.h"

namespace chainrule {

// Of m predictions (after the output activation) for the targets of the rows that rows[0..m) names, or, where it is
// null, the first m. NaN where the score is undefined: ScoreTraits::undefined.
template <class T>
double score(Score score, Loss loss, MatrixView<const T> predictions, const Examples<T>& examples, const Index* rows);

// What fit() asks: a score that suits the loss.
void check_score(Score score, Loss loss);

}  // namespace chainrule
