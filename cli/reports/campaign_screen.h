// What the live screen of a campaign says, as text.
#ifndef CROSSCHECK_CLI_REPORTS_CAMPAIGN_SCREEN_H_
#define CROSSCHECK_CLI_REPORTS_CAMPAIGN_SCREEN_H_

#include <string>
#include <string_view>

#include "fuzz/campaign/supervisor.h"

namespace crosscheck {

std::string Headline(const CampaignStatus& status);    // how far it is
std::string SearchLine(const CampaignStatus& status);  // what the search has seen and uses

// The whole screen, line by line: at most `columns` wide and `rows` high.
std::string ScreenText(const CampaignStatus& status, int columns, int rows);

// How many rows of a terminal of `columns` a text takes: a terminal that became narrower breaks
// lines that were drawn before.
int RowsOf(std::string_view text, int columns);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_CAMPAIGN_SCREEN_H_
