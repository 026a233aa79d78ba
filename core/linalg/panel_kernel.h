// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_PANEL_KERNEL_H_
#define ATTEND_CORE_LINALG_PANEL_KERNEL_H_

#include <cstdint>

#include "core/linalg/panel_product.h"

namespace attend::internal {

// The number of outputs whose weights of one word are adjacent in memory: as many as the
// kernel of this CPU keeps in registers. Divides kColumnBlock.
int64_t PanelWidth();

// Computes the product. Each output is a float32 sum in an order that sum_words alone
// decides, whichever rows are computed with it: the bits of a row of y depend on that row
// of x alone. Thread-safe, allocates nothing.
void RunPanelProduct(const PanelProduct& product);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_KERNEL_H_
