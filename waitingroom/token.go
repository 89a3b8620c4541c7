package waitingroom

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"time"

	"boxoffice/domain"

	"github.com/google/uuid"
)

// A token is base64url(version ‖ number ‖ milliseconds ‖ sale ‖ tag): at most TokenMaxLen
// characters. The number is the join index after 16 bits that say which database gave it
// out (see domain.Queue.EpochNumber). The tag is the first 14 bytes of an HMAC over the
// rest. The next 10 make the random part of the UUIDv7 that is the idempotency key, so
// the token need not carry it.
const (
	TokenMaxLen = 119
	// TokenLife is how long a token is valid, from the join or the opening, whichever is
	// later: somebody who waits for the draw must not lose the place that it gives.
	TokenLife = 24 * time.Hour

	tokenVersion = 1
	headLen      = 1 + 5 + 6
	tagLen       = 14
	indexBits    = 24
)

const _ = uint(1<<indexBits - JoinsMax) // all of them fit

// claims is what a token says.
type claims struct {
	sale     string
	index    int64
	epoch    int       // its number
	joinedAt time.Time // the database's clock, milliseconds
	key      string    // the idempotency key, a UUIDv7 (RFC 9562)
}

func sign(keys *domain.Keyring, sale string, epoch int, index int64, joinedAt time.Time) string {
	return string(newSigner(keys, sale).sign(epoch, index, joinedAt))
}

// A signer makes the tokens of a sale. It is for one goroutine.
type signer struct {
	mac             hash.Hash
	sale            string
	said, tag, text []byte
}

func newSigner(keys *domain.Keyring, sale string) *signer {
	return &signer{mac: keys.QueueMAC(), sale: sale}
}

// sign makes a token; it is valid until the next call.
func (s *signer) sign(epoch int, index int64, joinedAt time.Time) []byte {
	b := append(s.said[:0], tokenVersion)
	b = appendUint(b, uint64(epoch)<<indexBits|uint64(index), 5)
	b = appendUint(b, uint64(joinedAt.UnixMilli()), 6)
	b = append(b, s.sale...)
	s.mac.Reset()
	s.mac.Write(b)
	s.tag = s.mac.Sum(s.tag[:0])
	b = append(b, s.tag[:tagLen]...)
	s.said, s.text = b, base64.RawURLEncoding.AppendEncode(s.text[:0], b)
	return s.text
}

// verify reads a token that sign made with the same keys. The caller judges its times.
func verify(keys *domain.Keyring, token string) (claims, bool) {
	b, ok := decodeToken(token)
	if !ok {
		return claims{}, false
	}
	said, tag := b[:len(b)-tagLen], b[len(b)-tagLen:]
	sum := keys.QueueTag(said)
	if subtle.ConstantTimeCompare(tag, sum[:tagLen]) != 1 {
		return claims{}, false
	}
	number, ms := readUint(said[1:6]), said[6:headLen]
	return claims{
		sale:     string(said[headLen:]),
		index:    int64(number & (1<<indexBits - 1)),
		epoch:    int(number >> indexBits),
		joinedAt: time.UnixMilli(int64(readUint(ms))).UTC(),
		key:      uuidV7(ms, sum[tagLen:]),
	}, true
}

func uuidV7(ms, random []byte) string {
	var u uuid.UUID
	copy(u[:6], ms)
	copy(u[6:], random)
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// appendUint appends the last n bytes of v, big-endian.
func appendUint(b []byte, v uint64, n int) []byte {
	var all [8]byte
	binary.BigEndian.PutUint64(all[:], v)
	return append(b, all[8-n:]...)
}

func readUint(b []byte) uint64 {
	var all [8]byte
	copy(all[8-len(b):], b)
	return binary.BigEndian.Uint64(all[:])
}

// TokenIndex is the join index in a token, without verifying it: only the box office can.
// It is not ok if it is not a token.
func TokenIndex(token string) (index int64, ok bool) {
	b, ok := decodeToken(token)
	if !ok {
		return 0, false
	}
	return int64(readUint(b[1:6]) & (1<<indexBits - 1)), true
}

func decodeToken(token string) (b []byte, ok bool) {
	if len(token) > TokenMaxLen {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return b, err == nil && len(b) > headLen+tagLen && b[0] == tokenVersion
}
