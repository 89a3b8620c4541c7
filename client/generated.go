// Code generated from the OpenAPI document by go generate ./client. DO NOT EDIT.

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// ActView is a schema of the document.
type ActView struct {
	// The operation's id in the OpenAPI document, or a command
	Act string    `json:"act"`
	At  time.Time `json:"at"`
	// The network it came from, as BOXOFFICE_LOG_SOURCE says
	From string `json:"from,omitempty"`
	ID   string `json:"id"`
	// What it was done to
	Path string `json:"path,omitempty"`
	// The X-Request-Id
	Request string `json:"request,omitempty"`
	// How it was answered; absent: it was not, and may have been done or not
	Status *int64 `json:"status,omitempty"`
	// The name of the token, see BOXOFFICE_ADMIN_TOKEN; operator:… for a command on a server
	Who string `json:"who"`
}

// ActsView is a schema of the document.
type ActsView struct {
	Acts []ActView `json:"acts"`
	// Pass it as before; absent on the last page
	Next string `json:"next,omitempty"`
}

// AdminOrderView is a schema of the document.
type AdminOrderView struct {
	// Minor units
	Amount int64 `json:"amount"`
	// held, once an attempt was declined: how many more there may be. If the last is declined too, the order fails
	AttemptsLeft *int64 `json:"attempts_left,omitempty"`
	Currency     string `json:"currency"`
	// Attempts to pay that were declined. They keep the seats: payment_url is good for another attempt until hold_expires_at
	Declines *int64 `json:"declines,omitempty"`
	// Empty if it was erased, or the order was restored and its address was lost
	Email string `json:"email"`
	// When the buyer's data was erased
	ErasedAt *time.Time `json:"erased_at,omitempty"`
	// What the sale says of itself now, without its description. Not in lists
	Facts *FactsBody `json:"facts,omitempty"`
	// held: when the checkout gives up
	HoldExpiresAt *time.Time `json:"hold_expires_at,omitempty"`
	// Whether name-holders can say who the tickets are for. Not in lists
	HoldersOpen *bool `json:"holders_open,omitempty"`
	// With holders_open: until when; absent: there is no end
	HoldersUntil *time.Time  `json:"holders_until,omitempty"`
	Items        []OrderItem `json:"items"`
	// As sent with the checkout
	Metadata map[string]string `json:"metadata,omitempty"`
	Order    string            `json:"order"`
	PaidAt   *time.Time        `json:"paid_at,omitempty"`
	// The provider's id of the captured payment; free/ and the order where there was nothing to pay
	Payment string `json:"payment"`
	// held: the provider's id of this payment session
	PaymentSession string `json:"payment_session,omitempty"`
	// held: where to pay; absent if the order costs nothing: it is paid by itself, at once
	PaymentURL string `json:"payment_url,omitempty"`
	// paid: whether the order got the sale's perk
	Perk *OrderPerk `json:"perk,omitempty"`
	// held, after hold_expires_at: a payment is being processed, and the seats are kept until seats_kept_until
	Processing  *bool      `json:"processing,omitempty"`
	RefundedAt  *time.Time `json:"refunded_at,omitempty"`
	RefundingAt *time.Time `json:"refunding_at,omitempty"`
	// Disputes of the order's payments, and refunds of them that somebody made at the provider. The tickets stay valid until you refund or cancel the order; what went back so is then not given back again
	Reversals []ReversalView `json:"reversals,omitempty"`
	Sale      string         `json:"sale"`
	// The organiser canceled the whole sale; the money goes back
	SaleCanceledAt *time.Time `json:"sale_canceled_at,omitempty"`
	SaleName       string     `json:"sale_name"`
	// held, if the sale has processing_seconds: until when the seats are kept if a payment is being processed
	SeatsKeptUntil *time.Time `json:"seats_kept_until,omitempty"`
	Status         string     `json:"status"`
	// paid: one ticket per person
	Tickets []Ticket `json:"tickets,omitempty"`
	// refunding, refunded: the tickets that let nobody in any more
	VoidTickets []Ticket `json:"void_tickets,omitempty"`
}

// AskBody is a schema of the document.
type AskBody struct {
	// The address that the orders were made with
	Email string `json:"email"`
}

// AskedView is a schema of the document.
type AskedView struct {
	// The orders of the address are mailed to it, if there are any
	Sent string `json:"sent"`
}

// AuditBrokenData is a schema of the document.
type AuditBrokenData struct {
	Invariant string    `json:"invariant"`
	Listed    []string  `json:"listed,omitempty"`
	Offenders int64     `json:"offenders"`
	Sale      string    `json:"sale,omitempty"`
	Says      string    `json:"says,omitempty"`
	Since     time.Time `json:"since"`
	Subject   string    `json:"subject,omitempty"`
	ToDo      string    `json:"to_do,omitempty"`
}

// AuditCounts is a schema of the document.
type AuditCounts struct {
	Broken   int64 `json:"broken"`
	InFlight int64 `json:"in_flight"`
	Waiting  int64 `json:"waiting"`
	Warning  int64 `json:"warning"`
}

// AuditHealedData is a schema of the document.
type AuditHealedData struct {
	Invariant string    `json:"invariant"`
	Listed    []string  `json:"listed,omitempty"`
	Offenders int64     `json:"offenders"`
	Sale      string    `json:"sale,omitempty"`
	Says      string    `json:"says,omitempty"`
	Since     time.Time `json:"since"`
	Subject   string    `json:"subject,omitempty"`
	ToDo      string    `json:"to_do,omitempty"`
}

// AuditOffender is a schema of the document.
type AuditOffender struct {
	ID      string `json:"id"`
	Order   string `json:"order,omitempty"`
	Verdict string `json:"verdict"`
	What    string `json:"what"`
}

// AuditReport is a schema of the document.
type AuditReport struct {
	At time.Time `json:"at"`
	// Sources that did not answer; results that need them have no verdict
	CouldNotLook []AuditUnreadSource `json:"could_not_look,omitempty"`
	// How many passes were made: 2 if something looked wrong in the first
	Looks   int64         `json:"looks"`
	Results []AuditResult `json:"results"`
	// Absent in the report of what belongs to no sale
	Sale string `json:"sale,omitempty"`
	// The worst verdict of the results
	Verdict string `json:"verdict"`
}

// AuditResult is a schema of the document.
type AuditResult struct {
	// Counts of all offenders, listed or not
	Counts AuditCounts `json:"counts"`
	// I1 … I9, L
	ID   string    `json:"id"`
	Left AuditSide `json:"left"`
	// At most 20, the worst first
	Offenders []AuditOffender `json:"offenders,omitempty"`
	// How left should relate to right
	Relation string    `json:"relation"`
	Right    AuditSide `json:"right"`
	Says     string    `json:"says"`
	// The stock or event that this result is about
	Subject string `json:"subject,omitempty"`
	// Present if the verdict is waiting or worse
	ToDo string `json:"to_do,omitempty"`
	// Why there is no verdict; left and right then mean nothing
	Unread  []string `json:"unread,omitempty"`
	Verdict string   `json:"verdict"`
}

// AuditSide is a schema of the document.
type AuditSide struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// AuditUnreadSource is a schema of the document.
type AuditUnreadSource struct {
	Source string `json:"source"`
	Why    string `json:"why"`
}

// BatchView is a schema of the document.
type BatchView struct {
	Batch string `json:"batch"`
	Kind  string `json:"kind"`
	Made  int64  `json:"made"`
	// How many places they are good for in total
	Places  int64 `json:"places"`
	Revoked int64 `json:"revoked"`
	// Places that were taken with them
	Taken int64 `json:"taken"`
}

// BatchesView is a schema of the document.
type BatchesView struct {
	Batches []BatchView `json:"batches"`
}

// BeaconView is a schema of the document.
type BeaconView struct {
	// When that round comes out
	At time.Time `json:"at"`
	// The chain's hash, hex
	Chain string `json:"chain"`
	// The round that was named before anybody joined
	NamedRound int64 `json:"named_round"`
	// SHA-256 of the signature, hex
	Randomness string `json:"randomness,omitempty"`
	// The round that is used: a later one if the list was closed too late
	Round int64 `json:"round"`
	// The chain's, hex
	Signature string `json:"signature,omitempty"`
}

// BuyerErasedData is a schema of the document.
type BuyerErasedData struct {
	ErasedAt time.Time `json:"erased_at"`
	Order    string    `json:"order"`
	Sale     string    `json:"sale"`
}

// CancelCheckoutsView is a schema of the document.
type CancelCheckoutsView struct {
	// Since the cancellation was asked for
	Canceled int64 `json:"canceled"`
	// To be canceled
	Open int64 `json:"open"`
}

// CancelOrdersView is a schema of the document.
type CancelOrdersView struct {
	Refunded int64 `json:"refunded"`
	// Orders whose money the provider has not given back yet
	Refunding int64 `json:"refunding"`
	// Orders whose refund has not begun
	ToRefund int64 `json:"to_refund"`
}

// CancelTicketsView is a schema of the document.
type CancelTicketsView struct {
	Held int64 `json:"held"`
	Sold int64 `json:"sold"`
}

// CancelWaitView is a schema of the document.
type CancelWaitView struct {
	Attempts *int64 `json:"attempts,omitempty"`
	Order    string `json:"order"`
	// The last failure. It is retried without end
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Its id in Temporal
	Workflow string `json:"workflow"`
}

// CancellationView is a schema of the document.
type CancellationView struct {
	Checkouts CancelCheckoutsView `json:"checkouts"`
	// When nothing was held, sold or owed any longer
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Payments that arrived after their checkout ended and are not refunded yet
	LatePayments int64            `json:"late_payments"`
	Orders       CancelOrdersView `json:"orders"`
	Sale         string           `json:"sale"`
	// releasing: checkouts are still open; refunds have begun nevertheless
	Stage     string    `json:"stage"`
	StartedAt time.Time `json:"started_at"`
	// What is not back in the ledger yet
	Tickets CancelTicketsView `json:"tickets"`
	// When the counts were taken
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	// Some of those whose last attempt failed; those that wait longest come first
	Waiting []CancelWaitView `json:"waiting"`
}

// CapacityBody is a schema of the document.
type CapacityBody struct {
	// Tickets of the class from now on, those that are held and sold included
	Capacity int64 `json:"capacity"`
}

// CapacityView is a schema of the document.
type CapacityView struct {
	Before    int64     `json:"before"`
	Capacity  int64     `json:"capacity"`
	ChangedAt time.Time `json:"changed_at"`
	Class     string    `json:"class"`
	Sale      string    `json:"sale"`
}

// ChallengeView is a schema of the document.
type ChallengeView struct {
	Challenge string `json:"challenge"`
	// Solving takes about 2 to the power of this number of attempts
	DifficultyBits int64     `json:"difficulty_bits"`
	ExpiresAt      time.Time `json:"expires_at"`
}

// ChangeClassBody is a schema of the document.
type ChangeClassBody struct {
	Class string `json:"class"`
	// What people call it; empty: its id
	Label string `json:"label,omitempty"`
	// Tickets of the class in one order; 0: as many as a buyer may have
	MaxPerOrder *int64 `json:"max_per_order,omitempty"`
	// When the class is sold, within the sale's window. Replaces opens_at and closes_at; {}: as long as the sale is open
	Window *WindowBody `json:"window,omitempty"`
}

