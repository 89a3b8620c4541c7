package domain

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/google/uuid"
)

// OrderID identifies an order, its checkout workflow and its transfers. It has 48 bits of
// milliseconds, 72 bits of HMAC, and 8 zero bits that its transfers fill with their slot.
// So ids sort by time, which suits TigerBeetle's trees (docs.tigerbeetle.com, "Data
// modeling", id), and nobody can guess one.
//
// The text form is 32 lower-case hexadecimal digits. TigerBeetle's tools print the same
// digits, with the slot in the last two.
type OrderID [16]byte

// String is the text form.
func (id OrderID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id was never set.
func (id OrderID) IsZero() bool { return id == OrderID{} }

// MarshalText implements encoding.TextMarshaler.
func (id OrderID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *OrderID) UnmarshalText(text []byte) error {
	parsed, err := ParseOrderID(string(text))
	*id = parsed
	return err
}

// ParseOrderID reads the text form. It refuses an id that no Keyring made: one with a
// slot in its last byte, or in upper case.
func ParseOrderID(s string) (OrderID, error) {
	var id OrderID
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return OrderID{}, fmt.Errorf("order id %q: want 32 lower-case hexadecimal digits", truncate(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return OrderID{}, fmt.Errorf("order id %q: %w", truncate(s), err)
	}
	if id[15] != 0 || id.IsZero() {
		return OrderID{}, fmt.Errorf("order id %q: the last byte must be zero", s)
	}
	return id, nil
}

// BuyerID is a buyer's pseudonym within one sale, and the id of the account that holds
// their quota. Nobody can turn it back into an address.
type BuyerID [16]byte

// String is the text form, 32 lower-case hexadecimal digits.
func (id BuyerID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id BuyerID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *BuyerID) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(id) {
		return fmt.Errorf("buyer id: want 32 hexadecimal digits, got %d", len(text))
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// ServerKeyLen is the length of the secret that all ids and tokens derive from.
const ServerKeyLen = 32

// A Keyring derives ids and tokens from the server's one secret. All nodes of a box
// office share that secret; changing it orphans every open order.
type Keyring struct {
	order, token, buyer, body, ticket []byte
	queue, challenge, wayBack, pay    []byte
	entitlement, holder, asked        []byte
	classCode                         []byte
	source                            []byte
}

// NewKeyring derives one key for each purpose (HKDF-SHA256, RFC 5869), so that none can
// stand in for another. It fails if the key does not have ServerKeyLen bytes.
func NewKeyring(serverKey []byte) (*Keyring, error) {
	if len(serverKey) != ServerKeyLen {
		return nil, fmt.Errorf("server key has %d bytes, want %d", len(serverKey), ServerKeyLen)
	}
	k := &Keyring{}
	for purpose, key := range map[string]*[]byte{
		"order": &k.order, "token": &k.token, "buyer": &k.buyer, "body": &k.body, "ticket": &k.ticket,
		"queue": &k.queue, "challenge": &k.challenge, "way back": &k.wayBack, "pay": &k.pay,
		"entitlement": &k.entitlement, "entitlement holder": &k.holder,
		"asked mail": &k.asked, "source": &k.source, "class code": &k.classCode,
	} {
		derived, err := hkdf.Key(sha256.New, serverKey, nil, "boxoffice/v1/"+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
		}
		*key = derived
	}
	return k, nil
}

// OrderID derives the order that an Idempotency-Key stands for. The time comes from the
// key if it is a UUIDv7 (RFC 9562), else from the sale's creation. So a repeated key
// finds its order again without anything stored.
func (k *Keyring) OrderID(sale *Sale, idempotencyKey string) OrderID {
	var id OrderID
	binary.BigEndian.PutUint64(id[:8], uint64(keyTime(sale, idempotencyKey).UnixMilli())<<16)
	copy(id[6:15], mac(k.order, sale.ID, idempotencyKey))
	return id
}

func keyTime(sale *Sale, idempotencyKey string) time.Time {
	u, err := uuid.Parse(idempotencyKey)
	canonical := err == nil && strings.EqualFold(u.String(), idempotencyKey)
	if !canonical || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
		return sale.CreatedAt // uuid.Parse would read a time into other hexadecimal keys too
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(u[:8]) >> 16))
}

// orderTokenLen is 128 bits: not guessable within the life of a sale.
const orderTokenLen = 16

// OrderToken is the bearer token of an order: anyone who has it may see and cancel the
// order. It is derived, never stored.
func (k *Keyring) OrderToken(id OrderID) string {
	return base64.RawURLEncoding.EncodeToString(mac(k.token, string(id[:]))[:orderTokenLen])
}

// ValidOrderToken compares in constant time.
func (k *Keyring) ValidOrderToken(id OrderID, token string) bool {
	return subtle.ConstantTimeCompare([]byte(k.OrderToken(id)), []byte(token)) == 1
}

// WayBackLifetime is how long after the hold's deadline the link alone leads a buyer back
// to the order from the payment page.
const WayBackLifetime = 24 * time.Hour

// wayBackKeyLen is 8 bytes of time and 16 of HMAC.
const wayBackKeyLen = 8 + orderTokenLen

// WayBackKey goes into the provider's link back to the shop, so that the buyer finds the
// order in whatever browser the payment ends. It is worth as much as the order's token
// until it expires, then nothing: a provider keeps its links, and must not keep tickets.
func (k *Keyring) WayBackKey(id OrderID, until time.Time) string {
	return base64.RawURLEncoding.EncodeToString(k.wayBackKey(id, binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))))
}

