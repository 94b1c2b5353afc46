// The stages of a model by the taps behind them: the one table of their names
// (docs/localisation.md).
#ifndef CROSSCHECK_PROPERTIES_JUDGES_STAGE_NAMES_H_
#define CROSSCHECK_PROPERTIES_JUDGES_STAGE_NAMES_H_

#include <string>
#include <string_view>

#include "properties/judges/stage_errors.h"

namespace crosscheck {

// Taps that the localiser asks for by name.
inline constexpr char kLogits[] = "logits";
inline constexpr char kFinalNorm[] = "final_norm";
inline constexpr char kRouter[] = "moe.router_logits";
inline constexpr char kSelected[] = "moe.selected";

// Whether the table has this tap. Others (attn.probs, gdn.q_hat, …) are parts of a stage.
bool IsStage(std::string_view tap);

// The place of a tap of the table in the order of computation of a layer; `final_norm` and `logits`
// come last.
int StageOrder(std::string_view tap);

// The name of the stage that ends at this tap of the table, given what else the engine taps: where
// it does not tap the stage's inputs, the stage reaches further back and has a coarser name.
std::string StageName(int layer, std::string_view tap, const Tapped& engine);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_STAGE_NAMES_H_
