// The features of binned rows as dense inputs, which are computed as they are read.
#pragma once

#include <memory>

#include "chainrule/view.h"

namespace chainrule::python {

// The memory of the view must outlive the reader. Codes beyond their column's features are read like the highest code.
template <class T>
std::unique_ptr<RowReader<T>> binned_features(const BinnedView<T>& rows);

}  // namespace chainrule::python
