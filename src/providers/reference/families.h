// The families of reference functions: each file offers its operators as rows.
#pragma once

#include <span>

#include "providers/reference/call.h"

namespace linnet::reference {

std::span<const Row> AttentionRows();
std::span<const Row> ConvolutionRows();
std::span<const Row> ElementwiseRows();
std::span<const Row> IndexingRows();
std::span<const Row> LearningRows();
std::span<const Row> LossRows();
std::span<const Row> MatrixRows();
std::span<const Row> MicrosoftRows();
std::span<const Row> MovementRows();
std::span<const Row> NormalizationRows();
std::span<const Row> PoolRows();
std::span<const Row> QuantizationRows();
std::span<const Row> RecurrentRows();
std::span<const Row> ReductionRows();
std::span<const Row> RegionRows();
std::span<const Row> ResizeRows();
std::span<const Row> SelectionRows();
std::span<const Row> SignalRows();
std::span<const Row> TreeRows();

}  // namespace linnet::reference