// ChangeSaleBody is a schema of the document.
type ChangeSaleBody struct {
	// For how many days after the sale's end the data of its buyers are kept; 0: until they are erased on request
	BuyersKeptDays *int64 `json:"buyers_kept_days,omitempty"`
	// Classes that are not named stay as they are
	Classes []ChangeClassBody `json:"classes,omitempty"`
	// Replaces all facts: send the ones that stay too
	Facts *FactsBody `json:"facts,omitempty"`
	Name  string     `json:"name,omitempty"`
	// When the sale takes orders. Replaces opens_at and closes_at: send the one that stays too. What is held already goes on
	Window *WindowBody `json:"window,omitempty"`
}

// ChangeWebhookEndpointBody is a schema of the document.
type ChangeWebhookEndpointBody struct {
	Description string `json:"description,omitempty"`
	// false: nothing is sent, and pending events are given up. true: events from now on are sent; use redeliver for those that it missed
	Enabled *bool `json:"enabled,omitempty"`
	// Only these types from now on; empty: all
	Types []string `json:"types,omitempty"`
	// A new URL. Pending events are sent there
	URL string `json:"url,omitempty"`
}

// CheckoutBody is a schema of the document.
type CheckoutBody struct {
	Buyer CheckoutBuyer `json:"buyer"`
	// The code that opens a hidden class of the order, as the organiser gave it out. The order uses it once, for as long as it holds or has its tickets
	Code  string         `json:"code,omitempty"`
	Items []CheckoutItem `json:"items"`
	// Notes for systems of your own, such as a cart's number: up to 16 keys of 1–40 letters, digits, _ . -, with text of up to 500 bytes each, 2048 bytes in all. It is returned with the order and its events. Put no personal data there
	Metadata map[string]string `json:"metadata,omitempty"`
}

// CheckoutBuyer is a schema of the document.
type CheckoutBuyer struct {
	Email string `json:"email"`
}

// CheckoutCanceledData is a schema of the document.
type CheckoutCanceledData struct {
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Lines       []Line `json:"lines"`
	Order       string `json:"order"`
	Sale        string `json:"sale"`
}

// CheckoutExpiredData is a schema of the document.
type CheckoutExpiredData struct {
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Lines       []Line `json:"lines"`
	Order       string `json:"order"`
	Sale        string `json:"sale"`
}

// CheckoutFailedData is a schema of the document.
type CheckoutFailedData struct {
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Lines       []Line `json:"lines"`
	Order       string `json:"order"`
	Sale        string `json:"sale"`
}

// CheckoutItem is a schema of the document.
type CheckoutItem struct {
	Class    string `json:"class"`
	Quantity int64  `json:"quantity"`
}

// CheckoutView is a schema of the document.
type CheckoutView struct {
	// Minor units
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	// When the checkout gives up
	HoldExpiresAt time.Time `json:"hold_expires_at"`
	// As sent with the checkout
	Metadata map[string]string `json:"metadata,omitempty"`
	Order    string            `json:"order"`
	// The provider's id of this payment session; empty if there is none until the buyer opens payment_url, or the amount is 0
	PaymentSession string `json:"payment_session"`
	// Where to pay; empty if the amount is 0: the order is then paid by itself, at once
	PaymentURL string `json:"payment_url"`
	Status     string `json:"status"`
	// Bearer token of the order. Anybody who has it can see and cancel the order
	Token string `json:"token"`
}

// ClassCodeUsesView is a schema of the document.
type ClassCodeUsesView struct {
	// Codes that were made
	Codes int64 `json:"codes"`
	// Uses of orders that wait for their payment; they may come back
	Held int64 `json:"held"`
	// Uses of paid orders, without those that were refunded
	Used int64 `json:"used"`
	// How many orders they are good for together
	Uses int64 `json:"uses"`
}

// ClassCodesView is a schema of the document.
type ClassCodesView struct {
	// The created codes. This is the only time that you see them: only keyed hashes are stored
	Codes []string `json:"codes,omitempty"`
	// How many codes are new. Your own codes that existed already are unchanged and not counted
	Made int64 `json:"made"`
	// How many orders may use each
	Uses int64 `json:"uses"`
}

// ClassFiguresView is a schema of the document.
type ClassFiguresView struct {
	Class string `json:"class"`
	// What they cost
	GrossMinor int64 `json:"gross_minor"`
	// Tickets that were sold, valid or not
	Sold int64 `json:"sold"`
	// Tickets of them that are void, because their order is refunded
	Voided int64 `json:"voided"`
}

// ClassTerms is a schema of the document.
type ClassTerms struct {
	ClosesAt    *time.Time `json:"closes_at,omitempty"`
	MaxPerOrder *int64     `json:"max_per_order,omitempty"`
	OpensAt     *time.Time `json:"opens_at,omitempty"`
}

// ClassView is a schema of the document.
type ClassView struct {
	Available int64  `json:"available"`
	Capacity  int64  `json:"capacity"`
	Class     string `json:"class"`
	// When its own window closes
	ClosesAt *time.Time `json:"closes_at,omitempty"`
	// Held by open checkouts; may come back
	Held int64 `json:"held"`
	// Only who has a code sees and gets it
	Hidden *bool `json:"hidden,omitempty"`
	// What people call it; absent: its id
	Label string `json:"label,omitempty"`
	// Tickets of this class in one order; absent: as many as a buyer may have
	MaxPerOrder *int64 `json:"max_per_order,omitempty"`
	// Whether this class is sold while the sale is open: its own window
	Open bool `json:"open"`
	// When its own window opens
	OpensAt *time.Time `json:"opens_at,omitempty"`
	// Minor units
	Price int64 `json:"price"`
	Sold  int64 `json:"sold"`
}

// CodesView is a schema of the document.
type CodesView struct {
	Batch string `json:"batch"`
	// The created codes. This is the only time that you see them: only keyed hashes are stored
	Codes []string `json:"codes,omitempty"`
	// How many codes are new. Imported codes that existed already are unchanged and not counted
	Made   int64 `json:"made"`
	Places int64 `json:"places"`
}

// ConfigureBody is a schema of the document.
type ConfigureBody struct {
	// true: nobody is admitted until it is false again. People who were admitted stay admitted
	Paused *bool `json:"paused,omitempty"`
	// Maximum admissions per second
	RateCeiling *float64 `json:"rate_ceiling,omitempty"`
	// Minimum admissions per second, whatever the load
	RateFloor *float64 `json:"rate_floor,omitempty"`
}

// ConfiguredView is a schema of the document.
type ConfiguredView struct {
	// How many places have had their turn
	Admitted int64          `json:"admitted"`
	Draw     DrawRecordView `json:"draw"`
	// How many places were given out
	Joined int64 `json:"joined"`
	Paused bool  `json:"paused"`
	// Current admissions per second
	Rate        float64 `json:"rate"`
	RateCeiling float64 `json:"rate_ceiling"`
	RateFloor   float64 `json:"rate_floor"`
	Sale        string  `json:"sale"`
	Status      string  `json:"status"`
	// How many places are not admitted yet
	Waiting int64 `json:"waiting"`
}

// CreateClassBody is a schema of the document.
type CreateClassBody struct {
	Capacity int64  `json:"capacity"`
	Class    string `json:"class"`
	// Nothing new of the class is held from then on; absent: as long as the sale is open
	ClosesAt *time.Time `json:"closes_at,omitempty"`
	// Only who has a code sees and gets it. It stays so
	Hidden *bool `json:"hidden,omitempty"`
	// What people call it; absent: its id
	Label string `json:"label,omitempty"`
	// Tickets of the class in one order; absent: as many as a buyer may have
	MaxPerOrder *int64 `json:"max_per_order,omitempty"`
	// The class is sold from then on, if the sale is open; absent: as long as the sale is
	OpensAt *time.Time `json:"opens_at,omitempty"`
	// Minor units; 0: free. An order of 0 in all needs no payment provider
	Price int64 `json:"price"`
}

// CreatePerkBody is a schema of the document.
type CreatePerkBody struct {
	Capacity int64  `json:"capacity"`
	Name     string `json:"name"`
}

// CreateQueueBody is a schema of the document.
type CreateQueueBody struct {
	// Maximum admissions per second
	RateCeiling *float64 `json:"rate_ceiling,omitempty"`
	// Minimum admissions per second, whatever the load
	RateFloor *float64 `json:"rate_floor,omitempty"`
	// Another party's commitment to a number that goes into the draw instead of a beacon's: hex SHA-256 of its 32 bytes and the sale's id. That party reveals the number once the list is closed
	WitnessCommitment string `json:"witness_commitment,omitempty"`
}

// CreateSaleBody is a schema of the document.
type CreateSaleBody struct {
	// Tickets per buyer; absent: 8
	BuyerLimit *int64 `json:"buyer_limit,omitempty"`
	// For how many days after the sale's end the data of its buyers are kept, then they are erased; absent: until they are erased on request
	BuyersKeptDays *int64 `json:"buyers_kept_days,omitempty"`
	// When the money is taken. automatic: the moment the buyer pays. after_seats: the buyer's payment authorises it, and it is captured once the seats are sold; what comes too late is released, and nothing was taken. Absent: automatic
	Capture string            `json:"capture,omitempty"`
	Classes []CreateClassBody `json:"classes"`
	// From then on nothing new is held; what is held can still be paid. Absent: it does not close
	ClosesAt *time.Time `json:"closes_at,omitempty"`
	// ISO 4217
	Currency string `json:"currency"`
	// With waiting_room: what people need to join the queue. Absent: nothing, everybody may join
	Entitlement *EntitlementRuleBody `json:"entitlement,omitempty"`
	// What people should know of what is sold
	Facts *FactsBody `json:"facts,omitempty"`
	// Whether the aliases of one mailbox (name+tag, full stops at providers that ignore them, googlemail.com) are one buyer; absent: no, every address is its own buyer
	FoldEmailAliases *bool `json:"fold_email_aliases,omitempty"`
	// How long a checkout waits for its payment; absent: 600
	HoldSeconds *int64 `json:"hold_seconds,omitempty"`
	// 1–63 lower-case letters, digits, hyphens
	ID   string `json:"id"`
	Name string `json:"name"`
	// Whether a buyer may have only one unpaid checkout at a time; absent: the same as waiting_room
	OneCheckoutPerBuyer *bool `json:"one_checkout_per_buyer,omitempty"`
	// Absent: at once
	OpensAt *time.Time `json:"opens_at,omitempty"`
	// An extra for the first paid orders
	Perk *CreatePerkBody `json:"perk,omitempty"`
	// How much longer than hold_seconds the seats are kept while a payment is being processed, such as a bank debit or a voucher; buyers are then offered such methods, as long as the event starts later. Needs a provider that has them, and capture automatic. Absent: only methods whose payment is decided at once
	ProcessingSeconds *int64 `json:"processing_seconds,omitempty"`
	// The name of a configured payment provider; absent: the first one
	Provider string `json:"provider,omitempty"`
	// With waiting_room: how fast people may be let in, and who witnesses the draw
	Queue *CreateQueueBody `json:"queue,omitempty"`
	// Buyers queue and are let in as fast as checkouts go through
	WaitingRoom *bool `json:"waiting_room,omitempty"`
}

