"""Field names of NetSuite's sales orders and journal entries, by kind of value (see `netsuite_fields`).

Facts from the vendor's REST API browser (2026.1).
"""

from __future__ import annotations

SALES_ORDER: dict[str, str] = {
    "other": (
        "links billCountry billingAddress shippingAddress intercoStatus source sourceSystem "
        "accountingBookDetail appliedRules partners promotions salesTeam shipGroup taxDetails orderStatus "
        "status paymentOperation item"
    ),
    "string": (
        "abbrevType billAddr1 billAddr2 billAddr3 billAddress billAddressee billAttention billCity "
        "billOverride billPhone billState billZip billingAddress_text contribPct deletionReasonMemo email "
        "entityTaxRegNum externalId fax id memo message muccPromoCodeInstance originator otherRefNum "
        "promoCodePluginImpl refName revCommitStatus revCommitStatusDescr revenueStatus revenueStatusDescr "
        "shipAddress shippingAddress_text storeOrder subsidiaryTaxRegNum tranId transactionNumber createdDate "
        "lastModifiedDate outputAuthCode outputReferenceCode payPalAuthId payPalTranId vatRegNum "
        "thirdPartyAcct webStore"
    ),
    "number": (
        "altHandlingCost altShippingCost discountAmount discountRate discountTotal estGrossProfit "
        "estGrossProfitPercent exchangeRate handlingCost handlingTax1Rate handlingTax2Rate handlingTaxAmount "
        "recognizedRevenue deferredRevenue shippingCost shippingTax1Rate shippingTax2Rate shippingTaxAmount "
        "subtotal tax2Total taxRate taxTotal total totalAfterTaxes totalCostEstimate netAltSalesTotal oneTime "
        "paymentsDue recurAnnually recurMonthly recurQuarterly recurWeekly requiredDepositAmount "
        "requiredDepositDue requiredDepositPercentage overrideShippingCost"
    ),
    "boolean": (
        "canHaveStackable excludeCommission excludeFromGLNumbering isMultiShipTo isTaxable recurringBill "
        "revRecOnRevCommitment shipIsResidential shipOverride shippingCostOverridden syncPartnerTeams "
        "syncSalesTeams taxDetailsOverride taxPointDateOverride taxRegOverride toBeEmailed toBeFaxed "
        "toBePrinted tranIsVsoeBundle needsPick needsRevCommitment ordRevCommitted shipComplete vsoeAutoCalc"
    ),
    "date": (
        "discountDate dueDate endDate prevDate salesEffectiveDate shipDate startDate taxPointDate tranDate "
        "nextBill saasCommitmentStartDate saasCommitmentEndDate"
    ),
    "integer": ("number"),
    "reference": (
        "account billAddressList billingAccount class couponCode createdFrom currency customForm "
        "deletionReason department discountItem entity handlingTaxCode intercoTransaction job leadSource "
        "location messageSel nexus partner postingPeriod primaryBookBaseCurrency promoCode salesGroup "
        "salesRep shipAddressList shipMethod shippingTaxCode subsidiary taxItem terms opportunity orderType "
        "paymentOption paymentProcessingProfile salesChannel sourceWebSite transactionToRefund "
        "billingSchedule"
    ),
}

JOURNAL: dict[str, str] = {
    "other": ("links approvalStatus line accountingBookDetail appliedRules"),
    "string": (
        "deletionReasonMemo externalId id memo refName reversalEntry subsidiaryTaxRegNum tranId "
        "transactionNumber createdDate lastModifiedDate"
    ),
    "number": ("exchangeRate"),
    "boolean": (
        "approved excludeFromGLNumbering isBookSpecific isReversal reversalDefer taxDetailsOverride "
        "taxPointDateOverride taxRegOverride void"
    ),
    "date": ("reversalDate taxPointDate tranDate"),
    "reference": (
        "accountingBook batch class createdFrom currency customForm deletionReason department location "
        "nextApprover nexus parentExpenseAlloc postingPeriod primaryBookBaseCurrency subsidiary toSubsidiary"
    ),
}

JOURNAL_LINE: dict[str, str] = {
    "other": ("links scheduleType"),
    "string": ("amortizationType memo refName lineCreatedDate lineLastModifiedDate"),
    "number": (
        "baseGrossAmt credit creditTax debit debitTax grossAmt lineTaxRate residual tax1Amt taxBasis taxRate1 "
        "totalAmount"
    ),
    "boolean": ("cleared eliminate"),
    "date": ("clearedDate endDate startDate"),
    "integer": ("line"),
    "reference": (
        "account class department entity giftCertCode item lineTaxCode location revenueRecognitionRule "
        "schedule scheduleNum tax1Acct taxAccount taxCode"
    ),
}
