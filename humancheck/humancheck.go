// Package humancheck is the default human check in front of a waiting room: a proof of
// work. A program that joins a thousand times pays a thousand times what a person pays,
// who joins once and does not notice.
//
// It does not prove that somebody is a person. It remembers only which challenges were
// used, and knows nothing about queues, databases or HTTP. For a stronger check,
// implement the API's interface HumanCheck.
package humancheck

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"boxoffice/batching"
	"boxoffice/domain"
)

const (
	// BitsMax limits the difficulty: 2^28 hashes take minutes on a phone.
	BitsMax = 28
	// Lifetime is how long a challenge can be used. It is many times what a slow phone
	// needs, and it limits both the work that can be done in advance and what a node must
	// remember.
	Lifetime = 5 * time.Minute
	// SolutionLenMax limits a solution, in bytes.
	SolutionLenMax = 32

	// usedMax is how many used challenges a node remembers by itself, twice: about 20 MB.
	usedMax = 1 << 18

	// easyPerSecond joins of a sale a second have the usual difficulty. Twice as many
	// cost one bit more, and so on up to extraBitsMax.
	easyPerSecond = 100
	extraBitsMax  = 4
	// rateWindow is the time over which joins are counted; salesMax limits the sales.
	rateWindow = 10 * time.Second
	salesMax   = 1000

	version    = 1
	nonceLen   = 16
	macLen     = 16 // 128 bits: not guessable within a Lifetime
	headLen    = 1 + 1 + 8 + nonceLen
	rawLen     = headLen + macLen
	encodedLen = (rawLen*8 + 5) / 6
)

// A Check makes and verifies challenges. It is safe for concurrent use. All nodes
// of one server key accept each other's challenges.
type Check struct {
	keys   *domain.Keyring
	bits   int
	used   used
	shared *batching.Calls[spending, bool] // nil: we do not know what other nodes, or this one before a restart, accepted
	rates  rates
}

// New makes a Check that wants difficultyBits leading zero bits, and more if many join. 0
// means that no proof is required; other values up to BitsMax. spend is what all nodes
// share; without it (nil) each node accepts a challenge once.
func New(keys *domain.Keyring, difficultyBits int, spend Spend) (*Check, error) {
	if difficultyBits < 0 || difficultyBits > BitsMax {
		return nil, fmt.Errorf("human check: difficulty of %d bits, want 0 (off) to %d", difficultyBits, BitsMax)
	}
	c := &Check{keys: keys, bits: difficultyBits, used: used{max: usedMax}, rates: rates{sales: map[string]*rate{}}}
	if spend != nil {
		c.shared = newSpender(spend)
	}
	return c, nil
}

// Challenge returns a new challenge for a sale. For a solution s, SHA-256(challenge ‖ s)
// must begin with difficultyBits zero bits, which takes about 2 to the power of
// difficultyBits attempts. Making one costs one HMAC and stores nothing. If the check is
// off, required is false and the rest is empty.
func (c *Check) Challenge(sale string, now time.Time) (challenge string, difficultyBits int, expiresAt time.Time, required bool) {
	if c.bits == 0 {
		return "", 0, time.Time{}, false
	}
	expiresAt = now.Add(Lifetime).Truncate(time.Second)
	raw := make([]byte, headLen, rawLen)
	difficultyBits = min(c.bits+c.rates.extraBits(sale, now), BitsMax)
	raw[0], raw[1] = version, byte(difficultyBits)
	binary.BigEndian.PutUint64(raw[2:], uint64(expiresAt.Unix()))
	_, _ = rand.Read(raw[10:headLen]) // never fails, see crypto/rand
	raw = append(raw, c.mac(sale, raw)...)
	return base64.RawURLEncoding.EncodeToString(raw), difficultyBits, expiresAt.UTC(), true
}

// Verify accepts a solution once. It fails with a *domain.Error: CodeProofRequired if the
// challenge is not ours, for another sale, expired, used before, or not solved;
// CodeOverloaded if the shared store does not answer. It always returns nil if the check
// is off.
func (c *Check) Verify(ctx context.Context, sale, challenge, solution string, now time.Time) error {
	if c.bits == 0 {
		return nil
	}
	parsed, err := parse(challenge)
	if err != nil || subtle.ConstantTimeCompare(c.mac(sale, parsed.head()), parsed.mac[:]) != 1 {
		return refused("The challenge is not one of this sale's. Ask for a new one.", err)
	}
	if !now.Before(parsed.expiresAt) {
		return refused("The challenge has expired. Ask for a new one.", nil)
	}
	if !solves(challenge, solution, parsed.bits) {
		return refused("The solution does not fit the challenge.", nil)
	}
	fresh := c.used.spend(parsed.nonce, now)
	if fresh && c.shared != nil {
		if fresh, err = c.shared.Do(ctx, spending{parsed.nonce, parsed.expiresAt}); err != nil {
			return &domain.Error{
				Code:       domain.CodeOverloaded,
				RetryAfter: retryAfter,
				Err:        fmt.Errorf("human check: %v", err), //nolint:errorlint // not %w: to the buyer the outcome is not unknown
			}
		}
	}
	if !fresh {
		return refused("The challenge was used before. Each is good for one join: ask for a new one.", nil)
	}
	c.rates.count(sale, now)
	return nil
}