// CreateWebhookEndpointBody is a schema of the document.
type CreateWebhookEndpointBody struct {
	// For people
	Description string `json:"description,omitempty"`
	// Only events of this sale and its orders; absent: of all sales
	Sale string `json:"sale,omitempty"`
	// Only these event types; absent or empty: all, including types of later releases
	Types []string `json:"types,omitempty"`
	// Where to send events: an https URL of a public address. It may contain a key, because only the organiser sees it
	URL string `json:"url"`
}

// DisputeClosedData is a schema of the document.
type DisputeClosedData struct {
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	HappenedAt  time.Time `json:"happened_at"`
	ID          string    `json:"id"`
	Order       string    `json:"order"`
	Payment     string    `json:"payment"`
	Reason      string    `json:"reason,omitempty"`
	Sale        string    `json:"sale,omitempty"`
	State       string    `json:"state"`
}

// DrawRecordView is a schema of the document.
type DrawRecordView struct {
	Beacon *BeaconView `json:"beacon,omitempty"`
	// When the list was closed
	ClosedAt *time.Time `json:"closed_at,omitempty"`
	// Hex SHA-256 that commits to the seed before anybody has joined
	Commitment string     `json:"commitment"`
	DrawnAt    *time.Time `json:"drawn_at,omitempty"`
	// When the places are drawn; absent once they are
	DueAt *time.Time `json:"due_at,omitempty"`
	// When its root was published
	PublishedAt *time.Time `json:"published_at,omitempty"`
	// version 2: the Merkle root (RFC 6962) of the list of joins, hex; absent before the list is closed
	Root string `json:"root,omitempty"`
	// The seed behind commitment, hex; absent before the draw
	Seed string `json:"seed,omitempty"`
	// How many take part; absent before the list is closed
	Size *int64 `json:"size,omitempty"`
	// The source of a number that goes into the draw and that nobody has before the list is closed. none: there is no such number, so the operator could know the result beforehand
	Source string `json:"source"`
	// closed: the list of participants is final, and the places are about to be drawn. delayed: the source's number is overdue, and nobody is let in until it is there
	State string `json:"state"`
	// How the places are drawn: 1 by the seed alone; 2 by the seed, the list of joins and its source. See docs/waiting-room.md
	Version int64 `json:"version"`
	// The source's number did not come, and the organiser chose to draw without it
	Waived  *bool        `json:"waived,omitempty"`
	Waiver  *WaiverView  `json:"waiver,omitempty"`
	Witness *WitnessView `json:"witness,omitempty"`
}

// DrawView is a schema of the document.
type DrawView struct {
	// Hex SHA-256 that commits to the seed before anybody has joined
	Commitment string `json:"commitment"`
	// When the places are drawn; absent once they are
	DueAt *time.Time `json:"due_at,omitempty"`
	// version 2: the Merkle root (RFC 6962) of the list of joins, hex; absent before the list is closed
	Root string `json:"root,omitempty"`
	// The seed behind commitment, hex; absent before the draw
	Seed string `json:"seed,omitempty"`
	// How many take part; absent before the list is closed
	Size *int64 `json:"size,omitempty"`
	// The source of a number that goes into the draw and that nobody has before the list is closed. none: there is no such number, so the operator could know the result beforehand
	Source string `json:"source"`
	// closed: the list of participants is final, and the places are about to be drawn. delayed: the source's number is overdue, and nobody is let in until it is there
	State string `json:"state"`
	// How the places are drawn: 1 by the seed alone; 2 by the seed, the list of joins and its source. See docs/waiting-room.md
	Version int64 `json:"version"`
	// The source's number did not come, and the organiser chose to draw without it
	Waived *bool `json:"waived,omitempty"`
}

// EntitlementBody is a schema of the document.
type EntitlementBody struct {
	// The signed token
	Invitation string `json:"invitation,omitempty"`
	// The code as the organiser gave it out; case, spaces and hyphens do not matter
	PresaleCode string `json:"presale_code,omitempty"`
}

// EntitlementRuleBody is a schema of the document.
type EntitlementRuleBody struct {
	// An invitation that the organiser signed. This is their Ed25519 public key, 32 bytes in base64url
	InvitationKey string `json:"invitation_key,omitempty"`
	// A code that the organiser gave out
	PresaleCodes *bool `json:"presale_codes,omitempty"`
}

// ErasureBody is a schema of the document.
type ErasureBody struct {
	// The buyer's address, in any spelling of the same mailbox
	Email string `json:"email,omitempty"`
	// Or these orders alone: what an earlier answer listed, after a backup was restored
	Orders []string `json:"orders,omitempty"`
}

// ErasureView is a schema of the document.
type ErasureView struct {
	// Sold orders that have no data of the buyer any more. Keep the lists of this answer until your last backup from before it is gone
	Orders []string `json:"orders"`
	// Checkouts that ended without a sale
	Unsold []string `json:"unsold"`
}

// EventClass is a schema of the document.
type EventClass struct {
	Capacity    int64      `json:"capacity"`
	Class       string     `json:"class"`
	ClosesAt    *time.Time `json:"closes_at,omitempty"`
	Hidden      *bool      `json:"hidden,omitempty"`
	Label       string     `json:"label,omitempty"`
	MaxPerOrder *int64     `json:"max_per_order,omitempty"`
	OpensAt     *time.Time `json:"opens_at,omitempty"`
	PriceMinor  int64      `json:"price_minor"`
}

// EventPerk is a schema of the document.
type EventPerk struct {
	Capacity int64  `json:"capacity"`
	Name     string `json:"name"`
}

// EventStock is a schema of the document.
type EventStock struct {
	Available int64  `json:"available"`
	Capacity  int64  `json:"capacity"`
	Class     string `json:"class"`
	Held      int64  `json:"held"`
	Sold      int64  `json:"sold"`
}

// EventView is a schema of the document.
type EventView struct {
	// The payload of the type, see the catalogue of events
	Data any `json:"data"`
	// It never changes: do things once per id
	ID         string    `json:"id"`
	OccurredAt time.Time `json:"occurred_at"`
	// Absent: about no order
	Order string `json:"order,omitempty"`
	// Absent: about no sale
	Sale string `json:"sale,omitempty"`
	// The version of data. Within a version, fields are only added
	Schema int64  `json:"schema"`
	Type   string `json:"type"`
}

// EventsView is a schema of the document.
type EventsView struct {
	// In the order in which they were committed
	Events []EventView `json:"events"`
	// There may already be more, even if the page is empty: ask again at once
	More bool `json:"more"`
	// Pass it as after, even if the page is empty
	Next string `json:"next"`
}

// ExportBody is a schema of the document.
type ExportBody struct {
	// The buyer's address, in any spelling of the same mailbox
	Email string `json:"email"`
}

// ExportView is a schema of the document.
type ExportView struct {
	// Mails that somebody asked for by the address and that are not settled yet
	AskedMails []ExportedAsked `json:"asked_mails"`
	// The last member. A document without it is not whole
	Complete bool `json:"complete"`
	// In its normal form
	Email string `json:"email"`
	// Sorted by id, which means by time
	Orders []ExportedOrder `json:"orders"`
}

// ExportedAsked is a schema of the document.
type ExportedAsked struct {
	QueuedAt time.Time `json:"queued_at"`
	State    string    `json:"state"`
}

// ExportedCheckout is a schema of the document.
type ExportedCheckout struct {
	Email    string            `json:"email,omitempty"`
	Items    []OrderItem       `json:"items,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// It has not ended: its contents are sealed until it has
	Open bool `json:"open"`
}

// ExportedMail is a schema of the document.
type ExportedMail struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	QueuedAt  time.Time  `json:"queued_at"`
	Reason    string     `json:"reason,omitempty"`
	SettledAt *time.Time `json:"settled_at,omitempty"`
	State     string     `json:"state"`
}

// ExportedOrder is a schema of the document.
type ExportedOrder struct {
	// Minor units
	Amount *int64 `json:"amount,omitempty"`
	// The buyer's pseudonym in this sale, which the ledger goes by
	Buyer string `json:"buyer,omitempty"`
	// What Temporal still has, until its retention ends
	Checkout *ExportedCheckout `json:"checkout,omitempty"`
	Currency string            `json:"currency,omitempty"`
	// As the order has it: in a sale that folds aliases it may be another one of the mailbox
	Email string `json:"email,omitempty"`
	// Attempts to deliver its events to webhook endpoints, with what they answered
	EndpointAnswers []any       `json:"endpoint_answers,omitempty"`
	ErasedAt        *time.Time  `json:"erased_at,omitempty"`
	Items           []OrderItem `json:"items,omitempty"`
	// What became of the mails about it. Their texts are not kept
	Mails          []ExportedMail    `json:"mails,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Order          string            `json:"order"`
	PaidAt         *time.Time        `json:"paid_at,omitempty"`
	Payment        string            `json:"payment,omitempty"`
	PaymentSession string            `json:"payment_session,omitempty"`
	// What readers of the event log said that could not take its events
	ReaderErrors []string         `json:"reader_errors,omitempty"`
	RefundedAt   *time.Time       `json:"refunded_at,omitempty"`
	RefundingAt  *time.Time       `json:"refunding_at,omitempty"`
	Refunds      []ExportedRefund `json:"refunds,omitempty"`
	Sale         string           `json:"sale,omitempty"`
	SaleName     string           `json:"sale_name,omitempty"`
	// Absent: it was never sold
	Status  string   `json:"status,omitempty"`
	Tickets []Ticket `json:"tickets,omitempty"`
}

// ExportedRefund is a schema of the document.
type ExportedRefund struct {
	// Minor units
	Amount      int64      `json:"amount"`
	Currency    string     `json:"currency"`
	Payment     string     `json:"payment"`
	Reason      string     `json:"reason"`
	RefundedAt  *time.Time `json:"refunded_at,omitempty"`
	RequestedAt time.Time  `json:"requested_at"`
}

// Facts is a schema of the document.
type Facts struct {
	Description string       `json:"description,omitempty"`
	EndsAt      *time.Time   `json:"ends_at,omitempty"`
	HolderNames *HolderNames `json:"holder_names,omitempty"`
	Imprint     string       `json:"imprint,omitempty"`
	StartsAt    *time.Time   `json:"starts_at,omitempty"`
	Terms       string       `json:"terms,omitempty"`
	TermsURL    string       `json:"terms_url,omitempty"`
	TimeZone    string       `json:"time_zone,omitempty"`
	Venue       *Venue       `json:"venue,omitempty"`
}

// FactsBody is a schema of the document.
type FactsBody struct {
	// Plain text, up to 10,000 bytes
	Description string `json:"description,omitempty"`
	// After starts_at
	EndsAt *time.Time `json:"ends_at,omitempty"`
	// Whether buyers may say who each ticket is for. Absent: they may not
	HolderNames *HolderNamesBody `json:"holder_names,omitempty"`
	// Who sells. Plain text, up to 2,000 bytes
	Imprint string `json:"imprint,omitempty"`
	// When it begins; needs time_zone
	StartsAt *time.Time `json:"starts_at,omitempty"`
	// Plain text, up to 20,000 bytes
	Terms string `json:"terms,omitempty"`
	// https
	TermsURL string `json:"terms_url,omitempty"`
	// IANA name of the zone where it happens
	TimeZone string     `json:"time_zone,omitempty"`
	Venue    *VenueBody `json:"venue,omitempty"`
}

