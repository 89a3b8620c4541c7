// Package humancheck is the default of the human check in front of a waiting
// room: a proof of work. It makes joining cost a program that joins a thousand
// times a thousand times what it costs a person, who joins once and does not
// notice.
//
// It is not proof that somebody is a person, keeps nothing but which challenges
// were used, and knows nothing of queues, databases or HTTP. Whoever wants a stronger check
// implements the API's interface HumanCheck instead.
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
	// BitsMax bounds the difficulty: 2^28 hashes are minutes on a phone.
	BitsMax = 28
	// Lifetime is how long a challenge can be used. It is what a slow phone needs
	// many times over, and what bounds both the work that can be done in advance and
	// what a node must remember.
	Lifetime = 5 * time.Minute
	// SolutionLenMax bounds a solution, in bytes.
	SolutionLenMax = 32

	// usedMax is how many used challenges a node remembers by itself, twice: about 20 MB.
	usedMax = 1 << 18

	// easyPerSecond joins of a sale a second are let in at the usual difficulty; twice as
	// many take a bit more, and so on up to extraBitsMax.
	easyPerSecond = 100
	extraBitsMax  = 4
	// rateWindow is what joins are counted over; salesMax bounds the sales.
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
	shared *batching.Calls[spending, bool] // nil: what another node, or this one before a restart, has accepted is not known
	rates  rates
}

// New makes a Check of so many leading zero bits, and more where many join: 0 means that
// no proof is required; the error says when difficultyBits is not 0 to BitsMax. spend is
// what all nodes share; without it (nil) each accepts a challenge once.
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

// Challenge is a new one for a sale: of a solution s it wants that SHA-256(challenge
// ‖ s) begins with difficultyBits zero bits, which takes about 2 to the power of
// difficultyBits attempts. It costs one HMAC and stores nothing. required is false,
// and the rest empty, where the check is off.
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

// Verify accepts a solution once. It fails with a *domain.Error: CodeProofRequired
// where the challenge is none of ours, of another sale, expired, used before, or not
// solved; CodeOverloaded where what the nodes share does not answer. nil always where the
// check is off.
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
				Err:        fmt.Errorf("human check: %v", err), //nolint:errorlint // not %w: for the buyer it is no unknown outcome
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

// mac binds a challenge to its sale, without which it would be as good for another.
func (c *Check) mac(sale string, head []byte) []byte {
	return c.keys.ChallengeMAC(sale, string(head))[:macLen]
}

// parts of a challenge: version ‖ bits ‖ expiry in Unix seconds ‖ nonce ‖ MAC. The
// difficulty is in it, so that nodes of different configurations agree.
type parts struct {
	raw       [headLen]byte
	bits      int
	expiresAt time.Time
	nonce     [nonceLen]byte
	mac       [macLen]byte
}

func (p *parts) head() []byte { return p.raw[:] }

// parse reads a challenge; that it is one of ours only its MAC says.
func parse(challenge string) (parts, error) {
	var p parts
	if len(challenge) != encodedLen {
		return p, fmt.Errorf("a challenge of %d characters, want %d", len(challenge), encodedLen)
	}
	// Strict: a second spelling of a challenge would be a second use.
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

// used remembers nonces, the current ones and those before: of two Lifetimes, and where so
// many come that it is full, of less. Then what the nodes share has to tell.
type used struct {
	max int

	mu               sync.Mutex
	since            time.Time
	current, earlier map[[nonceLen]byte]struct{}
}

// spend reports whether a nonce is not remembered, and remembers it.
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

// rates are how fast people join which sales, on this node.
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