func refused(detail string, cause error) error {
	return &domain.Error{Code: domain.CodeProofRequired, Detail: detail, Err: cause}
}

// mac binds a challenge to its sale; otherwise it would do for another.
func (c *Check) mac(sale string, head []byte) []byte {
	return c.keys.ChallengeMAC(sale, string(head))[:macLen]
}

// parts of a challenge: version ‖ bits ‖ expiry in Unix seconds ‖ nonce ‖ MAC. It
// includes the difficulty, so that nodes with different configurations agree.
type parts struct {
	raw       [headLen]byte
	bits      int
	expiresAt time.Time
	nonce     [nonceLen]byte
	mac       [macLen]byte
}

func (p *parts) head() []byte { return p.raw[:] }

// parse reads a challenge. Only its MAC says whether it is ours.
func parse(challenge string) (parts, error) {
	var p parts
	if len(challenge) != encodedLen {
		return p, fmt.Errorf("a challenge of %d characters, want %d", len(challenge), encodedLen)
	}
	// Strict decoding: a second spelling of a challenge would be a second use.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(raw) != rawLen {
		return p, errors.New("a challenge that is not base64url")
	}
	copy(p.raw[:], raw)
	p.bits = int(raw[1])
	if raw[0] != version || p.bits < 1 || p.bits > BitsMax {
		return p, fmt.Errorf("a challenge of version %d and %d bits", raw[0], raw[1])
	}
	p.expiresAt = time.Unix(int64(binary.BigEndian.Uint64(raw[2:])), 0)
	copy(p.nonce[:], raw[10:headLen])
	copy(p.mac[:], raw[headLen:])
	return p, nil
}

func solves(challenge, solution string, difficultyBits int) bool {
	if len(solution) > SolutionLenMax {
		return false
	}
	sum := sha256.Sum256([]byte(challenge + solution))
	return bits.LeadingZeros32(binary.BigEndian.Uint32(sum[:])) >= difficultyBits
}

// Solve finds a solution, as a page does: about 2^difficultyBits hashes. For tests
// and load generators.
func Solve(challenge string, difficultyBits int) string {
	for n := uint64(0); ; n++ {
		if solution := fmt.Sprintf("%x", n); solves(challenge, solution, difficultyBits) {
			return solution
		}
	}
}

// used remembers nonces of two Lifetimes, the current and the previous, or fewer if so
// many come that it is full. Then the shared store has to tell.
type used struct {
	max int

	mu               sync.Mutex
	since            time.Time
	current, earlier map[[nonceLen]byte]struct{}
}

// spend reports whether a nonce is new, and remembers it.
func (u *used) spend(nonce [nonceLen]byte, now time.Time) (fresh bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.current == nil || now.Sub(u.since) >= Lifetime || len(u.current) >= u.max {
		u.earlier, u.current, u.since = u.current, make(map[[nonceLen]byte]struct{}), now
	}
	_, isCurrent := u.current[nonce]
	_, isEarlier := u.earlier[nonce]
	if isCurrent || isEarlier {
		return false
	}
	u.current[nonce] = struct{}{}
	return true
}

// rates are how fast people join each sale, on this node.
type rates struct {
	mu    sync.Mutex
	sales map[string]*rate
}

// A rate counts in windows.
type rate struct {
	window       int64
	now, earlier int
}

// count notes a join.
func (r *rates) count(sale string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.sales[sale]
	if of == nil {
		if len(r.sales) >= salesMax {
			clear(r.sales) // they are measured again within seconds
		}
		of = &rate{}
		r.sales[sale] = of
	}
	of.turn(now)
	of.now++
}

// extraBits is one for each doubling above easyPerSecond.
func (r *rates) extraBits(sale string, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.sales[sale]
	if of == nil {
		return 0
	}
	of.turn(now)
	perSecond := max(of.now, of.earlier) / int(rateWindow/time.Second)
	return min(bits.Len(uint(perSecond/easyPerSecond)), extraBitsMax)
}

func (r *rate) turn(now time.Time) {
	switch window := now.UnixNano() / int64(rateWindow); window - r.window {
	case 0:
	case 1:
		r.window, r.earlier, r.now = window, r.now, 0
	default:
		r.window, r.earlier, r.now = window, 0, 0
	}
}