// FieldError is a schema of the document.
type FieldError struct {
	// Path within the body, or the parameter's name
	Field   string `json:"field"`
	Message string `json:"message"`
}

// FiguresLagView is a schema of the document.
type FiguresLagView struct {
	// Events that the view has not read, of all sales; at most 10,000
	Events int64 `json:"events"`
	// Since when the oldest of them is in the log; 0 if there is none
	Seconds float64 `json:"seconds"`
}

// FiguresStepView is a schema of the document.
type FiguresStepView struct {
	// When the step begins
	At         time.Time `json:"at"`
	Class      string    `json:"class"`
	GrossMinor int64     `json:"gross_minor"`
	Tickets    int64     `json:"tickets"`
}

// FiguresView is a schema of the document.
type FiguresView struct {
	// By class, in their order
	Classes []ClassFiguresView `json:"classes"`
	// What became of holds. Those that are open are not in the log
	Holds HoldFiguresView `json:"holds"`
	// How far the view is behind the event log
	Lag FiguresLagView `json:"lag"`
	// By reason
	Refunds []RefundsView `json:"refunds"`
	Sale    string        `json:"sale"`
	// How long a step is: as short as there are at most 240
	StepMinutes int64 `json:"step_minutes"`
	// Tickets sold, step by step; steps without a sale are left out
	Steps []FiguresStepView `json:"steps"`
	// By currency
	Takings []TakingsView `json:"takings"`
}

// ForecastRangeView is a schema of the document.
type ForecastRangeView struct {
	// 95 %
	High int64 `json:"high"`
	// 5 %
	Low     int64 `json:"low"`
	Typical int64 `json:"typical"`
}

// ForecastView is a schema of the document.
type ForecastView struct {
	// When this was read
	At time.Time `json:"at"`
	// No past sale had as many, or as few, joins at this time: trust it less
	BeyondPastSales *bool `json:"beyond_past_sales,omitempty"`
	// People who will have come in all. Missing: no forecast
	Buyers *ForecastRangeView `json:"buyers,omitempty"`
	// By what factor a forecast by joins was off in the median, for each past sale when it knew only the others
	ErrorByJoins *float64 `json:"error_by_joins,omitempty"`
	// The same, by past sales alone
	ErrorByPastSales *float64 `json:"error_by_past_sales,omitempty"`
	// People who have joined the waiting room, until the opening
	Joined int64 `json:"joined"`
	// joins: by how many have joined, compared with past sales as long before their openings. past_sales: by past sales alone, because joins would have been more wrong, or nobody has joined. none: too few past sales
	Method  string    `json:"method"`
	OpensAt time.Time `json:"opens_at"`
	Sale    string    `json:"sale"`
	// Past sales with waiting rooms that it is made of
	Sales int64 `json:"sales"`
	// Fewer give no forecast
	SalesNeeded int64 `json:"sales_needed"`
	// For sale, of all classes
	Tickets int64 `json:"tickets"`
	// 0: it has opened
	UntilOpeningSeconds float64 `json:"until_opening_seconds"`
}

// HoldFiguresView is a schema of the document.
type HoldFiguresView struct {
	Canceled int64 `json:"canceled"`
	// Nobody paid in time. This and the next two are told only while a webhook endpoint or the configuration asks for these events: see docs/events.md
	Expired int64 `json:"expired"`
	Failed  int64 `json:"failed"`
	// Orders that were paid, late payments among them
	Paid int64 `json:"paid"`
}

// HolderBody is a schema of the document.
type HolderBody struct {
	// Up to 200 bytes in one line; empty: nobody in particular
	Name string `json:"name"`
	// The ticket's number within the order
	Number int64 `json:"number"`
}

// HolderNames is a schema of the document.
type HolderNames struct {
	Asked bool       `json:"asked"`
	Until *time.Time `json:"until,omitempty"`
}

// HolderNamesBody is a schema of the document.
type HolderNamesBody struct {
	Asked bool `json:"asked"`
	// When names can no longer be changed; absent: when it begins, if the sale says when
	Until *time.Time `json:"until,omitempty"`
}

// HoldersBody is a schema of the document.
type HoldersBody struct {
	// Tickets that are not named stay as they are
	Holders []HolderBody `json:"holders"`
}

// HoldersChangedData is a schema of the document.
type HoldersChangedData struct {
	ChangedAt time.Time `json:"changed_at"`
	Order     string    `json:"order"`
	Sale      string    `json:"sale"`
	Tickets   []int64   `json:"tickets"`
}

// ImageView is a schema of the document.
type ImageView struct {
	Height int64 `json:"height"`
	// Relative to the server. Another image has another URL
	URL   string `json:"url"`
	Width int64  `json:"width"`
}

// JoinBody is a schema of the document.
type JoinBody struct {
	// Needed if the sale has an entitlement: one of the kinds that it names
	Entitlement *EntitlementBody `json:"entitlement,omitempty"`
	// Needed if GET …/queue/challenge returns one
	Proof *ProofBody `json:"proof,omitempty"`
}

// JoinView is a schema of the document.
type JoinView struct {
	// Start the checkout before this time; after it the place is late. Absent if it is not admitted, or if it stays admitted for as long as the token is valid
	AdmittedUntil *time.Time `json:"admitted_until,omitempty"`
	// How many places before it are not admitted yet, including those of people who have left
	Ahead int64    `json:"ahead"`
	Draw  DrawView `json:"draw"`
	// Checkouts are refused for the moment, because Temporal or the ledger does not answer. The place is safe
	Interrupted *bool     `json:"interrupted,omitempty"`
	JoinedAt    time.Time `json:"joined_at"`
	// Its turn has passed, because the person was away or did not check out in time. Late people are let in alternately with those whose turn it is. position counts the places before it
	Late    *bool      `json:"late,omitempty"`
	OpensAt *time.Time `json:"opens_at,omitempty"`
	// 1 is next; 0 before the draw and after admission
	Position int64 `json:"position"`
	// Current admissions per second
	Rate float64 `json:"rate"`
	Sale string  `json:"sale"`
	// draw: the places are drawn at the opening. admitted: check out now. sold_out: all tickets are sold and none is only held; if a refund frees seats, the place counts again. closed: the sale takes no more orders; if the organiser opens it again, the place counts again
	Status string `json:"status"`
	// Anybody who has it has the place. It works for one checkout, as Queue-Token
	Token string `json:"token"`
	// An estimate; absent if there is none
	WaitSeconds *int64 `json:"wait_seconds,omitempty"`
	// How many places are not admitted yet, in total
	Waiting int64 `json:"waiting"`
}

// Line is a schema of the document.
type Line struct {
	Class          string `json:"class"`
	Ledger         int64  `json:"ledger"`
	Quantity       int64  `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
}

// ListProofView is a schema of the document.
type ListProofView struct {
	// The position on the list: how many joined before
	Index int64 `json:"index"`
	// Hex SHA-256 of a zero byte and the token's text
	Leaf string `json:"leaf"`
	// The other hashes up to the root (RFC 6962, 2.1.1), hex
	Path []string `json:"path"`
	// Hex
	Root string `json:"root"`
	Sale string `json:"sale"`
	// How many are on it
	Size int64 `json:"size"`
}

// MakeClassCodesBody is a schema of the document.
type MakeClassCodesBody struct {
	// The one hidden class that they open; absent: all of the sale
	Class string `json:"class,omitempty"`
	// Your own codes instead: 12–40 letters and digits each, and no guessable words
	Codes []string `json:"codes,omitempty"`
	// How many to create, with 80 random bits each
	Count *int64 `json:"count,omitempty"`
	// How many orders may use each code; absent: 1
	Uses *int64 `json:"uses,omitempty"`
}

// MakeCodesBody is a schema of the document.
type MakeCodesBody struct {
	// A name by which to count and revoke them; absent: a new one is chosen
	Batch string `json:"batch,omitempty"`
	// Your own codes instead: 12–40 letters and digits each, and no guessable words
	Codes []string `json:"codes,omitempty"`
	// How many to create, with 80 random bits each
	Count *int64 `json:"count,omitempty"`
	// How many places each code is good for; absent: 1
	Places *int64 `json:"places,omitempty"`
}

// NewWebhookSecretView is a schema of the document.
type NewWebhookSecretView struct {
	CreatedAt      time.Time  `json:"created_at"`
	Description    string     `json:"description"`
	DisabledAt     *time.Time `json:"disabled_at,omitempty"`
	DisabledReason string     `json:"disabled_reason,omitempty"`
	Enabled        bool       `json:"enabled"`
	FailingSince   *time.Time `json:"failing_since,omitempty"`
	// Failed attempts in a row
	Failures int64  `json:"failures"`
	ID       string `json:"id"`
	// Nothing is sent until then, because too many attempts failed in a row or the endpoint asked for it
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	// Events that it has not accepted yet, counted up to 100,000
	Pending                  int64      `json:"pending"`
	PreviousSecretSignsUntil *time.Time `json:"previous_secret_signs_until,omitempty"`
	// Absent: all sales
	Sale string `json:"sale,omitempty"`
	// whsec_ and base64. This is the only time that you see it
	Secret string `json:"secret"`
	// Empty: all
	Types []string `json:"types"`
	URL   string   `json:"url"`
}

// OpenClassesBody is a schema of the document.
type OpenClassesBody struct {
	// As the organiser gave it out; case, spaces and hyphens do not matter
	Code string `json:"code"`
}

// OpenClassesView is a schema of the document.
type OpenClassesView struct {
	// The hidden classes that the code opens
	Classes []ClassView `json:"classes"`
	// Uses of orders that wait for their payment; they may come back
	Held int64 `json:"held"`
	// Orders that may still use the code
	Left int64  `json:"left"`
	Sale string `json:"sale"`
}

// OrderItem is a schema of the document.
type OrderItem struct {
	Class string `json:"class"`
	// What people call the class; absent: its id. Not in lists
	Label    string `json:"label,omitempty"`
	Quantity int64  `json:"quantity"`
	// Minor units
	UnitPrice int64 `json:"unit_price"`
}

// OrderPaidData is a schema of the document.
type OrderPaidData struct {
	AmountMinor int64             `json:"amount_minor"`
	Booking     string            `json:"booking"`
	Currency    string            `json:"currency"`
	Lines       []Line            `json:"lines"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Order       string            `json:"order"`
	PaidAt      time.Time         `json:"paid_at"`
	Payment     string            `json:"payment"`
	PerkTaken   bool              `json:"perk_taken"`
	Sale        string            `json:"sale"`
}

// OrderPerk is a schema of the document.
type OrderPerk struct {
	Name  string `json:"name"`
	Taken bool   `json:"taken"`
}

