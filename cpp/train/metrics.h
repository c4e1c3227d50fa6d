// Scores of predictions: what validation is asked for beside the cost.
#pragma once

#include "chainrule/training.h"

namespace chainrule {

// Of m predictions (after the output activation) for the targets of the rows that rows[0..m) names, or, where it is
// null, the first m. NaN where a score has no meaning: an area under the curve of one class, an R² of equal
// targets.
template <class T>
double score(Score score, Loss loss, MatrixView<const T> predictions, const Examples<T>& examples, const Index* rows);

bool more_is_better(Score score);

// What fit() asks: a score that suits the loss.
void check_score(Score score, Loss loss);

}  // namespace chainrule
