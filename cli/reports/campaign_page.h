// The page of a campaign: what ran, what was judged, what was found, and whether the search was
// worth something.
#ifndef CROSSCHECK_CLI_REPORTS_CAMPAIGN_PAGE_H_
#define CROSSCHECK_CLI_REPORTS_CAMPAIGN_PAGE_H_

#include <string>

#include "cli/reports/html.h"
#include "fuzz/campaign/store.h"

namespace crosscheck {

// `workdir` is only shown.
std::string CampaignPage(const CampaignData& data, const std::string& workdir);

// Its sections, each in a form that says so when nothing was recorded.
Markup CampaignFindings(const CampaignData& data);
Markup CampaignCases(const CampaignData& data);
Markup CampaignOverTime(const CampaignData& data);
Markup CampaignMargins(const CampaignData& data);
Markup CampaignGenerator(const CampaignData& data);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_CAMPAIGN_PAGE_H_