// OrderRefundBegunData is a schema of the document.
type OrderRefundBegunData struct {
	AmountMinor int64             `json:"amount_minor"`
	Currency    string            `json:"currency"`
	Lines       []Line            `json:"lines,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Order       string            `json:"order"`
	Payment     string            `json:"payment"`
	Reason      string            `json:"reason"`
	RequestedAt time.Time         `json:"requested_at"`
	Sale        string            `json:"sale"`
}

// OrderRefundedData is a schema of the document.
type OrderRefundedData struct {
	AmountMinor int64             `json:"amount_minor"`
	Currency    string            `json:"currency"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Order       string            `json:"order"`
	Payment     string            `json:"payment"`
	Reason      string            `json:"reason"`
	RefundedAt  time.Time         `json:"refunded_at"`
	Sale        string            `json:"sale"`
}

// OrderView is a schema of the document.
type OrderView struct {
	// Minor units
	Amount int64 `json:"amount"`
	// held, once an attempt was declined: how many more there may be. If the last is declined too, the order fails
	AttemptsLeft *int64 `json:"attempts_left,omitempty"`
	Currency     string `json:"currency"`
	// Attempts to pay that were declined. They keep the seats: payment_url is good for another attempt until hold_expires_at
	Declines *int64 `json:"declines,omitempty"`
	// What the sale says of itself now, without its description. Not in lists
	Facts *FactsBody `json:"facts,omitempty"`
	// held: when the checkout gives up
	HoldExpiresAt *time.Time `json:"hold_expires_at,omitempty"`
	// Whether name-holders can say who the tickets are for. Not in lists
	HoldersOpen *bool `json:"holders_open,omitempty"`
	// With holders_open: until when; absent: there is no end
	HoldersUntil *time.Time  `json:"holders_until,omitempty"`
	Items        []OrderItem `json:"items"`
	// As sent with the checkout
	Metadata map[string]string `json:"metadata,omitempty"`
	Order    string            `json:"order"`
	PaidAt   *time.Time        `json:"paid_at,omitempty"`
	// held: the provider's id of this payment session
	PaymentSession string `json:"payment_session,omitempty"`
	// held: where to pay; absent if the order costs nothing: it is paid by itself, at once
	PaymentURL string `json:"payment_url,omitempty"`
	// paid: whether the order got the sale's perk
	Perk *OrderPerk `json:"perk,omitempty"`
	// held, after hold_expires_at: a payment is being processed, and the seats are kept until seats_kept_until
	Processing *bool      `json:"processing,omitempty"`
	RefundedAt *time.Time `json:"refunded_at,omitempty"`
	Sale       string     `json:"sale"`
	// The organiser canceled the whole sale; the money goes back
	SaleCanceledAt *time.Time `json:"sale_canceled_at,omitempty"`
	SaleName       string     `json:"sale_name"`
	// held, if the sale has processing_seconds: until when the seats are kept if a payment is being processed
	SeatsKeptUntil *time.Time `json:"seats_kept_until,omitempty"`
	Status         string     `json:"status"`
	// paid: one ticket per person
	Tickets []Ticket `json:"tickets,omitempty"`
	// refunding, refunded: the tickets that let nobody in any more
	VoidTickets []Ticket `json:"void_tickets,omitempty"`
}

// OrdersView is a schema of the document.
type OrdersView struct {
	// Pass it as after; absent on the last page
	Next   string           `json:"next,omitempty"`
	Orders []AdminOrderView `json:"orders"`
}

// PaymentCheckView is a schema of the document.
type PaymentCheckView struct {
	Order string `json:"order"`
	// held: none – nothing was paid, the buyer may pay; processing – a payment is under way; unknown – the provider has not answered yet. For the last two, ask again after Retry-After and offer no payment meanwhile
	Payment string `json:"payment,omitempty"`
	// processing, if the sale has processing_seconds: until when the seats are kept for the payment
	SeatsKeptUntil *time.Time `json:"seats_kept_until,omitempty"`
	Status         string     `json:"status"`
}

// PaymentDisputedData is a schema of the document.
type PaymentDisputedData struct {
	AmountMinor int64      `json:"amount_minor"`
	Currency    string     `json:"currency"`
	HappenedAt  time.Time  `json:"happened_at"`
	ID          string     `json:"id"`
	Order       string     `json:"order"`
	Payment     string     `json:"payment"`
	Reason      string     `json:"reason,omitempty"`
	RespondBy   *time.Time `json:"respond_by,omitempty"`
	Sale        string     `json:"sale,omitempty"`
	State       string     `json:"state"`
}

// PaymentRefundedData is a schema of the document.
type PaymentRefundedData struct {
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	Order       string    `json:"order"`
	Payment     string    `json:"payment"`
	Reason      string    `json:"reason"`
	RefundedAt  time.Time `json:"refunded_at"`
	Sale        string    `json:"sale,omitempty"`
}

// PerkView is a schema of the document.
type PerkView struct {
	Available int64  `json:"available"`
	Capacity  int64  `json:"capacity"`
	Name      string `json:"name"`
}

// PlaceView is a schema of the document.
type PlaceView struct {
	// Start the checkout before this time; after it the place is late. Absent if it is not admitted, or if it stays admitted for as long as the token is valid
	AdmittedUntil *time.Time `json:"admitted_until,omitempty"`
	// How many places before it are not admitted yet, including those of people who have left
	Ahead int64    `json:"ahead"`
	Draw  DrawView `json:"draw"`
	// Checkouts are refused for the moment, because Temporal or the ledger does not answer. The place is safe
	Interrupted *bool     `json:"interrupted,omitempty"`
	JoinedAt    time.Time `json:"joined_at"`
	// Its turn has passed, because the person was away or did not check out in time. Late people are let in alternately with those whose turn it is. position counts the places before it
	Late    *bool      `json:"late,omitempty"`
	OpensAt *time.Time `json:"opens_at,omitempty"`
	// 1 is next; 0 before the draw and after admission
	Position int64 `json:"position"`
	// Current admissions per second
	Rate float64 `json:"rate"`
	Sale string  `json:"sale"`
	// draw: the places are drawn at the opening. admitted: check out now. sold_out: all tickets are sold and none is only held; if a refund frees seats, the place counts again. closed: the sale takes no more orders; if the organiser opens it again, the place counts again
	Status string `json:"status"`
	// An estimate; absent if there is none
	WaitSeconds *int64 `json:"wait_seconds,omitempty"`
	// How many places are not admitted yet, in total
	Waiting int64 `json:"waiting"`
}

// Problem is a schema of the document.
type Problem struct {
	// codes events_dropped and events_restored: the cursor from which to go on
	After string `json:"after,omitempty"`
	// Stable name of the error
	Code string `json:"code"`
	// What happened this time, and what to do
	Detail string `json:"detail,omitempty"`
	// code invalid: the offending fields
	Errors []FieldError `json:"errors,omitempty"`
	// code sold_out: tickets held by others, which may come back
	Held *int64 `json:"held,omitempty"`
	// code limit_reached: the order that this browser holds, by its cookie
	OwnOrder *TokenView `json:"own_order,omitempty"`
	// Names this request in the logs
	RequestID string `json:"request_id,omitempty"`
	// The HTTP status
	Status int64 `json:"status"`
	// The code in words
	Title string `json:"title"`
	// /problems/{code}
	Type string `json:"type"`
}

// ProofBody is a schema of the document.
type ProofBody struct {
	Challenge string `json:"challenge"`
	Solution  string `json:"solution"`
}

// QueueView is a schema of the document.
type QueueView struct {
	// How many places have had their turn
	Admitted int64          `json:"admitted"`
	Draw     DrawRecordView `json:"draw"`
	// How many places were given out
	Joined int64 `json:"joined"`
	Paused bool  `json:"paused"`
	// Current admissions per second
	Rate   float64 `json:"rate"`
	Sale   string  `json:"sale"`
	Status string  `json:"status"`
	// How many places are not admitted yet
	Waiting int64 `json:"waiting"`
}

// RedeliverBody is a schema of the document.
type RedeliverBody struct {
	// This event
	Event string `json:"event,omitempty"`
	// All events since then that the endpoint wants, including those that it accepted
	Since *time.Time `json:"since,omitempty"`
}

// RedeliveryView is a schema of the document.
type RedeliveryView struct {
	// There are more, or may be: repeat with this answer's since
	More   bool  `json:"more"`
	Queued int64 `json:"queued"`
	// Where to go on; up to 10 s before the last of them, so some are sent once more
	Since *time.Time `json:"since,omitempty"`
}

// RefundedElsewhereData is a schema of the document.
type RefundedElsewhereData struct {
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	HappenedAt  time.Time `json:"happened_at"`
	ID          string    `json:"id"`
	Order       string    `json:"order"`
	Payment     string    `json:"payment"`
	Reason      string    `json:"reason,omitempty"`
	Sale        string    `json:"sale,omitempty"`
	State       string    `json:"state"`
}

// RefundsView is a schema of the document.
type RefundsView struct {
	// Refunds that were begun; of payments that bought nothing, those that are done
	Begun    int64  `json:"begun"`
	Currency string `json:"currency"`
	// false: the payments bought nothing; they are in no takings
	HadTickets    bool   `json:"had_tickets"`
	Reason        string `json:"reason"`
	Refunded      int64  `json:"refunded"`
	RefundedMinor int64  `json:"refunded_minor"`
}

// RestoreBody is a schema of the document.
type RestoreBody struct {
	// Write it; otherwise the answer says what would be written
	Apply *bool `json:"apply,omitempty"`
}

// RestoreCapacity is a schema of the document.
type RestoreCapacity struct {
	// What the ledger says; with apply, what is recorded from now on
	Booked   int64  `json:"booked"`
	Class    string `json:"class"`
	Outcome  string `json:"outcome"`
	Recorded int64  `json:"recorded"`
	Why      string `json:"why,omitempty"`
}

// RestoreItem is a schema of the document.
type RestoreItem struct {
	// Fields that no source knows any more; they are left empty
	Missing []string `json:"missing,omitempty"`
	Order   string   `json:"order"`
	Outcome string   `json:"outcome"`
	// The payment that bought the order
	Payment string `json:"payment,omitempty"`
	// Payments that bought nothing and were given back
	Refunded []string `json:"refunded,omitempty"`
	// The status that the order is, or would be, recorded with; absent if nothing was sold
	Status string `json:"status,omitempty"`
	Why    string `json:"why,omitempty"`
}

// RestoreReport is a schema of the document.
type RestoreReport struct {
	// false: nothing was written
	Applied bool `json:"applied"`
	// Classes whose recorded capacity is not the ledger's
	Capacities   []RestoreCapacity   `json:"capacities,omitempty"`
	CouldNotLook []AuditUnreadSource `json:"could_not_look,omitempty"`
	// Orders by outcome
	Counts map[string]int64 `json:"counts"`
	Items  []RestoreItem    `json:"items"`
	Sale   string           `json:"sale,omitempty"`
}

// RetriedView is a schema of the document.
type RetriedView struct {
	Mail string `json:"mail"`
}

// ReversalView is a schema of the document.
type ReversalView struct {
	// Minor units
	Amount int64 `json:"amount"`
	// When it was opened, or made
	At       time.Time `json:"at"`
	Currency string    `json:"currency"`
	// The provider's id of the dispute or refund
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Payment string `json:"payment"`
	// The provider's word, such as fraudulent
	Reason string `json:"reason,omitempty"`
	// Until when you can answer the bank, at the provider. Absent: it waits for nothing of yours
	RespondBy *time.Time `json:"respond_by,omitempty"`
	// Of a dispute: inquiry (the bank asks, nothing is taken), open (taken, not decided), won (you have the money again), lost (the buyer keeps it), dropped (ended, and nothing was taken). Of a refund: made, or failed (the money is back at the provider)
	State string `json:"state"`
}

