"""What can be checked of Salesforce: the status object as our user sees it, and the day's allowance of calls."""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Limit, Metadata, Permission

STATUS: Final = "/services/data/v67.0/sobjects/Tieout_Status__c"

CHECKS = Checks(
    permissions=(Permission("may read Tieout_Status__c", STATUS),),
    limits=(Limit("calls of the day", "sforce-limit-info", r"api-usage=(?P<used>\d+)/(?P<of>\d+)"),),
    metadata=(Metadata("status", "upsert", f"{STATUS}/describe", members=("fields",), named="name"),),
)
