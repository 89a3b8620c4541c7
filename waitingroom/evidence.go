package waitingroom

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"boxoffice/beacon"
	"boxoffice/domain"
)

// Evidence is what was published about a draw of the list. Anybody can check the draw
// with it.
type Evidence struct {
	Sale       string
	Commitment string // hex
	Seed       string // hex, the committed one
	Size       int64
	Root       string // hex
	RootAt     time.Time
	Source     domain.QueueDrawSource
	Waived     bool

	BeaconChain       string // hex
	BeaconNamed       int64
	BeaconRound       int64
	BeaconSignature   string // hex
	WitnessCommitment string // hex
	WitnessSecret     string // hex
}

// ErrUnchecked marks what could not be checked, which says nothing against the draw.
var ErrUnchecked = errors.New("not checked")

func unchecked(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnchecked, fmt.Sprintf(format, args...))
}

// Draw checks the evidence and returns the order of the draw. found says what was
// checked, one sentence each. chain is the beacon's chain, or none. An error says what is
// wrong, or wraps ErrUnchecked.
func (e *Evidence) Draw(chain beacon.Chain) (p *Permutation, found []string, err error) {
	seed, seedErr := hex.DecodeString(e.Seed)
	root, rootErr := hex.DecodeString(e.Root)
	switch {
	case e.Seed == "" || e.Root == "":
		return nil, nil, unchecked("the places are not drawn yet")
	case seedErr != nil || len(seed) != hashBytes || rootErr != nil || len(root) != hashBytes || e.Size < 0 || e.Size > JoinsMax:
		return nil, nil, unchecked("seed, root or size is not what a box office publishes")
	case Commitment(seed, e.Sale) != e.Commitment:
		return nil, nil, fmt.Errorf("the seed is not the one committed to: its SHA-256 with the sale's id is %s", Commitment(seed, e.Sale))
	}
	found = append(found, "The seed is the one that was committed to.")
	says, said, err := e.source(chain)
	if err != nil {
		return nil, found, err
	}
	return NewPermutation(Mix(seed, root, e.Size, says), e.Size), append(found, said...), nil
}

const hashBytes = 32

func (e *Evidence) source(chain beacon.Chain) (says []byte, found []string, err error) {
	switch {
	case e.Size <= 1:
		return nil, []string{"At most one person took part, so there was nothing to draw."}, nil
	case e.Waived:
		return nil, []string{"The organiser chose to draw without the number that was announced: whoever knew the seed and that number could choose between two orders."}, nil
	case e.Source == domain.QueueDrawBeacon:
		return e.beacon(chain)
	case e.Source == domain.QueueDrawWitness:
		secret, err := hex.DecodeString(e.WitnessSecret)
		switch {
		case e.WitnessSecret == "":
			return nil, nil, unchecked("the witness has not revealed its number")
		case err != nil || len(secret) != hashBytes || Commitment(secret, e.Sale) != e.WitnessCommitment:
			return nil, nil, errors.New("the witness's number is not the one that it committed to")
		}
		return secret, []string{
			"The witness's number is the one that it committed to. Only the witness can vouch that nobody knew it before the list was closed.",
		}, nil
	case e.Source == domain.QueueDrawNone:
		return nil, []string{"Nothing but the seed goes into this draw: whoever knew it, as the operator does, could steer the draw by the number of joins."}, nil
	}
	return nil, nil, unchecked("the source %.40q is not one that this release knows", e.Source)
}

func (e *Evidence) beacon(chain beacon.Chain) (says []byte, found []string, err error) {
	hash, hashErr := hex.DecodeString(e.BeaconChain)
	signature, err := hex.DecodeString(e.BeaconSignature)
	switch {
	case e.BeaconSignature == "":
		return nil, nil, unchecked("the beacon's round has not come out")
	case hashErr != nil || len(hash) != hashBytes || err != nil:
		return nil, nil, unchecked("the beacon's chain or signature is not in hexadecimal digits")
	case !chain.Known() || !bytes.Equal(chain.Hash[:], hash):
		return nil, nil, unchecked("the round is of chain %x: name a file with that chain's info, from somebody whom you trust", hash)
	case !chain.Verify(e.BeaconRound, signature):
		return nil, nil, fmt.Errorf("the signature is not that of round %d of chain %x", e.BeaconRound, hash)
	}
	at := chain.Time(e.BeaconRound)
	due := roundOf(&domain.QueueBeacon{Chain: hash, Genesis: chain.Genesis, Period: chain.Period, Named: e.BeaconNamed}, e.RootAt)
	found = append(
		found,
		fmt.Sprintf("The public number is that of round %d of chain %x, which came out at %s.", e.BeaconRound, hash, at.UTC().Format(time.RFC3339)),
	)
	switch {
	case !e.RootAt.Before(at):
		return nil, found, fmt.Errorf("the list was published at %s, when the round was already out", e.RootAt.UTC().Format(time.RFC3339))
	case e.BeaconRound != due: // otherwise whoever runs the box office could wait for a round that suits them
		return nil, found, fmt.Errorf(
			"round %d was named; with a list that was published at %s the draw is by round %d, not %d",
			e.BeaconNamed,
			e.RootAt.UTC().Format(time.RFC3339),
			due,
			e.BeaconRound,
		)
	case e.BeaconNamed != e.BeaconRound:
		found = append(found, fmt.Sprintf("The list was published too late for round %d, which was named: a later one was used.", e.BeaconNamed))
	}
	found = append(
		found,
		fmt.Sprintf(
			"By the box office, the list was published at %s: whoever has seen its root before the round came out knows that nobody could choose.",
			e.RootAt.UTC().Format(time.RFC3339),
		),
	)
	return beacon.Randomness(signature), found, nil
}

// Agrees compares evidence with what was published before, as far as that went.
func (e *Evidence) Agrees(before *Evidence) error {
	for _, c := range []struct{ what, was, is string }{
		{"sale", before.Sale, e.Sale},
		{"commitment", before.Commitment, e.Commitment},
		{"source", string(before.Source), string(e.Source)},
		{"beacon's chain", before.BeaconChain, e.BeaconChain},
		{"named round", fmt.Sprint(before.BeaconNamed), fmt.Sprint(e.BeaconNamed)},
		{"witness's commitment", before.WitnessCommitment, e.WitnessCommitment},
	} {
		if c.was != c.is {
			return fmt.Errorf("the %s was %.80q before, and is %.80q now", c.what, c.was, c.is)
		}
	}
	if before.Root == "" {
		return nil
	}
	if before.Root != e.Root || before.Size != e.Size {
		return fmt.Errorf("the list was different before: %d joins with root %s; now %d with root %s", before.Size, before.Root, e.Size, e.Root)
	}
	if before.BeaconRound != e.BeaconRound {
		return fmt.Errorf("the round was %d once the list was published, and is %d now", before.BeaconRound, e.BeaconRound)
	}
	return nil
}