// RevokeBody is a schema of the document.
type RevokeBody struct {
	// All codes of a batch
	Batch string   `json:"batch,omitempty"`
	Codes []string `json:"codes,omitempty"`
	// The invitees (sub), whether or not they have come
	Invitees []string `json:"invitees,omitempty"`
}

// RevokeClassCodesBody is a schema of the document.
type RevokeClassCodesBody struct {
	// As they were given out; case, spaces and hyphens do not matter
	Codes []string `json:"codes"`
}

// RevokedView is a schema of the document.
type RevokedView struct {
	// How many were valid before. What was got with them stays
	Revoked int64 `json:"revoked"`
}

// RotateSecretBody is a schema of the document.
type RotateSecretBody struct {
	// How long both secrets sign; absent: a day. Use 0 if the secret has leaked
	OverlapSeconds *int64 `json:"overlap_seconds,omitempty"`
}

// SaleBackOnSaleData is a schema of the document.
type SaleBackOnSaleData struct {
	Classes []EventStock `json:"classes"`
	Sale    string       `json:"sale"`
}

// SaleCanceledData is a schema of the document.
type SaleCanceledData struct {
	RequestedAt time.Time `json:"requested_at"`
	Sale        string    `json:"sale"`
}

// SaleCapacityChangedData is a schema of the document.
type SaleCapacityChangedData struct {
	Before   int64  `json:"before"`
	Capacity int64  `json:"capacity"`
	Class    string `json:"class"`
	Sale     string `json:"sale"`
}

// SaleChangedData is a schema of the document.
type SaleChangedData struct {
	BuyersKeptDays *int64            `json:"buyers_kept_days,omitempty"`
	Changed        []string          `json:"changed"`
	ChangedAt      time.Time         `json:"changed_at"`
	Facts          *Facts            `json:"facts,omitempty"`
	Image          *SaleImage        `json:"image,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Name           string            `json:"name"`
	Request        string            `json:"request,omitempty"`
	Sale           string            `json:"sale"`
	Terms          *Terms            `json:"terms,omitempty"`
	Version        int64             `json:"version"`
}

// SaleCreatedData is a schema of the document.
type SaleCreatedData struct {
	BuyerLimit        int64        `json:"buyer_limit"`
	Capture           string       `json:"capture,omitempty"`
	Classes           []EventClass `json:"classes"`
	ClosesAt          *time.Time   `json:"closes_at,omitempty"`
	CreatedAt         time.Time    `json:"created_at"`
	Currency          string       `json:"currency"`
	Facts             *Facts       `json:"facts,omitempty"`
	HoldSeconds       int64        `json:"hold_seconds"`
	Name              string       `json:"name"`
	OpensAt           *time.Time   `json:"opens_at,omitempty"`
	Perk              *EventPerk   `json:"perk,omitempty"`
	ProcessingSeconds *int64       `json:"processing_seconds,omitempty"`
	Sale              string       `json:"sale"`
	WaitingRoom       bool         `json:"waiting_room"`
}

// SaleEndedData is a schema of the document.
type SaleEndedData struct {
	EndedAt time.Time `json:"ended_at"`
	Sale    string    `json:"sale"`
}

// SaleImage is a schema of the document.
type SaleImage struct {
	Hash   string `json:"hash,omitempty"`
	Height *int64 `json:"height,omitempty"`
	Width  *int64 `json:"width,omitempty"`
}

// SaleOpenedData is a schema of the document.
type SaleOpenedData struct {
	OpensAt time.Time `json:"opens_at"`
	Sale    string    `json:"sale"`
}

// SaleReopenedData is a schema of the document.
type SaleReopenedData struct {
	ReopenedAt time.Time `json:"reopened_at"`
	Sale       string    `json:"sale"`
}

// SaleSoldOutData is a schema of the document.
type SaleSoldOutData struct {
	Classes []EventStock `json:"classes"`
	Sale    string       `json:"sale"`
}

// SaleView is a schema of the document.
type SaleView struct {
	// Tickets per buyer
	BuyerLimit int64 `json:"buyer_limit"`
	// For how many days after the sale's end the data of its buyers are kept; absent: until they are erased on request
	BuyersKeptDays *int64 `json:"buyers_kept_days,omitempty"`
	// The organiser canceled the sale
	CanceledAt *time.Time `json:"canceled_at,omitempty"`
	// When the money is taken: automatic – when the buyer pays; after_seats – once the seats are sold
	Capture  string      `json:"capture"`
	Classes  []ClassView `json:"classes"`
	ClosesAt *time.Time  `json:"closes_at,omitempty"`
	Currency string      `json:"currency"`
	// The organiser ended the sale early
	EndedAt *time.Time `json:"ended_at,omitempty"`
	// What people need to join the queue, any one of these kinds. Absent: nothing
	Entitlement *EntitlementRuleBody `json:"entitlement,omitempty"`
	// Without description, terms and imprint in the list of sales; not in the event stock
	Facts *FactsBody `json:"facts,omitempty"`
	// Whether the aliases of one mailbox are one buyer
	FoldEmailAliases bool `json:"fold_email_aliases"`
	// How long a checkout waits for its payment
	HoldSeconds int64      `json:"hold_seconds"`
	ID          string     `json:"id"`
	Image       *ImageView `json:"image,omitempty"`
	// Checkouts are refused for the moment, because Temporal or the ledger does not answer. Try again later
	Interrupted *bool  `json:"interrupted,omitempty"`
	Name        string `json:"name"`
	// Whether a buyer may have only one unpaid checkout at a time
	OneCheckoutPerBuyer bool `json:"one_checkout_per_buyer"`
	// Whether tickets are sold now
	Open    bool       `json:"open"`
	OpensAt *time.Time `json:"opens_at,omitempty"`
	Perk    *PerkView  `json:"perk,omitempty"`
	// How much longer the seats are kept while a payment is being processed; absent: they are not, and only methods are offered whose payment is decided at once
	ProcessingSeconds *int64 `json:"processing_seconds,omitempty"`
	// upcoming: it opens later. closed: its window has passed, or the organiser ended it; what is held can still be paid
	State string `json:"state"`
	// Counts the organiser's changes; in quotes it is the ETag, for If-Match
	Version     int64 `json:"version"`
	WaitingRoom bool  `json:"waiting_room"`
}

// SalesView is a schema of the document.
type SalesView struct {
	// Pass it as after; absent on the last page
	Next  string     `json:"next,omitempty"`
	Sales []SaleView `json:"sales"`
}

// SetAsideMailView is a schema of the document.
type SetAsideMailView struct {
	Attempts int64  `json:"attempts"`
	Kind     string `json:"kind"`
	// Its id; part of the Message-ID
	Mail string `json:"mail"`
	// Absent: somebody asked for the orders of an address
	Order    string    `json:"order,omitempty"`
	QueuedAt time.Time `json:"queued_at"`
	// The relay's answer, without the address
	Reason     string    `json:"reason"`
	SetAsideAt time.Time `json:"set_aside_at"`
}

// SetAsideView is a schema of the document.
type SetAsideView struct {
	Mails []SetAsideMailView `json:"mails"`
	// Pass it as after; absent on the last page
	Next string `json:"next,omitempty"`
}

// SettleBody is a schema of the document.
type SettleBody struct {
	// The signature of the beacon's round, hex, if no node can reach the beacon: GET {a drand server}/{chain}/public/{round} has it
	BeaconSignature string `json:"beacon_signature,omitempty"`
	// Why the places are drawn without the source's number. Possible ten minutes after it was due
	Waive string `json:"waive,omitempty"`
	// What the witness committed to, hex
	WitnessSecret string `json:"witness_secret,omitempty"`
}

// StatusView is a schema of the document.
type StatusView struct {
	Order  string `json:"order"`
	Status string `json:"status"`
}

// TakingsView is a schema of the document.
type TakingsView struct {
	Currency string `json:"currency"`
	// What they paid
	GrossMinor int64 `json:"gross_minor"`
	// gross less refunded
	NetMinor int64 `json:"net_minor"`
	// Orders that were paid, refunded or not
	Orders int64 `json:"orders"`
	// What the provider has given back of it
	RefundedMinor  int64 `json:"refunded_minor"`
	RefundedOrders int64 `json:"refunded_orders"`
	// What is on its way back
	RefundingMinor int64 `json:"refunding_minor"`
}

// Terms is a schema of the document.
type Terms struct {
	Classes  map[string]ClassTerms `json:"classes,omitempty"`
	ClosesAt *time.Time            `json:"closes_at,omitempty"`
	OpensAt  *time.Time            `json:"opens_at,omitempty"`
}

// Ticket is a schema of the document.
type Ticket struct {
	Class string `json:"class"`
	Code  string `json:"code"`
	// Who it is for, if somebody said so
	Holder string `json:"holder,omitempty"`
	Number int64  `json:"number"`
}

// TokenView is a schema of the document.
type TokenView struct {
	Order string `json:"order"`
	// Send it as Authorization: Bearer in all requests about this order
	Token string `json:"token"`
}

// Venue is a schema of the document.
type Venue struct {
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
}

// VenueBody is a schema of the document.
type VenueBody struct {
	// Plain text, up to 500 bytes
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
}

// WaiverView is a schema of the document.
type WaiverView struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// WebhookAttemptView is a schema of the document.
type WebhookAttemptView struct {
	// The beginning of the answer that refused it
	Answer string    `json:"answer,omitempty"`
	At     time.Time `json:"at"`
	// Absent: the endpoint accepted it
	Error string `json:"error,omitempty"`
	// Absent: there was no answer
	Status *int64 `json:"status,omitempty"`
	TookMs int64  `json:"took_ms"`
}

// WebhookBody is a schema of the document.
type WebhookBody struct {
	Data WebhookData `json:"data"`
	Type string      `json:"type"`
}

// WebhookData is a schema of the document.
type WebhookData struct {
	// Minor units
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Order    string `json:"order"`
	// Absent: the session
	Payment string `json:"payment,omitempty"`
	// payment.reversed: what happened to the payment after it was captured. amount and currency are then the reversal's
	Reversal *WebhookReversal `json:"reversal,omitempty"`
	Session  string           `json:"session"`
}

// WebhookDeliveriesView is a schema of the document.
type WebhookDeliveriesView struct {
	Deliveries []WebhookDeliveryView `json:"deliveries"`
	// Pass it as after; absent on the last page
	Next string `json:"next,omitempty"`
}

// WebhookDeliveryView is a schema of the document.
type WebhookDeliveryView struct {
	// Since it was last queued
	Attempts int64 `json:"attempts"`
	// Time of the next attempt
	DueAt      *time.Time `json:"due_at,omitempty"`
	Event      string     `json:"event"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// The last 20 attempts
	Log      []WebhookAttemptView `json:"log"`
	QueuedAt time.Time            `json:"queued_at"`
	State    string               `json:"state"`
	// The order or the sale that it is about
	Subject string `json:"subject"`
	Type    string `json:"type"`
}

