package ledger

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// A class is what a status of TigerBeetle means to the box office. Both mappings below
// name every status of the client's release. A status that they do not name is
// classUnmapped, and handled as our fault.
type class uint8

const (
	classUnmapped class = iota
	// classApplied: it is in the books, by this request or an earlier one.
	classApplied
	// classLinked: another event of the same chain decided.
	classLinked
	// classRefused: the balance does not allow it. The id is burnt.
	classRefused
	// classBurnt: the id was refused before, and always will be. What that means depends
	// on what the transfer was for.
	classBurnt
	// classDiffers: the id is in the books with other contents.
	classDiffers
	// classPosted, classVoided, classExpired: what happened to the pending transfer. They
	// burn nothing: the pending transfer has ended, so the answer stays the same.
	classPosted
	classVoided
	classExpired
	// classNotFound: there is no such pending transfer. The id is burnt.
	classNotFound
	// classFault: a request that we must not make.
	classFault
)

// transferClass maps the outcome of a transfer. Which statuses burn the id is
// TigerBeetle's own list, "id_already_failed" in its reference of
// create_transfers: debit_account_not_found, credit_account_not_found,
// pending_transfer_not_found, exceeds_credits, exceeds_debits, and the two of
// closed accounts.
func transferClass(s tb.CreateTransferStatus) class {
	switch s {
	case tb.TransferCreated, tb.TransferExists:
		return classApplied
	case tb.TransferLinkedEventFailed:
		return classLinked
	case tb.TransferExceedsCredits:
		return classRefused
	case tb.TransferIDAlreadyFailed:
		return classBurnt
	case tb.TransferPendingTransferAlreadyPosted:
		return classPosted
	case tb.TransferPendingTransferAlreadyVoided:
		return classVoided
	case tb.TransferPendingTransferExpired:
		return classExpired
	case tb.TransferPendingTransferNotFound:
		return classNotFound

	case tb.TransferExistsWithDifferentFlags,
		tb.TransferExistsWithDifferentPendingID,
		tb.TransferExistsWithDifferentTimeout,
		tb.TransferExistsWithDifferentDebitAccountID,
		tb.TransferExistsWithDifferentCreditAccountID,
		tb.TransferExistsWithDifferentAmount,
		tb.TransferExistsWithDifferentUserData128,
		tb.TransferExistsWithDifferentUserData64,
		tb.TransferExistsWithDifferentUserData32,
		tb.TransferExistsWithDifferentLedger,
		tb.TransferExistsWithDifferentCode:
		return classDiffers

	// Accounts are confirmed before a transfer names them. No account is ever closed, and
	// none has credits_must_not_exceed_debits.
	case tb.TransferDebitAccountNotFound,
		tb.TransferCreditAccountNotFound,
		tb.TransferDebitAccountAlreadyClosed,
		tb.TransferCreditAccountAlreadyClosed,
		tb.TransferExceedsDebits:
		return classFault

	// Malformed.
	case tb.TransferLinkedEventChainOpen,
		tb.TransferTimestampMustBeZero,
		tb.TransferReservedFlag,
		tb.TransferIDMustNotBeZero,
		tb.TransferIDMustNotBeIntMax,
		tb.TransferFlagsAreMutuallyExclusive,
		tb.TransferDebitAccountIDMustNotBeZero,
		tb.TransferDebitAccountIDMustNotBeIntMax,
		tb.TransferCreditAccountIDMustNotBeZero,
		tb.TransferCreditAccountIDMustNotBeIntMax,
		tb.TransferAccountsMustBeDifferent,
		tb.TransferPendingIDMustBeZero,
		tb.TransferPendingIDMustNotBeZero,
		tb.TransferPendingIDMustNotBeIntMax,
		tb.TransferPendingIDMustBeDifferent,
		tb.TransferTimeoutReservedForPendingTransfer,
		tb.TransferClosingTransferMustBePending,
		tb.TransferLedgerMustNotBeZero,
		tb.TransferCodeMustNotBeZero,
		tb.TransferAccountsMustHaveTheSameLedger,
		tb.TransferTransferMustHaveTheSameLedgerAsAccounts:
		return classFault

	// A pending transfer that is not what we made it.
	case tb.TransferPendingTransferNotPending,
		tb.TransferPendingTransferHasDifferentDebitAccountID,
		tb.TransferPendingTransferHasDifferentCreditAccountID,
		tb.TransferPendingTransferHasDifferentLedger,
		tb.TransferPendingTransferHasDifferentCode,
		tb.TransferExceedsPendingTransferAmount,
		tb.TransferPendingTransferHasDifferentAmount:
		return classFault

	// Sums beyond 128 bits, timeouts beyond 63: domain's bounds forbid them.
	case tb.TransferOverflowsDebitsPending,
		tb.TransferOverflowsCreditsPending,
		tb.TransferOverflowsDebitsPosted,
		tb.TransferOverflowsCreditsPosted,
		tb.TransferOverflowsDebits,
		tb.TransferOverflowsCredits,
		tb.TransferOverflowsTimeout:
		return classFault

	// We import nothing.
	case tb.TransferImportedEventExpected,
		tb.TransferImportedEventNotExpected,
		tb.TransferImportedEventTimestampOutOfRange,
		tb.TransferImportedEventTimestampMustNotAdvance,
		tb.TransferImportedEventTimestampMustNotRegress,
		tb.TransferImportedEventTimestampMustPostdateDebitAccount,
		tb.TransferImportedEventTimestampMustPostdateCreditAccount,
		tb.TransferImportedEventTimeoutMustBeZero:
		return classFault
	}
	return classUnmapped
}

// accountClass maps the outcome of creating an account. No id is ever burnt.
func accountClass(s tb.CreateAccountStatus) class {
	switch s {
	case tb.AccountCreated, tb.AccountExists:
		return classApplied
	case tb.AccountLinkedEventFailed:
		return classLinked

	case tb.AccountExistsWithDifferentFlags,
		tb.AccountExistsWithDifferentUserData128,
		tb.AccountExistsWithDifferentUserData64,
		tb.AccountExistsWithDifferentUserData32,
		tb.AccountExistsWithDifferentLedger,
		tb.AccountExistsWithDifferentCode:
		return classDiffers

	case tb.AccountLinkedEventChainOpen,
		tb.AccountTimestampMustBeZero,
		tb.AccountReservedField,
		tb.AccountReservedFlag,
		tb.AccountIDMustNotBeZero,
		tb.AccountIDMustNotBeIntMax,
		tb.AccountFlagsAreMutuallyExclusive,
		tb.AccountDebitsPendingMustBeZero,
		tb.AccountDebitsPostedMustBeZero,
		tb.AccountCreditsPendingMustBeZero,
		tb.AccountCreditsPostedMustBeZero,
		tb.AccountLedgerMustNotBeZero,
		tb.AccountCodeMustNotBeZero,
		tb.AccountImportedEventExpected,
		tb.AccountImportedEventNotExpected,
		tb.AccountImportedEventTimestampOutOfRange,
		tb.AccountImportedEventTimestampMustNotAdvance,
		tb.AccountImportedEventTimestampMustNotRegress:
		return classFault
	}
	return classUnmapped
}
