// LSTM: long short-term memory over a sequence (versions 1, 7, 14, 22; layout since 14). lstm_cell.h has the formulas.
#include "ops/lstm_cell.h"
#include "ops/recurrent.h"

namespace linnet {

LINNET_OP(LSTM, 1, Recurrent<LstmCell>);
LINNET_INTERNAL_OP(LSTM, 1, Recurrent<LstmCell, true>);

}  // namespace linnet