// WebhookEndpointView is a schema of the document.
type WebhookEndpointView struct {
	CreatedAt      time.Time  `json:"created_at"`
	Description    string     `json:"description"`
	DisabledAt     *time.Time `json:"disabled_at,omitempty"`
	DisabledReason string     `json:"disabled_reason,omitempty"`
	Enabled        bool       `json:"enabled"`
	FailingSince   *time.Time `json:"failing_since,omitempty"`
	// Failed attempts in a row
	Failures int64  `json:"failures"`
	ID       string `json:"id"`
	// Nothing is sent until then, because too many attempts failed in a row or the endpoint asked for it
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	// Events that it has not accepted yet, counted up to 100,000
	Pending                  int64      `json:"pending"`
	PreviousSecretSignsUntil *time.Time `json:"previous_secret_signs_until,omitempty"`
	// Absent: all sales
	Sale string `json:"sale,omitempty"`
	// Empty: all
	Types []string `json:"types"`
	URL   string   `json:"url"`
}

// WebhookEndpointsView is a schema of the document.
type WebhookEndpointsView struct {
	Endpoints []WebhookEndpointView `json:"endpoints"`
}

// WebhookReversal is a schema of the document.
type WebhookReversal struct {
	At        time.Time  `json:"at"`
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	Reason    string     `json:"reason,omitempty"`
	RespondBy *time.Time `json:"respond_by,omitempty"`
	State     string     `json:"state"`
}

// WindowBody is a schema of the document.
type WindowBody struct {
	// Absent: it does not close
	ClosesAt *time.Time `json:"closes_at,omitempty"`
	// Absent: from the start
	OpensAt *time.Time `json:"opens_at,omitempty"`
}

// WitnessView is a schema of the document.
type WitnessView struct {
	// Hex SHA-256 of the number and the sale's id, published before anybody joined
	Commitment string `json:"commitment"`
	// The number, hex; absent before it is revealed
	Secret string `json:"secret,omitempty"`
}

// ListActsParams are the query parameters of ListActs.
type ListActsParams struct {
	// Only what was done to this sale and its orders
	Sale string
	// next of the previous page
	Before string
	// limit
	Limit int64
}