func (k *Keyring) wayBackKey(id OrderID, until []byte) []byte {
	return append(until, mac(k.wayBack, string(id[:]), string(until))[:orderTokenLen]...)
}

// ValidWayBackKey reports whether the key belongs to this order and has not expired. It
// compares in constant time.
func (k *Keyring) ValidWayBackKey(id OrderID, key string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != wayBackKeyLen {
		return false
	}
	until := raw[:8:8]
	return subtle.ConstantTimeCompare(k.wayBackKey(id, until), raw) == 1 && uint64(now.Unix()) < binary.BigEndian.Uint64(until)
}

// PayKey lets anyone who has it pay for the order and do nothing else. It stands in
// links.
func (k *Keyring) PayKey(id OrderID) string {
	return base64.RawURLEncoding.EncodeToString(mac(k.pay, string(id[:]))[:orderTokenLen])
}

// ValidPayKey compares in constant time.
func (k *Keyring) ValidPayKey(id OrderID, key string) bool {
	return subtle.ConstantTimeCompare([]byte(k.PayKey(id)), []byte(key)) == 1
}

// BuyerID derives the buyer's pseudonym. The email must be normalised, and folded by the
// sale's AliasRule.
func (k *Keyring) BuyerID(saleID, email string) BuyerID {
	var id BuyerID
	copy(id[:], mac(k.buyer, saleID, email))
	return id
}

// Fingerprint identifies what was ordered: the lines, the buyer, and the metadata and the code
// if there are any.
func (k *Keyring) Fingerprint(o *Order) string {
	lines, _ := json.Marshal(o.Lines) // plain structs cannot fail
	parts := []string{o.SaleID, string(lines), o.Email}
	if len(o.Metadata) > 0 {
		parts = append(parts, o.Metadata.canonical())
	}
	if o.Code != nil {
		parts = append(parts, "code", o.Code.ID.String())
	}
	return hex.EncodeToString(mac(k.body, parts...)[:16])
}

// TicketCode is the content of the QR code of an order's n-th ticket. Nobody can guess it, and every attempt to record the ticket
// derives the same one.
func (k *Keyring) TicketCode(id OrderID, n int) string {
	sum := mac(k.ticket, string(id[:]), fmt.Sprint(n))
	return strings.ToUpper(hex.EncodeToString(sum[:10]))
}

// QueueTag authenticates the contents of a waiting room token: 32 bytes.
func (k *Keyring) QueueTag(payload []byte) []byte {
	h := k.QueueMAC()
	h.Write(payload)
	return h.Sum(nil)
}

// EntitlementID derives what we keep of an entitlement: of a presale code, or of an
// invitee.
func (k *Keyring) EntitlementID(saleID string, kind EntitlementKind, name string) (id EntitlementID) {
	copy(id[:], mac(k.entitlement, saleID, string(kind), name))
	return id
}

// ClassCodeID derives what the books have of a code for the hidden classes of a sale. The code
// must be in its normal form.
func (k *Keyring) ClassCodeID(saleID, code string) (id ClassCodeID) {
	copy(id[:], mac(k.classCode, saleID, code))
	return id
}

// EntitlementHolder derives the holder of a place taken with an entitlement from the
// Idempotency-Key of the join.
func (k *Keyring) EntitlementHolder(saleID, idempotencyKey string) (id EntitlementID) {
	copy(id[:], mac(k.holder, saleID, idempotencyKey))
	return id
}

// AskWindow is the time within which the orders of an address are mailed once, however often somebody asks for them.
const AskWindow = time.Hour

// AskedMailID derives the id of the mail that lists an address's orders. The address must be in its normal form. The id is the
// same within an AskWindow, and does not reveal the address.
func (k *Keyring) AskedMailID(email string, now time.Time) string {
	window := now.Truncate(AskWindow).Unix()
	return "ask_" + hex.EncodeToString(mac(k.asked, email, fmt.Sprint(window))[:16])
}

// SourceTag stands for an address in the log: the same address has the same tag, and only who has the server key can tell
// which address it is.
func (k *Keyring) SourceTag(address string) string {
	return hex.EncodeToString(mac(k.source, address)[:8])
}

// QueueMAC makes the tags of QueueTag, for callers that make many: Reset it between them.
func (k *Keyring) QueueMAC() hash.Hash { return hmac.New(sha256.New, k.queue) }

// ChallengeMAC authenticates a challenge of the human check: 32 bytes. It keeps the parts
// apart: ("a", "bc") is not ("ab", "c").
func (k *Keyring) ChallengeMAC(parts ...string) []byte { return mac(k.challenge, parts...) }

// mac puts each part's length before it, so that no two lists of parts read the same.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// truncate shortens what a stranger sent before it goes into a message.
func truncate(s string) string {
	const messageMaxLen = 64
	if len(s) > messageMaxLen {
		return s[:messageMaxLen] + "…"
	}
	return s
}