// ListActs: List what organisers and operators did. GET /v1/acts
func (c *Client) ListActs(ctx context.Context, params ListActsParams) (answer ActsView, err error) {
	r := Request{Path: "/v1/acts", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "sale", params.Sale)
	set(r.Query, "before", params.Before)
	set(r.Query, "limit", number(params.Limit))
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// AuditRest: Audit what belongs to no sale. GET /v1/audit
func (c *Client) AuditRest(ctx context.Context) (answer AuditReport, err error) {
	r := Request{Path: "/v1/audit", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// EraseBuyer: Erase what is kept of a buyer. POST /v1/erasures
func (c *Client) EraseBuyer(ctx context.Context, body *ErasureBody) (answer ErasureView, err error) {
	r := Request{Path: "/v1/erasures", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListEventsParams are the query parameters of ListEvents.
type ListEventsParams struct {
	// next of the previous page. Without it: from the first event that is stored
	After string
	// Only these types, separated by commas
	Types string
	// Only events of this sale and its orders
	Sale string
	// The most events on a page
	Limit int64
	// How many seconds to wait for an event if there is none yet. Streams wait anyway
	WaitS int64
	// text/event-stream: a stream instead of a page
	Accept string
	// For a stream: where to go on, instead of after
	LastEventID string
}

// ListEvents: Read events, and wait for new ones. GET /v1/events
func (c *Client) ListEvents(ctx context.Context, params ListEventsParams) (answer EventsView, err error) {
	r := Request{Path: "/v1/events", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "after", params.After)
	set(r.Query, "types", params.Types)
	set(r.Query, "sale", params.Sale)
	set(r.Query, "limit", number(params.Limit))
	set(r.Query, "wait_s", number(params.WaitS))
	set(r.Header, "Accept", params.Accept)
	set(r.Header, "Last-Event-Id", params.LastEventID)
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ExportBuyer: Export everything that is kept of a buyer. POST /v1/exports
func (c *Client) ExportBuyer(ctx context.Context, body *ExportBody) (answer ExportView, err error) {
	r := Request{Path: "/v1/exports", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListSetAsideMailsParams are the query parameters of ListSetAsideMails.
type ListSetAsideMailsParams struct {
	// next of the previous page
	After string
	// limit
	Limit int64
}

// ListSetAsideMails: Mails to buyers that no relay accepts. GET /v1/mails/set-aside
func (c *Client) ListSetAsideMails(ctx context.Context, params ListSetAsideMailsParams) (answer SetAsideView, err error) {
	r := Request{Path: "/v1/mails/set-aside", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "after", params.After)
	set(r.Query, "limit", number(params.Limit))
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RetryMail: Send a mail that was set aside. POST /v1/mails/{mail}/retry
func (c *Client) RetryMail(ctx context.Context, mail string) (answer RetriedView, err error) {
	r := Request{Path: "/v1/mails/" + url.PathEscape(mail) + "/retry", Method: "POST", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// AskForOrdersParams are the query parameters of AskForOrders.
type AskForOrdersParams struct {
	// The languages of the mail, best first
	AcceptLanguage string
}

// AskForOrders: Mail a buyer the links of their orders. POST /v1/order-links
func (c *Client) AskForOrders(ctx context.Context, params AskForOrdersParams, body *AskBody) (answer AskedView, err error) {
	r := Request{Path: "/v1/order-links", Method: "POST", Query: url.Values{}, Header: http.Header{}}
	set(r.Header, "Accept-Language", params.AcceptLanguage)
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// FindOrdersParams are the query parameters of FindOrders.
type FindOrdersParams struct {
	// The buyer's address, in any spelling of the same mailbox
	Email string
	// The content of the QR code of one of its tickets
	Code string
	// status
	Status string
	// next of the previous page
	After string
	// limit
	Limit int64
}

// FindOrders: Find paid orders in all sales. GET /v1/orders
func (c *Client) FindOrders(ctx context.Context, params FindOrdersParams) (answer OrdersView, err error) {
	r := Request{Path: "/v1/orders", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "email", params.Email)
	set(r.Query, "code", params.Code)
	set(r.Query, "status", params.Status)
	set(r.Query, "after", params.After)
	set(r.Query, "limit", number(params.Limit))
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetOrder: Read an order, and its tickets once it is paid. GET /v1/orders/{order}
func (c *Client) GetOrder(ctx context.Context, order string, token string) (answer OrderView, err error) {
	r := Request{Path: "/v1/orders/" + url.PathEscape(order), Method: "GET", Token: token}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CancelOrder: Cancel an order and give its held tickets back. POST /v1/orders/{order}/cancel
func (c *Client) CancelOrder(ctx context.Context, order string, token string) (answer StatusView, err error) {
	r := Request{Path: "/v1/orders/" + url.PathEscape(order) + "/cancel", Method: "POST", Token: token}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CheckPayment: Ask the payment provider what became of the payment. POST /v1/orders/{order}/check-payment
func (c *Client) CheckPayment(ctx context.Context, order string, token string) (answer PaymentCheckView, err error) {
	r := Request{Path: "/v1/orders/" + url.PathEscape(order) + "/check-payment", Method: "POST", Token: token}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// NameHolders: Say who an order's tickets are for. PUT /v1/orders/{order}/holders
func (c *Client) NameHolders(ctx context.Context, order string, token string, body *HoldersBody) (answer OrderView, err error) {
	r := Request{Path: "/v1/orders/" + url.PathEscape(order) + "/holders", Method: "PUT", Token: token}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RefundOrder: Refund an order and release its seats. POST /v1/orders/{order}/refund
func (c *Client) RefundOrder(ctx context.Context, order string) (answer StatusView, err error) {
	r := Request{Path: "/v1/orders/" + url.PathEscape(order) + "/refund", Method: "POST", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ExchangeWayBack: Exchange the key of the way back from paying for the order's token. POST /v1/orders/{order}/token
func (c *Client) ExchangeWayBack(ctx context.Context, order string, token string) (answer TokenView, err error) {
	r := Request{Path: "/v1/orders/" + url.PathEscape(order) + "/token", Method: "POST", Token: token}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetPlace: Read a place in the queue. GET /v1/queue/{token}
func (c *Client) GetPlace(ctx context.Context, token string) (answer PlaceView, err error) {
	r := Request{Path: "/v1/queue/" + url.PathEscape(token), Method: "GET"}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ProvePlace: Prove that a token is on the list of the draw. GET /v1/queue/{token}/proof
func (c *Client) ProvePlace(ctx context.Context, token string) (answer ListProofView, err error) {
	r := Request{Path: "/v1/queue/" + url.PathEscape(token) + "/proof", Method: "GET"}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RestoreOrdersRest: Restore lost records that belong to no sale. POST /v1/restore-orders
func (c *Client) RestoreOrdersRest(ctx context.Context, body *RestoreBody) (answer RestoreReport, err error) {
	r := Request{Path: "/v1/restore-orders", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListSalesParams are the query parameters of ListSales.
type ListSalesParams struct {
	// Only sales that are on sale now, that open later, that have closed, or that were canceled
	State string
	// next of the previous page
	After string
	// limit
	Limit int64
}

// ListSales: List sales with their stock. GET /v1/sales
func (c *Client) ListSales(ctx context.Context, params ListSalesParams) (answer SalesView, err error) {
	r := Request{Path: "/v1/sales", Method: "GET", Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "state", params.State)
	set(r.Query, "after", params.After)
	set(r.Query, "limit", number(params.Limit))
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CreateSale: Create a sale. POST /v1/sales
func (c *Client) CreateSale(ctx context.Context, body *CreateSaleBody) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetSale: A sale and its stock. GET /v1/sales/{sale}
func (c *Client) GetSale(ctx context.Context, sale string) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale), Method: "GET"}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ChangeSaleParams are the query parameters of ChangeSale.
type ChangeSaleParams struct {
	// The ETag of the sale that you read, so that nobody's change is lost
	IfMatch string
}

// ChangeSale: Change what a sale says of itself. PATCH /v1/sales/{sale}
func (c *Client) ChangeSale(ctx context.Context, sale string, params ChangeSaleParams, body *ChangeSaleBody) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale), Method: "PATCH", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Header, "If-Match", params.IfMatch)
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// AuditSale: Audit a sale: every invariant with its two sides. GET /v1/sales/{sale}/audit
func (c *Client) AuditSale(ctx context.Context, sale string) (answer AuditReport, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/audit", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetSaleCancellation: Progress of a sale's cancellation. GET /v1/sales/{sale}/cancel
func (c *Client) GetSaleCancellation(ctx context.Context, sale string) (answer CancellationView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/cancel", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CancelSale: Cancel a whole sale: void its holds, refund all orders. POST /v1/sales/{sale}/cancel
func (c *Client) CancelSale(ctx context.Context, sale string) (answer CancellationView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/cancel", Method: "POST", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CreateCheckoutParams are the query parameters of CreateCheckout.
type CreateCheckoutParams struct {
	// Names this checkout: the same key is the same order and gets the same answer. A bare or quoted string of 16–255 visible ASCII characters, ideally a UUIDv7
	IdempotencyKey string
	// The token of an admitted place; needed if the sale has a waiting room. It names the checkout instead of the key and is good for one order. After a refusal you can use it again, at most 8 times
	QueueToken string
}

// CreateCheckout: Hold tickets and get the pay link. POST /v1/sales/{sale}/checkouts
func (c *Client) CreateCheckout(ctx context.Context, sale string, params CreateCheckoutParams, body *CheckoutBody) (answer CheckoutView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/checkouts", Method: "POST", Query: url.Values{}, Header: http.Header{}}
	set(r.Header, "Idempotency-Key", params.IdempotencyKey)
	set(r.Header, "Queue-Token", params.QueueToken)
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CountClassCodes: Count the codes for hidden classes, and their uses. GET /v1/sales/{sale}/class-codes
func (c *Client) CountClassCodes(ctx context.Context, sale string) (answer ClassCodeUsesView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/class-codes", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// MakeClassCodes: Create codes for hidden classes, or bring your own. POST /v1/sales/{sale}/class-codes
func (c *Client) MakeClassCodes(ctx context.Context, sale string, body *MakeClassCodesBody) (answer ClassCodesView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/class-codes", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RevokeClassCodes: Revoke codes for hidden classes. POST /v1/sales/{sale}/class-codes/revoke
func (c *Client) RevokeClassCodes(ctx context.Context, sale string, body *RevokeClassCodesBody) (answer RevokedView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/class-codes/revoke", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ChangeCapacityParams are the query parameters of ChangeCapacity.
type ChangeCapacityParams struct {
	// Needed. Names this change: the same key is the same change and gets the same answer. A bare or quoted string of 16–255 visible ASCII characters
	IdempotencyKey string
}

// ChangeCapacity: Raise or lower a class's capacity while the sale runs. PUT /v1/sales/{sale}/classes/{class}/capacity
func (c *Client) ChangeCapacity(ctx context.Context, sale string, class string, params ChangeCapacityParams, body *CapacityBody) (answer CapacityView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/classes/" + url.PathEscape(class) + "/capacity", Method: "PUT", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Header, "Idempotency-Key", params.IdempotencyKey)
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// OpenClasses: See the hidden classes that a code opens. POST /v1/sales/{sale}/code
func (c *Client) OpenClasses(ctx context.Context, sale string, body *OpenClassesBody) (answer OpenClassesView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/code", Method: "POST"}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetSaleDefinition: A sale as its organiser sees it. GET /v1/sales/{sale}/definition
func (c *Client) GetSaleDefinition(ctx context.Context, sale string) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/definition", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// EndSale: End a sale early: no new orders. POST /v1/sales/{sale}/end
func (c *Client) EndSale(ctx context.Context, sale string) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/end", Method: "POST", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListEntitlements: Count codes, and the places taken with them, by batch. GET /v1/sales/{sale}/entitlements
func (c *Client) ListEntitlements(ctx context.Context, sale string) (answer BatchesView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/entitlements", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RevokeEntitlements: Revoke codes or invitations. POST /v1/sales/{sale}/entitlements/revoke
func (c *Client) RevokeEntitlements(ctx context.Context, sale string, body *RevokeBody) (answer RevokedView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/entitlements/revoke", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetFiguresParams are the query parameters of GetFigures.
type GetFiguresParams struct {
	// Steps from this time on (RFC 3339). Without it: from the first sale
	From string
}

// GetFigures: How a sale goes: tickets by minute and class, takings, refunds. GET /v1/sales/{sale}/figures
func (c *Client) GetFigures(ctx context.Context, sale string, params GetFiguresParams) (answer FiguresView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/figures", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "from", params.From)
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetForecast: How many people will come to a sale with a waiting room. GET /v1/sales/{sale}/forecast
func (c *Client) GetForecast(ctx context.Context, sale string) (answer ForecastView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/forecast", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// DeleteSaleImageParams are the query parameters of DeleteSaleImage.
type DeleteSaleImageParams struct {
	// The ETag of the sale that you read
	IfMatch string
}

// DeleteSaleImage: Take a sale's image away. DELETE /v1/sales/{sale}/image
func (c *Client) DeleteSaleImage(ctx context.Context, sale string, params DeleteSaleImageParams) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/image", Method: "DELETE", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Header, "If-Match", params.IfMatch)
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListOrdersParams are the query parameters of ListOrders.
type ListOrdersParams struct {
	// The buyer's address, in any spelling of the same mailbox
	Email string
	// The content of the QR code of one of its tickets
	Code string
	// status
	Status string
	// next of the previous page
	After string
	// limit
	Limit int64
}

// ListOrders: List a sale's paid orders. GET /v1/sales/{sale}/orders
func (c *Client) ListOrders(ctx context.Context, sale string, params ListOrdersParams) (answer OrdersView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/orders", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "email", params.Email)
	set(r.Query, "code", params.Code)
	set(r.Query, "status", params.Status)
	set(r.Query, "after", params.After)
	set(r.Query, "limit", number(params.Limit))
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CancelOrderOfSale: Cancel an order: void its hold, or refund it. POST /v1/sales/{sale}/orders/{order}/cancel
func (c *Client) CancelOrderOfSale(ctx context.Context, sale string, order string) (answer StatusView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/orders/" + url.PathEscape(order) + "/cancel", Method: "POST", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// MakePresaleCodes: Create presale codes, or import your own. POST /v1/sales/{sale}/presale-codes
func (c *Client) MakePresaleCodes(ctx context.Context, sale string, body *MakeCodesBody) (answer CodesView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/presale-codes", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetQueue: A sale's queue. GET /v1/sales/{sale}/queue
func (c *Client) GetQueue(ctx context.Context, sale string) (answer QueueView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/queue", Method: "GET"}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ConfigureQueue: Pause a sale's queue, or limit how fast it lets people in. PATCH /v1/sales/{sale}/queue
func (c *Client) ConfigureQueue(ctx context.Context, sale string, body *ConfigureBody) (answer ConfiguredView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/queue", Method: "PATCH", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// JoinQueueParams are the query parameters of JoinQueue.
type JoinQueueParams struct {
	// Names the person who joins, if the sale asks for an entitlement. The same key with the same entitlement has the same place. Otherwise it is ignored
	IdempotencyKey string
}

// JoinQueue: Join a sale's queue. POST /v1/sales/{sale}/queue
func (c *Client) JoinQueue(ctx context.Context, sale string, params JoinQueueParams, body *JoinBody) (answer JoinView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/queue", Method: "POST", Query: url.Values{}, Header: http.Header{}}
	set(r.Header, "Idempotency-Key", params.IdempotencyKey)
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// GetQueueChallenge: Get the proof of work to solve before joining. GET /v1/sales/{sale}/queue/challenge
func (c *Client) GetQueueChallenge(ctx context.Context, sale string) (answer ChallengeView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/queue/challenge", Method: "GET"}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// SettleDraw: Supply what the draw of a sale's queue waits for. POST /v1/sales/{sale}/queue/draw
func (c *Client) SettleDraw(ctx context.Context, sale string, body *SettleBody) (answer QueueView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/queue/draw", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ReopenSale: Open a sale again that was ended early. POST /v1/sales/{sale}/reopen
func (c *Client) ReopenSale(ctx context.Context, sale string) (answer SaleView, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/reopen", Method: "POST", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RestoreOrdersOfSale: Restore the records of a sale that the audit finds lost (I7). POST /v1/sales/{sale}/restore-orders
func (c *Client) RestoreOrdersOfSale(ctx context.Context, sale string, body *RestoreBody) (answer RestoreReport, err error) {
	r := Request{Path: "/v1/sales/" + url.PathEscape(sale) + "/restore-orders", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListWebhookEndpoints: List webhook endpoints. GET /v1/webhook-endpoints
func (c *Client) ListWebhookEndpoints(ctx context.Context) (answer WebhookEndpointsView, err error) {
	r := Request{Path: "/v1/webhook-endpoints", Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// CreateWebhookEndpoint: Register an endpoint for events. POST /v1/webhook-endpoints
func (c *Client) CreateWebhookEndpoint(ctx context.Context, body *CreateWebhookEndpointBody) (answer NewWebhookSecretView, err error) {
	r := Request{Path: "/v1/webhook-endpoints", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// DeleteWebhookEndpoint: Delete a webhook endpoint and its log. DELETE /v1/webhook-endpoints/{endpoint}
func (c *Client) DeleteWebhookEndpoint(ctx context.Context, endpoint string) error {
	r := Request{Path: "/v1/webhook-endpoints/" + url.PathEscape(endpoint), Method: "DELETE", IsOrganisers: true}
	return c.Do(ctx, r, nil)
}

// GetWebhookEndpoint: A webhook endpoint and its state. GET /v1/webhook-endpoints/{endpoint}
func (c *Client) GetWebhookEndpoint(ctx context.Context, endpoint string) (answer WebhookEndpointView, err error) {
	r := Request{Path: "/v1/webhook-endpoints/" + url.PathEscape(endpoint), Method: "GET", IsOrganisers: true}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ChangeWebhookEndpoint: Change a webhook endpoint, disable or enable it. PATCH /v1/webhook-endpoints/{endpoint}
func (c *Client) ChangeWebhookEndpoint(ctx context.Context, endpoint string, body *ChangeWebhookEndpointBody) (answer WebhookEndpointView, err error) {
	r := Request{Path: "/v1/webhook-endpoints/" + url.PathEscape(endpoint), Method: "PATCH", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// ListWebhookDeliveriesParams are the query parameters of ListWebhookDeliveries.
type ListWebhookDeliveriesParams struct {
	// Only deliveries in this state
	State string
	// next of the previous page
	After string
	// limit
	Limit int64
}

// ListWebhookDeliveries: List a webhook endpoint's deliveries and its answers. GET /v1/webhook-endpoints/{endpoint}/deliveries
func (c *Client) ListWebhookDeliveries(ctx context.Context, endpoint string, params ListWebhookDeliveriesParams) (answer WebhookDeliveriesView, err error) {
	r := Request{Path: "/v1/webhook-endpoints/" + url.PathEscape(endpoint) + "/deliveries", Method: "GET", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
	set(r.Query, "state", params.State)
	set(r.Query, "after", params.After)
	set(r.Query, "limit", number(params.Limit))
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RedeliverWebhooks: Send one event again, or all since a time. POST /v1/webhook-endpoints/{endpoint}/redeliver
func (c *Client) RedeliverWebhooks(ctx context.Context, endpoint string, body *RedeliverBody) (answer RedeliveryView, err error) {
	r := Request{Path: "/v1/webhook-endpoints/" + url.PathEscape(endpoint) + "/redeliver", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// RotateWebhookSecret: Rotate a webhook endpoint's secret. POST /v1/webhook-endpoints/{endpoint}/rotate-secret
func (c *Client) RotateWebhookSecret(ctx context.Context, endpoint string, body *RotateSecretBody) (answer NewWebhookSecretView, err error) {
	r := Request{Path: "/v1/webhook-endpoints/" + url.PathEscape(endpoint) + "/rotate-secret", Method: "POST", IsOrganisers: true}
	if body != nil {
		r.Body = body
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}
